"""Encoder and Decoder: base classes of the networks on both sides of a bottleneck.

    encoder   pixels (B, 3, T, H, W) in [-1, 1] -> latents (B, C, t, h, w)
    decoder   codes (B, C, t, h, w) -> pixels (B, 3, T, H, W), unclamped

with T = 1 + (t - 1) * temporal_compression, H = h * spatial_compression and W likewise: an image
is a clip of one frame, and the first frame of a clip is coded alone.
"""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from .blocks.conditions import Conditions
from .blocks.stream_state import StreamState
from .recorded_arguments import RecordsArguments


class Encoder(RecordsArguments, nn.Module, ABC):
    """Network from pixels to the channels that a bottleneck takes.

    Its constructor takes `out_channels`, which the tokenizer sets to the bottleneck's.

    Attributes:
        temporal_compression: frames per latent frame, after the first.
        spatial_compression: pixels per latent position along height and width.
    """

    temporal_compression: int
    spatial_compression: int

    @abstractmethod
    def forward(
        self, pixels: Float[Tensor, "B 3 T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B C t h w"]:
        """Encode clips of a legal size.

        Args:
            pixels: in [-1, 1].
            state: of a stream of chunks. An encoder without support for streams, which is every one
                but `CausalEncoder`, never continues one: long clips are then encoded whole.
        """


class Decoder(RecordsArguments, nn.Module, ABC):
    """Network from codes to pixels.

    Its constructor takes `in_channels`, which the tokenizer sets to the bottleneck's.

    Attributes:
        temporal_compression: frames per latent frame, after the first.
        spatial_compression: pixels per latent position along height and width.
        generative: whether it takes noise of the latents' shape as a second input.
        denoises: whether it expects a timestep.
        injects_noise: whether it adds noise to its activations.
        causal: whether frames depend on no later latents.
    """

    temporal_compression: int
    spatial_compression: int
    generative: bool = False
    denoises: bool = False
    injects_noise: bool = False
    causal: bool = True

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
