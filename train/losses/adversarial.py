"""Adversarial losses of patch logits: high where the discriminator takes a patch for real.

Generator, of the logits f of reconstructions:

    non_saturating   mean_n softplus(-mean_p f_np)    on the mean logit of each image n
    hinge            -mean f

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

GeneratorLossName = Literal["non_saturating", "hinge"]
DiscriminatorLossName = Literal["hinge", "vanilla", "non_saturating"]


def non_saturating_generator_loss(fake: Logits) -> Scalar:
    """Low where reconstructions look real as a whole."""
    return F.softplus(-per_picture(fake)).mean()


def hinge_generator_loss(fake: Logits) -> Scalar:
    """Low where patches look real."""
    return -fake.mean()


def hinge_discriminator_loss(real: Logits, fake: Logits) -> Scalar:
    """Low where logits are beyond 1 on their right side."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def vanilla_discriminator_loss(real: Logits, fake: Logits) -> Scalar:
    """Cross-entropy of patches."""
    return 0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())


def non_saturating_discriminator_loss(real: Logits, fake: Logits) -> Scalar:
    """Cross-entropy of images."""
    return F.softplus(-per_picture(real)).mean() + F.softplus(per_picture(fake)).mean()


def per_picture(logits: Logits) -> Float[Tensor, "N"]:
    """The mean logit of each thing that was judged."""
    return logits.flatten(1).mean(dim=1)


GENERATOR_LOSSES: dict[GeneratorLossName, Callable[[Tensor], Tensor]] = {
    "non_saturating": non_saturating_generator_loss,
    "hinge": hinge_generator_loss,
}
DISCRIMINATOR_LOSSES: dict[DiscriminatorLossName, Callable[[Tensor, Tensor], Tensor]] = {
    "hinge": hinge_discriminator_loss,
    "vanilla": vanilla_discriminator_loss,
    "non_saturating": non_saturating_discriminator_loss,
}
