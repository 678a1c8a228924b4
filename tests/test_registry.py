"""Kinds from outside the package: checked when registered, then like those of the package."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from own_parts import (
    Brightness,
    Edges,
    Fade,
    LargestDeviation,
    Patches,
    Signs,
    Unpatches,
    forgetting,
)
from torch import Tensor, nn

import vistok
from vistok.component import build, validate
from vistok.eval.harness.evaluation import EvaluationOptions, open_evaluation
from vistok.eval.harness.partial_scores import partial_scores_of
from vistok.eval.metrics.names import check_metrics
from vistok.eval.reconstructors.catalog import open_reconstructors
from vistok.eval.reconstructors.identity import Identity
from vistok.eval.report.table import table_of
from vistok.models.discriminators.catalog import DISCRIMINATORS
from vistok.tokenizers.bottlenecks.catalog import BOTTLENECKS
from vistok.tokenizers.tokenizer import VisualTokenizer
from vistok.train.config.files import json_schema, load_run_config
from vistok.train.losses.catalog import build_extra_losses
from vistok.train.losses.generator import generator_objective
from vistok.train.losses.options import Losses

SOURCE = "data.source=samples:train"
SIGNS = "model.bottleneck={kind: signs, channels: 6}"
PATCHES = ["model.encoder={kind: patches, side: 8}", "model.decoder={kind: unpatches, side: 8}"]


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    with forgetting():
        vistok.register("signs", Signs)
        yield


# ---- what is refused -----------------------------------------------------------------------------


class NoLoss(nn.Module):
    """A module that derives from no family."""


class Unfinished(vistok.Quantizer):
    """A quantizer that cannot decode."""

    def _quantize(self, x: Tensor) -> vistok.Quantized:
        raise NotImplementedError


class Unannotated(Signs):
    def __init__(self, channels=4) -> None:
        super().__init__(channels)


class TakesTensor(Signs):
    def __init__(self, table: Tensor) -> None:
        super().__init__(len(table))


class DefaultsToObject(Signs):
    def __init__(self, dtype: object = torch.float32) -> None:
        super().__init__()


class TakesAnything(Signs):
    def __init__(self, *channels: int) -> None:
        super().__init__(*channels)


class Misspelled(Signs):
    def __init__(self, channels: Nothing = 4) -> None:  # pyright: ignore[reportUndefinedVariable]
        super().__init__(channels)


class ChoosesChannels(Patches):
    def __init__(self, side: int = 4) -> None:
        super().__init__(8, side)


class WithoutState(Patches):
    def forward(self, pixels: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.linear(pixels)


class Weighs(Edges):
    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)


class WithThreshold(LargestDeviation):
    name = "thresholded"

    def __init__(self, size: int, threshold: float) -> None:
        super().__init__(size)


@pytest.mark.parametrize(
    ("kind", "component", "message"),
    [
        ("Signs", Signs, r"kind must be a name of lower-case letters.*got 'Signs'"),
        ("a.b", Signs, "got 'a.b'"),
        ("mine", Signs(), r"register takes a class, got Signs\("),
        ("mine", NoLoss, "NoLoss must derive from one of vistok's Bottleneck, Encoder, Decoder, "),
        ("fsq", Signs, r"the kind fsq is taken by vistok\.tokenizers.*\.FSQ; register Signs under"),
        ("psnr", LargestDeviation, "the kind psnr is taken by vistok itself"),
        ("jpeg", Fade, "the kind jpeg is taken by vistok itself"),
        (
            "mine",
            Unfinished,
            r"Unfinished cannot be registered as mine: it is abstract; define",
        ),
        ("mine", Unannotated, "parameter channels needs an annotation, such as channels: float"),
        ("mine", TakesTensor, r"must be annotated with types of plain JSON values \(.*Tensor"),
        (
            "mine",
            DefaultsToObject,
            "default of its parameter dtype must be a plain JSON value",
        ),
        ("mine", TakesAnything, r"must name its parameters, got \*channels"),
        ("mine", Misspelled, "annotation of its constructor cannot be read: name 'Nothing'"),
        ("mine", ChoosesChannels, "its constructor must take out_channels, which the tokenizer"),
        ("mine", WithoutState, r"its forward must take 2 positional argument\(s\) besides self"),
        ("mine", Weighs, "may not take weight, which every ReconstructionLoss has"),
        ("mine", LargestDeviation, "its class attribute name must be 'mine'"),
        (
            "thresholded",
            WithThreshold,
            "parameter threshold needs a default; without one",
        ),
    ],
)
def test_a_class_that_cannot_work_is_refused_when_it_is_registered(kind, component, message):
    with pytest.raises(ValueError, match=message):
        vistok.register(kind, component)
    assert "mine" not in BOTTLENECKS


def test_a_notebook_may_register_its_class_again_and_nobody_else_may():
    newer = type("Signs", (Signs,), {"__module__": Signs.__module__, "__qualname__": "Signs"})
    vistok.register("signs", newer)
    assert BOTTLENECKS["signs"] is newer
    other = type("Other", (Signs,), {"__module__": "somewhere"})
    with pytest.raises(ValueError, match=r"the kind signs is taken by own_parts\.Signs; register"):
        vistok.register("signs", other)


# ---- what it can then do -------------------------------------------------------------------------


def test_a_quantizer_is_chosen_and_checked_in_a_config_like_those_of_the_package():
    config = load_run_config("quickstart", [SOURCE, SIGNS])
    assert config.to_tree()["model"]["bottleneck"] == {"kind": "signs", "channels": 6}
    assert isinstance(config.build_tokenizer().quantizer, Signs)
    with pytest.raises(
        ValueError, match=r"^model\.bottleneck\.chanels: unknown key; did you mean "
    ):
        load_run_config("quickstart", [SOURCE, SIGNS.replace("channels", "chanels")])
    nested = "model.bottleneck={kind: residual, quantizer: {kind: signs}}"
    assert load_run_config("quickstart", [SOURCE, nested]).build_tokenizer().num_groups == 16
    options = json_schema()["$defs"]["SignsOptions"]
    assert options["properties"]["channels"]["type"] == "integer"
    assert "channels: number of channels" in options["description"]


def test_an_unknown_kind_is_named_with_what_to_do():
    expected = (
        r"^model\.bottleneck\.kind: must be one of fsq, .*, signs, got 'mystery'; a kind of your "
        r"own must be registered first: import its module, or give --plugin MODULE$"
    )
    with pytest.raises(ValueError, match=expected):
        load_run_config("quickstart", [SOURCE, "model.bottleneck={kind: mystery}"])
    with pytest.raises(
        ValueError, match=r"^model\.encoder\.kind: must be one of causal, diffusers, got"
    ):
        load_run_config("quickstart", [SOURCE, "model.encoder={kind: cas}"])
    with pytest.raises(ValueError, match=r"^model\.encoder\.kind: required, but not set"):
        load_run_config("quickstart", [SOURCE, "model.encoder={stages: []}"])


def test_encoders_and_decoders_of_ones_own_run_train_and_save(tmp_path):
    vistok.register("patches", Patches)
    vistok.register("unpatches", Unpatches)
    config = load_run_config("quickstart", [SOURCE, SIGNS, *PATCHES])
    tokenizer = config.build_tokenizer()
    pixels = torch.rand(2, 3, 5, 16, 24) * 2 - 1
    tokenizer(pixels).pixels.sum().backward()
    gradient = tokenizer.get_parameter("encoder.linear.weight").grad
    assert gradient is not None
    assert gradient.any()
    encoding = tokenizer.encode(pixels)
    assert encoding.layout.grids == ((5, 2, 3),)
    tokenizer.save_pretrained(tmp_path)
    again = VisualTokenizer.from_pretrained(tmp_path)
    tokens = encoding.tokens
    assert torch.equal(again.encode(pixels).tokens, tokens)
    assert again.decode_tokens(tokens, encoding.layout).shape == pixels.shape
    # nothing is known of their layers: no streams, and the adaptive weight has no last layer
    assert not tokenizer.streams
    adaptive = ["train.adversarial.adaptive=true", "train.losses.adversarial_weight=0.1"]
    with pytest.raises(ValueError, match="which Unpatches does not name as its last_layer"):
        load_run_config("quickstart", [SOURCE, SIGNS, *PATCHES, *adaptive])


def test_a_discriminator_of_ones_own_plays():
    vistok.register("brightness", Brightness)
    overrides = ["train.adversarial.discriminator={kind: brightness, scale: 2}"]
    config = load_run_config("quickstart", [SOURCE, *overrides])
    discriminator = config.train.adversarial.build_discriminator()
    assert isinstance(discriminator, Brightness)
    assert discriminator(torch.ones(2, 3, 1, 8, 8)).flatten().tolist() == [2.0, 2.0]
    assert build(DISCRIMINATORS, {"kind": "brightness"}, "d", in_channels=3).scale == 1


def test_a_loss_of_ones_own_has_a_weight_and_a_column():
    vistok.register("edges", Edges)
    extra = "train.losses.extra=[{kind: edges, weight: 0.5, power: 2}]"
    config = load_run_config("quickstart", [SOURCE, SIGNS, extra])
    assert config.to_tree()["train"]["losses"]["extra"] == [
        {"kind": "edges", "power": 2.0, "weight": 0.5}
    ]
    tokenizer = config.build_tokenizer().train()
    pixels = torch.rand(2, 3, 1, 16, 16) * 2 - 1
    output = tokenizer(pixels)
    losses = build_extra_losses(config.train.losses.extra, torch.device("cpu"))
    objective = generator_objective(output, pixels, config.train.losses, extra=losses)
    expected = (output.pixels - pixels).diff(dim=-1).square().mean()
    torch.testing.assert_close(objective.terms["extra_edges"], expected.detach())
    total = objective.terms["l2"] + 0.5 * expected
    torch.testing.assert_close(objective.loss, total)
    alone = validate(Losses, {"l1_weight": 0, "extra": [{"kind": "edges", "weight": 2}]})
    objective = generator_objective(output, pixels, alone, extra={"edges": Edges()})
    torch.testing.assert_close(objective.loss.detach(), 2 * objective.terms["extra_edges"])


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("[{kind: edges}]", "extra.0.weight: required, but not set"),
        ("[{kind: edges, weight: 0}]", "extra.0.weight: input should be greater than 0, got 0"),
        (
            "[{kind: edges, weight: 1, pover: 1}]",
            "extra.0.pover: unknown key; did you mean ",
        ),
        ("[{weight: 1}]", "extra.0.kind: required, but not set"),
        ("[{kind: edgy, weight: 1}]", "must be one of edges, got 'edgy'; did you mean edges"),
        ("[{kind: edges, weight: 1}, {kind: edges, weight: 2}]", "extra has the kind edges twice"),
    ],
)
def test_losses_that_are_not_described_well_are_refused(extra: str, message: str):
    vistok.register("edges", Edges)
    with pytest.raises(ValueError, match=message):
        load_run_config("quickstart", [SOURCE, f"train.losses.extra={extra}"])


def test_without_registered_losses_a_config_can_name_none():
    with pytest.raises(ValueError, match=r"extra\.0\.kind: must be one that is registered, got 'e"):
        load_run_config("quickstart", [SOURCE, "train.losses.extra=[{kind: edges, weight: 1}]"])


class NotScalar(Edges):
    def forward(self, reconstruction: Tensor, pixels: Tensor) -> Tensor:
        return (reconstruction - pixels).abs()


def test_a_loss_that_is_no_scalar_is_named():
    vistok.register("not_scalar", NotScalar)
    losses = validate(Losses, {"extra": [{"kind": "not_scalar", "weight": 1}]})
    tokenizer = load_run_config("quickstart", [SOURCE, SIGNS]).build_tokenizer()
    pixels = torch.zeros(1, 3, 1, 8, 8)
    with pytest.raises(ValueError, match=r"loss not_scalar must return a scalar, got .*\(1, 3, 1"):
        generator_objective(tokenizer(pixels), pixels, losses, extra={"not_scalar": NotScalar()})


def test_metrics_and_reconstructors_of_ones_own_are_scored(tmp_path):
    vistok.register("largest_deviation", LargestDeviation)
    vistok.register("fade", Fade)
    check_metrics(["largest_deviation"])
    source = "samples:heldout"
    half, shifted = vistok.evaluate(
        source,
        ["fade", "fade:factor=1.0,offsets=[0,3,0]"],
        size=32,
        limit=2,
        metrics=["psnr", "largest_deviation"],
    )
    assert (half.tokenizer, shifted.tokenizer) == ("fade", "fade:factor=1.0,offsets=[0,3,0]")
    assert shifted.metrics["largest_deviation"] == 3
    assert half.metrics["largest_deviation"] > 50
    assert math.isfinite(half.metrics["psnr"])
    columns = [column.key for column in table_of([half]).columns]
    assert columns.index("psnr") < columns.index("largest_deviation") < columns.index("num_samples")


@pytest.mark.parametrize(("metric", "kept"), [("psnr", True), ("largest_deviation", False)])
def test_scores_are_kept_only_where_every_metric_is_of_the_package(tmp_path, metric, kept):
    vistok.register("largest_deviation", LargestDeviation)
    options = EvaluationOptions(
        size=32,
        frames=1,
        batch_size=2,
        metrics=[metric],
        limit=2,
        workers=0,
        device="cpu",
        seed=0,
        force=False,
        fingerprints=True,
        examples=False,
        cache=None,
        partial_scores=tmp_path,
        show_progress=False,
    )
    evaluation = open_evaluation("samples:heldout", "vistok-eval-v1", options)
    assert (partial_scores_of(Identity(), evaluation) is not None) == kept


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("fade:0.5", "fade is written fade:option=value,option=value, got 'fade:0.5'"),
        ("fade:faktor=1", r"^fade:faktor=1\.faktor: unknown key; did you mean .*factor\?"),
        ("fade:factor=x", "factor: input should be a valid number"),
        ("fade:factor=[", "is not a valid YAML value"),
        ("fadee:factor=1", "did you mean fade"),
        ("mystery:factor=1", "a kind of your own must be registered first"),
    ],
)
def test_mistakes_in_the_options_of_a_reconstructor_are_named(spec: str, message: str):
    vistok.register("fade", Fade)
    with pytest.raises(ValueError, match=message):
        open_reconstructors(spec)


def test_an_unknown_metric_is_named_with_what_to_do():
    with pytest.raises(ValueError, match="got 'mystery'; a kind of your own must be registered"):
        check_metrics(["mystery"])
