"""Fixed evaluations of bundled samples, whose metrics must not change between versions.

`tests/eval/harness/fixed_evaluations.json` was written by the harness as it was before its metrics
became torchmetrics classes (its `two_processes` by that harness in `metric_ranks.py`, since
networks round other batches differently):

    PYTHONPATH=.typing:tests/support python tests/support/fixed_evaluations.py
"""

import json
import math
import os
import platform
import re
import sys
from collections.abc import Callable, Collection
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

from extractor_files import TinyI3D, alexnet_state, inception_state, write_script
from tiny import tiny_tokenizer
from vistok import evaluate
from vistok.eval.features.i3d import I3D_WEIGHTS
from vistok.eval.features.inception import INCEPTION_WEIGHTS
from vistok.eval.features.lpips_network import TRUNKS
from vistok.eval.harness.row import Row

FILE = Path(__file__).parents[1] / "eval" / "harness" / "fixed_evaluations.json"

CODEBOOK = ["codebook_usage", "codebook_perplexity", "codebook_entropy"]
LEARNED = ["psnr", "ssim", "ms_ssim", "lpips_alex", "rfid", "kid", "inception_score"]
VIDEOS = {"source": "samples:videos", "tokenizer": "bicubic:f=4"}

# The arguments of `evaluate` by name; the tokenizer TINY stands for a small one of random weights.
TINY = "TINY"
CASES: dict[str, dict[str, Any]] = {
    "bicubic": {
        "source": "samples:heldout", "tokenizer": "bicubic:f=4", "size": 64,
        "metrics": ["psnr", "ssim"],
    },
    "jpeg": {
        "source": "samples:images", "tokenizer": "jpeg:q=30", "size": 176, "limit": 3,
        "metrics": ["psnr", "ssim", "ms_ssim"],
    },
    "identity": {
        "source": "samples:heldout", "tokenizer": "identity", "size": 64,
        "metrics": ["psnr", "ssim"],
    },
    "tokenizer": {
        "source": "samples:images", "tokenizer": TINY, "size": 64, "limit": 5, "batch_size": 2,
        "metrics": ["psnr", "ssim", *CODEBOOK],
    },
    "video": {**VIDEOS, "size": 32, "frames": 9, "force": True,
              "metrics": ["psnr", "ssim", "rfvd"]},
    "wetok": {
        "source": "samples:heldout", "tokenizer": "jpeg:q=50", "size": 64, "protocol": "wetok",
        "metrics": ["psnr", "ssim"],
    },
    "titok": {
        "source": "samples:heldout", "tokenizer": TINY, "size": 64, "protocol": "titok",
        "metrics": ["psnr", "ssim"],
    },
    "vidtok": {**VIDEOS, "size": 32, "limit": 2, "protocol": "vidtok", "metrics": ["psnr", "ssim"]},
    "tokenbench": {
        **VIDEOS, "size": 32, "limit": 2, "frames": 9, "protocol": "tokenbench",
        "metrics": ["psnr", "ssim"],
    },
}  # fmt: skip
SLOW_CASES: dict[str, dict[str, Any]] = {
    "learned": {
        "source": "samples:images", "tokenizer": "jpeg:q=20", "size": 176, "limit": 11,
        "metrics": LEARNED,
    },
}  # fmt: skip
# Cases that are also scored by two processes together; `test_invariance.py` has the learned ones.
RANK_CASES = ("bicubic", "tokenizer", "video")


def write_weights(
    folder: Path, set_variable: Callable[[str, str], None], cases: Collection[str]
) -> None:
    """Write random weights of the networks that cases need, and set the variables of the files."""
    if "learned" in cases:
        torch.save(inception_state(), folder / "inception.pth")
        torch.save(alexnet_state(), folder / "alexnet.pth")
        set_variable(INCEPTION_WEIGHTS.variable, str(folder / "inception.pth"))
        set_variable(TRUNKS["alex"].variable, str(folder / "alexnet.pth"))
    if "video" in cases:
        torch.manual_seed(0)
        write_script(TinyI3D(), folder / "i3d.pt")
        set_variable(I3D_WEIGHTS.variable, str(folder / "i3d.pt"))


def job(name: str, tokenizer: Any) -> dict[str, Any]:
    """Arguments of `evaluate` for a case, with this tokenizer where it names TINY."""
    arguments = dict((CASES | SLOW_CASES)[name])
    if arguments["tokenizer"] == TINY:
        arguments["tokenizer"] = tokenizer
    return arguments


def scored(name: str) -> dict[str, Any]:
    """Metrics of one case, scored by this process."""
    arguments = job(name, tiny_tokenizer())
    source, tokenizer = arguments.pop("source"), arguments.pop("tokenizer")
    return facts(evaluate(source, tokenizer, examples=False, **arguments)[0])


def facts(row: Row) -> dict[str, Any]:
    """Everything in a row that metrics compute, with infinity as text."""
    return {
        "num_samples": row.num_samples,
        "protocol_hash": row.protocol_hash,
        "metrics": _plain(row.metrics),
        "intervals": {name: list(ends) for name, ends in row.intervals.items()},
        "caveats": dict(row.caveats),
        "bits_per_pixel": row.bits_per_pixel,
        "empirical_bits_per_pixel": row.empirical_bits_per_pixel,
        "first_sample": _plain(row.per_sample[0]),
        "last_sample": _plain(row.per_sample[-1]),
        "canonical": None if row.canonical is None else facts(row.canonical),
    }


def _plain(values: Any) -> dict[str, Any]:
    return {k: "inf" if v == math.inf else v for k, v in dict(values).items()}


def assert_equal(found: dict[str, Any], expected: dict[str, Any], is_same_machine: bool) -> None:
    """Assert that all metrics are those of the file.

    On the machine of the file they are equal to 1e-9 of their value. Elsewhere networks round
    differently and codecs may decode differently, which changes metrics from about the fifth digit.
    """
    relative = 1e-9 if is_same_machine else 1e-4
    for key in ("num_samples", "protocol_hash"):
        assert found[key] == expected[key]
    for key in ("metrics", "first_sample", "last_sample", "intervals"):
        assert found[key].keys() == expected[key].keys()
        for name, value in expected[key].items():
            # The spread of equal subsets is rounding error
            near = (
                value if isinstance(value, str) else pytest.approx(value, rel=relative, abs=1e-12)
            )
            assert found[key][name] == near, f"{key}: {name}"
    for key in ("bits_per_pixel", "empirical_bits_per_pixel"):
        rate = expected[key]
        assert found[key] == (rate if rate is None else pytest.approx(rate, rel=relative)), key
    assert _without_hashes(found["caveats"]) == _without_hashes(expected["caveats"])
    assert (found["canonical"] is None) == (expected["canonical"] is None)
    if expected["canonical"] is not None:
        assert_equal(found["canonical"], expected["canonical"], is_same_machine)


def _without_hashes(caveats: dict[str, str]) -> dict[str, str]:
    """Drop the hash of a TorchScript file, which contains its own file name."""
    return {name: re.sub(r"SHA-256 \w+", "SHA-256", text) for name, text in caveats.items()}


def machine() -> dict[str, str]:
    """The parts of an installation that change the last digits of networks and codecs."""
    packages = {name: version(name) for name in ("torch", "pillow", "av", "torch-fidelity")}
    capability = torch.backends.cpu.get_cpu_capability()
    return {**packages, "cpu": f"{platform.machine()} {capability}"}


def main() -> None:
    """Write the file."""
    torch.set_num_threads(1)
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    with TemporaryDirectory() as folder:
        write_weights(Path(folder), os.environ.__setitem__, CASES | SLOW_CASES)
        cases = {name: scored(name) for name in CASES | SLOW_CASES}
    recorded = json.loads(path.read_text()) if path.is_file() else {}
    recorded |= {"machine": machine(), "cases": cases}
    path.write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
