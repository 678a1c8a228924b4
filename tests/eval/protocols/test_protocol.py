"""Protocols: what they say they do is what changes the numbers."""

import pytest

from vistok import evaluate
from vistok.eval.protocols.protocol import CANONICAL, PROTOCOLS


def test_every_protocol_has_a_hash_of_its_own():
    assert len({rules.hash for rules in PROTOCOLS.values()}) == len(PROTOCOLS) == 5
    assert CANONICAL.hash == PROTOCOLS["vistok-eval-v1"].hash


def test_no_rules_have_changed_under_their_name():
    # Scores of one name must be comparable for ever: a change of rules is a new name.
    assert CANONICAL.name == "vistok-eval-v1"
    assert {name: rules.hash for name, rules in PROTOCOLS.items()} == {
        "vistok-eval-v1": "024a3b492754",
        "wetok": "cb0233b2fb59",
        "vidtok": "c11dfcafd216",
        "tokenbench": "ad417d0db7bc",
        "titok": "0c379db1a1fa",
    }


@pytest.mark.parametrize("name", ["wetok", "titok"])
def test_presets_carry_the_canonical_row_beside_their_own(name):
    (row,) = evaluate("samples:heldout", "jpeg:q=50", size=64, metrics=["psnr"], protocol=name)
    (ours,) = evaluate("samples:heldout", "jpeg:q=50", size=64, metrics=["psnr"])
    assert (row.protocol, ours.protocol) == (PROTOCOLS[name], CANONICAL)
    assert row.canonical is not None
    assert row.canonical.protocol == CANONICAL
    assert row.canonical.metrics == ours.metrics
    assert row.metrics["psnr"] != pytest.approx(ours.metrics["psnr"], abs=1e-3)
    assert ours.canonical is None


@pytest.mark.parametrize(("name", "frames"), [("vidtok", 17), ("tokenbench", 33)])
def test_video_presets_take_clips_at_their_rate(name, frames):
    options = {"size": 64, "limit": 2, "metrics": ["psnr", "ssim"], "frames": frames}
    (row,) = evaluate("samples:videos", "bicubic:f=4", protocol=name, **options)
    assert row.frames == frames
    assert row.canonical is not None
    assert row.canonical.metrics["psnr"] != row.metrics["psnr"]


def test_vidtok_takes_17_frames_where_nobody_says():
    (row,) = evaluate("samples:videos", "identity", size=32, limit=1, metrics=["psnr"],
                      protocol="vidtok")  # fmt: skip
    assert row.frames == 17
    assert row.metrics["psnr"] == pytest.approx(80)  # by its epsilon, where ours is infinite
    assert row.canonical is not None
    assert row.canonical.metrics["psnr"] == float("inf")


def test_unknown_protocols_and_lengths_are_refused():
    with pytest.raises(ValueError, match="protocol must be one of vistok-eval-v1"):
        evaluate("samples:heldout", "identity", protocol="titokk")
    with pytest.raises(ValueError, match="tokenbench takes clips of up to 300 frames, got 301"):
        evaluate("samples:videos", "identity", protocol="tokenbench", frames=301)
