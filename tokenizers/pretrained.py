"""Strict loading: problems that diffusers only logs are errors here.

`ModelMixin.from_pretrained` warns about missing and unexpected weights, leaves parameters that no
file holds uninitialized, and ignores unknown config keys. A tokenizer loaded like that would
silently give wrong results. A config and the header of its weights file are compared before any
memory is taken, and both files with their checksums before they are used; this needs a local
folder, since files on the hub arrive one by one.
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError

from ..checksums import compare_checksums, write_checksums
from ..models.wrapped.catalog import SUPPORTED
from ..option_errors import did_you_mean
from .modules import REGISTERED_BY
from .weights_header import WEIGHTS, differences, read_header

CONFIG = "config.json"

_MODULE_NAME = re.compile(r"[a-z_]\w*(\.[a-z_]\w*)*", re.ASCII | re.IGNORECASE)

Model = TypeVar("Model", bound="StrictModel")


class StrictModel(ModelMixin, ConfigMixin):
    """A diffusers model that loads completely or not at all."""

    @classmethod
    def from_pretrained(
        cls: type[Model], pretrained_model_name_or_path: Any, **kwargs: Any
    ) -> Model:
        """Load a model from a folder or the hub, strictly.

        Raises:
            FileNotFoundError: no model was found.
            ValueError: unknown config keys; missing, unexpected or mismatched weights; files that
                are not those of their checksums.
        """
        config = check_config(cls, pretrained_model_name_or_path, **kwargs)
        folder = Path(pretrained_model_name_or_path) / (kwargs.get("subfolder") or "")
        if not folder.is_dir():
            without_weights(cls, config, pretrained_model_name_or_path)
        else:
            check_weights_header(cls, config, folder, kwargs.get("variant"))
            compare_checksums(folder, [CONFIG])
        kwargs["output_loading_info"] = True
        try:
            loaded: Any = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        except (ValueError, OSError, SafetensorError) as error:
            # A weight of another shape, no weights beside the config, or a damaged file.
            reason = str(error).partition(" If you want")[0]
            raise ValueError(
                weights_mismatch_message(pretrained_model_name_or_path, reason)
            ) from error
        model, info = loaded
        check_loading(pretrained_model_name_or_path, info)
        return model

    def save_pretrained(
        self, save_directory: Any, is_main_process: bool = True, *args: Any, **kwargs: Any
    ) -> None:
        """Save config, weights and their checksums in a folder."""
        super().save_pretrained(save_directory, is_main_process, *args, **kwargs)
        if is_main_process:
            folder = Path(save_directory)
            write_checksums(folder, [folder / CONFIG, *sorted(folder.glob(f"{WEIGHTS}*"))])

    def to(self: Model, *args: Any, **kwargs: Any) -> Model:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Move or cast the model, as `torch.nn.Module.to`.

        At every cast diffusers (since huggingface/diffusers#13872) warns of modules that should
        stay in fp32, even where there are none; the cast of such a model bypasses its check.
        """
        is_cast = any(isinstance(value, torch.dtype) for value in (*args, *kwargs.values()))
        is_special = bool(self._keep_in_fp32_modules) or getattr(self, "is_quantized", False)
        move: Any = torch.nn.Module.to if is_cast and not is_special else ModelMixin.to
        return move(self, *args, **kwargs)


# Characters of a problem that an error message shows, which may quote a config at length.
MAX_REASON = 1000

# The keywords of `load_config` that say where to look.
_LOCATION = ("subfolder", "revision", "cache_dir", "token", "local_files_only", "force_download")


def check_config(cls: Any, source: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the config at `source`, of the class `cls` and with known keys only.

    Raises:
        FileNotFoundError: there is no config.
        ValueError: it is not valid JSON, of another class, or has unknown keys.
    """
    if str(source).startswith("diffusers:"):
        raise ValueError(
            f"{source!r} is no saved tokenizer: load the model with diffusers, and pass it to "
            "VisualTokenizer.from_diffusers; jobs and commands take the name as it is"
        )
    path = Path(source)
    # A hub id is `owner/name`; anything else that looks like a path is a path.
    looks_local = path.is_absolute() or str(source).startswith(".") or len(path.parts) > 2
    is_local = looks_local or path.exists()
    file = path / (kwargs.get("subfolder") or "") / "config.json"
    if is_local and not file.is_file():
        raise FileNotFoundError(
            f"no tokenizer at {source}: expected a folder with config.json and "
            "diffusion_pytorch_model.safetensors, as save_pretrained and `vistok train` write it"
        )
    config = read_config(file) if is_local else _download_config(cls, source, kwargs)
    found = config.get("_class_name")
    if found != cls.__name__:
        remedy = f"; write diffusers:{found}:{source}" if found in tuple(SUPPORTED) else ""
        raise ValueError(
            f"{source} holds the class {str(found)[:MAX_REASON]}, not {cls.__name__}{remedy}"
        )
    known = set(inspect.signature(cls.__init__).parameters) - {"self"}
    for key in config:
        if not key.startswith("_") and key not in known:
            raise ValueError(f"{source}/config.json: unknown key {key}{did_you_mean(key, known)}")
    return config


def read_config(file: Path) -> dict[str, Any]:
    """Read the config.json of a model.

    Raises:
        ValueError: it is not JSON, or not a mapping.
    """
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{file} must hold a mapping, got {type(config).__name__}")
    return config


def _download_config(cls: Any, source: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    try:
        config = cls.load_config(source, **{k: kwargs[k] for k in _LOCATION if k in kwargs})
    except OSError as error:
        raise FileNotFoundError(
            f"no tokenizer {source!r}: no such folder, and the hub did not return one "
            f"({str(error).splitlines()[0]})"
        ) from error
    except RecursionError as error:
        raise ValueError(f"config.json of {source!r} is nested too deeply") from error
    if not isinstance(config, dict):
        raise ValueError(f"config.json of {source!r} must hold a mapping")
    return config


def check_weights_header(
    cls: Any, config: dict[str, Any], folder: Path, variant: str | None = None
) -> None:
    """Raise unless a folder's safetensors files hold the weights that its config describes.

    Only names, shapes and dtypes are compared; the model is built without memory.

    Args:
        cls: class of the model.
        config: its config.
        folder: of the saved model; without safetensors files nothing is compared.
        variant: of the weights, as in `from_pretrained`.

    Raises:
        ValueError: they differ, or the config describes no model.
    """
    stored = read_header(folder, variant)
    model = without_weights(cls, config, folder)
    if stored is not None:
        _raise_for(folder, differences(model.state_dict(), stored))


def without_weights(cls: Any, config: dict[str, Any], source: Any) -> Any:
    """Build the model that a config describes on the meta device, without memory for weights.

    Args:
        cls: class of the model.
        config: its config.
        source: folder or hub id that it was read from, for error messages.

    Raises:
        ValueError: the config describes no model; every line names its file.
    """
    file = f"{source}/config.json"
    try:
        with torch.device("meta"):
            return cls.from_config(config)
    except ValueError as error:
        lines = [*str(error).splitlines(), *_registered_elsewhere(config, str(error))]
        lines = [f"{file}: {line[:MAX_REASON]}" for line in lines]
        raise ValueError("\n".join(lines)) from error
    except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{file} describes no model: {reason}") from error


def _registered_elsewhere(config: Mapping[str, Any], message: str) -> Iterator[str]:
    """Yield, for the kinds that a message finds unknown, the modules that the config names."""
    kinds = config.get(REGISTERED_BY)
    for kind, module in kinds.items() if isinstance(kinds, dict) else ():
        is_name = isinstance(module, str) and _MODULE_NAME.fullmatch(module)
        if is_name and f"got {kind!r}" in message:
            yield (
                f"the kind {kind!r} was registered by the module {module}; if you trust it, import "
                f"it before loading, or give --plugin {module}"
            )


def check_loading(source: Any, info: dict[str, Any]) -> None:
    """Raise unless the weights in the file are exactly those of the model."""
    problems = {
        "missing": info.get("missing_keys"),
        "unexpected": info.get("unexpected_keys"),
        "of another shape": [entry[0] for entry in info.get("mismatched_keys") or []],
        "unreadable": info.get("error_msgs"),
    }
    _raise_for(source, problems)


def _raise_for(source: Any, problems: Mapping[str, Sequence[str] | None]) -> None:
    """Raise with the names of the weights by their problem, if there are any."""
    lines = [
        f"{len(names)} {what}: {', '.join(sorted(names)[:5])}{', …' if len(names) > 5 else ''}"
        for what, names in problems.items()
        if names
    ]
    if lines:
        raise ValueError(weights_mismatch_message(source, "; ".join(lines)))


def weights_mismatch_message(source: Any, reason: str) -> str:
    """Return the error message for weights that do not fit their config."""
    return (
        f"the weights at {source} do not fit its config.json ({reason}); "
        "they belong to another architecture or the file is damaged"
    )
