"""The rules a score was made under, by name and hash: numbers of different rules do not compare."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Protocol:
    """Everything that changes a number besides the tokenizer and the pictures."""

    name: str = "vistok-eval-v1"
    resize: str = "ADM: box halvings, then Pillow bicubic; centre crop"
    video: str = "first frames of each clip, no frame-rate change"
    to_uint8: str = "clamp to [-1, 1], then round, both sides"
    tiling: str = "none, whole picture"
    psnr: str = "8-bit RGB, mean over frames, then over samples"
    ssim: str = "8-bit RGB, Gaussian 11x11 sigma 1.5, inner windows, mean over frames and samples"
    latents: str = "posterior mode"

    @property
    def hash(self) -> str:
        """First 12 digits of the SHA-256 of the rules."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


PROTOCOLS = {protocol.name: protocol for protocol in (Protocol(),)}
