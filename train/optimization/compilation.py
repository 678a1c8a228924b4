"""torch.compile of a tokenizer's networks, with the decoder's last layer left eager where needed.

A compiled backward pass runs as a whole. The adaptive adversarial weight needs two gradients at the
decoder's last layer, each of which would run the backward pass of the whole decoder, if that layer
were compiled with it.
"""

from collections.abc import Callable
from typing import Any

import torch

from ...tokenizers.tokenizer import VisualTokenizer


def compile_networks(
    tokenizer: VisualTokenizer,
    eager_last_layer: bool,
    backend: str | Callable[..., Any] = "inductor",
) -> None:
    """Compile encoder and decoder in place; the bottleneck stays eager.

    Args:
        tokenizer: not sharded yet.
        eager_last_layer: whether gradients at the decoder's last layer will be taken on their own.
        backend: of torch.compile.
    """
    if eager_last_layer:
        layer = tokenizer.decoder.last_layer
        assert layer is not None, "checked with the config"
        eager: Any = torch.compiler.disable(layer.forward)
        layer.forward = eager
    tokenizer.encoder.compile(backend=backend)
    tokenizer.decoder.compile(backend=backend)
