"""One command at a time writes to an output folder, and a dead one does not block it."""

import fcntl
import sys

import pytest

from commands import start_process, vistok
from vistok.folder_lock import LOCK_FILE, FolderInUseError, folder_lock, holds_nothing

HOLD = """
import sys
from pathlib import Path
from vistok.folder_lock import folder_lock

with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """A folder that another process holds, and the process."""
    folder = tmp_path / "out"
    process = start_process([sys.executable, "-c", HOLD, folder], stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield folder, process
    process.kill()
    process.communicate()


def test_the_holder_is_named_and_a_killed_ones_lock_is_free_at_once(held):
    folder, process = held
    with (
        pytest.raises(
            FolderInUseError, match=rf"out is in use by process {process.pid} on .*since"
        ),
        folder_lock(folder),
    ):
        pass
    assert (folder / LOCK_FILE).exists(), "the refused one leaves the lock to its holder"
    process.kill()
    process.wait()
    assert (folder / LOCK_FILE).exists(), "a killed process cannot clean up"
    with folder_lock(folder):
        pass
    assert not (folder / LOCK_FILE).exists()


def test_train_encode_eval_and_decode_refuse_a_folder_in_use(held, saved_tokenizer, tmp_path):
    folder, _ = held
    tokens = tmp_path / "tokens"
    vistok("encode", "samples:heldout", "--tokenizer", saved_tokenizer, "--output", tokens)
    given = ["--tokenizer", saved_tokenizer, "--output", folder]
    for command in (
        ["train", "quickstart", "--output", folder, "--device", "cpu"],
        ["encode", "samples:heldout", *given],
        ["eval", "samples:heldout", *given],
        ["decode", tokens, *given],
        ["quickstart", "--output", folder],
    ):
        error = vistok(*command, code=2).stderr.strip().splitlines()[-1]
        assert error.startswith(f"error: output folder {folder} is in use by process"), command
    assert [path.name for path in folder.iterdir()] == [LOCK_FILE]


def test_a_folder_that_was_made_for_a_refused_command_goes_again(tmp_path):
    folder = tmp_path / "new" / "out"
    with folder_lock(folder):
        assert holds_nothing(folder)
    assert not (tmp_path / "new").exists()


def test_two_threads_of_a_process_and_the_ranks_of_a_run(tmp_path, monkeypatch):
    with folder_lock(tmp_path):
        with pytest.raises(FolderInUseError, match="another thread"), folder_lock(tmp_path / "."):
            pass
        assert (tmp_path / LOCK_FILE).exists()
        monkeypatch.setenv("RANK", "1")
        with folder_lock(tmp_path):
            pass


def test_a_lock_that_its_holder_removed_meanwhile_is_taken_on_the_new_file(tmp_path, monkeypatch):
    real, calls = fcntl.lockf, []

    def lockf(file, mode):
        if not calls:
            (tmp_path / LOCK_FILE).unlink()
        calls.append(mode)
        real(file, mode)

    monkeypatch.setattr("fcntl.lockf", lockf)
    with folder_lock(tmp_path):
        assert len(calls) == 2
        assert "process" in (tmp_path / LOCK_FILE).read_text()


def test_a_file_system_without_locks_is_warned_about(tmp_path, monkeypatch, caplog):
    def lockf(file, mode):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.lockf", lockf)
    with folder_lock(tmp_path):
        assert "cannot be locked ([Errno 37] No locks available)" in caplog.text
