"""Initializing a tokenizer from the weights of another one, by a declared rule.

`strict`  the same architecture: all names and shapes agree.
`widen`   the same names, but layers may have more input channels than before; the new ones get zero
          weights, so that the network's output does not change, whatever their input. WeTok's
          second stage (arXiv 2508.05599) adds the noise of its generative decoder in this way.
`align`   another number of levels: stages are matched by their resolution, counted from the pixels.
          Matched by name, a decoder with one more level would get every weight one resolution too
          deep, since its stages are counted from the latents. The remaining stages in the middle of
          both networks are matched from the latents; layers outside the stages keep their names.
`halves`  the same encoder and decoder around another bottleneck, which keeps its random weights, as
          do the linear layers beside it; a half of another kind is left out with all its weights.
          So any quantizer is trained on any pretrained autoencoder (OneVAE, arXiv 2508.09857).
`inflate` the same stages, which also see time: an image autoencoder becomes a causal video one that
          treats images as before. `inflation.py` says how every layer starts.

Nothing is dropped silently: a tensor without counterpart is an error under `strict`, `widen` and
`inflate`, elsewhere in the halves under `halves`, and listed in the result under `align`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.causal_autoencoder import CausalDecoder, CausalEncoder, CausalNetwork
from ...option_errors import did_you_mean
from ..tokenizer import VisualTokenizer
from .halves import is_shared
from .inflation import inflate

RULES = ("strict", "widen", "halves", "align", "inflate")


@dataclass(frozen=True)
class Adaptation:
    """The weights of one tokenizer, adapted to another.

    Attributes:
        state: complete state dict of the target; new tensors keep the target's values.
        loaded: names in the target whose tensors are the source's, unchanged.
        widened: names whose tensors got zero weights for new input channels.
        inflated: names whose tensors are the source's, arranged for layers that see time.
        added: names in layers for time that the source lacks, and that leave images unchanged.
        new: names without counterpart in the source.
        mismatched: names whose counterpart has another shape; they keep the target's values.
        unused: names in the source without counterpart in the target.
    """

    state: dict[str, Tensor]
    loaded: tuple[str, ...]
    widened: tuple[str, ...]
    inflated: tuple[str, ...]
    added: tuple[str, ...]
    new: tuple[str, ...]
    mismatched: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        others = {
            "widened with zeros": self.widened,
            "inflated in time": self.inflated,
            "added for time": self.added,
            "new": self.new,
            "of another shape": self.mismatched,
            "unused": self.unused,
        }
        counts = [f"{len(names)} {how}{_listed(names)}" for how, names in others.items() if names]
        return "; ".join([f"{len(self.loaded)} loaded", *counts])


def adapt_state(
    source: VisualTokenizer, target: VisualTokenizer, how: str = "strict"
) -> Adaptation:
    """Return the weights of `source` as a state dict of `target`; neither is changed.

    Args:
        source: the trained tokenizer.
        target: the tokenizer to be initialized.
        how: strict, widen, halves, align or inflate; see above.

    Raises:
        ValueError: an unknown rule, or tensors that do not fit under the rule.
    """
    if how not in RULES:
        raise ValueError(
            f"adapt must be one of {', '.join(RULES)}, got {how!r}{did_you_mean(how, RULES)}"
        )
    theirs, ours = source.state_dict(), target.state_dict()
    origin, made = {name: name for name in ours}, {}
    if how == "align":
        origin = _aligned_names(source, target)
    elif how == "halves":
        origin = {name: name for name in ours if is_shared(name, source, target)}
    elif how == "inflate":
        inflation = inflate(source, target)
        origin, made = inflation.origin, inflation.weights
    state, matches = dict(ours), dict.fromkeys(ours, "new")
    for name, own in ours.items():
        tensor = theirs.get(origin.get(name, ""))
        if name in made and made[name].shape == own.shape:
            matches[name] = "added" if tensor is None else "inflated"
            state[name] = made[name].to(own.device, own.dtype)
        elif tensor is not None:
            matches[name] = _match(tensor, own, how)
            if matches[name] != "mismatched":
                state[name] = _padded(tensor.to(own.device, own.dtype), own.shape[1:2])
    used = {origin[name] for name in ours if name in origin}
    result = _result(state, matches, unused=tuple(name for name in theirs if name not in used))
    _check(source, target, result, how)
    return result


def _result(
    state: dict[str, Tensor], matches: Mapping[str, str], unused: tuple[str, ...]
) -> Adaptation:
    """Sort the names in the target by how they were matched."""

    def names(match: str) -> tuple[str, ...]:
        return tuple(name for name in matches if matches[name] == match)

    return Adaptation(
        state=state,
        loaded=names("loaded"),
        widened=names("widened"),
        inflated=names("inflated"),
        added=names("added"),
        new=names("new"),
        mismatched=names("mismatched"),
        unused=unused,
    )


def _check(source: VisualTokenizer, target: VisualTokenizer, result: Adaptation, how: str) -> None:
    misplaced = {*result.new, *result.mismatched, *result.unused}
    if how == "halves":
        misplaced = {name for name in misplaced if is_shared(name, source, target)}
    if how != "align" and misplaced:
        others = {
            "widen": "new input channels",
            "halves": "another bottleneck",
            "inflate": "an image model's stages, with time",
            "align": "another number of levels",
        }
        offered = others if how == "strict" else {"align": others["align"]}
        choices = " or ".join(f"{name} ({what})" for name, what in offered.items())
        raise ValueError(
            f"the weights do not fit under adapt: {how} ({result}); start from a tokenizer of the "
            f"same architecture, or choose {choices}"
        )
    if not result.loaded:
        raise ValueError(f"adapt: {how} found no tensor to start from ({result})")


def _match(theirs: Tensor, ours: Tensor, how: str) -> str:
    if theirs.shape == ours.shape:
        return "loaded"
    wider = (
        how == "widen"
        and theirs.ndim == ours.ndim > 1
        and theirs.shape[1] < ours.shape[1]
        and theirs.shape[:1] + theirs.shape[2:] == ours.shape[:1] + ours.shape[2:]
    )
    return "widened" if wider else "mismatched"


def _padded(weight: Tensor, inputs: Sequence[int]) -> Tensor:
    """Return the weight with zeros for the input channels that it lacks."""
    if not inputs or weight.shape[1] == inputs[0]:
        return weight.clone()
    missing = weight.new_zeros(weight.shape[0], inputs[0] - weight.shape[1], *weight.shape[2:])
    return torch.cat([weight, missing], dim=1)


# ---- alignment by resolution -------------------------------------------------------------------


def _aligned_names(source: VisualTokenizer, target: VisualTokenizer) -> dict[str, str]:
    """Return the name in the source for every name in the target that has a counterpart."""
    theirs, ours = _networks(source), _networks(target)
    stages = {
        f"{part}.stages.{index}.": f"{part}.stages.{origin}."
        for part in ours.keys() & theirs.keys()
        for index, origin in match_stages(theirs[part], ours[part]).items()
    }
    names = {}
    for name in target.state_dict():
        head, dot, rest = name.partition(".stages.")
        if not dot or head not in ours:
            names[name] = name
            continue
        index, _, inside = rest.partition(".")
        origin = stages.get(f"{head}.stages.{index}.")
        if origin is not None:
            names[name] = origin + inside
    return names


def match_stages(source: CausalNetwork, target: CausalNetwork) -> dict[int, int]:
    """Match every stage of the target with the stage of the source at the same resolution.

    Several stages of one resolution are matched in order from the pixels; the remaining ones next
    to the latents are matched in order from the latents.
    """
    theirs, ours = _from_pixels(source), _from_pixels(target)
    pairs: dict[int, int] = {}
    for factor in dict.fromkeys(ours.values()):
        at_factor = ([i for i, f in side.items() if f == factor] for side in (ours, theirs))
        pairs |= zip(*at_factor, strict=False)

    def remaining(side: dict[int, int], matched: set[int]) -> list[int]:
        innermost = max(side.values())
        return [i for i, f in reversed(side.items()) if f == innermost and i not in matched]

    left = remaining(ours, set(pairs)), remaining(theirs, set(pairs.values()))
    return pairs | dict(zip(*left, strict=False))


def _from_pixels(network: CausalNetwork) -> dict[int, int]:
    """Return the pixels per position along a side of every stage, in order from the pixels."""
    factor, factors = network.patch_size, {}
    table = list(enumerate(network.stage_table))
    for index, stage in table if isinstance(network, CausalEncoder) else reversed(table):
        space = 1 if stage.resample == "none" else stage.space
        if isinstance(network, CausalEncoder):
            factors[index] = factor
            factor *= space
        else:
            factor *= space
            factors[index] = factor
    return factors


def _networks(tokenizer: VisualTokenizer) -> dict[str, CausalNetwork]:
    return {
        name: module
        for name, module in tokenizer.named_modules()
        if isinstance(module, CausalEncoder | CausalDecoder)
    }


def _listed(names: Sequence[str], shown: int = 4) -> str:
    return f" ({', '.join(names[:shown])}{', …' if len(names) > shown else ''})" if names else ""
