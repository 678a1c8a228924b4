"""The sections of a run config that say what training minimises."""

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from pydantic import NonNegativeInt as Count

from ...component import build
from ...component_options import family_union, options_model
from ...eval.features.lpips_network import Trunk
from ...models.discriminators.catalog import DISCRIMINATORS
from ...models.discriminators.discriminator import Discriminator
from ..section import ConfigSection, UnitInterval
from .adversarial import DiscriminatorLossName, GeneratorLossName


class Losses(ConfigSection):
    """Weights of the objective's terms; what has weight 0 is neither built nor downloaded."""

    l1_weight: NonNegativeFloat = 1.0
    l2_weight: NonNegativeFloat = 0.0
    charbonnier_weight: NonNegativeFloat = 0.0
    """L1 rounded off at zero."""
    temporal_difference_weight: NonNegativeFloat = 0.0
    """L1 of what changes from frame to frame; images have none."""
    perceptual_weight: NonNegativeFloat = 0.0
    """LPIPS of every frame; its trunk is a file that is downloaded or pointed to."""
    perceptual_trunk: Trunk = "vgg"
    """Classifier under LPIPS."""
    continuous_path_weight: NonNegativeFloat = 1.0
    """Of dual-path tokenizers: the continuous reconstruction's share beside the discrete one's."""
    adversarial_weight: NonNegativeFloat = 0.0
    """The game against the discriminator of train.adversarial."""
    entropy_warmup_weight: NonNegativeFloat = 0.0
    """Additional weight of sample entropy - codebook entropy at the first step."""
    entropy_warmup_steps: PositiveInt = 2000
    """Steps in which that falls linearly to 0."""

    @model_validator(mode="after")
    def _something_is_reconstructed(self) -> "Losses":
        names = ("l1_weight", "l2_weight", "charbonnier_weight", "perceptual_weight")
        if not any(getattr(self, name) for name in names):
            raise ValueError(
                f"nothing is to be reconstructed: set one of {', '.join(names)} above 0"
            )
        return self


class Adversarial(ConfigSection):
    """The discriminator and its rules; used where train.losses.adversarial_weight is not 0."""

    discriminator: family_union(DISCRIMINATORS, derived=frozenset({"in_channels"})) = Field(  # pyright: ignore[reportInvalidTypeForm]
        default_factory=options_model(
            DISCRIMINATORS["patchgan"], "patchgan", frozenset({"in_channels"})
        )
    )
    loss: DiscriminatorLossName = "hinge"
    """What the discriminator minimises."""
    generator_loss: GeneratorLossName = "non_saturating"
    """What the tokenizer minimises against it."""
    adaptive: bool = False
    """Weight the generator's loss by the ratio of gradients at the decoder's last layer too."""
    start_step: Count = 0
    """Steps before the game counts."""
    warmup_steps: Count = 0
    """Steps in which it then comes to count fully."""
    lecam_weight: NonNegativeFloat = 0.05
    lecam_decay: UnitInterval = 0.999
    """Decay of LeCam's averages of the logits."""
    r1_weight: NonNegativeFloat = 0.0
    """Penalty on the discriminator's slope at originals."""
    r1_every_steps: PositiveInt = 16
    """It is computed so rarely, and multiplied by as much."""
    lr: PositiveFloat | None = None
    """Peak learning rate of the discriminator; null takes train.lr."""

    @model_validator(mode="after")
    def _r1_can_be_computed(self) -> "Adversarial":
        if self.r1_weight and self.discriminator.norm == "sync_batch":
            raise ValueError(
                f"r1_weight={self.r1_weight:g} needs second derivatives, which "
                "discriminator.norm=sync_batch does not have; take batch, group or none"
            )
        return self

    def build_discriminator(self) -> Discriminator:
        """The untrained discriminator, in train mode."""
        options = self.discriminator.model_dump()
        return build(DISCRIMINATORS, options, "train.adversarial.discriminator", in_channels=3)
