"""Flicker: a still image, repeated as a clip, must come back still.

flicker = mean over transitions of mean |y_{t+1} - y_t|        in grey levels
"""

from ..reconstructors.reconstructor import Reconstructor
from .diagnostic import Diagnostic, DiagnosticInputs, levels, round_trip
from .finding import Finding

FRAMES = 17
"""1 + 16: a legal length for every usual temporal compression."""

VISIBLE = 0.3


class Flicker(Diagnostic):
    """Differences between the frames of static clips."""

    name = "flicker"

    def run(self, reconstructor: Reconstructor, material: DiagnosticInputs) -> Finding:
        """Send static clips through the subject, one at a time."""
        means, worst = [], 0.0
        for picture in material.pictures.split(1):
            still = picture.expand(-1, -1, FRAMES, -1, -1).contiguous()
            steps = (
                levels(round_trip(reconstructor, still)).diff(dim=2).abs().mean(dim=(0, 1, 3, 4))
            )
            means.append(steps.mean().item())
            worst = max(worst, steps.max().item())
        flicker = sum(means) / len(means)
        reading = (
            f"a still picture changes by {flicker:.2f} grey levels from frame to frame"
            if worst >= VISIBLE
            else "a still picture stays still"
        )
        return Finding(
            self.name,
            reconstructor.name,
            {"flicker_levels": flicker, "worst_transition_levels": worst},
            reading,
        )
