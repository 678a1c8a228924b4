"""The sections of a run config about losses: `train.losses` and `train.adversarial`."""

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from ...component import build
from ...component_options import family_union, options_model
from ...config import ConfigSection, Count, PositiveInt, UnitInterval
from ...eval.features.lpips_network import Trunk
from ...models.discriminators.catalog import DISCRIMINATORS
from ...models.discriminators.discriminator import Discriminator
from .adversarial import DiscriminatorLossName, GeneratorLossName


class Losses(ConfigSection):
    """Weights of the loss terms; a term of weight 0 is neither built nor downloaded."""

    l1_weight: NonNegativeFloat = 1.0
    """Weight of the mean absolute error of the pixels."""
    l2_weight: NonNegativeFloat = 0.0
    """Weight of the mean squared error of the pixels."""
    charbonnier_weight: NonNegativeFloat = 0.0
    """Weight of the Charbonnier loss: L1, smooth at zero."""
    temporal_difference_weight: NonNegativeFloat = 0.0
    """Weight of the L1 error of the differences between consecutive frames; needs data.frames >
    1."""
    perceptual_weight: NonNegativeFloat = 0.0
    """Weight of LPIPS, averaged over frames. The weights of its trunk are downloaded, or read from
    the file that an environment variable names."""
    perceptual_trunk: Trunk = "vgg"
    """Classifier whose features LPIPS compares."""
    continuous_path_weight: NonNegativeFloat = 1.0
    """Weight of the continuous reconstruction of dual-path tokenizers; the discrete one has 1."""
    adversarial_weight: NonNegativeFloat = 0.0
    """Weight of the adversarial loss against the discriminator of train.adversarial."""
    entropy_warmup_weight: NonNegativeFloat = 0.0
    """Additional weight of sample entropy - codebook entropy at the first step."""
    entropy_warmup_steps: PositiveInt = 2000
    """Optimizer steps over which entropy_warmup_weight falls linearly to 0."""

    @model_validator(mode="after")
    def _something_is_reconstructed(self) -> "Losses":
        names = ("l1_weight", "l2_weight", "charbonnier_weight", "perceptual_weight")
        if not any(getattr(self, name) for name in names):
            raise ValueError(
                f"no reconstruction loss has a weight: set one of {', '.join(names)} above 0"
            )
        return self


class Adversarial(ConfigSection):
    """Discriminator and adversarial losses; used if train.losses.adversarial_weight is not 0."""

    discriminator: family_union(DISCRIMINATORS, derived=frozenset({"in_channels"})) = Field(  # pyright: ignore[reportInvalidTypeForm]
        default_factory=options_model(
            DISCRIMINATORS["patchgan"], "patchgan", frozenset({"in_channels"})
        )
    )
    """Architecture of the discriminator."""
    loss: DiscriminatorLossName = "hinge"
    """Loss of the discriminator."""
    generator_loss: GeneratorLossName = "non_saturating"
    """Adversarial loss of the tokenizer."""
    adaptive: bool = False
    """Also weight the tokenizer's adversarial loss by the ratio of gradients at the decoder's last
    layer, as VQGAN does."""
    start_step: Count = 0
    """Optimizer step at which the adversarial losses start; no discriminator learns before it."""
    warmup_steps: Count = 0
    """Optimizer steps over which the weight of the adversarial losses then ramps up."""
    lecam_weight: NonNegativeFloat = 0.05
    """Weight of LeCam regularization, which keeps the logits near their moving averages."""
    lecam_decay: UnitInterval = 0.999
    """Decay per step of LeCam's moving averages of the logits."""
    r1_weight: NonNegativeFloat = 0.0
    """Weight of the R1 penalty on the discriminator's gradient at originals."""
    r1_every_steps: PositiveInt = 16
    """Compute R1 every so often, in optimizer steps, and scale it by the same number (lazy
    regularization)."""
    lr: PositiveFloat | None = None
    """Peak learning rate of the discriminator; null uses train.lr."""

    @model_validator(mode="after")
    def _r1_can_be_computed(self) -> "Adversarial":
        if self.r1_weight and self.discriminator.norm == "sync_batch":
            raise ValueError(
                f"r1_weight={self.r1_weight:g} needs second derivatives, which "
                "discriminator.norm=sync_batch does not have; use batch, group or none"
            )
        return self

    def build_discriminator(self) -> Discriminator:
        """Build the untrained discriminator, in train mode."""
        options = self.discriminator.model_dump()
        return build(DISCRIMINATORS, options, "train.adversarial.discriminator", in_channels=3)
