"""report.html: one file that needs no network, from rows to what the template shows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from ..diagnostics.finding import Finding
from ..harness.row import Picture, Row
from ..reconstruct import ReconstructedFile
from .code_plot import code_facts, code_plot
from .error_map import FULL_SCALE, error_map
from .image_store import ImageStore
from .latent_picture import latent_pictures
from .notes import notes
from .rate_plot import family_of, finite_psnr, legend, rate_note, rate_plots
from .table import is_baseline, table_of

BASELINE_EXAMPLES = 1
LATENT_EXAMPLES = 4
LATENT_SIDE = 192
ROLES = ("worst", "median", "best", "first")


@dataclass(frozen=True)
class Example:
    """One sample of one tokenizer.

    Attributes:
        key: of the sample.
        scores: in words.
        before: id of the original (the middle frame of a clip's strip).
        after: id of the reconstruction.
        error: id of the error map.
        strip: ids of a clip's frames, their reconstructions and error maps; empty for images.
    """

    key: str
    scores: str
    before: str
    after: str
    error: str
    strip: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """What is shown of one tokenizer or of one quality of a codec.

    Attributes:
        name: of the tokenizer.
        facts: its main numbers in words.
        examples: by role.
        latents: ids of the images of its latents, each with the key of its sample.
        codes: plot of the use of its codes.
        code_facts: the numbers behind the plot.
    """

    name: str
    facts: str
    examples: Mapping[str, Sequence[Example]]
    latents: Sequence[tuple[str, str]]
    codes: Markup | None
    code_facts: str


def page(
    title: str,
    facts: str,
    rows: Sequence[Row],
    findings: Sequence[Finding],
    clips: Sequence[ReconstructedFile],
    provenance: Sequence[tuple[str, str]],
) -> str:
    """The whole page.

    Args:
        title: its heading.
        facts: what was scored, in a sentence.
        rows: one per tokenizer.
        findings: of the artifact battery.
        clips: files reconstructed beside the evaluation.
        provenance: rules, versions and machine.
    """
    store = ImageStore()
    table = table_of(rows)
    sections = [(row, _section(row, store)) for row in rows]
    shown = [(row, section) for row, section in sections if section.examples]
    return _template().render(
        title=title,
        facts=facts,
        table=table,
        notes=notes(rows),
        plots=[Markup(plot) for plot in rate_plots(rows)],
        rate_note=rate_note(rows),
        legend=legend(rows),
        compare=_compare(rows, store),
        sections=[section for row, section in shown if not is_baseline(row)],
        baselines=[
            (family, [section for _, section in members])
            for family, members in groupby(
                [pair for pair in shown if is_baseline(pair[0])], lambda pair: family_of(pair[0])
            )
        ],
        full_scale=round(FULL_SCALE),
        battery=_battery(findings, store),
        clips=[
            {
                "key": clip.key,
                "picture": store.add(Image.open(clip.side_by_side).convert("RGB"), lossless=False),
                "facts": f"{clip.frames} frames, {clip.psnr:.2f} dB",
            }
            for clip in clips
        ],
        provenance=provenance,
        sizes=store.sizes,
        images=Markup(json.dumps(store.uris)),
    )


def _template():
    environment = Environment(
        loader=PackageLoader("vistok", "eval/report"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _section(row: Row, store: ImageStore) -> Section:
    plot = code_plot(row)
    return Section(
        name=row.tokenizer,
        facts=_facts(row),
        examples=_examples(row, store),
        latents=_latents(row, store),
        codes=None if plot is None else Markup(plot),
        code_facts=code_facts(row),
    )


def _facts(row: Row) -> str:
    parts = []
    if "psnr" in row.metrics:
        metric = finite_psnr([row])
        pooled = " pooled" if metric == "psnr_pooled" else ""
        parts.append(f"{row.metrics[metric]:.2f} dB{pooled}")
    if row.bits_per_pixel is not None:
        parts.append(f"{row.bits_per_pixel:.3f} bits/pixel")
    return ", ".join(parts)


def _examples(row: Row, store: ImageStore) -> dict[str, list[Example]]:
    """By role, no sample twice; where all of them are perfect there is nothing to see."""
    if row.metrics.get("psnr_pooled") == inf:
        return {}
    found: dict[str, list[Example]] = {}
    seen: set[str] = set()
    for role in ROLES:
        pictures = [p for p in row.pictures if p.role == role and p.key not in seen]
        shown = pictures[:BASELINE_EXAMPLES] if is_baseline(row) else pictures
        if shown and not (role == "first" and "worst" in found):
            found[role] = [_example(picture, store) for picture in shown]
            seen |= {picture.key for picture in shown}
    return found


def _example(picture: Picture, store: ImageStore) -> Example:
    before, after = picture.original, picture.reconstruction
    T = before.shape[1]
    scores = [
        f"{value:.{digits}f}{unit}"
        for name, digits, unit in (("psnr", 2, " dB"), ("ssim", 3, " SSIM"))
        if (value := picture.scores.get(name)) is not None
    ]
    middle = T // 2
    return Example(
        key=picture.key,
        scores=", ".join(scores),
        before=store.add_frame(before[:, middle]),
        after=store.add_frame(after[:, middle]),
        error=store.add(error_map(before[:, middle], after[:, middle]), lossless=False),
        strip=_strip(before, after, store) if T > 1 else (),
    )


def _strip(before: Tensor, after: Tensor, store: ImageStore) -> tuple[tuple[str, ...], ...]:
    """Frame by frame: originals, reconstructions, errors."""
    frames = range(before.shape[1])
    return (
        tuple(store.add_frame(before[:, t], lossless=False) for t in frames),
        tuple(store.add_frame(after[:, t], lossless=False) for t in frames),
        tuple(store.add(error_map(before[:, t], after[:, t]), lossless=False) for t in frames),
    )


def _latents(row: Row, store: ImageStore) -> list[tuple[str, str]]:
    """Images of the first samples' latents; of several grids the last, which is the larger."""
    chosen = [p for p in row.pictures if p.role == "first" and p.latents][:LATENT_EXAMPLES]
    if not chosen:
        return []
    grids = [picture.latents[-1] for picture in chosen]
    factor = max(1, LATENT_SIDE // max(grids[0].shape[2:]))
    pictures = latent_pictures(grids, factor)
    return [
        (picture.key, store.add_frame(latent))
        for picture, latent in zip(chosen, pictures, strict=True)
    ]


def _compare(rows: Sequence[Row], store: ImageStore) -> dict[str, dict[str, str]]:
    """The first samples of all tokenizers, by sample and by name, with the originals."""
    samples: dict[str, dict[str, str]] = {}
    for row in rows:
        for picture in row.pictures:
            if picture.role == "first":
                middle = picture.original.shape[1] // 2
                shown = samples.setdefault(
                    picture.key, {"original": store.add_frame(picture.original[:, middle])}
                )
                if row.tokenizer != "identity":
                    frame = picture.reconstruction[:, middle]
                    shown[row.tokenizer] = store.add_frame(frame)
    return {key: shown for key, shown in samples.items() if len(shown) > 1}


def _battery(findings: Sequence[Finding], store: ImageStore) -> list[dict]:
    """Findings by test."""
    tests = []
    ordered = sorted(findings, key=lambda finding: finding.test)
    for test, group in groupby(ordered, key=lambda finding: finding.test):
        members = list(group)
        tests.append(
            {
                "test": test.replace("_", " "),
                "columns": list(dict.fromkeys(name for m in members for name in m.numbers)),
                "findings": members,
                "pictures": [
                    (m.tokenizer, store.add_frame(m.picture))
                    for m in members
                    if m.picture is not None
                ],
            }
        )
    return tests
