"""A contact sheet: many files on one image, each with its name and size below it."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from .inspection import THUMBNAIL_SIDE, FileReport

COLUMNS = 8
MARGIN, CAPTION_LINES, LINE_HEIGHT = 10, 2, 13
PAPER, INK, FAINT, ALARM = "white", (20, 20, 20), (120, 120, 120), (190, 30, 30)
CHARACTERS = 25


def write_contact_sheet(path: Path, reports: Sequence[FileReport]) -> int:
    """Write the files that have thumbnails, and the bad ones, as one PNG; return how many.

    Args:
        path: where to; its folder is made.
        reports: of `inspect_source`.
    """
    shown = [report for report in reports if report.thumbnail or report.bad]
    cell_width = THUMBNAIL_SIDE + MARGIN
    cell_height = THUMBNAIL_SIDE + CAPTION_LINES * LINE_HEIGHT + MARGIN
    columns = max(1, min(COLUMNS, len(shown)))
    rows = -(-len(shown) // columns)
    sheet = Image.new("RGB", (columns * cell_width + MARGIN, rows * cell_height + MARGIN), PAPER)
    for number, report in enumerate(shown):
        row, column = divmod(number, columns)
        _draw(sheet, report, MARGIN + column * cell_width, MARGIN + row * cell_height)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return len(shown)


def _draw(sheet: Image.Image, report: FileReport, left: int, top: int) -> None:
    """One file: image in the middle of its cell, name, and size or reason."""
    draw, font = ImageDraw.Draw(sheet), _font()
    if report.thumbnail is not None:
        width, height = report.thumbnail.size
        place = (left + (THUMBNAIL_SIDE - width) // 2, top + (THUMBNAIL_SIDE - height) // 2)
        sheet.paste(report.thumbnail, place)
    else:
        box = (left, top, left + THUMBNAIL_SIDE, top + THUMBNAIL_SIDE)
        draw.rectangle(box, outline=ALARM)
        draw.line((*box[:2], *box[2:]), fill=ALARM)
    key = report.file.key
    name = key if len(key) <= CHARACTERS else "…" + key[1 - CHARACTERS :]
    below = top + THUMBNAIL_SIDE
    draw.text((left, below), name, INK, font)
    colour = ALARM if report.bad else FAINT
    draw.text((left, below + LINE_HEIGHT), _second_line(report), colour, font)


@cache
def _font() -> ImageFont.FreeTypeFont:
    """The one that matplotlib ships: it knows more alphabets than Pillow's own."""
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), 10)


def _second_line(report: FileReport) -> str:
    if report.bad is not None:
        return f"bad: {report.bad.exception}"[:CHARACTERS]
    size = f"{report.width} x {report.height}"
    return size if report.fps is None else f"{size}  {report.frames} at {report.fps:.4g}/s"
