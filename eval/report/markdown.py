"""report.md: the table with the notes on it, for issues and papers."""

import re
from collections.abc import Sequence

from ..diagnostics.finding import Finding
from ..harness.row import Row
from .notes import notes
from .table import DASH, Table, table_of

# Line breaks of all kinds, and other characters without a shape.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
SPECIAL = re.compile(r"[\\`*{}\[\]#|~!$]|(?<!\w)_|_(?!\w)")
# At the beginning of a line: the marks of lists, quotations and rules.
LIST_MARK = re.compile(r"^(\s*\d*)([-+.)=])")


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
    parts = [f"# Tokenizer report\n\n{literal(summary)}", _table(table)]
    remarks = [*_marks(table), *notes(rows)]
    if remarks:
        parts.append("\n".join(f"- {literal(remark)}" for remark in remarks))
    if findings:
        parts.append("## Artifacts\n\n" + _findings(findings))
    parts.append("## Provenance\n\n" + "\n".join(f"- {literal(line)}" for line in provenance))
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    header = [literal(column.title) for column in table.columns]
    align = ["---" if column.key == "tokenizer" else "---:" for column in table.columns]
    lines = [
        [f"**{literal(cell.text)}**" if cell.best else literal(cell.text) for cell in line.cells]
        for line in table.lines
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, align, *lines])


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
        lines.append("| " + " | ".join(map(literal, cells)) + " |")
    return "\n".join(lines)


def literal(text: str) -> str:
    """Escape a text so that Markdown shows it as it is, whatever it contains.

    Names of files and tokenizers are chosen by others: HTML becomes entities, and the characters
    that Markdown reads are preceded by backslashes. Underscores inside words mean nothing to
    Markdown and stay, so that the names of metrics remain readable in the source.
    """
    line = CONTROL.sub(" ", text)
    line = SPECIAL.sub(r"\\\g<0>", line)
    line = LIST_MARK.sub(r"\1\\\2", line)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
