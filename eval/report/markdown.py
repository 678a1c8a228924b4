"""report.md: the table and what one must know to read it, for issues and papers."""

from collections.abc import Sequence

from ..diagnostics.finding import Finding
from ..harness.row import Row
from .notes import notes
from .table import DASH, Table, table_of


def markdown(
    source: str, rows: Sequence[Row], findings: Sequence[Finding], provenance: Sequence[str]
) -> str:
    """The report as Markdown.

    Args:
        source: what was scored.
        rows: one per tokenizer.
        findings: of the artifact battery.
        provenance: lines about rules, versions and machine.
    """
    table = table_of(rows)
    parts = [f"# Tokenizer report\n\n{_escape(source)}", _table(table)]
    said = [*_marks(table), *notes(rows, star="\\*")]
    if said:
        parts.append("\n".join(f"- {note}" for note in said))
    if findings:
        parts.append("## Artifact battery\n\n" + _battery(findings))
    parts.append("## How these numbers were made\n\n" + "\n".join(f"- {p}" for p in provenance))
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    header = [column.title for column in table.columns]
    align = ["---" if column.key == "tokenizer" else "---:" for column in table.columns]
    lines = [
        [f"**{cell.text}**" if cell.best else cell.text for cell in line.cells]
        for line in table.lines
    ]
    return "\n".join(
        "| " + " | ".join(map(_escape, cells)) + " |" for cells in [header, align, *lines]
    )


def _marks(table: Table) -> list[str]:
    return [
        f"{mark or 'no mark'}: rules {rules}; figures of different marks do not compare"
        for mark, rules in table.legend
    ]


def _battery(findings: Sequence[Finding]) -> str:
    lines = ["| test | tokenizer | numbers | reading |", "|---|---|---|---|"]
    for finding in findings:
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in finding.numbers.items())
        reading = finding.reading if finding.unavailable is None else finding.unavailable
        cells = (finding.test, finding.tokenizer, numbers or DASH, reading)
        lines.append("| " + " | ".join(map(_escape, cells)) + " |")
    return "\n".join(lines)


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
