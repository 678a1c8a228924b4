"""What the quantizers with a table of codes (VQ, SimVQ, IBQ) share: two terms and two checks.

commitment = mean (x - sg(e))^2        codebook = mean (sg(x) - e)^2
"""

from jaxtyping import Float
from torch import Tensor


def commitment_term(
    x: Float[Tensor, "*batch dim"], codes: Float[Tensor, "*batch dim"]
) -> Float[Tensor, ""]:
    """How far latents are from their codes; only the latents feel it."""
    return (x - codes.detach()).square().mean()


def codebook_term(
    x: Float[Tensor, "*batch dim"], codes: Float[Tensor, "*batch dim"]
) -> Float[Tensor, ""]:
    """The same number, felt by the codes only."""
    return (x.detach() - codes).square().mean()


def check_codebook(codebook_size: int, codebook_dim: int) -> None:
    """Raise unless a codebook of this shape can exist."""
    if codebook_size < 2:
        raise ValueError(f"codebook_size must be >= 2, got {codebook_size}")
    if codebook_dim < 1:
        raise ValueError(f"codebook_dim must be >= 1, got {codebook_dim}")


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise unless an option has one of its values."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
