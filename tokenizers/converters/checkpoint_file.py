"""Reading foreign checkpoints: tensors by name, and nothing that could execute code."""

from pathlib import Path
from pickle import UnpicklingError
from zipfile import BadZipFile, ZipFile, is_zipfile
from zlib import error as ZlibError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

Tensors = dict[str, Tensor]


def read_checkpoint(path: Path) -> Tensors:
    """Read the tensors of a `.safetensors` or torch file, at its top level or under `state_dict`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, holds objects besides tensors and plain values, or no
            tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state:
        raise ValueError(f"{path} holds neither tensors by name nor a state_dict")
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ValueError(
                f"{path} holds no state_dict: {name} is a {type(value).__name__}, not a tensor"
            )
    return dict(state)


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
