"""rFID, KID and the Inception score equal torch-fidelity's and torchmetrics' on the same weights.

The weights are random ones in a file that is found as the published file is.
"""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch_fidelity import calculate_metrics
from torchmetrics.image import InceptionScore as TheirInceptionScore
from torchmetrics.image import KernelInceptionDistance

from random_clips import random_clips
from vistok.data.codecs.image import to_pil
from vistok.eval.features.inception import Inception
from vistok.eval.metrics.feature_statistics import FeatureStatistics
from vistok.eval.metrics.frechet import RFID
from vistok.eval.metrics.inception_score import InceptionScore
from vistok.eval.metrics.kid import KID
from vistok.eval.protocols.protocol import PROTOCOLS

pytestmark = pytest.mark.slow

COUNT = 12


@pytest.fixture(scope="module")
def sets() -> tuple[Tensor, Tensor]:
    """Two different sets of images."""
    return random_clips(COUNT, 1, 64), random_clips(COUNT, 1, 64, seed=5) // 2


@pytest.fixture(scope="module")
def network(inception_path: Path) -> Inception:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISTOK_INCEPTION_WEIGHTS", str(inception_path))
        return Inception("tf1", "rounded", "cpu")


@pytest.fixture(scope="module")
def features(network: Inception, sets: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        first, second = (network.features(clips.float()) for clips in sets)
    return first, second


def statistics(features: Tensor) -> FeatureStatistics:
    result = FeatureStatistics(2048, keep=True)
    result.add([f"{i:05d}" for i in range(len(features))], features)
    return result


def write_images(clips: Tensor, folder: Path) -> Path:
    folder.mkdir()
    for index, clip in enumerate(clips):
        to_pil(clip[:, 0]).save(folder / f"{index:05d}.png")
    return folder


def test_rfid_equals_torch_fidelitys(network, sets, features, inception_path, tmp_path):
    folders = [write_images(clips, tmp_path / str(i)) for i, clips in enumerate(sets)]
    # Its loader starts two processes; pin_memory warns where there is no accelerator.
    with warnings.catch_warnings(action="ignore"):
        theirs = calculate_metrics(
            input1=str(folders[0]),
            input2=str(folders[1]),
            fid=True,
            cuda=False,
            cache=False,
            verbose=False,
            feature_extractor_weights_path=str(inception_path),
        )["frechet_inception_distance"]
    ours = RFID(network).numbers(*map(statistics, features))["rfid"]
    assert theirs >= 0.1
    assert ours == pytest.approx(theirs, rel=1e-3)  # their eigenvalues are noisy with few samples


def test_features_do_not_depend_on_what_shares_the_batch(network, sets, features):
    with torch.inference_mode():
        alone = torch.cat([network.features(clip[None].float()) for clip in sets[0][:3]])
    assert torch.allclose(alone, features[0][:3], rtol=1e-5, atol=1e-5)


def test_frames_of_clips_count_one_by_one(network, sets, features):
    clip = sets[0][:3].transpose(0, 2)  # three images as one clip
    with torch.inference_mode():
        found = network.features(clip.float())
    assert found.shape == (1, 3, 2048)
    assert torch.allclose(found[0], features[0][:3, 0], rtol=1e-5, atol=1e-5)


def test_kid_equals_torchmetrics_on_the_same_subsets(network, features):
    with warnings.catch_warnings(action="ignore"):  # it says that it keeps features
        theirs = KernelInceptionDistance(feature=torch.nn.Identity(), subset_size=8)
    theirs.update(features[0][:, 0].double(), real=True)
    theirs.update(features[1][:, 0].double(), real=False)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        mean, std = theirs.compute()
    ours = KID(network, seed=3, subset_size=8).numbers(*map(statistics, features))
    assert ours["kid"] == pytest.approx(mean.item(), rel=1e-6)
    assert ours["kid_std"] == pytest.approx(std.item(), rel=1e-5)


def test_the_inception_score_equals_torchmetrics_in_the_same_order(network, features):
    weight = network.network.fc.weight
    with warnings.catch_warnings(action="ignore"):  # it says that it keeps features
        theirs = TheirInceptionScore(feature=torch.nn.Identity())
    both = torch.cat(features)[:20]  # two for each of ten splits; of 12 they make six splits
    theirs.update(both[:, 0] @ weight.T)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        mean, std = theirs.compute()
    side = statistics(both)
    ours = InceptionScore(network, seed=3).numbers(side, side)
    assert ours["inception_score"] == pytest.approx(mean.item(), rel=1e-5)
    assert ours["inception_score_std"] == pytest.approx(std.item(), rel=1e-3)


def test_there_are_ten_splits_of_any_number_of_images(network, features):
    side = statistics(features[0][:11])
    ours = InceptionScore(network, seed=3).numbers(side, side)
    # Nine splits of one image score 1; the tenth alone makes the mean and the deviation.
    surplus = ours["inception_score"] - 1
    assert surplus > 1e-6
    assert ours["inception_score_std"] == pytest.approx(surplus * 10**0.5, rel=1e-6)


def test_half_pixel_resizing_is_another_network_input(network, sets, features, inception_file):
    rules = PROTOCOLS["wetok"]
    other = Inception(rules.inception_resize, rules.inception_values, "cpu")
    with torch.inference_mode():
        found = other.features(sets[0][:2].float())
        expected = torch.nn.functional.interpolate(
            sets[0][:2, :, 0].float() / 255, (299, 299), mode="bilinear", align_corners=False
        )
    assert not torch.allclose(found, features[0][:2], rtol=1e-3)
    resized = other._pooled(torch.nn.functional.interpolate(expected * 255, (299, 299)))
    assert torch.allclose(found[:, 0], resized, rtol=1e-4, atol=1e-4)


def test_few_images_are_named(network):
    assert "overstate" in (RFID(network).caveat(9_999) or "")
    assert RFID(network).caveat(10_000) is None
    assert "not weights-inception" in network.caveat
    assert InceptionScore(network, 0).unavailable_reason(9) is not None


def test_a_file_of_something_else_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(3)}, path)
    monkeypatch.setenv("VISTOK_INCEPTION_WEIGHTS", str(path))
    with pytest.raises(ValueError, match="does not contain the FID's InceptionV3"):
        Inception("tf1", "rounded", "cpu")
    path.write_bytes(b"no file of weights")
    with pytest.raises(ValueError, match="cannot be read as weights"):
        Inception("tf1", "rounded", "cpu")


def test_images_of_one_color_are_no_reason_to_fail(network):
    gray = torch.full((2, 3, 1, 64, 64), 127.0)
    with torch.inference_mode():
        found = network.features(gray)
    side = statistics(found.clone())
    assert RFID(network).numbers(side, side)["rfid"] == pytest.approx(0.0, abs=1e-9)
