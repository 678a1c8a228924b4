"""Adversarial losses of patch logits, which are high where the discriminator believes a patch.

Generator, of the logits f of reconstructions:

    non_saturating             mean_n softplus(-mean_p f_np)    on the mean logit of each image n
    non_saturating_per_patch   mean_np softplus(-f_np)          on the logit of each patch p
    hinge                      -mean f

Discriminator, of the logits r of originals and f of reconstructions:

    hinge            1/2 (mean relu(1 - r) + mean relu(1 + f))                   (arXiv 1705.02894)
    vanilla          1/2 (mean softplus(-r) + mean softplus(f))                  (arXiv 1406.2661)
    non_saturating   mean_n softplus(-mean_p r_np) + mean_n softplus(mean_p f_np)
"""

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Logits = Float[Tensor, "N 1 t h w"]
Scalar = Float[Tensor, ""]

GeneratorLossName = Literal["non_saturating", "non_saturating_per_patch", "hinge"]
DiscriminatorLossName = Literal["hinge", "vanilla", "non_saturating"]


def non_saturating_generator_loss(fake: Logits) -> Scalar:
    """Return a loss that is low where whole reconstructions look real."""
    return F.softplus(-per_image(fake)).mean()


def non_saturating_per_patch_generator_loss(fake: Logits) -> Scalar:
    """Return a loss that is low where every patch looks real."""
    return F.softplus(-fake).mean()


def hinge_generator_loss(fake: Logits) -> Scalar:
    """Return a loss that is low where patches look real."""
    return -fake.mean()


def hinge_discriminator_loss(real: Logits, fake: Logits) -> Scalar:
    """Return a loss that is low where logits are beyond 1 in the right direction."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def vanilla_discriminator_loss(real: Logits, fake: Logits) -> Scalar:
    """Return the mean cross-entropy over patches."""
    return 0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())


def non_saturating_discriminator_loss(real: Logits, fake: Logits) -> Scalar:
    """Return the mean cross-entropy over images."""
    return F.softplus(-per_image(real)).mean() + F.softplus(per_image(fake)).mean()


def per_image(logits: Logits) -> Float[Tensor, "N"]:
    """Return the mean logit of each image or clip."""
    return logits.flatten(1).mean(dim=1)


GENERATOR_LOSSES: dict[GeneratorLossName, Callable[[Tensor], Tensor]] = {
    "non_saturating": non_saturating_generator_loss,
    "non_saturating_per_patch": non_saturating_per_patch_generator_loss,
    "hinge": hinge_generator_loss,
}
DISCRIMINATOR_LOSSES: dict[DiscriminatorLossName, Callable[[Tensor, Tensor], Tensor]] = {
    "hinge": hinge_discriminator_loss,
    "vanilla": vanilla_discriminator_loss,
    "non_saturating": non_saturating_discriminator_loss,
}
