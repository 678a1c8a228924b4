"""Eval mode inside a block: every module gets its own mode back, whichever thread leaves last."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from torch import nn

from vistok.eval_mode import eval_mode

BLOCKS = 3


def mixed_modes() -> nn.Sequential:
    """A network in train mode with a frozen part in eval mode."""
    net = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.Dropout()), nn.BatchNorm1d(1)).train()
    net[2].eval()
    return net


def modes(net: nn.Module) -> list[bool]:
    return [module.training for module in net.modules()]


def test_every_module_gets_its_own_mode_back_even_after_an_error():
    net = mixed_modes()
    before = modes(net)
    with eval_mode(net):
        assert not any(modes(net))
    assert modes(net) == before
    with pytest.raises(KeyError), eval_mode(net):
        raise KeyError
    assert modes(net) == before


def test_blocks_may_overlap_and_nest():
    net = mixed_modes()
    before = modes(net)
    whole, part = eval_mode(net), eval_mode(net[1])
    whole.__enter__()
    part.__enter__()
    whole.__exit__(None, None, None)
    assert not net[1].training, "the second block has not ended"
    assert net[0].training
    part.__exit__(None, None, None)
    assert modes(net) == before


def test_threads_leave_a_module_in_train_mode():
    """Each thread enters its blocks while others are inside theirs, and leaves in any order."""
    net, barrier = mixed_modes(), Barrier(BLOCKS)
    before = modes(net)

    def work(_: int) -> bool:
        always_eval = True
        for _ in range(50):
            barrier.wait()
            with eval_mode(net):
                always_eval = always_eval and not any(modes(net))
        return always_eval

    with ThreadPoolExecutor(BLOCKS) as pool:
        assert all(pool.map(work, range(BLOCKS)))
    assert modes(net) == before
