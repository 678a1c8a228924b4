"""Opening autoencoders of diffusers: `diffusers:<Class>:<path or hub id[/subfolder]>`.

`read_options` reads only the config, and `load_model` the weights, strictly: diffusers warns at
most of another class, and of weights that are missing or left over.
"""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from ..models.wrapped.catalog import SUPPORTED, find_class
from ..models.wrapped.wrapped_class import WrappedClass
from .pretrained import check_loading, read_config, weights_mismatch_message

PREFIX = "diffusers:"


@dataclass(frozen=True)
class DiffusersSource:
    """The place of an autoencoder of diffusers: a local folder or the hub.

    Attributes:
        wrapped: its class.
        model_id: local folder or hub id.
        subfolder: folder inside; empty for none.
        is_local: whether it is a folder, existing or not.
    """

    wrapped: WrappedClass
    model_id: str
    subfolder: str
    is_local: bool

    def __str__(self) -> str:
        path = f"{self.model_id}/{self.subfolder}" if self.subfolder else self.model_id
        return f"{PREFIX}{self.wrapped.name}:{path}"

    @property
    def folder(self) -> Path | None:
        """The folder with config.json, if the model is local."""
        return Path(self.model_id) / self.subfolder if self.is_local else None


def is_diffusers(name: Any) -> bool:
    """Return whether a name is that of an autoencoder of diffusers."""
    return isinstance(name, str) and name.startswith(PREFIX)


def parse_source(name: str) -> DiffusersSource:
    """Read `diffusers:<Class>:<path or hub id>`.

    Raises:
        ValueError: a class is missing, unknown or refused, or a local folder holds another one.
        FileNotFoundError: there is no such folder, or no model in it.
    """
    _, class_name, path = [*name.split(":", 2), "", ""][:3]
    if not class_name or not path:
        raise ValueError(
            f"a diffusers model is written diffusers:<Class>:<path or hub id>, got {name!r}; the "
            f"class must be one of {', '.join(SUPPORTED)}"
        )
    try:
        wrapped = find_class(class_name)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    source = DiffusersSource(wrapped, *_split_subfolder(path))
    _check_folder(source)
    return source


def read_options(source: DiffusersSource) -> dict[str, Any]:
    """Return the options of a model's class, without reading its weights.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: its config is damaged, or describes a model that vistok does not code with.
    """
    if source.folder is not None:
        config = read_config(source.folder / "config.json")
    else:
        try:
            with warnings.catch_warnings():
                # diffusers passes an option that the hub's client no longer has.
                warnings.filterwarnings("ignore", ".*local_dir_use_symlinks.*", UserWarning)
                config = source.wrapped.cls.load_config(source.model_id, subfolder=source.subfolder)
        except OSError as error:
            raise _not_found(source, error) from error
        _check_class(config, source)
    return _known_options(source.wrapped, config, str(source))


def load_model(source: DiffusersSource, dtype: torch.dtype = torch.float32) -> Any:
    """Load a model in eval mode on the CPU.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: a damaged file, a model that vistok does not code with, or weights that do not
            fit the config.
    """
    read_options(source)
    if source.folder is not None and not [*source.folder.glob("diffusion_pytorch_model*")]:
        raise FileNotFoundError(f"{source.folder} has a config.json, but no weights beside it")
    try:
        model, info = source.wrapped.cls.from_pretrained(
            source.model_id,
            subfolder=source.subfolder,
            torch_dtype=dtype,
            output_loading_info=True,
        )
    except OSError as error:
        if source.is_local:
            raise ValueError(weights_mismatch_message(source, str(error))) from error
        raise _not_found(source, error) from error
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{source}: {source.wrapped.name} refuses its config: {reason}") from error
    except (ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).partition(" If you want")[0]
        raise ValueError(weights_mismatch_message(source, reason)) from error
    check_loading(source, info)
    return model.eval()


def options_of(model: Any) -> tuple[WrappedClass, dict[str, Any]]:
    """Return the class of a loaded model, and its options as plain values.

    Raises:
        ValueError: a class that cannot be a tokenizer, with the reason.
    """
    wrapped = find_class(type(model).__name__)
    return wrapped, _known_options(wrapped, dict(model.config), wrapped.name)


def _known_options(wrapped: WrappedClass, config: dict[str, Any], source: str) -> dict[str, Any]:
    """Return the options that the installed class has; files keep others of older versions."""
    expected = wrapped.parameters()
    known = {key: value for key, value in config.items() if key in expected}
    try:
        return json.loads(json.dumps(wrapped.options(known)))
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _split_subfolder(path: str) -> tuple[str, str, bool]:
    """Split a path into the folder or hub id and the subfolder in it, and tell which it is."""
    looks_local = Path(path).is_absolute() or path.startswith((".", "~")) or Path(path).exists()
    if looks_local:
        folder = Path(path).expanduser()
        in_pipeline = not (folder / "config.json").exists() and (folder / "vae").is_dir()
        return str(folder), "vae" if in_pipeline else "", True
    owner, _, rest = path.partition("/")
    name, _, subfolder = rest.partition("/")
    return f"{owner}/{name}" if name else owner, subfolder, False


def _check_folder(source: DiffusersSource) -> None:
    """Raise if a local folder does not hold a model of the class."""
    name, folder = source.wrapped.name, source.folder
    if folder is None:
        return
    if not folder.is_dir():
        raise FileNotFoundError(f"no {name} at {folder}: there is no such folder")
    file = folder / "config.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"no {name} at {folder}: expected a folder with config.json and weights, as "
            "diffusers' save_pretrained writes it"
        )
    _check_class(read_config(file), source)


def _check_class(config: dict[str, Any], source: DiffusersSource) -> None:
    """Raise if a config names another class, or none."""
    stored, place = config.get("_class_name"), source.folder or source.model_id
    if stored == source.wrapped.name:
        return
    if not isinstance(stored, str):
        raise ValueError(
            f"config.json of {place} does not name its class (_class_name), as diffusers' "
            "save_pretrained writes it"
        )
    raise ValueError(
        f"{place} holds the class {stored}, not {source.wrapped.name}; "
        f"write {PREFIX}{stored}:{source.model_id}"
    )


def _not_found(source: DiffusersSource, error: Exception) -> FileNotFoundError:
    reason = str(error).splitlines()[0]
    return FileNotFoundError(
        f"no {source.wrapped.name} at {source.model_id!r}: no such folder, and the hub did not "
        f"provide one ({reason})"
    )
