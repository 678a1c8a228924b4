"""MS-SSIM against a direct evaluation of its equation."""

import pytest
import torch
import torch.nn.functional as F
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from random_clips import noisy_pair
from vistok.eval.metrics.ms_ssim import SMALLEST_SIDE, WEIGHTS, MultiScaleSSIM, multi_scale_ssim
from vistok.eval.protocols.image_pair import flatten_frames
from vistok.eval.protocols.not_applicable import NotApplicableError
from vistok.eval.protocols.protocol import CANONICAL


def naive_ms_ssim(a: torch.Tensor, b: torch.Tensor) -> float:
    """One channel, with the Gaussian window as a plain convolution."""
    axis = torch.arange(11).double() - 5
    g = torch.exp(-(axis**2) / (2 * 1.5**2))
    window = (torch.outer(g, g) / g.sum() ** 2)[None, None]

    def blur(x):
        return F.conv2d(x, window)

    product = 1.0
    x, y = a.double()[None, None], b.double()[None, None]
    for scale, weight in enumerate(WEIGHTS):
        mx, my = blur(x), blur(y)
        vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
        term = (2 * cov + 58.5225) / (vx + vy + 58.5225)
        if scale == 4:
            term = term * (2 * mx * my + 6.5025) / (mx**2 + my**2 + 6.5025)
        product *= term.mean().item() ** weight
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return product


def test_ms_ssim_follows_its_equation():
    pair = noisy_pair(clips=2, frames=1, size=192, strength=0.3)
    a, b = flatten_frames(pair.originals), flatten_frames(pair.reconstructions)
    for clip, value in enumerate(multi_scale_ssim(a, b).tolist()):
        channels = [naive_ms_ssim(a[clip, c], b[clip, c]) for c in range(3)]
        assert value == pytest.approx(sum(channels) / 3, abs=1e-9)


def test_ms_ssim_lies_near_torchmetrics_which_counts_mirrored_borders():
    pair = noisy_pair(clips=1, frames=1, size=192, strength=0.3)
    a, b = flatten_frames(pair.originals).double(), flatten_frames(pair.reconstructions).double()
    theirs = multiscale_structural_similarity_index_measure(b, a, data_range=255.0).item()
    ours = multi_scale_ssim(a, b).item()
    assert ours == pytest.approx(theirs, abs=0.02)
    assert ours < 0.95, "the comparison is of something"


def test_a_perfect_match_is_one_and_images_without_five_scales_are_refused():
    pair = noisy_pair(clips=1, frames=2, size=SMALLEST_SIDE, strength=0.0)
    metric = MultiScaleSSIM(CANONICAL, SMALLEST_SIDE)
    assert metric.measure(pair)["ms_ssim"].item() == pytest.approx(1.0)
    with pytest.raises(NotApplicableError, match="at least 176 x 176 pixels"):
        MultiScaleSSIM(CANONICAL, SMALLEST_SIDE - 1)
