"""Names, shapes and dtypes of stored weights, compared with a model before memory is taken.

A config is a few bytes that may describe a network of any size. The header of its weights file
tells, without reading the weights, whether the two belong together.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

WEIGHTS = "diffusion_pytorch_model"  # in one file, in several with an index, or of a variant

# The names of dtypes in safetensors files; floating ones may replace each other.
_EXACT = {torch.bool: "BOOL", torch.uint8: "U8", torch.int32: "I32", torch.int64: "I64"}


@dataclass(frozen=True)
class StoredTensor:
    """One entry of the header of a safetensors file.

    Attributes:
        shape: of the tensor.
        dtype: its name in safetensors, such as F32.
    """

    shape: tuple[int, ...]
    dtype: str


def read_header(folder: Path, variant: str | None = None) -> dict[str, StoredTensor] | None:
    """Return what the safetensors files of a folder hold, or None where there are none.

    Args:
        folder: of a saved model.
        variant: of the weights, as in `from_pretrained`.

    Raises:
        ValueError: a file is damaged, or an index names files outside the folder.
    """
    stem = WEIGHTS if variant is None else f"{WEIGHTS}.{variant}"
    whole, index = folder / f"{stem}.safetensors", _index(folder, variant)
    if whole.is_file():
        return _read(whole)
    if not index.is_file():
        return None
    header: dict[str, StoredTensor] = {}
    for name in _files_of(index):
        header |= _read(folder / name)
    return header


def differences(
    model: Mapping[str, Tensor], stored: Mapping[str, StoredTensor]
) -> dict[str, list[str]]:
    """Return the tensors that differ between a model and its weights file, by kind of difference.

    Args:
        model: state of the model, which may be on the meta device.
        stored: header of the file.
    """
    both = sorted(model.keys() & stored.keys())
    return {
        "missing": sorted(model.keys() - stored.keys()),
        "unexpected": sorted(stored.keys() - model.keys()),
        "of another shape": [
            f"{name} (expected shape {tuple(model[name].shape)}, got {stored[name].shape})"
            for name in both
            if stored[name].shape != tuple(model[name].shape)
        ],
        "of another dtype": [
            f"{name} (expected {model[name].dtype}, got {stored[name].dtype})"
            for name in both
            if not _is_compatible(stored[name].dtype, model[name].dtype)
        ],
    }


def _is_compatible(stored: str, expected: torch.dtype) -> bool:
    if expected.is_floating_point:
        return stored.startswith(("F", "BF"))
    return stored == _EXACT.get(expected)


def _index(folder: Path, variant: str | None) -> Path:
    suffix = "" if variant is None else f".{variant}"
    return folder / f"{WEIGHTS}.safetensors.index{suffix}.json"


def _read(path: Path) -> dict[str, StoredTensor]:
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {
                name: StoredTensor(tuple(part.get_shape()), str(part.get_dtype()))
                for name, part in slices.items()
            }
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a valid safetensors file: {error}") from error


def _files_of(index: Path) -> list[str]:
    """Return the names of the files that an index refers to."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        inside = all(Path(name).name == name for name in names)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{index} is not a valid index of weights files ({error!r})") from error
    if not inside:
        raise ValueError(f"{index} refers to files outside its folder")
    return names
