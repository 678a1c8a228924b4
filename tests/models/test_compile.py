"""Networks compile without graph breaks and export, with the values of eager mode."""

import sys
from pathlib import Path

import pytest
import torch

from commands import run_process
from tiny import tiny_tokenizer

SUPPORT = Path(__file__).parents[1] / "support"

# In a process of its own: the shape checks of the tests would break the graph.
COMPILE = f"""
import sys
import torch
sys.path.insert(0, {str(SUPPORT)!r})
from tiny import tiny_tokenizer

fsq = {{"kind": "fsq", "levels": [8, 5]}}
dual = {{
    "kind": "dual_path",
    "continuous": {{"kind": "plain", "latent_channels": 2}},
    "quantizer": fsq,
}}
for kind, frames, bottleneck, path in (
    ("image", 1, fsq, None), ("video", 5, fsq, None), ("image", 1, dual, "both")
):
    tokenizer = tiny_tokenizer(kind, bottleneck).train()
    pixels = torch.rand(1, 3, frames, 16, 16) * 2 - 1
    eager = tokenizer(pixels, path=path)
    compiled = torch.compile(tokenizer, fullgraph=True, backend="aot_eager")(pixels, path=path)
    torch.testing.assert_close(compiled.pixels, eager.pixels)
    assert torch.equal(compiled.encoding.index, eager.encoding.index)
    compiled.pixels.sum().backward()
print("compiled")
"""


@pytest.mark.slow
def test_the_training_forward_compiles_without_graph_breaks():
    result = run_process([sys.executable, "-c", COMPILE])
    assert result.returncode == 0, result.stderr[-2000:]
    assert "compiled" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 5])
def test_encode_and_decode_export(frames):
    tokenizer = tiny_tokenizer("video")
    pixels = torch.rand(1, 3, frames, 16, 24) * 2 - 1
    encoder = torch.export.export(tokenizer.encoder, (pixels,)).module()
    latents = tokenizer.encoder(pixels).detach()
    torch.testing.assert_close(encoder(pixels).detach(), latents)
    decoder = torch.export.export(tokenizer.decoder, (latents,)).module()
    torch.testing.assert_close(decoder(latents), tokenizer.decoder(latents))
