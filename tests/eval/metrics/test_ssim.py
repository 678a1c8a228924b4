"""SSIM against its paper's equation and against scikit-image, under every protocol's rules."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from random_clips import noisy_pair
from vistok.eval.metrics.ssim import SSIM, similarity_maps
from vistok.eval.protocols.not_applicable import NotApplicableError
from vistok.eval.protocols.protocol import CANONICAL, PROTOCOLS

GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def naive_ssim(a: torch.Tensor, b: torch.Tensor) -> float:
    """Gaussian 11 x 11 windows inside one channel, from the paper's equation 13."""
    axis = torch.arange(11).double() - 5
    g = torch.exp(-(axis**2) / (2 * 1.5**2))
    window = torch.outer(g, g) / g.sum() ** 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * p * p).sum() - mp**2, (window * q * q).sum() - mq**2
            cov = (window * p * q).sum() - mp * mq
            top = (2 * mp * mq + c1) * (2 * cov + c2)
            values.append(top / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return torch.stack(values).mean().item()


def test_ssim_follows_its_paper():
    pair = noisy_pair(clips=1, frames=1, size=16)
    a, b = pair.originals[0, :, 0, :, :14], pair.reconstructions[0, :, 0, :, :14]
    luminance, contrast = similarity_maps(a[None], b[None])
    expected = [naive_ssim(a[c].double(), b[c].double()) for c in range(3)]
    assert (luminance * contrast).mean().item() == pytest.approx(sum(expected) / 3, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "options"),
    [("vistok-eval-v1", GAUSSIAN), ("tokenbench", {}), ("wetok", {}), ("vidtok", GAUSSIAN)],
)
def test_ssim_equals_scikit_images_under_the_protocols_settings(name, options):
    rules = PROTOCOLS[name]
    pair = noisy_pair(clips=2, frames=3, size=32)
    before, after = (x.double().numpy() for x in pair.values(rules.ssim_values))
    measured = SSIM(rules, 32).measure(pair)["ssim"]
    for clip in range(2):
        frames = [
            structural_similarity(
                before[clip, :, t], after[clip, :, t], channel_axis=0, data_range=255, **options
            )
            for t in range(3)
        ]
        assert measured[clip].item() == pytest.approx(np.mean(frames), abs=1e-9)


def test_vidtok_averages_large_images_down_first():
    pair = noisy_pair(clips=1, frames=1, size=512, strength=0.3)
    plain = SSIM(CANONICAL, 512).measure(pair)["ssim"].item()
    pooled = SSIM(PROTOCOLS["vidtok"], 512).measure(pair)["ssim"].item()
    assert pooled > plain + 0.05  # averaging takes noise away


def test_ssim_of_a_perfect_match_is_one_and_small_images_are_refused():
    pair = noisy_pair(clips=2, frames=2, size=16, strength=0.0)
    assert SSIM(CANONICAL, 16).measure(pair)["ssim"].tolist() == pytest.approx([1.0, 1.0])
    with pytest.raises(NotApplicableError, match="at least 11 x 11 pixels, got 8 x 8"):
        SSIM(CANONICAL, 8)
    with pytest.raises(ValueError, match="at least 11 x 11 pixels, got 8 x 8"):
        similarity_maps(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))
