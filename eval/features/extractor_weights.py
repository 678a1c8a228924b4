"""Weights files of published feature extractors: found locally, downloaded, or reported missing.

Metrics and the perceptual loss rely on networks that others trained. A weights file is searched for
in this order, and a missing file is never replaced by anything else:

1. the path in the file's own environment variable,
2. the download folder of torch hub and torchvision, `torch.hub.get_dir()/checkpoints`,
3. its URL, unless HF_HUB_OFFLINE or VISTOK_OFFLINE is set; the download is verified against the
   file's hash.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import torch

CONNECTION_TIMEOUT_SECONDS = 10.0
OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "VISTOK_OFFLINE")


@dataclass(frozen=True)
class ExtractorWeights:
    """A file of published weights.

    Attributes:
        name: name of the network, for messages.
        file: file name in torch hub's download folder.
        url: address it is published at.
        sha256_prefix: first hexadecimal digits of its SHA-256.
        variable: environment variable that may hold the path of a local copy.
    """

    name: str
    file: str
    url: str
    sha256_prefix: str
    variable: str

    def caveat(self, sha256: str) -> str | None:
        """Return a warning if a file with this hash is not the published one, else None."""
        if sha256.startswith(self.sha256_prefix):
            return None
        return f"the weights are not {self.file} as published (SHA-256 {sha256[:12]})"


class MissingWeights(FileNotFoundError):  # noqa: N818 - states the condition, as the built-in does
    """A weights file was not found and could not be downloaded.

    Args:
        weights: the file.
        reason: why the search failed.
        otherwise: an alternative that works without the file.
    """

    def __init__(self, weights: ExtractorWeights, reason: str, otherwise: str = "") -> None:
        super().__init__(
            f"the weights of {weights.name} are missing ({reason}): get {weights.file} from "
            f"{weights.url} (SHA-256 begins with {weights.sha256_prefix}) and put it into "
            f"{_hub_folder()}, or set {weights.variable} to the path of a local copy"
            + (f", or {otherwise}" if otherwise else "")
        )
        self.weights, self.reason, self.otherwise = weights, reason, otherwise

    def __reduce__(self) -> tuple[type["MissingWeights"], tuple[ExtractorWeights, str, str]]:
        """Pickle by constructor arguments, so that worker processes can raise the error."""
        return MissingWeights, (self.weights, self.reason, self.otherwise)


def find(weights: ExtractorWeights) -> Path:
    """Return the path of a weights file, downloading it if necessary.

    Raises:
        MissingWeights: the file was not found and could not be downloaded, or the environment
            variable does not name a file.
    """
    chosen = os.environ.get(weights.variable)
    if chosen:
        if not Path(chosen).is_file():
            raise MissingWeights(weights, f"{weights.variable}={chosen} is not a file")
        return Path(chosen)
    cached = _hub_folder() / weights.file
    if not cached.is_file():
        _download(weights, cached)
    return cached


def _hub_folder() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _download(weights: ExtractorWeights, target: Path) -> None:
    offline = [name for name in OFFLINE_VARIABLES if _is_set(name)]
    if offline:
        raise MissingWeights(weights, f"{offline[0]} is set, which forbids downloads")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _short_timeout():
            torch.hub.download_url_to_file(
                weights.url, str(target), hash_prefix=weights.sha256_prefix, progress=False
            )
    except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: another hash
        raise MissingWeights(weights, f"the download failed: {error}") from error


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").upper() in {"1", "ON", "YES", "TRUE"}


@contextmanager
def _short_timeout() -> Iterator[None]:
    """Set a short socket timeout for the block; torch.hub has no timeout setting."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(CONNECTION_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
