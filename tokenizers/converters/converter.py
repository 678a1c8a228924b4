"""Converter: what all families of published checkpoints have in common."""

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..model_card import add_provenance
from ..tokenizer import VisualTokenizer


@dataclass(frozen=True)
class Conversion:
    """A checkpoint, converted.

    Attributes:
        source: the file.
        tokenizer: in eval mode, on the CPU.
        weights: which weights it has, in words.
        used: how many tensors of the file it took.
        ignored: how many tensors of the file were left out, by reason.
    """

    source: Path
    tokenizer: VisualTokenizer
    weights: str
    used: int
    ignored: dict[str, int]

    def save(self, folder: Path) -> None:
        """Save the tokenizer, with a word on its provenance in the card.

        Raises:
            ValueError: the folder holds a tokenizer already.
        """
        if (folder / "config.json").exists():
            raise ValueError(f"{folder} holds a tokenizer already; choose another --output")
        self.tokenizer.save_pretrained(folder)
        with self.source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        text = f"Converted from `{self.source.name}` (sha256 `{digest}`): {self.weights}."
        add_provenance(folder, text)


class Converter(ABC):
    """Reads the checkpoints of one family, and writes them again.

    Subclasses are frozen dataclasses whose fields are the options of the family.
    """

    @abstractmethod
    def read(self, checkpoint: Path) -> Conversion:
        """The tokenizer in a published checkpoint; every tensor has a use or a reason to have none.

        Raises:
            FileNotFoundError: no such file.
            ValueError: the file holds something else.
        """

    @abstractmethod
    def write(self, tokenizer: VisualTokenizer, folder: Path) -> Path:
        """Write a tokenizer as a checkpoint under the published names.

        Returns:
            The file that was written.

        Raises:
            ValueError: the tokenizer has another architecture than this family.
        """


def account(
    state: Mapping[str, Tensor], used: set[str], rules: Mapping[str, Callable[[str], bool]]
) -> dict[str, int]:
    """Count what was not used by the rule that excuses it.

    Args:
        state: the file.
        used: names that found their place.
        rules: reason -> whether it holds for a name; the first one counts.

    Raises:
        ValueError: a tensor without use and without excuse.
    """
    reasons = {
        name: next((reason for reason, holds in rules.items() if holds(name)), None)
        for name in state.keys() - used
    }
    strangers = sorted(name for name, reason in reasons.items() if reason is None)
    if strangers:
        raise ValueError(
            f"{len(strangers)} tensor(s) of the checkpoint have no place in the model: "
            f"{', '.join(strangers[:5])}{', …' if len(strangers) > 5 else ''}"
        )
    return dict(Counter(reason for reason in reasons.values() if reason is not None))


def load_exactly(tokenizer: VisualTokenizer, weights: Mapping[str, Tensor], source: Path) -> None:
    """Put weights into a tokenizer on the meta device, in fp32.

    Raises:
        ValueError: a weight is missing, or has another shape than the tokenizer's.
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
