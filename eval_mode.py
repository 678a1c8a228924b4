"""A module in eval mode for the length of a block, and in its former mode afterwards.

Blocks of several threads may overlap: a module returns to its former mode when the last block that
holds it ends.
"""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from threading import Lock
from weakref import WeakKeyDictionary

import torch
from torch import nn


@dataclass
class _Hold:
    """The blocks that hold a module in eval mode.

    Attributes:
        was_training: mode of the module before the first of them.
        blocks: number of blocks that have not ended.
    """

    was_training: bool
    blocks: int = 0


_holds: WeakKeyDictionary[nn.Module, _Hold] = WeakKeyDictionary()
_lock = Lock()


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Hold a module and all modules inside it in eval mode for the length of the block."""
    # Torch traces modules in one thread, and cannot trace a lock.
    lock = nullcontext() if torch.compiler.is_compiling() else _lock
    holds = {} if torch.compiler.is_compiling() else _holds
    parts = list(module.modules())
    with lock:
        for part in parts:
            holds.setdefault(part, _Hold(part.training)).blocks += 1
            part.training = False
    try:
        yield
    finally:
        with lock:
            for part in parts:
                _release(holds, part)


def _release(holds: MutableMapping[nn.Module, _Hold], part: nn.Module) -> None:
    """End one block of a module, and restore its mode if that was the last one."""
    hold = holds[part]
    hold.blocks -= 1
    if not hold.blocks:
        part.training = hold.was_training
        del holds[part]
