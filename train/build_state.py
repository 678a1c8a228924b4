"""Building the state of a run: new, from the weights of `start`, or from a checkpoint."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn

from ..tokenizers.code_statistics import CodeStatistics
from .config.run_config import RunConfig
from .config.training import Train
from .losses.catalog import build_extra_losses
from .losses.gan import build_gan
from .losses.perceptual import build_perceptual_loss
from .losses.pixel_likelihood import PixelLikelihood
from .monitor.running_means import RunningMeans
from .optimization.compilation import compile_networks
from .optimization.ema import EMA
from .optimization.optimizer import OptimizerConfig, build_optimizer
from .optimization.sharding import shard
from .run.checkpoint import State, check_world_size, load_checkpoint
from .run.finite_check import FiniteCheck
from .run.run_folder import RunFolder
from .run.warm_start import carry_discriminator, load_warm_start
from .run_state import DiscriminatorState, RunState

log = logging.getLogger(__name__)


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
    options, losses, device = config.train, config.train.losses, accelerator.device
    torch.manual_seed(options.seed)
    tokenizer: Any = config.build_tokenizer()
    carried = None
    if config.start.source is not None and not resumes:
        has_discriminator = losses.adversarial_weight > 0
        carried = load_warm_start(tokenizer, config.start, previous, has_discriminator)
    tokenizer.to(device)
    for part in options.freeze:
        tokenizer.get_submodule(part).requires_grad_(False)
    ema = EMA(tokenizer, options.ema_decay, options.ema_warmup)
    if options.gradient_checkpointing:
        tokenizer.enable_gradient_checkpointing()
    adaptive = losses.adversarial_weight > 0 and options.adversarial.adaptive
    if options.compile:
        compile_networks(tokenizer, eager_last_layer=adaptive)

    perceptual = discriminator = likelihood = None
    if losses.perceptual_weight:
        perceptual = build_perceptual_loss(losses.perceptual_trunk, device)
    if losses.adversarial_weight:
        discriminator = _build_discriminator(config, accelerator, folder, carried)
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
    # The tokenizer's loss also moves the discriminator's batch statistics.
    moved = [tokenizer, *([discriminator.gan.discriminator] if discriminator else [])]
    group_sizes = tokenizer.quantizer.group_sizes if tokenizer.is_discrete else ()
    return RunState(
        tokenizer=tokenizer,
        model=model,
        optimizer=optimizer,
        finite=_finite_check("tokenizer", moved, options, accelerator, folder),
        ema=ema,
        perceptual=perceptual,
        extra_losses=build_extra_losses(losses.extra, device),
        discriminator=discriminator,
        likelihood=likelihood,
        means=RunningMeans(),
        code_statistics=CodeStatistics(group_sizes),
    )


def _build_discriminator(
    config: RunConfig, accelerator: Accelerator, folder: RunFolder, carried: State | None
) -> DiscriminatorState:
    """Build the discriminator, untrained or carried over from another run."""
    options = config.train
    gan = build_gan(options.adversarial, accelerator.device)
    if carried is not None:
        carry_discriminator(gan, carried)
    recipe = options.discriminator_optimizer_config
    model, optimizer = _prepare(gan.discriminator, options, accelerator, recipe)
    moved = [gan.discriminator, gan.lecam]
    finite = _finite_check("discriminator", moved, options, accelerator, folder)
    return DiscriminatorState(gan, model, optimizer, finite)


def _finite_check(
    network: str,
    moved: Sequence[nn.Module],
    options: Train,
    accelerator: Accelerator,
    folder: RunFolder,
) -> FiniteCheck:
    allowed = options.max_skipped_steps
    return FiniteCheck(network, moved, max_skipped=allowed, folder=folder, accelerator=accelerator)


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
