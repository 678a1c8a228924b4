"""Strict loading: problems that diffusers only logs are errors here.

`ModelMixin.from_pretrained` warns about missing and unexpected weights, leaves parameters that no
file holds uninitialized, and ignores unknown config keys. A tokenizer loaded like that would
silently give wrong results.
"""

import inspect
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from safetensors import SafetensorError

from ..component import did_you_mean

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
            ValueError: unknown config keys; missing, unexpected or mismatched weights.
        """
        check_config(cls, pretrained_model_name_or_path, **kwargs)
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

    def to(self: Model, *args: Any, **kwargs: Any) -> Model:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Move or cast the model, as `torch.nn.Module.to`.

        At every cast diffusers (since huggingface/diffusers#13872) warns of modules that should
        stay in fp32, even where there are none; the cast of such a model bypasses its check.
        """
        is_cast = any(isinstance(value, torch.dtype) for value in (*args, *kwargs.values()))
        is_special = bool(self._keep_in_fp32_modules) or getattr(self, "is_quantized", False)
        move: Any = torch.nn.Module.to if is_cast and not is_special else ModelMixin.to
        return move(self, *args, **kwargs)


# The keywords of `load_config` that say where to look.
_LOCATION = ("subfolder", "revision", "cache_dir", "token", "local_files_only", "force_download")


def check_config(cls: Any, source: Any, **kwargs: Any) -> None:
    """Raise unless `source` holds a config of the class `cls` with known keys only."""
    path = Path(source)
    # A hub id is `owner/name`; anything else that looks like a path is a path.
    looks_local = path.is_absolute() or str(source).startswith(".") or len(path.parts) > 2
    is_local = looks_local or path.exists()
    if is_local and not (path / kwargs.get("subfolder", "") / "config.json").is_file():
        raise FileNotFoundError(
            f"no tokenizer at {source}: expected a folder with config.json and "
            "diffusion_pytorch_model.safetensors, as save_pretrained and `vistok train` write it"
        )
    try:
        config = cls.load_config(source, **{k: kwargs[k] for k in _LOCATION if k in kwargs})
    except OSError as error:
        if is_local:
            raise ValueError(f"{source}/config.json is not valid JSON: {error}") from error
        raise FileNotFoundError(
            f"no tokenizer {source!r}: no such folder, and the hub did not return one "
            f"({str(error).splitlines()[0]})"
        ) from error
    found = config.get("_class_name")
    if found != cls.__name__:
        raise ValueError(f"{source} holds a {found}, not a {cls.__name__}")
    known = set(inspect.signature(cls.__init__).parameters) - {"self"}
    for key in config:
        if not key.startswith("_") and key not in known:
            raise ValueError(f"{source}/config.json: unknown key {key}{did_you_mean(key, known)}")


def check_loading(source: Any, info: dict[str, Any]) -> None:
    """Raise unless the weights in the file are exactly those of the model."""
    problems = {
        "missing": info.get("missing_keys"),
        "unexpected": info.get("unexpected_keys"),
        "of another shape": [entry[0] for entry in info.get("mismatched_keys") or []],
        "unreadable": info.get("error_msgs"),
    }
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
