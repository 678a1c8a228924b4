"""The `start` section of a run config: the weights that a run starts from."""

from typing import Literal

from pydantic import model_validator

from ...config import ConfigSection


class Start(ConfigSection):
    """Initial weights of a run; without a source they are random."""

    source: str | None = None
    """Folder of a run, folder or hub id of a tokenizer, diffusers:<Class>:<path or hub id>, or
    `previous`: the previous stage. Null starts from random weights."""
    weights: Literal["ema", "raw"] = "ema"
    """Weights of a run to start from: its moving average, or the weights it trained."""
    adapt: Literal["strict", "widen", "halves", "align", "inflate"] = "strict"
    """How the two models may differ: not at all (strict); by new input channels, which start at
    zero (widen); by what stands between the halves, which keeps its random weights (halves, and
    strict from an autoencoder of diffusers); by stages, which are matched by resolution while the
    others keep their random weights (align); or by time, which a video model sees and its image
    model does not, while images stay the same (inflate)."""
    discriminator: Literal["fresh", "carry"] = "fresh"
    """Start with a new discriminator, or carry over the one of the run in `source`."""

    @model_validator(mode="after")
    def _every_setting_has_an_effect(self) -> "Start":
        changed = sorted(self.model_fields_set - {"source"})
        if self.source is None and any(
            getattr(self, name) != type(self).model_fields[name].default for name in changed
        ):
            raise ValueError(f"{', '.join(changed)} without a source to start from")
        return self
