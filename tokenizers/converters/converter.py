"""Converter: the common interface of all families of published checkpoints."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from ...component import validate
from ...component_options import options_model
from ...models.catalog import DECODER_DERIVED, ENCODER_DERIVED
from ...models.causal_autoencoder import CausalEncoder
from ...output_file import file_sha256
from ..model_card import add_provenance
from ..tokenizer import VisualTokenizer


@dataclass(frozen=True)
class Conversion:
    """The result of converting a checkpoint.

    Attributes:
        source: the file that holds the weights.
        tokenizer: the tokenizer, in eval mode, on the CPU.
        weights: which of the weights in the file were used, in words.
        used: number of tensors of the file that were used.
        ignored: number of tensors of the file that were left out, by reason.
    """

    source: Path
    tokenizer: VisualTokenizer
    weights: str
    used: int
    ignored: dict[str, int]

    def save(self, folder: Path) -> None:
        """Save the tokenizer, with its provenance in the card.

        Raises:
            ValueError: the folder already holds a tokenizer.
        """
        if (folder / "config.json").exists():
            raise ValueError(f"{folder} already holds a tokenizer; choose another --output")
        self.tokenizer.save_pretrained(folder)
        digest = file_sha256(self.source)
        text = f"Converted from `{self.source.name}` (sha256 `{digest}`): {self.weights}."
        add_provenance(folder, text)


class Converter(ABC):
    """Reader and writer of the checkpoints of one family.

    Subclasses are frozen dataclasses whose fields are the options of the family: those named in
    `writing_options` for writing, all others for reading.
    """

    writing_options: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def read(self, checkpoint: Path) -> Conversion:
        """Read a published checkpoint; every tensor is used, or left out for a reason.

        Args:
            checkpoint: a file, or the folder of a family whose checkpoints are folders.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it is not a checkpoint of this family.
        """

    @abstractmethod
    def write(self, tokenizer: VisualTokenizer, folder: Path) -> Path:
        """Write a tokenizer as a checkpoint under the published names.

        Returns:
            Path of the written file or folder.

        Raises:
            ValueError: the architecture of the tokenizer is not one of this family.
        """


def account(
    state: Mapping[str, Tensor], used: set[str], rules: Mapping[str, Callable[[str], bool]]
) -> dict[str, int]:
    """Count the unused tensors by the reason for leaving them out.

    Args:
        state: tensors of the file.
        used: names of the tensors that were used.
        rules: for each reason, whether it applies to a name; the first one counts.

    Raises:
        ValueError: no reason applies to an unused tensor.
    """
    reasons = {
        name: next((reason for reason, holds in rules.items() if holds(name)), None)
        for name in state.keys() - used
    }
    unknown = sorted(name for name, reason in reasons.items() if reason is None)
    if unknown:
        raise ValueError(
            f"{len(unknown)} tensor(s) of the checkpoint have no place in the model: "
            f"{', '.join(unknown[:5])}{', …' if len(unknown) > 5 else ''}"
        )
    return dict(Counter(reason for reason in reasons.values() if reason is not None))


def complete_options(network: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Complete options with their defaults, except for those that only affect initialization."""
    derived = ENCODER_DERIVED if network is CausalEncoder else DECODER_DERIVED
    model = options_model(network, "causal", derived)
    return validate(model, options).model_dump(exclude={"zero_init"})


def load_exactly(
    tokenizer: VisualTokenizer, weights: Mapping[str, Tensor], source: Path | str
) -> None:
    """Load weights into a tokenizer on the meta device, in fp32.

    Args:
        tokenizer: receives the weights.
        weights: by their names in the tokenizer.
        source: the checkpoint, for error messages.

    Raises:
        ValueError: a weight is missing, or its shape is not the tokenizer's.
    """
    for name, own in tokenizer.state_dict().items():
        if name in weights and weights[name].shape != own.shape:
            raise ValueError(
                f"{source}: {name} should be {tuple(own.shape)}, got {tuple(weights[name].shape)}"
            )
    missing = sorted(tokenizer.state_dict().keys() - weights.keys())
    if missing:
        raise ValueError(
            f"{source}: {len(missing)} weight(s) are missing: {', '.join(missing[:5])}"
            f"{', …' if len(missing) > 5 else ''}"
        )
    wide = {name: tensor.float() for name, tensor in weights.items()}
    tokenizer.load_state_dict(wide, strict=True, assign=True)
    assert not any(tensor.is_meta for tensor in tokenizer.state_dict().values())
