"""The generator's objective: the loss that one step of the tokenizer minimizes, in fp32.

    reconstruction = sum of <name>_weight * term over L1, L2, Charbonnier, temporal difference,
                     perceptual and the registered losses of train.losses.extra
    loss = reconstruction + bottleneck loss + entropy_warmup(step) * entropy
         + adversarial weight * generator

A learned log-variance of the pixel likelihood replaces `reconstruction` by its negative
log-likelihood. The adversarial weight is fixed or adaptive; before the start of the adversarial
loss it is 0, as is `generator`, and the discriminator is not called. A frozen
bottleneck in eval mode adds nothing: that is the objective of WeTok's second stage. Where a
dual-path tokenizer took both paths, `reconstruction` and `generator` are sums over them, the
continuous one weighted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.amp import GradScaler

from ...tokenizers.encoding import Output
from .adaptive_weight import adaptive_weight
from .adversarial import GENERATOR_LOSSES
from .gan import GAN
from .options import Losses
from .perceptual import PerceptualLoss
from .pixel_likelihood import PixelLikelihood
from .reconstruction import (
    ReconstructionLoss,
    charbonnier_loss,
    l1_loss,
    l2_loss,
    temporal_difference_loss,
)

# The registered losses of `train.losses.extra`, by kind.
ExtraLosses = Mapping[str, ReconstructionLoss]
NO_LOSSES: ExtraLosses = {}


@dataclass(frozen=True)
class Objective:
    """A loss and the terms it is the weighted sum of.

    Attributes:
        loss: the scalar to minimize.
        terms: every term unweighted, detached. Reconstruction terms are means over the paths; of
            dual-path tokenizers they are also kept per path, as `discrete_l1`. Apart from those the
            keys are the same at every step.
    """

    loss: Float[Tensor, ""]
    terms: dict[str, Tensor]


def generator_objective(
    output: Output,
    pixels: Float[Tensor, "B 3 T H W"],
    losses: Losses,
    *,
    step: int = 0,
    perceptual: PerceptualLoss | None = None,
    gan: GAN | None = None,
    last_layer: Tensor | None = None,
    likelihood: PixelLikelihood | None = None,
    extra: ExtraLosses = NO_LOSSES,
    scaler: GradScaler | None = None,
) -> Objective:
    """Compute the weighted sum of all loss terms of one forward pass.

    Args:
        output: of the tokenizer.
        pixels: its input.
        losses: the weights.
        step: optimizer steps taken so far.
        perceptual: LPIPS, exactly where its weight is not 0.
        gan: the discriminator, exactly where the adversarial weight is not 0.
        last_layer: weight of the decoder's last layer, for the adaptive weight.
        likelihood: the learned log-variance, exactly where losses.learn_logvar is set.
        extra: the losses of losses.extra, by kind; their terms are called `extra_<kind>`.
        scaler: the scaler of the losses (fp16), for the adaptive weight.

    Returns:
        The loss. Of the terms, `adversarial_weight` is the factor that `generator` had in it.

    Raises:
        ValueError: an entropy warm-up for a bottleneck without entropies, or an adaptive weight
            where the last layer has no gradient.
    """
    assert (perceptual is not None) == (losses.perceptual_weight > 0), "network and weight go along"
    assert (gan is not None) == (losses.adversarial_weight > 0), "network and weight go along"
    assert (likelihood is not None) == losses.learn_logvar, "variable and option go along"
    assert list(extra) == [one.kind for one in losses.extra], "networks and weights go along"
    with torch.autocast(pixels.device.type, enabled=False):
        terms, reconstruction = _reconstruction(output, pixels, losses, perceptual, extra)
        if likelihood is not None:
            reconstruction = likelihood(reconstruction, _weight_of_paths(output, losses))
            terms |= {"logvar": likelihood.logvar.detach().clone()}
        loss = reconstruction + output.loss + _entropy_warmup(output.terms, losses, step)
        if gan is not None:
            factor = gan.generator_factor(step)
            generator, weight = loss.new_zeros(()), loss.new_tensor(factor)
            if factor > 0:
                generator = _generator_loss(output, losses, gan)
                if gan.options.adaptive:
                    assert last_layer is not None, "the adaptive weight needs the last layer"
                    ratio = adaptive_weight(reconstruction, generator, last_layer, scaler)
                    weight = weight * ratio.clamp(max=gan.options.max_adaptive_weight)
                weight = losses.adversarial_weight * weight
                loss = loss + weight * generator
            terms |= {"generator": generator, "adversarial_weight": weight}
    terms |= output.terms
    return Objective(loss, {name: term.detach() for name, term in terms.items()})


def _reconstruction(
    output: Output,
    pixels: Tensor,
    losses: Losses,
    perceptual: PerceptualLoss | None,
    extra: ExtraLosses,
) -> tuple[dict[str, Tensor], Tensor]:
    """Return the terms of one reconstruction or of two, and their weighted sum."""
    if not output.paths:
        terms = _reconstruction_terms(output.pixels, pixels, losses, perceptual, extra)
        return terms, _weighted_sum(terms, losses)
    by_path = {
        path: _reconstruction_terms(restored, pixels, losses, perceptual, extra)
        for path, restored in output.paths.items()
    }
    loss = torch.stack(
        [_path_weight(p, losses) * _weighted_sum(t, losses) for p, t in by_path.items()]
    ).sum()
    names = next(iter(by_path.values()))
    terms = {name: torch.stack([t[name] for t in by_path.values()]).mean() for name in names}
    for path, path_terms in by_path.items():
        terms |= {f"{path}_{name}": term for name, term in path_terms.items()}
    return terms, loss


def _weight_of_paths(output: Output, losses: Losses) -> float:
    """Return the sum of the weights of all reconstructions."""
    return sum(_path_weight(path, losses) for path in output.paths or ("",))


def _path_weight(path: str, losses: Losses) -> float:
    return losses.continuous_path_weight if path == "continuous" else 1.0


def _reconstruction_terms(
    reconstruction: Tensor,
    pixels: Tensor,
    losses: Losses,
    perceptual: PerceptualLoss | None,
    extra: ExtraLosses,
) -> dict[str, Tensor]:
    """Compute L1 and L2, which are always logged, and every other term that has a weight."""
    terms = {"l1": l1_loss(reconstruction, pixels), "l2": l2_loss(reconstruction, pixels)}
    if losses.charbonnier_weight:
        terms["charbonnier"] = charbonnier_loss(reconstruction, pixels)
    if losses.temporal_difference_weight:
        terms["temporal_difference"] = temporal_difference_loss(reconstruction, pixels)
    if perceptual is not None:
        terms["perceptual"] = perceptual(reconstruction, pixels)
    for kind, loss in extra.items():
        terms[f"extra_{kind}"] = loss(reconstruction.float(), pixels.float())
        if terms[f"extra_{kind}"].shape != ():
            raise ValueError(
                f"the loss {kind} must return a scalar, got a tensor of shape "
                f"{tuple(terms[f'extra_{kind}'].shape)}"
            )
    return terms


def _weighted_sum(terms: Mapping[str, Tensor], losses: Losses) -> Tensor:
    weights = {
        "l1": losses.l1_weight,
        "l2": losses.l2_weight,
        "charbonnier": losses.charbonnier_weight,
        "temporal_difference": losses.temporal_difference_weight,
        "perceptual": losses.perceptual_weight,
        **{f"extra_{one.kind}": one.weight for one in losses.extra},
    }
    weighted = [weights[name] * term for name, term in terms.items() if weights[name]]
    return torch.stack(weighted).sum()


def _entropy_warmup(terms: Mapping[str, Tensor], losses: Losses, step: int) -> Tensor | float:
    """Return the additional entropy term of the first steps, when codebooks tend to collapse."""
    if losses.entropy_warmup_weight == 0:
        return 0.0
    if "sample_entropy" not in terms or "codebook_entropy" not in terms:
        raise ValueError(
            f"train.losses.entropy_warmup_weight={losses.entropy_warmup_weight:g} needs a "
            "bottleneck with entropies (lfq, gq, bsq, ibq); set it to 0 for this one"
        )
    remaining = max(0.0, 1 - step / losses.entropy_warmup_steps)
    entropy = terms["sample_entropy"] - terms["codebook_entropy"]
    return losses.entropy_warmup_weight * remaining * entropy


def _generator_loss(output: Output, losses: Losses, gan: GAN) -> Tensor:
    """Return the adversarial loss of all reconstructions."""
    generator_loss = GENERATOR_LOSSES[gan.options.generator_loss]
    with gan.frozen() as discriminator:
        path_losses = [
            _path_weight(path, losses) * generator_loss(discriminator(restored))
            for path, restored in (output.paths or {"": output.pixels}).items()
        ]
        return torch.stack(path_losses).sum()
