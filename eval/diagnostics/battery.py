"""The battery: every diagnostic on every reconstructor."""

from collections.abc import Sequence
from pathlib import Path

import torch

from ...data.evaluation_set import EvaluationSet
from ...data.sources.source import Listing, list_source
from ...progress import track
from ..reconstructors.reconstructor import Clips, Reconstructor
from .chunk_jumps import ChunkJumps
from .diagnostic import Diagnostic, DiagnosticInputs, NotExaminedError
from .drift import Drift
from .finding import Finding
from .flat_field import FlatField
from .flicker import Flicker
from .legibility import Legibility
from .receptive_field import ReceptiveField
from .seams import Seams

DIAGNOSTICS: tuple[Diagnostic, ...] = (
    FlatField(),
    Seams(),
    ChunkJumps(),
    Flicker(),
    Drift(),
    Legibility(),
    ReceptiveField(),
)
NUM_IMAGES = 4
NUM_CLIPS = 2
CLIP_FRAMES = 17


def run_diagnostics(
    source: str | Path | Listing,
    reconstructors: Sequence[Reconstructor],
    *,
    size: int,
    frames: int = 1,
    show_progress: bool = False,
) -> list[Finding]:
    """Run all diagnostics with the first images and clips of a source.

    Args:
        source: images or videos; see `list_source`.
        reconstructors: reconstructors to examine.
        size: side of the images, in pixels.
        frames: frames per clip; 1, as in an evaluation of images, takes clips of `CLIP_FRAMES`.
        show_progress: whether to show a progress bar on stderr.

    Returns:
        Findings by diagnostic; if no image can be read, each gives this as the reason.
    """
    listing = source if isinstance(source, Listing) else list_source(source)
    try:
        inputs = gather_inputs(listing, size, frames if frames > 1 else CLIP_FRAMES)
    except ValueError as error:
        return [
            _unavailable(diagnostic, reconstructor, error)
            for diagnostic in DIAGNOSTICS
            for reconstructor in reconstructors
        ]
    return run_battery(reconstructors, inputs, show_progress=show_progress)


def run_battery(
    reconstructors: Sequence[Reconstructor],
    inputs: DiagnosticInputs,
    diagnostics: Sequence[Diagnostic] = DIAGNOSTICS,
    show_progress: bool = False,
) -> list[Finding]:
    """Run diagnostics on every reconstructor.

    Args:
        reconstructors: reconstructors to examine.
        inputs: images and clips to examine them with.
        diagnostics: diagnostics to run.
        show_progress: whether to show a progress bar on stderr.

    Returns:
        Findings by diagnostic; one that cannot be run gives the reason.
    """
    pairs = [(diagnostic, one) for diagnostic in diagnostics for one in reconstructors]
    return [
        _run(diagnostic, reconstructor, inputs)
        for diagnostic, reconstructor in track(pairs, "diagnostics", len(pairs), show_progress)
    ]


def gather_inputs(listing: Listing, size: int, frames: int = CLIP_FRAMES) -> DiagnosticInputs:
    """Read the first images and clips of a source; without images, take frames of the clips.

    Args:
        listing: files of the source.
        size: side of the crops, in pixels.
        frames: frames per clip.

    Raises:
        ValueError: neither images nor clips can be read.
    """
    images = _read(listing, size, 1, NUM_IMAGES)
    clips = _read(listing, size, frames, NUM_CLIPS)
    if images is None:
        if clips is None:
            raise ValueError(
                f"{listing.source} has no readable image and no readable clip of {frames} frames"
            )
        images = clips[:, :, :1].contiguous()
    return DiagnosticInputs(images, clips)


def _read(listing: Listing, size: int, frames: int, count: int) -> Clips | None:
    """Read the first images (or clips, with `frames` > 1); None if none can be read."""
    if not listing.of_kind("image" if frames == 1 else "video"):
        return None
    dataset = EvaluationSet(listing.files, size, frames)
    clips = []
    for position in range(len(dataset)):
        if len(clips) == count:
            break
        _, clip, _ = dataset[position]
        if clip is not None:
            clips.append(clip)
    return torch.stack(clips) if clips else None


def _run(diagnostic: Diagnostic, reconstructor: Reconstructor, inputs: DiagnosticInputs) -> Finding:
    try:
        if not reconstructor.accepts_any_input:
            raise NotExaminedError("contains existing reconstructions and takes no other images")
        return diagnostic.run(reconstructor, inputs)
    # NotExaminedError, an unsupported size, exhausted memory, an output that is not finite: none of
    # them may lose the scores that were computed before.
    except (ValueError, RuntimeError, ArithmeticError, MemoryError, OSError) as error:
        return _unavailable(diagnostic, reconstructor, error)


def _unavailable(diagnostic: Diagnostic, reconstructor: Reconstructor, error: Exception) -> Finding:
    reason = str(error) or type(error).__name__
    return Finding(diagnostic.name, reconstructor.name, {}, "", unavailable=reason)
