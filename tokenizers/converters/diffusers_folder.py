"""The folders of diffusers' models: a config and weights in safetensors."""

from pathlib import Path

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


def check_empty(folder: Path) -> None:
    """Raise if a folder already holds a model."""
    if (folder / CONFIG).exists():
        raise ValueError(f"{folder} already holds a model; choose another --output")
