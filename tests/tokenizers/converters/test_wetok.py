"""WeTok's checkpoints: every tensor has its place or a reason, and the way back is exact."""

import re

import pytest
import torch

import wetok_by_hand
from tiny import tiny_tokenizer, tiny_wetok
from vistok import VisualTokenizer
from vistok.tokenizers.converters import wetok
from vistok.tokenizers.converters.wetok import WeTokConverter, reference_names
from vistok.tokenizers.converters.wetok_architecture import architecture_of

Tensors = dict[str, torch.Tensor]
CONVERTER = WeTokConverter(bits_per_group=4)


def published_shapes(
    ch: int, multipliers: tuple[int, ...], n: int, d: int, generative: bool
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of encoder and decoder as the reference writes them, spelled out."""
    widths = [ch * m for m in multipliers]
    last = widths[-1]
    shapes: dict[str, tuple[int, ...]] = {}

    def block(name: str, cin: int, cout: int) -> None:
        shapes[f"{name}.norm1.weight"] = shapes[f"{name}.norm1.bias"] = (cin,)
        shapes[f"{name}.norm2.weight"] = shapes[f"{name}.norm2.bias"] = (cout,)
        shapes[f"{name}.conv1.weight"] = (cout, cin, 3, 3)
        shapes[f"{name}.conv2.weight"] = (cout, cout, 3, 3)
        if cin != cout:
            shapes[f"{name}.nin_shortcut.weight"] = (cout, cin, 1, 1)

    def affine(name: str, *weight: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = weight, weight[:1]

    shapes["encoder.conv_in.weight"] = (ch, 3, 3, 3)
    affine("decoder.conv_in", last, 2 * d if generative else d, 3, 3)
    before = ch
    for i, width in enumerate(widths):
        above = widths[min(i + 1, len(widths) - 1)]
        for j in range(n):
            block(f"encoder.down.{i}.block.{j}", width if j else before, width)
            block(f"decoder.up.{i}.block.{j}", width if j else above, width)
        if i < len(widths) - 1:
            affine(f"encoder.down.{i}.downsample", width, width, 3, 3)
        if i > 0:
            affine(f"decoder.up.{i}.upsample.conv1", 4 * width, width, 3, 3)
        affine(f"decoder.adaptive.{i}.gamma", above, d)
        affine(f"decoder.adaptive.{i}.beta", above, d)
        before = width
    for j in range(n):
        block(f"encoder.mid_block.{j}", last, last)
        block(f"decoder.mid_block.{j}", last, last)
    affine("encoder.norm_out", last)
    affine("decoder.norm_out", widths[0])
    affine("encoder.conv_out", d, last, 1, 1)
    affine("decoder.conv_out", 3, widths[0], 3, 3)
    return shapes


def test_the_names_in_the_docstring_are_true():
    tokenizer = tiny_wetok()
    names = reference_names(architecture_of(tokenizer), tokenizer.state_dict())
    rows = re.findall(
        r"^ +((?:en|de)coder\.\S+) +((?:en|de)coder\.\S+)$", wetok.__doc__ or "", re.MULTILINE
    )
    assert len(rows) == 3
    for ours, theirs in rows:
        assert names[ours] == theirs


def ema_name(name: str) -> str:
    return "model_ema." + name.replace(".", "")


def training_file(
    multipliers: tuple[int, ...] = (1, 2), generative: bool = False, blocks: int = 2
) -> Tensors:
    """A file as the reference's first stage leaves it, with random weights."""
    generator = torch.Generator().manual_seed(0)
    shapes = published_shapes(32, multipliers, blocks, 8, generative)
    state = {n: torch.randn(s, generator=generator) for n, s in shapes.items()}
    state |= {ema_name(n): torch.randn(s, generator=generator) for n, s in shapes.items()}
    state["loss.discriminator.main.0.weight"] = torch.zeros(8, 3, 4, 4)
    state["loss.discriminator.main.3.running_mean"] = torch.zeros(16)
    state["model_ema.lossdiscriminatormain0weight"] = torch.zeros(8, 3, 4, 4)
    state["loss.perceptual_loss.lin0.model.1.weight"] = torch.zeros(1, 64, 1, 1)
    state["model_ema.decay"] = torch.tensor(0.999)
    state["model_ema.num_updates"] = torch.tensor(-1, dtype=torch.int32)
    return state


def read(state: Tensors, tmp_path, converter: WeTokConverter = CONVERTER):
    path = tmp_path / "file.ckpt"
    torch.save({"state_dict": state}, path)
    return converter.read(path)


def reference_state(tokenizer: VisualTokenizer, tmp_path) -> Tensors:
    path = CONVERTER.write(tokenizer, tmp_path / "back")
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.parametrize("generative", [False, True])
@pytest.mark.parametrize("multipliers", [(1, 2), (1, 1, 2), (2, 4)])
def test_a_converted_file_is_written_back_tensor_by_tensor(multipliers, generative, tmp_path):
    state = training_file(multipliers, generative)
    conversion = read(state, tmp_path)
    shapes = published_shapes(32, multipliers, 2, 8, generative)
    assert conversion.used == len(shapes)
    assert conversion.ignored == {
        "raw weights that have an average": len(shapes),
        "discriminator": 3,
        "LPIPS network": 1,
        "record of the averaging": 2,
    }
    assert conversion.tokenizer.decoder.generative == generative
    assert conversion.tokenizer.num_groups == 2
    assert not conversion.tokenizer.training
    written = reference_state(conversion.tokenizer, tmp_path)
    record = {"model_ema.decay", "model_ema.num_updates"}
    assert written.keys() == {*shapes, *map(ema_name, shapes), *record}
    for name in shapes:
        assert torch.equal(written[name], state[ema_name(name)])
        assert torch.equal(written[ema_name(name)], state[ema_name(name)])
    assert written["model_ema.num_updates"].dtype == torch.int32


def test_raw_weights_are_taken_on_request(tmp_path):
    state = training_file()
    conversion = read(state, tmp_path, WeTokConverter("raw", 4))
    written = reference_state(conversion.tokenizer, tmp_path)
    name = "encoder.mid_block.1.conv2.weight"
    assert torch.equal(written[name], state[name])
    assert conversion.ignored["averages, raw weights were requested"] == conversion.used
    assert conversion.weights == f"0 averaged and {conversion.used} raw tensors"


def test_a_second_stage_file_has_its_raw_encoder_and_its_averaged_decoder(tmp_path):
    state = {
        name: tensor
        for name, tensor in training_file(generative=True).items()
        if not name.startswith("model_ema.encoder")
    }
    conversion = read(state, tmp_path)
    written = reference_state(conversion.tokenizer, tmp_path)
    for name, tensor in written.items():
        if name.startswith("encoder."):
            assert torch.equal(tensor, state[name])
        elif name.startswith("decoder."):
            assert torch.equal(tensor, state[ema_name(name)])


def test_an_autoregressive_file_carries_a_raw_tokenizer(tmp_path):
    raw = {n: t for n, t in training_file().items() if n.startswith(("encoder.", "decoder."))}
    state = {f"first_stage_model.{name}": tensor for name, tensor in raw.items()}
    state["transformer.class_emb.embedding_table.weight"] = torch.zeros(11, 4)
    state["transformer.head.0.weight"] = torch.zeros(16, 4)
    conversion = read(state, tmp_path)
    assert conversion.ignored == {"autoregressive model": 2}
    written = reference_state(conversion.tokenizer, tmp_path)
    assert all(torch.equal(written[name], raw[name]) for name in raw)
    with pytest.raises(ValueError, match=r"have no place in the model: transformer\.head"):
        read({**training_file(), "transformer.head.0.weight": torch.zeros(1)}, tmp_path)


def test_the_3d_variant_goes_both_ways(tmp_path):
    tokenizer = tiny_wetok((1, 2, 2), times=(1, 2))
    written = reference_state(tokenizer, tmp_path)
    assert written["encoder.down.1.downsample.conv_1.weight"].shape == (64, 64, 3, 3, 3)
    assert written["decoder.up.1.upsample.conv1.conv_1.bias"].shape == (4 * 64,)
    assert written["decoder.up.2.upsample.conv1.conv_1.bias"].shape == (8 * 64,)
    assert written["decoder.adaptive.0.gamma.weight"].shape == (64, 8)
    again = CONVERTER.read(tmp_path / "back" / "WeTok.ckpt").tokenizer
    assert again.temporal_compression == 2
    for name, tensor in tokenizer.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("multipliers", "times", "frames"),
    [
        ((1, 2, 1), None, 1),
        ((1, 2, 1), (1, 2), 5),
        ((2, 1, 2), (2, 1), 3),
        ((2, 4, 4), (2, 2), 9),
        ((2, 4), (2,), 1),
    ],
)
@pytest.mark.parametrize("generative", [False, True])
def test_published_names_mean_what_the_description_says(
    multipliers, times, frames, generative, tmp_path
):
    tokenizer = tiny_wetok(multipliers, generative, times).double()
    for name, parameter in tokenizer.named_parameters():
        if "norm" in name and "adaptive" not in name:  # 1 and 0 would hide an exchange
            torch.nn.init.normal_(parameter, 1.0, 0.3)
    state = reference_state(tokenizer, tmp_path)
    side = 2 ** len(multipliers)
    x = torch.rand(2, 3, frames, side, 2 * side, dtype=torch.double) * 2 - 1
    e = tokenizer.encode(x)
    noise = torch.randn_like(e.code) if generative else None
    ours = tokenizer.decode(e.codes, noise=noise)

    def without_time(t: torch.Tensor) -> torch.Tensor:
        return t if times is not None else t.squeeze(2)

    latent = wetok_by_hand.encode(state, without_time(x), multipliers, 1)
    their_noise = None if noise is None else without_time(noise)
    theirs = wetok_by_hand.decode(state, without_time(e.code), multipliers, 1, their_noise)
    assert ours.shape == x.shape
    torch.testing.assert_close(without_time(e.latent), latent, atol=1e-10, rtol=0)
    torch.testing.assert_close(without_time(ours), theirs, atol=1e-10, rtol=0)


def test_wide_shortcuts_are_recognised(tmp_path):
    state = {
        name.replace("nin_shortcut", "conv_shortcut"): tensor
        if "nin_shortcut" not in name
        else tensor.expand(-1, -1, 3, 3).clone()
        for name, tensor in training_file().items()
    }
    tokenizer = read(state, tmp_path).tokenizer
    assert tokenizer.config["encoder_config"]["shortcut_kernel"] == 3
    assert "decoder.up.0.block.0.conv_shortcut.weight" in reference_state(tokenizer, tmp_path)


def test_half_precision_files_become_fp32(tmp_path):
    state = {n: t.half() if t.is_floating_point() else t for n, t in training_file().items()}
    tokenizer = read(state, tmp_path).tokenizer
    assert tokenizer.dtype == torch.float32
    assert all(tensor.dtype == torch.float32 for tensor in tokenizer.state_dict().values())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("extra", "1 tensor.s. of the checkpoint have no place in the model: encoder.attn"),
        ("average of nothing", "no place in the model: model_ema.encodernothing"),
        ("missing", "1 weight.s. are missing: encoder.stages.1.blocks.1.conv2.weight"),
        ("shape", "decoder.conv_out.weight should be"),
        ("another model", "is not a WeTok checkpoint: it has no encoder.conv_in.weight"),
        ("width", "level widths .32, 48. are not multiples of 32"),
    ],
)
def test_files_that_do_not_fit_are_refused(damage, message, tmp_path):
    state = training_file()
    if damage == "extra":
        state["encoder.attn.weight"] = torch.zeros(1)
    elif damage == "average of nothing":
        state["model_ema.encodernothing"] = torch.zeros(1)
    elif damage == "missing":
        for name in ("encoder.down.0.block.1.conv2.weight",):
            del state[name], state[ema_name(name)]
    elif damage == "shape":
        state[ema_name("decoder.conv_out.weight")] = torch.zeros(3, 32, 1, 1)
    elif damage == "another model":
        state = {"model." + name: tensor for name, tensor in state.items()}
    else:
        state["encoder.down.1.block.0.conv1.weight"] = torch.zeros(48, 32, 3, 3)
    with pytest.raises(ValueError, match=message):
        read(state, tmp_path)


def test_options_out_of_range_are_refused(tmp_path):
    with pytest.raises(ValueError, match="8 channels, which is not a multiple of bits_per_group 3"):
        read(training_file(), tmp_path, WeTokConverter(bits_per_group=3))
    with pytest.raises(ValueError, match="weights must be ema or raw, got 'average'"):
        WeTokConverter(weights="average")
    with pytest.raises(ValueError, match="bits_per_group must be >= 1, got 0"):
        WeTokConverter(bits_per_group=0)


def test_only_a_wetok_can_be_written_as_one(tmp_path):
    with pytest.raises(ValueError, match="this tokenizer is not a WeTok"):
        CONVERTER.write(tiny_tokenizer(), tmp_path)
    wetok = tiny_wetok()
    other = VisualTokenizer(
        wetok.config["encoder_config"],
        {"kind": "fsq", "levels": [3] * 8},
        wetok.config["decoder_config"],
    )
    with pytest.raises(ValueError, match="this tokenizer is not a WeTok"):
        CONVERTER.write(other, tmp_path)
    assert not any(tmp_path.iterdir())
    CONVERTER.write(wetok, tmp_path)
    with pytest.raises(ValueError, match="already exists"):
        CONVERTER.write(wetok, tmp_path)


def test_a_saved_conversion_says_where_it_came_from(tmp_path):
    conversion = read(training_file(), tmp_path)
    conversion.save(tmp_path / "tokenizer")
    card = (tmp_path / "tokenizer" / "README.md").read_text()
    assert "Converted from `file.ckpt` (sha256 `" in card
    loaded = VisualTokenizer.from_pretrained(tmp_path / "tokenizer")
    for name, tensor in conversion.tokenizer.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    with pytest.raises(ValueError, match="already holds a tokenizer"):
        conversion.save(tmp_path / "tokenizer")
