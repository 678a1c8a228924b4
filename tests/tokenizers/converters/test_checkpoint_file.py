"""Other people's files are read as tensors and plain values, and never run."""

import pytest
import torch
from safetensors.torch import save_file

from vistok.tokenizers.converters.checkpoint_file import read_checkpoint

STATE = {"a.weight": torch.arange(3.0), "a.bias": torch.ones(2)}


@pytest.mark.parametrize("kind", ["lightning", "flat", "nested", "old format", "safetensors"])
def test_tensors_come_out_of_every_container(kind, tmp_path):
    path = tmp_path / ("x.safetensors" if kind == "safetensors" else "x.ckpt")
    match kind:
        case "lightning":
            torch.save({"state_dict": STATE, "epoch": 3, "callbacks": {}}, path)
        case "flat":
            torch.save(STATE, path)
        case "nested":
            torch.save(
                {"model": {"a": {"weight": STATE["a.weight"]}, "a.bias": STATE["a.bias"]}}, path
            )
        case "old format":
            torch.save(STATE, path, _use_new_zipfile_serialization=False)
        case "safetensors":
            save_file(STATE, path)
    found = read_checkpoint(path)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


class Payload:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_objects_are_refused_and_never_built(tmp_path, capsys):
    path = tmp_path / "x.ckpt"
    torch.save({"state_dict": STATE, "hyper_parameters": Payload()}, path)
    with pytest.raises(ValueError, match="cannot be read as tensors and plain values alone"):
        read_checkpoint(path)
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "holds neither tensors by name nor a state_dict"),
        ({}, "holds neither tensors by name nor a state_dict"),
        ({"state_dict": {"a": 1}}, "a is a int, not a tensor"),
        ({"model": {"a": {"b": "text"}}}, r"a\.b is a str, not a tensor"),
        ({"a": {}}, "a is a dict, not a tensor"),
        ({"a": {"b": torch.ones(1)}, "a.b": torch.ones(1)}, r"two tensors of the name a\.b"),
    ],
)
def test_other_content_is_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=message):
        read_checkpoint(tmp_path / "x.pt")


@pytest.mark.parametrize("name", ["x.ckpt", "x.safetensors"])
def test_damaged_empty_and_absent_files_are_named(name, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no checkpoint at .*{name}"):
        read_checkpoint(tmp_path / name)
    for content in (b"not a checkpoint", b""):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            read_checkpoint(tmp_path / name)


def test_mappings_that_hold_themselves_are_refused(tmp_path):
    cycle: dict[str, object] = {}
    cycle["a"] = cycle
    torch.save(cycle, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="is a dict, not a tensor"):
        read_checkpoint(tmp_path / "x.pt")
