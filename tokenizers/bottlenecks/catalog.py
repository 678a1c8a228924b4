"""The family of bottlenecks: every class by the `kind` that selects it in configs."""

from .bottleneck import Bottleneck
from .bsq import BSQ
from .dual_path import DualPath
from .fixed_sigma import FixedSigma
from .fsq import FSQ
from .gq import GQ
from .ibq import IBQ
from .kl import KL
from .lfq import LFQ
from .multi_token import MultiToken
from .plain import Plain
from .residual import Residual
from .simvq import SimVQ
from .vq import VQ

BOTTLENECKS: dict[str, type[Bottleneck]] = {
    "fsq": FSQ,
    "lfq": LFQ,
    "gq": GQ,
    "bsq": BSQ,
    "vq": VQ,
    "simvq": SimVQ,
    "ibq": IBQ,
    "residual": Residual,
    "multi_token": MultiToken,
    "dual_path": DualPath,
    "kl": KL,
    "fixed_sigma": FixedSigma,
    "plain": Plain,
}
