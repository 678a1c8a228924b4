"""OneVAE against the reference's own tensors, through the converter and the public interface.

Tolerances: 1e-5 for latents, 1e-4 for reconstructions, 1e-4 of the largest entry for gradients,
indices exactly. Networks with first-frame enhancement, which are no tokenizers yet, are loaded by
the converter's names.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from parity import Case, find_cases
from vistok import Stage, VisualTokenizer
from vistok.models.blocks.stream_state import StreamState
from vistok.models.causal_autoencoder import CausalDecoder, CausalEncoder
from vistok.models.first_frame import FirstFrameDecoder, FirstFrameEncoder
from vistok.tokenizers.converters.onevae import (
    FIRST_FRAME,
    MODEL,
    OneVAEConverter,
    bare_state,
    build_tokenizer,
    ema_name,
    onevae_names,
)
from vistok.tokenizers.converters.onevae_quantizer import QuantSettings
from vistok.tokenizers.converters.wan_architecture import (
    WanArchitecture,
    architecture_of,
    infer_architecture,
)
from vistok.tokenizers.converters.wan_names import own_weights, reference_names, reference_shape

LATENTS = {"atol": 1e-5, "rtol": 0}
PIXELS = {"atol": 1e-4, "rtol": 0}
KINDS = {"continuous": "continuous", "discrete": "discrete_ste"}


@pytest.fixture
def folder(parity_folder) -> Path:
    return parity_folder / "onevae"


def is_network(case: Case) -> bool:
    return "model.encoder.conv1.weight" in case.weights()


def has_first_frame(case: Case) -> bool:
    return is_network(case) and any(n.startswith(FIRST_FRAME) for n in bare_state(case.weights()))


def is_whole_model(case: Case) -> bool:
    return is_network(case) and not has_first_frame(case)


def convert(case: Case, tmp_path: Path) -> VisualTokenizer:
    """The tokenizer in a case's weights, by way of a checkpoint and of a saved folder."""
    path = tmp_path / f"{case.path.stem}.ckpt"
    torch.save({"state_dict": case.weights()}, path)
    folder = tmp_path / case.path.stem
    OneVAEConverter(config=case.path.with_suffix(".json")).read(path).save(folder)
    return VisualTokenizer.from_pretrained(folder)


def from_images(frames: torch.Tensor, batch: int) -> torch.Tensor:
    """(B*t, C, h, w) -> (B, C, t, h, w)."""
    return frames.unflatten(0, (batch, -1)).movedim(1, 2)


def test_models_give_the_stored_latents_indices_and_reconstructions_on_both_paths(folder, tmp_path):
    for case in find_cases(folder, is_whole_model):
        tokenizer, expected = convert(case, tmp_path), case.tensors
        with torch.no_grad():
            e = tokenizer.encode(expected["input"])
            torch.testing.assert_close(e.latent, expected["latent"], **LATENTS)
            shown = tokenizer.decode_latents(e.latents)
            torch.testing.assert_close(shown, expected["recon_continuous"], **PIXELS)
            if not tokenizer.is_discrete:
                continue
            assert torch.equal(e.index.flatten(), expected["indices"].flatten())
            torch.testing.assert_close(e.code, expected["postquant"], **LATENTS)
            torch.testing.assert_close(tokenizer.decode(e.codes), expected["recon"], **PIXELS)
            decoded = tokenizer.decode_tokens(e.tokens, e.layout)
            torch.testing.assert_close(decoded, expected["recon"], **PIXELS)
            parts = tokenizer.decode_stream(e.code.split(1, dim=2))
            streamed = torch.cat(list(parts), dim=2)
            torch.testing.assert_close(streamed, expected["recon"], **PIXELS)


def test_gradients_of_pixels_and_weights_are_the_stored_ones(folder, tmp_path):
    def with_gradients(case: Case) -> bool:
        return is_whole_model(case) and "grad.w" in case.tensors

    for case in find_cases(folder, with_gradients):
        tokenizer = convert(case, tmp_path)
        ours = dict(tokenizer.named_parameters())
        names = onevae_names(tokenizer.state_dict(), architecture_of(tokenizer))
        theirs = {name: ours[own] for own, name in names.items() if own in ours}
        for path in tokenizer.paths:
            prefix = f"grad.{KINDS[path]}."
            stored = {
                name.removeprefix(prefix): tensor
                for name, tensor in case.tensors.items()
                if name.startswith(prefix)
            }
            pixels = case.tensors["input"].clone().requires_grad_(True)
            inputs = {
                name: {**theirs, "input": pixels}[name.removeprefix(MODEL)] for name in stored
            }
            recon = tokenizer(pixels, path=path).pixels
            loss = (recon * case.tensors["grad.w"]).mean()
            found = torch.autograd.grad(loss, list(inputs.values()))
            for (name, expected), gradient in zip(stored.items(), found, strict=True):
                error = (gradient.reshape(expected.shape) - expected).abs().max()
                assert error <= 1e-4 * expected.abs().max(), (path, name)


def test_training_files_give_the_averages_or_the_raw_weights(folder, tmp_path):
    """The sidecar says what each average is of its raw weight."""
    found = False
    for sidecar in sorted(folder.glob("*.json")):
        published = sidecar.with_suffix(".ckpt")
        if not published.exists():
            continue
        found = True
        state = bare_state(torch.load(published, weights_only=True)["state_dict"])
        converters = {kind: OneVAEConverter(kind, sidecar) for kind in ("ema", "raw")}
        for kind, converter in converters.items():
            conversion = converter.read(published)
            own = conversion.tokenizer.state_dict()
            names = onevae_names(own, architecture_of(conversion.tokenizer))
            assert conversion.used == len(names)
            assert conversion.used + sum(conversion.ignored.values()) == len(state)
            for ours, theirs in names.items():
                name = ema_name(theirs) if kind == "ema" and ema_name(theirs) in state else theirs
                assert torch.equal(own[ours].flatten(), state[name].flatten())
    if not found:
        pytest.skip(f"no training file in {folder}")


def test_what_was_converted_goes_back_under_the_published_names(folder, tmp_path):
    for case in find_cases(folder, is_whole_model):
        tokenizer = convert(case, tmp_path)
        if not tokenizer.is_discrete:
            continue
        path = OneVAEConverter().write(tokenizer, tmp_path / case.path.stem / "back")
        state, weights = torch.load(path, weights_only=True)["state_dict"], case.weights()
        assert weights.keys() - {"codebook_used"} == state.keys() - {"codebook_used"}
        for name in weights.keys() - {"codebook_used"}:
            assert torch.equal(state[name], weights[name]), name


# ---- first-frame enhancement ---------------------------------------------------------------------


def first_frame_networks(
    architecture: WanArchitecture,
) -> tuple[FirstFrameEncoder, FirstFrameDecoder]:
    encoder, decoder = (
        {**options, "stages": [Stage(**stage) for stage in options["stages"]]}
        for options in architecture.networks()
    )
    z = architecture.latent_channels
    inner = CausalDecoder(**decoder, in_channels=z)
    return (
        FirstFrameEncoder(CausalEncoder(**encoder, out_channels=2 * z)).eval(),
        FirstFrameDecoder(inner, z).eval(),
    )


def own_names(encoder: torch.nn.Module, decoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of both halves under the names that the converter knows."""
    return {
        f"{half}.{name.removeprefix('network.')}": tensor
        for half, module in (("encoder", encoder), ("decoder", decoder))
        for name, tensor in module.state_dict().items()
    }


def architecture_in(settings: dict[str, Any]) -> WanArchitecture:
    return WanArchitecture(
        width=settings["dim"],
        decoder_width=settings["dim"],
        multipliers=tuple(settings["dim_mult"]),
        temporal=tuple(settings["temperal_downsample"]),
        blocks=settings.get("num_res_blocks", 2),
        latent_channels=settings["z_dim"],
    )


def load_first_frame(case: Case) -> tuple[FirstFrameEncoder, FirstFrameDecoder, int]:
    architecture = architecture_in(case.sidecar["vae_params"])
    encoder, decoder = first_frame_networks(architecture)
    own = own_names(encoder, decoder)
    names = reference_names(own, architecture.levels, architecture.blocks)
    state = bare_state(case.weights())
    networks = {name for name in state if name.startswith(("encoder.", "decoder.", "conv"))}
    assert networks == set(names.values())
    weights = own_weights(names, state, own)
    assert weights.keys() == own.keys()
    for half, module in (("encoder", encoder), ("decoder", decoder)):
        inner = {f"{half}.{name.removeprefix('network.')}": name for name in module.state_dict()}
        module.load_state_dict({name: weights[ours] for ours, name in inner.items()}, strict=True)
    return encoder, decoder, architecture.latent_channels


@torch.no_grad()
def test_first_frame_enhancement_gives_the_stored_grids_and_reconstructions(folder):
    for case in find_cases(folder, has_first_frame):
        encoder, decoder, z = load_first_frame(case)
        expected = case.tensors
        parts = [part for part in ("first", "rest") if f"latent.{part}" in expected]
        grids = encoder(expected["input"])
        for part, grid in zip(parts, grids, strict=True):
            torch.testing.assert_close(grid[:, :z], expected[f"latent.{part}"], **LATENTS)
        for codes, name in (("postquant", "recon"), ("latent", "recon_continuous")):
            given = tuple(expected[f"{codes}.{part}"] for part in parts)
            torch.testing.assert_close(decoder(given), expected[name], **PIXELS)
            frames = given[1].split(1, dim=2) if len(given) > 1 else ()
            state = StreamState()
            streamed = [decoder(given[:1], state), *(decoder((f,), state) for f in frames)]
            torch.testing.assert_close(torch.cat(streamed, dim=2), expected[name], **PIXELS)
        for kind, codes in (("continuous", "latent"), ("discrete", "postquant")):
            if f"first_frame_only.{kind}" in expected:
                image = decoder((expected[f"{codes}.first"],))
                torch.testing.assert_close(image, expected[f"first_frame_only.{kind}"], **PIXELS)
        (alone,) = encoder(expected["input"][:, :, :1])
        torch.testing.assert_close(alone, grids[0], **LATENTS)


def test_first_frame_enhancement_is_refused_by_the_converter(folder, tmp_path):
    for case in find_cases(folder, has_first_frame):
        path = tmp_path / "x.ckpt"
        torch.save({"state_dict": case.weights()}, path)
        with pytest.raises(ValueError, match=r"first-frame enhancement .* need two grids"):
            OneVAEConverter(config=case.path.with_suffix(".json")).read(path)


# ---- published sizes -----------------------------------------------------------------------------


def full_size_lists(folder: Path) -> dict[str, Any]:
    path = folder / "full_size_state_dict_keys.json"
    if not path.exists():
        pytest.skip(f"no list of full-size names in {folder}")
    return json.loads(path.read_text())


def test_the_published_sizes_have_the_published_names_and_shapes(folder):
    for name, listed in full_size_lists(folder).items():
        shapes = {key: tuple(shape) for key, shape in listed["state_dict"].items()}
        with torch.device("meta"):
            state = {key: torch.empty(shape) for key, shape in shapes.items()}
        bare = bare_state(state)
        architecture = infer_architecture(bare, folder)
        assert architecture == architecture_in(listed["kwargs"]), name
        if any(key.startswith(FIRST_FRAME) for key in bare):
            with torch.device("meta"):
                own = own_names(*first_frame_networks(architecture))
        else:
            own = build_tokenizer(architecture, bare, QuantSettings()).state_dict()
        names = onevae_names(own, architecture)
        ours = {theirs: reference_shape(theirs, own[key]) for key, theirs in names.items()}
        kept = {
            key: tuple(tensor.shape)
            for key, tensor in bare.items()
            if key in ours or not key.startswith(("codebook_used", "quant", "post_quant"))
        }
        assert ours == kept, name
        assert sum(own[key].numel() for key in names if "bottleneck" not in key) == listed["params"]
