"""`vistok inspect`: counts, sizes and bad files of a source, and a contact sheet."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import LARGEST, AsJson, Source, Workers, print_json

if TYPE_CHECKING:
    from ..data.inspection.inspection import Inspection


def inspect(
    source: Source,
    output: Annotated[
        Path, typer.Option("--output", help="A PNG, or a folder, for the contact sheet.")
    ] = Path("contact_sheet.png"),
    thumbnails: Annotated[
        int, typer.Option(min=0, max=LARGEST, help="Files on the contact sheet.")
    ] = 64,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not decode every frame of videos.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Maximum number of files to read.")
    ] = None,
    workers: Workers = 0,
    as_json: AsJson = False,
) -> None:
    """Count and measure the files of a source, list bad ones, draw a contact sheet."""
    from dataclasses import asdict

    from ..data.inspection.contact_sheet import write_contact_sheet
    from ..data.inspection.inspection import inspect_source
    from ..output_file import check_output_folder

    sheet = output if output.suffix.lower() == ".png" else output / "contact_sheet.png"
    check_output_folder(sheet.parent)
    if thumbnails and sheet.exists():
        raise ValueError(f"{sheet} exists already; choose another --output")
    found, reports = inspect_source(
        source,
        limit=limit,
        quick=quick,
        thumbnails=thumbnails,
        workers=workers,
        show_progress=True,
    )
    if thumbnails:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        write_contact_sheet(sheet, reports)
    for bad in (*found.bad, *found.skipped):
        sys.stderr.write(f"bad: {bad.path}: {bad.reason} ({bad.exception or 'not read'})\n")
    if as_json:
        print_json({**asdict(found), "contact_sheet": str(sheet) if thumbnails else None})
        return
    for label, value in _rows(found):
        print(f"{label:<20}{value}")
    if thumbnails:
        print(f"{'contact sheet':<20}{sheet}")


def _rows(found: "Inspection") -> list[tuple[str, str]]:
    return [
        ("images", f"{found.num_images}, {found.num_animated} of them animated"),
        ("videos", f"{found.num_videos}, {found.num_interlaced} of them interlaced"),
        ("bad files", str(len(found.bad))),
        ("other files", str(len(found.skipped))),
        ("common sizes", _common(found.sizes)),
        ("short sides", _span(found.short_side, "px")),
        ("frame rates", _common(found.frame_rates)),
        ("durations", f"{_span(found.seconds, 's')}, {found.total_seconds:.1f} s in total"),
        ("frames per video", _span(found.frames, "")),
        ("codecs", _common(found.codecs)),
    ]


def _common(counts: dict[str, int]) -> str:
    return ", ".join(f"{value} ({count})" for value, count in counts.items()) or "–"


def _span(values: Any, unit: str) -> str:
    if values is None:
        return "–"
    return f"{values.smallest:g} … {values.middle:g} … {values.largest:g} {unit}"
