"""The fingerprint of a tokenizer: tokens are only comparable when theirs is the same."""

import hashlib
import json
from typing import Any

import torch
from diffusers.models.modeling_utils import ModelMixin

# Raised whenever a change of code changes the tokens or latents of the same weights.
CODE_VERSION = 1


def fingerprint(tokenizer: ModelMixin) -> str:
    """SHA-256 over weights, config, dtype and the code's version of tokens, as hex digits."""
    digest = hashlib.sha256()
    stored: Any = tokenizer.config  # diffusers promises it of every model, its types do not
    config = {key: value for key, value in stored.items() if not key.startswith("_")}
    digest.update(json.dumps([CODE_VERSION, str(tokenizer.dtype), config], sort_keys=True).encode())
    for name, tensor in sorted(tokenizer.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
