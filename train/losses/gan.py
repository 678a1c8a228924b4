"""Adversary: the discriminator of a run, with the rules and the state of the game against it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.distributed.tensor import DTensor

from ...distributed import rank_and_world_size
from ...models.discriminators.discriminator import Discriminator
from .lecam import LeCam
from .options import Adversarial


@dataclass(frozen=True)
class Adversary:
    """What both objectives know of the discriminator.

    Attributes:
        discriminator: the network, outside of any distributed wrapper.
        lecam: moving averages of its logits; their `state_dict` belongs into checkpoints.
        options: losses, weights and steps.
    """

    discriminator: Discriminator
    lecam: LeCam
    options: Adversarial

    def factor(self, step: int) -> float:
        """The share in which the game counts: 0 before the start, then rising linearly to 1.

        Args:
            step: optimizer steps taken so far.
        """
        done = step - self.options.start_step + 1
        if done < 1:
            return 0.0
        return min(1.0, done / max(1, self.options.warmup_steps))

    @contextmanager
    def frozen(self) -> Iterator[Discriminator]:
        """The network without gradients for its weights, while the generator is judged.

        Layers that follow the data (batch statistics, power iteration) go on following it. A
        sharded network settles at its first call which weights have gradients: it computes them
        all, and its player drops them before its own step.
        """
        if any(isinstance(weight, DTensor) for weight in self.discriminator.parameters()):
            yield self.discriminator
            return
        self.discriminator.requires_grad_(False)
        try:
            yield self.discriminator
        finally:
            self.discriminator.requires_grad_(True)


def build_adversary(options: Adversarial, device: torch.device) -> Adversary:
    """An untrained discriminator in train mode, and averages that have seen nothing.

    Raises:
        ValueError: statistics over all ranks are asked for where torch has none, on CPUs.
    """
    if (
        options.discriminator.norm == "sync_batch"
        and device.type == "cpu"
        and rank_and_world_size()[1] > 1
    ):
        raise ValueError(
            "train.adversarial.discriminator.norm=sync_batch takes statistics over GPUs only; "
            "take batch or group on several CPU processes"
        )
    discriminator = options.build_discriminator().to(device)
    return Adversary(discriminator, LeCam(options.lecam_decay).to(device), options)
