"""The generator's objective: what one step of the tokenizer minimises, in fp32.

    reconstruction = sum of <name>_weight * term over L1, L2, Charbonnier, temporal difference and
                     perceptual
    loss = reconstruction + bottleneck loss + entropy_boost(step) * entropy
         + adversarial weight * generator

The adversarial weight is fixed or adaptive, and 0 before the adversary's start. A frozen bottleneck
in eval mode adds nothing: that is the objective of WeTok's second stage. Where a dual-path
tokenizer took both paths, `reconstruction` and `generator` are sums over them, the continuous one
weighted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...tokenizers.encoding import Output
from .adaptive_weight import adaptive_weight
from .adversarial import GENERATOR_LOSSES
from .gan import Adversary
from .options import Losses
from .perceptual import PerceptualLoss
from .reconstruction import charbonnier_loss, l1_loss, l2_loss, temporal_difference_loss


@dataclass(frozen=True)
class Objective:
    """A loss with the terms it is made of.

    Attributes:
        loss: what is minimised, a scalar.
        terms: every term unweighted, detached; those of reconstruction are means over the paths,
            and of dual-path tokenizers also kept for each, as `discrete_l1`. Otherwise the keys are
            the same at every step.
    """

    loss: Float[Tensor, ""]
    terms: dict[str, Tensor]


def generator_objective(
    output: Output,
    pixels: Float[Tensor, "B 3 T H W"],
    losses: Losses,
    step: int = 0,
    perceptual: PerceptualLoss | None = None,
    adversary: Adversary | None = None,
    last_layer: Tensor | None = None,
) -> Objective:
    """Weigh the terms of one forward pass.

    Args:
        output: of the tokenizer.
        pixels: what it was given.
        losses: weights.
        step: optimizer steps taken so far.
        perceptual: LPIPS, exactly where its weight is not 0.
        adversary: the discriminator, exactly where the adversarial weight is not 0. Its batch
            statistics follow the reconstructions from the first step on.
        last_layer: weight of the decoder's last layer, for the adaptive weight.

    Returns:
        The loss. Of the terms, `adversarial_weight` is the factor that `generator` really had.

    Raises:
        ValueError: an entropy boost for a bottleneck without entropies, or an adaptive weight where
            the last layer has no gradient.
    """
    assert (perceptual is not None) == (losses.perceptual_weight > 0), "network and weight go along"
    assert (adversary is not None) == (losses.adversarial_weight > 0), "network and weight go along"
    with torch.autocast(pixels.device.type, enabled=False):
        terms, reconstruction = _reconstruction(output, pixels, losses, perceptual)
        loss = reconstruction + output.loss + _entropy_warmup(output.terms, losses, step)
        if adversary is not None:
            generator, weight = _judged(output, reconstruction, losses, adversary, step, last_layer)
            weight = losses.adversarial_weight * weight
            loss = loss + weight * generator
            terms |= {"generator": generator, "adversarial_weight": weight}
    terms |= output.terms
    return Objective(loss, {name: term.detach() for name, term in terms.items()})


def _reconstruction(
    output: Output, pixels: Tensor, losses: Losses, perceptual: PerceptualLoss | None
) -> tuple[dict[str, Tensor], Tensor]:
    """The terms of one reconstruction or of two, and their weighted sum."""
    if not output.paths:
        terms = _reconstruction_terms(output.pixels, pixels, losses, perceptual)
        return terms, _weigh(terms, losses)
    by_path = {
        path: _reconstruction_terms(restored, pixels, losses, perceptual)
        for path, restored in output.paths.items()
    }
    loss = torch.stack([_share(p, losses) * _weigh(t, losses) for p, t in by_path.items()]).sum()
    names = next(iter(by_path.values()))
    terms = {name: torch.stack([t[name] for t in by_path.values()]).mean() for name in names}
    for path, its_terms in by_path.items():
        terms |= {f"{path}_{name}": term for name, term in its_terms.items()}
    return terms, loss


def _share(path: str, losses: Losses) -> float:
    return losses.continuous_path_weight if path == "continuous" else 1.0


def _reconstruction_terms(
    reconstruction: Tensor, pixels: Tensor, losses: Losses, perceptual: PerceptualLoss | None
) -> dict[str, Tensor]:
    """L1 and L2 are always looked at, the others where they have a weight."""
    terms = {"l1": l1_loss(reconstruction, pixels), "l2": l2_loss(reconstruction, pixels)}
    if losses.charbonnier_weight:
        terms["charbonnier"] = charbonnier_loss(reconstruction, pixels)
    if losses.temporal_difference_weight:
        terms["temporal_difference"] = temporal_difference_loss(reconstruction, pixels)
    if perceptual is not None:
        terms["perceptual"] = perceptual(reconstruction, pixels)
    return terms


def _weigh(terms: Mapping[str, Tensor], losses: Losses) -> Tensor:
    weights = {
        "l1": losses.l1_weight,
        "l2": losses.l2_weight,
        "charbonnier": losses.charbonnier_weight,
        "temporal_difference": losses.temporal_difference_weight,
        "perceptual": losses.perceptual_weight,
    }
    weighted = [weights[name] * term for name, term in terms.items() if weights[name]]
    return torch.stack(weighted).sum()


def _entropy_warmup(terms: Mapping[str, Tensor], losses: Losses, step: int) -> Tensor | float:
    """More of the entropy term in the first steps, when codebooks collapse."""
    if losses.entropy_warmup_weight == 0:
        return 0.0
    if "sample_entropy" not in terms or "codebook_entropy" not in terms:
        raise ValueError(
            f"train.losses.entropy_warmup_weight={losses.entropy_warmup_weight:g} needs a "
            "bottleneck with entropies (lfq, gq, bsq, ibq); set it to 0 for this one"
        )
    share = max(0.0, 1 - step / losses.entropy_warmup_steps)
    entropy = terms["sample_entropy"] - terms["codebook_entropy"]
    return losses.entropy_warmup_weight * share * entropy


def _judged(
    output: Output,
    reconstruction_loss: Tensor,
    losses: Losses,
    adversary: Adversary,
    step: int,
    last_layer: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The generator's adversarial loss, and its weight for an adversarial_weight of 1."""
    options, factor = adversary.options, adversary.factor(step)
    active = factor > 0
    with (
        adversary.frozen() as discriminator,
        torch.set_grad_enabled(active and torch.is_grad_enabled()),
    ):
        generator_loss = GENERATOR_LOSSES[options.generator_loss]
        judged = [
            _share(path, losses) * generator_loss(discriminator(restored))
            for path, restored in (output.paths or {"": output.pixels}).items()
        ]
        generator = torch.stack(judged).sum()
    weight = generator.new_tensor(factor)
    if options.adaptive and active:
        assert last_layer is not None, "the adaptive weight looks at the last layer"
        weight = weight * adaptive_weight(reconstruction_loss, generator, last_layer)
    return generator, weight


def training_psnr(l2: Tensor) -> Tensor:
    """PSNR in dB of a mean squared error over pixels in [-1, 1] (peak to peak 2), unclamped."""
    return 10 * torch.log10(4.0 / l2)
