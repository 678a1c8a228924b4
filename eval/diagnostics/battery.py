"""The artifact battery: every test on every subject."""

from collections.abc import Sequence

import torch

from ...data.evaluation_set import EvaluationSet
from ...data.sources.source import Listing, list_source
from ...progress import track
from ..reconstructors.catalog import open_reconstructors
from ..reconstructors.reconstructor import Clips, Reconstructor
from ..reconstructors.unique_names import told_apart
from .chunk_jumps import ChunkJumps
from .diagnostic import Diagnostic, DiagnosticInputs, NotExaminedError
from .drift import Drift
from .finding import Finding
from .flat_field import FlatField
from .flicker import Flicker
from .legibility import Legibility
from .receptive_field import ReceptiveField
from .seams import Seams

TESTS: tuple[Diagnostic, ...] = (
    FlatField(),
    Seams(),
    ChunkJumps(),
    Flicker(),
    Drift(),
    Legibility(),
    ReceptiveField(),
)
NUM_PICTURES = 4
NUM_CLIPS = 2
CLIP_FRAMES = 17


def run_diagnostics(
    source: str,
    tokenizers: Sequence[str],
    size: int,
    device: str,
    dtype: torch.dtype,
    frames: int = 1,
) -> list[Finding]:
    """Open subjects by their names and examine them with the first images of a source.

    Args:
        source: what to read; see `list_source`.
        tokenizers: names as `open_reconstructors` takes them.
        size: side of the images, in pixels.
        device: where networks run.
        dtype: of their weights.
        frames: of the evaluation, and so of the clips; 1 takes clips of `CLIP_FRAMES`.

    Returns:
        Findings, test by test; where no image can be read, all say so.
    """
    reconstructors = told_apart(
        [one for name in tokenizers for one in open_reconstructors(name, device, dtype)]
    )
    try:
        material = gather_material(list_source(source), size, frames if frames > 1 else CLIP_FRAMES)
    except ValueError as error:
        return [
            _unavailable(test, reconstructor, error)
            for test in TESTS
            for reconstructor in reconstructors
        ]
    return run_battery(reconstructors, material, show_progress=True)


def run_battery(
    reconstructors: Sequence[Reconstructor],
    material: DiagnosticInputs,
    tests: Sequence[Diagnostic] = TESTS,
    show_progress: bool = False,
) -> list[Finding]:
    """Examine every subject with every test.

    Args:
        reconstructors: what to examine.
        material: images and clips to examine with.
        tests: which ones.
        show_progress: whether to show a bar on stderr.

    Returns:
        Findings, test by test; a test that cannot be made says why.
    """
    pairs = [(test, reconstructor) for test in tests for reconstructor in reconstructors]
    return [
        _examine(test, reconstructor, material)
        for test, reconstructor in track(pairs, "artifact battery", len(pairs), show_progress)
    ]


def gather_material(listing: Listing, size: int, frames: int = CLIP_FRAMES) -> DiagnosticInputs:
    """The first images and clips of a source; images of clips where it has nothing else.

    Args:
        listing: the source.
        size: side of the crops, in pixels.
        frames: of the clips.

    Raises:
        ValueError: none of them can be read.
    """
    pictures = _read(listing, size, 1, NUM_PICTURES)
    clips = _read(listing, size, frames, NUM_CLIPS)
    if pictures is None:
        if clips is None:
            raise ValueError(
                f"no picture and no clip of {frames} frames of {listing.source} can be read"
            )
        pictures = clips[:, :, :1].contiguous()
    return DiagnosticInputs(pictures, clips)


def _read(listing: Listing, size: int, frames: int, count: int) -> Clips | None:
    """The first readable files of one kind; None where there are none."""
    if not listing.of_kind("image" if frames == 1 else "video"):
        return None
    dataset = EvaluationSet(listing.files, size, frames)
    found = []
    for position in range(len(dataset)):
        if len(found) == count:
            break
        _, clip, _ = dataset[position]
        if clip is not None:
            found.append(clip)
    return torch.stack(found) if found else None


def _examine(test: Diagnostic, reconstructor: Reconstructor, material: DiagnosticInputs) -> Finding:
    try:
        if not reconstructor.accepts_any_input:
            raise NotExaminedError("holds finished reconstructions and takes no other pictures")
        return test.run(reconstructor, material)
    # NotExaminedError, a size that this subject does not take, memory that runs out, an answer that
    # is not finite: the scores that were made before must not be lost to any of them.
    except (ValueError, RuntimeError, ArithmeticError, MemoryError, OSError) as error:
        return _unavailable(test, reconstructor, error)


def _unavailable(test: Diagnostic, reconstructor: Reconstructor, error: Exception) -> Finding:
    reason = str(error) or type(error).__name__
    return Finding(test.name, reconstructor.name, {}, "", unavailable=reason)
