"""What an evaluation costs beside the model's own work, per image and in one run.

    python benchmarks/evaluate.py [--images FOLDER] [--limit N] [--output results/evaluate.md]

The floor is the model's bare encode and decode, and Inception's features of both sides, on tensors
that lie in memory. `evaluate` on the same images also reads, decodes, scales and crops them,
computes PSNR, SSIM, MS-SSIM and the moments, keeps every score on disk, and shows a bar. Both take
turns over several rounds. Two clocks run: CPU seconds of all threads, which other work on the
machine hardly moves, and seconds on the wall, which see reading and measuring less where a core or
an accelerator is idle meanwhile. Fréchet's eigenvalues of full rank come once per evaluation of
many images, and stand apart; those of the few images here cost next to nothing.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from vistok import VisualTokenizer, evaluate
from vistok.data.evaluation_set import EvaluationSet, evaluation_batches
from vistok.data.pixels import to_pixels
from vistok.data.sources.source import list_source
from vistok.eval.features.inception import INCEPTION_WEIGHTS, Inception, unloaded_inception
from vistok.eval.metrics.feature_statistics import FeatureStatistics
from vistok.eval.metrics.frechet import frechet_distance
from vistok.eval.reconstructors.saved_tokenizer import TokenizerReconstructor
from vistok.train.config.files import load_run_config

BATCH, SIZE = 8, 256
METRICS = ("psnr", "ssim", "ms_ssim", "rfid")
PLANNED = 1000


@dataclass(frozen=True)
class Cost:
    """Seconds of one piece of work.

    Attributes:
        cpu: of this process, all threads.
        wall: of the clock.
    """

    cpu: float
    wall: float

    def per(self, count: int) -> "Cost":
        """Return the mean cost of one of `count` samples."""
        return Cost(self.cpu / count, self.wall / count)


def main() -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", default="samples:images")
    parser.add_argument("--config", default="image_fsq_f8")
    parser.add_argument("--limit", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results/evaluate.md"
    )
    arguments = parser.parse_args()
    tokenizer = load_run_config(arguments.config, ["data.source=samples:train"]).build_tokenizer()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[INCEPTION_WEIGHTS.variable] = str(random_inception(Path(folder)))
        lines = measure(
            tokenizer.eval(), arguments.images, arguments.limit, arguments.rounds, Path(folder)
        )
    head = f"# Cost of an evaluation\n\n`{arguments.config}`, {SIZE} x {SIZE}, "
    head += f"batches of {BATCH}, {platform.machine()} CPU, {torch.get_num_threads()} threads, "
    head += f"torch {torch.__version__}\n"
    text = "\n".join([head, *lines]) + "\n"
    print(text)
    arguments.output.write_text(text)


def measure(
    tokenizer: VisualTokenizer, source: str, limit: int, rounds: int, folder: Path
) -> list[str]:
    """The lines of the table."""
    dataset = EvaluationSet(list_source(source).files, SIZE, limit=limit)
    batches = [b.clips for b in evaluation_batches(dataset, BATCH) if b.clips is not None]
    inception = Inception("tf1", "rounded", "cpu")
    count = sum(map(len, batches))
    frechet = cost(partial(distance, inception.dim))
    reconstructor = TokenizerReconstructor(
        "model", tokenizer
    )  # one for all rounds, as it warms up once
    bare(tokenizer, inception, batches[:1])
    evaluation(source, reconstructor, BATCH, folder / "warm")
    floors, totals = [], []
    for number in range(rounds):
        floors.append(cost(partial(bare, tokenizer, inception, batches)).per(count))
        work = partial(evaluation, source, reconstructor, limit, folder / str(number))
        totals.append(cost(work).per(count))
    floor, total = middle(floors), middle(totals)
    cpu = (total.cpu * PLANNED + frechet.cpu) / (floor.cpu * PLANNED)
    wall = (total.wall * PLANNED + frechet.wall) / (floor.wall * PLANNED)
    return [
        f"Seconds per image, medians of {rounds} rounds over {count} images.\n",
        "| | CPU | wall |",
        "|---|---|---|",
        f"| bare encode, decode and features of both sides | {floor.cpu:.3f} | {floor.wall:.3f} |",
        f"| `evaluate`: {', '.join(METRICS)} | {total.cpu:.3f} | {total.wall:.3f} |",
        f"| Fréchet distance, once | {frechet.cpu:.1f} | {frechet.wall:.1f} |",
        f"| {PLANNED} images, as multiples of the floor | {cpu:.3f} | {wall:.3f} |",
    ]


def evaluation(source: str, reconstructor: TokenizerReconstructor, limit: int, parts: Path) -> None:
    """What `vistok eval` does, but for the report."""
    evaluate(
        source, reconstructor, size=SIZE, batch_size=BATCH, metrics=METRICS, limit=limit,
        partial_scores=parts,
        examples=False, show_progress=True,
    )  # fmt: skip


@torch.inference_mode()
def bare(tokenizer: VisualTokenizer, inception: Inception, batches: list[Tensor]) -> None:
    """The model's own work and feature extraction, nothing else."""
    for clips in batches:
        encoding = tokenizer.encode(to_pixels(clips))
        decoded = tokenizer.decode(encoding.codes, encoding.layout)
        inception.features(clips.float())
        inception.features((decoded.clamp(-1, 1) + 1) * 127.5)


def distance(dim: int) -> float:
    """The last step of rFID, of full rank as with many images."""
    generator = torch.Generator().manual_seed(0)
    sides = [FeatureStatistics(dim) for _ in range(2)]
    for side in sides:
        features = torch.randn(2 * dim, 1, dim, generator=generator)
        side.add([str(i) for i in range(len(features))], features)
    return frechet_distance(*sides)


def random_inception(folder: Path) -> Path:
    """A weights file of the published shapes: speed does not depend on the values."""
    shapes = unloaded_inception().state_dict()
    path = folder / "random.pth"
    torch.save({name: torch.rand(value.shape) * 0.01 for name, value in shapes.items()}, path)
    return path


def cost(work: Callable[[], object]) -> Cost:
    """Of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def middle(costs: list[Cost]) -> Cost:
    """The median of either clock."""
    return Cost(*(statistics.median(getattr(c, clock) for c in costs) for clock in ("cpu", "wall")))


if __name__ == "__main__":
    main()
