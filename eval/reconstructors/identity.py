"""The images themselves: the upper bound of every metric."""

from collections.abc import Sequence

from .reconstructor import Clips, Reconstruction, Reconstructor

RAW_BITS = 24.0
"""Bits per pixel of an 8-bit RGB image."""


class Identity(Reconstructor):
    """The images themselves, at 24 bits per pixel."""

    name = "identity"

    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        """Return the clips unchanged."""
        return Reconstruction(clips=clips, bits_per_pixel=(RAW_BITS,) * len(clips))
