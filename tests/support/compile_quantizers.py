"""Compiles every quantizer of the table without a graph break, and prints what came of it as JSON.

Run as a program of its own, since the shape checks that tests install cannot be compiled.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import torch

from quantizer_table import QUANTIZERS, quantizer_of


def agrees(compiled: Callable[..., Any], eager: torch.nn.Module, x: torch.Tensor) -> bool:
    """Whether codes, indices, loss and the latents' gradient are the same to rounding."""
    results = []
    for module in (compiled, eager):
        leaf = x.clone().requires_grad_()
        out = module(leaf)
        (out.codes.square().sum() + out.loss).backward()
        results.append((out.codes, out.indices, out.loss, leaf.grad))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)
    return True


def outcome(name: str, train: bool) -> str:
    """What happened: "ok", "stateful" where train mode has state to update, or the error."""
    torch.compiler.reset()
    quantizer = quantizer_of(name).train(train)
    if train and quantizer.stateful:
        return "stateful"
    compiled = torch.compile(quantizer, fullgraph=True, backend="aot_eager")
    x = torch.randn(2, 9, quantizer.dim, generator=torch.Generator().manual_seed(0))
    try:
        agrees(compiled, quantizer, x)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:2000]
    return "ok"


if __name__ == "__main__":
    json.dump(
        {name: [outcome(name, False), outcome(name, True)] for name in QUANTIZERS}, sys.stdout
    )
