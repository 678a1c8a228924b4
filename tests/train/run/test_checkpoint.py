"""Checkpoints are complete or absent; damage is found before it is used; loading runs no code."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from full_disk import full_disk
from runs import assert_same_state, tiny_run
from vistok.output_file import OutputError
from vistok.train.loop import train
from vistok.train.run.checkpoint import (
    DamagedCheckpointError,
    checkpoints,
    load_checkpoint,
    save_checkpoint,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of four steps with a checkpoint of every second one."""
    folder = tmp_path_factory.mktemp("checkpoint") / "run"
    train(tiny_run(steps=4), folder, "cpu", False)
    return folder


def test_only_whole_checkpoints_count_and_the_newest_stay(tmp_path):
    for step in (5, 10, 1000):
        save_checkpoint(tmp_path, {"step": step, "w": torch.ones(2)}, {"a": 1}, keep_last=2)
    (tmp_path / ".partial-step-00002000").mkdir()
    (tmp_path / "step-zzz").mkdir()
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000010", "step-00001000"]
    state = load_checkpoint(tmp_path / "step-00001000")
    assert state["step"] == 1000
    assert torch.equal(state["w"], torch.ones(2))


def test_checkpoints_are_sorted_by_step_beyond_eight_digits(tmp_path):
    for step in (99_999_999, 100_000_000):
        save_checkpoint(tmp_path, {"step": step}, {}, keep_last=2)
    assert checkpoints(tmp_path)[-1].name == "step-100000000"


def test_the_best_checkpoint_is_spared(tmp_path):
    for step in (5, 10, 15, 20):
        save_checkpoint(tmp_path, {"step": step}, {}, keep_last=1, protect_step=5)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000005", "step-00000020"]


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("owned",)

    folder = save_checkpoint(tmp_path, {"step": 1}, {}, keep_last=1)
    torch.save({"step": Evil()}, folder / "state.pt")
    (folder / "checksums.json").unlink()
    with pytest.raises(DamagedCheckpointError, match="holds more than tensors and plain values"):
        load_checkpoint(folder)


def test_a_full_disk_names_the_checkpoint_and_leaves_no_part_of_it(tmp_path):
    with full_disk(10_000), pytest.raises(OutputError, match="step-00000001") as caught:
        save_checkpoint(tmp_path, {"step": 1, "w": torch.ones(10_000)}, {}, keep_last=1)
    assert str(caught.value).startswith("[Errno 27] File too large")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_any_flipped_bit_is_detected(run, tmp_path):
    folder = tmp_path / "step-00000004"
    shutil.copytree(checkpoints(run / "checkpoints")[-1], folder)
    files, random_numbers = sorted(folder.iterdir()), random.Random(0)
    for case in range(300):
        file = files[case % len(files)]
        contents = file.read_bytes()
        place, bit = random_numbers.randrange(len(contents)), random_numbers.randrange(8)
        flipped = bytearray(contents)
        flipped[place] ^= 1 << bit
        file.write_bytes(flipped)
        with pytest.raises(DamagedCheckpointError):
            load_checkpoint(folder)
        file.write_bytes(contents)
    load_checkpoint(folder)


def flip(path: Path) -> None:
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 3] ^= 4
    path.write_bytes(contents)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped": (lambda p: flip(p / "state.pt"), "state.pt is not the file that was saved"),
    "empty": (lambda p: (p / "state.pt").write_bytes(b""), "state.pt is not the file that"),
    "gone": (lambda p: (p / "state.pt").unlink(), "lists state.pt, which is not in the folder"),
    "config": (lambda p: flip(p / "config.yaml"), "config.yaml is not the file that was saved"),
    "checksums": (
        lambda p: (p / "checksums.json").write_text("{}"),
        "does not list config.yaml",
    ),
    "of an older version": (lambda p: truncate_old(p), "failed finding central directory"),
}


def truncate_old(path: Path) -> None:
    """Cut a checkpoint that has no checksums."""
    (path / "checksums.json").unlink()
    contents = (path / "state.pt").read_bytes()
    (path / "state.pt").write_bytes(contents[: len(contents) // 2])


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_is_named_and_the_older_one_resumes_the_run(run, tmp_path, kind):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    damage, reason = DAMAGE[kind]
    damage(folder / "checkpoints" / "step-00000004")
    longer = tiny_run(steps=6)
    before = sorted(path.name for path in folder.rglob("*"))
    with pytest.raises(DamagedCheckpointError, match=reason) as caught:
        train(longer, folder, "cpu", False)
    assert f"checkpoint {folder}/checkpoints/step-00000004 is damaged" in str(caught.value)
    assert str(caught.value).endswith("to resume from an older one, pass --from-checkpoint 2")
    assert sorted(path.name for path in folder.rglob("*")) == before
    if kind != "flipped":
        return
    with pytest.raises(ValueError, match=r"has no checkpoint of step 3; its checkpoints: 2, 4"):
        train(longer, folder, "cpu", False, from_checkpoint=3)
    train(longer, folder, "cpu", False, from_checkpoint=2)
    assert (folder / "checkpoints" / "aside-step-00000004").is_dir()
    train(longer, tmp_path / "whole", "cpu", False)
    assert_same_state(folder, tmp_path / "whole")


def test_a_start_from_a_damaged_checkpoint_is_refused(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    for path in checkpoints(folder / "checkpoints")[:-1]:
        shutil.rmtree(path)
    flip(folder / "checkpoints" / "step-00000004" / "state.pt")
    config = tiny_run(steps=6)
    config.start.source = str(folder)
    with pytest.raises(DamagedCheckpointError, match="there is no older one; restore it"):
        train(config, tmp_path / "next", "cpu", False)
