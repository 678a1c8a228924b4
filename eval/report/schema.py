"""The typed content of report.json; `report.schema.json` beside this file is its JSON schema.

JSON cannot represent infinity and NaN, so they are null: an infinite PSNR is `"psnr": null` beside
`"psnr_infinite": true`.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ...output_file import dumps
from ..diagnostics.finding import Finding
from ..harness.json_values import NamedValues
from ..harness.row import Row

SCHEMA_FILE = Path(__file__).parent / "report.schema.json"


class _Entry(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_serialization_defaults_required=True
    )


class FindingEntry(_Entry):
    """The result of one diagnostic on one tokenizer."""

    test: str = Field(description="Name of the diagnostic.")
    tokenizer: str = Field(description="Name of the tokenizer.")
    numbers: NamedValues = Field(description="Measured values; their names end in the unit.")
    reading: str = Field(description="Summary of the result in a sentence.")
    unavailable: str | None = Field(description="Why there is no result; null if there is one.")


class ReportEntry(_Entry):
    """The complete content of a report."""

    protocol: str = Field(description="Name of the evaluation protocol.")
    protocol_hash: str = Field(description="Hash of the protocol's rules.")
    protocol_rules: dict[str, str | float | bool | None] = Field(
        description="All rules of the protocol."
    )
    source: str = Field(description="The images or videos that were scored.")
    versions: dict[str, str] = Field(description="Versions of Python and of libraries.")
    machine: str = Field(description="The accelerator, or the type of processor.")
    rows: tuple[Row, ...] = Field(description="One row per tokenizer, in the order given.")
    battery: tuple[FindingEntry, ...] = Field(description="Results of the diagnostics.")


def finding_entry(finding: Finding) -> FindingEntry:
    """Convert a finding to its entry, which has no image."""
    return FindingEntry(
        test=finding.test,
        tokenizer=finding.tokenizer,
        numbers=dict(finding.numbers),
        reading=finding.summary,
        unavailable=finding.unavailable,
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of report.json."""
    return ReportEntry.model_json_schema(mode="serialization")


if __name__ == "__main__":
    SCHEMA_FILE.write_text(dumps(json_schema()) + "\n", encoding="utf-8")
