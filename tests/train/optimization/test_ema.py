"""The moving average without its ramp; the rest is in test_parts.py and parity/."""

import torch
from torch import nn

from vistok.train.optimization.ema import EMA


def test_without_the_ramp_the_decay_is_constant():
    model = nn.Linear(2, 2)
    ema = EMA(model, decay=0.9, warmup=False)
    expected = model.weight.detach().clone()
    for _ in range(3):
        with torch.no_grad():
            model.weight += 1.0
        ema.update(model)
        expected = 0.9 * expected + 0.1 * model.weight.detach()
    torch.testing.assert_close(ema.shadow.weight.detach(), expected)
