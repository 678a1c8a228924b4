"""Autoencoders of the diffusers library: `diffusers:<Class>:<path or hub id>`.

Every class of diffusers that maps images or clips to latents and back is used as it is, with the
posterior's mode and without its latent scaling, which decoding would undo anyway. A path or id may
end in a subfolder (`owner/pipeline/vae`).

Image autoencoders code clips frame by frame; video autoencoders code images as clips of one frame.
"""

import json
from collections.abc import Sequence
from math import log2
from pathlib import Path
from typing import Any

import torch
from diffusers.models import autoencoders
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import (
    AutoencoderKLTemporalDecoder,
)
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.autoencoders.consistency_decoder_vae import ConsistencyDecoderVAEOutput
from diffusers.models.autoencoders.vae import EncoderOutput
from diffusers.models.autoencoders.vq_model import VQEncoderOutput, VQModel
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from ...data.pixels import to_pixels, to_uint8
from ...option_errors import did_you_mean
from ...tokenizers.fingerprint import fingerprint
from ...tokenizers.pretrained import check_loading
from .reconstructor import Clips, Reconstruction, Reconstructor
from .saved_tokenizer import now

STORED_BITS = 16
"""Bits per continuous value, as in `VisualTokenizer.bits_per_pixel`."""

DENOISING_TIMESTEP = 0.05

# Parts of the names of classes that code sound or proteins.
NOT_VISUAL = ("Audio", "Oobleck", "Vocoder", "Protein", "SAME", "LongCat", "MMAudio")
# Classes that take pixels in another range, or need a sampler to decode.
UNSUPPORTED = ("AutoencoderRAE", "LTX2VideoDiffusionDecoderModel", "ConsistencyDecoderVAE")


class DiffusersAutoencoder(Reconstructor):
    """An autoencoder of diffusers.

    Args:
        name: name in reports.
        model: model on the device it should run on.
    """

    def __init__(self, name: str, model: ModelMixin) -> None:
        # Encode and decode are not declared in a common base class.
        self.model: Any = model.eval()
        self.name = name
        self.parameters = sum(p.numel() for p in model.parameters())
        self.device = str(model.device)
        self.dtype = str(model.dtype).removeprefix("torch.")
        self.takes_clips = _takes_clips(model)
        self._joins_frames = isinstance(model, AutoencoderKLTemporalDecoder)
        if isinstance(model, VQModel):
            self.group_sizes = (model.config["num_vq_embeddings"],)
        if self.model.config.get("regularizer") == "fsq":  # a discrete VidTok
            self.group_sizes = (self.model.regularization.codebook_size,)
        self._leading_frames = _leading_frames(model)
        self._warm = False
        self._fingerprint: str | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of weights, config and dtype, computed on first use because it takes time."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.model)
        return self._fingerprint

    @torch.inference_mode()
    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        """Encode and decode; the first batch runs twice, and only the second run is timed.

        Raises:
            ValueError: the model returns another size than it was given.
            FloatingPointError: its output is not finite.
        """
        B, _, T, H, W = clips.shape
        num_pixels = T * H * W
        pixels = to_pixels(clips).to(self.model.device, self.model.dtype)
        if not self.takes_clips:
            pixels = pixels.transpose(1, 2).flatten(0, 1)
        if not self._warm:
            self._decode(self._encode(pixels)[0], T)
            self._warm = True
        start = now(self.model.device)
        latents, indices = self._encode(pixels)
        encoded = now(self.model.device)
        decoded = self._decode(latents, T)
        end = now(self.model.device)
        self._check(pixels, decoded)
        if not self.takes_clips:
            decoded = decoded.unflatten(0, (B, T)).transpose(1, 2)
            latents = latents.unflatten(0, (B, T)).transpose(1, 2)
        return Reconstruction(
            clips=to_uint8(decoded).cpu(),
            pixels=decoded.float().clamp(-1, 1),
            bits_per_pixel=(self._bits(latents) / num_pixels,) * B,
            encode_seconds=encoded - start,
            decode_seconds=end - encoded,
            indices=self._grids(latents, indices),
            latents=(latents,),
            values_per_pixel=None if self.group_sizes else latents[0].numel() / num_pixels,
        )

    def _encode(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return latents (the mode of a posterior), and indices if the class returns them."""
        if self._leading_frames:
            first = pixels[:, :, :1].expand(-1, -1, self._leading_frames, -1, -1)
            pixels = torch.cat((first, pixels), dim=2)
        encoded = self.model.encode(pixels)
        match encoded:
            case AutoencoderKLOutput() | ConsistencyDecoderVAEOutput():
                return encoded.latent_dist.mode(), None
            case EncoderOutput():
                return encoded.latent, None
            case VQEncoderOutput() | AutoencoderTinyOutput():
                return encoded.latents, None
            case (Tensor() as codes, Tensor() as indices):  # a discrete VidTok
                return codes, indices
        raise ValueError(
            f"{self.name}: {type(self.model).__name__} encodes to {type(encoded).__name__}, which "
            "vistok does not know; score it as a Python function with vistok.evaluate"
        )

    def _decode(self, latents: Tensor, frames: int) -> Tensor:
        if self._joins_frames:
            decoded = self.model.decode(latents, num_frames=frames)
        elif self.model.config.get("timestep_conditioning"):
            levels = latents.new_full((len(latents),), DENOISING_TIMESTEP)
            decoded = self.model.decode(latents, levels)
        else:
            decoded = self.model.decode(latents)
        return decoded if isinstance(decoded, Tensor) else decoded.sample

    def _check(self, pixels: Tensor, decoded: Tensor) -> None:
        if decoded.shape != pixels.shape:
            raise ValueError(
                f"{self.name} returned {_size(decoded)} for {_size(pixels)} (T x H x W); choose "
                "--size and --frames that this class preserves (often multiples of 32, and 1 + 4 n "
                "or 1 + 8 n frames)"
            )
        if not decoded.isfinite().all():
            raise FloatingPointError(f"{self.name} decodes to NaN or infinity; check its weights")

    def _bits(self, latents: Tensor) -> float:
        """Compute the nominal bits of one sample."""
        if self.group_sizes:
            return latents[0, 0].numel() * sum(map(log2, self.group_sizes))
        return float(latents[0].numel() * STORED_BITS)

    def _grids(self, latents: Tensor, indices: Tensor | None) -> tuple[Tensor, ...] | None:
        """Return the indices of a discrete model; a VQModel has them only inside its quantizer."""
        if not self.group_sizes:
            return None
        B, _, T, h, w = latents.shape
        if indices is None:
            frames = latents.transpose(1, 2).flatten(0, 1)
            _, _, (_, _, indices) = self.model.quantize(frames)
        assert indices is not None, "a discrete model has indices"
        return (indices.long().view(B, T, h, w, 1),)


def supported_autoencoders() -> dict[str, type[ModelMixin]]:
    """Return the classes of diffusers that can be scored, by name."""
    classes = {
        name: value
        for name, value in vars(autoencoders).items()
        if isinstance(value, type) and issubclass(value, ModelMixin)
    }
    return {
        name: value
        for name, value in classes.items()
        if name not in UNSUPPORTED and not any(word in name for word in NOT_VISUAL)
    }


def open_diffusers(spec: str, device: str, dtype: torch.dtype) -> DiffusersAutoencoder:
    """Load `diffusers:<Class>:<path or id>`, strictly.

    Raises:
        ValueError: an unknown class, a folder of another class, or weights that do not fit.
        FileNotFoundError: there is no such model.
    """
    _, class_name, path = [*spec.split(":", 2), "", ""][:3]
    classes = supported_autoencoders()
    if class_name not in classes or not path:
        raise ValueError(
            f"a diffusers model is written diffusers:<Class>:<path or hub id>, got {spec!r}; the "
            f"class must be one of {', '.join(classes)}{did_you_mean(class_name, classes)}"
        )
    model_id, subfolder = _split_subfolder(path)
    _check_class(model_id, subfolder, class_name)
    cls: Any = classes[class_name]
    try:
        model, info = cls.from_pretrained(
            model_id, subfolder=subfolder, torch_dtype=dtype, output_loading_info=True
        )
    except OSError as error:
        raise FileNotFoundError(
            f"no {class_name} at {path!r}: no such folder, and the hub did not provide one "
            f"({str(error).splitlines()[0]})"
        ) from error
    check_loading(path, info)
    return DiffusersAutoencoder(spec, model.to(device))


def _split_subfolder(path: str) -> tuple[str, str]:
    """Split a path into the folder or hub id and the subfolder in it."""
    looks_local = Path(path).is_absolute() or path.startswith((".", "~")) or Path(path).exists()
    if looks_local:
        folder = Path(path).expanduser()
        in_pipeline = not (folder / "config.json").exists() and (folder / "vae").is_dir()
        return str(folder), "vae" if in_pipeline else ""
    owner, _, rest = path.partition("/")
    name, _, subfolder = rest.partition("/")
    return f"{owner}/{name}" if name else owner, subfolder


def _check_class(model_id: str, subfolder: str, class_name: str) -> None:
    """Raise if a folder contains another class, which diffusers loads with a warning at most."""
    folder = Path(model_id)
    if not folder.is_dir():
        if folder.is_absolute() or model_id.startswith("."):
            raise FileNotFoundError(f"no {class_name} at {model_id}: there is no such folder")
        return
    config = folder / subfolder / "config.json"
    if not config.is_file():
        raise FileNotFoundError(
            f"no {class_name} at {model_id}: expected a folder with config.json and weights, as "
            "diffusers' save_pretrained writes it"
        )
    stored = json.loads(config.read_text(encoding="utf-8")).get("_class_name")
    if stored != class_name:
        raise ValueError(
            f"{model_id} contains a {stored}, not a {class_name}; "
            f"write diffusers:{stored}:{model_id}"
        )


def _takes_clips(model: nn.Module) -> bool:
    """Return whether the encoder's convolutions have a time axis."""
    encoder = model.get_submodule("encoder")
    return any(isinstance(layer, nn.Conv3d) for layer in encoder.modules())


def _leading_frames(model: Any) -> int:
    """Return the number of copies of the first frame to prepend to a clip.

    A causal VidTok's `decode` removes these frames, but only its `forward` prepends them.
    """
    is_causal_vidtok = "regularizer" in model.config and model.config["is_causal"]
    return model.temporal_compression_ratio - 1 if is_causal_vidtok else 0


def _size(pixels: Tensor) -> str:
    """Format a size as T x H x W; a single frame has T = 1."""
    return " x ".join(map(str, pixels.shape[2:] if pixels.ndim == 5 else (1, *pixels.shape[2:])))
