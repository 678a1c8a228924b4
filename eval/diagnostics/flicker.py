"""Flicker: the reconstruction of a still image, repeated as a clip, must be still as well.

flicker = mean over transitions of mean |y_{t+1} - y_t|        in gray levels
"""

from ..reconstructors.reconstructor import Reconstructor
from .diagnostic import Diagnostic, DiagnosticInputs, levels, round_trip
from .finding import Finding

FRAMES = 17
"""1 + 16, a legal length for every common temporal compression."""

VISIBLE = 0.3


class Flicker(Diagnostic):
    """Differences between the frames of still clips."""

    name = "flicker"

    def run(self, reconstructor: Reconstructor, inputs: DiagnosticInputs) -> Finding:
        """Reconstruct still clips, one at a time."""
        means, worst = [], 0.0
        for image in inputs.images.split(1):
            still = image.expand(-1, -1, FRAMES, -1, -1).contiguous()
            steps = (
                levels(round_trip(reconstructor, still)).diff(dim=2).abs().mean(dim=(0, 1, 3, 4))
            )
            means.append(steps.mean().item())
            worst = max(worst, steps.max().item())
        flicker = sum(means) / len(means)
        summary = (
            f"a still image changes by {flicker:.2f} gray levels from frame to frame"
            if worst >= VISIBLE
            else "a still image stays still"
        )
        return Finding(
            self.name,
            reconstructor.name,
            {"flicker_levels": flicker, "worst_transition_levels": worst},
            summary,
        )
