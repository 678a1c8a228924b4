"""The moving average follows its formula; parity with a published one is in parity/."""

import torch
from torch import nn

from vistok.train.optimization.ema import EMA


def test_the_moving_average_follows_its_formula():
    model = nn.Linear(2, 2)
    ema = EMA(model, decay=0.5)
    expected = model.weight.detach().clone()
    for update in range(1, 6):
        with torch.no_grad():
            model.weight += 1.0
        ema.update(model)
        decay = min(0.5, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(ema.shadow.weight.detach(), expected)
    assert not any(p.requires_grad for p in ema.shadow.parameters())


def test_the_moving_average_copies_buffers():
    model = nn.BatchNorm1d(2)
    ema = EMA(model, decay=0.9)
    model(torch.randn(8, 2) + 5)
    ema.update(model)
    average, mean = ema.shadow.get_buffer("running_mean"), model.get_buffer("running_mean")
    assert torch.equal(average, mean)


def test_without_the_warm_up_the_decay_is_constant():
    model = nn.Linear(2, 2)
    ema = EMA(model, decay=0.9, warmup=False)
    expected = model.weight.detach().clone()
    for _ in range(3):
        with torch.no_grad():
            model.weight += 1.0
        ema.update(model)
        expected = 0.9 * expected + 0.1 * model.weight.detach()
    torch.testing.assert_close(ema.shadow.weight.detach(), expected)
