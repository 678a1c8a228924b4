"""RunState: everything that changes during a run, and its form in a checkpoint."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn

from ..tokenizers.code_statistics import CodeStatistics
from ..tokenizers.tokenizer import VisualTokenizer
from .losses.gan import GAN
from .losses.perceptual import PerceptualLoss
from .losses.pixel_likelihood import PixelLikelihood
from .losses.reconstruction import ReconstructionLoss
from .monitor.running_means import RunningMeans
from .optimization.ema import EMA
from .optimization.sharding import (
    load_network,
    load_optimizer,
    network_state,
    optimizer_state,
)
from .run.checkpoint import State
from .run.finite_check import FiniteCheck

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DiscriminatorState:
    """The discriminator in training.

    Attributes:
        gan: the bare network, LeCam's averages and the options.
        model: the network as the loop calls it: inside its data parallel wrapper if it has one.
        optimizer: as accelerate prepared it.
        finite: skips updates that are not finite.
    """

    gan: GAN
    model: nn.Module
    optimizer: AcceleratedOptimizer
    finite: FiniteCheck

    def state_dict(self) -> State:
        """Return the part of a checkpoint's state; complete on rank 0, all ranks must call this."""
        network = self.gan.discriminator
        return {
            "discriminator": network_state(network),
            "discriminator_optimizer": optimizer_state(network, self.optimizer.optimizer),
            "lecam": self.gan.lecam.state_dict(),
            "discriminator_skipped": self.finite.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Restore the part of a checkpoint's state."""
        network = self.gan.discriminator
        load_network(network, state["discriminator"])
        load_optimizer(network, self.optimizer.optimizer, state["discriminator_optimizer"])
        self.gan.lecam.load_state_dict(state["lecam"])
        if "discriminator_skipped" in state:  # not in checkpoints of older versions
            self.finite.load_state_dict(state["discriminator_skipped"])


NO_DISCRIMINATOR: State = dict.fromkeys(
    ("discriminator", "discriminator_optimizer", "lecam", "discriminator_skipped")
)


@dataclass(frozen=True)
class RunState:
    """Networks, optimizers and averages, and the metrics since the last logged step.

    Attributes:
        tokenizer: the bare tokenizer, sharded in place where asked for.
        model: the tokenizer as the loop calls it: inside its data parallel wrapper if it has one.
        optimizer: of the tokenizer, as accelerate prepared it.
        finite: skips updates of the tokenizer that are not finite.
        ema: moving average of the tokenizer's weights.
        perceptual: LPIPS, where it has a weight.
        extra_losses: registered losses of the config, by kind.
        discriminator: where the adversarial loss has a weight.
        likelihood: the learned log-variance of the pixels, where it is learned.
        means: losses and terms since the last logged step.
        code_statistics: codebook usage since the last logged step.
    """

    tokenizer: VisualTokenizer
    model: nn.Module
    optimizer: AcceleratedOptimizer
    finite: FiniteCheck
    ema: EMA[VisualTokenizer]
    perceptual: PerceptualLoss | None
    extra_losses: Mapping[str, ReconstructionLoss]
    discriminator: DiscriminatorState | None
    likelihood: PixelLikelihood | None
    means: RunningMeans
    code_statistics: CodeStatistics

    @property
    def gan(self) -> GAN | None:
        """The discriminator as the tokenizer's loss sees it."""
        return None if self.discriminator is None else self.discriminator.gan

    @property
    def last_layer(self) -> Tensor | None:
        """Weight of the decoder's last layer; whole after a forward pass, also when sharded."""
        layer: Any = self.tokenizer.decoder.last_layer
        return None if layer is None else layer.weight

    def train_mode(self, frozen: Sequence[str]) -> None:
        """Put both networks into train mode, and frozen parts of the tokenizer into eval mode."""
        self.model.train()
        for part in frozen:
            self.tokenizer.get_submodule(part).eval()
        if self.discriminator is not None:
            self.discriminator.model.train()

    def reset_metrics(self) -> None:
        """Start new means and counts, after a row of metrics has them."""
        self.means.reset()
        self.code_statistics.reset()
        self.finite.reset()
        if self.discriminator is not None:
            self.discriminator.finite.reset()

    def state_dict(self, accelerator: Accelerator) -> State:
        """Return the state for a checkpoint, complete on rank 0; all ranks must call this."""
        discriminator, scaler = self.discriminator, accelerator.scaler
        return {
            "model": network_state(self.tokenizer),
            "optimizer": optimizer_state(self.tokenizer, self.optimizer.optimizer),
            "ema": self.ema.gather().state_dict(),
            "ema_updates": self.ema.num_updates,
            **(NO_DISCRIMINATOR if discriminator is None else discriminator.state_dict()),
            "likelihood": None if self.likelihood is None else self.likelihood.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "skipped": self.finite.state_dict(),
            "means": self.means.state_dict(),
            "code_statistics": self.code_statistics.over_all_ranks().state_dict(),
        }

    def load_state_dict(self, state: State, accelerator: Accelerator) -> None:
        """Restore the state of a checkpoint, which every rank has read."""
        load_network(self.tokenizer, state["model"])
        load_optimizer(self.tokenizer, self.optimizer.optimizer, state["optimizer"])
        self.ema.load_state_dict(state["ema"], state["ema_updates"])
        if self.discriminator is not None:
            if state["discriminator"] is None:
                log.warning("the checkpoint holds no discriminator: an untrained one starts here")
            else:
                self.discriminator.load_state_dict(state)
        if self.likelihood is not None and state["likelihood"] is not None:
            self.likelihood.load_state_dict(state["likelihood"])
        if accelerator.scaler is not None and state["scaler"] is not None:
            accelerator.scaler.load_state_dict(state["scaler"])
        if "means" not in state:  # checkpoints of older versions
            return
        self.finite.load_state_dict(state["skipped"])
        self.means.load_state_dict(state["means"], accelerator.device)
        if accelerator.is_main_process:  # counts of all ranks
            self.code_statistics.load_state_dict(state["code_statistics"])
