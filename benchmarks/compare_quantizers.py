"""Train the same small network with every quantizer for the same number of steps, and compare.

    python benchmarks/compare_quantizers.py IMAGES HELD_OUT [--steps 400] [--only fsq,gq ...]

writes docs/quantizers.json (the measurements), docs/quantizers.png, and the table between the
marks in docs/quantizers.md. Rows that were already measured with the same budget are kept, so that
an interrupted comparison resumes where it stopped.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch

from vistok import VisualTokenizer, evaluate
from vistok.component import validate
from vistok.train.config.run_config import RunConfig
from vistok.train.loop import train

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"

VQ_10 = {"kind": "vq", "codebook_size": 1024, "codebook_dim": 8}
# Two sizes: about 10 bits per position, which every method supports, and 16.
BOTTLENECKS: dict[str, dict[str, Any]] = {
    "fsq 2^10": {"kind": "fsq", "codebook_size": 1024},
    "lfq 2^10": {"kind": "lfq", "bits": 10},
    "lfq 2^10 entropy 0.003": {"kind": "lfq", "bits": 10, "entropy_weight": 0.003},
    "bsq 2^10": {"kind": "bsq", "bits": 10},
    "gq 2 x 2^5": {"kind": "gq", "num_groups": 2, "bits_per_group": 5},
    "vq 2^10 plain": VQ_10,
    "vq 2^10 EMA": {
        **VQ_10,
        "update": "ema",
        "kmeans_init": True,
        "dead_code_threshold": 0.03,
    },
    "vq 2^10 rotation": {
        **VQ_10,
        "gradient": "rotation",
        "kmeans_init": True,
        "dead_code_threshold": 0.03,
    },
    "simvq 2^10": {"kind": "simvq", "codebook_size": 1024, "codebook_dim": 8},
    "ibq 2^10": {"kind": "ibq", "codebook_size": 1024, "codebook_dim": 8},
    "fsq 64000": {"kind": "fsq"},
    "gq 4 x 2^4": {"kind": "gq", "num_groups": 4, "bits_per_group": 4},
    "residual vq 2 x 2^8": {
        "kind": "residual",
        "num_quantizers": 2,
        "quantizer": {
            "kind": "vq",
            "codebook_size": 256,
            "codebook_dim": 8,
            "update": "ema",
            "kmeans_init": True,
            "dead_code_threshold": 0.03,
        },
    },
    "multi-token fsq 2 x 2^8": {
        "kind": "multi_token",
        "num_tokens": 2,
        "quantizer": {"kind": "fsq", "codebook_size": 256},
    },
}


def config(bottleneck: dict[str, Any], images: str, steps: int) -> RunConfig:
    """Return the config of quickstart.yaml's network with a bottleneck, on 64 x 64 crops."""
    stages = {
        "encoder": [
            {"width": 48, "blocks": 1, "resample": "space_to_depth", "resample_width": 96},
            {"width": 96, "blocks": 2},
        ],
        "decoder": [
            {"width": 96, "blocks": 3, "resample": "depth_to_space", "resample_width": 48},
            {"width": 48, "blocks": 1},
        ],
    }
    net = {
        part: {"kind": "causal", "patch_size": 4, "norm": "none", "stages": stages[part]}
        for part in stages
    }
    tree = {
        "model": {**net, "bottleneck": bottleneck},
        "data": {
            "source": images,
            "size": 64,
            "short_side": 128,
            "workers": 0,
            "cache_files": 4096,
        },
        "train": {
            "steps": steps,
            "batch_size": 16,
            "lr": 2e-3,
            "optimizer": {"kind": "adamw", "betas": [0.9, 0.95]},
            "warmup_steps": 50,
            "ema_decay": 0.99,
            "log_every_steps": steps,
            "sample_every_steps": steps,
            "checkpoint_every_steps": steps,
            "losses": {"l1_weight": 0.0, "l2_weight": 1.0},
        },
    }
    return validate(RunConfig, tree)


def measure(bottleneck: dict[str, Any], images: str, held_out: str, steps: int) -> dict[str, Any]:
    """Train a network with one bottleneck and score it."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        saved = train(config(bottleneck, images, steps), Path(folder), show_progress=False)
        tokenizer = VisualTokenizer.from_pretrained(saved)
    seconds = time.perf_counter() - start
    (row,) = evaluate(held_out, tokenizer, size=256)
    use = row.code_use
    return {
        "bottleneck": bottleneck,
        "steps": steps,
        "seconds": round(seconds, 1),
        "num_samples": row.num_samples,
        "bits": round(row.bits_per_pixel * 64, 2) if row.bits_per_pixel else None,
        "psnr": round(row.metrics["psnr"], 2),
        "ssim": round(row.metrics["ssim"], 3),
        "usage": None if use is None else [round(u, 4) for u in use.usage],
        "perplexity": None if use is None else [round(p, 1) for p in use.perplexity],
        "effective_bits": None if use is None else round(sum(use.entropy), 2),
    }


def table(results: dict[str, Any]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "| bottleneck | bits per position | PSNR (dB) | SSIM | usage | perplexity | bits in use |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, r in results.items():
        usage = "–" if r["usage"] is None else " / ".join(f"{u:.0%}" for u in r["usage"])
        perplexity = "–" if r["usage"] is None else " / ".join(f"{p:.0f}" for p in r["perplexity"])
        cells = [
            name,
            f"{r['bits']:.1f}",
            f"{r['psnr']:.2f}",
            f"{r['ssim']:.3f}",
            usage,
            perplexity,
            "–" if r["effective_bits"] is None else f"{r['effective_bits']:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(results: dict[str, Any], path: Path) -> None:
    """Plot PSNR over the bits in use, with a line to the nominal bits."""
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    discrete = {name: r for name, r in results.items() if r["usage"] is not None}
    for i, (name, r) in enumerate(discrete.items()):
        color = plt.get_cmap("tab20")(i % 20)
        marker = "osD^vP*X"[i % 8]
        axes.plot(r["effective_bits"], r["psnr"], marker, color=color, markersize=9, label=name)
        axes.plot([r["effective_bits"], r["bits"]], [r["psnr"]] * 2, color=color, linewidth=0.8)
    axes.set_xlabel("bits per position in use (entropy of the indices); line to the nominal bits")
    axes.set_ylabel("held-out PSNR (dB)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure the rows that are missing, then write the table and the plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("images", help="folder of training images")
    parser.add_argument("held_out", help="images to score: a folder or samples:heldout")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--only", default="", help="names of rows, separated by commas")
    arguments = parser.parse_args()
    stored = DOCS / "quantizers.json"
    results = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {}
    for name, bottleneck in BOTTLENECKS.items():
        known = results.get(name, {})
        same = known.get("bottleneck") == bottleneck and known.get("steps") == arguments.steps
        if same or (arguments.only and name not in arguments.only.split(",")):
            continue
        results[name] = measure(bottleneck, arguments.images, arguments.held_out, arguments.steps)
        print(f"{name}: {results[name]}", flush=True)
        results = {key: results[key] for key in BOTTLENECKS if key in results}
        stored.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    draw(results, DOCS / "quantizers.png")
    page = DOCS / "quantizers.md"
    text = page.read_text(encoding="utf-8") if page.exists() else f"{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
