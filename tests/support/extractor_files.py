"""Weights files of the learned metrics with random weights, so that tests need no download."""

import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from vistok.eval.features.inception import unloaded_inception


def inception_state(seed: int = 0) -> dict[str, Tensor]:
    """Weights of InceptionV3 whose features differ from picture to picture, as trained ones do."""
    network = unloaded_inception()
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, shape in ((name, value.shape) for name, value in network.state_dict().items()):
        if name.endswith(("conv.weight", "fc.weight")):
            std = (2 / shape[1:].numel()) ** 0.5
            state[name] = torch.randn(shape, generator=generator) * std
        else:
            is_one = name.endswith(("bn.weight", "running_var"))
            state[name] = torch.ones(shape) if is_one else torch.zeros(shape)
    return state


def alexnet_state(seed: int = 0) -> dict[str, Tensor]:
    """Weights of the trunk that LPIPS reads, as torchvision stores them."""
    with torch.device("meta"):
        shapes = torchvision.models.alexnet(weights=None).features.state_dict()
    generator = torch.Generator().manual_seed(seed)
    return {
        f"features.{name}": torch.randn(value.shape, generator=generator)
        * (2 / max(1, value[0].numel())) ** 0.5
        for name, value in shapes.items()
    }


class TinyI3D(nn.Module):
    """Answers as StyleGAN-V's file does: (B, D) features of clips in [0, 255]."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(3, 8, 3, stride=(2, 4, 4))
        self.last = nn.Linear(8 * 4, 16)

    def forward(
        self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
    ) -> Tensor:
        B, C, T, H, W = x.shape
        if resize:
            frames = x.permute(0, 2, 1, 3, 4).reshape(B * T, C, H, W)
            frames = F.interpolate(frames, size=[32, 32], mode="bilinear", align_corners=False)
            x = frames.view(B, T, C, 32, 32).permute(0, 2, 1, 3, 4)
        if rescale:
            x = x / 127.5 - 1
        features = self.last(F.adaptive_avg_pool3d(self.first(x).relu(), (1, 2, 2)).flatten(1))
        return features if return_features else features.softmax(dim=1)


def write_script(module: nn.Module, path: Path) -> None:
    """Store a module as TorchScript, which torch warns of."""
    with warnings.catch_warnings(action="ignore"):
        torch.jit.script(module.eval()).save(str(path))
