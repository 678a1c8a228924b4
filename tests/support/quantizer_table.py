"""The one table of quantizers: a new quantizer is tested by adding a row.

Rows are options as a config spells them, so every one of them is also selectable from YAML.
"""

from typing import Any

import torch

from vistok import Quantizer
from vistok.component import build
from vistok.tokenizers.bottlenecks.catalog import BOTTLENECKS

SMALL_VQ = {"codebook_size": 32, "codebook_dim": 4}

QUANTIZERS: dict[str, dict] = {
    "fsq 64000": {"kind": "fsq", "levels": [8, 8, 8, 5, 5, 5]},
    "fsq odd": {"kind": "fsq", "levels": [7, 5, 5, 5, 5]},
    "fsq small": {"kind": "fsq", "levels": [2, 3, 4]},
    "fsq one channel": {"kind": "fsq", "levels": [16]},
    "fsq preset": {"kind": "fsq", "codebook_size": 16384},
    "fsq symmetric": {"kind": "fsq", "levels": [8, 5, 4], "symmetric": True},
    "fsq clamp": {"kind": "fsq", "levels": [8, 5, 4], "squash": "clamp"},
    "fsq beyond fp32": {"kind": "fsq", "levels": [16] * 8},
    "lfq": {"kind": "lfq", "bits": 10},
    "lfq 62 bits": {"kind": "lfq", "bits": 62, "codebook_entropy_weight": 0.0},
    "gq": {"kind": "gq", "num_groups": 3, "bits_per_group": 4},
    "gq pooled": {"kind": "gq", "num_groups": 3, "bits_per_group": 4, "reduction": "reference"},
    "gq unequal": {"kind": "gq", "bits_per_group": [6, 10]},
    "gq bitwise": {"kind": "gq", "num_groups": 5, "bits_per_group": 1},
    "bsq": {"kind": "bsq", "bits": 9},
    "bsq groups": {"kind": "bsq", "bits": 12, "num_groups": 3},
    "vq": {"kind": "vq", **SMALL_VQ},
    "vq cosine": {"kind": "vq", **SMALL_VQ, "distance": "cosine"},
    "vq rotation": {"kind": "vq", **SMALL_VQ, "gradient": "rotation"},
    "vq ema": {"kind": "vq", **SMALL_VQ, "update": "ema", "kmeans_init": True},
    "vq revival": {"kind": "vq", **SMALL_VQ, "dead_code_threshold": 0.1},
    "vq all": {
        "kind": "vq",
        **SMALL_VQ,
        "distance": "cosine",
        "gradient": "rotation",
        "update": "ema",
        "kmeans_init": True,
        "dead_code_threshold": 0.1,
    },
    "simvq": {"kind": "simvq", **SMALL_VQ},
    "simvq rotation": {"kind": "simvq", **SMALL_VQ, "gradient": "rotation"},
    "ibq": {"kind": "ibq", **SMALL_VQ},
    "ibq without entropy": {"kind": "ibq", **SMALL_VQ, "entropy_weight": 0.0},
    "residual fsq": {"kind": "residual", "quantizer": {"kind": "fsq", "levels": [8, 5, 4]}},
    "residual vq": {"kind": "residual", "quantizer": {"kind": "vq", **SMALL_VQ}},
    "residual gq": {
        "kind": "residual",
        "quantizer": {"kind": "gq", "num_groups": 2, "bits_per_group": 3},
        "num_quantizers": 2,
    },
    "residual ibq": {
        "kind": "residual",
        "quantizer": {"kind": "ibq", **SMALL_VQ},
        "num_quantizers": 2,
    },
    "multi-token fsq": {
        "kind": "multi_token",
        "quantizer": {"kind": "fsq", "levels": [8, 5]},
        "num_tokens": 3,
    },
    "multi-token projected": {
        "kind": "multi_token",
        "quantizer": {"kind": "fsq", "levels": [8, 5, 5]},
        "dim": 16,
    },
    "multi-token ema": {
        "kind": "multi_token",
        "quantizer": {"kind": "vq", **SMALL_VQ, "update": "ema"},
    },
    "multi-token residual": {
        "kind": "multi_token",
        "quantizer": {
            "kind": "residual",
            "quantizer": {"kind": "lfq", "bits": 3},
            "num_quantizers": 2,
        },
        "dim": 10,
    },
    "dual path": {
        "kind": "dual_path",
        "continuous": {"kind": "plain", "latent_channels": 10},
        "quantizer": {
            "kind": "multi_token",
            "quantizer": {"kind": "fsq", "levels": [8, 5, 5]},
            "dim": 10,
        },
    },
    "dual path ema": {
        "kind": "dual_path",
        "continuous": {"kind": "plain", "latent_channels": 4},
        "quantizer": {"kind": "vq", **SMALL_VQ, "update": "ema"},
    },
}


def quantizer_of(name: str) -> Quantizer:
    """The quantizer of a row, in train mode, with the same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(BOTTLENECKS, QUANTIZERS[name], "bottleneck").train()


def constructed(name: str) -> Quantizer:
    """The same quantizer, made by calling constructors as in Python, without the builder."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return _construct(QUANTIZERS[name]).train()


def _construct(options: dict[str, Any]) -> Any:
    kind, *names = options
    assert kind == "kind", "rows begin with their kind"
    values = {name: options[name] for name in names}
    if options["kind"] in ("residual", "multi_token"):
        values["quantizer"] = lambda: _construct(options["quantizer"])
    if options["kind"] == "dual_path":
        values = {name: _construct(options[name]) for name in names}
    return BOTTLENECKS[options["kind"]](**values)
