"""Tiles together equal the whole wherever the receptive field is finite; otherwise they blend."""

import pytest
import torch

from tiny import tiny_tokenizer
from vistok.tokenizers.tiling import TiledEncoder, _assemble, _pieces, _warn_once

EXACT = {"atol": 1e-12, "rtol": 0}  # float64


def pixels(*size: int) -> torch.Tensor:
    return torch.rand(*size, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def plain():
    """An image tokenizer without attention or group norm, hence with a finite receptive field."""
    return tiny_tokenizer("image", {"kind": "plain", "latent_channels": 4}).double()


@pytest.mark.parametrize("tile", [16, 24, 64, 512])
@pytest.mark.parametrize("size", [(64, 64), (40, 104), (8, 200)])
def test_tiled_equals_whole_exactly(plain, tile, size):
    x = pixels(2, 3, 1, *size)
    whole, tiled = plain.encode(x), plain.encode(x, tile=tile)
    torch.testing.assert_close(tiled.code, whole.code, **EXACT)
    decoded = plain.decode(whole.codes, tile=tile)
    torch.testing.assert_close(decoded, plain.decode(whole.codes), **EXACT)


def test_tiles_of_a_stream_equal_the_whole_clip(plain):
    x = pixels(1, 3, 5, 40, 72)
    chunks = list(plain.encode_stream(x.split([1, 2, 2], dim=2), tile=24))
    codes = torch.cat([e.code for e in chunks], dim=2)
    torch.testing.assert_close(codes, plain.encode(x).code, **EXACT)
    decoded = plain.decode_latents_stream((e.latents for e in chunks), tile=24)
    torch.testing.assert_close(torch.cat(list(decoded), dim=2), plain.decode(codes), **EXACT)


def test_tiled_reconstruction_keeps_odd_sizes(plain):
    x = pixels(1, 3, 1, 45, 83)
    torch.testing.assert_close(plain.reconstruct(x, tile=32), plain.reconstruct(x), **EXACT)


def test_networks_that_see_whole_frames_are_blended_and_say_so(caplog):
    _warn_once.cache_clear()  # said once per process, maybe by an earlier test
    tokenizer = tiny_tokenizer("video", {"kind": "plain", "latent_channels": 4}).double()
    x = pixels(1, 3, 5, 64, 96)
    whole, tiled = tokenizer.encode(x), tokenizer.encode(x, tile=32)
    assert "blended, not exact" in caplog.text
    assert tiled.code.shape == whole.code.shape
    error = (tiled.code - whole.code).abs().mean() / whole.code.abs().mean()
    assert 0 < error < 0.5, "close, but not the same"


def test_blending_weights_are_complementary():
    """A smooth enlargement comes back unchanged, overlap or not."""
    axes = [_pieces(cells, 4, lambda span: None, take=1, put=8) for cells in (12, 20)]
    x = pixels(1, 3, 1, 12, 20)

    def enlarge(x: torch.Tensor, _state) -> torch.Tensor:
        return x.repeat_interleave(8, 3).repeat_interleave(8, 4)

    whole = enlarge(x, None)
    torch.testing.assert_close(_assemble(x, axes, (96, 160), None, enlarge), whole, **EXACT)


@pytest.mark.parametrize("tile", [0, 12, -8])
def test_a_tile_off_the_grid_is_refused(plain, tile):
    with pytest.raises(
        ValueError, match=f"tile must be a positive multiple of 8 pixels, got {tile}"
    ):
        TiledEncoder(plain.encoder, tile)
