"""The fingerprint of a tokenizer: tokens are only comparable when theirs is the same."""

import hashlib
import json

import torch

from .tokenizer import VisualTokenizer

# Raised whenever a change of code changes the tokens or latents of the same weights.
CODE_VERSION = 1


def fingerprint(tokenizer: VisualTokenizer) -> str:
    """SHA-256 over weights, config, dtype and the code's version of tokens, as hex digits."""
    digest = hashlib.sha256()
    config = {key: value for key, value in tokenizer.config.items() if not key.startswith("_")}
    digest.update(json.dumps([CODE_VERSION, str(tokenizer.dtype), config], sort_keys=True).encode())
    for name, tensor in sorted(tokenizer.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
