"""Encoder and Decoder: base classes of the networks on both sides of a bottleneck.

    encoder   pixels (B, 3, T, H, W) in [-1, 1] -> latents (B, C, t, h, w)
    decoder   codes (B, C, t, h, w) -> pixels (B, 3, T, H, W), unclamped

with T = 1 + (t - 1) * temporal_compression, H = h * spatial_compression and W likewise: an image
is a clip of one frame, and the first frame of a clip is coded alone. In a few published networks it
is not, so that T = t * temporal_compression: their `first_frames` is the temporal compression.
"""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from .blocks.conditions import Conditions
from .blocks.latent_scale import LatentScale
from .blocks.stream_state import StreamState
from .recorded_arguments import RecordsArguments


class Encoder(RecordsArguments, nn.Module, ABC):
    """Network from pixels to the channels that a bottleneck takes.

    Its constructor takes `out_channels`, which the tokenizer sets to the bottleneck's.

    Attributes:
        temporal_compression: frames per latent frame, after the first.
        spatial_compression: pixels per latent position along height and width.
        first_frames: frames of the first latent frame: 1, or the temporal compression.
        frame_step: step between legal numbers of frames; None takes the temporal compression.
        framewise: whether every frame is coded on its own, so that any clip can be streamed.
        checkpoints: whether gradient checkpointing leaves results unchanged.
    """

    temporal_compression: int
    spatial_compression: int
    first_frames: int = 1
    frame_step: int | None = None
    framewise: bool = False
    checkpoints: bool = True

    @property
    def label(self) -> str:
        """Name of the network in messages."""
        return type(self).__name__

    @property
    def latent_scale(self) -> LatentScale:
        """Statistics that were published with the latents; none for networks of our own."""
        return LatentScale()

    @abstractmethod
    def forward(
        self, pixels: Float[Tensor, "B 3 T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B C t h w"]:
        """Encode clips of a legal size.

        Args:
            pixels: in [-1, 1].
            state: of a stream of chunks. Without support for streams, which only `CausalEncoder`
                and networks that are `framewise` have, long clips are encoded whole.
        """


class Decoder(RecordsArguments, nn.Module, ABC):
    """Network from codes to pixels.

    Its constructor takes `in_channels`, which the tokenizer sets to the bottleneck's.

    Attributes:
        temporal_compression: frames per latent frame, after the first.
        spatial_compression: pixels per latent position along height and width.
        first_frames: frames of the first latent frame, as in `Encoder`.
        frame_step: step between legal numbers of frames, as in `Encoder`.
        framewise: whether every frame is coded on its own, as in `Encoder`.
        checkpoints: whether gradient checkpointing leaves results unchanged.
        generative: whether it takes noise of the latents' shape as a second input.
        denoises: whether it expects a timestep.
        injects_noise: whether it adds noise to its activations.
        causal: whether frames depend on no later latents.
    """

    temporal_compression: int
    spatial_compression: int
    first_frames: int = 1
    frame_step: int | None = None
    framewise: bool = False
    checkpoints: bool = True
    generative: bool = False
    denoises: bool = False
    injects_noise: bool = False
    causal: bool = True

    @property
    def label(self) -> str:
        """Name of the network in messages."""
        return type(self).__name__

    @property
    def last_layer(self) -> nn.Module | None:
        """The layer, with a `weight`, at which an adaptive adversarial weight compares gradients.

        None where there is no such layer; the weight of the adversarial loss is then fixed.
        """
        return None

    @abstractmethod
    def forward(
        self,
        latents: Float[Tensor, "B C t h w"],
        state: StreamState | None = None,
        conditions: Conditions = Conditions(),
    ) -> Float[Tensor, "B 3 T H W"]:
        """Decode the bottleneck's latents or codes to clips.

        Args:
            latents: output of the bottleneck.
            state: of a stream of chunks; see `Encoder.forward`.
            conditions: noise of generative decoders and timestep of denoising ones.
        """
