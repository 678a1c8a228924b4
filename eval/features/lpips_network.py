"""LPIPS: distance between two images in the features of a classifier (arXiv 1801.03924).

The linear heads ship with the `lpips` package; the classifier ("trunk") is torchvision's weights
file, which is never replaced by anything else when it is missing.
"""

import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from .extractor_weights import ExtractorWeights, find

Trunk = Literal["alex", "vgg"]

TRUNKS: dict[Trunk, ExtractorWeights] = {
    "alex": ExtractorWeights(
        name="LPIPS's AlexNet trunk",
        file="alexnet-owt-7be5be79.pth",
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        sha256_prefix="7be5be79",
        variable="VISTOK_ALEXNET_WEIGHTS",
    ),
    "vgg": ExtractorWeights(
        name="LPIPS's VGG16 trunk",
        file="vgg16-397923af.pth",
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        sha256_prefix="397923af",
        variable="VISTOK_VGG16_WEIGHTS",
    ),
}


def lpips_network(trunk: Trunk) -> nn.Module:
    """Build the LPIPS network, in eval mode and frozen.

    Args:
        trunk: alex is commonly used as a metric, vgg as a loss.

    Returns:
        A module from two batches of images (N, 3, H, W) in [-1, 1] to distances (N, 1, 1, 1).

    Raises:
        MissingWeights: the trunk's weights file was not found and could not be downloaded.
        ValueError: the file contains something else.
    """
    import lpips  # deferred: it loads torch's compiler, which takes seconds

    path = find(TRUNKS[trunk])
    # On the meta device: otherwise all 138 million weights of a VGG would first be initialized.
    with torch.device("meta"), warnings.catch_warnings():
        # lpips passes an argument of torchvision under its old name.
        warnings.filterwarnings("ignore", module=r"torchvision\.models\._utils")
        network = lpips.LPIPS(net=trunk, pretrained=False, pnet_rand=True, verbose=False)
    heads = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{trunk}.pth"
    # No file contains the constants that scale [-1, 1] to the classifiers' range.
    scaling = {f"scaling_layer.{k}": v for k, v in lpips.ScalingLayer().state_dict().items()}
    weights = scaling | _heads(heads) | _trunk_weights(network, trunk, path)
    network.load_state_dict(weights, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def _heads(path: Path) -> dict[str, Tensor]:
    """Load the linear heads, under both names that the network has for them."""
    heads = torch.load(path, map_location="cpu", weights_only=True)
    also = {f"lins.{name.removeprefix('lin')}": value for name, value in heads.items()}
    return heads | also


def _trunk_weights(network: nn.Module, trunk: Trunk, path: Path) -> dict[str, Tensor]:
    """Load torchvision's trunk: its `features.10.weight` is our `net.slice3.10.weight`."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} cannot be read as weights of {TRUNKS[trunk].name}") from error
    wanted = {name: value for name, value in network.state_dict().items() if name[:4] == "net."}
    renamed = {name: f"features.{name.split('.', 2)[2]}" for name in wanted}
    given = {name for name in stored if name.startswith("features.")}
    wrong = sorted(given ^ set(renamed.values())) or sorted(
        renamed[name]
        for name, value in wanted.items()
        if stored[renamed[name]].shape != value.shape
    )
    if wrong:
        raise ValueError(
            f"{path} does not contain {TRUNKS[trunk].name}: missing, unexpected or of another "
            f"shape are {', '.join(wrong[:4])}{' and more' if len(wrong) > 4 else ''}; "
            f"get {TRUNKS[trunk].url}"
        )
    return {name: stored[renamed[name]].float() for name in wanted}
