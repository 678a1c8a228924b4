"""Matching stages by their resolution, for tokenizers with different numbers of levels."""

from ...models.causal_autoencoder import CausalDecoder, CausalEncoder, CausalNetwork
from ..tokenizer import VisualTokenizer


def aligned_names(source: VisualTokenizer, target: VisualTokenizer) -> dict[str, str]:
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
