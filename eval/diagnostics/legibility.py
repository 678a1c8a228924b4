"""Legibility: Tesseract reads pages of rendered text before and after reconstruction.

    CER = (insertions + deletions + substitutions) / characters of the text

Letters are the finest structure that people look at, and PSNR hardly measures them.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from io import BytesIO

import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ...data.codecs.image import to_pil, to_tensor
from ..reconstructors.reconstructor import Reconstructor
from .diagnostic import Diagnostic, DiagnosticInputs, NotExaminedError, round_trip, side_by_side
from .finding import Finding

MIN_PAGE_PX = 128
# Increase of the error rate up to which text counts as still legible.
TOLERATED = 0.05
# Above this error rate before reconstruction, a page cannot show an effect of reconstruction.
LEGIBLE = 0.5
FONT_SIZES_PX = (10, 14, 20, 28)
MARGIN_PX = 8
ENLARGE = 4
TEXT = (
    "The quick brown fox jumps over the lazy dog while seven bright kites drift above the harbour "
    "and a small boat carries boxes of green apples to the market where people buy fresh bread "
    "milk and honey before the long walk home through quiet streets lined with old trees under "
    "grey clouds that bring a little rain each evening when the lamps are lit and doors close"
)


class Legibility(Diagnostic):
    """Character error rates per font size."""

    name = "legibility"

    def run(self, reconstructor: Reconstructor, inputs: DiagnosticInputs) -> Finding:
        """Read every page before and after reconstruction."""
        if shutil.which("tesseract") is None:
            raise NotExaminedError(
                "the program tesseract is not installed (Debian: apt-get install tesseract-ocr)"
            )
        if inputs.size < MIN_PAGE_PX:
            raise NotExaminedError(
                f"needs images of at least {MIN_PAGE_PX} pixels, got {inputs.size}"
            )
        rendered = [render_page(inputs.size, font) for font in FONT_SIZES_PX]
        pages = torch.stack([page for page, _ in rendered]).unsqueeze(2)
        restored = round_trip(reconstructor, pages).clips
        before = [
            _error_rate(page[:, 0], text) for page, (_, text) in zip(pages, rendered, strict=True)
        ]
        after = [
            _error_rate(page[:, 0], text)
            for page, (_, text) in zip(restored, rendered, strict=True)
        ]
        numbers = {}
        for size, clean, coded in zip(FONT_SIZES_PX, before, after, strict=True):
            numbers |= {f"cer_{size}px_before": clean, f"cer_{size}px_after": coded}
        return Finding(
            self.name,
            reconstructor.name,
            numbers,
            _summary(before, after),
            image=side_by_side([pages[1, :, 0], restored[1, :, 0]]),
        )


def render_page(side: int, font_px: int) -> tuple[UInt8[Tensor, "3 side side"], str]:
    """Render black words on white until the page is full; return the page and its text."""
    page = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(font_px)
    step = round(1.45 * font_px)
    lines: list[str] = []
    words = TEXT.split()
    for top in range(MARGIN_PX, side - step, step):
        line = ""
        while words and draw.textlength(f"{line} {words[0]}", font) <= side - 2 * MARGIN_PX:
            line = f"{line} {words.pop(0)}".strip()
        draw.text((MARGIN_PX, top), line, fill="black", font=font)
        lines.append(line)
    return to_tensor(page), " ".join(line for line in lines if line)


@cache
def read_page(file: bytes) -> str:
    """Return the words that Tesseract reads in an image file, separated by single spaces."""
    command = ["tesseract", "stdin", "stdout", "--psm", "6", "-l", "eng"]
    one_thread = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    done = subprocess.run(command, input=file, capture_output=True, env=one_thread, check=False)
    if done.returncode != 0:
        raise NotExaminedError(f"tesseract fails: {done.stderr.decode(errors='replace').strip()}")
    return " ".join(done.stdout.decode(errors="replace").split())


def character_error_rate(found: str, text: str) -> float:
    """Compute the Levenshtein distance divided by the length of the text."""
    row = list(range(len(text) + 1))
    for i, letter in enumerate(found, start=1):
        above, row[0] = row[0], i
        for j, wanted in enumerate(text, start=1):
            substituted = above + (letter != wanted)
            above = row[j]
            row[j] = min(substituted, row[j] + 1, row[j - 1] + 1)
    return row[-1] / len(text)


def _error_rate(page: UInt8[Tensor, "3 H W"], text: str) -> float:
    """Read a page, enlarged because Tesseract expects print at 300 dpi; return its error rate."""
    image = to_pil(page)
    enlarged = image.resize(
        (ENLARGE * image.width, ENLARGE * image.height), Image.Resampling.BICUBIC
    )
    buffer = BytesIO()
    enlarged.save(buffer, "PNG", compress_level=1)
    return character_error_rate(read_page(buffer.getvalue()), text)


def _summary(before: Sequence[float], after: Sequence[float]) -> str:
    """Name the smallest font size that stays legible together with all larger ones.

    Sizes that are illegible before reconstruction are ignored.
    """
    rates = zip(FONT_SIZES_PX, before, after, strict=True)
    legible = [(size, clean, coded) for size, clean, coded in rates if clean <= LEGIBLE]
    if not legible:
        return "inconclusive: no text is legible before reconstruction"
    smallest = None
    for size, clean, coded in reversed(legible):
        if coded > clean + TOLERATED:
            break
        smallest = size
    if smallest is None:
        return f"no text is legible, not even letters of {legible[-1][0]} pixels"
    return f"letters of {smallest} pixels and more are legible"
