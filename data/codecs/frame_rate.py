"""Frame rates as fractions."""

from fractions import Fraction

MAX_DENOMINATOR = 1001


def frame_rate(fps: float | Fraction, max_denominator: int = MAX_DENOMINATOR) -> Fraction:
    """Return a rate as a simple fraction such as 30000/1001; below 1, of a simple duration.

    Args:
        fps: frames per second.
        max_denominator: maximum of the denominator, or of the numerator of a rate below 1.

    Raises:
        ValueError: the rate is not finite and above 0.
    """
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps must be finite and above 0, got {fps}")
    if fps >= 1:
        return Fraction(fps).limit_denominator(max_denominator)
    return 1 / (1 / Fraction(fps)).limit_denominator(max_denominator)
