"""Any function of pixels, so that a model of any library is scored in one line of Python."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ...data.pixels import to_pixels, to_uint8
from .reconstructor import Clips, Reconstruction, Reconstructor


class Function(Reconstructor):
    """Any function from pixels in [-1, 1] to pixels.

    Args:
        name: shown in reports.
        function: keeps the shape (B, 3, T, H, W).
    """

    def __init__(
        self,
        name: str,
        function: Callable[[Float[Tensor, "B 3 T H W"]], Float[Tensor, "B 3 T H W"]],
    ) -> None:
        self.name, self.function = name, function

    @torch.inference_mode()
    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        """Call the function.

        Raises:
            ValueError: it changes the shape, or answers with NaN or infinity.
        """
        pixels = self.function(to_pixels(clips)).float()
        if pixels.shape != clips.shape:
            raise ValueError(
                f"{self.name} must keep the shape {tuple(clips.shape)}, got {tuple(pixels.shape)}"
            )
        if not pixels.isfinite().all():
            raise ValueError(f"{self.name} answers with NaN or infinity")
        return Reconstruction(to_uint8(pixels).cpu(), None, None, None, pixels=pixels.clamp(-1, 1))
