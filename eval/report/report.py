"""Reports: report.json for machines, report.md to paste, report.html to read (one file)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...output_file import dumps, write_text_whole
from ..diagnostics.finding import Finding
from ..harness.row import Row
from ..protocol import Protocol
from ..reconstruct import ReconstructedFile
from ..reconstructors.unique_names import distinct_names
from .markdown import markdown
from .page import page
from .provenance import machine, versions
from .schema import ReportEntry, finding_entry, row_entry

TITLE = "Tokenizer report"


@dataclass(frozen=True)
class Report:
    """A finished evaluation.

    Attributes:
        source: what was scored.
        protocol: the rules.
        rows: one per tokenizer, in the order given.
        clips: reconstructed videos to show beside the table.
        battery: findings of the artifact battery.
    """

    source: str
    protocol: Protocol
    rows: Sequence[Row]
    clips: Sequence[ReconstructedFile] = ()
    battery: Sequence[Finding] = ()

    def __post_init__(self) -> None:
        # Rows of several evaluations may have one name.
        names = distinct_names([row.tokenizer for row in self.rows])
        rows = [replace(row, tokenizer=name) for row, name in zip(self.rows, names, strict=True)]
        object.__setattr__(self, "rows", tuple(rows))

    def entry(self) -> ReportEntry:
        """The typed content of report.json."""
        return ReportEntry(
            protocol=self.protocol.name,
            protocol_hash=self.protocol.hash,
            protocol_rules=self.protocol.to_json(),
            source=self.source,
            versions=versions(),
            machine=machine(),
            rows=tuple(row_entry(row) for row in self.rows),
            battery=tuple(finding_entry(finding) for finding in self.battery),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values; an infinite PSNR is null beside a flag."""
        return self.entry().model_dump(mode="json")

    def write(self, folder: Path) -> None:
        """Write report.json, report.md and report.html."""
        folder.mkdir(parents=True, exist_ok=True)
        provenance = self._provenance()
        write_text_whole(folder / "report.json", dumps(self.to_json()) + "\n")
        lines = [f"{name}: {value}" for name, value in provenance]
        text = markdown(self._facts(), self.rows, self.battery, lines)
        write_text_whole(folder / "report.md", text)
        html = page(TITLE, self._facts(), self.rows, self.battery, self.clips, provenance)
        write_text_whole(folder / "report.html", html)

    def _facts(self) -> str:
        first = self.rows[0]
        what = "pictures" if first.frames == 1 else f"clips of {first.frames} frames"
        return f"{first.num_samples:,} {what} at {first.size} × {first.size} from {self.source}"

    def _provenance(self) -> list[tuple[str, str]]:
        """Rules, subjects, libraries and the machine, in words."""
        reconstructors = []
        for row in self.rows:
            facts = [row.settings, row.dtype and f"{row.device}, {row.dtype}"]
            facts.append(row.fingerprint and f"fingerprint {row.fingerprint}")
            words = "; ".join(fact for fact in facts if fact)
            if words:
                reconstructors.append((row.tokenizer, words))
        extractors = {name: digest for row in self.rows for name, digest in row.extractors.items()}
        return [
            ("protocol", f"{self.protocol.name} ({self.protocol.hash})"),
            *[(name, str(value)) for name, value in self.protocol.to_json().items()],
            *reconstructors,
            *[(f"weights of {name}", f"SHA-256 {digest}") for name, digest in extractors.items()],
            ("seed", str(self.rows[0].seed)),
            ("machine", machine()),
            ("versions", ", ".join(f"{name} {number}" for name, number in versions().items())),
        ]
