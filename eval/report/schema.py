"""The typed content of report.json; `report.schema.json` beside this file is its JSON schema.

Numbers that JSON has no word for are null: an infinite PSNR is `"psnr": null` beside
`"psnr_infinite": true`.
"""

from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ...output_file import dumps, finite_numbers
from ..diagnostics.finding import Finding
from ..harness.row import Row

SCHEMA_FILE = Path(__file__).parent / "report.schema.json"

Numbers = dict[str, float | bool | None]
"""Numbers by name, null for infinity and NaN, `<name>_infinite: true` beside infinity."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CodeUseEntry(_Entry):
    """Use of the codebooks, group by group."""

    usage: tuple[float, ...]
    perplexity: tuple[float, ...]
    entropy: tuple[float, ...]
    effective_bits_per_pixel: float | None
    nominal_bits_per_pixel: float | None


class BadFileEntry(_Entry):
    """A file that could not be scored."""

    path: str
    reason: str
    exception: str


class RowEntry(_Entry):
    """The scores of one tokenizer; see `eval/harness/row.py`."""

    tokenizer: str
    num_samples: int
    size: int
    frames: int
    protocol: str
    protocol_hash: str
    metrics: Numbers
    intervals: dict[str, tuple[float | None, float | None]]
    unavailable: dict[str, str]
    caveats: dict[str, str]
    bits_per_pixel: float | None
    empirical_bits_per_pixel: float | None
    stored_bits_per_pixel: float | None
    values_per_pixel: float | None
    code_use: CodeUseEntry | None
    code_ranks: tuple[tuple[tuple[int, float], ...], ...]
    settings: str | None
    parameters: int | None
    fingerprint: str | None
    extractors: dict[str, str]
    device: str
    dtype: str | None
    seed: int
    encode_samples_per_second: float | None
    decode_samples_per_second: float | None
    peak_memory_bytes: int | None
    per_sample: tuple[dict[str, str | bool | float | None], ...]
    bad_files: tuple[BadFileEntry, ...]
    canonical: "RowEntry | None" = Field(description="the row under our own rules, of a preset")


class FindingEntry(_Entry):
    """What one artifact test says about one tokenizer."""

    test: str
    tokenizer: str
    numbers: Numbers
    reading: str
    unavailable: str | None


class ReportEntry(_Entry):
    """A whole report."""

    protocol: str
    protocol_hash: str
    protocol_rules: dict[str, str | float | bool | None]
    source: str
    versions: dict[str, str]
    machine: str
    rows: tuple[RowEntry, ...] = Field(description="in the order of the tokenizers given")
    battery: tuple[FindingEntry, ...]


def row_entry(row: Row) -> RowEntry:
    """A row without its images."""
    return RowEntry(
        tokenizer=row.tokenizer,
        num_samples=row.num_samples,
        size=row.size,
        frames=row.frames,
        protocol=row.protocol.name,
        protocol_hash=row.protocol.hash,
        metrics=finite_numbers(row.metrics),
        intervals={name: _finite(ends) for name, ends in row.intervals.items()},
        unavailable=row.unavailable,
        caveats=row.caveats,
        bits_per_pixel=row.bits_per_pixel,
        empirical_bits_per_pixel=row.empirical_bits_per_pixel,
        stored_bits_per_pixel=row.stored_bits_per_pixel,
        values_per_pixel=row.values_per_pixel,
        code_use=None if row.code_use is None else CodeUseEntry(**asdict(row.code_use)),
        code_ranks=row.code_ranks,
        settings=row.settings,
        parameters=row.parameters,
        fingerprint=row.fingerprint,
        extractors=row.extractors,
        device=row.device,
        dtype=row.dtype,
        seed=row.seed,
        encode_samples_per_second=row.encode_samples_per_second,
        decode_samples_per_second=row.decode_samples_per_second,
        peak_memory_bytes=row.peak_memory_bytes,
        per_sample=tuple(finite_numbers(sample) for sample in row.per_sample),
        bad_files=tuple(BadFileEntry(**asdict(bad)) for bad in row.bad_files),
        canonical=None if row.canonical is None else row_entry(row.canonical),
    )


def finding_entry(finding: Finding) -> FindingEntry:
    """A finding without its image."""
    return FindingEntry(
        test=finding.test,
        tokenizer=finding.tokenizer,
        numbers=finite_numbers(finding.numbers),
        reading=finding.reading,
        unavailable=finding.unavailable,
    )


def json_schema() -> dict[str, Any]:
    """The JSON schema of report.json."""
    return ReportEntry.model_json_schema()


def _finite(ends: tuple[float, float]) -> tuple[float | None, float | None]:
    low, high = (end if isfinite(end) else None for end in ends)
    return low, high


if __name__ == "__main__":
    SCHEMA_FILE.write_text(dumps(json_schema()) + "\n", encoding="utf-8")
