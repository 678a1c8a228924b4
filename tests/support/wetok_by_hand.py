"""WeTok once more, straight from its published description: functions over published names.

Nothing is shared with the package, so that agreement means something. Both the 2-D networks and the
3-D variant, whose convolutions are stored one module deeper.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def conv(s: State, name: str, x: Tensor, stride: tuple[int, ...] | int = 1) -> Tensor:
    if f"{name}.weight" in s:
        weight, bias = s[f"{name}.weight"], s.get(f"{name}.bias")
        return F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2)
    weight, bias = s[f"{name}.conv_1.weight"], s.get(f"{name}.conv_1.bias")
    time, height, width = weight.shape[2:]
    side = (width // 2, width // 2, height // 2, height // 2)
    return F.conv3d(F.pad(x, (*side, time - 1, 0)), weight, bias, stride)


def norm(s: State, name: str, x: Tensor) -> Tensor:
    return F.group_norm(x, 32, s[f"{name}.weight"], s[f"{name}.bias"], 1e-6)


def act(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def block(s: State, name: str, x: Tensor) -> Tensor:
    h = conv(s, f"{name}.conv1", act(norm(s, f"{name}.norm1", x)))
    h = conv(s, f"{name}.conv2", act(norm(s, f"{name}.norm2", h)))
    stored = any(key.startswith(f"{name}.nin_shortcut") for key in s)
    return h + (conv(s, f"{name}.nin_shortcut", x) if stored else x)


def adaptive(s: State, name: str, x: Tensor, z: Tensor) -> Tensor:
    values = z.flatten(2)
    mean = values.mean(2)
    count = values.shape[2]
    variance = (values - mean[..., None]).square().sum(2) / (count - 1)
    gain = (variance + 1e-6).sqrt() @ s[f"{name}.gamma.weight"].T + s[f"{name}.gamma.bias"]
    shift = mean @ s[f"{name}.beta.weight"].T + s[f"{name}.beta.bias"]
    shape = (*gain.shape, *[1] * (x.ndim - 2))
    return gain.view(shape) * F.group_norm(x, 32, eps=1e-6) + shift.view(shape)


def upsample(s: State, name: str, x: Tensor, cell: tuple[int, ...]) -> Tensor:
    packed = conv(s, f"{name}.conv1", x)
    B, channels = packed.shape[:2]
    factor = 1
    for side in cell:
        factor *= side
    C = channels // factor
    # every output position is copied by itself: source channel = offset * C + c
    out = packed.new_zeros(B, C, *(n * f for n, f in zip(x.shape[2:], cell, strict=True)))
    offsets = torch.cartesian_prod(*(torch.arange(side) for side in cell)).tolist()
    for index, offset in enumerate(offsets):
        place = tuple(slice(o, None, f) for o, f in zip(offset, cell, strict=True))
        out[(slice(None), slice(None), *place)] = packed[:, index * C : (index + 1) * C]
    if len(cell) == 3 and cell[0] > 1:
        out = (
            torch.cat([out[:, :, :1], out[:, :, 2:]], dim=2) if out.shape[2] > 2 else out[:, :, :1]
        )
    return out


def cell_of(multiplier: int, video: bool) -> tuple[int, ...]:
    return ((1 if multiplier == 1 else 2), 2, 2) if video else (2, 2)


def encode(s: State, x: Tensor, multipliers: tuple[int, ...], blocks: int) -> Tensor:
    h = conv(s, "encoder.conv_in", x)
    for level, multiplier in enumerate(multipliers):
        for j in range(blocks):
            h = block(s, f"encoder.down.{level}.block.{j}", h)
        if level < len(multipliers) - 1:
            stride = cell_of(multiplier, x.ndim == 5)
            h = conv(s, f"encoder.down.{level}.downsample", h, stride)
    for j in range(blocks):
        h = block(s, f"encoder.mid_block.{j}", h)
    return conv(s, "encoder.conv_out", act(norm(s, "encoder.norm_out", h)))


def decode(
    s: State, z: Tensor, multipliers: tuple[int, ...], blocks: int, noise: Tensor | None = None
) -> Tensor:
    h = conv(s, "decoder.conv_in", z if noise is None else torch.cat([z, noise], dim=1))
    for j in range(blocks):
        h = block(s, f"decoder.mid_block.{j}", h)
    for level in reversed(range(len(multipliers))):
        h = adaptive(s, f"decoder.adaptive.{level}", h, z)
        for j in range(blocks):
            h = block(s, f"decoder.up.{level}.block.{j}", h)
        if level > 0:
            cell = cell_of(multipliers[level - 1], z.ndim == 5)
            h = upsample(s, f"decoder.up.{level}.upsample", h, cell)
    return conv(s, "decoder.conv_out", act(norm(s, "decoder.norm_out", h)))
