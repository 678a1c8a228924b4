"""RunConfig: everything a training run is told, checked before anything starts.

Components (encoder, bottleneck, decoder) take their options from their constructors; the rest is
written here. `config_file.py` reads them from files.
"""

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from pydantic import NonNegativeInt as Count

from ...component import ComponentError, build
from ...component_options import family_union, options_model
from ...config import Tree
from ...data.training.crop import CropRules
from ...eval.metrics.catalog import check_metrics
from ...tokenizers.bottlenecks.catalog import BOTTLENECKS
from ...tokenizers.bottlenecks.dual_path import PathName
from ...tokenizers.tokenizer import DECODERS, ENCODERS, VisualTokenizer
from ..losses.options import Adversarial, Losses
from ..optimization.optimizer import OPTIMIZERS, OptimizerConfig
from ..optimization.schedule import ScheduleName, learning_rate_factor
from ..section import ConfigSection, UnitInterval
from .path_mode import PathMode, path_of_step


def _spell_no(value: Any) -> Any:
    """YAML reads a bare `no` as false."""
    return "no" if value is False else value


class Model(ConfigSection):
    """The tokenizer: three components, each chosen by its kind."""

    encoder: family_union(ENCODERS, derived=frozenset({"out_channels"}))  # pyright: ignore[reportInvalidTypeForm]
    bottleneck: family_union(BOTTLENECKS)  # pyright: ignore[reportInvalidTypeForm]
    decoder: family_union(DECODERS, derived=frozenset({"in_channels"}))  # pyright: ignore[reportInvalidTypeForm]

    def build(self) -> VisualTokenizer:
        """Make the untrained tokenizer.

        Raises:
            ComponentError: a component refused its settings; names their path in the config.
        """
        options = self.model_dump(mode="json")
        try:
            return VisualTokenizer(options["encoder"], options["bottleneck"], options["decoder"])
        except ComponentError as error:
            raise ComponentError(f"model.{error}") from error


class WeightedSource(ConfigSection):
    """One of several sources."""

    source: str
    """As `data.source`."""
    weight: PositiveFloat
    """How often it is drawn, in proportion to the others."""


class Data(ConfigSection):
    """What is trained on, and how samples are cut from it."""

    source: str | Annotated[list[WeightedSource], Field(min_length=1)]
    """Folder, glob, shards-{000..009}.tar, Parquet, list, bundled set (samples:train), or URL; or
    several of them, each with its weight."""
    size: PositiveInt = 256
    """Side of the square crops, in pixels."""
    buckets: list[tuple[PositiveInt, PositiveInt]] = Field(default_factory=list)
    """Heights and widths of crops instead of size; files go to the nearest aspect ratio."""
    frames: PositiveInt = 1
    """Frames per clip: 1, or 1 + k * temporal compression."""
    stride: PositiveInt = 1
    """Step between the frames of a clip."""
    fps: PositiveFloat | None = None
    """Rate that videos are resampled to before stride counts; null keeps their own."""
    image_ratio: float = Field(default=0.0, ge=0, lt=1)
    """Share of the steps that train on images where frames > 1."""
    short_side: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    """Short side of the images before cropping, or the range it is drawn from; null keeps their
    own."""
    crop: Literal["random", "center"] = "random"
    """Where the crop lies."""
    flip: bool = True
    """Mirror half of the samples."""
    workers: Count = 2
    """Reading processes per device."""
    cache_files: Count = 0
    """Decoded files that each worker keeps in memory; for small sets."""
    max_bad: NonNegativeFloat = 0.01
    """Unreadable files that are accepted: below 1 a share (at least 10 files), else a number."""

    @property
    def sources(self) -> list[tuple[str, float | None]]:
        """Every source with its weight; a single one has none."""
        if isinstance(self.source, str):
            return [(self.source, None)]
        return [(part.source, part.weight) for part in self.source]

    @property
    def crop_rules(self) -> CropRules:
        """How samples are cut."""
        return CropRules(
            size=self.size,
            frames=self.frames,
            stride=self.stride,
            short_side=self.short_side,
            flip=self.flip,
            crop=self.crop,
            fps=self.fps,
            image_ratio=self.image_ratio,
            buckets=tuple(self.buckets),
        )

    @model_validator(mode="after")
    def _sources_are_named(self) -> "Data":
        if not all(source.strip() for source, _ in self.sources):
            raise ValueError("source is empty; give a folder, a file or a pattern (`.`: here)")
        return self

    @model_validator(mode="after")
    def _every_setting_has_an_effect(self) -> "Data":
        if self.frames == 1:
            for name, value in (("image_ratio", self.image_ratio), ("fps", self.fps)):
                if value:
                    raise ValueError(f"{name}={value:g} needs frames > 1, got frames=1")
        shortest = min(self.short_side) if isinstance(self.short_side, tuple) else self.short_side
        if isinstance(self.short_side, tuple) and self.short_side[0] > self.short_side[1]:
            raise ValueError(f"short_side must rise, got {list(self.short_side)}")
        needed = min((min(bucket) for bucket in self.buckets), default=self.size)
        if shortest is not None and shortest < needed:
            raise ValueError(f"short_side must be at least the crop's, {needed}, got {shortest}")
        return self


class LearningRateFactors(ConfigSection):
    """Factors on train.lr of the parts of the tokenizer."""

    encoder: PositiveFloat = 1.0
    bottleneck: PositiveFloat = 1.0
    decoder: PositiveFloat = 1.0


class Train(ConfigSection):
    """How it is trained; progress is counted in optimizer steps everywhere."""

    steps: PositiveInt
    batch_size: PositiveInt = 16
    """Samples per device and micro-step."""
    accumulation_steps: PositiveInt = 1
    """Micro-steps per optimizer step."""
    lr: PositiveFloat = 1e-4
    """Peak learning rate."""
    lr_factors: LearningRateFactors = Field(default_factory=LearningRateFactors)
    optimizer: family_union(OPTIMIZERS) = Field(  # pyright: ignore[reportInvalidTypeForm]
        default_factory=options_model(OPTIMIZERS["adamw"], "adamw")
    )
    """Of the tokenizer, and of the discriminator."""
    schedule: ScheduleName = "cosine"
    warmup_steps: Count = 500
    warmup_start_factor: float | None = Field(default=None, ge=0, lt=1)
    """Factor on the learning rate at the first step; null begins with 1 / warmup_steps."""
    min_lr_ratio: float = Field(default=0.0, ge=0, le=1)
    grad_clip_norm: PositiveFloat | None = 1.0
    """Bound on the norm of all gradients together; null leaves them as they are."""
    ema_decay: UnitInterval = 0.999
    ema_warmup: bool = True
    """Whether the average forgets faster during the first updates."""
    seed: Count = 0
    mixed_precision: Annotated[Literal["no", "bf16", "fp16"], BeforeValidator(_spell_no)] = "no"
    """Autocast dtype; quantizers, losses and the discriminator stay in fp32."""
    checkpoint_every_steps: PositiveInt = 1000
    keep_last: PositiveInt = 2
    """Checkpoints kept."""
    log_every_steps: PositiveInt = 50
    sample_every_steps: PositiveInt = 1000
    losses: Losses = Field(default_factory=Losses)
    adversarial: Adversarial = Field(default_factory=Adversarial)
    path_mode: PathMode = "both"
    """Of dual-path tokenizers: both at every step, one of them, in turn, or drawn."""
    discrete_share: UnitInterval = 0.5
    """How often path_mode: sampled draws the discrete path."""
    freeze: list[Literal["encoder", "bottleneck", "decoder"]] = Field(default=[])
    """Parts that keep their weights and stay in eval mode."""
    parallelism: Literal["ddp", "fsdp2"] = "ddp"
    """With several processes: whole copies of the networks, or slices of them."""
    compile: bool = False
    """Compile the networks with torch.compile; the first steps then take long."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, about a third more time."""
    trackers: list[Literal["tensorboard", "wandb"]] = Field(default=["tensorboard"])
    """Where figures go beside metrics.jsonl; wandb needs `pip install vistok[wandb]`."""
    latent_statistics_samples: Count = 1024
    """Training clips over which the mean and spread of every latent channel are measured when the
    run is finished (continuous tokenizers); 0 leaves the latents unscaled."""

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

    def learning_rate_factor(self) -> Callable[[int], float]:
        """The factor on the learning rates as a function of the step, counted from 0."""
        return learning_rate_factor(
            self.schedule,
            self.warmup_steps,
            self.steps,
            self.min_lr_ratio,
            self.warmup_start_factor,
        )

    @property
    def discriminator_lr(self) -> float:
        """Peak learning rate of the discriminator."""
        return self.adversarial.lr or self.lr

    @property
    def optimizer_config(self) -> OptimizerConfig:
        """Kind and options of the optimizers."""
        return build(OPTIMIZERS, self.optimizer.model_dump(), "train.optimizer")


class Start(ConfigSection):
    """Where the weights come from, when a run does not begin with random ones."""

    source: str | None = None
    """Folder of a run, folder or hub id of a tokenizer, or `previous`: the stage before."""
    weights: Literal["ema", "raw"] = "ema"
    """Of a run: its moving average, or the weights it trained."""
    adapt: Literal["strict", "widen", "align"] = "strict"
    """How the models may differ: not at all; new input channels begin at zero; or stages are
    matched by their resolution and the others begin as they are."""
    discriminator: Literal["fresh", "carry"] = "fresh"
    """Whether the discriminator begins anew."""

    @model_validator(mode="after")
    def _every_setting_has_an_effect(self) -> "Start":
        changed = sorted(self.model_fields_set - {"source"})
        if self.source is None and any(
            getattr(self, name) != type(self).model_fields[name].default for name in changed
        ):
            raise ValueError(f"{', '.join(changed)} without a source to start from")
        return self


class Eval(ConfigSection):
    """Held-out data, scored during the run and drawn in the sample grids."""

    source: str | None = None
    """Null scores nothing and draws training samples."""
    size: PositiveInt | None = None
    """Side of the centre crops; null takes data.size."""
    every_steps: PositiveInt = 1000
    batch_size: PositiveInt = 8
    limit: PositiveInt | None = 64
    """At most so many files."""
    metrics: list[str] = Field(default=["psnr", "ssim"])
    """What is scored, beside the use of the codebooks; see `vistok eval`."""
    best_metric: str = "psnr"
    """What makes an evaluation the best so far; its tokenizer is kept in best/."""

    @model_validator(mode="after")
    def _metrics_exist(self) -> "Eval":
        check_metrics(self.metrics)
        if self.best_metric not in self.metrics:
            raise ValueError(
                f"best_metric must be among metrics, {', '.join(self.metrics)}, "
                f"got {self.best_metric}"
            )
        return self


class RunConfig(ConfigSection):
    """A training run."""

    model: Model
    data: Data
    train: Train
    start: Start = Field(default_factory=Start)
    eval: Eval = Field(default_factory=Eval)

    @model_validator(mode="after")
    def _every_setting_has_an_effect(self) -> "RunConfig":
        losses, kind = self.train.losses, self.model.bottleneck.kind
        of_two_paths = {
            "train.path_mode": self.train.path_mode != "both",
            "train.losses.continuous_path_weight": losses.continuous_path_weight != 1.0,
        }
        for name, is_set in of_two_paths.items():
            if is_set and not self.is_dual_path:
                raise ValueError(
                    f"{name} belongs to model.bottleneck.kind=dual_path, not to {kind}"
                )
        weight = losses.temporal_difference_weight
        if weight and self.data.frames == 1:
            raise ValueError(
                f"train.losses.temporal_difference_weight={weight:g} needs data.frames > 1"
            )
        return self

    @model_validator(mode="after")
    def _every_step_can_learn(self) -> "RunConfig":
        frozen, adversarial = set(self.train.freeze), self.train.adversarial
        if "decoder" in frozen and adversarial.adaptive and self.train.losses.adversarial_weight:
            raise ValueError(
                "train.adversarial.adaptive looks at the decoder's last layer, which "
                "train.freeze holds; set train.adversarial.adaptive=false"
            )
        if self._skips_the_quantizer and {"encoder", "decoder"} <= frozen:
            raise ValueError(
                f"train.path_mode={self.train.path_mode} has steps of the continuous path, which "
                "can learn nothing: train.freeze holds encoder and decoder; set it to discrete"
            )
        return self

    def __reduce__(self) -> Any:
        """Pickle as plain values: the models of component options live in no module."""
        return RunConfig.model_validate, (self.to_tree(),)

    def to_tree(self) -> Tree:
        """Plain JSON values, defaults included."""
        return json.loads(self.model_dump_json())

    def skips_layers(self) -> bool:
        """Whether layers stay idle at some steps: a path's, or on images those that shrink time."""
        import torch

        if self._skips_the_quantizer:
            return True
        if self.data.frames > 1 and self.data.image_ratio == 0:
            return False
        with torch.device("meta"):
            return self.build_tokenizer().temporal_compression > 1

    @property
    def held_out_size(self) -> int:
        """Side of the held-out crops, in pixels."""
        return self.eval.size or self.data.size

    @property
    def is_dual_path(self) -> bool:
        """Whether the tokenizer has a continuous and a discrete path."""
        return self.model.bottleneck.kind == "dual_path"

    @property
    def _skips_the_quantizer(self) -> bool:
        """Whether some steps, or all, take the continuous path alone."""
        return self.is_dual_path and self.train.path_mode not in ("both", "discrete")

    def path(self, step: int) -> PathName | Literal["both"] | None:
        """The path that a step takes, the same on every rank; None where there is only one."""
        if not self.is_dual_path:
            return None
        return path_of_step(self.train.path_mode, self.train.discrete_share, self.train.seed, step)

    def build_tokenizer(self) -> VisualTokenizer:
        """The untrained tokenizer."""
        return self.model.build()


# What may change between the starts of one run, because it changes no weight.
KEYS_FREE_ON_RESUME = (
    "data.workers",
    "data.cache_files",
    "data.max_bad",
    "train.checkpoint_every_steps",
    "train.keep_last",
    "train.log_every_steps",
    "train.sample_every_steps",
    "train.trackers",
    "train.parallelism",
    "train.compile",
    "train.gradient_checkpointing",
    "train.latent_statistics_samples",
    "eval.",
)
