"""Cost of the order of training data, near the start of a run and far into it.

    python benchmarks/order.py [--output results/order.md]

Weighted sources are drawn in blocks, and the sequence of a source continues where the blocks before
left it. The first table compares the counts that are kept from block to block with their sum over
all earlier blocks, as they were computed at first. The second one shows what a pool of files keeps
of its permutations, and the time to draw one.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from vistok.data.training.order import BLOCK, BlockCounts, EpochOrder, WeightedSchedule

ROUNDS, NEXT_BLOCKS = 5, 20
SCHEDULE = WeightedSchedule((3.0, 2.0, 1.0, 4.0), "benchmark")
SAMPLES = (400_000, 4_000_000, 16_000_000, 100_000_000)
FILES = (1_300_000, 10_000_000)


def main() -> None:
    """Measure, print, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results/order.md")
    arguments = parser.parse_args()
    processor = platform.processor() or platform.machine()
    lines = [
        "# Order of training data",
        "",
        f"Made by `python benchmarks/order.py` on {psutil.cpu_count()} cores ({processor}), "
        f"Python {platform.python_version()}, numpy {np.__version__}.",
        f"Medians of {ROUNDS} rounds, CPU seconds of one reader; {len(SCHEDULE.weights)} weighted "
        f"sources, blocks of {BLOCK} samples.",
        "",
        *weighted_sources(),
        "",
        *permutations(),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    arguments.output.write_text(text, encoding="utf-8")


def weighted_sources() -> list[str]:
    """Measure the counts before a block: the first one of a reader, and those that follow."""
    lines = [
        "| sample | next block, summed anew | next block, counted on | first block of a reader |",
        "|---|---|---|---|",
    ]
    for sample in SAMPLES:
        block = sample // BLOCK
        # Summing anew takes the same work for every block as for the first one of a reader
        first = seconds(lambda block=block: BlockCounts(SCHEDULE).before(block))
        following = statistics.median(following_block(block) for _ in range(ROUNDS))
        lines.append(
            f"| {sample:,} | {1e3 * first:.1f} ms | {1e3 * following:.3f} ms | {first:.2f} s |"
        )
    return lines


def following_block(block: int) -> float:
    """Return the seconds per block of following the schedule from a block on."""
    counts = BlockCounts(SCHEDULE)
    counts.before(block)
    start = time.process_time()
    for following in range(block + 1, block + 1 + NEXT_BLOCKS):
        counts.before(following)
    return (time.process_time() - start) / NEXT_BLOCKS


def permutations() -> list[str]:
    """Measure the permutations of pools of files."""
    lines = ["| files of a pool | kept | draw of an epoch |", "|---|---|---|"]
    for num_files in FILES:
        drawn = seconds(lambda num_files=num_files: EpochOrder("pool", num_files).of_epoch(0))
        kept = EpochOrder("pool", num_files).of_epoch(0).nbytes / 2**20
        lines.append(f"| {num_files:,} | {kept:.0f} MiB | {drawn:.2f} s |")
    return lines


def seconds(work: Callable[[], object]) -> float:
    """Return the median of the CPU seconds that a call takes."""
    taken = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
