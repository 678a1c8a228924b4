"""Metric classes alone: batches, reset, copies, and one definition shared with the harness."""

import pickle

import pytest
import torch
from made_extractor import MadeExtractor
from torchmetrics import Metric, MetricCollection

from random_clips import noisy_pair, random_clips
from vistok import metrics
from vistok.eval.metrics.names import METRICS
from vistok.eval.protocols.image_pair import Pair

MADE = {
    "psnr": lambda: metrics.PSNR(),
    "psnr of tokenbench": lambda: metrics.PSNR("tokenbench"),
    "ssim": lambda: metrics.SSIM(),
    "ssim of wetok": lambda: metrics.SSIM("wetok"),
    "rfid": lambda: metrics.RFID(MadeExtractor()),
    "rfvd": lambda: metrics.RFVD(MadeExtractor(), force=True),
    "kid": lambda: metrics.KID(MadeExtractor()),
}


def sides(frames: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Eight clips in [-1, 1] and the same with noise."""
    pair = noisy_pair(clips=8, frames=frames, size=32)
    assert pair.pixels is not None
    return pair.originals, pair.pixels


@pytest.mark.parametrize("name", MADE)
def test_batches_add_up_to_the_set_and_reset_forgets_them(name):
    originals, pixels = sides()
    whole, parts = MADE[name](), MADE[name]()
    whole.update(originals, pixels)
    expected = whole.compute()
    assert expected.dtype == torch.float64
    assert expected.ndim == 0
    parts.update(pixels.flip(0)[:4], pixels[:4])  # forgotten
    parts.reset()
    for start, stop in ((0, 1), (1, 4), (4, 8)):
        parts.update(originals[start:stop], pixels[start:stop])
    assert parts.compute().item() == pytest.approx(expected.item(), rel=1e-12)
    copied = pickle.loads(pickle.dumps(parts))
    assert copied.compute_all() == parts.compute_all()
    assert parts.compute_all()[parts.name] == parts.compute().item()


@pytest.mark.parametrize("name", MADE)
def test_states_are_float64_or_counts_and_reductions_are_torchmetrics(name):
    metric = MADE[name]()
    assert isinstance(metric, Metric)
    metric.update(*sides())
    for state in metric.metric_state.values():
        for tensor in state if isinstance(state, list) else [state]:
            assert tensor.dtype in (torch.float64, torch.int64)
    assert all(reduce is not None for reduce in metric._reductions.values())


@pytest.mark.parametrize("name", [name for name in MADE if not name.startswith("r")])
def test_forward_returns_the_batch_and_keeps_the_set(name):
    originals, pixels = sides()
    metric, alone = MADE[name](), MADE[name]()
    alone.update(originals[4:], pixels[4:])
    metric(originals[:4], pixels[:4])
    assert metric(originals[4:], pixels[4:]).item() == alone.compute().item()
    whole = MADE[name]()
    whole.update(originals, pixels)
    assert metric.compute().item() == pytest.approx(whole.compute().item(), rel=1e-12)


@pytest.mark.parametrize("name", ["psnr", "ssim"])
def test_the_class_the_function_and_the_harness_have_one_definition(name):
    originals, pixels = sides()
    metric, function = MADE[name](), getattr(metrics, name)
    columns = metric.measure(Pair(originals, noisy_pair(8, 2, 32).reconstructions, pixels))
    each = function(originals, pixels, reduction="none")
    assert torch.equal(each, columns[name])
    metric.update(originals, pixels)
    assert metric.compute_all() == pytest.approx(metric.numbers(columns), rel=1e-13)
    assert function(originals, pixels).item() == metric.numbers(columns)[name]


def test_images_are_clips_of_one_frame_and_bytes_are_pixels():
    originals, pixels = sides(frames=1)
    expected = metrics.psnr(originals, pixels)
    assert metrics.psnr(originals[:, :, 0], pixels[:, :, 0]) == expected
    assert metrics.psnr(originals.float() / 127.5 - 1, pixels) == expected
    eight_bit = ((pixels + 1) * 127.5).round().to(torch.uint8)
    assert metrics.psnr(originals, eight_bit) == expected
    assert metrics.psnr(originals, pixels * 1.0 + (pixels == 1) * 5) == expected, "clamped"


def test_a_known_error_has_the_value_of_the_formula():
    originals = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8)
    assert metrics.psnr(originals, originals + 5).item() == pytest.approx(
        34.15140352195873, rel=1e-12
    )
    assert metrics.psnr(originals, originals).item() == float("inf")


def test_pooled_values_stand_beside_the_mean():
    metric = metrics.PSNR()
    originals = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8)
    metric.update(originals, originals + torch.tensor([1, 3], dtype=torch.uint8).view(2, 1, 1, 1))
    values = metric.compute_all()
    assert values["psnr"] == metric.compute().item()
    assert values["psnr_pooled"] == pytest.approx(41.141103565318, rel=1e-9)


def test_metrics_without_enough_samples_name_what_they_need():
    originals, pixels = sides()
    single, forced = metrics.RFID(MadeExtractor()), metrics.RFVD(MadeExtractor())
    single.update(originals[:1, :, :1], pixels[:1, :, :1])
    with pytest.raises(ValueError, match="rfid needs at least 2 images, got 1"):
        single.compute()
    forced.update(originals, pixels)
    with pytest.raises(ValueError, match="rfvd needs at least 256 clips, got 16; force"):
        forced.compute()
    with pytest.raises(ValueError, match="psnr needs at least 1 sample, got 0; call update first"):
        metrics.PSNR().compute_all()


def test_a_collection_computes_several_metrics_at_once():
    originals, pixels = sides()
    collection = MetricCollection({"psnr": metrics.PSNR(), "ssim": metrics.SSIM()})
    collection.update(originals, pixels)
    assert collection.compute() == {
        "psnr": metrics.psnr(originals, pixels),
        "ssim": metrics.ssim(originals, pixels),
    }


def test_every_metric_of_the_harness_can_be_used_alone():
    names = {name.removesuffix("_alex").removesuffix("_vgg") for name in METRICS}
    assert names <= set(dir(metrics))
    assert all(callable(getattr(metrics, name)) for name in dir(metrics))
    with pytest.raises(AttributeError, match=r"module 'vistok.metrics' has no attribute 'psrn'"):
        _ = metrics.psrn


def test_sets_of_one_call_have_functions(i3d_file):
    a, b = random_clips(5, 9, 32), random_clips(5, 9, 32, seed=1)
    value = metrics.rfvd(a, b, force=True)
    assert value > 1e-3
    assert metrics.rfvd(a, a, force=True).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_functions_of_sets_open_inception(inception_file):
    a, b = random_clips(10, 1, 64)[:, :, 0], random_clips(10, 1, 64, seed=1)[:, :, 0]
    assert metrics.rfid(a[:2], b[:2]) > 1e-3
    assert metrics.kid(a[:2], b[:2]).isfinite()
    assert 1 <= metrics.inception_score(a).item() <= 1008
