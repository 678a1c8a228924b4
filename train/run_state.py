"""RunState: all that a run changes, built in one place, and what of it a checkpoint keeps."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch._functorch import config as functorch_config

from ..tokenizers.tokenizer import VisualTokenizer
from .config.run_config import RunConfig
from .losses.gan import Adversary, build_adversary
from .losses.perceptual import PerceptualLoss, build_perceptual_loss
from .optimization.ema import EMA
from .optimization.optimizer import build_optimizer
from .optimization.sharding import shard
from .player import Player
from .run.checkpoint import State
from .run.warm_start import carry_discriminator, load_warm_start


@dataclass(frozen=True)
class RunState:
    """Networks, optimizers and averages.

    Attributes:
        tokenizer: the trained tokenizer, without a wrapper around it.
        generator: the tokenizer as a player.
        ema: moving average of its weights.
        perceptual: LPIPS, where it has a weight.
        adversary: the discriminator with its rules, where it has a weight.
        judge: the discriminator as a player.
    """

    tokenizer: VisualTokenizer
    generator: Player
    ema: EMA[VisualTokenizer]
    perceptual: PerceptualLoss | None
    adversary: Adversary | None
    judge: Player | None

    @property
    def last_layer(self) -> Tensor:
        """Weight of the decoder's last layer; whole after a forward pass, also when sharded."""
        return self.tokenizer.decoder.conv_out.weight

    def train_mode(self, frozen: Sequence[str]) -> None:
        """Everything that learns in train mode, frozen parts in eval mode."""
        self.generator.model.train()
        for part in frozen:
            self.tokenizer.get_submodule(part).eval()
        if self.judge is not None:
            self.judge.model.train()

    def collect(self, accelerator: Accelerator) -> State:
        """What a checkpoint keeps, on rank 0; all ranks must call this."""
        model, optimizer = self.generator.state()
        discriminator, discriminator_optimizer = (
            (None, None) if self.judge is None else self.judge.state()
        )
        scaler = accelerator.scaler
        return {
            "model": model,
            "optimizer": optimizer,
            "ema": self.ema.gather().state_dict(),
            "ema_updates": self.ema.num_updates,
            "discriminator": discriminator,
            "discriminator_optimizer": discriminator_optimizer,
            "lecam": None if self.adversary is None else self.adversary.lecam.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
        }

    def load(self, state: State, accelerator: Accelerator) -> None:
        """Go on from a checkpoint; every rank reads it."""
        self.generator.load(state["model"], state["optimizer"])
        self.ema.load(state["ema"], state["ema_updates"])
        if self.judge is not None and self.adversary is not None:
            self.judge.load(state["discriminator"], state["discriminator_optimizer"])
            self.adversary.lecam.load_state_dict(state["lecam"])
        if accelerator.scaler is not None and state["scaler"] is not None:
            accelerator.scaler.load_state_dict(state["scaler"])


def build_run_state(
    config: RunConfig, accelerator: Accelerator, previous: Path | None, resumes: bool
) -> RunState:
    """Networks with the weights that the run begins with, their optimizers and averages.

    Args:
        config: the run.
        accelerator: prepares networks and optimizers for its devices.
        previous: folder of the stage before.
        resumes: whether a checkpoint will be loaded, so that the start does not matter.

    Raises:
        ValueError: the start does not fit, or nothing is left to train.
        MissingWeights: the perceptual loss has no weights.
    """
    options, device = config.train, accelerator.device
    torch.manual_seed(options.seed)
    tokenizer: Any = config.build_tokenizer()
    carried = None
    if config.start.source is not None and not resumes:
        carried = load_warm_start(config, tokenizer, previous)
    tokenizer.to(device)
    for part in options.freeze:
        tokenizer.get_submodule(part).requires_grad_(False)
    ema = EMA(tokenizer, options.ema_decay, options.ema_warmup)
    if options.gradient_checkpointing:
        tokenizer.enable_gradient_checkpointing()
    if options.compile:
        # Else a compiled backward frees what the adaptive weight's slopes need a second time.
        functorch_config.donated_buffer = not options.adversarial.adaptive
        tokenizer.encoder.compile()
        tokenizer.decoder.compile()

    losses = options.losses
    perceptual = adversary = judge = None
    if losses.perceptual_weight:
        perceptual = build_perceptual_loss(losses.perceptual_trunk, device)
    if losses.adversarial_weight:
        adversary = build_adversary(options.adversarial, device)
        if carried is not None:
            carry_discriminator(adversary, carried)
        judge = _player(adversary.discriminator, config, accelerator)
    adaptive = adversary is not None and options.adversarial.adaptive
    last_layer = tokenizer.decoder.conv_out if adaptive else None
    generator = _player(tokenizer, config, accelerator, last_layer)
    if options.parallelism == "fsdp2":
        ema.shard_like(tokenizer)
    return RunState(tokenizer, generator, ema, perceptual, adversary, judge)


def _player(
    network: nn.Module,
    config: RunConfig,
    accelerator: Accelerator,
    last_layer: nn.Module | None = None,
) -> Player:
    """Shard if asked, then the optimizer, then what accelerate puts around both."""
    options = config.train
    factors: dict[str, float] = {}
    if isinstance(network, VisualTokenizer):
        lr, prefix, factors = options.lr, "", options.lr_factors.model_dump()
    else:
        lr, prefix = options.adversarial.lr or options.lr, "discriminator_"
    if options.parallelism == "fsdp2":
        shard(network, accelerator.device, last_layer)
    optimizer = build_optimizer(network, options.optimizer_config, lr, factors)
    if options.parallelism == "fsdp2":
        return Player(network, network, accelerator.prepare_optimizer(optimizer), lr, prefix)
    with warnings.catch_warnings():
        # accelerate knows this option of torch's by its old name only
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        model, prepared = accelerator.prepare(network, optimizer)
    return Player(network, model, prepared, lr, prefix)
