"""The adaptive weight makes both losses pull equally hard at the last layer."""

import pytest
import torch

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
