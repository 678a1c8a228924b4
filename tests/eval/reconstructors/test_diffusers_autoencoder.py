"""diffusers' autoencoders: the class's own forward pass, deterministic, at its true rate."""

import json
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_dc import AutoencoderDC
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_ltx import AutoencoderKLLTXVideo
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import (
    AutoencoderKLTemporalDecoder,
)
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.autoencoders.autoencoder_vidtok import AutoencoderVidTok
from diffusers.models.autoencoders.vq_model import VQModel

from vistok import evaluate
from vistok.data.pixels import to_pixels, to_uint8
from vistok.eval.reconstructors.catalog import open_reconstructors
from vistok.eval.reconstructors.diffusers_autoencoder import (
    DiffusersAutoencoder,
    open_diffusers,
    supported_autoencoders,
)

UNET: dict[str, Any] = {
    "block_out_channels": (8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "norm_num_groups": 4,
    "layers_per_block": 1,
}
TWICE_UP: dict[str, Any] = {"up_block_types": ("UpDecoderBlock2D",) * 2}
SVD = {
    "block_out_channels": (32, 32),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
}
LTX = {
    "latent_channels": 8,
    "block_out_channels": (8, 8),
    "decoder_block_out_channels": (8, 8),
    "down_block_types": ("LTXVideoDownBlock3D",) * 2,
    "layers_per_block": (1, 1, 1),
    "decoder_layers_per_block": (1, 1, 1),
    "spatio_temporal_scaling": (True, False),
    "decoder_spatio_temporal_scaling": (True, False),
    "decoder_inject_noise": (False, False, False),
    "downsample_type": ("conv", "conv"),
    "upsample_residual": (False, False),
    "upsample_factor": (1, 1),
    "patch_size": 2,
}
WAN = {"base_dim": 8, "z_dim": 4, "dim_mult": [1, 1], "num_res_blocks": 1}
WAN |= {"temperal_downsample": [True], "latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}
DC = {
    "latent_channels": 4,
    "attention_head_dim": 4,
    "encoder_block_types": "ResBlock",
    "decoder_block_types": "ResBlock",
    "encoder_block_out_channels": (8, 8),
    "decoder_block_out_channels": (8, 8),
    "encoder_layers_per_block": (1, 1),
    "decoder_layers_per_block": (1, 1),
    "encoder_qkv_multiscales": ((), ()),
    "decoder_qkv_multiscales": ((), ()),
}
TINY = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
TINY |= {"num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)}

VIDTOK = {"ch": 32, "ch_mult": [1, 1], "num_res_blocks": 1, "z_channels": 3}
VIDTOK |= {"spatial_ds": [0], "tempo_ds": [0], "spatial_us": [1], "tempo_us": [1]}
FSQ = {"double_z": False, "regularizer": "fsq", "codebook_size": 8**3}

# class, tiny config, latent values per pixel of an image
CASES = {
    "AutoencoderKL": (AutoencoderKL, {**UNET, **TWICE_UP, "latent_channels": 4}, 4 / 4),
    "AutoencoderKLTemporalDecoder": (AutoencoderKLTemporalDecoder, SVD, 4 / 4),
    "AutoencoderTiny": (AutoencoderTiny, TINY, 4 / 4),
    "AutoencoderDC": (AutoencoderDC, DC, 4 / 4),
    "AutoencoderKLWan": (AutoencoderKLWan, WAN, 4 / 4),
    "AutoencoderKLLTXVideo": (AutoencoderKLLTXVideo, LTX, 8 / 16),
    "denoising LTX": (AutoencoderKLLTXVideo, {**LTX, "timestep_conditioning": True}, 8 / 16),
    "AutoencoderVidTok": (AutoencoderVidTok, VIDTOK, 3 / 4),
}
FOR_CLIPS = ("AutoencoderKLWan", "AutoencoderKLLTXVideo", "denoising LTX", "AutoencoderVidTok")


def save(case: str, folder) -> str:
    cls, config, _ = CASES[case]
    torch.manual_seed(0)
    cls(**config).save_pretrained(folder)
    return f"diffusers:{cls.__name__}:{folder}"


def opened(spec: str) -> DiffusersAutoencoder:
    (reconstructor,) = open_reconstructors(spec)
    assert isinstance(reconstructor, DiffusersAutoencoder)
    return reconstructor


def noise(frames: int, side: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, frames, side, side), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("frames", [1, 9])
def test_a_class_reconstructs_images_and_clips_at_its_rate(case, frames, tmp_path):
    reconstructor = opened(save(case, tmp_path))
    clips = noise(frames)
    result = reconstructor.reconstruct(clips, ["a", "b"])
    again = reconstructor.reconstruct(clips, ["a", "b"])
    assert result.clips.shape == clips.shape
    assert torch.equal(result.clips, again.clips)
    if frames == 1 or case not in FOR_CLIPS:
        assert result.values_per_pixel == CASES[case][2]
        assert result.bits_per_pixel == (16 * CASES[case][2],) * 2
    assert result.latents is not None
    assert result.latents[0].shape[0] == 2
    assert reconstructor.parameters == sum(p.numel() for p in reconstructor.model.parameters())


def test_the_result_is_that_of_the_class_itself(tmp_path):
    reconstructor = opened(save("AutoencoderKL", tmp_path))
    clips = noise(1)
    with torch.no_grad():
        expected = reconstructor.model(to_pixels(clips[:, :, 0]), sample_posterior=False).sample
    assert torch.equal(
        reconstructor.reconstruct(clips, ["a", "b"]).clips[:, :, 0], to_uint8(expected)
    )


def test_frames_of_image_autoencoders_do_not_mix(tmp_path):
    reconstructor = opened(save("AutoencoderKL", tmp_path))
    clips = noise(3)
    whole = reconstructor.reconstruct(clips, ["a", "b"]).pixels
    assert whole is not None
    for t in range(3):
        frame = reconstructor.reconstruct(clips[:, :, t : t + 1].contiguous(), ["a", "b"]).pixels
        torch.testing.assert_close(whole[:, :, t : t + 1], frame, atol=1e-5, rtol=0)


def test_a_discrete_model_has_indices_and_the_rate_of_its_codebook(tmp_path):
    torch.manual_seed(0)
    VQModel(**UNET, **TWICE_UP, latent_channels=4, num_vq_embeddings=64).save_pretrained(tmp_path)
    (row,) = evaluate("samples:heldout", f"diffusers:VQModel:{tmp_path}", size=32)
    assert row.bits_per_pixel == 6 / 4
    assert 0 < row.metrics["codebook_usage"] <= 1
    reconstructor = opened(f"diffusers:VQModel:{tmp_path}")
    result = reconstructor.reconstruct(noise(1), ["a", "b"])
    assert result.indices is not None
    with torch.inference_mode():
        codes = reconstructor.model.quantize.embedding(result.indices[0][..., 0])
        frames = codes[:, 0].permute(0, 3, 1, 2)
        decoded = reconstructor.model.decode(frames, force_not_quantize=True).sample
    assert torch.equal(result.clips[:, :, 0], to_uint8(decoded))


@torch.inference_mode()
@pytest.mark.parametrize(("is_causal", "frames"), [(True, 9), (True, 1), (False, 16)])
def test_a_discrete_vidtok_has_indices_and_the_rate_of_its_codebook(is_causal, frames, tmp_path):
    torch.manual_seed(0)
    model = AutoencoderVidTok(**VIDTOK, **FSQ, is_causal=is_causal).eval()
    model.save_pretrained(tmp_path)
    reconstructor = opened(f"diffusers:AutoencoderVidTok:{tmp_path}")
    clips = noise(frames)
    result = reconstructor.reconstruct(clips, ["a", "b"])
    assert torch.equal(result.clips, to_uint8(model(to_pixels(clips)).sample))
    latent_frames = frames // 2 + is_causal
    assert result.bits_per_pixel == (9 * latent_frames / frames / 4,) * 2  # 9 bits of 512 codes
    assert result.values_per_pixel is None
    assert reconstructor.group_sizes == (512,)
    assert result.indices is not None
    (indices,) = result.indices
    assert indices.shape == (2, latent_frames, 16, 16, 1)
    decoded = model.decode(indices[..., 0], decode_from_indices=True)
    # the same codes, rebuilt in another order of the arithmetic
    torch.testing.assert_close(result.pixels, decoded.clamp(-1, 1), atol=1e-5, rtol=0)


def test_the_codes_of_a_discrete_vidtok_are_counted(tmp_path):
    torch.manual_seed(0)
    AutoencoderVidTok(**VIDTOK, **FSQ).save_pretrained(tmp_path)
    (row,) = evaluate("samples:heldout", f"diffusers:AutoencoderVidTok:{tmp_path}", size=32)
    assert row.bits_per_pixel == 9 / 4
    assert row.values_per_pixel is None
    assert 0 < row.metrics["codebook_usage"] <= 1
    assert row.code_use is not None
    assert row.code_use.nominal_bits_per_pixel == pytest.approx(row.bits_per_pixel)


def test_a_length_that_the_class_does_not_keep_is_refused(tmp_path):
    reconstructor = opened(save("AutoencoderKLWan", tmp_path))
    with pytest.raises(ValueError, match="returned 5 x 32 x 32 for 8 x 32 x 32"):
        reconstructor.reconstruct(noise(8), ["a", "b"])


def test_a_vae_inside_a_pipeline_folder_is_found(tmp_path):
    spec = save("AutoencoderTiny", tmp_path / "vae")
    assert opened(spec).parameters
    assert opened(f"diffusers:AutoencoderTiny:{tmp_path}").parameters


def test_wrong_words_and_wrong_files_are_refused(tmp_path):
    spec = save("AutoencoderKL", tmp_path / "kl")
    with pytest.raises(ValueError, match="did you mean AutoencoderKL"):
        open_diffusers("diffusers:AutoencoderLK:x", "cpu", torch.float32)
    with pytest.raises(ValueError, match="written diffusers:<Class>:<path or hub id>"):
        open_diffusers("diffusers:AutoencoderKL", "cpu", torch.float32)
    with pytest.raises(ValueError, match="contains a AutoencoderKL, not a VQModel"):
        open_diffusers(f"diffusers:VQModel:{tmp_path / 'kl'}", "cpu", torch.float32)
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        open_diffusers(f"diffusers:VQModel:{tmp_path / 'nothing'}", "cpu", torch.float32)
    config = tmp_path / "kl" / "config.json"
    changed = {**json.loads(config.read_text()), "layers_per_block": 2}
    config.write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=r"do not fit its config\.json"):
        open_diffusers(spec, "cpu", torch.float32)


def test_autoencoders_of_sound_and_proteins_are_not_offered():
    offered = supported_autoencoders()
    assert {"AutoencoderKL", "VQModel", "AutoencoderDC", "AutoencoderKLWan"} <= offered.keys()
    assert not [name for name in offered if "Audio" in name or "Oobleck" in name]
