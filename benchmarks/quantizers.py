"""Quantizers against vector-quantize-pytorch: same inputs, forward and backward, train mode.

    python benchmarks/quantizers.py [--threads 2] [--rounds 2]

writes benchmarks/results/quantizers.md. Every case runs in two processes of its own, one per
library, so that peak memory is what the case adds to a process that has done the same with few
vectors. Times are the minimum over repeats, since other work on the machine only ever adds time.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peak_memory import peak_bytes

RESULTS = Path(__file__).parent / "results" / "quantizers.md"
FEW = 64


@dataclass(frozen=True)
class Case:
    """One row of the table of results.

    Attributes:
        name: the name of the comparison.
        vectors: number of vectors N.
        dim: number of channels.
        goal: the time ratio to reach, in words.
        repeats: number of timed steps; slow cases have fewer.
    """

    name: str
    vectors: int
    dim: int
    goal: str
    repeats: int = 20


CASES = {
    case.name: case
    for case in (
        Case("FSQ 8,8,8,5,5,5, N = 16 384", 16_384, 6, "≥ 1.5"),
        Case("FSQ 8,8,8,5,5,5, N = 131 072", 131_072, 6, "≥ 1.5"),
        Case("FSQ fast / exact, N = 16 384", 16_384, 6, "> 1"),
        Case("FSQ fast / exact, N = 131 072", 131_072, 6, "> 1"),
        Case("signs alone (LFQ 2^18, eval, forward), N = 16 384", 16_384, 18, "≥ 1.5"),
        Case("signs alone (LFQ 2^10, eval, forward), N = 131 072", 131_072, 10, "≥ 1.5"),
        Case("LFQ 2^10 with entropies, N = 16 384", 16_384, 10, "≥ 40", 3),
        Case("LFQ 2^14 with entropies, N = 4 096", 4_096, 14, "≥ 200, memory ≥ 50", 2),
        Case("BSQ 2^10 with entropies, N = 16 384", 16_384, 10, "–", 2),
        Case("VQ 16 384 codes, EMA, N = 4 096", 4_096, 8, "≥ 1, less memory", 1),
        Case("VQ 16 384 codes, EMA, dim 64, N = 4 096", 4_096, 64, "≥ 1, less memory", 1),
        Case("VQ 16 384 codes, gradient and rotation, N = 4 096", 4_096, 8, "≥ 1, less memory", 1),
        Case("SimVQ 16 384 codes, N = 4 096", 4_096, 8, "–", 1),
        Case("Residual FSQ, 4 stages, N = 16 384", 16_384, 3, "–"),
        Case("LFQ 2^18 with entropies, N = 16 384 (ours alone)", 16_384, 18, "< 1.5 GiB", 1),
    )
}


def build_pair(name: str) -> tuple[Callable[[], torch.nn.Module], Callable[[], torch.nn.Module]]:
    """Return constructors of ours and theirs; for "fast / exact" both are ours."""
    import vector_quantize_pytorch as vqp

    import vistok

    levels = (8, 8, 8, 5, 5, 5)
    pairs = {
        "FSQ fast": (lambda: vistok.FSQ(levels), lambda: exact(vistok.FSQ(levels))),
        "FSQ": (lambda: vistok.FSQ(levels), lambda: vqp.FSQ(list(levels))),
        "signs alone (LFQ 2^18": (
            lambda: vistok.LFQ(bits=18).eval(),
            lambda: vqp.LFQ(codebook_size=2**18).eval(),
        ),
        "signs alone (LFQ 2^10": (
            lambda: vistok.LFQ(bits=10).eval(),
            lambda: vqp.LFQ(codebook_size=2**10).eval(),
        ),
        "LFQ 2^10": (
            lambda: vistok.LFQ(bits=10),
            lambda: vqp.LFQ(codebook_size=2**10, commitment_loss_weight=0.25),
        ),
        "LFQ 2^14": (
            lambda: vistok.LFQ(bits=14),
            lambda: vqp.LFQ(codebook_size=2**14, commitment_loss_weight=0.25),
        ),
        "LFQ 2^18": (lambda: vistok.LFQ(bits=18), lambda: vqp.LFQ(codebook_size=2**18)),
        "BSQ": (
            lambda: vistok.BSQ(bits=10),
            lambda: vqp.LFQ(codebook_size=2**10, spherical=True, commitment_loss_weight=0.25),
        ),
        "VQ 16 384 codes, EMA, N": (
            lambda: vistok.VQ(16_384, 8, update="ema"),
            lambda: vqp.VectorQuantize(dim=8, codebook_size=16_384, rotation_trick=False),
        ),
        "VQ 16 384 codes, EMA, dim 64": (
            lambda: vistok.VQ(16_384, 64, update="ema"),
            lambda: vqp.VectorQuantize(dim=64, codebook_size=16_384, rotation_trick=False),
        ),
        "VQ 16 384 codes, gradient": (
            lambda: vistok.VQ(16_384, 8, gradient="rotation"),
            lambda: vqp.VectorQuantize(
                dim=8, codebook_size=16_384, learnable_codebook=True, ema_update=False
            ),
        ),
        "SimVQ": (
            lambda: vistok.SimVQ(16_384, 8),
            lambda: vqp.SimVQ(dim=8, codebook_size=16_384, rotation_trick=False),
        ),
        "Residual FSQ": (
            lambda: vistok.Residual(
                lambda: vistok.FSQ((8, 5, 5), symmetric=True, squash="clamp"), num_quantizers=4
            ),
            lambda: vqp.ResidualFSQ(levels=[8, 5, 5], num_quantizers=4),
        ),
    }
    return next(pair for prefix, pair in pairs.items() if name.startswith(prefix))


def exact(fsq: Any) -> torch.nn.Module:
    """Return `fsq`, with the exact form in place of the fast one."""
    fsq.quantize_fast = fsq.quantize_exact
    return fsq


def step(quantizer: torch.nn.Module, x: torch.Tensor) -> None:
    """Run forward, and in train mode backward through codes and losses."""
    x.grad = None
    if not quantizer.training:
        # theirs passes no gradient in eval mode, and cannot skip the entropies in train mode
        with torch.no_grad():
            quantizer(x)
        return
    out = quantizer(x)
    codes = out.codes if hasattr(out, "codes") else out[0]
    extra = [out.loss] if hasattr(out, "loss") else [v for v in out[1:] if torch.is_tensor(v)]
    loss = codes.sum()
    for value in extra:
        if value.requires_grad:
            loss = loss + value.sum()
    loss.backward()


def measure(name: str, whose: int, threads: int) -> dict[str, float]:
    """Return the minimum time in seconds and the added peak memory in bytes, in this process."""
    torch.set_num_threads(threads)
    case = CASES[name]
    torch.manual_seed(0)
    quantizer = build_pair(name)[whose]()
    step(quantizer, torch.randn(1, FEW, case.dim, requires_grad=True))
    before = peak_bytes()
    x = torch.randn(1, case.vectors, case.dim, requires_grad=True)
    times = []
    for _ in range(case.repeats + 1):
        start = time.perf_counter()
        step(quantizer, x)
        times.append(time.perf_counter() - start)
    # the first call also allocates
    return {"seconds": min(times[1:]), "bytes": peak_bytes() - before}


def both(name: str, threads: int, rounds: int) -> tuple[dict[str, float], dict[str, float] | None]:
    """Measure ours and theirs in alternating fresh processes."""
    least: list[dict[str, float] | None] = [None, None]
    for _ in range(rounds):
        for whose in (0, 1):
            if whose == 1 and "ours alone" in name:
                continue
            command = [sys.executable, __file__, "--case", name, "--whose", str(whose)]
            environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
            done = subprocess.run(
                [*command, "--threads", str(threads)],
                capture_output=True,
                text=True,
                check=True,
                env=environment,
            )
            got = json.loads(done.stdout.splitlines()[-1])
            known = least[whose]
            least[whose] = got if known is None else {k: min(known[k], got[k]) for k in got}
    ours = least[0]
    assert ours is not None, "at least one round"
    return ours, least[1]


def write(rows: list[str], threads: int) -> None:
    """Write the table of results, with the machine and versions it was measured on."""
    cpu = next(
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    libraries = ", ".join(f"{n} {version(n)}" for n in ("torch", "vector-quantize-pytorch"))
    text = f"""# Quantizers against vector-quantize-pytorch

{cpu} ({platform.machine()}), {threads} thread(s); Python {platform.python_version()}, {libraries}.
Forward and backward in train mode, fp32, through codes and losses, same inputs; in eval mode
forward. Time: minimum over repeats. Memory: peak resident memory beyond that of a process that has
done the same with {FEW} vectors. Ratios are theirs / ours. In rows "fast / exact" both are
ours: the eager path of FSQ, and its exact form in place of theirs.
Command: `python benchmarks/quantizers.py --threads {threads}`.

| case | ours (ms) | theirs (ms) | time ratio | ours (MiB) | theirs (MiB) | memory ratio | goal |
|---|---|---|---|---|---|---|---|
"""
    RESULTS.write_text(text + "\n".join(rows) + "\n", encoding="utf-8")


def main() -> None:
    """Run every case, or only one of them in this process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="fresh processes per library")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--whose", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(arguments.case, arguments.whose, arguments.threads)))
        return
    rows = []
    for name, case in CASES.items():
        ours, theirs = both(name, arguments.threads, arguments.rounds)
        mib = 2**20
        cells = [name, f"{ours['seconds'] * 1e3:.2f}"]
        if theirs is None:
            cells += ["–", "–", f"{ours['bytes'] / mib:.0f}", "–", "–", case.goal]
        else:
            # below one MiB the value reflects the allocator, not the method
            noise = theirs["bytes"] < mib
            memory = "–" if noise else f"{theirs['bytes'] / max(ours['bytes'], mib):.1f}×"
            cells += [
                f"{theirs['seconds'] * 1e3:.2f}",
                f"{theirs['seconds'] / ours['seconds']:.1f}×",
                f"{ours['bytes'] / mib:.1f}",
                f"{theirs['bytes'] / mib:.1f}",
                memory,
                case.goal,
            ]
        rows.append("| " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
    write(rows, arguments.threads)


if __name__ == "__main__":
    main()
