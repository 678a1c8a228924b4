"""BatchResult: what the results of a batch have in common: a short repr, `to`, `len` and slices.

Results are frozen dataclasses of tensors, and of tuples, mappings and other results that hold
tensors; the first axis of every tensor is the batch, except that of scalars such as losses. Tools
that walk dataclasses (DDP, `torch.export`) find the tensors as before.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result", bound="BatchResult")

# An index of another kind gets our error, also under the shape checker of the tests.
if TYPE_CHECKING:
    Slice = slice
else:
    Slice = Any


@dataclass(frozen=True, repr=False)
class BatchResult:
    """Base class of the results of a batch, which are frozen dataclasses of tensors."""

    def to(
        self: Result,
        device: str | torch.device | torch.dtype | None = None,
        dtype: torch.dtype | None = None,
        non_blocking: bool = False,
    ) -> Result:
        """Return the result on another device, or its floating tensors in another dtype.

        Args:
            device: device to move to; or, as in `Tensor.to`, a dtype.
            dtype: floating dtype; tensors of integers, such as indices, keep theirs.
            non_blocking: whether the copy may overlap other work; see `Tensor.to`.

        Raises:
            ValueError: a dtype that is not floating, or two of them.
        """
        if isinstance(device, torch.dtype):
            if dtype is not None:
                raise ValueError(f"to takes one dtype, got {device} and {dtype}")
            device, dtype = None, device
        if dtype is not None and not dtype.is_floating_point:
            raise ValueError(f"dtype must be floating, got {dtype}; indices stay int64")

        def moved(tensor: Tensor) -> Tensor:
            target = dtype if tensor.is_floating_point() else None
            return tensor.to(device=device, dtype=target, non_blocking=non_blocking)

        return _mapped(self, moved)

    def __len__(self) -> int:
        return _batch_size(self)

    def __getitem__(self: Result, samples: Slice) -> Result:
        if not isinstance(samples, slice):
            raise TypeError(
                f"{type(self).__name__} takes slices of the batch, which keep its axis, such as "
                f"[0:1]; got {samples!r}"
            )
        _batch_size(self)
        return _mapped(self, lambda tensor: tensor[samples] if tensor.ndim else tensor)

    def __iter__(self) -> Iterator[Any]:
        # Without this method, Python would try to iterate by numbers.
        raise TypeError(
            f"{type(self).__name__} is not a sequence; take the fields that you need, or slices "
            "of the batch such as [0:1]"
        )

    def __bool__(self) -> bool:
        return True  # of an empty batch, too

    def __repr__(self) -> str:
        parts = [f"{one.name}={_described(getattr(self, one.name))}" for one in fields(self)]
        return f"{type(self).__name__}({', '.join(parts)})"


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a value with every tensor in it changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, BatchResult):
        changed = {one.name: _mapped(getattr(value, one.name), change) for one in fields(value)}
        return replace(value, **changed)
    if isinstance(value, tuple):
        return tuple(_mapped(part, change) for part in value)
    if isinstance(value, Mapping):
        return {key: _mapped(part, change) for key, part in value.items()}
    return value


def _batch_size(result: BatchResult) -> int:
    first = next(_tensors(result), None)
    if first is None or first.ndim < 2:
        raise TypeError(f"this {type(result).__name__} has no batch axis")
    return len(first)


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of a value, in order, but no scalars."""
    if isinstance(value, Tensor):
        if value.ndim:
            yield value
    elif isinstance(value, BatchResult):
        for one in fields(value):
            yield from _tensors(getattr(value, one.name))
    elif isinstance(value, tuple):
        for part in value:
            yield from _tensors(part)


def _described(value: Any) -> str:
    """Describe a tensor by dtype, shape and device; a scalar by its value."""
    if isinstance(value, Tensor):
        # Only of ordinary tensors: those of a compiler's trace have no values.
        if value.ndim == 0 and type(value) is Tensor and not value.is_meta:
            return f"{value.item():.4g}"
        dtype = str(value.dtype).removeprefix("torch.")
        device = "" if value.device.type == "cpu" else f", {value.device}"
        return f"{dtype}{list(value.shape)}{device}"
    if isinstance(value, tuple):
        comma = "," if len(value) == 1 else ""
        return f"({', '.join(map(_described, value))}{comma})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_described(part)}' for key, part in value.items())}}}"
    return repr(value)
