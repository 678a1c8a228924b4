"""rFVD through a TorchScript file as StyleGAN-V's: found, refused for few clips, or unavailable."""

import numpy as np
import pytest
import scipy.linalg
import torch

from extractor_files import write_script
from random_clips import random_clips
from vistok import evaluate
from vistok.eval.features.i3d import I3D, load_i3d
from vistok.eval.metrics.feature_statistics import FeatureStatistics
from vistok.eval.metrics.frechet import RFVD
from vistok.eval.protocols.not_applicable import NotApplicableError

CLIPS = {"size": 32, "frames": 9, "metrics": ["psnr", "rfvd"]}


def statistics(features: torch.Tensor) -> FeatureStatistics:
    result = FeatureStatistics(features.shape[-1])
    result.add([str(i) for i in range(len(features))], features)
    return result


def test_the_distance_is_that_of_the_files_features(i3d_file):
    network = I3D("rounded", 9, "cpu")
    assert (network.dim, network.sha256 != "") == (16, True)
    first, second = random_clips(20, 9, 32).float(), random_clips(20, 9, 32, seed=3).float() / 2
    with torch.inference_mode():
        a, b = network.features(first), network.features(second)
        script = load_i3d(i3d_file, "cpu")
        expected = script(first, rescale=True, resize=True, return_features=True)
    a, b = a.clone(), b.clone()
    assert torch.allclose(a[:, 0], expected, atol=1e-6)
    A, B = (np.cov(x[:, 0].double().numpy(), rowvar=False) for x in (a, b))
    shift = (a.double().mean(0) - b.double().mean(0)).square().sum().item()
    root = np.real(scipy.linalg.sqrtm(A @ B))
    value = RFVD(network, force=True).numbers(statistics(a), statistics(b))["rfvd"]
    assert value == pytest.approx(shift + np.trace(A + B - 2 * root), rel=1e-6)


def test_few_clips_are_refused_unless_forced(i3d_file):
    (row,) = evaluate("samples:videos", "bicubic:f=4", **CLIPS)
    assert "rfvd" not in row.metrics
    assert row.unavailable["rfvd"].startswith("needs at least 256 clips, got 7")
    rows = [
        evaluate("samples:videos", "bicubic:f=4", force=True, batch_size=n, **CLIPS)[0]
        for n in (1, 3)
    ]
    assert rows[0].metrics["rfvd"] > 1e-3
    assert rows[0].metrics["rfvd"] == pytest.approx(rows[1].metrics["rfvd"], rel=1e-6)
    assert "7 clips overstate" in rows[0].caveats["rfvd"]
    assert "not i3d_torchscript.pt as published" in rows[0].caveats["rfvd"]
    (perfect,) = evaluate("samples:videos", "identity", force=True, **CLIPS)
    assert perfect.metrics["rfvd"] == pytest.approx(0, abs=1e-9)


def test_without_the_file_the_metric_says_where_to_get_it():
    (row,) = evaluate("samples:videos", "identity", limit=1, **CLIPS)
    reason = row.unavailable["rfvd"]
    assert row.metrics["psnr"] > 0
    for word in ("i3d_torchscript.pt", "https://", "bec6519f", "VISTOK_I3D_WEIGHTS"):
        assert word in reason


def test_files_that_are_no_i3d_are_refused(i3d_file):
    i3d_file.write_bytes(b"no TorchScript")
    with pytest.raises(ValueError, match="is not a TorchScript file"):
        I3D("rounded", 9, "cpu")
    write_script(torch.nn.Identity(), i3d_file)
    with pytest.raises(NotApplicableError, match="does not take clips of 9 frames"):
        I3D("rounded", 9, "cpu")
