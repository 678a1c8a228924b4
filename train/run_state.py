"""RunState: everything that changes during a run, and its form in a checkpoint."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn

from ..tokenizers.code_statistics import CodeStatistics
from ..tokenizers.tokenizer import VisualTokenizer
from .config.run_config import RunConfig
from .config.training import Train
from .losses.catalog import build_extra_losses
from .losses.gan import GAN, build_gan
from .losses.perceptual import PerceptualLoss, build_perceptual_loss
from .losses.pixel_likelihood import PixelLikelihood
from .losses.reconstruction import ReconstructionLoss
from .monitor.running_means import RunningMeans
from .optimization.compilation import compile_networks
from .optimization.ema import EMA
from .optimization.optimizer import OptimizerConfig, build_optimizer
from .optimization.sharding import (
    load_network,
    load_optimizer,
    network_state,
    optimizer_state,
    shard,
)
from .run.checkpoint import State, check_world_size, load_checkpoint
from .run.finite_check import FiniteCheck
from .run.run_folder import RunFolder
from .run.warm_start import carry_discriminator, load_warm_start

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
            self.discriminator.load_state_dict(state)
        if self.likelihood is not None:
            self.likelihood.load_state_dict(state["likelihood"])
        if accelerator.scaler is not None and state["scaler"] is not None:
            accelerator.scaler.load_state_dict(state["scaler"])
        if "means" not in state:  # checkpoints of older versions
            return
        self.finite.load_state_dict(state["skipped"])
        self.means.load_state_dict(state["means"], accelerator.device)
        if accelerator.is_main_process:  # counts of all ranks
            self.code_statistics.load_state_dict(state["code_statistics"])


def open_run_state(
    config: RunConfig,
    accelerator: Accelerator,
    folder: RunFolder,
    previous: Path | None,
    resume: Path | None,
) -> tuple[RunState, int]:
    """Build the state that a run starts from, or restore a checkpoint.

    Args:
        config: the run.
        accelerator: prepares networks and optimizers for its devices.
        folder: of the run.
        previous: folder of the previous stage.
        resume: the checkpoint to resume from; None starts from the beginning.

    Returns:
        The state in train mode, and the number of steps taken so far.

    Raises:
        ValueError: the start does not fit, or nothing is left to train.
        DamagedCheckpointError: the checkpoint cannot be used.
        MissingWeights: the perceptual loss has no weights.
    """
    resumes, step = resume is not None, 0
    state = build_run_state(config, accelerator, folder, previous, resumes=resumes)
    if resume is not None:
        checkpoint = load_checkpoint(resume)
        step = checkpoint["step"]
        check_world_size(checkpoint, accelerator.num_processes)
        state.load_state_dict(checkpoint, accelerator)
        log.info("resuming from %s", resume)
    state.train_mode(config.train.freeze)
    return state, step


def build_run_state(
    config: RunConfig,
    accelerator: Accelerator,
    folder: RunFolder,
    previous: Path | None,
    *,
    resumes: bool,
) -> RunState:
    """Build networks with the weights that the run starts from, their optimizers and averages.

    Args:
        config: the run.
        accelerator: prepares networks and optimizers for its devices.
        folder: of the run, whose checkpoints messages name.
        previous: folder of the previous stage.
        resumes: whether a checkpoint will be loaded, so that `start` is not read.

    Raises:
        ValueError: the start does not fit, or nothing is left to train.
        MissingWeights: the perceptual loss has no weights.
    """
    options, device = config.train, accelerator.device
    torch.manual_seed(options.seed)
    tokenizer: Any = config.build_tokenizer()
    carried = None
    if config.start.source is not None and not resumes:
        has_discriminator = options.losses.adversarial_weight > 0
        carried = load_warm_start(tokenizer, config.start, previous, has_discriminator)
    tokenizer.to(device)
    for part in options.freeze:
        tokenizer.get_submodule(part).requires_grad_(False)
    ema = EMA(tokenizer, options.ema_decay, options.ema_warmup)
    if options.gradient_checkpointing:
        tokenizer.enable_gradient_checkpointing()

    def finite_check(network: str, moved: Sequence[nn.Module]) -> FiniteCheck:
        allowed = options.max_skipped_steps
        return FiniteCheck(
            network, moved, max_skipped=allowed, folder=folder, accelerator=accelerator
        )

    losses = options.losses
    adaptive = losses.adversarial_weight > 0 and options.adversarial.adaptive
    if options.compile:
        compile_networks(tokenizer, eager_last_layer=adaptive)

    perceptual = discriminator = likelihood = None
    if losses.perceptual_weight:
        perceptual = build_perceptual_loss(losses.perceptual_trunk, device)
    if losses.adversarial_weight:
        gan = build_gan(options.adversarial, device)
        if carried is not None:
            carry_discriminator(gan, carried)
        prepared = _prepare(
            gan.discriminator, options, accelerator, options.discriminator_optimizer_config
        )
        finite = finite_check("discriminator", [gan.discriminator, gan.lecam])
        discriminator = DiscriminatorState(gan, *prepared, finite)
    if losses.learn_logvar:
        betas = options.optimizer_config.betas
        likelihood = PixelLikelihood(losses.logvar_init, betas, device)
    model, optimizer = _prepare(
        tokenizer,
        options,
        accelerator,
        options.optimizer_config,
        lr_factors=options.lr_factors.model_dump(),
        last_layer=tokenizer.decoder.last_layer if adaptive else None,
    )
    if options.parallelism == "fsdp2":
        ema.shard_like(tokenizer)
    group_sizes = tokenizer.quantizer.group_sizes if tokenizer.is_discrete else ()
    return RunState(
        tokenizer=tokenizer,
        model=model,
        optimizer=optimizer,
        # Its loss also moves the discriminator's batch statistics.
        finite=finite_check(
            "tokenizer", [tokenizer, *([discriminator.gan.discriminator] if discriminator else [])]
        ),
        ema=ema,
        perceptual=perceptual,
        extra_losses=build_extra_losses(losses.extra, device),
        discriminator=discriminator,
        likelihood=likelihood,
        means=RunningMeans(),
        code_statistics=CodeStatistics(group_sizes),
    )


def _prepare(
    network: nn.Module,
    options: Train,
    accelerator: Accelerator,
    recipe: OptimizerConfig,
    *,
    lr_factors: Mapping[str, float] | None = None,
    last_layer: nn.Module | None = None,
) -> tuple[nn.Module, AcceleratedOptimizer]:
    """Shard a network if asked for, build its optimizer, and let accelerate wrap both.

    The loop sets the learning rate at every step.

    Returns:
        The network as the loop calls it, and the prepared optimizer.
    """
    if options.parallelism == "fsdp2":
        shard(network, accelerator.device, last_layer)
    optimizer = build_optimizer(network, recipe, options.lr, lr_factors)
    if options.parallelism == "fsdp2":
        model, prepared = network, accelerator.prepare_optimizer(optimizer)
    else:
        with warnings.catch_warnings():
            # accelerate knows this option of torch by its old name only.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            model, prepared = accelerator.prepare(network, optimizer)
    assert isinstance(prepared, AcceleratedOptimizer), "accelerate wraps every optimizer"
    return model, prepared
