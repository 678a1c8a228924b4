"""Optimizers: every weight once, in the group it belongs to, and states that go on exactly."""

import copy

import pytest
import torch
from torch import nn

from tiny import tiny_tokenizer
from vistok.component import build
from vistok.models.discriminators.catalog import DISCRIMINATORS
from vistok.train.optimization.optimizer import (
    OPTIMIZERS,
    AdamW,
    ChainedOptimizer,
    OptimizerConfig,
    build_optimizer,
    set_learning_rate,
)

KINDS = tuple(OPTIMIZERS)


class Net(nn.Module):
    """A convolution, a norm, a linear layer and a table."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4))
        self.decoder = nn.Linear(4, 4)
        self.table = nn.Parameter(torch.randn(2, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(x).mean(dim=(2, 3))) + self.table.sum(dim=0)


def recipe(kind: str, **options) -> OptimizerConfig:
    return build(OPTIMIZERS, {"kind": kind, **options}, "train.optimizer")


def train(net: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        net.zero_grad()
        net(torch.randn(2, 3, 4, 4, generator=generator)).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_is_stepped_once_and_frozen_ones_are_not(kind):
    net = Net()
    net.encoder[0].weight.requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    optimizer = build_optimizer(net, recipe(kind), lr=0.1)
    stepped = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(stepped) == len({id(p) for p in stepped}) == len(list(net.parameters())) - 1
    train(net, optimizer, range(1))
    moved = {
        name for name, value in net.state_dict().items() if not torch.equal(value, before[name])
    }
    # Of the bias before the norm nothing but rounding is left, so it is not counted here.
    assert moved | {"encoder.0.bias"} == before.keys() - {"encoder.0.weight"} | {"encoder.0.bias"}


@pytest.mark.parametrize("kind", KINDS)
def test_weight_decay_is_for_weights_of_linear_layers_and_convolutions(kind):
    net = Net()
    optimizer = build_optimizer(net, recipe(kind, weight_decay=0.1), lr=0.1)
    decayed = {
        id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]
    }
    assert decayed == {id(net.encoder[0].weight), id(net.decoder.weight)}


def test_parts_may_have_rates_of_their_own():
    net = Net()
    optimizer = build_optimizer(net, recipe("adamw"), 0.1, {"encoder": 0.5, "decoder": 2.0})
    set_learning_rate(optimizer, 0.01)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rates[id(p)] for p in net.encoder.parameters()} == {0.005}
    assert {rates[id(p)] for p in net.decoder.parameters()} == {0.02}
    assert rates[id(net.table)] == 0.01
    with pytest.raises(
        ValueError, match="lr_factors names head, but the model's parts are encoder"
    ):
        build_optimizer(net, recipe("adamw"), 0.1, {"head": 0.5})


def test_a_net_frozen_as_a_whole_is_refused():
    with pytest.raises(ValueError, match="every parameter of the model is frozen"):
        build_optimizer(Net().requires_grad_(False), recipe("adamw"), 0.1)


def test_muon_takes_the_matrices_of_linear_layers_alone():
    net = Net()
    optimizer = build_optimizer(net, recipe("muon"), lr=0.1)
    train(net, optimizer, range(2))
    by_muon = {id(p) for p, state in optimizer.state.items() if "momentum_buffer" in state}
    by_adamw = {id(p) for p, state in optimizer.state.items() if "exp_avg" in state}
    assert by_muon == {id(net.decoder.weight)}
    assert by_adamw == {id(p) for p in net.parameters()} - by_muon


def test_muon_steps_as_torch_does():
    ours, theirs = Net(), Net()
    options = {"weight_decay": 0.1, "betas": (0.5, 0.9)}
    train(ours, build_optimizer(ours, recipe("muon", **options), lr=0.1), range(3))
    matrix = theirs.decoder.weight
    muon = torch.optim.Muon(
        [matrix], lr=0.1, momentum=0.95, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
    )
    convolution = theirs.encoder[0].weight
    rest = [p for p in theirs.parameters() if p is not matrix and p is not convolution]
    adamw = torch.optim.AdamW(
        [{"params": [convolution]}, {"params": rest, "weight_decay": 0.0}],
        lr=0.1,
        betas=(0.5, 0.9),
        weight_decay=0.1,
    )
    for step in range(3):
        train(theirs, muon, range(step, step + 1))
        # the gradients that Muon has just used; it has moved the matrix only
        moved = matrix.detach().clone()
        adamw.step()
        assert torch.equal(matrix.detach(), moved)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, msg=name)


def test_muon_without_linear_layers_says_so_and_is_adamw(caplog):
    discriminator = DISCRIMINATORS["patchgan"](base_channels=4, num_layers=1)
    optimizer = build_optimizer(discriminator, recipe("muon"), lr=0.1)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert "muon found no linear layers: AdamW trains all weights" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_that_was_saved_goes_on_to_the_bit(kind, tmp_path):
    whole, parts = Net(), Net()
    train(whole, build_optimizer(whole, recipe(kind, weight_decay=0.1), 0.1), range(4))
    optimizer = build_optimizer(parts, recipe(kind, weight_decay=0.1), 0.1)
    train(parts, optimizer, range(2))
    torch.save({"net": parts.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "s.pt")
    state = torch.load(tmp_path / "s.pt", weights_only=True)
    again = Net()
    again.load_state_dict(state["net"])
    optimizer = build_optimizer(again, recipe(kind, weight_decay=0.1), 0.1)
    optimizer.load_state_dict(state["optimizer"])
    train(again, optimizer, range(2, 4))
    assert all(torch.equal(again.state_dict()[n], v) for n, v in whole.state_dict().items())


def test_muon_and_adamw_look_like_one_optimizer_to_accelerate():
    from accelerate import Accelerator

    plain, prepared = Net(), Net()
    train(plain, build_optimizer(plain, recipe("muon"), 0.1), range(2))
    accelerator = Accelerator(cpu=True)
    optimizer = build_optimizer(prepared, recipe("muon"), 0.1)
    assert isinstance(optimizer, ChainedOptimizer)
    _, wrapped = accelerator.prepare(prepared, optimizer)
    set_learning_rate(wrapped, 0.1)
    train(prepared, wrapped, range(2))
    assert all(torch.equal(prepared.state_dict()[n], v) for n, v in plain.state_dict().items())


def test_the_groups_change_nothing_of_a_plain_adamw():
    """Splitting into groups is bookkeeping: without decay and factors the steps are the same."""
    grouped, plain = tiny_tokenizer("image").train(), tiny_tokenizer("image").train()
    options = AdamW(betas=(0.9, 0.95))
    optimizers = [
        build_optimizer(grouped, options, 1e-2),
        torch.optim.AdamW(plain.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    pixels = torch.rand(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    for tokenizer, optimizer in zip((grouped, plain), optimizers, strict=True):
        for _ in range(2):
            optimizer.zero_grad()
            tokenizer(pixels).pixels.square().mean().backward()
            optimizer.step()
    assert all(torch.equal(grouped.state_dict()[n], v) for n, v in plain.state_dict().items())
