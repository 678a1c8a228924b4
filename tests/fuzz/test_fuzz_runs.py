"""Damaged runs: checkpoints, configs, logs and notes are found damaged, or have no effect."""

import json
import shutil
from pathlib import Path
from random import Random

import pytest
import torch
import yaml
from PIL import Image

from fuzzing import CASES, check_message, check_refusal, fuzz, run
from mutators import damaged, flipped, mutated_tree
from runs import assert_same_state
from vistok.config import load_config
from vistok.train.monitor.metrics_log import MetricsLog
from vistok.train.run.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.slow

CHECKED = ("state.pt", "config.yaml", "checksums.json")


def test_damaged_checkpoints(tmp_path):
    state = {"step": 2, "world_size": 1, "model": {"w": torch.arange(200.0)}, "lecam": None}
    path = save_checkpoint(tmp_path, state, {"train": {"steps": 2}}, keep_last=2)
    save_checkpoint(tmp_path, {**state, "step": 1}, {}, keep_last=2)
    whole = {file.name: file.read_bytes() for file in path.iterdir()}
    assert {*whole} == {*CHECKED}

    def case(draw: Random) -> None:
        name = draw.choice((*CHECKED, "state.pt", "state.pt"))
        content = (flipped if draw.random() < 0.7 else damaged)(whole[name], draw)
        (path / name).write_bytes(content)
        has_checksums = draw.random() < 0.8
        if not has_checksums:
            (path / "checksums.json").unlink()
        try:
            found = load_checkpoint(path)
        except ValueError as error:
            advice = "to resume from an older one, pass --from-checkpoint 1"
            check_message(str(error), [str(path)])
            check_message(str(error), [advice])
        else:
            # Older versions wrote no checksums, and a flipped weight was a weight
            assert not has_checksums or (name == "checksums.json" or content == whole[name])
            if has_checksums:
                assert torch.equal(found["model"]["w"], state["model"]["w"])
        finally:
            for changed, original in whole.items():
                (path / changed).write_bytes(original)

    fuzz(case)


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Path:
    """A config, and its run of four steps with checkpoints of the last two."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "images").mkdir()
    for number in range(4):
        Image.new("RGB", (16, 16), (number * 60, 0, 0)).save(folder / "images" / f"{number}.png")
    network = {"kind": "causal", "patch_size": 4, "stages": [{"width": 4, "blocks": 0}]}
    train = {"steps": 4, "batch_size": 1, "checkpoint_every_steps": 1, "keep_last": 2}
    logs = {"log_every_steps": 1, "sample_every_steps": 100, "trackers": []}
    source = str(folder / "images")
    config = {
        "model": {"encoder": network, "bottleneck": {"kind": "fsq"}, "decoder": network},
        "data": {"source": source, "size": 16, "workers": 0, "cache_files": 4},
        "train": {**train, **logs},
        "eval": {"source": source, "size": 16, "every_steps": 2, "limit": 1},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert run(*train_command(folder, 4)).code == 0
    return folder


def train_command(folder: Path, steps: int) -> tuple:
    options = ("--output", folder / "run", "--device", "cpu", "--set", f"train.steps={steps}")
    return ("train", folder / "config.yaml", *options)


def mutated(path: Path, draw: Random) -> bytes:
    """Damage of a file; half of all texts remain JSON or YAML."""
    if path.suffix == ".yaml" and draw.random() < 0.5:
        return yaml.safe_dump(mutated_tree(load_config(path), draw)[0]).encode()
    if path.suffix in (".json", ".jsonl") and draw.random() < 0.5:
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        place = draw.randrange(len(lines))
        lines[place] = json.dumps(mutated_tree(json.loads(lines[place]), draw)[0], default=str)
        return ("\n".join(lines) + "\n").encode()
    return damaged(path.read_bytes(), draw)


def test_resuming_damaged_runs(job, tmp_path):
    """A run is refused by the name of its damaged file, or goes on as if nothing had happened."""
    expected = Path(shutil.copytree(job, tmp_path / "expected"))
    assert run(*train_command(expected, 5)).code == 0
    newest = "checkpoints/step-00000004"
    names = [
        *(f"{newest}/{name}" for name in CHECKED),
        "config.yaml",
        "metrics.jsonl",
        "best/best.json",
        "tokenizer/finished.json",
    ]

    def case(draw: Random) -> None:
        folder, steps = tmp_path / "case", draw.choice((4, 5))
        shutil.copytree(job, folder)
        file = folder / "run" / draw.choice(names)
        file.write_bytes(mutated(file, draw))
        try:
            outcome = run(*train_command(folder, steps))
            if outcome.code:
                check_refusal(outcome, [file.name, "other settings", "lies before"])
            elif steps == 5:
                assert_same_state(folder / "run", expected / "run")
        finally:
            shutil.rmtree(folder)

    fuzz(case, CASES // 20)


def test_damaged_logs(job, tmp_path):
    original = job / "run" / "metrics.jsonl"
    file = tmp_path / "metrics.jsonl"

    def case(draw: Random) -> None:
        file.write_bytes(mutated(original, draw))
        try:
            log = MetricsLog(file, 3)
        except ValueError as error:
            check_message(str(error), [str(file)])
        else:
            assert all(row["step"] <= 3 for row in log.past)
            written = file.read_text()
            MetricsLog(file, 3)
            assert file.read_text() == written

    fuzz(case, CASES // 2)
