"""Clock: how fast a subject encodes and decodes."""

from dataclasses import dataclass

from ..reconstructors.reconstructor import Reconstruction


@dataclass
class Clock:
    """Seconds of the batches that had the machine for themselves."""

    samples: int = 0
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0

    def add(self, result: Reconstruction) -> None:
        """Count one batch, where it says how long it took."""
        if result.encode_seconds is not None and result.decode_seconds is not None:
            self.samples += len(result.clips)
            self.encode_seconds += result.encode_seconds
            self.decode_seconds += result.decode_seconds

    def per_second(self, seconds: float) -> float | None:
        """Samples per second; None where nothing was timed."""
        return self.samples / seconds if seconds else None
