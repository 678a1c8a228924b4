"""The failure of one of two ranks ends both at once, with its own message."""

import sys
from pathlib import Path

import pytest

from commands import run_process
from runs import tiny_run
from vistok.config import dump
from vistok.data.sources.bundled import SAMPLES

FAILING_RANK = Path(__file__).parents[1] / "support" / "failing_rank.py"
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

pytestmark = pytest.mark.slow

MESSAGES = {
    "nan": "error: rank 1: the loss is nan at step 2",
    "memory": "error: rank 0: CUDA out of memory. Tried to allocate 9.00 GiB",
    "source": "broken.png",
    "setting": ": eval.metrics names lpips_alex, which is unavailable",
}


def source_with_a_broken_file(folder: Path) -> Path:
    folder.mkdir()
    whole = sorted((SAMPLES / "train").glob("*.*"))[:7]
    for path in whole:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    return folder


@pytest.mark.parametrize("how", MESSAGES)
def test_one_failing_rank_ends_all_with_its_message(how, tmp_path, monkeypatch):
    rare = {"checkpoint_every_steps": 10_000, "sample_every_steps": 10_000}
    settings = ["eval.every_steps=10000"]
    if how == "source":
        source = source_with_a_broken_file(tmp_path / "source")
        settings += [f"data.source={source}", "data.max_bad=0"]
    if how == "setting":
        settings += ["eval.metrics=[psnr, lpips_alex]"]
        monkeypatch.setenv("VISTOK_ALEXNET_WEIGHTS", str(tmp_path / "nowhere.pth"))
    (tmp_path / "config.yaml").write_text(dump(tiny_run(steps=10_000, **rare).to_tree()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    arguments = [tmp_path / "config.yaml", "--output", tmp_path / "run"]
    options = [part for setting in settings for part in ("--set", setting)]
    # Twice thirty seconds: half of them to import everything.
    done = run_process([*LAUNCH, FAILING_RANK, how, "train", *arguments, *options], timeout=60)
    assert done.returncode != 0
    printed = done.stderr.partition("ChildFailedError")[0]
    errors = [line for line in printed.splitlines() if line.startswith(("error: ", "rank "))]
    assert any(MESSAGES[how] in line for line in errors), printed
    assert len(errors) <= 2, "once, and perhaps once that the other rank stopped"
    sys.stderr.write("\n".join(errors) + "\n")
