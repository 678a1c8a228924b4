"""Autoencoders of the diffusers library: `diffusers:<Class>:<path or hub id>`.

Every class of diffusers that turns images or clips into latents and back is taken as it is, with
the posterior's mode and without its latent scaling, which a round trip would only undo. A path or
id may name a subfolder behind it (`owner/pipeline/vae`).

Image autoencoders see clips frame by frame; video autoencoders see images as clips of one frame.
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

from ...component import did_you_mean
from ...data.pixels import to_pixels, to_uint8
from ...tokenizers.fingerprint import fingerprint
from ...tokenizers.pretrained import check_loading
from .reconstructor import Clips, Reconstruction, Reconstructor
from .saved_tokenizer import now

STORED_BITS = 16
"""Bits that a continuous value counts, as in `VisualTokenizer.bits_per_pixel`."""

DENOISING_TIMESTEP = 0.05

# They code sound or proteins, see pixels in another range, or need a sampler to decode.
NO_PICTURES = ("Audio", "Oobleck", "Vocoder", "Protein", "SAME", "LongCat", "MMAudio")
OTHER_RANGE = ("AutoencoderRAE", "LTX2VideoDiffusionDecoderModel", "ConsistencyDecoderVAE")


class DiffusersAutoencoder(Reconstructor):
    """An autoencoder of diffusers.

    Args:
        name: shown in reports.
        model: on the device where it shall run.
    """

    def __init__(self, name: str, model: ModelMixin) -> None:
        # Their encode and decode are no part of a common class.
        self.model: Any = model.eval()
        self.name = name
        self.parameters = sum(p.numel() for p in model.parameters())
        self.device = str(model.device)
        self.dtype = str(model.dtype).removeprefix("torch.")
        self.sees_clips = _sees_clips(model)
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
        """Of weights, config and dtype; taken when it is asked for, since hashing takes time."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.model)
        return self._fingerprint

    @torch.inference_mode()
    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        """Encode and decode; the first batch runs once more beforehand, off the clock.

        Raises:
            ValueError: the model gives back another size than it was given.
            FloatingPointError: its answer is not finite.
        """
        B, _, T, H, W = clips.shape
        num_pixels = T * H * W
        pixels = to_pixels(clips).to(self.model.device, self.model.dtype)
        if not self.sees_clips:
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
        if not self.sees_clips:
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
        """Latents, the mode where there is a posterior; and indices where the class tells them."""
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
                f"{self.name} gave back {_size(decoded)} for {_size(pixels)} (T x H x W); choose "
                "--size and --frames that this class keeps (often multiples of 32, and 1 + 4 n or "
                "1 + 8 n frames)"
            )
        if not decoded.isfinite().all():
            raise FloatingPointError(f"{self.name} decodes to NaN or infinity; check its weights")

    def _bits(self, latents: Tensor) -> float:
        """Nominal bits of one sample."""
        if self.group_sizes:
            return latents[0, 0].numel() * sum(map(log2, self.group_sizes))
        return float(latents[0].numel() * STORED_BITS)

    def _grids(self, latents: Tensor, indices: Tensor | None) -> tuple[Tensor, ...] | None:
        """Indices of discrete models; a VQModel gives them away only inside its quantizer."""
        if not self.group_sizes:
            return None
        B, _, T, h, w = latents.shape
        if indices is None:
            frames = latents.transpose(1, 2).flatten(0, 1)
            _, _, (_, _, indices) = self.model.quantize(frames)
        assert indices is not None, "a discrete model has indices"
        return (indices.long().view(B, T, h, w, 1),)


def picture_autoencoders() -> dict[str, type[ModelMixin]]:
    """The classes of diffusers that can be scored, by name."""
    found = {
        name: value
        for name, value in vars(autoencoders).items()
        if isinstance(value, type) and issubclass(value, ModelMixin)
    }
    return {
        name: value
        for name, value in found.items()
        if name not in OTHER_RANGE and not any(word in name for word in NO_PICTURES)
    }


def open_diffusers(spec: str, device: str, dtype: torch.dtype) -> DiffusersAutoencoder:
    """Load `diffusers:<Class>:<path or id>`, strictly.

    Raises:
        ValueError: an unknown class, a folder of another class, or weights that do not fit.
        FileNotFoundError: nothing is there.
    """
    _, class_name, path = [*spec.split(":", 2), "", ""][:3]
    classes = picture_autoencoders()
    if class_name not in classes or not path:
        raise ValueError(
            f"a diffusers model is written diffusers:<Class>:<path or hub id>, got {spec!r}; the "
            f"class must be one of {', '.join(classes)}{did_you_mean(class_name, classes)}"
        )
    place, subfolder = _place(path)
    _check_class(place, subfolder, class_name)
    cls: Any = classes[class_name]
    try:
        model, info = cls.from_pretrained(
            place, subfolder=subfolder, torch_dtype=dtype, output_loading_info=True
        )
    except OSError as error:
        raise FileNotFoundError(
            f"no {class_name} at {path!r}: no such folder, and the hub did not answer with one "
            f"({str(error).splitlines()[0]})"
        ) from error
    check_loading(path, info)
    return DiffusersAutoencoder(spec, model.to(device))


def _place(path: str) -> tuple[str, str]:
    """The folder or hub id, and the subfolder in it."""
    looks_local = Path(path).is_absolute() or path.startswith((".", "~")) or Path(path).exists()
    if looks_local:
        folder = Path(path).expanduser()
        in_pipeline = not (folder / "config.json").exists() and (folder / "vae").is_dir()
        return str(folder), "vae" if in_pipeline else ""
    owner, _, rest = path.partition("/")
    name, _, subfolder = rest.partition("/")
    return f"{owner}/{name}" if name else owner, subfolder


def _check_class(place: str, subfolder: str, class_name: str) -> None:
    """Diffusers loads a folder of another class with a warning at most; here it is an error."""
    folder = Path(place)
    if not folder.is_dir():
        if folder.is_absolute() or place.startswith("."):
            raise FileNotFoundError(f"no {class_name} at {place}: there is no such folder")
        return
    config = folder / subfolder / "config.json"
    if not config.is_file():
        raise FileNotFoundError(
            f"no {class_name} at {place}: expected a folder with config.json and weights, as "
            "diffusers' save_pretrained writes it"
        )
    stored = json.loads(config.read_text(encoding="utf-8")).get("_class_name")
    if stored != class_name:
        raise ValueError(
            f"{place} holds a {stored}, not a {class_name}; write diffusers:{stored}:{place}"
        )


def _sees_clips(model: nn.Module) -> bool:
    """Whether the encoder's first convolution has a time axis."""
    encoder = model.get_submodule("encoder")
    return any(isinstance(layer, nn.Conv3d) for layer in encoder.modules())


def _leading_frames(model: Any) -> int:
    """How often the first frame stands before a clip.

    A causal VidTok's `decode` cuts these frames off again, but only its `forward` puts them there.
    """
    is_causal_vidtok = "regularizer" in model.config and model.config["is_causal"]
    return model.temporal_compression_ratio - 1 if is_causal_vidtok else 0


def _size(pixels: Tensor) -> str:
    """T x H x W; a frame on its own has T = 1."""
    return " x ".join(map(str, pixels.shape[2:] if pixels.ndim == 5 else (1, *pixels.shape[2:])))
