"""The published backbones as data: parameter counts of their specs, and the references' own
tensors.

Cases are found by what their sidecars say, never by file name. LTX's names are mapped here by hand;
those of WeTok and OneVAE, which have converters, are compared in `test_wetok.py` and
`test_onevae.py`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vistok import Stage
from vistok.models.causal_autoencoder import CausalDecoder, CausalEncoder
from vistok.models.first_frame import FirstFrameDecoder
from vistok.models.published.ltx import ltx_090_options, ltx_095_options
from vistok.models.published.wan import wan_options

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
