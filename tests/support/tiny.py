"""Tokenizers small enough for a test, of the real classes."""

from typing import TypeVar

import torch

from vistok import VisualTokenizer
from vistok.models.published.wetok import wetok_options

Network = TypeVar("Network", bound=torch.nn.Module)


def tiny_image_configs() -> tuple[dict, dict]:
    """Encoder and decoder of an 8x8 image tokenizer with a few thousand weights."""
    down = {"resample": "space_to_depth", "resample_width": 16}
    up = {"resample": "depth_to_space", "resample_width": 8}
    return (
        {
            "kind": "causal",
            "patch_size": 4,
            "stages": [{"width": 8, "blocks": 1, **down}, {"width": 16, "blocks": 1}],
        },
        {
            "kind": "causal",
            "patch_size": 4,
            "stages": [{"width": 16, "blocks": 1, **up}, {"width": 8, "blocks": 1}],
        },
    )


def tiny_video_configs() -> tuple[dict, dict]:
    """Encoder and decoder of a 4x8x8 video tokenizer with every kind of layer in it."""
    return (
        {
            "kind": "causal",
            "patch_size": 2,
            "stages": [
                {"width": 8, "blocks": 1, "temporal_kernel": 3, "resample": "strided", "time": 2},
                {
                    "width": 16,
                    "blocks": 1,
                    "temporal_kernel": 3,
                    "resample": "space_to_depth",
                    "time": 2,
                    "resample_width": 16,
                },
                {"width": 16, "blocks": 1, "attention": "spatial"},
            ],
        },
        {
            "kind": "causal",
            "patch_size": 2,
            "stages": [
                {
                    "width": 16,
                    "blocks": 1,
                    "attention": "spatial",
                    "temporal_kernel": 3,
                    "resample": "depth_to_space",
                    "time": 2,
                    "resample_width": 8,
                },
                {"width": 8, "blocks": 1, "temporal_kernel": 3, "resample": "nearest", "time": 2},
            ],
        },
    )


def awaken(model: Network, seed: int = 0) -> Network:
    """Give every weight a value, so that zero-initialised branches take part in a test."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if not parameter.any():
            with torch.no_grad():
                parameter.normal_(std=0.1, generator=generator)
    return model


def tiny_tokenizer(kind: str = "image", bottleneck: dict | None = None) -> VisualTokenizer:
    """A tokenizer of random weights in eval mode."""
    torch.manual_seed(0)
    encoder, decoder = tiny_image_configs() if kind == "image" else tiny_video_configs()
    tokenizer = VisualTokenizer(encoder, bottleneck or {"kind": "fsq"}, decoder)
    awaken(tokenizer)
    return tokenizer.eval()


def tiny_wetok(
    multipliers: tuple[int, ...] = (1, 1),
    generative: bool = False,
    times: tuple[int, ...] | None = None,
    seed: int = 0,
) -> VisualTokenizer:
    """A WeTok of two groups of four bits and random weights, in eval mode."""
    torch.manual_seed(seed)
    encoder, decoder = wetok_options(32, multipliers, 1, generative, times)
    quantizer = {"kind": "gq", "num_groups": 2, "bits_per_group": 4, "reduction": "reference"}
    tokenizer = VisualTokenizer(
        {"kind": "causal", **encoder}, quantizer, {"kind": "causal", **decoder}
    )
    return tokenizer.eval()
