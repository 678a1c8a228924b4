"""LPIPS of samples equals the `lpips` network on each frame, in [-1, 1], averaged."""

import pytest
import torch

from random_clips import noisy_pair
from vistok import evaluate
from vistok.eval.features.lpips_network import TRUNKS, lpips_network
from vistok.eval.metrics.lpips_metric import LPIPS
from vistok.eval.protocols.protocol import CANONICAL, PROTOCOLS

pytestmark = pytest.mark.usefixtures("alexnet_file")


@torch.inference_mode()
def test_a_clips_distance_is_the_mean_over_its_frames():
    pair = noisy_pair(clips=2, frames=5, size=64)
    metric = LPIPS(CANONICAL, "alex", "cpu")
    measured = metric.measure(pair)["lpips_alex"]
    network = lpips_network("alex")
    for clip in range(2):
        frames = [
            network(*(x[clip, :, t][None] / 127.5 - 1 for x in pair.values("rounded"))).item()
            for t in range(5)
        ]
        assert measured[clip].item() == pytest.approx(sum(frames) / 5, rel=1e-5)
        assert min(frames) > 0
    assert metric.numbers({"lpips_alex": measured})["lpips_alex"] == measured.mean().item()


@torch.inference_mode()
def test_presets_on_floats_see_what_rounding_hides():
    pair = noisy_pair(clips=1, frames=1, size=64, strength=0.001)
    floats = LPIPS(PROTOCOLS["wetok"], "alex", "cpu").measure(pair)["lpips_alex"]
    rounded = LPIPS(CANONICAL, "alex", "cpu").measure(pair)["lpips_alex"]
    assert floats.item() > 0
    assert floats.item() != rounded.item()


def test_other_weights_than_the_published_ones_are_announced():
    (row,) = evaluate("samples:heldout", "bicubic:f=4", size=64, metrics=("lpips_alex",))
    assert "not alexnet-owt-7be5be79.pth as published" in row.caveats["lpips_alex"]
    assert TRUNKS["alex"].caveat(TRUNKS["alex"].sha256_prefix + "0" * 56) is None


@torch.inference_mode()
def test_a_perfect_match_has_no_distance():
    pair = noisy_pair(clips=1, frames=2, size=64, strength=0.0)
    assert LPIPS(CANONICAL, "alex", "cpu").measure(pair)["lpips_alex"].item() == 0
