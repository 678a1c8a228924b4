"""DiffusersEncoder and DiffusersDecoder: the two halves of an autoencoder of diffusers.

Each half holds a module of that class without the layers that only the other half needs, under the
names that diffusers gives them: both together are the weights of the original. Between such halves
and a bottleneck of other channels stands a linear layer on either side:

    pixels -> class's encoder -> latents -> normalize -> linear -> bottleneck
    bottleneck -> linear -> unnormalize -> class's decoder -> pixels

Latents are normalized by the statistics that were published with the class, because quantizers
expect values around one. The layers begin as the identity, cut to their channels: a bottleneck with
room for all latents starts training from exactly those.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from .blocks.conditions import Conditions
from .blocks.latent_scale import LatentScale
from .blocks.stream_state import StreamState
from .network import Decoder, Encoder
from .wrapped.catalog import find_class
from .wrapped.wrapped_class import WrappedClass, on_frames


class _Half:
    """A half of an autoencoder of diffusers: the class that describes it, and its options."""

    wrapped: WrappedClass
    class_config: dict[str, Any]

    def _describe(self, name: str | None, config: dict[str, Any] | None) -> None:
        """Find the class, and read from its options which clips it takes."""
        self.wrapped = find_class(name)
        self.class_config = options = self.wrapped.options(config)
        self.temporal_compression, self.spatial_compression = self.wrapped.compression(options)
        self.first_frames = self.wrapped.first_frames(options)
        self.frame_step = self.wrapped.frame_step(options)
        self.checkpoints = self.wrapped.checkpoints

    @property
    def label(self) -> str:
        """Name of the class in diffusers."""
        return self.wrapped.name

    def extra_repr(self) -> str:
        """Name the class for `repr`."""
        return self.wrapped.name


class DiffusersEncoder(_Half, Encoder):
    """The encoding half of an autoencoder of diffusers.

    Args:
        out_channels: channels of the output (set by the bottleneck).
        class_: name of the class, such as AutoencoderKL; null takes that of `start.source`.
        config: options of the class, as in its config.json; null takes those of `start.source`.
        linear: whether the latents pass a linear layer; null adds one where the bottleneck takes
            neither the class's latents nor their moments (mean and log-variance).
    """

    def __init__(
        self,
        out_channels: int,
        class_: str | None = None,
        config: dict[str, Any] | None = None,
        linear: bool | None = None,
    ) -> None:
        super().__init__()
        self._describe(class_, config)
        self.framewise = self.wrapped.encodes_frames
        self.latent_channels = self.wrapped.latent_channels(self.class_config)
        self.out_channels = out_channels
        native = (self.latent_channels, self.wrapped.moments(self.class_config))
        needs_layer = out_channels not in native if linear is None else linear
        self.linear = _identity(self.latent_channels, out_channels) if needs_layer else None
        if self.linear is None and out_channels not in native:
            raise ValueError(
                f"linear=false needs a bottleneck that takes the {native[0]} latents of this "
                f"{self.wrapped.name}, or their {native[1]} moments; it takes {out_channels}"
            )
        self.model = self.wrapped.encoding_half(self.class_config)

    @property
    def latent_scale(self) -> LatentScale:
        """Statistics that were published with the class's latents; none of other ones."""
        return self.published_scale if self.linear is None else LatentScale()

    @property
    def published_scale(self) -> LatentScale:
        """Statistics of the class's own latents, before any linear layer."""
        return self.wrapped.latent_scale(self.class_config, self.model)

    def forward(
        self, pixels: Float[Tensor, "B 3 T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B C t h w"]:
        """Encode clips; see `Encoder.forward`."""

        def encode(x: Tensor) -> Tensor:
            return self.wrapped.encode(self.model, x)

        moments = on_frames(encode, pixels) if self.framewise else encode(pixels)
        if state is not None:
            state.first_chunk = False
        if self.linear is None:
            return moments[:, : self.out_channels]
        latents = moments[:, : self.latent_channels].movedim(1, -1)
        shift, scale = _shift_and_scale(self.published_scale, latents)
        return self.linear((latents - shift) * scale).movedim(-1, 1)


class DiffusersDecoder(_Half, Decoder):
    """The decoding half of an autoencoder of diffusers.

    Args:
        in_channels: channels of the input (set by the bottleneck).
        class_: name of the class; null takes that of the encoder.
        config: options of the class; null takes those of the encoder.
        linear: whether the codes pass a linear layer; null adds one where the bottleneck does not
            emit as many channels as the class's latents have.
    """

    def __init__(
        self,
        in_channels: int,
        class_: str | None = None,
        config: dict[str, Any] | None = None,
        linear: bool | None = None,
    ) -> None:
        super().__init__()
        self._describe(class_, config)
        self.framewise = self.wrapped.decodes_frames
        self.denoises = self.wrapped.denoises(self.class_config)
        self.injects_noise = self.wrapped.injects_noise(self.class_config)
        channels = self.wrapped.latent_channels(self.class_config)
        needs_layer = in_channels != channels if linear is None else linear
        self.linear = _identity(in_channels, channels) if needs_layer else None
        if self.linear is None and in_channels != channels:
            raise ValueError(
                f"linear=false needs a bottleneck that emits the {channels} latents of this "
                f"{self.wrapped.name}; it emits {in_channels}"
            )
        self.model = self.wrapped.decoding_half(self.class_config)

    @property
    def last_layer(self) -> nn.Module | None:
        """The output convolution, if the class calls it as most do."""
        return self.wrapped.last_layer(self.model)

    def forward(
        self,
        latents: Float[Tensor, "B C t h w"],
        state: StreamState | None = None,
        conditions: Conditions = Conditions(),
    ) -> Float[Tensor, "B 3 T H W"]:
        """Decode latents; see `Decoder.forward`."""

        def decode(z: Tensor) -> Tensor:
            return self.wrapped.decode(self.model, z, conditions)

        if self.linear is not None:
            vectors = self.linear(latents.movedim(1, -1))
            scale = self.wrapped.latent_scale(self.class_config, self.model)
            shift, factor = _shift_and_scale(scale, vectors)
            latents = (vectors / factor + shift).movedim(-1, 1)
        if state is not None:
            state.first_chunk = False
        return on_frames(decode, latents) if self.framewise else decode(latents)


def _identity(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer that passes as many channels as both sides have."""
    layer = nn.Linear(inputs, outputs)
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _shift_and_scale(scale: LatentScale, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the statistics of vectors (..., C), on their device and in their dtype."""
    shift, factor = scale.per_channel(vectors.shape[-1])
    return shift.to(vectors), factor.to(vectors)
