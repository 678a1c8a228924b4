"""The reasons why torchmetrics' own functions do not serve, each shown by a number.

KID's kernel distance is torchmetrics' own; see `test_inception_metrics.py` for that, and for the
splits of its Inception score.
"""

import pytest
import torch
import torchvision
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)
from torchmetrics.image import FrechetInceptionDistance, InceptionScore
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from random_clips import noisy_pair
from vistok import metrics
from vistok.eval.metrics.feature_statistics import FeatureStatistics
from vistok.eval.metrics.frechet import frechet_distance
from vistok.eval.protocols.image_pair import flatten_frames


def images(size: int, strength: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """Two images and the same with noise, in [0, 255], in double precision."""
    pair = noisy_pair(clips=2, frames=1, size=size, strength=strength)
    return (
        flatten_frames(pair.originals).double(),
        flatten_frames(pair.reconstructions).double(),
    )


def test_their_psnr_has_constants_in_single_precision():
    a, b = images(32)
    theirs = peak_signal_noise_ratio(b, a, data_range=255.0, reduction="none", dim=(1, 2, 3))
    ours = metrics.psnr(a.byte(), b.byte(), reduction="none")
    formula = 10 * torch.log10(255**2 / (a - b).square().mean(dim=(1, 2, 3)))
    assert torch.allclose(ours, formula, rtol=1e-13, atol=0)
    error = ((theirs - formula) / formula).abs().max().item()
    assert 1e-9 < error < 1e-6


def test_their_ssim_counts_mirrored_borders_without_which_it_is_ours():
    a, b = images(32)
    theirs, maps = structural_similarity_index_measure(
        b, a, data_range=255.0, reduction="none", return_full_image=True
    )
    ours = metrics.ssim(a.byte(), b.byte(), reduction="none")
    assert torch.allclose(maps[..., 5:-5, 5:-5].mean(dim=(1, 2, 3)), ours, rtol=1e-12, atol=0)
    assert (theirs - ours).abs().max() > 1e-4
    _, maps = structural_similarity_index_measure(
        b, a, gaussian_kernel=False, kernel_size=7, data_range=255.0, reduction="none",
        return_full_image=True,
    )  # fmt: skip
    inside = maps[..., 3:-3, 3:-3].mean(dim=(1, 2, 3))
    assert (inside - metrics.ssim(a.byte(), b.byte(), "tokenbench", "none")).abs().max() > 1e-5


def test_their_ms_ssim_counts_mirrored_borders():
    a, b = images(192, strength=0.3)
    theirs = multiscale_structural_similarity_index_measure(
        b, a, data_range=255.0, reduction="none", normalize="relu"
    )
    ours = metrics.ms_ssim(a.byte(), b.byte(), reduction="none")
    assert 1e-4 < (theirs - ours).abs().max() < 0.02


def test_their_frechet_distance_loses_digits_with_fewer_samples_than_values():
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(12, 64, generator=generator)
    second = 0.5 * first
    theirs = FrechetInceptionDistance(feature=_Features(64), normalize=False, antialias=False)
    theirs.update(first, real=True)
    theirs.update(second, real=False)
    A, B = (FeatureStatistics.of_features(features) for features in (first, second))
    # Halving a set halves its standard deviations: tr((C1 C2)^(1/2)) = tr(C1) / 2
    exact = ((A.mean - B.mean).square().sum() + A.covariance.trace() / 4).item()
    assert frechet_distance(A, B) == pytest.approx(exact, rel=1e-12)
    assert abs(theirs.compute().item() / exact - 1) > 1e-9


def test_their_inception_score_has_fewer_than_ten_splits_of_eleven_images():
    logits = torch.randn(11, 1008, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="will save all extracted features"):
        theirs = InceptionScore(feature=torch.nn.Identity(), splits=10)
    assert len(logits.chunk(theirs.splits)) == 6
    assert len(logits.tensor_split(theirs.splits)) == 10


def test_their_lpips_takes_no_file_of_weights(alexnet_file, monkeypatch):
    def download(*_: object, **__: object) -> None:
        raise RuntimeError("torchvision looks for its own file")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", download)
    metrics.LPIPS(trunk="alex")  # found by its variable
    with pytest.raises(RuntimeError, match="looks for its own file"):
        LearnedPerceptualImagePatchSimilarity(net_type="alex")


class _Features(torch.nn.Module):
    """Takes features in the place of images."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.double()
