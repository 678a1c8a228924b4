"""The discriminator's objective: the loss that one discriminator step minimizes, in fp32.

loss = factor(step) * (discriminator + lecam_weight * lecam + r1_weight * every * r1)

R1 is computed every few steps only and scaled up by as much (lazy regularization,
arXiv 1912.04958). Before the start the factor is 0 and there is no graph, so no weight changes;
LeCam's averages follow the logits from the first step on, and without LeCam nothing is computed.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .adversarial import DISCRIMINATOR_LOSSES
from .gan import GAN
from .generator import Objective
from .options import Adversarial
from .r1 import r1_penalty

Pixels = Float[Tensor, "B 3 T H W"]


def discriminator_objective(
    discriminator: nn.Module,
    pixels: Pixels,
    reconstruction: Float[Tensor, "_ 3 T H W"],
    *,
    gan: GAN,
    step: int,
) -> Objective:
    """Compute the loss of the discriminator on originals and on their reconstructions.

    Args:
        discriminator: the network of `gan`, inside its distributed wrapper if it has one.
        pixels: originals.
        reconstruction: output of the tokenizer before its step, of every path it took; unclamped.
        gan: the adversarial options and LeCam's averages.
        step: optimizer steps of the tokenizer taken before this one.

    Returns:
        The loss; `logits_real` and `logits_fake` are means. The keys of the terms are the same at
        every step.
    """
    options, factor = gan.options, gan.discriminator_factor(step)
    if factor == 0 and not options.lecam_weight:
        zero = torch.zeros((), device=pixels.device)
        return Objective(zero, dict.fromkeys(_term_names(options), zero))
    active = factor > 0 and torch.is_grad_enabled()
    penalized = active and options.r1_weight > 0 and step % options.r1_every_steps == 0
    # Not the batch itself, which must not come to require a gradient.
    pixels = pixels.detach().requires_grad_(penalized)
    with torch.autocast(pixels.device.type, enabled=False), torch.set_grad_enabled(active):
        real, fake = discriminator(pixels).float(), discriminator(reconstruction.detach()).float()
        loss = discriminator_loss = DISCRIMINATOR_LOSSES[options.loss](real, fake)
        terms = {
            "discriminator": discriminator_loss,
            "logits_real": real.mean(),
            "logits_fake": fake.mean(),
        }
        if options.lecam_weight:
            terms["lecam"] = gan.lecam(real, fake)
            loss = loss + options.lecam_weight * terms["lecam"]
        if options.r1_weight:
            terms["r1"] = (
                r1_penalty(discriminator, real, pixels)
                if penalized
                else discriminator_loss.new_zeros(())
            )
            loss = loss + options.r1_weight * options.r1_every_steps * terms["r1"]
        loss = factor * loss
    return Objective(loss, {name: term.detach() for name, term in terms.items()})


def _term_names(options: Adversarial) -> list[str]:
    """Return the names of the terms of a step before the start without LeCam."""
    names = ["discriminator", "logits_real", "logits_fake"]
    return [*names, "r1"] if options.r1_weight else names
