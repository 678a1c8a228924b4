"""The tokenizers and codecs of the page: those loaded at its start, and codecs named while it runs.

The page never opens a tokenizer that the command line did not name: whoever reaches it must not
choose which of this machine's files are loaded.
"""

from collections.abc import Sequence
from copy import copy

from ..eval.reconstructors.catalog import NUMBERED, open_reconstructors
from ..eval.reconstructors.reconstructor import Reconstructor
from ..eval.report.short_names import short_names
from ..option_errors import did_you_mean

# Codecs that are offered whether or not they were named at the start.
OFFERED = (
    "jpeg:q=10",
    "jpeg:q=50",
    "jpeg:q=90",
    "webp:q=50",
    "avif:q=50",
    "h264:crf=28",
    "hevc:crf=28",
    "av1:crf=35",
    "bicubic:f=8",
    "identity",
)
DEFAULT_CODEC = "jpeg:q=50"


class Choices:
    """The tokenizers and codecs that can be chosen.

    Args:
        loaded: reconstructors named at the start, under unique names.

    Raises:
        ValueError: a reconstructor that only has results for certain files.
    """

    def __init__(self, loaded: Sequence[Reconstructor]) -> None:
        for one in loaded:
            if not one.accepts_any_input:
                raise ValueError(
                    f"{one.name} contains reconstructions of certain files only, but the page "
                    "takes any image; leave it out, or score it with `vistok eval`"
                )
        short = short_names([one.name for one in loaded])
        self._loaded = {short[one.name]: _renamed(one, short[one.name]) for one in loaded}

    @property
    def names(self) -> tuple[str, ...]:
        """Names to offer: what was loaded, then the codecs."""
        return tuple(dict.fromkeys([*self._loaded, *OFFERED]))

    @property
    def defaults(self) -> tuple[str, ...]:
        """Names to select at first: what was loaded, and a codec to compare with."""
        return tuple(dict.fromkeys([*self._loaded, DEFAULT_CODEC]))

    def open(self, names: Sequence[str]) -> tuple[Reconstructor, ...]:
        """Return the reconstructors of these names, each once; `jpeg:q=10,50` names two.

        Raises:
            ValueError: nothing is selected, or a name is neither loaded nor a codec.
        """
        if not names:
            raise ValueError("Choose at least one tokenizer or codec.")
        found = [one for name in names for one in self._open(name.strip())]
        return tuple({one.name: one for one in found}.values())

    def _open(self, name: str) -> tuple[Reconstructor, ...]:
        if name in self._loaded:
            return (self._loaded[name],)
        if name == "identity" or name.partition(":")[0] in NUMBERED:
            return open_reconstructors(name)
        raise ValueError(
            f"{name!r} is neither loaded nor a codec{did_you_mean(name, self.names)}; tokenizers "
            "are loaded at the start, with `vistok app --tokenizer`"
        )


def _renamed(reconstructor: Reconstructor, name: str) -> Reconstructor:
    """Return a shallow copy of a reconstructor under another name."""
    renamed = copy(reconstructor)
    renamed.name = name
    return renamed
