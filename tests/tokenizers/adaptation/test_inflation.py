"""Inflation: a video model started from an image model treats images, and first frames, as it did.

Every table is a pair of networks; the laws below hold for each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from tiny import awaken, tiny_image_configs, tiny_tokenizer, tiny_wetok
from vistok import VisualTokenizer
from vistok.models.published.wan import wan_options
from vistok.tokenizers.adaptation.adapt import adapt_state
from vistok.tokenizers.bottlenecks.posterior import Gaussian
from vistok.tokenizers.encoding import Encoding

KL = {"kind": "kl", "latent_channels": 4}
# Float32 rounding over a few dozen layers, relative to the largest output.
TOLERANCE = 1e-5

Options = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """The stages of an image model and of the video model that starts from it."""

    encoder: list[Options]
    decoder: list[Options]
    video_encoder: list[Options]
    video_decoder: list[Options]
    shared: Options = field(default_factory=dict)
    video: Options = field(default_factory=dict)
    video_decoder_only: Options = field(default_factory=dict)

    def models(self) -> tuple[VisualTokenizer, VisualTokenizer]:
        """The image model and the video model, of different random weights."""
        image = build(self.encoder, self.decoder, self.shared, {}, seed=0)
        video = build(
            self.video_encoder,
            self.video_decoder,
            self.shared | self.video,
            self.video_decoder_only,
            seed=1,
        )
        return image, video


def build(
    encoder: list[Options], decoder: list[Options], shared: Options, only: Options, seed: int
) -> VisualTokenizer:
    torch.manual_seed(seed)
    tokenizer = VisualTokenizer(
        {"kind": "causal", "stages": encoder, **shared},
        KL,
        {"kind": "causal", "stages": decoder, **shared, **only},
    )
    awaken(tokenizer, seed)
    with torch.no_grad():  # biases start at zero, norms at one: every weight shall count
        for parameter in tokenizer.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return tokenizer.eval()


def stage(width: int, blocks: int = 1, **options: Any) -> Options:
    return {"width": width, "blocks": blocks, **options}


def with_time(stages: list[Options], *times: int, **every: Any) -> list[Options]:
    """The stages with kernels of three frames and a factor in time each."""
    return [
        {**row, **every, "temporal_kernel": 3, **({"time": time} if time > 1 else {})}
        for row, time in zip(stages, times, strict=True)
    ]


def resampled(down: str, up: str, times: tuple[int, int] = (2, 2), **options: Any) -> Pair:
    """Two levels of one kind of resampling per side, and time in both."""
    encoder = [stage(8, resample=down), stage(8, resample=down), stage(16)]
    decoder = [stage(16, resample=up, resample_width=8), stage(8, resample=up), stage(8)]
    if down == "space_to_depth":
        encoder[1]["resample_width"] = 16
    return Pair(
        encoder,
        decoder,
        with_time(encoder, *times, 1),
        with_time(decoder, *reversed(times), 1),
        **options,
    )


def wan_pair() -> Pair:
    flags: Any = [wan_options(8, (1, 2, 2), times, 1) for times in ((False, False), (True, True))]
    (encoder, decoder), (video_encoder, video_decoder) = flags
    for row in (*encoder["stages"], *decoder["stages"]):
        row["temporal_kernel"] = 1
    stages = [side.pop("stages") for side in (encoder, decoder, video_encoder, video_decoder)]
    shared = {n: v for n, v in encoder.items() if n != "quant_conv"}
    return Pair(*stages, shared=shared)


def added_pair() -> Pair:
    """Space to depth and back, which keep their factors; stages for time alone are added."""
    encoder = [stage(8, resample="space_to_depth", resample_width=16), stage(16)]
    decoder = [stage(16, resample="depth_to_space", resample_width=8), stage(8)]
    down, up = (
        {"width": 16, "blocks": 0, "resample": kind, "space": 1, "time": 2}
        for kind in ("strided", "nearest")
    )
    first, last = with_time(encoder, 1, 1)
    top, bottom = with_time(decoder, 1, 1)
    return Pair(
        encoder,
        decoder,
        [first, {**down, "temporal_kernel": 3}, last, down],
        [up, {**up, "time": 2}, top, bottom],
        shared={"patch_size": 2},
    )


GROUP = {"norm": "group", "zero_init": False}
PAIRS: dict[str, Pair] = {
    "strided, nearest": resampled("strided", "nearest"),
    "zeros before the clip": resampled("strided", "nearest", video={"temporal_padding": "zeros"}),
    "four frames at once": resampled("strided", "nearest", (4, 1)),
    "depth to space": resampled("strided", "depth_to_space"),
    "depth to space, zeros": resampled(
        "strided", "depth_to_space", (1, 4), video={"temporal_padding": "zeros"}
    ),
    "split": resampled("split", "split"),
    "wan": wan_pair(),
    "a decoder that looks ahead": resampled(
        "strided", "depth_to_space", shared={"norm": "pixel", "shortcut_norm": True},
        video_decoder_only={"causal": False},
    ),
    "wide shortcuts, no bias": resampled(
        "strided", "nearest", shared={"shortcut_kernel": 3, "block_bias": False, "norm": "none"}
    ),
    "stages for time": added_pair(),
}  # fmt: skip


def variant(name: str, change: Mapping[str, Any], video: Mapping[str, Any] | None = None) -> Pair:
    """A pair whose stages all have some other options, in the video model yet others."""
    base = PAIRS[name]
    ours = change if video is None else video
    image = [[{**row, **change} for row in rows] for rows in (base.encoder, base.decoder)]
    clip = [[{**row, **ours} for row in rows] for rows in (base.video_encoder, base.video_decoder)]
    return Pair(*image, *clip, shared=base.shared, video=base.video)


PAIRS |= {
    "spatial attention": variant("strided, nearest", {"attention": "spatial"}),
    "temporal attention": variant("split", {}, {"attention": "temporal", "attention_window": 3}),
    "channels last in cells": variant("depth to space", {"channel_order": "cell_first"}),
    "no shortcut in resampling": variant(
        "depth to space", {"resample_shortcut": False}, {"resample_shortcut": False,
                                                         "first_frame": "first"}
    ),
}  # fmt: skip


def pixels(frames: int, side: int = 16, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 3, frames, side, side, generator=generator) * 2 - 1


def inflated(image: VisualTokenizer, video: VisualTokenizer) -> VisualTokenizer:
    result = adapt_state(image, video, "inflate")
    assert result.new + result.mismatched + result.unused + result.widened == ()
    sorted_names = sorted(result.loaded + result.inflated + result.added)
    assert sorted_names == sorted(video.state_dict()) == sorted(result.state)
    video.load_state_dict(result.state)
    return video


def distribution(encoding: Encoding) -> Gaussian:
    """The distribution of the first grid of latents."""
    assert encoding.posterior is not None
    return encoding.posterior.grids[0]


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE * float(theirs.abs().max()))


@pytest.mark.parametrize("name", PAIRS)
@torch.no_grad()
def test_images_first_frames_and_later_frames_are_those_of_the_image_model(name):
    image, video = PAIRS[name].models()
    before = {name: tensor.clone() for name, tensor in image.state_dict().items()}
    inflated(image, video)
    assert all(torch.equal(tensor, before[name]) for name, tensor in image.state_dict().items())
    factor = video.temporal_compression
    assert factor > 1
    frames = 1 + 2 * factor
    clip = pixels(frames)
    latents = distribution(image.encode(clip[:, :, :1]))
    ours = distribution(video.encode(clip[:, :, :1]))
    assert_same(ours.mean, latents.mean)
    assert ours.logvar is not None
    assert latents.logvar is not None
    assert_same(ours.logvar, latents.logvar)
    assert_same(video.decode_latents(latents.mean), image.decode_latents(latents.mean))

    # A clip: a latent frame is that of the last of its frames, and decoded to all of them.
    frame_by_frame = image.encode(clip[:, :, ::factor].transpose(1, 2).flatten(0, 1).unsqueeze(2))
    means = distribution(frame_by_frame).mean
    expected = means[:, :, 0].unflatten(0, (2, 3)).transpose(1, 2)
    coded = video.encode(clip)
    assert_same(distribution(coded).mean, expected)
    decoded = video.decode(coded)
    images = image.decode(frame_by_frame)[:, :, 0].unflatten(0, (2, 3)).transpose(1, 2)
    group = [0] + [1 + frame // factor for frame in range(frames - 1)]
    assert_same(decoded, images[:, :, group])


@pytest.mark.parametrize("multipliers", [(1, 2), (1, 2, 2)])
@torch.no_grad()
def test_norms_over_clips_and_adaptive_norms_leave_images_unchanged(multipliers):
    """WeTok's and Open-MAGVIT2's 3-D variants, whose statistics span the clip."""
    times = (1, 2)[-len(multipliers) + 1 :]
    image, video = tiny_wetok(multipliers), tiny_wetok(multipliers, times=times, seed=1)
    inflated(image, video)
    clip = pixels(1, side=32)
    assert_same(video.encoder(clip), image.encoder(clip))
    assert torch.equal(video.encode(clip).tokens, image.encode(clip).tokens)
    assert_same(video.reconstruct(clip), image.reconstruct(clip))
    assert video.reconstruct(pixels(3, side=32)).isfinite().all()


@torch.no_grad()
def test_group_norms_of_frames_keep_the_first_frame_of_a_clip():
    encoder = [stage(32, resample="split"), stage(32, 2, attention="spatial")]
    decoder = [stage(32, 2, attention="spatial", resample="split"), stage(32)]
    times = (with_time(encoder, 2, 1), with_time(decoder, 2, 1))
    image, video = Pair(encoder, decoder, *times, shared=GROUP).models()
    inflated(image, video)
    clip = pixels(5, side=8)
    first = distribution(image.encode(clip[:, :, :1])).mean
    assert_same(distribution(video.encode(clip)).mean[:, :, :1], first)
    assert_same(video.reconstruct(clip)[:, :, :1], image.reconstruct(clip[:, :, :1]))


@torch.no_grad()
def test_a_video_model_without_resampling_of_time_may_get_one():
    """Kernels that already see time are kept tap by tap, under the same padding."""
    encoder = [stage(8, resample="strided", temporal_kernel=3), stage(8, temporal_kernel=3)]
    decoder = [stage(8, resample="nearest", temporal_kernel=3), stage(8, temporal_kernel=3)]
    video = ([{**encoder[0], "time": 4}, encoder[1]], [{**decoder[0], "time": 4}, decoder[1]])
    for padding in ("replicate", "zeros"):
        shared = {"temporal_padding": padding}
        source, target = Pair(encoder, decoder, *video, shared=shared).models()
        result = adapt_state(source, target, "inflate")
        assert result.inflated == tuple(
            f"{side}.stages.0.resample.conv.weight" for side in ("encoder", "decoder")
        )
        inflated(source, target)
        clip = pixels(5, side=8)
        assert_same(target.encoder(clip[:, :, :1]), source.encoder(clip[:, :, :1]))
        assert_same(target.reconstruct(clip)[:, :, :1], source.reconstruct(clip)[:, :, :1])
        source, target = Pair(encoder, decoder, *video, video=shared).models()
        if padding == "zeros":
            with pytest.raises(ValueError, match=r"encoder\.temporal_padding is replicate in"):
                adapt_state(source, target, "inflate")


def test_the_report_names_what_was_inflated_and_added():
    image, video = PAIRS["split"].models()
    result = adapt_state(image, video, "inflate")
    assert "encoder.conv_in.weight" in result.inflated
    assert "encoder.stages.0.resample.space.weight" in result.loaded
    assert "encoder.stages.0.resample.time.bias" in result.added
    assert len(result.added) == 8
    assert str(result) == (
        f"{len(result.loaded)} loaded; {len(result.inflated)} inflated in time "
        f"({', '.join(result.inflated[:4])}, …); "
        f"8 added for time ({', '.join(result.added[:4])}, …)"
    )


# ---- refusals ----------------------------------------------------------------------------------


def refused(message: str, image: Pair, video: Pair) -> None:
    source, target = image.models()[0], video.models()[1]
    with pytest.raises(ValueError, match=message):
        adapt_state(source, target, "inflate")


def test_space_to_depth_over_time_has_no_such_start():
    pair = resampled("space_to_depth", "nearest")
    refused(
        r"encoder stage 0 has time=2 with resample space_to_depth.* no weights leave images "
        r"unchanged; set time back to 1 and add a stage \{width: 8, blocks: 0, resample: strided, "
        r"space: 1, time: 2\} after it",
        pair,
        pair,
    )


@pytest.mark.parametrize(
    ("change", "video", "message"),
    [
        ({"noise": False}, {"attention": "spatial"},
         r"encoder stage 0 has attention=none in start.source and spatial in the model; give"),
        ({"attention": "spatial"}, {"attention": "temporal"}, "attention=spatial in start.source"),
        ({"temporal_kernel": 3}, {"temporal_kernel": 1}, "temporal_kernel=3 in start.source and 1"),
        ({"blocks": 2}, {"blocks": 1}, "blocks=2 in start.source and 1 in the model"),
        ({"time": 4}, {"time": 2}, "time=4 in start.source and 2 in the model"),
    ],
)  # fmt: skip
def test_stages_that_differ_by_more_than_time_are_named(change, video, message):
    pair = variant("strided, nearest", change, video)
    refused(message, pair, pair)


def test_other_options_of_networks_are_named():
    for name, image, video in (
        ("norm", "rms", "pixel"),
        ("norm_eps", 1e-3, 1e-6),
        ("patch_size", 1, 2),
        ("shortcut_norm", False, True),
        ("spatial_padding", "zeros", "reflect"),
    ):
        side = "decoder" if name == "spatial_padding" else "encoder"
        source, target = (
            build(
                [stage(8)],
                [stage(8)],
                {} if side == "decoder" else {name: value},
                {name: value} if side == "decoder" else {},
                seed=0,
            )
            for value in (image, video)
        )
        remedy = rf"so images would change; set model.{side}.{name} to {image}"
        with pytest.raises(ValueError, match=rf"{side}.{name} is {image} .*{video} .*{remedy}"):
            adapt_state(source, target, "inflate")


def test_other_numbers_of_stages_are_refused_with_the_stage_that_may_be_added():
    short = Pair([stage(8)], [stage(8)], [stage(8)], [stage(8)])
    two = [stage(8), stage(8)]
    long = Pair(two, two, two, two)
    message = "the encoder has {} stages in start.source and {} in the model.* space: 1, time: T"
    refused(message.format(1, 2), short, long)
    refused(message.format(2, 1), long, short)


def test_tensors_without_counterpart_are_errors():
    image, video = PAIRS["strided, nearest"].models()
    options = {**video.config["encoder_config"], "quant_conv": True}
    other = VisualTokenizer(options, KL, video.config["decoder_config"])
    message = r"do not fit under adapt: inflate .*2 new \(encoder.quant_conv.weight.*choose align"
    with pytest.raises(ValueError, match=message):
        adapt_state(image, other, "inflate")


def test_bottlenecks_that_would_change_images_are_refused():
    encoder, decoder = tiny_image_configs()
    fsq, other, kl = (
        VisualTokenizer(encoder, bottleneck, decoder)
        for bottleneck in (
            {"kind": "fsq", "levels": [8, 5, 5]},
            {"kind": "fsq", "levels": [5, 5, 8]},
            {"kind": "kl", "latent_channels": 4},
        )
    )
    with pytest.raises(ValueError, match=r"is FSQ in .* and KL in the model; inflate with the"):
        adapt_state(fsq, kl, "inflate")
    with pytest.raises(ValueError, match="give the same latents different codes"):
        adapt_state(fsq, other, "inflate")
    weighted = {"kind": "kl", "latent_channels": 4, "kl_weight": 1.0}
    result = adapt_state(kl, VisualTokenizer(encoder, weighted, decoder), "inflate")
    assert set(result.loaded) == set(kl.state_dict())


def test_networks_of_other_kinds_are_refused():
    source, target = tiny_tokenizer(bottleneck=KL), tiny_tokenizer(bottleneck=KL)
    source.decoder = torch.nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match=r"decoder of start\.source is of class Identity; only"):
        adapt_state(source, target, "inflate")
