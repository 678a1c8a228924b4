"""Image codecs: exactly Pillow's files, at exactly their rates."""

import io

import pytest
import torch
from PIL import Image

from vistok import evaluate
from vistok.data.codecs.image import to_pil, to_tensor
from vistok.eval.reconstructors.image_codec import IMAGE_FORMATS, ImageCodec
from vistok.eval.reconstructors.reconstructor import Reconstruction

SOURCE = "samples:heldout"


def clips(count: int, frames: int = 1, side: int = 48) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, frames, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(frames, side, side), mode="trilinear")
    return (smooth * 255).to(torch.uint8)


def rates(result: Reconstruction) -> tuple[float, ...]:
    assert result.bits_per_pixel is not None
    return result.bits_per_pixel


@pytest.mark.parametrize("kind", IMAGE_FORMATS)
def test_a_image_comes_back_as_pillow_reads_its_own_file(kind):
    batch = clips(2)
    result = ImageCodec(kind, 50).reconstruct(batch, ["a", "b"])
    assert result.stored_bits_per_pixel is not None
    for before, after, stored in zip(
        batch, result.clips, result.stored_bits_per_pixel, strict=True
    ):
        buffer = io.BytesIO()
        to_pil(before[:, 0]).save(buffer, kind.upper(), quality=50)
        assert stored == 8 * len(buffer.getvalue()) / 48**2
        assert torch.equal(after[:, 0], to_tensor(Image.open(buffer).convert("RGB")))


@pytest.mark.parametrize("kind", IMAGE_FORMATS)
def test_more_quality_takes_more_bits_and_gives_more_decibels(kind):
    rows = evaluate(SOURCE, f"{kind}:q=15,80", size=64, metrics=("psnr",), limit=2)
    assert [row.tokenizer for row in rows] == [f"{kind}:q=15", f"{kind}:q=80"]
    poor, good = rows
    assert poor.bits_per_pixel is not None
    assert good.bits_per_pixel is not None
    assert poor.bits_per_pixel < good.bits_per_pixel < 24
    assert poor.metrics["psnr"] + 3 < good.metrics["psnr"]


def test_a_clip_takes_the_bits_of_its_frames():
    batch = clips(1, frames=3)
    whole = ImageCodec("jpeg", 50).reconstruct(batch, ["a"])
    frames = [ImageCodec("jpeg", 50).reconstruct(f, ["a"]) for f in batch.split(1, dim=2)]
    assert torch.equal(whole.clips, torch.cat([f.clips for f in frames], dim=2))
    assert rates(whole)[0] == pytest.approx(sum(rates(frame)[0] for frame in frames) / 3)


def test_a_rate_does_not_depend_on_neighbors_in_the_batch():
    batch = clips(3)
    together = ImageCodec("webp", 40).reconstruct(batch, list("abc"))
    alone = [ImageCodec("webp", 40).reconstruct(clip[None], ["a"]) for clip in batch]
    assert rates(together) == tuple(rates(one)[0] for one in alone)
    assert len(set(rates(together))) == 3


@pytest.mark.parametrize(("kind", "quality"), [("jpeg", 0), ("jpeg", 101), ("avif", 101)])
def test_a_quality_out_of_range_is_refused(kind, quality):
    with pytest.raises(ValueError, match=rf"{kind} q must be in \d \.\.\. 100, got {quality}"):
        ImageCodec(kind, quality)
