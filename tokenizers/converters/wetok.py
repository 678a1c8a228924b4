"""WeTok's checkpoints (arXiv 2508.05599): reading published and training files, and writing them.

A file is `{"state_dict": ...}` of a Lightning module. Some names in a network of two levels, ours
beside the reference's:

    encoder.stages.1.resample.conv.weight      encoder.down.0.downsample.weight
    decoder.stages.0.blocks.0.conv1.weight     decoder.mid_block.0.conv1.weight
    decoder.stages.2.adaptive_norm.gamma.bias  decoder.adaptive.0.gamma.bias

A file holds the raw weights, the discriminator, the LPIPS network, and moving averages under the
raw names without dots:

    encoder.down.1.block.0.conv1.weight  ->  model_ema.encoderdown1block0conv1weight

This rule cannot be inverted, so names are always derived from the raw ones. Files of the second
stage have no average of the encoder, which is frozen there: tensors without average are used raw.
Files of the autoregressive models hold the tokenizer, raw, below `first_stage_model.`. All sizes
are inferred from the tensors, except for the number of bits of a group, which no file holds.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..tokenizer import VisualTokenizer
from .checkpoint_file import Tensors, read_checkpoint
from .converter import Conversion, Converter, account, load_exactly
from .wetok_architecture import PADDED, Architecture, architecture_of, infer_architecture, shape_of

AUTOREGRESSIVE = "first_stage_model."
FILE_NAME = "WeTok.ckpt"

# The prefix of moving averages, and the entries besides weights.
EMA = "model_ema."
EMA_DECAY, EMA_NUM_UPDATES = EMA + "decay", EMA + "num_updates"

# Ours -> theirs, by network. Levels are counted from full resolution downwards in both.
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
# Layers that the 3-D variant wraps in a module that pads.
CONVOLUTION = r"(conv_in|conv_out|conv1|conv2|downsample|nin_shortcut|conv_shortcut)"


@dataclass(frozen=True)
class WeTokConverter(Converter):
    """The converter of WeTok's checkpoints.

    Attributes:
        weights: "ema" uses moving averages where the file has them, "raw" never.
        bits_per_group: bits per index; 8 in all published models.
    """

    weights: str = "ema"
    bits_per_group: int = 8

    def __post_init__(self) -> None:
        if self.weights not in ("ema", "raw"):
            raise ValueError(f"weights must be ema or raw, got {self.weights!r}")
        if self.bits_per_group < 1:
            raise ValueError(f"bits_per_group must be >= 1, got {self.bits_per_group}")

    def read(self, checkpoint: Path) -> Conversion:
        """Read a checkpoint: moving averages or raw weights, as the options say."""
        state = read_checkpoint(checkpoint)
        embedded = any(name.startswith(AUTOREGRESSIVE) for name in state)
        state = {name.removeprefix(AUTOREGRESSIVE): tensor for name, tensor in state.items()}
        architecture = infer_architecture(state, checkpoint)
        latent_channels = shape_of(state, "encoder.conv_out", checkpoint)[0]
        tokenizer = self._build(architecture, latent_channels)
        names = reference_names(architecture, tokenizer.state_dict())
        chosen = {theirs: self._chosen(theirs, state) for theirs in names.values()}
        used = {name for name in chosen.values() if name in state}
        weights = {
            ours: _with_time(state[chosen[theirs]])
            for ours, theirs in names.items()
            if chosen[theirs] in state
        }
        ignored = account(state, used, _excuses(set(names.values()), embedded))
        load_exactly(tokenizer, weights, checkpoint)
        averaged = sum(name.startswith(EMA) for name in used)
        kinds = f"{averaged} averaged and {len(used) - averaged} raw tensors"
        return Conversion(
            source=checkpoint,
            tokenizer=tokenizer.eval(),
            weights=kinds,
            used=len(used),
            ignored=ignored,
        )

    def write(self, tokenizer: VisualTokenizer, folder: Path) -> Path:
        """Write raw weights, and the same as averages, which the reference evaluates."""
        architecture = architecture_of(tokenizer)
        own = tokenizer.state_dict()
        state: Tensors = {}
        for ours, theirs in reference_names(architecture, own).items():
            flat = own[ours].ndim == 5 and not architecture.is_video
            state[theirs] = (own[ours].squeeze(2) if flat else own[ours]).contiguous()
        state |= {ema_name(name): tensor for name, tensor in state.items()}
        state[EMA_DECAY] = torch.tensor(0.999)
        state[EMA_NUM_UPDATES] = torch.tensor(-1, dtype=torch.int32)
        path = folder / FILE_NAME
        if path.exists():
            raise ValueError(f"{path} already exists; choose another --output")
        folder.mkdir(parents=True, exist_ok=True)
        torch.save({"state_dict": state}, path)
        return path

    def _chosen(self, name: str, state: Mapping[str, Tensor]) -> str:
        """Return the name of the tensor in the file that is used for a weight."""
        averaged = ema_name(name)
        return averaged if self.weights == "ema" and averaged in state else name

    def _build(self, architecture: Architecture, latent_channels: int) -> VisualTokenizer:
        groups, rest = divmod(latent_channels, self.bits_per_group)
        if rest:
            raise ValueError(
                f"the latents have {latent_channels} channels, which is not a multiple of "
                f"bits_per_group {self.bits_per_group}: log2 of n_embed in the training config"
            )
        encoder, decoder = architecture.options()
        quantizer = {
            "kind": "gq",
            "num_groups": groups,
            "bits_per_group": self.bits_per_group,
            "reduction": "reference",
        }
        with torch.device("meta"):
            return VisualTokenizer(
                {"kind": "causal", **encoder}, quantizer, {"kind": "causal", **decoder}
            )


def _excuses(raw: set[str], embedded: bool) -> dict[str, Callable[[str], bool]]:
    """Return the reasons for leaving a tensor out, each with the names it applies to."""
    averages = {ema_name(name) for name in raw}
    return {
        "raw weights that have an average": raw.__contains__,
        "averages, raw weights were requested": averages.__contains__,
        "discriminator": lambda name: name.startswith(
            ("loss.discriminator.", EMA + "lossdiscriminator")
        ),
        "LPIPS network": lambda name: name.startswith("loss.perceptual_loss."),
        "record of the averaging": {EMA_DECAY, EMA_NUM_UPDATES}.__contains__,
        "autoregressive model": lambda name: (
            embedded and name.startswith(("transformer.", EMA + "transformer"))
        ),
    }


def _with_time(weight: Tensor) -> Tensor:
    """Return a 2-D kernel as a 3-D one over a single frame; others unchanged."""
    return weight.unsqueeze(2) if weight.ndim == 4 else weight


def reference_names(architecture: Architecture, names: Iterable[str]) -> dict[str, str]:
    """Return the reference's name for each of ours; one to one, so that it can be inverted."""
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
        # The stage beyond the levels is the middle one, next to the latents.
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
    """Return the name of a weight's moving average."""
    return EMA + name.replace(".", "")
