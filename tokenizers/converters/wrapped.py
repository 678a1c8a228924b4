"""Halves of diffusers back in their original form: a folder that diffusers loads."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights

from ...models.diffusers_halves import DiffusersDecoder, DiffusersEncoder
from ..diffusers_weights import original_name
from ..tokenizer import VisualTokenizer
from .converter import Conversion, Converter
from .diffusers_folder import check_empty

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WrappedConverter(Converter):
    """The writer of any wrapped halves; their reader is every command itself."""

    def read(self, checkpoint: Path) -> Conversion:
        """Refuse to read: such models need no conversion."""
        raise ValueError(
            "convert diffusers is for --reverse: diffusers:<Class>:<path or hub id> is accepted "
            "wherever a tokenizer is, and VisualTokenizer.from_diffusers(model).save_pretrained "
            "writes one"
        )

    def write(self, tokenizer: VisualTokenizer, folder: Path) -> Path:
        """Write a folder that the class's from_pretrained reads; warn of weights left out."""
        check_empty(folder)
        to_diffusers(tokenizer).save_pretrained(folder)
        return folder


def to_diffusers(tokenizer: VisualTokenizer) -> Any:
    """Return the model of diffusers that a tokenizer's halves are, with which it shares weights.

    A quantizer between the halves, and the linear layers beside it, have no place there and are
    left out, with a warning.

    Raises:
        ValueError: networks of another kind, or halves of two models.
    """
    encoder, decoder = tokenizer.encoder, tokenizer.decoder
    if not isinstance(encoder, DiffusersEncoder) or not isinstance(decoder, DiffusersDecoder):
        raise ValueError(
            "only halves of kind diffusers can be written back; the encoder is a "
            f"{encoder.label}, the decoder a {decoder.label}"
        )
    wrapped, options = encoder.wrapped, encoder.class_config
    if (wrapped.name, options) != (decoder.wrapped.name, decoder.class_config):
        raise ValueError(
            f"the encoder is half of a {wrapped.name}, the decoder of a {decoder.wrapped.name} "
            "with other options: they cannot be written as one model"
        )
    own = tokenizer.state_dict()
    originals = {name: original_name(name, wrapped) for name in own}
    state = {theirs: own[ours] for ours, theirs in originals.items() if theirs is not None}
    with init_empty_weights(include_buffers=False):
        model = wrapped.build(options)
    if missing := sorted(model.state_dict().keys() - state.keys()):
        bottleneck = type(tokenizer.bottleneck).__name__
        raise ValueError(
            f"{wrapped.name} needs {', '.join(missing)}, which a {bottleneck} bottleneck lacks"
        )
    left_out = [ours for ours, theirs in originals.items() if theirs not in model.state_dict()]
    if left_out:
        log.warning(
            "left out %d weights that a %s has no place for: %s",
            len(left_out),
            wrapped.name,
            ", ".join(left_out[:6]) + (", …" if len(left_out) > 6 else ""),
        )
    kept = {name: tensor for name, tensor in state.items() if name in model.state_dict()}
    model.load_state_dict(kept, strict=True, assign=True)
    return model.eval()
