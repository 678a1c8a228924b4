"""The sections of a run config about losses: `train.losses` and `train.adversarial`."""

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from ...component import build
from ...component_options import family_union, options_model
from ...config import ConfigSection, Count, PositiveInt, UnitInterval
from ...eval.features.lpips_network import Trunk
from ...models.discriminators.catalog import DISCRIMINATORS
from ...models.discriminators.discriminator import Discriminator
from ..optimization.optimizer import OPTIMIZERS
from .adversarial import DiscriminatorLossName, GeneratorLossName
from .catalog import EXTRA_LOSS
from .lecam import LeCamForm


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
    extra: list[EXTRA_LOSS] = Field(default=[])  # pyright: ignore[reportInvalidTypeForm]
    """Registered reconstruction losses, each with its kind, its weight and its own options."""
    continuous_path_weight: NonNegativeFloat = 1.0
    """Weight of the continuous reconstruction of dual-path tokenizers; the discrete one has 1."""
    learn_logvar: bool = False
    """Learn the log-variance s of the pixel likelihood: reconstruction losses R become
    exp(-s) R + s."""
    logvar_init: float = 0.0
    """Log-variance at the first step, with learn_logvar."""
    adversarial_weight: NonNegativeFloat = 0.0
    """Weight of the adversarial loss against the discriminator of train.adversarial."""
    entropy_warmup_weight: NonNegativeFloat = 0.0
    """Additional weight of sample entropy - codebook entropy at the first step."""
    entropy_warmup_steps: PositiveInt = 2000
    """Optimizer steps over which entropy_warmup_weight falls linearly to 0."""

    @model_validator(mode="after")
    def _the_reconstruction_can_be_learned(self) -> "Losses":
        names = ("l1_weight", "l2_weight", "charbonnier_weight", "perceptual_weight")
        if not (self.extra or any(getattr(self, name) for name in names)):
            raise ValueError(
                f"no reconstruction loss has a weight: set one of {', '.join(names)} above 0"
            )
        kinds = [loss.kind for loss in self.extra]
        for kind in dict.fromkeys(kinds):
            if kinds.count(kind) > 1:
                raise ValueError(f"extra has the kind {kind} twice; every kind has one weight")
        if self.logvar_init and not self.learn_logvar:
            raise ValueError(f"logvar_init={self.logvar_init:g} needs learn_logvar=true")
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
    """Adversarial loss of the tokenizer; non_saturating takes the mean logit of each image."""
    adaptive: bool = False
    """Also weight the tokenizer's adversarial loss by the ratio of gradients at the decoder's last
    layer, as VQGAN does."""
    max_adaptive_weight: PositiveFloat = 1e4
    """Largest ratio of gradients with adaptive. Recipes that sum their pixel losses allow 1e4 of
    that sum, which is 1e4 / (3 H W) here."""
    start_step: Count = 0
    """Optimizer step at which the tokenizer's adversarial loss starts."""
    discriminator_start_step: Count | None = None
    """Optimizer step at which the discriminator starts to learn, at most start_step; null is
    start_step. Its learning rate follows train.schedule and its warm-up from there on."""
    warmup_steps: Count = 0
    """Optimizer steps over which the weight of each adversarial loss ramps up after its start."""
    updates_per_step: PositiveInt = 1
    """Updates of the discriminator per optimizer step of the tokenizer, all on the originals and
    reconstructions of that step."""
    lecam_weight: NonNegativeFloat = 0.05
    """Weight of LeCam regularization, which keeps the logits near their moving averages."""
    lecam_form: LeCamForm = "per_logit"
    """Compare each logit with averages that have been updated (per_logit: WeTok, VidTok), or mean
    logits with averages that are updated afterwards (mean_logit: TiTok, MAGVIT)."""
    lecam_decay: UnitInterval = 0.999
    """Decay of LeCam's moving averages, per batch that the discriminator sees."""
    r1_weight: NonNegativeFloat = 0.0
    """Weight of the R1 penalty on the gradient of the summed logits of each original, StyleGAN's
    gamma; needs a discriminator without batch norm."""
    r1_every_steps: PositiveInt = 16
    """Compute R1 every so often, in optimizer steps, and scale it by the same number (lazy
    regularization)."""
    lr: PositiveFloat | None = None
    """Peak learning rate of the discriminator; null uses train.lr."""
    optimizer: family_union(OPTIMIZERS) | None = None  # pyright: ignore[reportInvalidTypeForm]
    """Optimizer of the discriminator, with its own betas and weight decay; null uses
    train.optimizer."""
    grad_clip_norm: PositiveFloat | None = None
    """Maximum norm of the discriminator's gradients; null uses train.grad_clip_norm."""

    @model_validator(mode="after")
    def _r1_can_be_computed(self) -> "Adversarial":
        norm = getattr(self.discriminator, "norm", None)
        if self.r1_weight and norm in ("batch", "sync_batch"):
            raise ValueError(
                f"r1_weight={self.r1_weight:g} needs the gradient of each sample by itself, but "
                f"discriminator.norm={norm} mixes the samples of a batch; use group or none"
            )
        return self

    @model_validator(mode="after")
    def _the_discriminator_learns_first(self) -> "Adversarial":
        if self.discriminator_start > self.start_step:
            raise ValueError(
                f"discriminator_start_step={self.discriminator_start} lies after "
                f"start_step={self.start_step}: the tokenizer would learn from a discriminator "
                "that does not; raise start_step, or leave discriminator_start_step unset"
            )
        return self

    @property
    def discriminator_start(self) -> int:
        """Optimizer step at which the discriminator starts to learn."""
        start = self.discriminator_start_step
        return self.start_step if start is None else start

    def build_discriminator(self) -> Discriminator:
        """Build the untrained discriminator, in train mode."""
        options = self.discriminator.model_dump()
        return build(DISCRIMINATORS, options, "train.adversarial.discriminator", in_channels=3)
