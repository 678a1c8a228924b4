"""The weights that two tokenizers share if only what lies between their halves differs."""

from typing import Any

from ...models.diffusers_halves import DiffusersDecoder, DiffusersEncoder
from ..tokenizer import VisualTokenizer


def is_shared(name: str, source: VisualTokenizer, target: VisualTokenizer) -> bool:
    """Return whether a weight is to be found in both tokenizers under `adapt: halves`.

    Args:
        name: of the weight in either tokenizer.
        source: the trained tokenizer.
        target: the tokenizer to be initialized.
    """
    part, _, inside = name.partition(".")
    theirs, ours = getattr(source, part), getattr(target, part)
    if part == "bottleneck":
        return _shapes(theirs) == _shapes(ours)
    if isinstance(ours, DiffusersEncoder | DiffusersDecoder) and inside.startswith("linear."):
        layers = [getattr(half, "linear", None) for half in (theirs, ours)]
        return None not in layers and _shapes(layers[0]) == _shapes(layers[1])
    return type(theirs) is type(ours)


def _shapes(module: Any) -> tuple[str, dict[str, tuple[int, ...]]]:
    """Return the class of a module and the shapes of its weights."""
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    return type(module).__name__, shapes
