"""Reports: report.json for programs, report.md to paste, report.html to read in a browser."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...output_file import dumps, write_text_whole
from ..diagnostics.finding import Finding
from ..harness.row import Row
from ..protocols.protocol import Protocol
from ..reconstructors.reconstruct import ReconstructedFile
from ..reconstructors.unique_names import unique_names
from .markdown import markdown
from .page import page
from .provenance import machine, versions
from .schema import ReportEntry, finding_entry
from .short_names import short_names, with_short_names

TITLE = "Tokenizer report"


@dataclass(frozen=True)
class ReportFiles:
    """The paths of a report's files.

    Attributes:
        json: report.json, the complete report for programs.
        markdown: report.md, its table for issues and papers.
        html: report.html, a page for browsers.
    """

    json: Path
    markdown: Path
    html: Path

    @classmethod
    def in_folder(cls, folder: Path) -> "ReportFiles":
        """Return the paths of a report's files in a folder."""
        return cls(folder / "report.json", folder / "report.md", folder / "report.html")


@dataclass(frozen=True)
class Report:
    """The report of a finished evaluation.

    Attributes:
        source: name of the images or videos that were scored.
        protocol: rules of the evaluation.
        rows: one row per tokenizer, in the order given; repeated names are numbered.
        clips: reconstructed videos to show in addition.
        battery: findings of the diagnostics.
    """

    source: str
    protocol: Protocol
    rows: Sequence[Row]
    clips: Sequence[ReconstructedFile] = ()
    battery: Sequence[Finding] = ()

    def __post_init__(self) -> None:
        # Rows of several evaluations may have the same name.
        names = unique_names([row.tokenizer for row in self.rows])
        rows = [replace(row, tokenizer=name) for row, name in zip(self.rows, names, strict=True)]
        object.__setattr__(self, "rows", tuple(rows))

    def entry(self) -> ReportEntry:
        """Return the typed content of report.json."""
        return ReportEntry(
            protocol=self.protocol.name,
            protocol_hash=self.protocol.hash,
            protocol_rules=self.protocol.to_json(),
            source=self.source,
            versions=versions(),
            machine=machine(),
            rows=tuple(self.rows),
            battery=tuple(finding_entry(finding) for finding in self.battery),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values; an infinite PSNR is null beside a flag."""
        return self.entry().model_dump(mode="json")

    def write(self, folder: Path) -> None:
        """Write report.json, report.md and report.html; the last two show short names."""
        folder.mkdir(parents=True, exist_ok=True)
        files, provenance = ReportFiles.in_folder(folder), self._provenance()
        write_text_whole(files.json, dumps(self.to_json()) + "\n")
        lines = [f"{name}: {value}" for name, value in provenance]
        rows = with_short_names(self.rows)
        short = {full.tokenizer: row.tokenizer for full, row in zip(self.rows, rows, strict=True)}
        findings = [
            replace(one, tokenizer=short.get(one.tokenizer, one.tokenizer)) for one in self.battery
        ]
        text = markdown(self._summary(), rows, findings, lines)
        write_text_whole(files.markdown, text)
        html = page(
            title=TITLE,
            summary=self._summary(),
            rows=rows,
            findings=findings,
            clips=self.clips,
            provenance=provenance,
        )
        write_text_whole(files.html, html)

    def _summary(self) -> str:
        first = self.rows[0]
        samples = "images" if first.frames == 1 else f"clips of {first.frames} frames"
        return f"{first.num_samples:,} {samples} at {first.size} × {first.size} from {self.source}"

    def _provenance(self) -> list[tuple[str, str]]:
        """List rules, tokenizers, weights, libraries and the machine, by name."""
        tokenizers, short = [], short_names([row.tokenizer for row in self.rows])
        for row in self.rows:
            facts = [None if short[row.tokenizer] == row.tokenizer else row.tokenizer]
            facts += [row.settings, row.dtype and f"{row.device}, {row.dtype}"]
            facts.append(row.fingerprint and f"fingerprint {row.fingerprint}")
            described = "; ".join(fact for fact in facts if fact)
            if described:
                tokenizers.append((short[row.tokenizer], described))
        extractors = {name: digest for row in self.rows for name, digest in row.extractors.items()}
        return [
            ("protocol", f"{self.protocol.name} ({self.protocol.hash})"),
            *[(name, str(value)) for name, value in self.protocol.to_json().items()],
            *tokenizers,
            *[(f"weights of {name}", f"SHA-256 {digest}") for name, digest in extractors.items()],
            ("seed", str(self.rows[0].seed)),
            ("machine", machine()),
            ("versions", ", ".join(f"{name} {number}" for name, number in versions().items())),
        ]
