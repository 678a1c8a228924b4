"""Discriminators: patch logits for clips of every length, published names, always in fp32."""

import pytest
import torch
from torch import nn

from vistok.component import build
from vistok.models.discriminators.blur_pool import BlurPool, pad_same
from vistok.models.discriminators.catalog import DISCRIMINATORS
from vistok.models.discriminators.discriminator import Discriminator

KINDS = tuple(DISCRIMINATORS)
OVER_FRAMES = ("patchgan", "maskbit")


def make(kind: str, **options) -> Discriminator:
    torch.manual_seed(0)
    options = {"kind": kind, "base_channels": 8, "num_layers": 2, **options}
    return build(DISCRIMINATORS, options, "discriminator")


def clips(frames: int = 1, side: int = 24, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(frames)
    return torch.rand(batch, 3, frames, side, side, generator=generator) * 2 - 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["batch", "sync_batch", "group", "none"])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_every_weight_of_every_variant_gets_a_gradient(kind, norm, spectral_norm):
    discriminator = make(kind, norm=norm, spectral_norm=spectral_norm)
    for frames in (1, 5):
        discriminator.zero_grad()
        logits = discriminator(clips(frames))
        assert logits.shape[1] == 1
        logits.square().sum().backward()
        assert all(p.grad is not None for p in discriminator.parameters())


@pytest.mark.parametrize("kind", OVER_FRAMES)
def test_those_over_pictures_see_every_frame_by_itself(kind):
    discriminator, pixels = make(kind).eval(), clips(frames=3)
    logits = discriminator(pixels)
    assert len(logits) == 2 * 3
    frames = [discriminator(pixels[i : i + 1, :, t : t + 1]) for i in range(2) for t in range(3)]
    torch.testing.assert_close(logits, torch.cat(frames))


def test_the_one_over_clips_sees_motion():
    discriminator, pixels = make("patchgan_3d").eval(), clips(frames=5)
    assert discriminator(pixels).shape == (2, 1, 2, 6, 6), "both strided layers halve time"
    backwards = discriminator(pixels.flip(2))
    assert not torch.allclose(backwards, discriminator(pixels))


def test_time_is_halved_twice_at_most():
    assert make("patchgan_3d", num_layers=4)(clips(9, 32)).shape == (2, 1, 3, 2, 2)


def test_the_published_shape_has_the_published_size_and_names():
    discriminator = build(DISCRIMINATORS, {"kind": "patchgan"}, "discriminator")
    assert sum(p.numel() for p in discriminator.parameters()) == 2_765_633
    shapes = {
        name: tuple(value.shape)
        for name, value in discriminator.state_dict().items()
        if value.ndim == 4
    }
    assert shapes == {
        "main.0.weight": (64, 3, 4, 4),
        "main.2.weight": (128, 64, 4, 4),
        "main.5.weight": (256, 128, 4, 4),
        "main.8.weight": (512, 256, 4, 4),
        "main.11.weight": (1, 512, 4, 4),
    }
    biases = {
        n
        for n, m in discriminator.named_modules()
        if isinstance(m, nn.Conv2d) and m.bias is not None
    }
    assert biases == {"main.0", "main.11"}


def test_convolutions_lie_at_the_same_place_with_and_without_norms():
    names = [
        {n for n, v in make("patchgan", norm=norm).state_dict().items() if v.ndim == 4}
        for norm in ("batch", "none")
    ]
    assert names[0] == names[1]


@pytest.mark.parametrize("kind", ["patchgan", "patchgan_3d"])
def test_weights_start_as_published(kind):
    discriminator = make(kind, base_channels=32)
    convolutions = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)]
    norms = [m for m in discriminator.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm3d)]
    assert convolutions[1].weight.std().item() == pytest.approx(0.02, rel=0.05)
    gains = torch.cat([norm.weight.detach() for norm in norms])
    assert gains.mean().item() == pytest.approx(1, abs=0.01)
    assert gains.std().item() == pytest.approx(0.02, rel=0.25)
    assert not any(norm.bias.any() for norm in norms)


@pytest.mark.parametrize("kind", KINDS)
def test_spectral_norm_brings_every_weight_to_norm_one(kind):
    discriminator = make(kind, spectral_norm=True, norm="none")
    for _ in range(30):  # one step of power iteration each
        discriminator(clips())
    for module in discriminator.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            largest = torch.linalg.matrix_norm(module.weight.flatten(1), ord=2)
            assert largest.item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_frame_gives_a_logit_and_a_smaller_one_a_clear_error(kind):
    discriminator = make(kind, num_layers=3, norm="group")
    side = discriminator.min_side
    assert discriminator(clips(side=side)).numel() >= 2
    with pytest.raises(ValueError, match=rf"at least {side} x {side} pixels, got {side - 1} x"):
        discriminator(clips(side=side - 1))


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_fp32_under_autocast_and_equal_those_without(kind):
    discriminator = make(kind).eval()
    with torch.autocast("cpu", torch.bfloat16):
        logits = discriminator(clips().bfloat16())
    assert logits.dtype == torch.float32
    assert torch.equal(logits, discriminator(clips().bfloat16().float()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["base_channels", "num_layers"])
def test_sizes_below_one_are_refused(kind, name):
    with pytest.raises(ValueError, match=rf"{name}: input should be greater than .* 1, got 0"):
        make(kind, **{name: 0})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["base_channels", "num_layers"])
def test_sizes_that_exhaust_the_memory_are_refused(kind, name):
    for size in (2**31, 2**40, 10**20):
        with pytest.raises(ValueError, match=rf"{name}: input should be less than .*, got {size}"):
            make(kind, **{name: size})


@pytest.mark.parametrize("pooling", ["average", "blur3", "blur4", "blur5"])
def test_poolings_halve_and_keep_the_mean_of_a_flat_picture(pooling):
    discriminator = make("maskbit", pooling=pooling, num_layers=1)
    pool = discriminator.get_submodule("blocks.0.1")
    pooled = pool(torch.ones(1, 8, 12, 12))
    assert pooled.shape == (1, 8, 6, 6)
    torch.testing.assert_close(pooled[..., 1:-2, 1:-2], torch.ones(1, 8, 3, 3))


def test_a_blur_kernel_is_binomial():
    row = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    torch.testing.assert_close(BlurPool(5).kernel[0, 0], torch.outer(row, row))


@pytest.mark.parametrize("size", [3, 4, 5])
def test_blur_pooling_rounds_up(size):
    assert BlurPool(size)(torch.ones(1, 2, 7, 8)).shape == (1, 2, 4, 4)


def test_same_padding_puts_the_odd_row_at_the_end():
    padded = pad_same(torch.ones(1, 1, 4, 4), kernel=4)
    assert padded.shape == (1, 1, 7, 7)
    assert padded[0, 0, :, 3].tolist() == [0, 1, 1, 1, 1, 0, 0]
