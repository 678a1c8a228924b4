"""The weights of an autoencoder of diffusers as those of a tokenizer of its halves, and back.

encoder.NAME, quant_conv.NAME      ->  encoder.model.encoder.NAME, encoder.model.quant_conv.NAME
decoder.NAME                       ->  decoder.model.decoder.NAME
quantize.embedding.weight          ->  bottleneck.codebook
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..models.wrapped.wrapped_class import WrappedClass
from .diffusers_source import options_of

HALVES = ("encoder.model.", "decoder.model.")


@dataclass(frozen=True)
class Description:
    """An autoencoder of diffusers, described as a tokenizer.

    Attributes:
        wrapped: its class.
        options: options of the class.
        weights: its state dict.
    """

    wrapped: WrappedClass
    options: dict[str, Any]
    weights: Mapping[str, Tensor]

    @property
    def configs(self) -> dict[str, Any]:
        """Options of encoder, bottleneck and decoder, as the tokenizer's constructor takes them."""
        return configs_of_class(self.wrapped, self.options)

    def weights_for(self, names: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the weights by their names in a tokenizer of both halves.

        Statistics that both halves keep are copied: weights on disk may not share memory.

        Args:
            names: state dict of that tokenizer.

        Raises:
            ValueError: a weight of the model that has no place, which is a fault of vistok.
        """
        originals = {ours: original_name(ours, self.wrapped) for ours in names}
        if lost := sorted(self.weights.keys() - set(originals.values())):
            raise ValueError(f"{self.wrapped.name}: no place for {', '.join(lost[:5])}; report it")
        taken: set[str] = set()
        weights = {}
        for ours, theirs in originals.items():
            if theirs is not None and theirs in self.weights:
                tensor = self.weights[theirs]
                weights[ours] = tensor.clone() if theirs in taken else tensor
                taken.add(theirs)
        return weights


def configs_of_class(wrapped: WrappedClass, options: dict[str, Any]) -> dict[str, Any]:
    """Return the constructor's arguments for the tokenizer that a class is.

    Args:
        wrapped: the class.
        options: its options.
    """
    return {
        "encoder_config": {"kind": "diffusers", "class": wrapped.name, "config": options},
        "bottleneck_config": wrapped.bottleneck(options),
        "decoder_config": {"kind": "diffusers"},
    }


def describe(model: Any) -> Description:
    """Describe a model of diffusers as a tokenizer.

    Raises:
        ValueError: a class that cannot be a tokenizer, with the reason.
    """
    wrapped, options = options_of(model)
    return Description(wrapped, options, model.state_dict())


def original_name(name: str, wrapped: WrappedClass) -> str | None:
    """Return the name in diffusers of a tokenizer's weight; None if it is not one of the class."""
    for half in HALVES:
        if name.startswith(half):
            return name.removeprefix(half)
    moved = {f"bottleneck.{ours}": theirs for theirs, ours in wrapped.bottleneck_weights().items()}
    return moved.get(name)
