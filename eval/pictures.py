"""Pictures to look at: the first samples, and by PSNR the worst, the median and the best ones.

They are read and reconstructed once more when the scores are known, so that nothing has to be kept
of the samples in between.
"""

from collections.abc import Mapping
from typing import Any

from ..data.evaluation_set import EvaluationSet, evaluation_batches
from .row import Picture, Role
from .subjects.subject import Subject

FIRST = 4
OF_EACH = 3


def chosen_pictures(
    subject: Subject, dataset: EvaluationSet, samples: Mapping[int, Mapping[str, Any]]
) -> tuple[Picture, ...]:
    """The chosen samples of an evaluation, one at a time through the subject.

    Args:
        subject: reconstructs them.
        dataset: reads them.
        samples: keys and values by position, in order.
    """
    roles = chosen_positions(samples)
    batches = evaluation_batches(dataset, 1, positions=[position for position, _ in roles])
    pictures: list[Picture] = []
    for (position, role), batch in zip(roles, batches, strict=True):
        if batch.clips is None:
            continue  # it could be read before; the row's numbers stand
        values = {name: value for name, value in samples[position].items() if name != "key"}
        key = samples[position]["key"]
        result = subject.reconstruct(batch.clips, [key])
        latents = tuple(grid[0].float().cpu() for grid in result.latents or ())
        pictures.append(Picture(key, role, values, batch.clips[0], result.clips[0], latents))
    return tuple(pictures)


def chosen_positions(samples: Mapping[int, Mapping[str, Any]]) -> list[tuple[int, Role]]:
    """Which samples are shown, and why; without PSNR the first ones only."""
    first: list[tuple[int, Role]] = [(position, "first") for position in list(samples)[:FIRST]]
    if not all("psnr" in values for values in samples.values()):
        return first
    ordered = sorted(samples, key=lambda position: (samples[position]["psnr"], position))
    each = min(OF_EACH, len(ordered))
    middle = (len(ordered) - each) // 2
    shares: tuple[tuple[Role, list[int]], ...] = (
        ("worst", ordered[:each]),
        ("median", ordered[middle : middle + each]),
        ("best", ordered[::-1][:each]),
    )
    return first + [(position, role) for role, share in shares for position in share]
