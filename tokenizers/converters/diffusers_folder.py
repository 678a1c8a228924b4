"""The folders of diffusers' models: a config and weights in safetensors."""

import json
from pathlib import Path
from typing import Any

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"


def find_weights(folder: Path, name: str) -> Path:
    """Return the weights of a folder that also has a config.

    Args:
        folder: as diffusers' save_pretrained writes it.
        name: class of the model, for error messages.

    Raises:
        FileNotFoundError: one of the files is not there.
    """
    for file in (folder / CONFIG, folder / WEIGHTS):
        if not file.is_file():
            raise FileNotFoundError(
                f"no {name} at {folder}: expected a folder with {CONFIG} and {WEIGHTS}, as "
                f"diffusers' save_pretrained writes it, found no {file.name}"
            )
    return folder / WEIGHTS


def read_config(folder: Path) -> dict[str, Any]:
    """Read the config of a folder.

    Raises:
        ValueError: it is not JSON, or not a mapping.
    """
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{file} must hold a mapping, got {type(config).__name__}")
    return config


def check_empty(folder: Path) -> None:
    """Raise if a folder already holds a model."""
    if (folder / CONFIG).exists():
        raise ValueError(f"{folder} already holds a model; choose another --output")
