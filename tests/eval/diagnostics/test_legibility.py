"""Legibility: blurred letters are misread, clean ones are not; Tesseract may be absent."""

import shutil

import pytest
import torch.nn.functional as F

from planted import Planted, photos
from vistok.eval.diagnostics.diagnostic import DiagnosticInputs, NotExaminedError
from vistok.eval.diagnostics.legibility import (
    Legibility,
    _summary,
    character_error_rate,
    render_page,
)

needs_tesseract = pytest.mark.skipif(
    shutil.which("tesseract") is None, reason="the program tesseract is not installed"
)


def blurred(x):
    frames = x.flatten(0, 2).unsqueeze(1)
    return F.avg_pool2d(F.pad(frames, (4, 4, 4, 4), mode="replicate"), 9, 1).view(x.shape)


@needs_tesseract
def test_blurred_text_is_misread_and_clean_text_is_not():
    inputs = DiagnosticInputs(photos(128), None)
    clean = Legibility().run(Planted(), inputs).numbers
    coded = Legibility().run(Planted(blurred), inputs)
    assert clean["cer_14px_before"] == clean["cer_14px_after"] < 0.05
    assert coded.numbers["cer_14px_before"] < 0.05 < 0.5 < coded.numbers["cer_14px_after"]
    assert "legible" in coded.summary


@pytest.mark.parametrize(
    ("found", "text", "rate"),
    [
        ("apples", "apples", 0),
        ("aples", "apples", 1 / 6),
        ("apppples", "apples", 2 / 6),
        ("opplez", "apples", 2 / 6),
        ("", "apples", 1),
        ("kitten", "sitting", 3 / 7),
    ],
)
def test_the_error_rate_is_the_edit_distance_over_the_length(found, text, rate):
    assert character_error_rate(found, text) == pytest.approx(rate)


def test_a_page_holds_whole_words_inside_its_margins():
    page, text = render_page(96, 14)
    assert len(text.split()) >= 5
    dark = (page < 128).any(dim=0)
    assert dark.any()
    assert not dark[:, :7].any()
    assert not dark[:, -7:].any()


def test_without_the_program_the_test_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotExaminedError, match="tesseract is not installed"):
        Legibility().run(Planted(), DiagnosticInputs(photos(128), None))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (4 * [0.0], 4 * [0.0], "letters of 10 pixels and more are legible"),
        (4 * [0.0], [0.9, 0.9, 0.0, 0.0], "letters of 20 pixels and more are legible"),
        (4 * [0.0], 4 * [0.9], "not even letters of 28 pixels"),
        (4 * [0.9], 4 * [0.9], "no text is legible before reconstruction"),
        ([0.9, 0.0, 0.0, 0.0], [0.9, 0.0, 0.0, 0.0], "letters of 14 pixels and more are legible"),
        ([0.0, 0.0, 0.0, 0.9], 4 * [0.9], "not even letters of 20 pixels"),
    ],
)
def test_only_sizes_that_are_legible_before_say_something(before, after, words):
    assert words in _summary(before, after)
