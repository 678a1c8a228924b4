"""Speed and memory of the backbone: `python benchmarks/backbone.py [--output FILE] [--quick]`.

Speed is measured against an upper bound: multiply-adds per second over the matrix rate of the
machine, measured in the same run. All comparisons are made within one run, because timings on
shared machines drift. Memory is the peak of a separate process, above what it used before.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from peak_memory import peak_bytes
from torch import Tensor, nn

from vistok import VisualTokenizer
from vistok.models.blocks.stream_state import StreamState
from vistok.models.cost import measure_cost
from vistok.models.published.wan import wan_options
from vistok.train.config.files import load_run_config

WAN = wan_options(96, (1, 2, 4, 4), (False, True, True))
DIFFUSERS_WAN = {"base_dim": 96, "z_dim": 16, "temperal_downsample": [False, True, True]}


def seconds(work: Callable[[], Any], runs: int) -> float:
    """Return the median time of a call, after one warm-up call."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def matrix_rate(runs: int) -> float:
    """Measure the multiply-adds per second of a large fp32 matrix product."""
    side = 2048
    a, b = torch.randn(side, side), torch.randn(side, side)
    return side**3 / seconds(lambda: a @ b, runs)


def tokenizer(config: str) -> VisualTokenizer:
    """Build the tokenizer of a shipped config, with random weights."""
    return load_run_config(config, ["data.source=unused"]).build_tokenizer().eval()


def wan() -> VisualTokenizer:
    """Build the Wan 2.1 VAE, with random weights."""
    encoder, decoder = ({"kind": "causal", **options} for options in WAN)
    return VisualTokenizer(encoder, {"kind": "kl", "latent_channels": 16}, decoder).eval()


def diffusers_wan() -> nn.Module:
    """Build the same network from diffusers."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    return AutoencoderKLWan(**DIFFUSERS_WAN).eval()


@torch.inference_mode()
def throughput(runs: int) -> Iterator[tuple[str, str]]:
    """Measure encoding and decoding of images and clips, as shares of the matrix rate."""
    rate = matrix_rate(runs)
    yield "matrix product 2048, fp32", f"{rate / 1e9:.0f} G multiply-adds/s"
    for config, size in (("image_fsq_f8", (1, 256, 256)), ("video_fsq_4x8x8", (17, 256, 256))):
        model = tokenizer(config)
        with torch.device("meta"):
            twin = load_run_config(config, ["data.source=unused"]).build_tokenizer().eval()
        pixels = torch.rand(1, 3, *size) * 2 - 1
        codes = model.encode(pixels).code
        works: dict[str, tuple[Callable[[], Any], Any, tuple[int, ...]]] = {
            "encode": (lambda m=model, p=pixels: m.encoder(p), twin.encoder, tuple(pixels.shape)),
            "decode": (lambda m=model, c=codes: m.decoder(c), twin.decoder, tuple(codes.shape)),
        }
        for name, (work, network, shape) in works.items():
            taken = seconds(work, 3 if size[0] > 1 else runs)
            cost = measure_cost(network, shape).multiply_adds
            share = cost / taken / rate
            label = f"{config} {name} {'x'.join(map(str, size))}"
            yield label, f"{1 / taken:.2f}/s, {share:.0%} of the matrix rate"


@torch.inference_mode()
def fold(runs: int) -> Iterator[tuple[str, str]]:
    """Compare folded and full kernels for an image in causal 3-D networks.

    All kernels of Wan span three frames; those of the shipped config only below its first stage,
    where an image is as cheap without the fold.
    """
    for name, model in (("Wan 2.1", wan()), ("video_fsq_4x8x8", tokenizer("video_fsq_4x8x8"))):
        pixels = torch.rand(1, 3, 1, 256, 256) * 2 - 1
        codes = model.encode(pixels).code
        pairs: dict[str, tuple[Any, Tensor]] = {
            "encode": (model.encoder, pixels),
            "decode": (model.decoder, codes),
        }
        for direction, (network, x) in pairs.items():
            folded = seconds(lambda n=network, x=x: n(x), runs)
            # The first chunk of a stream uses the full kernels, on the same values.
            full = seconds(lambda n=network, x=x: n(x, StreamState()), runs)
            yield f"{name}, an image, {direction}: fold on / off", f"{full / folded:.1f}x faster"


@torch.inference_mode()
def memory_format(runs: int) -> Iterator[tuple[str, str]]:
    """Compare channels last with the default memory layout."""
    for config, size in (("image_fsq_f8", (1, 256, 256)), ("video_fsq_4x8x8", (5, 128, 128))):
        pixels = torch.rand(1, 3, *size) * 2 - 1
        model = tokenizer(config)
        default = seconds(lambda m=model, p=pixels: m.encoder(p), runs)
        last: Any = nn.Module.to(model, memory_format=torch.channels_last_3d)
        pixels = pixels.contiguous(memory_format=torch.channels_last_3d)
        taken = seconds(lambda m=last, p=pixels: m.encoder(p), runs)
        label = f"{config} encode {'x'.join(map(str, size))}: channels_last_3d / default time"
        yield label, f"{taken / default:.2f}"


@torch.inference_mode()
def against_diffusers(runs: int) -> Iterator[tuple[str, str]]:
    """Compare Wan 2.1's VAE here and in diffusers, with random weights."""
    ours, theirs = wan(), diffusers_wan()
    encode: Any = theirs.encode
    for frames in (1, 17):
        pixels = torch.rand(1, 3, frames, 128, 128) * 2 - 1
        here = seconds(lambda p=pixels: ours.encoder(p), runs)
        there = seconds(lambda p=pixels: encode(p), runs)
        yield f"Wan 2.1 encode {frames}x128x128: diffusers / vistok time", f"{there / here:.2f}"


def peak_memory(case: str) -> float:
    """Return the peak memory in MiB of a case in a separate process, above its start."""
    command = [sys.executable, __file__, "--case", case]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output)


def memory() -> Iterator[tuple[str, str]]:
    """Measure peak memory: streams of different lengths, tiles, and diffusers' class."""
    short, long = peak_memory("stream 65"), peak_memory("stream 513")
    yield "stream 65 frames of 128x128, encode and decode", f"{short:.0f} MiB"
    yield "stream 513 frames of 128x128", f"{long:.0f} MiB, {long / short:.2f} of the above"
    for case in ("image 3840x2160 in tiles of 512", "clip 9x1920x1080 in tiles of 512"):
        yield f"{case}, encode and decode", f"{peak_memory(case):.0f} MiB"
    ours, theirs = peak_memory("wan vistok"), peak_memory("wan diffusers")
    yield "Wan 2.1 encode 17x256x256: vistok streamed", f"{ours:.0f} MiB"
    yield "the same in diffusers", f"{theirs:.0f} MiB, {theirs / ours:.2f} of the above"


@torch.inference_mode()
def run_case(case: str) -> float:
    """Run the case of `peak_memory` in this process."""
    prepare, work = CASES[case]
    model = prepare()
    before = peak_bytes()
    work(model)
    return (peak_bytes() - before) / 2**20


def stream(frames: int) -> Callable[[Any], None]:
    """Return a case that encodes and decodes a long clip chunk by chunk."""

    def work(model: VisualTokenizer) -> None:
        sizes = [1] + [16] * ((frames - 1) // 16)
        chunks = (torch.rand(1, 3, n, 128, 128) * 2 - 1 for n in sizes)
        codes = (encoding.codes for encoding in model.encode_stream(chunks))
        assert sum(piece.shape[2] for piece in model.decode_stream(codes)) == frames

    return work


def tiled(frames: int, width: int, height: int) -> Callable[[Any], None]:
    """Return a case that reconstructs one large image or clip in tiles."""

    def work(model: VisualTokenizer) -> None:
        model.reconstruct(torch.rand(1, 3, frames, height, width) * 2 - 1, tile=512)

    return work


def wan_stream(model: VisualTokenizer) -> None:
    """Encode a clip in chunks of four frames, as diffusers does."""
    pixels = torch.rand(1, 3, 17, 256, 256) * 2 - 1
    list(model.encode_stream(pixels.split([1, 4, 4, 4, 4], dim=2)))


def diffusers_encode(model: Any) -> None:
    """Encode the same clip with diffusers."""
    model.encode(torch.rand(1, 3, 17, 256, 256) * 2 - 1)


CASES: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "stream 65": (lambda: tokenizer("video_fsq_4x8x8"), stream(65)),
    "stream 513": (lambda: tokenizer("video_fsq_4x8x8"), stream(513)),
    "image 3840x2160 in tiles of 512": (lambda: tokenizer("quickstart"), tiled(1, 3840, 2160)),
    "clip 9x1920x1080 in tiles of 512": (lambda: tokenizer("quickstart"), tiled(9, 1920, 1080)),
    "wan vistok": (wan, wan_stream),
    "wan diffusers": (diffusers_wan, diffusers_encode),
}


def main() -> None:
    """Print a table, and write it if requested."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, no memory cases")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(run_case(arguments.case)))
        return
    runs = 3 if arguments.quick else 9
    threads = torch.get_num_threads()
    lines = [
        "# Backbone: speed and memory",
        "",
        f"{platform.processor() or platform.machine()}, {threads} threads, "
        f"torch {torch.__version__}, fp32, random weights; written by `benchmarks/backbone.py`.",
        "",
        "| measurement | value |",
        "|---|---|",
    ]
    parts = [throughput(runs), fold(runs), memory_format(runs), against_diffusers(runs)]
    for part in parts if arguments.quick else [*parts, memory()]:
        for label, value in part:
            lines.append(f"| {label} | {value} |")
            print(f"{label:<66} {value}", flush=True)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
