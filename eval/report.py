"""Reports: report.json for machines, report.html for people (one file, no network)."""

import base64
import io
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from jinja2 import Environment, PackageLoader, select_autoescape
from PIL import Image
from torch import Tensor

from ..data.image import to_picture
from ..output_file import write_text_whole
from ..plain_json import dumps, finite_numbers
from .protocol import Protocol
from .reconstruct import ReconstructedFile
from .row import Row

LIBRARIES = ("vistok", "torch", "torchvision", "torchmetrics", "diffusers", "pillow", "av")

Json = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """A finished evaluation.

    Attributes:
        source: what was scored.
        protocol: the rules.
        rows: one per tokenizer, in the order given.
        clips: reconstructed videos to show beside the table.
    """

    source: str
    protocol: Protocol
    rows: Sequence[Row]
    clips: Sequence[ReconstructedFile] = ()

    def to_json(self) -> Json:
        """The typed content of report.json; an infinite PSNR is null beside a flag."""
        return {
            "protocol": self.protocol.name,
            "protocol_hash": self.protocol.hash,
            "protocol_rules": self.protocol.to_json(),
            "source": self.source,
            "versions": _versions(),
            "machine": _machine(),
            "rows": [_row_json(row) for row in self.rows],
        }

    def write(self, folder: Path) -> None:
        """Write report.json and report.html."""
        folder.mkdir(parents=True, exist_ok=True)
        write_text_whole(folder / "report.json", dumps(self.to_json()) + "\n")
        write_text_whole(folder / "report.html", self._html())

    def _html(self) -> str:
        environment = Environment(
            loader=PackageLoader("vistok", "eval"), autoescape=select_autoescape(default=True)
        )
        first = self.rows[0]
        what = "pictures" if first.frames == 1 else f"clips of {first.frames} frames"
        return environment.get_template("report.html.j2").render(
            title="Tokenizer report",
            facts=f"{first.num_samples} {what} at {first.size} × {first.size} from {self.source}",
            columns=TABLE_COLUMNS,
            rows=[table_cells(row) for row in self.rows],
            sections=[{"name": row.tokenizer, "pictures": _pairs(row)} for row in self.rows],
            clips=[
                {
                    "key": clip.key,
                    "picture": _data_uri(Image.open(clip.side_by_side)),
                    "scores": f"{clip.frames} frames, {clip.psnr:.2f} dB",
                }
                for clip in self.clips
            ],
            provenance=[
                ("protocol", f"{self.protocol.name} ({self.protocol.hash})"),
                *self.protocol.to_json().items(),
                ("source", self.source),
                ("machine", _machine()),
                *[
                    (
                        row.tokenizer,
                        f"{row.device}, {row.dtype}, fingerprint {row.fingerprint[:12]}",
                    )
                    for row in self.rows
                    if row.fingerprint
                ],
                ("versions", ", ".join(f"{k} {v}" for k, v in _versions().items())),
            ],
        )


TABLE_COLUMNS = (
    "tokenizer",
    "PSNR (dB)",
    "SSIM",
    "bits/pixel",
    "N",
    "parameters",
    "encode/s",
    "decode/s",
)


def table_cells(row: Row) -> list[str]:
    """A row of the table people read."""
    return [
        row.tokenizer,
        _cell(row.metrics.get("psnr"), ".2f"),
        _cell(row.metrics.get("ssim"), ".3f"),
        _cell(row.bits_per_pixel, ".3f"),
        str(row.num_samples),
        "–" if row.parameters is None else f"{row.parameters / 1e6:.2f} M",
        _cell(row.encode_samples_per_second, ".1f"),
        _cell(row.decode_samples_per_second, ".1f"),
    ]


def _cell(value: float | None, spec: str) -> str:
    return "–" if value is None else format(value, spec)


def _row_json(row: Row) -> Json:
    return {
        "tokenizer": row.tokenizer,
        "num_samples": row.num_samples,
        "size": row.size,
        "frames": row.frames,
        "protocol": row.protocol.name,
        "protocol_hash": row.protocol.hash,
        "metrics": finite_numbers(row.metrics),
        "intervals": {name: list(ends) for name, ends in row.intervals.items()},
        "unavailable": row.unavailable,
        "caveats": row.caveats,
        "bits_per_pixel": row.bits_per_pixel,
        "empirical_bits_per_pixel": row.empirical_bits_per_pixel,
        "stored_bits_per_pixel": row.stored_bits_per_pixel,
        "values_per_pixel": row.values_per_pixel,
        "code_use": None if row.code_use is None else asdict(row.code_use),
        "parameters": row.parameters,
        "fingerprint": row.fingerprint,
        "extractors": row.extractors,
        "device": row.device,
        "dtype": row.dtype,
        "seed": row.seed,
        "encode_samples_per_second": row.encode_samples_per_second,
        "decode_samples_per_second": row.decode_samples_per_second,
        "peak_memory_bytes": row.peak_memory_bytes,
        "per_sample": [finite_numbers(sample) for sample in row.per_sample],
        "bad_files": [vars(bad) for bad in row.bad_files],
        "canonical": None if row.canonical is None else _row_json(row.canonical),
    }


def _pairs(row: Row) -> list[Json]:
    """Before and after of the chosen samples (the middle frame of clips)."""
    return [
        {
            "key": picture.key,
            "before": _data_uri(_middle_frame(picture.original)),
            "after": _data_uri(_middle_frame(picture.reconstruction)),
            "scores": f"{picture.scores['psnr']:.2f} dB" if "psnr" in picture.scores else "",
        }
        for picture in row.pictures
        if picture.role == "first"
    ]


def _middle_frame(clip: UInt8[Tensor, "3 T H W"]) -> Image.Image:
    frame = clip[:, clip.shape[1] // 2]
    return to_picture(frame)


def _data_uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def _machine() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
