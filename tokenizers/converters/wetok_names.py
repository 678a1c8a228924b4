"""What the reference calls the weights of a WeTok: one table, read both ways."""

import re
from collections.abc import Iterable

from .wetok_architecture import PADDED, Architecture

EMA = "model_ema."

# Ours -> theirs, by the half of the network. A level counts from full resolution down, in both.
LEVEL = {
    "encoder": {
        "blocks.": "down.{level}.block.",
        "resample.conv.": "down.{level}.downsample.",
    },
    "decoder": {
        "adaptive_norm.": "adaptive.{level}.",
        "blocks.": "up.{level}.block.",
        "resample.conv.": "up.{level}.upsample.conv1.",
    },
}
MIDDLE = {"blocks.": "mid_block."}
SHORTCUT = {1: ("shortcut.1.", "nin_shortcut."), 3: ("shortcut.1.", "conv_shortcut.")}
# Layers that the 3-D variant keeps inside a module that pads.
CONVOLUTION = r"(conv_in|conv_out|conv1|conv2|downsample|nin_shortcut|conv_shortcut)"


def reference_names(architecture: Architecture, names: Iterable[str]) -> dict[str, str]:
    """Our names -> the reference's; one to one, so that it can be read both ways."""
    table = {name: _reference_name(architecture, name) for name in names}
    assert len(set(table.values())) == len(table), "two tensors would share a name"
    return table


def _reference_name(architecture: Architecture, name: str) -> str:
    half, _, inside = name.partition(".")
    stage = re.fullmatch(r"stages\.(\d+)\.(.+)", inside)
    if stage is not None:
        levels = len(architecture.multipliers)
        number = int(stage[1])
        level = number - 1 if half == "encoder" else levels - number
        # One stage beyond the levels stands in the middle, next to the latents.
        renames = MIDDLE if level == levels else LEVEL[half]
        inside = stage[2]
        for ours, theirs in renames.items():
            if inside.startswith(ours):
                inside = theirs.format(level=level) + inside.removeprefix(ours)
                break
        inside = inside.replace(*SHORTCUT[architecture.shortcut_kernel])
    if architecture.is_video:
        inside = re.sub(CONVOLUTION + r"\.(weight|bias)$", rf"\1.{PADDED}.\2", inside)
    return f"{half}.{inside}"


def ema_name(name: str) -> str:
    """The name of a weight's moving average."""
    return EMA + name.replace(".", "")
