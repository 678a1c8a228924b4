"""The published backbones as data: parameter counts of their specs, and the references' own
tensors.

Cases are found by what their sidecars say, never by file name. Names are mapped here by hand;
loading published checkpoints is the converters' work, as `test_wetok.py` shows for WeTok.
"""

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vistok import FSQ, KL, DualPath, MultiToken, Stage
from vistok.models.blocks.stream_state import StreamState
from vistok.models.causal_autoencoder import CausalDecoder, CausalEncoder
from vistok.models.first_frame import FirstFrameDecoder, FirstFrameEncoder
from vistok.models.published.ltx import ltx_090_options, ltx_095_options
from vistok.models.published.wan import wan_options
from vistok.tokenizers.bottlenecks.dual_path import paths_of

Tensors = dict[str, torch.Tensor]


def build(options, out_channels: int, in_channels: int) -> tuple[CausalEncoder, CausalDecoder]:
    encoder, decoder = ({**o, "stages": [Stage(**s) for s in o["stages"]]} for o in options)
    return (
        CausalEncoder(**encoder, out_channels=out_channels).eval(),
        CausalDecoder(**decoder, in_channels=in_channels).eval(),
    )


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


COUNTS = {
    "Wan 2.1": (wan_options(96, (1, 2, 4, 4), (False, True, True)), 32, 16, 53.60e6, 73.30e6),
    "LTX 0.9.0": (
        ltx_090_options((128, 256, 512, 512), (4, 3, 3, 3, 4), (4, 3, 3, 3, 4)),
        129,
        128,
        180.404e6,
        238.789e6,
    ),
    "LTX 0.9.5": (
        ltx_095_options(
            (128, 256, 512, 1024, 2048), (4, 6, 6, 2, 2), (1024, 512, 256, 128), (5, 5, 5, 5)
        ),
        129,
        128,
        694.099e6,
        552.815e6,
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_published_shapes_have_the_published_parameter_counts(name):
    options, out_channels, in_channels, encoder_count, decoder_count = COUNTS[name]
    with torch.device("meta"):
        encoder, decoder = build(options, out_channels, in_channels)
    # specs round to 10 k or 1 k where they give millions
    assert abs(count(encoder) - encoder_count) <= 5001
    assert abs(count(decoder) - decoder_count) <= 5001


def test_onevae_with_first_frame_enhancement_has_the_published_parameter_count():
    options = wan_options(96, (1, 2, 4, 4, 4), (False, True, True, True))
    with torch.device("meta"):
        encoder, decoder = build(options, 512, 256)
        first = FirstFrameDecoder(decoder, 256)
    assert encoder.quant_conv is not None
    assert decoder.post_quant_conv is not None
    inner = (
        count(encoder) - count(encoder.quant_conv),
        count(first) - count(decoder.post_quant_conv),
    )
    assert inner == (pytest.approx(76.27e6, abs=5001), pytest.approx(99.97e6, abs=5001))
    assert count(encoder) + count(first) == pytest.approx(176.57e6, abs=5001)


def cases(folder: Path, family: str, wanted) -> Iterator[tuple[dict, Tensors]]:
    """Sidecar and tensors of every case of a family that answers a question."""
    found = False
    for path in sorted((folder / family).glob("*.json")):
        sidecar = json.loads(path.read_text())
        if wanted(sidecar) and path.with_suffix(".safetensors").exists():
            found = True
            yield sidecar, load_file(path.with_suffix(".safetensors"))
    if not found:
        pytest.skip(f"no such {family} case in {folder}")


def load(module: torch.nn.Module, tensors: Tensors, rename, prefix: str) -> None:
    """Copy reference weights in by name; each must find its place, and each place be filled."""
    names = dict(module.named_parameters())
    weights = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            target = rename(name.removeprefix(prefix))
            if target is None:
                continue
            assert target in names, f"{name} -> {target}"
            weights[target] = tensor.reshape(names[target].shape)
    module.load_state_dict(weights, strict=True)


# ---- Wan and OneVAE ------------------------------------------------------------------------------


def residual_name(name: str) -> str:
    for theirs, ours in {
        "residual.0.gamma": "norm1.weight",
        "residual.2.": "conv1.",
        "residual.3.gamma": "norm2.weight",
        "residual.6.": "conv2.",
        "shortcut.": "shortcut.1.",
        "resample.1.": "resample.space.",
        "time_conv.": "resample.time.",
    }.items():
        name = name.replace(theirs, ours)
    return name


def wan_middle(name: str, stage: int) -> str:
    name = re.sub(r"^middle\.1\.norm\.gamma", f"stages.{stage}.attentions.0.norm.weight", name)
    name = re.sub(r"^middle\.1\.", f"stages.{stage}.attentions.0.", name)
    return re.sub(r"^middle\.(\d)\.", lambda m: f"stages.{stage}.blocks.{int(m[1]) // 2}.", name)


def wan_encoder_name(levels: int):
    def rename(name: str) -> str | None:
        if name.startswith("conv1."):
            return "quant_conv." + name.removeprefix("conv1.")
        if not name.startswith("encoder."):
            return None
        name = name.removeprefix("encoder.")
        if name.startswith("conv1."):
            return "conv_in." + name.removeprefix("conv1.")

        def place(match) -> str:
            level, inside = divmod(int(match[1]), 3)
            return f"stages.{level + 1}." + (f"blocks.{inside}." if inside < 2 else "")

        name = re.sub(r"^downsamples\.(\d+)\.", place, name)
        name = wan_middle(residual_name(name), levels + 1)
        return name.replace("head.0.gamma", "norm_out.weight").replace("head.2.", "conv_out.")

    return rename


def wan_decoder_name(levels: int):
    def rename(name: str) -> str | None:
        if name.startswith("conv2."):
            return "post_quant_conv." + name.removeprefix("conv2.")
        if not name.startswith("decoder."):
            return None
        name = name.removeprefix("decoder.")
        if name.startswith("conv1."):
            return "conv_in." + name.removeprefix("conv1.")

        def place(match) -> str:
            level, inside = divmod(int(match[1]), 4)
            return f"stages.{level + 1}." + (f"blocks.{inside}." if inside < 3 else "")

        name = re.sub(r"^upsamples\.(\d+)\.", place, name)
        name = wan_middle(residual_name(name), 0)
        return name.replace("head.0.gamma", "norm_out.weight").replace("head.2.", "conv_out.")

    return rename


def wan_case(sidecar: dict, tensors: Tensors) -> tuple[CausalEncoder, CausalDecoder, int]:
    params = sidecar["vae_params"]
    options = wan_options(
        params["dim"], params["dim_mult"], params["temperal_downsample"], params["num_res_blocks"]
    )
    z = params["z_dim"]
    encoder, decoder = build(options, 2 * z, z)
    load(encoder, tensors, wan_encoder_name(len(params["dim_mult"])), "sd.model.")
    return encoder, decoder, z


def whole_wan_case(sidecar: dict, tensors: Tensors) -> tuple[CausalEncoder, CausalDecoder, int]:
    """With the decoder's weights, too, where its names are Wan's alone."""
    encoder, decoder, z = wan_case(sidecar, tensors)
    load(decoder, tensors, wan_decoder_name(len(sidecar["vae_params"]["dim_mult"])), "sd.model.")
    return encoder, decoder, z


def is_first_frame(sidecar: dict) -> bool:
    return "hybrid" in sidecar.get("target", "")


def test_onevae_gives_the_stored_latents_and_reconstructions(parity_folder):
    def plain(sidecar) -> bool:
        return "vae_params" in sidecar and not is_first_frame(sidecar)

    for sidecar, tensors in cases(parity_folder, "onevae", plain):
        encoder, decoder, z = whole_wan_case(sidecar, tensors)
        with torch.no_grad():
            latents = encoder(tensors["input"])[:, :z]
            torch.testing.assert_close(latents, tensors["latent"], atol=1e-5, rtol=0)
            recon = decoder(tensors["postquant"])
            torch.testing.assert_close(recon, tensors["recon"], atol=1e-4, rtol=0)
            state = StreamState()
            streamed = [decoder(frame, state) for frame in tensors["postquant"].split(1, dim=2)]
            torch.testing.assert_close(
                torch.cat(streamed, dim=2), tensors["recon"], atol=1e-4, rtol=0
            )


def test_onevae_gives_the_stored_codes_and_gradients_on_both_paths(parity_folder):
    """One network; only the discrete path goes through the linear layers and FSQ."""

    def with_gradients(sidecar) -> bool:
        return "grad_note" in sidecar and not is_first_frame(sidecar)

    for sidecar, tensors in cases(parity_folder, "onevae", with_gradients):
        encoder, decoder, z = whole_wan_case(sidecar, tensors)
        levels = sidecar["quant_config"]["levels"]
        tokens = sidecar["quant_config"]["num_codebooks"]
        bottleneck = DualPath(
            continuous=KL(latent_channels=z, kl_weight=0.0),
            quantizer=MultiToken(partial(FSQ, levels), num_tokens=tokens, dim=z),
        ).eval()
        linear = {"quant_conv": "project_in", "post_quant_conv": "project_out"}
        bottleneck.quantizer.load_state_dict(
            {
                f"{ours}.{kind}": tensors[f"sd.{theirs}.{kind}"]
                for theirs, ours in linear.items()
                for kind in ("weight", "bias")
            }
        )
        pixels = tensors["input"].clone().requires_grad_(True)
        for path, taken in paths_of(bottleneck).items():
            result = taken(encoder(pixels).movedim(1, -1))
            recon = decoder(result.codes.movedim(-1, 1))
            if path == "discrete":
                indices = tensors["indices"].unflatten(0, (len(pixels), -1))
                assert torch.equal(result.indices, indices)
            name = {"discrete": "recon", "continuous": "recon_continuous"}[path]
            torch.testing.assert_close(recon, tensors[name], atol=1e-4, rtol=0)
            weights = {"input": pixels}
            if path == "discrete":
                projections = dict(bottleneck.quantizer.named_parameters())
                weights |= {
                    f"{theirs}.weight": projections[f"{ours}.weight"]
                    for theirs, ours in linear.items()
                }
            loss = (recon * tensors["grad.w"]).mean()
            kind = "discrete_ste" if path == "discrete" else path
            for name, gradient in zip(
                weights, torch.autograd.grad(loss, list(weights.values())), strict=True
            ):
                expected = tensors[f"grad.{kind}.{name}"]
                error = (gradient - expected).abs().max()
                assert error <= 1e-4 * expected.abs().max(), (path, name)


def test_first_frame_enhancement_gives_the_stored_grids_and_reconstructions(parity_folder):
    for sidecar, tensors in cases(parity_folder, "onevae", is_first_frame):
        encoder, decoder, z = wan_case(sidecar, tensors)
        rename = wan_decoder_name(len(sidecar["vae_params"]["dim_mult"]))

        def with_first_frame(name: str, rename=rename) -> str | None:
            if "downsample_highres_first" in name:
                return "downsample_first.space." + name.rpartition(".")[2]
            if "upsample_highres" in name:
                return "widen_first." + name.rpartition(".")[2]
            target = rename(name)
            return None if target is None else "network." + target

        first_decoder = FirstFrameDecoder(decoder, z).eval()
        load(first_decoder, tensors, with_first_frame, "sd.model.")
        first_encoder = FirstFrameEncoder(encoder)
        with torch.no_grad():
            first, rest = (grid[:, :z] for grid in first_encoder(tensors["input"]))
            torch.testing.assert_close(first, tensors["latent.first"], atol=1e-5, rtol=0)
            torch.testing.assert_close(rest, tensors["latent.rest"], atol=1e-5, rtol=0)
            grids = tensors["postquant.first"], tensors["postquant.rest"]
            recon = first_decoder(grids)
            torch.testing.assert_close(recon, tensors["recon"], atol=1e-4, rtol=0)
            image = first_decoder(grids[:1])
            expected = tensors["first_frame_only.discrete"]
            torch.testing.assert_close(image, expected, atol=1e-4, rtol=0)
            (alone,) = first_encoder(tensors["input"][:, :, :1])
            torch.testing.assert_close(alone[:, :z], first, atol=1e-5, rtol=0)
            state = StreamState()
            parts = [first_decoder(grids[:1], state)]
            parts += [first_decoder((frame,), state) for frame in grids[1].split(1, dim=2)]
            torch.testing.assert_close(torch.cat(parts, dim=2), recon, atol=1e-4, rtol=0)


# ---- LTX -----------------------------------------------------------------------------------------


def ltx_090_names(config: dict) -> tuple[dict[str, str], dict[str, str]]:
    """Prefixes of the reference's parts to ours, in both halves."""
    encoder, decoder = {}, {}
    blocks, widths = config["layers_per_block"], config["block_out_channels"]
    offset = 0
    for level in range(4):
        for index in range(blocks[level]):
            encoder[f"down_blocks.{level}.resnets.{index}"] = (
                f"stages.{level}.blocks.{offset + index}"
            )
        if level < 3:
            encoder[f"down_blocks.{level}.downsamplers.0"] = f"stages.{level}.resample.conv"
            widens = widths[level + 1] != widths[level]
            encoder[f"down_blocks.{level}.conv_out"] = f"stages.{level + 1}.blocks.0"
            offset = int(widens)
    for index in range(blocks[4]):
        encoder[f"mid_block.resnets.{index}"] = f"stages.3.blocks.{offset + blocks[3] + index}"

    blocks = list(reversed(config["decoder_layers_per_block"]))
    for index in range(blocks[0]):
        decoder[f"mid_block.resnets.{index}"] = f"stages.0.blocks.{index}"
    for index in range(blocks[1]):
        decoder[f"up_blocks.0.resnets.{index}"] = f"stages.0.blocks.{blocks[0] + index}"
    for level in (1, 2, 3):
        decoder[f"up_blocks.{level}.conv_in"] = f"stages.{2 * level - 1}.blocks.0"
        decoder[f"up_blocks.{level}.upsamplers.0"] = f"stages.{2 * level - 1}.resample"
        for index in range(blocks[level + 1]):
            decoder[f"up_blocks.{level}.resnets.{index}"] = f"stages.{2 * level}.blocks.{index}"
    return encoder, decoder


def by_prefix(prefixes: dict[str, str]):
    def rename(name: str) -> str:
        for theirs, ours in prefixes.items():
            if name.startswith(theirs + "."):
                name = ours + name.removeprefix(theirs)
                break
        name = name.replace("norm3.", "shortcut.0.").replace("conv_shortcut.", "shortcut.1.")
        # their convolutions sit inside a padding module of their own, our resampling ones do too
        return re.sub(r"(?<!resample)\.conv\.(weight|bias)$", r".\1", name)

    return rename


def is_ltx_090(sidecar: dict) -> bool:
    config = sidecar.get("config", {})
    return (
        sidecar.get("kind") == "diffusers.AutoencoderKLLTXVideo"
        and config.get("downsample_type") == ["conv"] * 4
        and not config.get("timestep_conditioning")
    )


def test_ltx_gives_the_stored_moments_and_reconstructions(parity_folder):
    for sidecar, tensors in cases(parity_folder, "ltx", is_ltx_090):
        config = sidecar["config"]
        options = ltx_090_options(
            config["block_out_channels"],
            config["layers_per_block"],
            config["decoder_layers_per_block"],
        )
        z = config["latent_channels"]
        encoder, decoder = build(options, z + 1, z)
        encoder_names, decoder_names = ltx_090_names(config)
        load(encoder, tensors, by_prefix(encoder_names), "sd.encoder.")
        load(decoder, tensors, by_prefix(decoder_names), "sd.decoder.")
        with torch.no_grad():
            moments = encoder(tensors["x"])
            mean, logvar = moments[:, :z], moments[:, z:].expand(-1, z, -1, -1, -1)
            torch.testing.assert_close(mean, tensors["enc_mean"], atol=2e-5, rtol=0)
            torch.testing.assert_close(logvar, tensors["enc_logvar"], atol=2e-5, rtol=0)
            torch.testing.assert_close(decoder(tensors["z"]), tensors["dec"], atol=2e-5, rtol=0)
