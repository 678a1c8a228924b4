"""report.md: the table with the notes on it, for issues and papers."""

from collections.abc import Sequence

from ..diagnostics.finding import Finding
from ..harness.row import Row
from .notes import notes
from .table import DASH, Table, table_of


def markdown(
    summary: str, rows: Sequence[Row], findings: Sequence[Finding], provenance: Sequence[str]
) -> str:
    """Write the report as Markdown.

    Args:
        summary: sentence that names the scored images.
        rows: one row per tokenizer.
        findings: findings of the diagnostics.
        provenance: lines about rules, versions and machine.
    """
    table = table_of(rows)
    parts = [f"# Tokenizer report\n\n{_escape(summary)}", _table(table)]
    remarks = [*_marks(table), *notes(rows, star="\\*")]
    if remarks:
        parts.append("\n".join(f"- {remark}" for remark in remarks))
    if findings:
        parts.append("## Artifacts\n\n" + _findings(findings))
    parts.append("## Provenance\n\n" + "\n".join(f"- {line}" for line in provenance))
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
        f"{mark or 'no mark'}: protocol {rules}; rows with different marks are not comparable"
        for mark, rules in table.legend
    ]


def _findings(findings: Sequence[Finding]) -> str:
    lines = ["| test | tokenizer | values | result |", "|---|---|---|---|"]
    for finding in findings:
        values = ", ".join(f"{name} {value:.4g}" for name, value in finding.numbers.items())
        result = finding.summary if finding.unavailable is None else finding.unavailable
        cells = (finding.test, finding.tokenizer, values or DASH, result)
        lines.append("| " + " | ".join(map(_escape, cells)) + " |")
    return "\n".join(lines)


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
