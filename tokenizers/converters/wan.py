"""Wan 2.1's VAE (arXiv 2503.20314): reading the original file and diffusers' folder, writing both.

The original, `Wan2.1_VAE.pth`, is a flat file of tensors whose shapes give all sizes; diffusers'
AutoencoderKLWan is a folder with `config.json`. Both hold the same network. The names are those of
`wan_names.py`, and the latents are unscaled. A folder's config has their statistics; the
original file has none, so that one with 16 latent channels gets those that Wan 2.1 published.
Reconstructions are not clamped, where diffusers' are, to [-1, 1].
"""

import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor

from ..bottlenecks.kl import KL
from ..pretrained import read_config
from ..tokenizer import VisualTokenizer
from .checkpoint_file import Tensors, read_checkpoint
from .converter import Conversion, Converter, account, load_exactly
from .diffusers_folder import CONFIG, check_empty, find_weights
from .wan_architecture import NO_WAN, WanArchitecture, architecture_of, infer_architecture
from .wan_config import CLASS, LATENTS_MEAN, PUBLISHED, check_config, config_of
from .wan_names import original_names, own_weights, reference_names, reference_weights

FILE_NAME = "Wan2.1_VAE.pth"
VERSIONS = ("original", "diffusers")
# The number of frames that diffusers encodes at a time, whatever the network.
DIFFUSERS_CHUNK = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WanConverter(Converter):
    """The converter of Wan 2.1's VAE; every size is in its tensors.

    Attributes:
        version: what is written, the "original" file or a "diffusers" folder.
    """

    writing_options: ClassVar[frozenset[str]] = frozenset({"version"})

    version: str = "original"

    def __post_init__(self) -> None:
        if self.version not in VERSIONS:
            raise ValueError(f"version must be original or diffusers, got {self.version!r}")

    def read(self, checkpoint: Path) -> Conversion:
        """Read the original file, or diffusers' folder."""
        is_folder = checkpoint.is_dir()
        weights = find_weights(checkpoint, CLASS) if is_folder else checkpoint
        config = check_config(read_config(checkpoint / CONFIG)) if is_folder else None
        state = original_state(read_checkpoint(weights))
        _check_family(state, weights)
        architecture = infer_architecture(state, weights)
        if config is not None and config.architecture != architecture:
            raise ValueError(
                f"{checkpoint}: the config describes {config.architecture}, the tensors are those "
                f"of {architecture}"
            )
        if config is not None:
            scale, origin = config.scale, "the latent scale of the config"
        elif architecture.latent_channels == len(LATENTS_MEAN):
            scale, origin = PUBLISHED, "the latent scale that Wan 2.1 published, not in the file"
        else:
            scale, origin = {}, ""
        tokenizer = read_wan(architecture, state, weights, scale)
        return Conversion(
            source=weights,
            tokenizer=tokenizer,
            weights=f"{len(state)} tensors, {origin if scale else 'no latent scale'}",
            used=len(state),
            ignored={},
        )

    def write(self, tokenizer: VisualTokenizer, folder: Path) -> Path:
        """Write the original file, or a folder that AutoencoderKLWan.from_pretrained reads."""
        architecture = architecture_of(tokenizer)
        if not isinstance(tokenizer.bottleneck, KL) or tokenizer.bottleneck.logvar != "per_channel":
            raise ValueError(f"{NO_WAN}, or its bottleneck is not kl with logvar per_channel")
        own = tokenizer.state_dict()
        state = reference_weights(
            reference_names(own, architecture.levels, architecture.blocks), own
        )
        if self.version == "diffusers":
            return _write_folder(architecture, tokenizer, state, folder)
        path = folder / FILE_NAME
        if path.exists():
            raise ValueError(f"{path} already exists; choose another --output")
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(state, path)
        return path


def read_wan(
    architecture: WanArchitecture,
    state: Mapping[str, Tensor],
    source: Path,
    scale: Mapping[str, Any],
) -> VisualTokenizer:
    """Return the continuous tokenizer of a network, whose tensors have the original's names.

    Raises:
        ValueError: tensors are missing, left over or of other shapes.
    """
    bottleneck = {"kind": "kl", "latent_channels": architecture.latent_channels}
    tokenizer = architecture.build(bottleneck, **scale)
    own = tokenizer.state_dict()
    names = reference_names(own, architecture.levels, architecture.blocks)
    account(state, set(names.values()) & state.keys(), {})
    load_exactly(tokenizer, own_weights(names, state, own), source)
    return tokenizer.eval()


def original_state(state: Mapping[str, Tensor]) -> Tensors:
    """Return the tensors under the original's names if they have those of diffusers."""
    if "encoder.conv_in.weight" not in state:
        return dict(state)
    blocks = sum(
        name.startswith("decoder.up_blocks.0.resnets.") and name.endswith(".norm1.gamma")
        for name in state
    )
    names = original_names(state, blocks - 1)
    if len(set(names.values())) < len(names):
        raise ValueError("the tensors have the names of both diffusers and the original file")
    return {names[theirs]: tensor for theirs, tensor in state.items()}


def _check_family(state: Mapping[str, Tensor], source: Path) -> None:
    """Raise for OneVAE's files, whose networks have the same names."""
    if any(name.startswith(("model.encoder.", "quant_conv.", "ema_model.")) for name in state):
        raise ValueError(f"{source} is a checkpoint of OneVAE: convert it with the family onevae")


def _write_folder(
    architecture: WanArchitecture, tokenizer: VisualTokenizer, state: Tensors, folder: Path
) -> Path:
    check_empty(folder)
    config = config_of(architecture, tokenizer.latent_scale).model_dump(mode="json")
    frames = 2 ** sum(architecture.temporal)
    if DIFFUSERS_CHUNK % frames:
        log.warning(
            "%s loads this model and decodes with it, but cannot encode: it encodes %d frames at "
            "a time, which are not a multiple of the temporal compression %d",
            CLASS,
            DIFFUSERS_CHUNK,
            frames,
        )
    # Older releases of diffusers have fewer settings, whose values here are their only ones.
    known = inspect.signature(AutoencoderKLWan.__init__).parameters
    with torch.device("meta"):
        model = AutoencoderKLWan(**{key: value for key, value in config.items() if key in known})
    names = original_names(model.state_dict(), architecture.blocks)
    model.load_state_dict(
        {theirs: state[original] for theirs, original in names.items()}, strict=True, assign=True
    )
    model.save_pretrained(folder)
    return folder
