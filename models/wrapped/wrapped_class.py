"""WrappedClass: how the two halves of a class of diffusers are called, and what its config says.

This is the only description of a foreign model: of its compression, legal lengths and channels, and
of the statistics with which its pipelines normalize latents.
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn

from ...option_errors import did_you_mean
from ..blocks.conditions import Conditions
from ..blocks.latent_scale import LatentScale

Config = Mapping[str, Any]


@dataclass(frozen=True)
class WrappedClass:
    """A class of autoencoders, such as AutoencoderKL; options in `config` are the class's own.

    Attributes:
        name: name of the class in diffusers.
        compression: frames per latent frame, and pixels per latent position along a side.
        channels_option: option that holds the number of latent channels.
        takes_clips: whether the networks take (B, C, T, H, W), not (B, C, H, W).
        gaussian: whether latents come with a log-variance.
        checkpoints: whether gradient checkpointing is implemented, and leaves results unchanged.
    """

    # Names of the layers that only encoding, or only decoding needs; the bottleneck has others.
    encoder_parts: ClassVar = ("encoder", "quant_conv")
    decoder_parts: ClassVar = ("decoder", "post_quant_conv")
    bottleneck_parts: ClassVar[tuple[str, ...]] = ()

    name: str
    compression: Callable[[Config], tuple[int, int]]
    channels_option: str = "latent_channels"
    takes_clips: bool = False
    gaussian: bool = True
    checkpoints: bool = True

    @property
    def cls(self) -> Any:
        """The class itself; importing it loads all of diffusers' autoencoders, for seconds.

        Raises:
            ValueError: the installed diffusers is older than the class.
        """
        import diffusers
        from diffusers.models import autoencoders

        if not hasattr(autoencoders, self.name):
            raise ValueError(
                f"diffusers {diffusers.__version__} has no {self.name}; install a newer one: "
                "pip install --upgrade diffusers"
            )
        return getattr(autoencoders, self.name)

    @property
    def encodes_frames(self) -> bool:
        """True if the encoder takes images, so that every frame of a clip is encoded alone."""
        return not self.takes_clips

    @property
    def decodes_frames(self) -> bool:
        """True if the decoder takes images, so that every frame of a clip is decoded alone."""
        return not self.takes_clips

    # ---- config ---------------------------------------------------------------------------------

    def parameters(self) -> dict[str, inspect.Parameter]:
        """Return the parameters of the class's constructor by name."""
        return dict(list(inspect.signature(self.cls.__init__).parameters.items())[1:])

    def options(self, config: Config | None) -> dict[str, Any]:
        """Return the options of the class with its defaults, of which an unknown key is an error.

        Raises:
            ValueError: no config, an unknown key, or a model that does not code RGB.
        """
        if config is None:
            raise ValueError(
                f"config is not set: give the options of {self.name}, as in its config.json, or "
                f"start.source=diffusers:{self.name}:<path or hub id>, which has them"
            )
        parameters = self.parameters()
        given = {key: value for key, value in config.items() if not key.startswith("_")}
        for key in given:
            if key not in parameters:
                raise ValueError(f"{self.name} has no option {key}{did_you_mean(key, parameters)}")
        missing = [k for k, p in parameters.items() if p.default is p.empty and k not in given]
        if missing:
            raise ValueError(f"config lacks {', '.join(missing)} of {self.name}")
        options = {key: parameter.default for key, parameter in parameters.items()} | given
        self._check_types(options)
        channels = self.pixel_channels(options)
        if channels != 3:
            raise ValueError(
                f"this {self.name} codes pixels of {channels} channels; vistok codes RGB, 3"
            )
        return options

    def _check_types(self, options: Config) -> None:
        """Raise unless compression and channels can be read from the options."""
        try:
            compression, channels = self.compression(options), self.latent_channels(options)
        except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(f"the config is none of {self.name} ({reason})") from error
        if not all(isinstance(value, int) and value > 0 for value in (*compression, channels)):
            raise ValueError(
                f"the config is none of {self.name}: compression {compression}, {channels!r} "
                "latent channels; all must be whole numbers"
            )

    def pixel_channels(self, config: Config) -> int:
        """Return the number of channels of the pixels."""
        return config.get("in_channels", 3)

    def first_frames(self, config: Config) -> int:
        """Return the frames of the first latent frame: 1, or the temporal compression."""
        return 1

    def frame_step(self, config: Config) -> int:
        """Return the step between legal numbers of frames."""
        return self.compression(config)[0]

    def latent_channels(self, config: Config) -> int:
        """Return the number of channels of the latents."""
        return config[self.channels_option]

    def moments(self, config: Config) -> int:
        """Return the channels of mean and log-variance, or of latents without the latter."""
        return self.latent_channels(config) * (2 if self.gaussian else 1)

    def bottleneck(self, config: Config) -> dict[str, Any]:
        """Return the options of the bottleneck that stands between the halves of the original."""
        kind = "kl" if self.gaussian else "plain"
        return {"kind": kind, "latent_channels": self.latent_channels(config)}

    def bottleneck_weights(self) -> dict[str, str]:
        """Return the name in the bottleneck of every weight of the class that belongs there."""
        return {}

    def denoises(self, config: Config) -> bool:
        """Return whether the decoder takes a timestep."""
        return bool(config.get("timestep_conditioning"))

    def injects_noise(self, config: Config) -> bool:
        """Return whether the decoder adds noise to its activations."""
        return False

    def latent_scale(self, config: Config, model: Any) -> LatentScale:
        """Return the statistics with which the class's pipelines normalize its latents.

        Args:
            config: options of the class.
            model: either half, for classes that keep statistics beside their weights.
        """
        return LatentScale.from_config(config)

    # ---- networks -------------------------------------------------------------------------------

    def build(self, options: Config) -> Any:
        """Make a whole model with random weights, or on the meta device where that is the default.

        Buffers are real even then: some are not in the state dict, and constructors read others.

        Raises:
            ValueError: options that the class refuses.
        """
        is_meta = torch.get_default_device().type == "meta"
        empty = init_empty_weights(include_buffers=False) if is_meta else nullcontext()
        try:
            with torch.device("cpu") if is_meta else nullcontext(), empty:
                return self.cls(**options)
        except (ValueError, TypeError, KeyError, IndexError, ZeroDivisionError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(f"{self.name} refuses its config: {reason}") from error

    def encoding_half(self, options: Config) -> Any:
        """Make a model without the layers that its `encode` does not use; see `build`."""
        return self._without(self.build(options), self.decoder_parts)

    def decoding_half(self, options: Config) -> Any:
        """Make a model without the layers that its `decode` does not use; see `build`."""
        return self._without(self.build(options), self.encoder_parts)

    def _without(self, model: Any, parts: tuple[str, ...]) -> Any:
        for part in (*parts, *self.bottleneck_parts):
            if isinstance(getattr(model, part, None), nn.Module):
                setattr(model, part, nn.Identity())  # some classes count the layers of both halves
        return model

    def encode(self, model: Any, pixels: Tensor) -> Tensor:
        """Return mean and log-variance of the latents, or the latents where they are certain."""
        return model.encode(pixels).latent_dist.parameters

    def decode(self, model: Any, latents: Tensor, conditions: Conditions) -> Tensor:
        """Return the pixels of unscaled latents."""
        return model.decode(latents).sample

    def last_layer(self, model: Any) -> nn.Module | None:
        """Return the output convolution of a decoder, where it has the common name."""
        layer = getattr(model.decoder, "conv_out", None)
        layer = getattr(layer, "conv", layer)
        return layer if isinstance(layer, nn.Conv2d | nn.Conv3d) else None


def on_frames(network: Callable[[Tensor], Tensor], clips: Tensor) -> Tensor:
    """Apply a network of images (B, C, H, W) to every frame of clips (B, C, T, H, W)."""
    B, T = clips.shape[0], clips.shape[2]
    images = network(clips.transpose(1, 2).flatten(0, 1))
    return images.unflatten(0, (B, T)).transpose(1, 2)
