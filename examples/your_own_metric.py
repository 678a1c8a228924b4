"""A metric of your own, computed by `evaluate` beside the others."""

from collections.abc import Mapping

from torch import Tensor

from vistok import SampleMetric, evaluate, register


class LargestError(SampleMetric):
    """The largest error of a sample, in 8-bit steps; its mean over the set."""

    name = "largest_error"

    def measure(self, pair) -> dict[str, Tensor]:
        """Return the largest error of every sample of a batch."""
        error = (pair.originals.double() - pair.reconstructions.double()).abs()
        return {self.name: error.flatten(1).amax(dim=1).cpu()}

    def numbers(self, columns: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the mean over samples."""
        return {self.name: columns[self.name].mean().item()}


register("largest_error", LargestError)

rows = evaluate(
    "samples:heldout", ["bicubic:f=2", "bicubic:f=8"], size=64, metrics=["psnr", "largest_error"]
)
for row in rows:
    print(f"{row.tokenizer:<12} {row.metrics['psnr']:.2f} dB", end="  ")
    print(f"largest error {row.metrics['largest_error']:.0f} of 255")
