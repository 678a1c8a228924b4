"""Reading foreign checkpoints: tensors by name, and nothing that could execute code."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile
from zlib import error as ZlibError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

Tensors = dict[str, Tensor]

# Levels of mappings within mappings, and tensors, far above any checkpoint.
MAX_NESTING, MAX_TENSORS = 16, 100_000


def read_checkpoint(path: Path) -> Tensors:
    """Read the tensors of a `.safetensors` or torch file.

    They are at its top level, under `state_dict`, or under `model` if that is the only entry; the
    names of mappings within mappings are joined by dots.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, holds objects besides tensors and plain values, or no
            tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if isinstance(state, dict) and state.keys() == {"model"} and isinstance(state["model"], dict):
        state = state["model"]
    if not isinstance(state, dict) or not state:
        raise ValueError(f"{path} holds neither tensors by name nor a state_dict")
    tensors: Tensors = {}
    for name, value in _flat(state, depth=0):
        if not isinstance(value, Tensor):
            raise ValueError(
                f"{path} holds no state_dict: {name} is a {type(value).__name__}, not a tensor"
            )
        if name in tensors:
            raise ValueError(f"{path} holds two tensors of the name {name}")
        if len(tensors) == MAX_TENSORS:
            raise ValueError(f"{path} holds more than {MAX_TENSORS} tensors")
        tensors[name] = value
    return tensors


def _flat(tree: Mapping[Any, object], depth: int) -> Iterator[tuple[str, object]]:
    """Yield the values of nested mappings by their dotted names."""
    for name, value in tree.items():
        if isinstance(value, dict) and value and depth < MAX_NESTING:
            yield from ((f"{name}.{inner}", leaf) for inner, leaf in _flat(value, depth + 1))
        else:
            yield str(name), value


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a valid safetensors file: {error}") from error


def _read_torch(path: Path) -> object:
    if is_zipfile(path):
        _check_zip(path)
    # Memory-mapped, so that only tensors in use are read; files of the old format cannot be.
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except (UnpicklingError, RuntimeError, EOFError) as error:
        reason = (str(error).splitlines() or ["empty file"])[0]
        raise ValueError(
            f"{path} cannot be read as tensors and plain values alone ({reason}); if you trust "
            "its origin, save its state_dict to a separate file"
        ) from error


def _check_zip(path: Path) -> None:
    """Raise unless the entries of a torch file have their checksums, which torch does not compare.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        with ZipFile(path) as archive:
            entry = archive.testzip()
    except (BadZipFile, ZlibError, OSError, RuntimeError, EOFError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); download it again") from error
    if entry is not None:
        raise ValueError(
            f"{path} is damaged (the checksum of its entry {entry!r} is wrong); download it again"
        )
