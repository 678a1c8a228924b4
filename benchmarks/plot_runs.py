"""Curves of training runs side by side: `python benchmarks/plot_runs.py RUN... --output FILE.png`.

A RUN is a folder that `vistok train` wrote. `--keys` chooses what of its metrics.jsonl is drawn.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from vistok.train.monitor.metrics_log import read_metrics

USUAL_KEYS = ["eval_psnr", "train_psnr", "logits_real,logits_fake", "gradient_norm"]


def draw(runs: list[Path], keys: list[str], output: Path) -> None:
    """One panel per key (or several keys joined by commas), one colour per run."""
    figure, panels = plt.subplots(
        1, len(keys), figsize=(4 * len(keys), 3), constrained_layout=True, squeeze=False
    )
    for panel, joined in zip(panels[0], keys, strict=True):
        for index, run in enumerate(runs):
            entries = read_metrics(run / "metrics.jsonl")
            for dash, key in zip(("-", ":", "--"), joined.split(",")[:3], strict=False):
                points = [(e["step"], e[key]) for e in entries if e.get(key) is not None]
                if points:
                    label = f"{run.name}: {key}" if "," in joined else run.name
                    panel.plot(*zip(*points, strict=True), dash, color=f"C{index}", label=label)
        panel.set(title=joined.replace(",", ", "), xlabel="step")
        panel.grid(alpha=0.3)
        if panel.lines:
            panel.legend(fontsize=7)
    figure.savefig(output, dpi=90)


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--keys", nargs="+", default=USUAL_KEYS)
    arguments = parser.parse_args()
    draw(arguments.runs, arguments.keys, arguments.output)


if __name__ == "__main__":
    main()
