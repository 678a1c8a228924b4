"""The discriminator's objective: what one step of the discriminator minimises, in fp32.

loss = factor(step) * (discriminator + lecam_weight * lecam + r1_weight * every * r1)

R1 is looked at every few steps only, and counts as if it had been at each of them
(arXiv 1912.04958). Before the start the factor is 0 and there is no graph, so nothing is learnt;
batch statistics and LeCam's averages follow the logits from the first step on.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .adversarial import DISCRIMINATOR_LOSSES
from .gan import Adversary
from .generator import Objective
from .r1 import r1_penalty

Pixels = Float[Tensor, "B 3 T H W"]


def discriminator_objective(
    discriminator: nn.Module,
    pixels: Pixels,
    reconstruction: Float[Tensor, "_ 3 T H W"],
    adversary: Adversary,
    step: int,
) -> Objective:
    """Judge originals, then their reconstructions.

    Args:
        discriminator: the adversary's, inside its distributed wrapper if it has one.
        pixels: originals.
        reconstruction: what the tokenizer made of them before its step, on every path it took;
            unclamped.
        adversary: the rules and LeCam's averages.
        step: optimizer steps of the tokenizer taken before this one.

    Returns:
        The loss; `logits_real` and `logits_fake` are means.
    """
    options, factor = adversary.options, adversary.factor(step)
    active = factor > 0 and torch.is_grad_enabled()
    penalised = active and options.r1_weight > 0 and step % options.r1_every_steps == 0
    # Not the batch itself, on which a gradient must not be asked for.
    pixels = pixels.detach().requires_grad_(penalised)
    with torch.autocast(pixels.device.type, enabled=False), torch.set_grad_enabled(active):
        real, fake = discriminator(pixels).float(), discriminator(reconstruction.detach()).float()
        loss = game = DISCRIMINATOR_LOSSES[options.loss](real, fake)
        terms = {"discriminator": game, "logits_real": real.mean(), "logits_fake": fake.mean()}
        if options.lecam_weight:
            terms["lecam"] = adversary.lecam(real, fake)
            loss = loss + options.lecam_weight * terms["lecam"]
        if options.r1_weight:
            terms["r1"] = (
                r1_penalty(discriminator, real, pixels) if penalised else game.new_zeros(())
            )
            loss = loss + options.r1_weight * options.r1_every_steps * terms["r1"]
        loss = factor * loss
    return Objective(loss, {name: term.detach() for name, term in terms.items()})
