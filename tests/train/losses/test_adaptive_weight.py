"""The adaptive weight makes both losses pull equally hard at the last layer."""

import pytest
import torch
from torch import Tensor
from torch.amp import GradScaler

from vistok.train.losses.adaptive_weight import LARGEST, adaptive_weight


def test_it_is_the_ratio_of_gradient_norms():
    layer = torch.tensor([1.0, 2.0], requires_grad=True)
    weight = adaptive_weight((3 * layer).sum(), (layer**2).sum(), layer)
    ratio = torch.tensor([3.0, 3.0]).norm() / (torch.tensor([2.0, 4.0]).norm() + 1e-4)
    torch.testing.assert_close(weight, ratio)
    assert not weight.requires_grad


def test_both_graphs_stay_usable():
    layer = torch.tensor([1.0, 2.0], requires_grad=True)
    first, second = (layer**2).sum(), (layer**3).sum()
    (first + adaptive_weight(first, second, layer) * second).backward()
    assert layer.grad is not None


def test_it_is_bounded_where_the_generator_has_no_pull():
    layer = torch.tensor([1.0], requires_grad=True)
    assert adaptive_weight((1e3 * layer).sum(), (0 * layer).sum(), layer) == LARGEST


def test_without_a_graph_it_is_zero():
    layer = torch.tensor([1.0], requires_grad=True)
    with torch.no_grad():
        assert adaptive_weight((2 * layer).sum(), (layer**2).sum(), layer) == 0


@pytest.mark.parametrize("requires_grad", [True, False])
def test_a_last_layer_outside_of_the_graph_is_a_clear_error(requires_grad):
    other = torch.tensor([1.0], requires_grad=True)
    layer = torch.tensor([1.0], requires_grad=requires_grad)
    with pytest.raises(ValueError, match=r"neither frozen nor sharded.*adaptive=false"):
        adaptive_weight(other.sum(), (other**2).sum(), layer)


def slopes_of_many_pixels(precision: torch.dtype, pixels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two losses of a last layer that runs in a precision, as small as means over `pixels` are."""
    generator = torch.Generator().manual_seed(0)
    layer = torch.randn(3, 4, 3, 3, generator=generator).requires_grad_()
    x, target = (torch.randn(2, c, 8, 8, generator=generator) for c in (4, 3))
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        y = torch.nn.functional.conv2d(x, layer, padding=1).float()
    return (y - target).abs().sum() / pixels, (y * target).sum() / pixels * 1e3, layer


def test_a_loss_scale_keeps_slopes_of_fp16_from_underflowing():
    """At 2^26 pixels the slope of a mean is 0 in fp16: the discriminator would have no say."""
    expected = adaptive_weight(*slopes_of_many_pixels(torch.float32, 2**26))
    scaler = GradScaler("cpu", init_scale=2.0**16)
    weight = adaptive_weight(*slopes_of_many_pixels(torch.float16, 2**26), scaler)
    torch.testing.assert_close(weight, expected, rtol=1e-2, atol=0)


def test_a_loss_scale_that_is_too_large_is_lowered():
    """The scaler begins with one that overflows; that must not change the weight."""
    expected = adaptive_weight(*slopes_of_many_pixels(torch.float32, 2**8))
    scaler = GradScaler("cpu", init_scale=2.0**24)
    weight = adaptive_weight(*slopes_of_many_pixels(torch.float16, 2**8), scaler)
    torch.testing.assert_close(weight, expected, rtol=1e-2, atol=0)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_loss_scale_changes_no_bit_elsewhere(precision):
    scaler = GradScaler("cpu", init_scale=2.0**16)
    losses = slopes_of_many_pixels(precision, 2**16)
    assert torch.equal(adaptive_weight(*losses, scaler), adaptive_weight(*losses))
