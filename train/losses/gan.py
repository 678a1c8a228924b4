"""GAN: the discriminator of a run, LeCam's averages of its logits, and the adversarial options."""

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
class GAN:
    """Everything the objectives of tokenizer and discriminator share.

    Attributes:
        discriminator: the network, outside of any distributed wrapper.
        lecam: moving averages of its logits; their `state_dict` belongs in checkpoints.
        options: losses, weights and steps.
    """

    discriminator: Discriminator
    lecam: LeCam
    options: Adversarial

    def generator_factor(self, step: int) -> float:
        """Return the factor on the tokenizer's adversarial loss: 0 before its start, then a ramp.

        Args:
            step: optimizer steps taken so far.
        """
        return self._factor(step - self.options.start_step)

    def discriminator_factor(self, step: int) -> float:
        """Return the factor on the discriminator's loss, likewise."""
        return self._factor(step - self.options.discriminator_start)

    def _factor(self, steps_since_start: int) -> float:
        if steps_since_start < 0:
            return 0.0
        return min(1.0, (steps_since_start + 1) / max(1, self.options.warmup_steps))

    def updates(self, step: int) -> int:
        """Return the number of discriminator updates of a step; 0 before the start."""
        started = step >= self.options.discriminator_start
        return self.options.updates_per_step if started else 0

    @contextmanager
    def frozen(self) -> Iterator[Discriminator]:
        """Yield the network without gradients for its weights, for the tokenizer's loss.

        Layers that follow the data (batch statistics, power iteration) keep following it. A sharded
        network decides at its first call which weights have gradients: it computes them all, and
        the loop drops them before the discriminator's own step.
        """
        if any(isinstance(weight, DTensor) for weight in self.discriminator.parameters()):
            yield self.discriminator
            return
        self.discriminator.requires_grad_(False)
        try:
            yield self.discriminator
        finally:
            self.discriminator.requires_grad_(True)


def build_gan(options: Adversarial, device: torch.device) -> GAN:
    """Build an untrained discriminator in train mode, with LeCam averages of zero.

    Raises:
        ValueError: sync_batch normalization was chosen for several CPU processes, where torch has
            none.
    """
    if (
        getattr(options.discriminator, "norm", None) == "sync_batch"
        and device.type == "cpu"
        and rank_and_world_size()[1] > 1
    ):
        raise ValueError(
            "train.adversarial.discriminator.norm=sync_batch takes statistics over GPUs only; "
            "use batch or group on several CPU processes"
        )
    discriminator = options.build_discriminator().to(device)
    return GAN(discriminator, LeCam(options.lecam_decay, options.lecam_form).to(device), options)
