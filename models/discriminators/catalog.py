"""All discriminators, by their kind in configs."""

from .discriminator import Discriminator
from .maskbit import MaskBitDiscriminator
from .patchgan import PatchGAN, PatchGAN3D

DISCRIMINATORS: dict[str, type[Discriminator]] = {
    "patchgan": PatchGAN,
    "patchgan_3d": PatchGAN3D,
    "maskbit": MaskBitDiscriminator,
}
