"""The HTML of a comparison: complete without a network, and safe whatever names contain."""

import re
from dataclasses import replace
from math import inf

import pytest
import torch

from tiny import tiny_tokenizer, tiny_wetok
from vistok.data.codecs.video import read_clip
from vistok.data.sources.bundled import SAMPLES
from vistok.eval.reconstructors.catalog import open_all
from vistok.page.clip import OpenedClip
from vistok.page.comparison import Comparison, Failure, compare
from vistok.page.view import size_text, view


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    pixels = read_clip(SAMPLES / "videos" / "asl_bird_0.mp4", 2)[:, :, :32, :48].contiguous()
    clip = OpenedClip("<b>clip</b>.mp4", pixels, 1234, ("Only the first 2 frames.",))
    items = [tiny_tokenizer(), tiny_wetok(), "jpeg:q=50", "identity"]
    return compare(clip, open_all(items, "cpu", torch.float32))


def test_every_result_has_a_line_and_its_images(comparison: Comparison):
    html = view(comparison, 1)
    assert html.count("<section>") == 4
    names = re.findall(r"<td title=\"(.*?)\">", html)
    assert names == ["uncompressed", "tokenizer", "tokenizer (2)", "jpeg:q=50", "identity"]
    assert html.count("reconstruction by") == 4
    assert html.count('alt="codes of') == 1 + 2
    assert html.count("no codes") == 2
    for text in ("48 × 32 pixels, 2 frames (frame 2 of 2 shown)", "1.2 kB", "exact",
                 "Only the first 2 frames.", "group 2"):  # fmt: skip
        assert text in html


def test_frames_differ(comparison: Comparison):
    assert view(comparison, 0) != view(comparison, 1)


def test_nothing_is_loaded_from_elsewhere(comparison: Comparison):
    html = view(comparison)
    assert "http" not in html
    assert "<script" not in html
    sources = re.findall(r'(?:src="|url\()(.{5})', html)
    assert set(sources) == {"data:"}


def test_names_and_reasons_are_shown_literally(comparison: Comparison):
    failure = Failure("<img src=x onerror=alert(1)>", "<script>alert(1)</script>")
    results = tuple(replace(one, name="<i>a</i>", psnr=inf) for one in comparison.results)
    html = view(replace(comparison, results=results, failures=(failure,)))
    for text in ("<b>clip", "<img src=x", "<script", "<i>a"):
        assert text not in html
    assert "&lt;script&gt;alert(1)" in html


def test_sizes_are_in_decimal_units():
    assert [size_text(n) for n in (0, 999, 1000, 999_900, 2_500_000)] == [
        "0 B", "999 B", "1.0 kB", "999.9 kB", "2.50 MB",
    ]  # fmt: skip
