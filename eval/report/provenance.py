"""Provenance of the metrics: versions of libraries, and the machine."""

import platform
from importlib.metadata import version

import torch

LIBRARIES = (
    "vistok",
    "torch",
    "torchvision",
    "torchmetrics",
    "torch-fidelity",
    "lpips",
    "diffusers",
    "pillow",
    "av",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of every library that metrics may depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def machine() -> str:
    """Name the accelerator, or the type of processor."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
