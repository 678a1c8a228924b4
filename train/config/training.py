"""The `train` section of a run config: steps, optimizers, schedule, losses, logging and devices."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, model_validator

from ...component import build
from ...component_options import family_union, options_model
from ...config import ConfigSection, Count, PositiveInt, Seed, UnitInterval
from ..losses.options import Adversarial, Losses
from ..optimization.optimizer import OPTIMIZERS, OptimizerConfig
from ..optimization.schedule import ScheduleName, learning_rate_factor
from .path_mode import PathMode


def _spell_no(value: Any) -> Any:
    """Return "no" for false, which is what YAML makes of a bare `no`."""
    return "no" if value is False else value


class LearningRateFactors(ConfigSection):
    """Factors on train.lr for the parts of the tokenizer."""

    encoder: PositiveFloat = 1.0
    """Factor on the encoder's learning rate."""
    bottleneck: PositiveFloat = 1.0
    """Factor on the bottleneck's learning rate."""
    decoder: PositiveFloat = 1.0
    """Factor on the decoder's learning rate."""


class Train(ConfigSection):
    """Training; progress is counted in optimizer steps everywhere."""

    steps: PositiveInt
    """Length of the run, in optimizer steps."""
    batch_size: PositiveInt = 16
    """Number of samples per device and micro-batch."""
    accumulation_steps: PositiveInt = 1
    """Number of micro-batches per optimizer step, whose gradients are accumulated."""
    lr: PositiveFloat = 1e-4
    """Peak learning rate."""
    lr_factors: LearningRateFactors = Field(default_factory=LearningRateFactors)
    """Factors on the learning rate for encoder, bottleneck and decoder."""
    optimizer: family_union(OPTIMIZERS) = Field(  # pyright: ignore[reportInvalidTypeForm]
        default_factory=options_model(OPTIMIZERS["adamw"], "adamw")
    )
    """Optimizer of the tokenizer, and of the discriminator unless it has its own."""
    schedule: ScheduleName = "cosine"
    """Shape of the learning rate after the warm-up."""
    warmup_steps: Count = 500
    """Optimizer steps over which the learning rate rises linearly to its peak."""
    warmup_start_factor: float | None = Field(default=None, ge=0, lt=1)
    """Factor on the learning rate at the first step; null starts at 1 / warmup_steps."""
    min_lr_ratio: float = Field(default=0.0, ge=0, le=1)
    """Learning rate at the last step, as a share of the peak; `constant` ignores it."""
    grad_clip_norm: PositiveFloat | None = 1.0
    """Maximum norm of all gradients of the tokenizer together, and of the discriminator's unless it
    has its own; null clips nothing."""
    ema_decay: UnitInterval = 0.999
    """Decay per step of the moving average of the weights, which is what is scored and saved."""
    ema_warmup: bool = True
    """Use a smaller decay during the first steps, so that the average follows them faster."""
    seed: Seed = 0
    """Seed of initial weights, data order, crops and all other random numbers."""
    mixed_precision: Annotated[Literal["no", "bf16", "fp16"], BeforeValidator(_spell_no)] = "no"
    """Autocast dtype; quantizers, losses and the discriminator stay in fp32."""
    checkpoint_every_steps: PositiveInt = 1000
    """Number of optimizer steps between two checkpoints; the last step always saves one."""
    keep_last: PositiveInt = 2
    """Number of newest checkpoints to keep, beside the one of the best score."""
    log_every_steps: PositiveInt = 50
    """Number of optimizer steps that one row of metrics.jsonl averages over."""
    sample_every_steps: Count = 1000
    """Number of optimizer steps between two sample grids, and one after the last step; 0 switches
    them off."""
    max_skipped_steps: Count = 0
    """Number of updates in a row of each network that may be skipped because their loss or
    gradients are not finite; 0 stops the run at the first. fp16's search for its scale has an
    allowance of its own."""
    losses: Losses = Field(default_factory=Losses)
    """Weights of the loss terms."""
    adversarial: Adversarial = Field(default_factory=Adversarial)
    """Discriminator and adversarial losses; used if losses.adversarial_weight is not 0."""
    path_mode: PathMode = "both"
    """Path that a step of a dual-path tokenizer takes: both, one of them, alternate (in turn), or
    sampled."""
    discrete_share: UnitInterval = 0.5
    """Probability of the discrete path with path_mode: sampled."""
    freeze: list[Literal["encoder", "bottleneck", "decoder", "encoder.model", "decoder.model"]] = (
        Field(default=[])
    )
    """Parts of the tokenizer that keep their weights and stay in eval mode; of a half of kind
    diffusers, `encoder.model` and `decoder.model` leave its linear layer to be trained."""
    parallelism: Literal["ddp", "fsdp2"] = "ddp"
    """With several processes: copies of both networks (ddp), or slices of them (fsdp2)."""
    compile: bool = False
    """Compile encoder and decoder with torch.compile; the first steps then take long."""
    deterministic: bool = False
    """Use deterministic algorithms only, so that GPUs too give the same bits each time; slower."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, about a third more time."""
    trackers: list[Literal["tensorboard", "wandb"]] = Field(default=["tensorboard"])
    """Trackers that receive the metrics beside metrics.jsonl; wandb needs `pip install
    vistok[wandb]`."""
    latent_statistics_samples: Count = 1024
    """Number of training clips on which mean and standard deviation of every latent channel are
    measured at the end of the run (continuous tokenizers); 0 leaves the latents unscaled."""

    @model_validator(mode="after")
    def _every_setting_has_an_effect(self) -> "Train":
        if self.discrete_share != 0.5 and self.path_mode != "sampled":
            raise ValueError(
                f"discrete_share={self.discrete_share:g} needs path_mode=sampled, "
                f"got path_mode={self.path_mode}"
            )
        if self.warmup_start_factor is not None and self.warmup_steps == 0:
            raise ValueError(
                f"warmup_start_factor={self.warmup_start_factor:g} needs warmup_steps > 0"
            )
        return self

    def learning_rate_factor(self, start_step: int = 0) -> Callable[[int], float]:
        """Return the factor on learning rates as a function of the step, counted from 0.

        Args:
            start_step: step at which warm-up and schedule start.
        """
        return learning_rate_factor(
            self.schedule,
            warmup_steps=self.warmup_steps,
            steps=self.steps,
            final_factor=self.min_lr_ratio,
            warmup_start_factor=self.warmup_start_factor,
            start_step=start_step,
        )

    def learning_rate(self, step: int) -> float:
        """Return the tokenizer's learning rate at a step, counted from 0."""
        return self.lr * self.learning_rate_factor()(step)

    def discriminator_learning_rate(self, step: int) -> float:
        """Return the discriminator's learning rate at a step, counted from 0; 0 before its start.

        The schedule counts from the discriminator's start, warm-up included.
        """
        peak = self.adversarial.lr or self.lr
        return peak * self.learning_rate_factor(self.adversarial.discriminator_start)(step)

    @property
    def discriminator_grad_clip_norm(self) -> float | None:
        """Maximum norm of the discriminator's gradients; None clips nothing."""
        return self.adversarial.grad_clip_norm or self.grad_clip_norm

    @property
    def optimizer_config(self) -> OptimizerConfig:
        """Kind and options of the tokenizer's optimizer."""
        return build(OPTIMIZERS, self.optimizer.model_dump(), "train.optimizer")

    @property
    def discriminator_optimizer_config(self) -> OptimizerConfig:
        """Kind and options of the discriminator's optimizer."""
        own = self.adversarial.optimizer
        if own is None:
            return self.optimizer_config
        return build(OPTIMIZERS, own.model_dump(), "train.adversarial.optimizer")
