"""RunConfig: all settings of a training run, checked before anything starts.

Components (encoder, bottleneck, decoder) take their options from their constructors; every other
section has a file of its own beside this one. `files.py` reads configs from files.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from ...component import ComponentError, build
from ...component_options import family_union
from ...config import ConfigSection, Tree
from ...models.catalog import DECODER_DERIVED, DECODERS, ENCODER_DERIVED, ENCODERS
from ...models.network import Decoder
from ...tokenizers.bottlenecks.catalog import BOTTLENECKS
from ...tokenizers.bottlenecks.dual_path import PathName
from ...tokenizers.modules import with_class_of
from ...tokenizers.tokenizer import VisualTokenizer
from .data import Data
from .evaluation import Eval
from .path_mode import path_of_step
from .start import Start
from .training import Train


class Model(ConfigSection):
    """The tokenizer: three components, each chosen by its kind."""

    encoder: family_union(ENCODERS, derived=ENCODER_DERIVED)  # pyright: ignore[reportInvalidTypeForm]
    """Network from pixels to the channels that the bottleneck takes."""
    bottleneck: family_union(BOTTLENECKS)  # pyright: ignore[reportInvalidTypeForm]
    """Quantizer or continuous bottleneck between encoder and decoder."""
    decoder: family_union(DECODERS, derived=DECODER_DERIVED)  # pyright: ignore[reportInvalidTypeForm]
    """Network from the bottleneck's codes to pixels."""

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

    def problems(self) -> list[str]:
        """Return what the components refuse, a line each; empty if the tokenizer can be built."""
        try:
            self.build()
        except ValueError as error:
            problems = list(component_problems(self.model_dump(mode="json")))
            return problems or str(error).splitlines()
        return []


def component_problems(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the components of a tokenizer refuse; those whose options are invalid are skipped.

    Args:
        options: plain options of the components, by name.
    """
    families = (
        ("bottleneck", BOTTLENECKS, {}),
        ("encoder", ENCODERS, {"out_channels": 1}),
        ("decoder", DECODERS, {"in_channels": 1}),
    )
    for name, family, derived in families:
        own = options.get(name)
        if not isinstance(own, Mapping):
            continue
        if name == "decoder" and isinstance(options.get("encoder"), Mapping):
            own = with_class_of(options["encoder"], own)
        try:
            build(family, own, f"model.{name}", **derived)
        except ComponentError as error:
            yield from str(error).splitlines()
        except ValueError:
            continue


class RunConfig(ConfigSection):
    """All settings of a training run."""

    model: Model
    """Encoder, bottleneck and decoder of the tokenizer."""
    data: Data
    """Sources, cropping and reading of the training data."""
    train: Train
    """Length, optimizer, losses, logging and devices of the run."""
    start: Start = Field(default_factory=Start)
    """Weights to start from, if they are not random."""
    eval: Eval = Field(default_factory=Eval)
    """Held-out data, and the metrics computed on it during the run."""

    @model_validator(mode="after")
    def _sections_agree(self) -> "RunConfig":
        if problems := self.contradictions(type(self).model_fields):
            raise ValueError("\n".join(problems))
        return self

    def contradictions(self, valid: Collection[str]) -> list[str]:
        """Return every contradiction between settings of several sections, a line each.

        Args:
            valid: names of the sections that can be read; others are compared with nothing.
        """
        return [
            problem
            for sections, check in CROSS_CHECKS
            if sections <= set(valid)
            for problem in check(self)
        ]

    def __reduce__(self) -> Any:
        """Pickle as plain values: the models of component options live in no module."""
        return RunConfig.model_validate, (self.to_tree(),)

    def to_tree(self) -> Tree:
        """Return the config as plain JSON values, defaults included."""
        return json.loads(self.model_dump_json())

    def skips_layers(self) -> bool:
        """Return whether some layers idle at some steps: a path's, or temporal ones on images."""
        import torch

        if self.skips_the_quantizer:
            return True
        if "diffusers" in (self.model.encoder.kind, self.model.decoder.kind):
            return True  # some classes have layers that their own calls never use
        if all(kind.frames > 1 for kind in self.data.kinds):
            return False
        with torch.device("meta"):
            return self.build_tokenizer().temporal_compression > 1

    @property
    def held_out_size(self) -> int:
        """Side of the held-out crops, in pixels."""
        return self.eval.size or self.data.size

    @property
    def is_dual_path(self) -> bool:
        """True for tokenizers with a continuous and a discrete path."""
        return self.model.bottleneck.kind == "dual_path"

    @property
    def skips_the_quantizer(self) -> bool:
        """True if some or all steps take the continuous path alone."""
        return self.is_dual_path and self.train.path_mode not in ("both", "discrete")

    def path(self, step: int) -> PathName | Literal["both"] | None:
        """Return the path of a step, the same on every rank; None where there is only one."""
        if not self.is_dual_path:
            return None
        return path_of_step(self.train.path_mode, self.train.discrete_share, self.train.seed, step)

    def build_tokenizer(self) -> VisualTokenizer:
        """Build the untrained tokenizer."""
        return self.model.build()


# ---- checks across sections ----------------------------------------------------------------------


def _settings_of_two_paths(config: RunConfig) -> Iterator[str]:
    """Yield settings of dual-path tokenizers that have no effect on others."""
    train, kind = config.train, config.model.bottleneck.kind
    of_two_paths = {
        "train.path_mode": train.path_mode != "both",
        "train.losses.continuous_path_weight": train.losses.continuous_path_weight != 1.0,
    }
    for name, is_set in of_two_paths.items():
        if is_set and not config.is_dual_path:
            yield f"{name} belongs to model.bottleneck.kind=dual_path, not to {kind}"


def _losses_of_frames(config: RunConfig) -> Iterator[str]:
    """Yield losses that compare frames where there is only one."""
    weight = config.train.losses.temporal_difference_weight
    if weight and not config.data.has_clips:
        yield f"train.losses.temporal_difference_weight={weight:g} needs data.frames > 1"


def _gradients_of_the_adaptive_weight(config: RunConfig) -> Iterator[str]:
    """Yield an adaptive weight whose gradients a frozen decoder does not have."""
    train = config.train
    if not (train.adversarial.adaptive and train.losses.adversarial_weight):
        return
    decoder = DECODERS[config.model.decoder.kind]
    if decoder.last_layer is Decoder.last_layer:
        yield (
            "train.adversarial.adaptive compares gradients at the decoder's last layer, which "
            f"{decoder.__name__} does not name as its last_layer; set "
            "train.adversarial.adaptive=false"
        )
    if "decoder" in train.freeze:
        yield (
            "train.adversarial.adaptive needs gradients of the decoder's last layer, which "
            "train.freeze holds; set train.adversarial.adaptive=false"
        )


def _steps_that_learn_nothing(config: RunConfig) -> Iterator[str]:
    """Yield a path mode of which some steps train frozen networks only."""
    train = config.train
    if config.skips_the_quantizer and {"encoder", "decoder"} <= set(train.freeze):
        yield (
            f"train.path_mode={train.path_mode} has steps of the continuous path, which "
            "can learn nothing: train.freeze holds encoder and decoder; set it to discrete"
        )


# The sections that each check reads: it runs if these are valid, whatever is wrong with others.
CROSS_CHECKS: tuple[tuple[frozenset[str], Callable[[RunConfig], Iterator[str]]], ...] = (
    (frozenset({"model", "train"}), _settings_of_two_paths),
    (frozenset({"data", "train"}), _losses_of_frames),
    (frozenset({"model", "train"}), _gradients_of_the_adaptive_weight),
    (frozenset({"model", "train"}), _steps_that_learn_nothing),
)
