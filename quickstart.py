"""The quickstart: from the bundled images to a trained tokenizer, its tokens and its scores.

It measures how fast this machine trains, fits the number of steps to the given time, and then runs
what a user would run: train, encode, decode, eval, reconstruct.
"""

import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from .config import flatten, load_config
from .data.pixels import to_pixels
from .data.sources.bundled import SAMPLES
from .data.sources.source import list_source
from .encode.decode import decode_shards
from .encode.job import encode_source
from .eval.evaluate import evaluate
from .eval.metrics.names import QUICK_METRICS
from .eval.reconstructors.reconstruct import ReconstructedFile, reconstruct_file
from .eval.report.report import Report
from .folder_lock import folder_lock, holds_nothing
from .output_file import check_output_folder
from .tokenizers.tokenizer import VisualTokenizer
from .train.config.files import load_run_config
from .train.config.run_config import RunConfig
from .train.loop import train
from .train.losses.generator import generator_objective
from .train.monitor.metrics_log import read_metrics
from .train.run.run_folder import RunFolder

HELDOUT = "samples:heldout"
CLIP_FRAMES = 17
PROBE_STEPS = 12
OTHER_WORK_SECONDS = 35.0
MINIMUM_MINUTES = 0.5
MAXIMUM_MINUTES = 7 * 24 * 60.0


def quickstart(output: Path, minutes: float) -> None:
    """Train, encode, decode and score; write tokenizer/, tokens/, report.html and report.json.

    Args:
        output: folder of the results; run again with the same folder, it resumes.
        minutes: time for all steps together.

    Raises:
        ValueError: `minutes` is too short or too long, or the folder holds something else or is
            in use.
    """
    check_output_folder(output)
    if not MINIMUM_MINUTES <= minutes <= MAXIMUM_MINUTES:  # false for NaN, too
        raise ValueError(
            f"--minutes must be at least {MINIMUM_MINUTES} and at most {MAXIMUM_MINUTES:g} "
            f"(a week), got {minutes:g}"
        )
    with folder_lock(output):
        _quickstart(output, minutes)


def _quickstart(output: Path, minutes: float) -> None:
    start = time.monotonic()
    run = RunFolder(output / "training")
    config = _config(run, output, minutes)

    _say(f"1/4  training {config.train.steps} steps on {config.data.source}")
    trained = train(config, run.root).tokenizer
    if trained is None:
        _say("stopped; run the same command again to resume")
        return
    _say("     " + _rising_psnr(run))
    tokenizer = VisualTokenizer.from_pretrained(trained).eval()
    tokenizer.save_pretrained(output / "tokenizer")

    _say("2/4  encoding the held-out images, and decoding them from the stored tokens")
    tokens, decoded = output / "tokens", output / "decoded"
    encode_source(HELDOUT, tokenizer, tokens, name="quickstart", overwrite=True)
    shutil.rmtree(decoded, ignore_errors=True)
    decode_shards(tokens, tokenizer, decoded)

    _say(f"3/4  reconstructing a clip of {CLIP_FRAMES} frames")
    clip = _reconstruct_clip(tokenizer, output)

    _say("4/4  scoring on the held-out images")
    baseline = f"bicubic:f={tokenizer.spatial_compression}"
    first, *others = evaluate(HELDOUT, [tokenizer, baseline], metrics=(*QUICK_METRICS, "ms_ssim"))
    rows = [replace(first, tokenizer="quickstart"), *others]
    Report(HELDOUT, first.protocol, rows, clips=[clip]).write(output)
    for row in rows:
        psnr, ssim = row.metrics["psnr"], row.metrics["ssim"]
        rate = f"{row.bits_per_pixel:.3f} bits per pixel"
        _say(f"     {row.tokenizer:<14} {psnr:.2f} dB   SSIM {ssim:.3f}   {rate}")
    _say(f"done in {(time.monotonic() - start) / 60:.1f} minutes; open {output / 'report.html'}")


def _config(run: RunFolder, output: Path, minutes: float) -> RunConfig:
    """Return the config with as many steps as fit; a run started before keeps its number."""
    if run.config.exists():
        before = flatten(load_config(run.config))
        return load_run_config("quickstart", [f"train.steps={before['train.steps']}"])
    if not holds_nothing(output):
        raise ValueError(f"output folder {output} is not empty; choose another --output")
    config = load_run_config("quickstart")
    seconds = _seconds_per_step(config)
    steps = max(50, int((60 * minutes - OTHER_WORK_SECONDS) / seconds))
    return load_run_config("quickstart", [f"train.steps={steps}"])


def _seconds_per_step(config: RunConfig) -> float:
    """Time some steps of a throwaway copy of the model."""
    tokenizer = config.build_tokenizer()
    optimizer = torch.optim.AdamW(tokenizer.parameters(), lr=1e-6)
    shape = (config.train.batch_size, 3, 1, config.data.size, config.data.size)
    pixels = to_pixels(torch.randint(0, 256, shape, dtype=torch.uint8))
    seconds = []
    for _ in range(PROBE_STEPS):
        start = time.perf_counter()
        generator_objective(tokenizer(pixels), pixels, config.train.losses).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    # A real step also reads data, clips gradients, averages weights and sometimes evaluates.
    return 1.1 * sorted(seconds)[PROBE_STEPS // 2]


def _reconstruct_clip(tokenizer: VisualTokenizer, output: Path) -> ReconstructedFile:
    """Reconstruct the first frames of a bundled clip, which the tokenizer never saw move."""
    clip = list_source(SAMPLES / "videos" / "iss_astronaut_0.mp4").files[0]
    return reconstruct_file(clip, tokenizer, output / "clip", frames=CLIP_FRAMES)


def _rising_psnr(run: RunFolder) -> str:
    """Summarize the held-out scores of the run, from the first to the last."""
    scored = [entry for entry in read_metrics(run.metrics) if entry["eval_psnr"] is not None]
    shown = scored[:: max(1, len(scored) // 6)]
    if scored and shown[-1] is not scored[-1]:
        shown.append(scored[-1])
    figures = [f"{entry['eval_psnr']:.2f} dB at step {entry['step']}" for entry in shown]
    return "held-out PSNR: " + ", ".join(figures)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
