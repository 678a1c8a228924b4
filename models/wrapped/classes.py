"""Classes of diffusers that differ from the common form: in calls, lengths, or statistics."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..blocks.conditions import Conditions
from ..blocks.latent_scale import LatentScale
from .wrapped_class import Config, WrappedClass, on_frames

# ---- images --------------------------------------------------------------------------------------


class Flux2(WrappedClass):
    """AutoencoderKLFlux2, whose pipelines pack latents 2 x 2 and normalize them by a batch norm."""

    def latent_scale(self, config: Config, model: Any) -> LatentScale:
        """Return the running statistics of the batch norm."""
        mean, variance = model.bn.running_mean, model.bn.running_var
        side = config["patch_size"][0]
        if mean.is_meta:
            return LatentScale(latent_patch_size=side)
        std = (variance + config["batch_norm_eps"]).sqrt()
        return LatentScale(mean.tolist(), std.tolist(), latent_patch_size=side)


@dataclass(frozen=True)
class Certain(WrappedClass):
    """Classes whose latents have no log-variance.

    Attributes:
        result: attribute of the result of `encode` that holds the latents.
    """

    gaussian: bool = False
    result: str = "latents"

    def encode(self, model: Any, pixels: Tensor) -> Tensor:
        """Return the latents; of a class with a codebook, before they are quantized."""
        return getattr(model.encode(pixels), self.result)


class VectorQuantized(Certain):
    """VQModel, whose codebook becomes the bottleneck's."""

    bottleneck_parts = ("quantize",)

    def latent_channels(self, config: Config) -> int:
        """Return the number of channels of the codes."""
        return config["vq_embed_dim"] or config["latent_channels"]

    def bottleneck(self, config: Config) -> dict[str, Any]:
        """Return the options of a codebook of the same size."""
        size, channels = config["num_vq_embeddings"], self.latent_channels(config)
        return {"kind": "vq", "codebook_size": size, "codebook_dim": channels}

    def bottleneck_weights(self) -> dict[str, str]:
        """Return the names of the codebook."""
        return {"quantize.embedding.weight": "codebook"}

    def decode(self, model: Any, latents: Tensor, conditions: Conditions) -> Tensor:
        """Return the pixels of codes; by an option of the class, its own decode takes indices."""
        is_spatial = model.config["norm_type"] == "spatial"
        return model.decoder(model.post_quant_conv(latents), latents if is_spatial else None)


# ---- clips ---------------------------------------------------------------------------------------


class TemporalDecoder(WrappedClass):
    """AutoencoderKLTemporalDecoder: frames are encoded one by one, and decoded together."""

    @property
    def decodes_frames(self) -> bool:
        """False: frames depend on their neighbors."""
        return False

    def decode(self, model: Any, latents: Tensor, conditions: Conditions) -> Tensor:
        """Return the pixels of a clip, whose frames diffusers takes as a batch."""
        frames = latents.shape[2]
        return on_frames(lambda z: model.decode(z, num_frames=frames).sample, latents)


class Allegro(WrappedClass):
    """AutoencoderKLAllegro, which is not causal: no frame is coded alone.

    Its encode and decode exist only in tiles of fixed size. Here the networks themselves are
    called, with clips of any legal size, which is the same for a clip of one tile.
    """

    def first_frames(self, config: Config) -> int:
        """Return the temporal compression: no frame is coded alone."""
        return self.compression(config)[0]

    def encode(self, model: Any, pixels: Tensor) -> Tensor:
        """Return mean and log-variance of the latents."""
        return on_frames(model.quant_conv, model.encoder(pixels))

    def decode(self, model: Any, latents: Tensor, conditions: Conditions) -> Tensor:
        """Return the pixels of a clip."""
        return model.decoder(on_frames(model.post_quant_conv, latents))


class KVAE(WrappedClass):
    """AutoencoderKLKVAE, which without double_z would halve its latents."""

    def options(self, config: Config | None) -> dict[str, Any]:
        """Return the options of the class; see `WrappedClass.options`."""
        options = super().options(config)
        if not options["double_z"]:
            raise ValueError(
                "double_z=false is not supported: AutoencoderKLKVAE then takes half of the latents "
                "for their log-variance"
            )
        return options


@dataclass(frozen=True)
class MeanOnly(WrappedClass):
    """Classes whose distribution of latents says nothing but its mean."""

    gaussian: bool = False

    def encode(self, model: Any, pixels: Tensor) -> Tensor:
        """Return the mean of the latents."""
        return model.encode(pixels).latent_dist.mode()


class KVAEVideo(MeanOnly):
    """AutoencoderKLKVAEVideo, whose log-variance is zero whatever the clip."""

    def frame_step(self, config: Config) -> int:
        """Return the length of its segments; decode drops frames after some incomplete ones."""
        return 16


class Kandinsky(WrappedClass):
    """Kandinsky6SRVAE, whose pipeline shrinks pixels a little before they are encoded."""

    def encode(self, model: Any, pixels: Tensor) -> Tensor:
        """Return mean and log-variance of the latents."""
        return super().encode(model, (pixels + 1) * (127.5 / 128) - 1)

    def decode(self, model: Any, latents: Tensor, conditions: Conditions) -> Tensor:
        """Return the pixels, in [-1, 1] again."""
        return (super().decode(model, latents, conditions) + 1) * (128 / 127.5) - 1


class GroupsOfFour(WrappedClass):
    """Classes that encode frames in groups of four, and drop an incomplete group."""

    def options(self, config: Config | None) -> dict[str, Any]:
        """Return the options of the class; see `WrappedClass.options`."""
        options = super().options(config)
        if (time := self.compression(options)[0]) > 4:
            raise ValueError(
                f"{self.name} encodes frames in groups of four, so its temporal compression must "
                f"be at most 4, got {time}"
            )
        return options

    def frame_step(self, config: Config) -> int:
        """Return the step between legal numbers of frames."""
        return 4


class Magvit(GroupsOfFour):
    """AutoencoderKLMagvit, whose layers keep frames of the last call if that failed."""

    def encode(self, model: Any, pixels: Tensor) -> Tensor:
        """Return mean and log-variance of the latents."""
        model._clear_conv_cache()
        return super().encode(model, pixels)

    def decode(self, model: Any, latents: Tensor, conditions: Conditions) -> Tensor:
        """Return the pixels of a clip."""
        model._clear_conv_cache()
        return super().decode(model, latents, conditions)


class CogVideoX(WrappedClass):
    """AutoencoderKLCogVideoX, which restores all frames of an odd number of latent frames only."""

    def latent_scale(self, config: Config, model: Any) -> LatentScale:
        """Return the factor alone, which is all that its pipelines read."""
        return LatentScale.from_config({"scaling_factor": config["scaling_factor"]})

    def frame_step(self, config: Config) -> int:
        """Return the step between legal numbers of frames, 8 in published models."""
        return 2 * self.compression(config)[0]


class Cosmos(MeanOnly):
    """AutoencoderKLCosmos, whose statistics differ between latent frames."""

    def options(self, config: Config | None) -> dict[str, Any]:
        """Return the options of the class; see `WrappedClass.options`."""
        options = super().options(config)
        channels = self.latent_channels(options)
        for name in ("latents_mean", "latents_std"):
            if (values := options[name]) is not None and len(values) % channels:
                raise ValueError(
                    f"{name} must have as many values for each of the {channels} latent channels, "
                    f"got {len(values)} in all"
                )
        return options

    def latent_scale(self, config: Config, model: Any) -> LatentScale:
        """Return the statistics, which the config lists in one row, channel after channel.

        Its pipelines multiply by the scheduler's `sigma_data` besides, not by the config's factor.
        """
        channels = self.latent_channels(config)
        mean, std = (
            None if values is None else np.reshape(values, (channels, -1)).tolist()
            for values in (config["latents_mean"], config["latents_std"])
        )
        return LatentScale(mean, std)


class OneByOne(WrappedClass):
    """AutoencoderKLHunyuanVideo15, whose attention mask fits a batch of one clip only."""

    def build(self, options: Config) -> Any:
        """Make a whole model that takes the clips of a batch one by one."""
        model = super().build(options)
        model.use_slicing = True
        return model


class LTX(WrappedClass):
    """AutoencoderKLLTXVideo and AutoencoderKLLTX2Video, which keep statistics beside weights."""

    def injects_noise(self, config: Config) -> bool:
        """Return whether a block of the decoder adds noise."""
        return any(config["decoder_inject_noise"])

    def decode(self, model: Any, latents: Tensor, conditions: Conditions) -> Tensor:
        """Return the pixels; injected noise follows from the conditions' generator."""
        with _noise_from(conditions.generator):
            return model.decode(latents, conditions.timestep).sample

    def latent_scale(self, config: Config, model: Any) -> LatentScale:
        """Return the statistics stored with the weights."""
        scale = {"scaling_factor": config["scaling_factor"]}
        if not model.latents_mean.is_meta:
            scale["latents_mean"] = model.latents_mean.tolist()
            scale["latents_std"] = model.latents_std.tolist()
        return LatentScale.from_config(scale)


class Mochi(WrappedClass):
    """AutoencoderKLMochi, whose encoder makes 15 features of three channels itself."""

    def pixel_channels(self, config: Config) -> int:
        """Return the number of channels of the pixels."""
        return config["out_channels"]


class Wan(GroupsOfFour):
    """AutoencoderKLWan and AutoencoderKLQwenImage, whose pixels may be packed in squares."""

    def pixel_channels(self, config: Config) -> int:
        """Return the number of channels of the pixels, unpacked."""
        channels = config["in_channels"] if "in_channels" in config else config["input_channels"]
        return channels // (config.get("patch_size") or 1) ** 2


class VidTok(WrappedClass):
    """AutoencoderVidTok, with Gaussian latents or FSQ, causal or not."""

    bottleneck_parts = ("regularization",)

    def first_frames(self, config: Config) -> int:
        """Return 1, or the temporal compression where no frame is coded alone."""
        return 1 if config["is_causal"] else self.compression(config)[0]

    def moments(self, config: Config) -> int:
        """Return the channels of mean and log-variance, or of latents that FSQ quantizes."""
        return self.latent_channels(config) * (2 if config["regularizer"] == "kl" else 1)

    def bottleneck(self, config: Config) -> dict[str, Any]:
        """Return the options of the regularizer; its FSQ has 8 levels in every channel."""
        if config["regularizer"] == "kl":
            return super().bottleneck(config)
        return {"kind": "fsq", "levels": [8] * self.latent_channels(config)}

    def encode(self, model: Any, pixels: Tensor) -> Tensor:
        """Return moments, or latents before they are quantized.

        The first frame of a causal clip must fill a latent frame; of diffusers' functions only
        forward puts the copies before it that this takes.
        """
        if model.is_causal:
            copies = model.temporal_compression_ratio - 1
            pixels = torch.cat([pixels[:, :, :1].expand(-1, -1, copies, -1, -1), pixels], dim=2)
        moments = model._encode(pixels)
        model._empty_causal_cached(model.encoder)  # or the graph would stay, and copies fail
        return moments

    def decode(self, model: Any, latents: Tensor, conditions: Conditions) -> Tensor:
        """Return the pixels of a clip, without the copies of its first frame.

        The network itself is called: of clips that are not causal, decode restores multiples of 16
        frames only.
        """
        model._empty_causal_cached(model.decoder)
        model._set_first_chunk(True)
        copies = model.temporal_compression_ratio - 1 if model.is_causal else 0
        decoded = model.decoder(latents)[:, :, copies:]
        model._empty_causal_cached(model.decoder)
        return decoded


@contextmanager
def _noise_from(generator: torch.Generator | None) -> Iterator[None]:
    """Draw random numbers from a generator where diffusers takes torch's global one."""
    if generator is None:
        yield
        return
    seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
