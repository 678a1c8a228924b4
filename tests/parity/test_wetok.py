"""WeTok against the reference's own tensors, through the converter and the public interface.

The tolerances are those that the reference's own rounding leaves: 2e-5 for latents, 5e-5 for
pictures, indices exactly.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from parity import Case, find_cases
from vistok import GQ, VisualTokenizer
from vistok.models.blocks.adaptive_norm import AdaptiveGroupNorm
from vistok.models.blocks.block_config import BlockConfig
from vistok.models.blocks.causal_conv import CausalConv3d
from vistok.models.blocks.conditions import Conditions
from vistok.models.blocks.patchify import depth_to_space
from vistok.models.blocks.residual_block import ResidualBlock
from vistok.models.blocks.stage import Stage
from vistok.models.blocks.upsample import DepthToSpaceUp
from vistok.tokenizers.converters.wetok import WeTokConverter
from vistok.tokenizers.decode_options import DecodeOptions

LATENTS = {"atol": 2e-5, "rtol": 0}
PIXELS = {"atol": 5e-5, "rtol": 0}


@pytest.fixture
def folder(parity_folder) -> Path:
    return parity_folder / "wetok"


def with_time(x: torch.Tensor) -> torch.Tensor:
    return x.unsqueeze(2) if x.ndim == 4 else x


def bits_per_group(sidecar: object) -> int:
    """log2 of `n_embed`, wherever the sidecar says it."""

    def values(tree: object) -> Iterator[int]:
        if isinstance(tree, dict):
            for key, value in tree.items():
                if key == "n_embed":
                    yield value
                yield from values(value)

    return int(math.log2(next(values(sidecar), 256)))


def convert(case: Case, tmp_path: Path, weights: str = "ema") -> VisualTokenizer:
    """The tokenizer in a case's weights, by way of a checkpoint and of a saved folder."""
    path = tmp_path / f"{case.path.stem}.ckpt"
    torch.save({"state_dict": case.weights()}, path)
    converter = WeTokConverter(weights, bits_per_group(case.sidecar))
    folder = tmp_path / f"{case.path.stem}-{weights}"
    converter.read(path).save(folder)
    return VisualTokenizer.from_pretrained(folder)


def check(tokenizer: VisualTokenizer, case: Case, answers: str = "") -> None:
    """Every tensor that the reference stored below `answers` comes out."""
    expected = {
        name.removeprefix(answers): with_time(tensor)
        for name, tensor in case.tensors.items()
        if name.startswith(answers)
    }
    noise = expected.get("noise", case.tensors.get("noise"))
    options: DecodeOptions = {} if noise is None else {"noise": with_time(noise)}
    with torch.no_grad():
        e = tokenizer.encode(with_time(case.tensors["input"]))
        torch.testing.assert_close(e.latent, expected["latent"], **LATENTS)
        torch.testing.assert_close(e.code, expected["quantized"], **LATENTS)
        if "indices" in expected:
            assert torch.equal(e.index.flatten(), expected["indices"].flatten())
        torch.testing.assert_close(
            tokenizer.decode(e.codes, e.layout, **options), expected["recon"], **PIXELS
        )
        from_tokens = tokenizer.decode_tokens(e.tokens, e.layout, **options)
        torch.testing.assert_close(
            from_tokens, expected.get("recon_from_indices", expected["recon"]), **PIXELS
        )
        if "recon_zero_noise" in expected:
            silent = tokenizer.decode(e.codes, e.layout, temperature=0)
            torch.testing.assert_close(silent, expected["recon_zero_noise"], **PIXELS)


def is_whole_model(case: Case) -> bool:
    ends = ("encoder.conv_in.weight", "encoder.conv_in.conv_1.weight")
    return any(n.endswith(ends) for n in case.weights()) and not is_training_file(case)


def is_training_file(case: Case) -> bool:
    return any(name.startswith("model_ema.") for name in case.weights())


def test_images_clips_and_generative_decoders_give_the_stored_answers(folder, tmp_path):
    for case in find_cases(folder, is_whole_model):
        check(convert(case, tmp_path), case)


def test_training_files_give_the_stored_answers_raw_and_averaged(folder, tmp_path):
    for case in find_cases(folder, is_training_file):
        answers = [name.removesuffix("latent") for name in case.tensors if name.endswith("latent")]
        assert answers, f"{case.path} holds no latents"
        for prefix in answers:
            weights = "raw" if prefix.startswith("raw") else "ema"
            check(convert(case, tmp_path, weights), case, prefix)


def test_the_published_container_holds_the_same_model(folder, tmp_path):
    for case in find_cases(folder, is_training_file):
        published = case.path.with_suffix(".ckpt")
        if not published.exists():
            continue
        converter = WeTokConverter(bits_per_group=bits_per_group(case.sidecar))
        ours = converter.read(published).tokenizer.state_dict()
        for name, tensor in convert(case, tmp_path).state_dict().items():
            assert torch.equal(ours[name], tensor)


def test_what_was_converted_goes_back_under_the_published_names(folder, tmp_path):
    def stands_alone(case: Case) -> bool:
        return is_whole_model(case) and all(
            name.startswith(("encoder.", "decoder.")) for name in case.weights()
        )

    for case in find_cases(folder, stands_alone):
        path = WeTokConverter().write(convert(case, tmp_path), tmp_path / case.path.stem / "back")
        state = torch.load(path, weights_only=True)["state_dict"]
        weights = case.weights()
        assert {n for n in state if not n.startswith("model_ema.")} == weights.keys()
        for name, tensor in weights.items():
            assert torch.equal(state[name], tensor)
            assert torch.equal(state["model_ema." + name.replace(".", "")], tensor)


# ---- quantizer -----------------------------------------------------------------------------------


def is_quantizer(case: Case) -> bool:
    return "dim" in case.sidecar.get("kwargs", {}) and "codebook_size" in case.sidecar["kwargs"]


def quantizer_of(case: Case) -> GQ:
    options = case.sidecar["kwargs"]
    bits = int(math.log2(options["codebook_size"]))
    factorized = options.get("factorized_bits") if options.get("token_factorization") else None
    return GQ(
        bits_per_group=factorized or [bits] * options.get("num_codebooks", 1),
        reduction="paper" if factorized and len(set(factorized)) > 1 else "reference",
        sample_entropy_weight=options.get("sample_minimization_weight", 1.0),
        codebook_entropy_weight=options.get("batch_maximization_weight", 1.0),
    )


def test_training_losses_and_their_gradients_are_the_stored_ones(folder):
    for case in find_cases(folder, lambda c: is_quantizer(c) and "total" in c.tensors):
        quantizer, tensors = quantizer_of(case).train(), case.tensors

        def run(x: torch.Tensor, quantizer: GQ = quantizer) -> dict[str, torch.Tensor]:
            result = quantizer(x.movedim(1, -1))
            sample, codebook = result.terms["sample_entropy"], result.terms["codebook_entropy"]
            return {
                "per_sample_entropy": sample,
                "codebook_entropy": codebook,
                "entropy_aux_loss": quantizer.losses.sample_entropy_weight * sample
                - quantizer.losses.codebook_entropy_weight * codebook,
                "commitment": result.terms["commitment"],
                "total": result.loss,
                "codes": result.codes.movedim(-1, 1),
                "indices": result.indices,
            }

        values = run(tensors["input"])
        assert torch.equal(values["indices"].flatten(), tensors["indices"].flatten())
        torch.testing.assert_close(values["codes"], tensors["quantized"], **LATENTS)
        for name in values.keys() & tensors.keys() - {"indices"}:
            torch.testing.assert_close(values[name], tensors[name], **LATENTS)
            x = tensors["input"].clone().requires_grad_()
            (gradient,) = torch.autograd.grad(run(x)[name], x)
            expected = tensors[f"grad.{name}"]
            bound = 2e-5 + 2e-5 * expected.abs().max().item()
            torch.testing.assert_close(gradient, expected, atol=bound, rtol=0)
        x = tensors["input"].clone().requires_grad_()
        through = (run(x)["codes"] * tensors["ste.upstream"]).sum()
        (gradient,) = torch.autograd.grad(through, x)
        torch.testing.assert_close(gradient, tensors["ste.grad_input"], **LATENTS)
        result = quantizer.eval()(tensors["input"].movedim(1, -1))
        torch.testing.assert_close(
            result.codes.movedim(-1, 1), tensors["eval.quantized"], **LATENTS
        )
        assert result.loss == 0


def test_factorised_indices_are_the_groups_of_one_quantizer(folder):
    for case in find_cases(folder, lambda c: is_quantizer(c) and "indices.0" in c.tensors):
        quantizer, tensors = quantizer_of(case).eval(), case.tensors
        result = quantizer(tensors["input"].movedim(1, -1))
        codes = quantizer.indices_to_codes(result.indices).movedim(-1, 1)
        torch.testing.assert_close(codes, tensors["decoded"], atol=0, rtol=0)
        torch.testing.assert_close(result.codes.movedim(-1, 1), tensors["quantized"], **LATENTS)
        for group, part in enumerate(codes.split(quantizer.bits_per_group, dim=1)):
            stored = tensors[f"indices.{group}"]
            assert torch.equal(result.indices[..., group].flatten(), stored.flatten())
            assert torch.equal(part, tensors[f"entry.{group}"])


# ---- layers --------------------------------------------------------------------------------------


def rename(name: str) -> str:
    shortcuts = (("nin_shortcut.", "shortcut.1."), ("conv_shortcut.", "shortcut.1."))
    for theirs, ours in (*shortcuts, ("conv_1.", "")):
        name = name.replace(theirs, ours)
    return name


def run_layer(weights: dict[str, torch.Tensor], case: Case, unit: str) -> torch.Tensor:
    """The answer of our layer with the weights of theirs, which say what it is."""
    x = with_time(case.tensors[f"{unit}.in"])
    config = BlockConfig(norm="group", block_bias=False, temporal_padding="zeros", zero_init=False)
    if case.tensors[f"{unit}.in"].ndim == 5:
        config = replace(config, norm="clip_group")
    time = 3 if any(weight.ndim == 5 for weight in weights.values()) else 1
    if "gamma.weight" in weights:
        channels, latent_channels = weights["gamma.weight"].shape
        layer = AdaptiveGroupNorm(channels, latent_channels, config)
        conditions = Conditions(latents=with_time(case.tensors[f"{unit}.style"]))
        return load(layer, weights)(x, conditions)
    if "norm1.weight" in weights:
        config = replace(config, shortcut_kernel=3 if any("conv_sh" in n for n in weights) else 1)
        out_channels = case.tensors[f"{unit}.out"].shape[1]
        return load(ResidualBlock(x.shape[1], out_channels, time, config), weights)(x)
    if {rename(name) for name in weights} == {"weight", "bias"}:
        return run_convolution(weights, case, unit, config, time)
    assert not weights or any(name.startswith("conv1.") for name in weights), f"what is {unit}?"
    factor = with_time(case.tensors[f"{unit}.out"]).shape[4] // x.shape[4]
    if not weights:
        return depth_to_space(x, x.shape[1] // case.tensors[f"{unit}.out"].shape[1] // factor**2,
                              factor, "cell_first")  # fmt: skip
    packed = next(w for n, w in weights.items() if n.endswith("weight")).shape[0]
    stage = Stage(
        x.shape[1],
        temporal_kernel=time,
        space=factor,
        time=packed // x.shape[1] // factor**2,
        resample="depth_to_space",
        resample_shortcut=False,
        channel_order="cell_first",
        first_frame="first",
    )
    conv = {name.replace("conv1.", "conv.", 1): weight for name, weight in weights.items()}
    return load(DepthToSpaceUp(stage, config), conv)(x)


def run_convolution(
    weights: dict[str, torch.Tensor], case: Case, unit: str, config: BlockConfig, time: int
) -> torch.Tensor:
    """A convolution alone, strided or not, as the sizes say."""
    x, out = (with_time(case.tensors[f"{unit}.{end}"]) for end in ("in", "out"))
    stride = (-(-x.shape[2] // out.shape[2]), -(-x.shape[4] // out.shape[4]))
    layer = CausalConv3d(x.shape[1], out.shape[1], (time, 3), stride, config)
    return load(layer, weights)(x)


def load(layer: torch.nn.Module, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    shapes = {name: tensor.shape for name, tensor in layer.state_dict().items()}
    renamed = {rename(name): tensor for name, tensor in weights.items()}
    layer.load_state_dict({n: t.reshape(shapes[n]) for n, t in renamed.items()}, strict=True)
    return layer.eval()


def has_layers(case: Case) -> bool:
    return any(f"{name.removesuffix('.in')}.out" in case.tensors for name in case.tensors)


@torch.no_grad()
def test_single_layers_give_the_stored_answers(folder):
    for case in find_cases(folder, has_layers):
        units = [n.removesuffix(".in") for n in case.tensors if n.endswith(".in")]
        for unit in units:
            out = run_layer(case.weights(f"sd.{unit}."), case, unit)
            torch.testing.assert_close(out, with_time(case.tensors[f"{unit}.out"]), **LATENTS)


def test_a_single_position_is_refused_where_the_reference_answers_nan(folder):
    for case in find_cases(folder, lambda c: "agn.nan_style_1x1" in c.tensors):
        weights = case.weights("sd.agn.")
        channels, latent_channels = weights["gamma.weight"].shape
        layer = load(AdaptiveGroupNorm(channels, latent_channels), weights)
        latents = with_time(case.tensors["agn.nan_style_1x1"])
        with pytest.raises(ValueError, match="at least 2 positions"):
            layer(with_time(case.tensors["agn.in"]), Conditions(latents=latents))
