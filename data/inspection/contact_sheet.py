"""Contact sheets: many files on one image, each with its name and size below it."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from ...output_file import replaced_file
from .inspection import THUMBNAIL_SIDE, FileReport

COLUMNS = 8
MARGIN, CAPTION_LINES, LINE_HEIGHT = 10, 2, 13
PAPER, INK, FAINT, ALARM = "white", (20, 20, 20), (120, 120, 120), (190, 30, 30)
CHARACTERS = 25


def write_contact_sheet(path: Path, reports: Sequence[FileReport]) -> int:
    """Write the files that have thumbnails, and the bad ones, as one PNG; return their number.

    Args:
        path: file to write; its folder is created if needed.
        reports: result of `inspect_source`.
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
    with replaced_file(path) as partial:
        sheet.save(partial)
    return len(shown)


def _draw(sheet: Image.Image, report: FileReport, left: int, top: int) -> None:
    """Draw one file: its image centered in the cell, its name, and its size or error."""
    draw, font = ImageDraw.Draw(sheet), _font()
    if report.thumbnail is not None:
        width, height = report.thumbnail.size
        corner = (left + (THUMBNAIL_SIDE - width) // 2, top + (THUMBNAIL_SIDE - height) // 2)
        sheet.paste(report.thumbnail, corner)
    else:
        box = (left, top, left + THUMBNAIL_SIDE, top + THUMBNAIL_SIDE)
        draw.rectangle(box, outline=ALARM)
        draw.line((*box[:2], *box[2:]), fill=ALARM)
    key = report.file.key
    name = key if len(key) <= CHARACTERS else "…" + key[1 - CHARACTERS :]
    below = top + THUMBNAIL_SIDE
    draw.text((left, below), name, INK, font)
    color = ALARM if report.bad else FAINT
    draw.text((left, below + LINE_HEIGHT), _second_line(report), color, font)


@cache
def _font() -> ImageFont.FreeTypeFont:
    """Load the font that ships with matplotlib: it covers more alphabets than Pillow's."""
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), 10)


def _second_line(report: FileReport) -> str:
    if report.bad is not None:
        return f"bad: {report.bad.exception}"[:CHARACTERS]
    size = f"{report.width} x {report.height}"
    return size if report.fps is None else f"{size}  {report.frames} at {report.fps:.4g}/s"
