"""The battery: every diagnostic on every reconstructor; one that cannot run gives the reason."""

from fractions import Fraction

import pytest
import torch

from planted import Planted, moving, photos
from vistok.data.codecs.write import write_image, write_video
from vistok.data.sources.source import list_source
from vistok.eval.diagnostics.battery import (
    DIAGNOSTICS,
    gather_inputs,
    run_battery,
    run_diagnostics,
)
from vistok.eval.diagnostics.diagnostic import DiagnosticInputs
from vistok.eval.diagnostics.flicker import Flicker
from vistok.eval.diagnostics.seams import Seams
from vistok.eval.reconstructors.catalog import open_all
from vistok.eval.reconstructors.folder import Folder
from vistok.eval.reconstructors.identity import Identity


def test_every_diagnostic_answers_for_every_reconstructor():
    inputs = DiagnosticInputs(photos(64, 1), moving(64, 9))
    findings = run_battery([Identity(), Planted()], inputs)
    assert [(f.test, f.tokenizer) for f in findings] == [
        (test.name, name) for test in DIAGNOSTICS for name in ("identity", "planted")
    ]
    for finding in findings:
        assert bool(finding.numbers) != bool(finding.unavailable)
    assert {f.unavailable for f in findings if f.test == "flat_field"} == {
        "needs images of at least 86 pixels, got 64"
    }


def test_finished_reconstructions_cannot_be_examined(tmp_path):
    write_image(tmp_path / "a.png", photos(32, 1)[0, :, 0])
    (finding,) = run_battery(
        [Folder(str(tmp_path))], DiagnosticInputs(photos(32, 1), None), [Flicker()]
    )
    assert "existing reconstructions" in (finding.unavailable or "")


def test_inputs_are_the_first_readable_images_and_clips(tmp_path):
    inputs = gather_inputs(list_source("samples:all"), 32)
    assert inputs.images.shape == (4, 3, 1, 32, 32)
    assert inputs.clips is not None
    assert inputs.clips.shape == (2, 3, 17, 32, 32)
    only_clips = gather_inputs(list_source("samples:videos"), 32)
    assert only_clips.images.shape == (2, 3, 1, 32, 32)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ValueError, match="no readable image and no readable clip of 17 frames"):
        gather_inputs(list_source(tmp_path), 32)


def test_findings_carry_the_unique_names_of_their_reconstructors():
    names = ["identity", "bicubic:f=2", "bicubic:f=2"]
    reconstructors = open_all(names, "cpu", torch.float32)
    findings = run_diagnostics("samples:heldout", reconstructors, size=48)
    assert [finding.tokenizer for finding in findings if finding.test == "drift"] == [
        "identity",
        "bicubic:f=2",
        "bicubic:f=2 (2)",
    ]
    drift = {f.tokenizer: f.numbers["psnr_8_db"] for f in findings if f.test == "drift"}
    assert drift["bicubic:f=2"] < drift["identity"] == float("inf")


def test_clips_have_the_frames_of_the_evaluation_and_what_cannot_be_read_is_said(tmp_path):
    write_video(tmp_path / "short.mp4", moving(64, 9)[0].unbind(1), fps=Fraction(10))
    short = run_diagnostics(tmp_path, [Identity()], size=64, frames=9)
    assert any(finding.numbers for finding in short)
    findings = run_diagnostics(tmp_path, [Identity()], size=64)
    assert [finding.test for finding in findings] == [test.name for test in DIAGNOSTICS]
    for finding in findings:
        assert "no readable clip of 17 frames" in (finding.unavailable or "")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("out of memory"), "out of memory"),
        (NotImplementedError(), "NotImplementedError"),
        (FloatingPointError("decodes to NaN"), "decodes to NaN"),
    ],
)
def test_a_test_that_fails_stops_no_other(error, words):
    def failing(pixels):
        raise error

    reconstructors = [Planted(failing), Identity()]
    failed, other = run_battery(
        reconstructors, DiagnosticInputs(photos(64, 1), moving(64, 9)), [Flicker()]
    )
    assert (failed.numbers, failed.unavailable) == ({}, words)
    assert other.numbers


def test_names_of_tests_are_told_apart():
    assert len({test.name for test in DIAGNOSTICS}) == len(DIAGNOSTICS)
    assert Seams.name in {test.name for test in DIAGNOSTICS}
