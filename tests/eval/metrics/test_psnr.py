"""PSNR against its closed form, under every protocol's rules."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from random_clips import noisy_pair
from vistok.eval.metrics.psnr import PSNR, clip_psnr, psnr_from_mse, squared_errors
from vistok.eval.protocols.image_pair import Pair
from vistok.eval.protocols.protocol import CANONICAL, PROTOCOLS


def test_psnr_of_a_known_error_is_the_closed_form():
    a = torch.full((1, 3, 1, 8, 8), 100, dtype=torch.uint8)
    b = torch.full((1, 3, 1, 8, 8), 110, dtype=torch.uint8)
    (error,) = squared_errors(a, b).flatten().tolist()
    assert psnr_from_mse(error) == pytest.approx(20 * math.log10(255 / 10))


def test_psnr_of_a_perfect_match_is_infinite():
    assert psnr_from_mse(0.0) == math.inf


def test_the_psnr_of_a_clip_is_the_mean_over_its_frames():
    pair = noisy_pair(clips=2, frames=4, size=8)
    measured = PSNR(CANONICAL).measure(pair)
    for clip in range(2):
        one = [
            squared_errors(
                pair.originals[clip : clip + 1, :, t : t + 1],
                pair.reconstructions[clip : clip + 1, :, t : t + 1],
            ).item()
            for t in range(4)
        ]
        assert measured["psnr"][clip].item() == pytest.approx(sum(map(psnr_from_mse, one)) / 4)
        assert clip_psnr(one) == pytest.approx(measured["psnr"][clip].item())
        assert measured["squared_error"][clip].item() == pytest.approx(sum(one) / 4)


def test_tokenbench_takes_one_error_per_clip():
    pair = noisy_pair(clips=1, frames=3, size=16)
    pair.reconstructions[:, :, 0] = pair.originals[:, :, 0]  # one frame is perfect
    assert PSNR(CANONICAL).measure(pair)["psnr"].item() == math.inf
    error = squared_errors(pair.originals, pair.reconstructions).mean().item()
    measured = PSNR(PROTOCOLS["tokenbench"]).measure(pair)["psnr"].item()
    assert measured == pytest.approx(psnr_from_mse(error))


def test_vidtok_adds_its_epsilon_to_the_error_of_values_in_0_1():
    clip = torch.zeros(1, 3, 2, 8, 8, dtype=torch.uint8)
    measured = PSNR(PROTOCOLS["vidtok"]).measure(Pair(clip, clip.clone(), None))["psnr"].item()
    assert measured == pytest.approx(80.0)


def measured_caveat(pair: Pair, protocol: str = CANONICAL.name) -> str | None:
    metric = PSNR(PROTOCOLS[protocol])
    return metric.caveat(metric.measure(pair))


def test_the_caveat_counts_the_samples_that_make_the_mean_infinite():
    pair = noisy_pair(clips=3, frames=1, size=8)
    assert measured_caveat(pair) is None
    pair.reconstructions[1] = pair.originals[1]
    assert measured_caveat(pair) == (
        "1 of 3 samples are reproduced exactly, which makes the mean infinite; see the pooled value"
    )
    everything = Pair(pair.originals, pair.originals.clone(), None)
    assert measured_caveat(everything) is None  # then infinity is the whole truth


def test_a_perfect_frame_makes_its_clip_infinite_and_the_caveat_says_so():
    pair = noisy_pair(clips=3, frames=4, size=8)
    pair.originals[:, :, 0] = pair.reconstructions[:, :, 0] = 0  # clips that begin in black
    caveat = measured_caveat(pair)
    assert caveat is not None
    assert caveat.startswith("3 of 3 samples have frames that are reproduced exactly")
    assert measured_caveat(pair, "tokenbench") is None  # one error per clip
    assert measured_caveat(pair, "vidtok") is None  # an error is added to every frame's


@pytest.mark.parametrize("name", ["vistok-eval-v1", "wetok", "titok"])
def test_psnr_equals_scikit_images_on_the_protocols_8_bit_values(name):
    pair = noisy_pair(clips=3, frames=1, size=24)
    before = truncated(pair)[0] if name == "wetok" else rounded(pair)[0]
    after = rounded(pair)[1] if name == "vistok-eval-v1" else truncated(pair)[1]
    measured = PSNR(PROTOCOLS[name]).measure(pair)["psnr"]
    for clip in range(3):
        expected = peak_signal_noise_ratio(before[clip], after[clip], data_range=255)
        assert measured[clip].item() == pytest.approx(expected, abs=1e-9)


def rounded(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Channels last, single frames."""
    before, after = (
        x[:, :, 0].movedim(1, -1).numpy() for x in (pair.originals, pair.reconstructions)
    )
    return before, after


def truncated(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """As the published script makes 8 bits: `(x + 1) / 2 * 255` cut off, on both sides."""
    loaded = (pair.originals.numpy() / 127.5 - 1).astype(np.float32)
    assert pair.pixels is not None
    before, after = (
        ((x + 1) / 2 * 255).astype(np.uint8)[:, :, 0].transpose(0, 2, 3, 1)
        for x in (loaded, pair.pixels.numpy())
    )
    return before, after


def test_truncation_changes_95_gray_levels_of_an_untouched_original():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 1, 16, 16).repeat(1, 3, 1, 1, 1)
    pair = Pair(levels, levels, None)
    before, _ = pair.values("truncated")
    assert (before[0, 0] != levels[0, 0]).sum() == 95
    # A loader to [0, 1] loses none
    unit = levels.numpy().astype(np.float32) / np.float32(255)
    assert np.array_equal((unit * np.float32(255)).astype(np.uint8), levels.numpy())
