"""Tiny random autoencoders of diffusers, one or more for every class that vistok takes.

`TINY` names options of a class and a small clip for it; `build` makes the model. Weights that
diffusers starts at zero, and statistics of latents, are random, so that none hides what it does.
"""

from typing import Any, NamedTuple

import torch
from diffusers.models import autoencoders


class Tiny(NamedTuple):
    """A tiny model: class, options, and a clip (T, H, W) that it takes."""

    name: str
    options: dict[str, Any]
    clip: tuple[int, int, int]


# Options that several classes share.
IMAGE = {
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "block_out_channels": [8, 8, 16],
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "sample_size": 32,
}
STATISTICS = {"latents_mean": [0.3, -0.2, 0.1, -0.4], "latents_std": [1.5, 0.7, 2.0, 0.9]}

_ALL = {
    "AsymmetricAutoencoderKL": Tiny(
        "AsymmetricAutoencoderKL",
        {
            "down_block_types": ["DownEncoderBlock2D"] * 3,
            "down_block_out_channels": [8, 8, 16],
            "layers_per_down_block": 1,
            "up_block_types": ["UpDecoderBlock2D"] * 3,
            "up_block_out_channels": [8, 16, 16],
            "layers_per_up_block": 1,
            "latent_channels": 4,
            "norm_num_groups": 4,
            "sample_size": 32,
            "scaling_factor": 0.5,
        },
        (1, 32, 32),
    ),
    "AutoencoderDC": Tiny(
        "AutoencoderDC",
        {
            "latent_channels": 4,
            "attention_head_dim": 4,
            "encoder_block_types": ["ResBlock", "ResBlock", "EfficientViTBlock"],
            "decoder_block_types": ["ResBlock", "ResBlock", "EfficientViTBlock"],
            "encoder_block_out_channels": [8, 8, 16],
            "decoder_block_out_channels": [8, 8, 16],
            "encoder_layers_per_block": [1] * 3,
            "decoder_layers_per_block": [1] * 3,
            "encoder_qkv_multiscales": [[], [], [5]],
            "decoder_qkv_multiscales": [[], [], [5]],
            "scaling_factor": 0.5,
        },
        (1, 32, 32),
    ),
    "AutoencoderKL": Tiny(
        "AutoencoderKL", {**IMAGE, "scaling_factor": 0.5, "shift_factor": 0.1}, (1, 32, 32)
    ),
    "AutoencoderKL mean std": Tiny(
        "AutoencoderKL", {**IMAGE, "scaling_factor": 0.5, **STATISTICS}, (1, 32, 32)
    ),
    "AutoencoderKL no quant conv": Tiny(
        "AutoencoderKL",
        {
            **IMAGE,
            "scaling_factor": 0.5,
            "shift_factor": 0.1,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
            "mid_block_add_attention": False,
            "force_upcast": False,
        },
        (1, 32, 32),
    ),
    "AutoencoderKLFlux2": Tiny("AutoencoderKLFlux2", {**IMAGE}, (1, 32, 32)),
    "AutoencoderKLHunyuanImage": Tiny(
        "AutoencoderKLHunyuanImage",
        {
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 4,
            "block_out_channels": [32] * 3,
            "layers_per_block": 1,
            "spatial_compression_ratio": 4,
            "sample_size": 32,
            "scaling_factor": 0.5,
        },
        (1, 32, 32),
    ),
    "AutoencoderKLKVAE": Tiny(
        "AutoencoderKLKVAE",
        {
            "channels": 32,
            "num_enc_blocks": 1,
            "num_dec_blocks": 1,
            "z_channels": 4,
            "ch_mult": [1] * 3,
            "sample_size": 32,
        },
        (1, 32, 32),
    ),
    "AutoencoderTiny": Tiny(
        "AutoencoderTiny",
        {
            "encoder_block_out_channels": [8] * 3,
            "decoder_block_out_channels": [8] * 3,
            "num_encoder_blocks": [1] * 3,
            "num_decoder_blocks": [1] * 3,
            "latent_channels": 4,
            "latent_magnitude": 3,
            "latent_shift": 0.5,
            "scaling_factor": 0.5,
            "shift_factor": 0.1,
        },
        (1, 32, 32),
    ),
    "VQModel": Tiny(
        "VQModel",
        {**IMAGE, "num_vq_embeddings": 32, "vq_embed_dim": 3, "scaling_factor": 0.5},
        (1, 32, 32),
    ),
    "VQModel spatial": Tiny(
        "VQModel",
        {
            "down_block_types": ["DownEncoderBlock2D"] * 3,
            "up_block_types": ["UpDecoderBlock2D"] * 3,
            "block_out_channels": [32] * 3,
            "layers_per_block": 1,
            "latent_channels": 4,
            "sample_size": 32,
            "num_vq_embeddings": 32,
            "norm_num_groups": 32,
            "vq_embed_dim": 4,
            "norm_type": "spatial",
            "scaling_factor": 0.5,
        },
        (1, 32, 32),
    ),
    "Kandinsky6SRVAE": Tiny(
        "Kandinsky6SRVAE",
        {
            "latent_channels": 4,
            "encoder_block_out_channels": [4, 8, 16],
            "decoder_block_out_channels": [4, 8, 16],
            "layers_per_block": 1,
            "temporal_compression_ratio": 2,
            "temporal_compression_start_level": 1,
            "scaling_factor": 0.5,
        },
        (5, 16, 16),
    ),
    "AutoencoderKLAllegro": Tiny(
        "AutoencoderKLAllegro",
        {
            "down_block_types": ["AllegroDownBlock3D"] * 3,
            "up_block_types": ["AllegroUpBlock3D"] * 3,
            "block_out_channels": [4, 4, 8],
            "temporal_downsample_blocks": [True, False, False],
            "temporal_upsample_blocks": [False, True, False],
            "latent_channels": 4,
            "layers_per_block": 1,
            "norm_num_groups": 2,
            "temporal_compression_ratio": 2,
            "sample_size": 32,
            "scaling_factor": 0.5,
        },
        (4, 16, 16),
    ),
    "AutoencoderKLCogVideoX": Tiny(
        "AutoencoderKLCogVideoX",
        {
            "down_block_types": ["CogVideoXDownBlock3D"] * 3,
            "up_block_types": ["CogVideoXUpBlock3D"] * 3,
            "block_out_channels": [4, 4, 8],
            "latent_channels": 4,
            "layers_per_block": 1,
            "norm_num_groups": 2,
            "temporal_compression_ratio": 4,
            "sample_height": 32,
            "sample_width": 32,
            "scaling_factor": 0.5,
        },
        (9, 16, 16),
    ),
    "AutoencoderKLCogVideoX invert": Tiny(
        "AutoencoderKLCogVideoX",
        {
            "down_block_types": ["CogVideoXDownBlock3D"] * 3,
            "up_block_types": ["CogVideoXUpBlock3D"] * 3,
            "block_out_channels": [4, 4, 8],
            "latent_channels": 4,
            "layers_per_block": 1,
            "norm_num_groups": 2,
            "temporal_compression_ratio": 2,
            "sample_height": 32,
            "sample_width": 32,
            "scaling_factor": 0.5,
            "invert_scale_latents": True,
        },
        (5, 16, 16),
    ),
    "AutoencoderKLCosmos": Tiny(
        "AutoencoderKLCosmos",
        {
            "latent_channels": 4,
            "encoder_block_out_channels": [8] * 4,
            "decode_block_out_channels": [8] * 4,
            "attention_resolutions": [8],
            "resolution": 16,
            "num_layers": 1,
            "patch_size": 2,
            "patch_type": "haar",
            "scaling_factor": 0.5,
            "spatial_compression_ratio": 4,
            "temporal_compression_ratio": 4,
            "latents_mean": [
                -0.3,
                -0.25,
                -0.19999999999999998,
                -0.14999999999999997,
                -0.09999999999999998,
                -0.04999999999999999,
                5.551115123125783e-17,
                0.050000000000000044,
                0.10000000000000003,
                0.15000000000000002,
                0.2,
                0.25000000000000006,
                0.3000000000000001,
                0.35000000000000003,
                0.4000000000000001,
                0.45,
            ],
            "latents_std": [
                0.5,
                0.6,
                0.7,
                0.8,
                0.9,
                1.0,
                1.1,
                1.2000000000000002,
                1.3,
                1.4,
                1.5,
                1.6,
                1.7000000000000002,
                1.8,
                1.9000000000000001,
                2.0,
            ],
        },
        (5, 16, 16),
    ),
    "AutoencoderKLHunyuanVideo": Tiny(
        "AutoencoderKLHunyuanVideo",
        {
            "down_block_types": ["HunyuanVideoDownBlock3D"] * 3,
            "up_block_types": ["HunyuanVideoUpBlock3D"] * 3,
            "block_out_channels": [4, 4, 8],
            "layers_per_block": 1,
            "latent_channels": 4,
            "norm_num_groups": 2,
            "scaling_factor": 0.5,
            "spatial_compression_ratio": 4,
            "temporal_compression_ratio": 4,
        },
        (5, 16, 16),
    ),
    "AutoencoderKLHunyuanVideo15": Tiny(
        "AutoencoderKLHunyuanVideo15",
        {
            "latent_channels": 4,
            "block_out_channels": [8, 8, 16],
            "layers_per_block": 1,
            "spatial_compression_ratio": 4,
            "temporal_compression_ratio": 2,
            "scaling_factor": 0.5,
        },
        (5, 16, 16),
    ),
    "AutoencoderKLKVAEVideo": Tiny(
        "AutoencoderKLKVAEVideo",
        {
            "ch": 32,
            "ch_mult": [1] * 3,
            "num_res_blocks": 1,
            "z_channels": 4,
            "temporal_compress_times": 2,
        },
        (17, 16, 16),
    ),
    "AutoencoderKLLTXVideo": Tiny(
        "AutoencoderKLLTXVideo",
        {
            "latent_channels": 4,
            "block_out_channels": [8] * 3,
            "down_block_types": ["LTXVideoDownBlock3D"] * 3,
            "decoder_block_out_channels": [8] * 3,
            "layers_per_block": [1] * 4,
            "decoder_layers_per_block": [1] * 4,
            "spatio_temporal_scaling": [True, True, False],
            "decoder_spatio_temporal_scaling": [True, True, False],
            "decoder_inject_noise": [False] * 4,
            "downsample_type": ["conv"] * 3,
            "upsample_residual": [False] * 3,
            "upsample_factor": [1] * 3,
            "timestep_conditioning": False,
            "patch_size": 2,
            "patch_size_t": 1,
            "scaling_factor": 0.5,
        },
        (5, 16, 16),
    ),
    "AutoencoderKLLTXVideo 0.9.5": Tiny(
        "AutoencoderKLLTXVideo",
        {
            "latent_channels": 4,
            "block_out_channels": [8, 8, 8, 16],
            "down_block_types": ["LTXVideo095DownBlock3D"] * 3,
            "decoder_block_out_channels": [8, 16],
            "layers_per_block": [1] * 4,
            "decoder_layers_per_block": [1] * 3,
            "spatio_temporal_scaling": [True] * 3,
            "decoder_spatio_temporal_scaling": [True, True],
            "decoder_inject_noise": [False] * 3,
            "downsample_type": ["spatial", "temporal", "spatiotemporal"],
            "upsample_residual": [True, True],
            "upsample_factor": [2, 2],
            "timestep_conditioning": True,
            "patch_size": 2,
            "patch_size_t": 1,
            "scaling_factor": 0.5,
            "spatial_compression_ratio": 8,
            "temporal_compression_ratio": 4,
        },
        (5, 16, 16),
    ),
    "AutoencoderKLLTXVideo noise": Tiny(
        "AutoencoderKLLTXVideo",
        {
            "latent_channels": 4,
            "block_out_channels": [8] * 3,
            "down_block_types": ["LTXVideoDownBlock3D"] * 3,
            "decoder_block_out_channels": [8] * 3,
            "layers_per_block": [1] * 4,
            "decoder_layers_per_block": [1] * 4,
            "spatio_temporal_scaling": [True, True, False],
            "decoder_spatio_temporal_scaling": [True, True, False],
            "decoder_inject_noise": [True, True, True, False],
            "downsample_type": ["conv"] * 3,
            "upsample_residual": [False] * 3,
            "upsample_factor": [1] * 3,
            "timestep_conditioning": True,
            "patch_size": 2,
            "patch_size_t": 1,
            "scaling_factor": 0.5,
        },
        (5, 16, 16),
    ),
    "AutoencoderKLLTX2Video": Tiny(
        "AutoencoderKLLTX2Video",
        {
            "latent_channels": 4,
            "block_out_channels": [8, 16],
            "down_block_types": ["LTX2VideoDownBlock3D", "LTX2VideoDownBlock3D"],
            "decoder_block_out_channels": [8, 16],
            "layers_per_block": [1] * 3,
            "decoder_layers_per_block": [1] * 3,
            "spatio_temporal_scaling": [True, True],
            "decoder_spatio_temporal_scaling": [True, True],
            "decoder_inject_noise": [False] * 3,
            "downsample_type": ["spatiotemporal", "spatiotemporal"],
            "upsample_type": ["spatiotemporal", "spatiotemporal"],
            "upsample_residual": [True, True],
            "upsample_factor": [2, 2],
            "patch_size": 2,
            "patch_size_t": 1,
            "scaling_factor": 0.5,
            "encoder_spatial_padding_mode": "zeros",
            "decoder_spatial_padding_mode": "reflect",
        },
        (5, 16, 16),
    ),
    "AutoencoderKLMagvit": Tiny(
        "AutoencoderKLMagvit",
        {
            "latent_channels": 4,
            "block_out_channels": [4, 4, 8, 8],
            "down_block_types": [
                "SpatialDownBlock3D",
                "SpatialTemporalDownBlock3D",
                "SpatialTemporalDownBlock3D",
                "SpatialTemporalDownBlock3D",
            ],
            "up_block_types": [
                "SpatialUpBlock3D",
                "SpatialTemporalUpBlock3D",
                "SpatialTemporalUpBlock3D",
                "SpatialTemporalUpBlock3D",
            ],
            "layers_per_block": 1,
            "norm_num_groups": 2,
            "scaling_factor": 0.5,
            "spatial_group_norm": True,
        },
        (5, 16, 16),
    ),
    "AutoencoderKLMochi": Tiny(
        "AutoencoderKLMochi",
        {
            "in_channels": 15,
            "out_channels": 3,
            "encoder_block_out_channels": [32] * 3,
            "decoder_block_out_channels": [32] * 3,
            "latent_channels": 4,
            "layers_per_block": [1] * 4,
            "temporal_expansions": [1, 2],
            "spatial_expansions": [2, 2],
            "add_attention_block": [False, True, True, True],
            "scaling_factor": 0.5,
            **STATISTICS,
        },
        (5, 16, 16),
    ),
    "AutoencoderKLQwenImage": Tiny(
        "AutoencoderKLQwenImage",
        {
            "base_dim": 8,
            "z_dim": 4,
            "dim_mult": [1, 1, 2],
            "num_res_blocks": 1,
            "temperal_downsample": [True, True],
            **STATISTICS,
        },
        (5, 16, 16),
    ),
    "AutoencoderKLTemporalDecoder": Tiny(
        "AutoencoderKLTemporalDecoder",
        {
            "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"],
            "block_out_channels": [32, 32],
            "layers_per_block": 1,
            "latent_channels": 4,
            "sample_size": 32,
            "scaling_factor": 0.5,
            "force_upcast": True,
        },
        (4, 16, 16),
    ),
    "AutoencoderKLWan": Tiny(
        "AutoencoderKLWan",
        {
            "base_dim": 8,
            "z_dim": 4,
            "dim_mult": [1, 1, 2],
            "num_res_blocks": 1,
            "temperal_downsample": [True, True],
            "scale_factor_temporal": 4,
            "scale_factor_spatial": 4,
            **STATISTICS,
        },
        (5, 16, 16),
    ),
    "AutoencoderKLWan residual": Tiny(
        "AutoencoderKLWan",
        {
            "base_dim": 8,
            "decoder_base_dim": 12,
            "z_dim": 4,
            "dim_mult": [1, 2, 2],
            "num_res_blocks": 1,
            "temperal_downsample": [True, True],
            "is_residual": True,
            "in_channels": 12,
            "out_channels": 12,
            "patch_size": 2,
            "scale_factor_temporal": 4,
            "scale_factor_spatial": 8,
            **STATISTICS,
        },
        (5, 16, 16),
    ),
    "AutoencoderVidTok": Tiny(
        "AutoencoderVidTok",
        {
            "ch": 8,
            "ch_mult": [1] * 4,
            "z_channels": 4,
            "double_z": True,
            "num_res_blocks": 1,
            "regularizer": "kl",
            "is_causal": True,
            "spatial_ds": [0, 1, 2],
            "spatial_us": [1, 2, 3],
            "tempo_ds": [1, 2],
            "tempo_us": [1, 2],
        },
        (5, 16, 16),
    ),
    "AutoencoderVidTok fsq": Tiny(
        "AutoencoderVidTok",
        {
            "ch": 8,
            "ch_mult": [1] * 4,
            "z_channels": 3,
            "double_z": False,
            "num_res_blocks": 1,
            "regularizer": "fsq",
            "codebook_size": 512,
            "is_causal": True,
            "spatial_ds": [0, 1, 2],
            "spatial_us": [1, 2, 3],
            "tempo_ds": [1, 2],
            "tempo_us": [1, 2],
        },
        (5, 16, 16),
    ),
    "AutoencoderVidTok noncausal": Tiny(
        "AutoencoderVidTok",
        {
            "ch": 8,
            "ch_mult": [1] * 4,
            "z_channels": 4,
            "double_z": True,
            "num_res_blocks": 1,
            "regularizer": "kl",
            "is_causal": False,
            "spatial_ds": [0, 1, 2],
            "spatial_us": [1, 2, 3],
            "tempo_ds": [1, 2],
            "tempo_us": [1, 2],
        },
        (8, 16, 16),
    ),
}
# Those that the installed diffusers has.
TINY = {case: tiny for case, tiny in _ALL.items() if hasattr(autoencoders, tiny.name)}


def build(case: str, seed: int = 0) -> Any:
    """Make the model of a case in eval mode."""
    name, options, _ = TINY[case]
    torch.manual_seed(seed)
    model = getattr(autoencoders, name)(**options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.numel() > 1 and not parameter.any():
                parameter.normal_(0, 0.05)
        for buffer, value in model.named_buffers():
            if buffer.endswith(("latents_mean", "running_mean")):
                value.normal_(0, 0.3)
            if buffer.endswith(("latents_std", "running_var")):
                value.uniform_(0.5, 2.0)
    return model


def save(case: str, folder: Any) -> str:
    """Save the model of a case, and return the name by which vistok opens it."""
    build(case).save_pretrained(folder)
    return f"diffusers:{TINY[case].name}:{folder}"


def pixels(case: str, batch: int = 2) -> torch.Tensor:
    """Return random clips (B, 3, T, H, W) for a case."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 3, *TINY[case].clip, generator=generator) * 2 - 1
