"""Any function of pixels, so that a model of any library can be scored from Python."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ...data.pixels import to_pixels, to_uint8
from .reconstructor import Clips, Reconstruction, Reconstructor


class Function(Reconstructor):
    """A function from pixels in [-1, 1] to pixels.

    Args:
        name: name in reports.
        function: function that preserves the shape (B, 3, T, H, W).
    """

    def __init__(
        self,
        name: str,
        function: Callable[[Float[Tensor, "B 3 T H W"]], Float[Tensor, "B 3 T H W"]],
    ) -> None:
        self.name, self.function = name, function

    @torch.inference_mode()
    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        """Call the function on the clips.

        Raises:
            ValueError: it changes the shape, or returns NaN or infinity.
        """
        pixels = self.function(to_pixels(clips)).float()
        if pixels.shape != clips.shape:
            raise ValueError(
                f"{self.name} must preserve the shape {tuple(clips.shape)}, "
                f"got {tuple(pixels.shape)}"
            )
        if not pixels.isfinite().all():
            raise ValueError(f"{self.name} returns NaN or infinity")
        return Reconstruction(clips=to_uint8(pixels).cpu(), pixels=pixels.clamp(-1, 1))
