"""A comparison as HTML: a table of the metrics, then the images of every tokenizer side by side.

The HTML contains its images, needs no script and no network, and follows the colors of the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import inf

from jaxtyping import UInt8
from jinja2 import Environment, PackageLoader, Template, select_autoescape
from torch import Tensor

from ..eval.report.error_map import FULL_SCALE, error_map
from ..eval.report.image_store import ImageStore
from .code_image import MAX_GROUPS
from .comparison import Compared, Comparison

RAW_BITS = 24


@dataclass(frozen=True)
class Line:
    """A line of the table, all cells formatted.

    Attributes:
        name: name of the tokenizer or codec.
        cells: the other cells, in the order of `COLUMNS`.
    """

    name: str
    cells: Sequence[str]


@dataclass(frozen=True)
class Card:
    """The images of one tokenizer or codec, as data URIs.

    Attributes:
        name: name of the tokenizer or codec.
        facts: formatted main metrics.
        reconstruction: the reconstruction.
        error: the error map.
        codes: images of the codes, each with its caption.
        codes_caption: explanation of the codes; of their absence where there are none.
    """

    name: str
    facts: str
    reconstruction: str
    error: str
    codes: Sequence[tuple[str, str]]
    codes_caption: str


COLUMNS = ("PSNR", "SSIM", "bits per pixel", "size on disk", "tokens", "time")


def view(comparison: Comparison, frame: int = 0) -> str:
    """Render a comparison at one frame of its clip as HTML."""
    original = comparison.original.pixels
    _, T, H, W = original.shape
    shape = f"{W} × {H} pixels" + (f", {T} frames" if T > 1 else "")
    return _template().render(
        name=comparison.original.name,
        shape=shape,
        file_size=size_text(comparison.original.file_bytes),
        notes=comparison.original.notes,
        frame=f"frame {frame + 1} of {T}" if T > 1 else "",
        width=W,
        height=H,
        original=_uri(original[:, frame]),
        columns=COLUMNS,
        lines=[_original_line(comparison), *map(_line, comparison.results)],
        cards=[_card(result, original, frame) for result in comparison.results],
        failures=comparison.failures,
        full_scale=round(FULL_SCALE),
    )


def size_text(count: int) -> str:
    """Format a number of bytes, in decimal units."""
    if count < 1000:
        return f"{count} B"
    if count < 10**6:
        return f"{count / 1000:.1f} kB"
    return f"{count / 10**6:.2f} MB"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("vistok", "page"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("view.html.j2")


def _uri(frame: UInt8[Tensor, "3 H W"]) -> str:
    store = ImageStore()
    return store.uris[store.add_frame(frame)]


def _original_line(comparison: Comparison) -> Line:
    num_bytes = comparison.original.pixels.numel()
    return Line("uncompressed", ("", "", f"{RAW_BITS}", size_text(num_bytes), "", ""))


def _line(result: Compared) -> Line:
    seconds = (result.encode_seconds, result.decode_seconds)
    total = None if None in seconds else sum(s for s in seconds if s is not None)
    return Line(
        result.name,
        (
            _decibels(result.psnr),
            "–" if result.ssim is None else f"{result.ssim:.3f}",
            "–" if result.bits_per_pixel is None else f"{result.bits_per_pixel:.3f}",
            "–" if result.stored_bytes is None else size_text(result.stored_bytes),
            "–" if result.num_tokens is None else f"{result.num_tokens:,}",
            "–" if total is None else _time(total),
        ),
    )


def _decibels(psnr: float) -> str:
    return "exact" if psnr == inf else f"{psnr:.2f} dB"


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _card(result: Compared, original: UInt8[Tensor, "3 T H W"], frame: int) -> Card:
    before, after = original[:, frame], result.clip[:, frame]
    store = ImageStore()
    codes = [store.uris[store.add_frame(image)] for image in result.codes_at(frame)]
    captions = [f"group {number + 1}" for number in range(len(codes))]
    facts = [_decibels(result.psnr)]
    if result.bits_per_pixel is not None:
        facts.append(f"{result.bits_per_pixel:.3f} bits per pixel")
    return Card(
        name=result.name,
        facts=", ".join(facts),
        reconstruction=_uri(after),
        error=store.uris[store.add(error_map(before, after))],
        codes=list(zip(codes, captions if len(codes) > 1 else [""], strict=True)) if codes else [],
        codes_caption=_codes_caption(result),
    )


def _codes_caption(result: Compared) -> str:
    """Explain the images of the codes."""
    if not result.codes:
        return "a codec: its bits have no positions to draw"
    _, t, h, w = result.codes[0].shape
    grid = f"{w} × {h}" + (f", {t} in time" if t > 1 else "")
    if not result.group_sizes:
        return f"latents, {grid}; their three principal directions as red, green and blue"
    groups, largest = len(result.group_sizes), max(result.group_sizes)
    shown = f", the first {MAX_GROUPS} of {groups} groups" if groups > MAX_GROUPS else ""
    return f"codes, {grid}{shown}; blue is index 0, red is index {largest - 1:,}"
