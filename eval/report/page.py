"""report.html: a single file that needs no network, rendered from rows by a template."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf

from jinja2 import Environment, PackageLoader, Template, select_autoescape
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from ..diagnostics.finding import Finding
from ..harness.examples import Example
from ..harness.row import Row
from ..reconstructors.reconstruct import ReconstructedFile
from .code_plot import code_facts, code_plot
from .error_map import FULL_SCALE, error_map
from .image_store import ImageStore
from .latent_image import latent_images
from .notes import notes
from .rate_plot import family_of, finite_psnr, legend, rate_note, rate_plots
from .table import is_baseline, table_of

BASELINE_EXAMPLES = 1
LATENT_EXAMPLES = 4
LATENT_SIDE = 192
ROLES = ("worst", "median", "best", "first")


@dataclass(frozen=True)
class Figure:
    """An example as the page shows it.

    Attributes:
        key: name of the sample.
        scores: formatted scores.
        before: id of the original (of a clip the middle frame of its strip).
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
    """The section of one tokenizer, or of one quality setting of a codec.

    Attributes:
        name: name of the tokenizer.
        facts: formatted main metrics.
        examples: figures by role.
        latents: pairs of sample key and id of the image of its latents.
        codes: plot of the use of its codes.
        code_facts: summary of the plot.
    """

    name: str
    facts: str
    examples: Mapping[str, Sequence[Figure]]
    latents: Sequence[tuple[str, str]]
    codes: Markup | None
    code_facts: str


def page(
    *,
    title: str,
    summary: str,
    rows: Sequence[Row],
    findings: Sequence[Finding],
    clips: Sequence[ReconstructedFile],
    provenance: Sequence[tuple[str, str]],
) -> str:
    """Render the report as an HTML page.

    Args:
        title: heading.
        summary: sentence that names the scored images.
        rows: one row per tokenizer.
        findings: findings of the diagnostics.
        clips: reconstructed videos to show in addition.
        provenance: pairs of name and value about rules, versions and machine.
    """
    store = ImageStore()
    table = table_of(rows)
    sections = [(row, _section(row, store)) for row in rows]
    with_examples = [(row, section) for row, section in sections if section.examples]
    return _template().render(
        title=title,
        summary=summary,
        table=table,
        notes=notes(rows),
        plots=[Markup(plot) for plot in rate_plots(rows)],
        rate_note=rate_note(rows),
        legend=legend(rows),
        compare=_compare(rows, store),
        sections=[section for row, section in with_examples if not is_baseline(row)],
        baselines=[
            (family, [section for _, section in members])
            for family, members in groupby(
                [pair for pair in with_examples if is_baseline(pair[0])],
                lambda pair: family_of(pair[0]),
            )
        ],
        full_scale=round(FULL_SCALE),
        battery=_battery(findings, store),
        clips=[
            {
                "key": clip.key,
                "image": store.add(Image.open(clip.side_by_side).convert("RGB"), lossless=False),
                "facts": f"{clip.frames} frames, {clip.psnr:.2f} dB",
            }
            for clip in clips
        ],
        provenance=provenance,
        sizes=store.sizes,
        images=Markup(json.dumps(store.uris)),
    )


def _template() -> Template:
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
        examples=_figures(row, store),
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


def _figures(row: Row, store: ImageStore) -> dict[str, list[Figure]]:
    """Build the figures of a row by role, without repeated samples; none if all are exact."""
    if row.metrics.get("psnr_pooled") == inf:
        return {}
    figures: dict[str, list[Figure]] = {}
    seen: set[str] = set()
    for role in ROLES:
        examples = [one for one in row.examples if one.role == role and one.key not in seen]
        examples = examples[:BASELINE_EXAMPLES] if is_baseline(row) else examples
        if examples and not (role == "first" and "worst" in figures):
            figures[role] = [_figure(example, store) for example in examples]
            seen |= {example.key for example in examples}
    return figures


def _figure(example: Example, store: ImageStore) -> Figure:
    before, after = example.original, example.reconstruction
    T = before.shape[1]
    scores = [
        f"{value:.{digits}f}{unit}"
        for name, digits, unit in (("psnr", 2, " dB"), ("ssim", 3, " SSIM"))
        if (value := example.scores.get(name)) is not None
    ]
    middle = T // 2
    return Figure(
        key=example.key,
        scores=", ".join(scores),
        before=store.add_frame(before[:, middle]),
        after=store.add_frame(after[:, middle]),
        error=store.add(error_map(before[:, middle], after[:, middle]), lossless=False),
        strip=_strip(before, after, store) if T > 1 else (),
    )


def _strip(before: Tensor, after: Tensor, store: ImageStore) -> tuple[tuple[str, ...], ...]:
    """Store all frames of a clip; return ids of originals, reconstructions and error maps."""
    frames = range(before.shape[1])
    return (
        tuple(store.add_frame(before[:, t], lossless=False) for t in frames),
        tuple(store.add_frame(after[:, t], lossless=False) for t in frames),
        tuple(store.add(error_map(before[:, t], after[:, t]), lossless=False) for t in frames),
    )


def _latents(row: Row, store: ImageStore) -> list[tuple[str, str]]:
    """Draw the latents of the first samples; of several grids the last, which is the largest."""
    first = [one for one in row.examples if one.role == "first" and one.latents][:LATENT_EXAMPLES]
    if not first:
        return []
    grids = [example.latents[-1] for example in first]
    factor = max(1, LATENT_SIDE // max(grids[0].shape[2:]))
    images = latent_images(grids, factor)
    return [
        (example.key, store.add_frame(image)) for example, image in zip(first, images, strict=True)
    ]


def _compare(rows: Sequence[Row], store: ImageStore) -> dict[str, dict[str, str]]:
    """Store the first samples: ids of the original and of each tokenizer's result, by sample."""
    samples: dict[str, dict[str, str]] = {}
    for row in rows:
        for example in row.examples:
            if example.role == "first":
                middle = example.original.shape[1] // 2
                versions = samples.setdefault(
                    example.key, {"original": store.add_frame(example.original[:, middle])}
                )
                if row.tokenizer != "identity":
                    frame = example.reconstruction[:, middle]
                    versions[row.tokenizer] = store.add_frame(frame)
    return {key: versions for key, versions in samples.items() if len(versions) > 1}


def _battery(findings: Sequence[Finding], store: ImageStore) -> list[dict]:
    """Group the findings by diagnostic."""
    tests = []
    ordered = sorted(findings, key=lambda finding: finding.test)
    for test, group in groupby(ordered, key=lambda finding: finding.test):
        members = list(group)
        tests.append(
            {
                "test": test.replace("_", " "),
                "columns": list(dict.fromkeys(name for m in members for name in m.numbers)),
                "findings": members,
                "images": [
                    (m.tokenizer, store.add_frame(m.image)) for m in members if m.image is not None
                ],
            }
        )
    return tests
