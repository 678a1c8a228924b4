"""Metrics against closed forms and against independent implementations."""

import math

import pytest
import torch

from vistok.eval.psnr import clip_psnr, psnr, squared_errors
from vistok.eval.ssim import clip_ssim


def picture(*size: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)


def test_psnr_of_a_known_error_is_the_closed_form():
    a = torch.full((1, 3, 1, 8, 8), 100, dtype=torch.uint8)
    b = torch.full((1, 3, 1, 8, 8), 110, dtype=torch.uint8)
    (error,) = squared_errors(a, b).flatten().tolist()
    assert psnr(error) == pytest.approx(20 * math.log10(255 / 10))


def test_psnr_of_a_perfect_match_is_infinite():
    assert psnr(0.0) == math.inf


def test_the_psnr_of_a_clip_is_the_mean_over_its_frames():
    a, b = picture(2, 3, 4, 8, 8), picture(2, 3, 4, 8, 8, seed=1)
    frames = squared_errors(a, b).tolist()
    for clip in range(2):
        singles = [
            psnr(
                squared_errors(
                    a[clip : clip + 1, :, t : t + 1], b[clip : clip + 1, :, t : t + 1]
                ).item()
            )
            for t in range(4)
        ]
        assert clip_psnr(frames[clip]) == pytest.approx(sum(singles) / 4)


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
    a = picture(1, 3, 1, 16, 14)
    b = (a.int() + picture(1, 3, 1, 16, 14, seed=1).int() // 8).clamp(0, 255).to(torch.uint8)
    expected = [naive_ssim(a[0, c, 0].double(), b[0, c, 0].double()) for c in range(3)]
    # torchmetrics averages the windows that lie wholly inside the picture, as here
    assert clip_ssim(a, b).item() == pytest.approx(sum(expected) / 3, abs=1e-9)


def test_ssim_of_a_perfect_match_is_one_and_small_pictures_are_refused():
    a = picture(2, 3, 2, 16, 16)
    assert clip_ssim(a, a).tolist() == pytest.approx([1.0, 1.0])
    with pytest.raises(ValueError, match="at least 11 x 11 pixels, got 8 x 16"):
        clip_ssim(picture(1, 3, 1, 8, 16), picture(1, 3, 1, 8, 16))
