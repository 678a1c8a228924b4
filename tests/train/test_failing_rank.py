"""The failure of one of two ranks ends both at once, with its own message."""

import sys
from pathlib import Path

import pytest

from commands import run_process
from runs import tiny_run
from vistok.config import dump
from vistok.data.sources.bundled import SAMPLES
from vistok.train.monitor.metrics_log import read_metrics

FAILING_RANK = Path(__file__).parents[1] / "support" / "failing_rank.py"
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

pytestmark = pytest.mark.slow

MESSAGES = {
    "nan": "the loss is nan (l1=nan, l2=nan) on rank 1 at step 2; last good checkpoint: none yet",
    "memory": "error: rank 0: CUDA out of memory. Tried to allocate 9.00 GiB",
    "source": "broken.png",
    "setting": ": eval.metrics names lpips_alex, which is unavailable",
}


def source_with_a_broken_file(folder: Path) -> Path:
    folder.mkdir()
    whole = sorted((SAMPLES / "images").glob("*.jpg"))[:7]
    for path in whole:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    return folder


@pytest.mark.parametrize("how", MESSAGES)
def test_one_failing_rank_ends_all_with_its_message(how, tmp_path, monkeypatch):
    config = tiny_run(steps=10_000, checkpoint_every_steps=10_000, sample_every_steps=10_000)
    settings = ["eval.every_steps=10000"]
    if how == "source":
        source = source_with_a_broken_file(tmp_path / "source")
        settings += [f"data.source={source}", "data.max_bad=0"]
    if how == "setting":
        settings += ["eval.metrics=[psnr, lpips_alex]"]
        monkeypatch.setenv("VISTOK_ALEXNET_WEIGHTS", str(tmp_path / "nowhere.pth"))
    (tmp_path / "config.yaml").write_text(dump(config.to_tree()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    arguments = [tmp_path / "config.yaml", "--output", tmp_path / "run"]
    options = [part for setting in settings for part in ("--set", setting)]
    # Twice thirty seconds: half of them to import everything.
    done = run_process([*LAUNCH, FAILING_RANK, how, "train", *arguments, *options], timeout=60)
    assert done.returncode != 0
    printed = done.stderr.partition("ChildFailedError")[0]
    errors = [line for line in printed.splitlines() if line.startswith(("error: ", "rank "))]
    assert MESSAGES[how] in printed
    assert len(errors) <= 2, "once, and perhaps once that the other rank stopped"


def test_what_may_be_skipped_is_skipped_on_both_ranks(tmp_path, monkeypatch):
    config = tiny_run(steps=4, max_skipped_steps=1, latent_statistics_samples=0)
    (tmp_path / "config.yaml").write_text(dump(config.to_tree()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    arguments = [tmp_path / "config.yaml", "--output", tmp_path / "run"]
    done = run_process([*LAUNCH, FAILING_RANK, "nan", "train", *arguments], timeout=60)
    assert done.returncode == 0, done.stderr
    assert "step 2: the tokenizer is not updated (1 of 1 in a row): the latents" in done.stderr
    assert done.stderr.count("on rank 1") == 1
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [row["skipped_steps"] for row in rows] == [0, 1, 0, 0]
