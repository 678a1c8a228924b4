"""Train a tokenizer, look at its losses, and score it beside a baseline."""

import json
from pathlib import Path

from vistok import evaluate, train_tokenizer

# Everything that a YAML file can say; 3 steps here, some thousands for a tokenizer worth using.
settings = {
    "extends": "quickstart",
    "train": {"steps": 3, "batch_size": 2, "log_every_steps": 1},
    "eval": {"size": 64, "every_steps": 3},
}
result = train_tokenizer(settings, "runs/mine")  # the same call resumes an interrupted run

for line in Path("runs/mine/metrics.jsonl").read_text().splitlines():
    row = json.loads(line)
    print(f"step {row['step']}: loss {row['loss']:.3f}")

for row in evaluate("samples:heldout", [str(result.tokenizer), "bicubic:f=8"], size=64, limit=2):
    print(f"{row.tokenizer:<20} {row.metrics['psnr']:.2f} dB at {row.bits_per_pixel:.2f} bpp")
