"""A step with the adaptive weight, eager and compiled: losses, gradients, and backward passes run.

In a process of its own, since shapes are checked in tests by code that does not compile. Prints the
number of convolutions in the compiled graphs, and how many of their backward passes ran.
"""

import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd
from torch._functorch._aot_autograd.utils import make_boxed_func

from tiny import tiny_tokenizer
from vistok.train.losses.adaptive_weight import adaptive_weight
from vistok.train.optimization.compilation import compile_networks

CONVOLUTION = torch.ops.aten.convolution.default
BACKWARD = torch.ops.aten.convolution_backward.default
compiled = {CONVOLUTION: 0, BACKWARD: 0}  # in graphs
ran = {CONVOLUTION: 0, BACKWARD: 0}


def counting(graph: torch.fx.GraphModule, inputs: Any) -> Any:
    """A compiler that counts convolutions, those it sees and those that run."""
    found = {op: sum(node.target is op for node in graph.graph.nodes) for op in ran}
    for op, count in found.items():
        compiled[op] += count

    def run(*arguments: Any) -> Any:
        for op, count in found.items():
            ran[op] += count
        return graph(*arguments)

    return make_boxed_func(run)


def step(tokenizer: nn.Module) -> list[Tensor]:
    """Losses, weight and gradients of one step."""
    tokenizer.zero_grad()
    generator = torch.Generator().manual_seed(0)
    pixels, judged = (torch.rand(1, 3, 1, 16, 16, generator=generator) for _ in range(2))
    restored = tokenizer(pixels).pixels
    reconstruction, adversarial = (restored - pixels).abs().mean(), (restored * judged).mean()
    last_layer = tokenizer.get_parameter("decoder.conv_out.weight")
    weight = adaptive_weight(reconstruction, adversarial, last_layer)
    loss = reconstruction + weight * adversarial
    loss.backward()
    gradients = [p.grad for p in tokenizer.parameters() if p.grad is not None]
    return [loss.detach(), weight, *gradients]


if __name__ == "__main__":
    tokenizer = tiny_tokenizer("image").train()
    eager = step(tokenizer)
    backend = aot_autograd(fw_compiler=counting, bw_compiler=counting)
    compile_networks(tokenizer, eager_last_layer=True, backend=backend)
    torch.testing.assert_close(step(tokenizer), eager)
    sys.stdout.write(f"{compiled[CONVOLUTION]} {compiled[BACKWARD]} {ran[BACKWARD]}")
