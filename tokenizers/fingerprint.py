"""The fingerprint of a tokenizer: only tokens of equal fingerprints are comparable."""

import hashlib
import json
from typing import Any

import torch
from diffusers.models.modeling_utils import ModelMixin

# Incremented whenever a change of the code changes the tokens or latents of the same weights.
CODE_VERSION = 1


def fingerprint(tokenizer: ModelMixin) -> str:
    """Return the SHA-256 of weights, config, dtype and `CODE_VERSION`, as hexadecimal digits."""
    digest = hashlib.sha256()
    stored: Any = (
        tokenizer.config
    )  # every diffusers model has one, but their type annotations do not say so
    config = {key: value for key, value in stored.items() if not key.startswith("_")}
    if config.get("latent_patch_size") == 1:  # it came later, and changes nothing
        del config["latent_patch_size"]
    digest.update(json.dumps([CODE_VERSION, str(tokenizer.dtype), config], sort_keys=True).encode())
    for name, tensor in sorted(tokenizer.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
