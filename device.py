"""Resolving the device that a user names."""

import torch


def resolve_device(name: str) -> str:
    """Turn `auto` into the best available device, and check that a named one exists.

    Raises:
        ValueError: no such device on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"--device {name!r} is not usable here ({reason}); try auto or cpu"
        ) from None
    return name
