"""Damaged images, clips and tables: what cannot be read is listed, the rest is read."""

import io
import json
import shutil
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from fuzzing import CASES, Outcome, check_message, fuzz, run
from mutators import damaged
from tiny import tiny_tokenizer
from vistok.data.codecs.image import read_image
from vistok.data.codecs.write import write_video

pytestmark = pytest.mark.slow

GOOD = "good.png"


def image(seed: int, kind: str, mode: str = "RGB", **options) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def clip(folder: Path) -> bytes:
    frames = torch.randint(0, 256, (9, 3, 16, 32), dtype=torch.uint8)
    write_video(folder / "clip.mp4", list(frames), Fraction(24))
    return (folder / "clip.mp4").read_bytes()


def table(struct: bool) -> bytes:
    """Four images in two row groups."""
    cells: list = [image(number, "JPEG") for number in range(4)]
    if struct:
        cells = [{"bytes": cell, "path": f"{number}.jpg"} for number, cell in enumerate(cells)]
    stream = io.BytesIO()
    columns = {"image": cells, "caption": ["a", "b", "c", None]}
    compression = "zstd" if struct else "none"
    pq.write_table(pa.table(columns), stream, row_group_size=2, compression=compression)
    return stream.getvalue()


def animation(kind: str) -> bytes:
    first, *rest = (Image.open(io.BytesIO(image(number, "PNG"))) for number in range(3))
    stream = io.BytesIO()
    first.save(stream, kind, save_all=True, append_images=rest, duration=40, loop=0)
    return stream.getvalue()


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, bytes]:
    return {
        "rgb.png": image(1, "PNG"),
        "palette.png": image(2, "PNG", "P", transparency=3),
        "gray.png": image(3, "PNG", "LA"),
        "rgb.jpg": image(4, "JPEG"),
        "progressive.jpg": image(5, "JPEG", progressive=True),
        "cmyk.jpg": image(6, "JPEG", "CMYK"),
        "lossy.webp": image(7, "WEBP"),
        "lossless.webp": image(8, "WEBP", lossless=True),
        "x.tiff": image(9, "TIFF", compression="tiff_lzw"),
        "x.bmp": image(10, "BMP"),
        "x.jp2": image(11, "JPEG2000"),
        "x.avif": image(12, "AVIF"),
        "animated.gif": animation("GIF"),
        "animated.png": animation("PNG"),
        "animated.webp": animation("WEBP"),
        "clip.mp4": clip(tmp_path_factory.mktemp("clip")),
        "clip2.mp4": clip(tmp_path_factory.mktemp("clip")),
    }


def mutant_folder(folder: Path, name: str, data: bytes) -> Path:
    """A folder of a damaged and a good file."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / GOOD).write_bytes(image(0, "PNG"))
    (folder / name).write_bytes(data)
    return folder


def inspected(outcome: Outcome) -> tuple[int, list[dict]]:
    """The number of files that were read, and those that were not."""
    assert outcome.code == 0, outcome
    found = json.loads(outcome.out)
    bad = [*found["bad"], *found["skipped"]]
    for entry in bad:
        check_message(entry["reason"], [""])
    return found["num_images"] + found["num_videos"], bad


def test_damaged_images_and_clips(originals, tmp_path):
    def case(draw: Random) -> None:
        name = draw.choice(list(originals))
        folder = mutant_folder(tmp_path / "media", name, damaged(originals[name], draw))
        thumbnails = ("--thumbnails", draw.choice((0, 2)), "--output", tmp_path / "sheet.png")
        num_read, bad = inspected(run("inspect", folder, "--json", *thumbnails))
        (tmp_path / "sheet.png").unlink(missing_ok=True)
        assert num_read == 2 - len(bad)
        assert all(entry["path"] == str(folder / name) for entry in bad)
        # PNGs of one frame have checksums; nothing else has
        if not bad and name.endswith(".png") and name != "animated.png":
            original = read_image(mutant_folder(tmp_path / "whole", name, originals[name]) / name)
            assert read_image(folder / name).tobytes() == original.tobytes()

    fuzz(case)


def test_damaged_tables(tmp_path):
    originals = {"plain.parquet": table(False), "struct.parquet": table(True)}

    def case(draw: Random) -> None:
        name = draw.choice(list(originals))
        folder = mutant_folder(tmp_path / "media", name, damaged(originals[name], draw))
        num_read, bad = inspected(run("inspect", folder, "--json", "--thumbnails", 0))
        assert num_read + len(bad) >= 2
        assert num_read > 4 or any(name in entry["path"] for entry in bad), "lost without a word"
        assert all(name in entry["path"] for entry in bad)

    fuzz(case, CASES // 2)


def test_encoding_of_damaged_sources(originals, tmp_path):
    """Encoding takes every file that it can read, and names the others."""
    everything = {**originals, "struct.parquet": table(True)}
    tiny_tokenizer("image").save_pretrained(tmp_path / "tokenizer")
    options = ("--tokenizer", tmp_path / "tokenizer", "--size", 16, "--json")

    def case(draw: Random) -> None:
        name, frames = draw.choice(list(everything)), draw.choice((1, 1, 2))
        folder = mutant_folder(tmp_path / "media", name, damaged(everything[name], draw))
        (folder / "good.gif").write_bytes(animation("GIF"))
        output = tmp_path / "tokens"
        try:
            outcome = run("encode", folder, *options, "--frames", frames, "--output", output)
            assert outcome.code == 0, outcome
            result = json.loads(outcome.out)
            assert result["num_samples"] >= 1
            assert all(name in entry["path"] for entry in result["bad"])
        finally:
            shutil.rmtree(output, ignore_errors=True)

    fuzz(case, CASES // 10)
