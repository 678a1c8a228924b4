"""The page, without a browser: complete, self-contained, and nothing in it can break out."""

import json
import re
from dataclasses import replace

import pytest
import torch

from full_disk import full_disk
from made_rows import discrete_row, examples, preset_row, row, some_rows
from planted import photos
from vistok.eval.diagnostics.finding import Finding
from vistok.eval.protocols.protocol import CANONICAL
from vistok.eval.report.report import Report
from vistok.output_file import OutputError


def html(tmp_path, rows, battery=()):
    Report("a source", CANONICAL, rows, battery=battery).write(tmp_path)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_every_named_image_is_in_the_page_once(tmp_path):
    page = html(tmp_path, some_rows())
    (stored,) = map(json.loads, re.findall('id="images">(.*?)</script>', page, re.DOTALL))
    named = set(re.findall('data-image="(.*?)"', page))
    (compared,) = map(json.loads, re.findall('id="compare-data">(.*?)</script>', page, re.DOTALL))
    named |= {id for shown in compared.values() for id in shown.values()}
    assert named == stored.keys()
    assert len(set(stored.values())) == len(stored)
    assert all(uri.startswith("data:image/webp;base64,") for uri in stored.values())


def test_a_full_disk_is_reported_with_the_path_of_the_report(tmp_path):
    with full_disk(100), pytest.raises(OutputError, match=r"report\.json"):
        html(tmp_path, [discrete_row()])
    assert not list(tmp_path.iterdir())


def test_the_page_asks_for_nothing(tmp_path):
    page = html(tmp_path, some_rows())
    assert not re.search(r"(src|href)=\"(?!#|data:)", page)
    assert "@import" not in page
    assert "url(" not in page


def test_names_cannot_break_out_of_the_page(tmp_path):
    evil = "</script><script>alert(1)</script>"
    shown = [replace(example, key=evil) for example in examples()]
    page = html(tmp_path, [row(evil, 0.5, 20.0, examples=shown, settings=evil)])
    assert "<script>alert" not in page


def test_mixed_rules_are_announced(tmp_path):
    assert "are not comparable" in html(tmp_path, [preset_row()])
    assert "are not comparable" not in html(tmp_path, [discrete_row()])


def test_clips_have_strips_of_frames(tmp_path):
    clips = row("video", 0.1, 25.0, frames=9, examples=examples(frames=8))
    page = html(tmp_path, [clips])
    # worst, median and best: originals, reconstructions and errors of eight frames each
    assert page.count('class="strip"') == 3
    assert len(re.findall('class="strip".*?</figure>', page, re.DOTALL)[0].split("<img")) - 1 == 24


def test_tokenizers_of_one_name_are_numbered(tmp_path):
    page = html(tmp_path, [discrete_row("tokenizer"), discrete_row("tokenizer")])
    assert "tokenizer (2)" in page


def test_tokenizers_are_named_by_what_tells_their_paths_apart(tmp_path):
    rows = [row(f"runs/{name}/tokenizer", 0.2, 25.0, dtype="float32") for name in ("one", "two")]
    finding = Finding("drift", rows[1].tokenizer, {"drift_db": 0.1}, "steady")
    Report("samples:heldout", rows[0].protocol, rows, battery=[finding]).write(tmp_path)
    stored = json.loads((tmp_path / "report.json").read_text())
    assert [one["tokenizer"] for one in stored["rows"]] == [one.tokenizer for one in rows]
    page, text = ((tmp_path / f"report.{kind}").read_text() for kind in ("html", "md"))
    for shown in ("<td>two</td>", ">one<", ">two<"):  # the finding, and labels of the plots
        assert shown in page
    assert "| one |" in text
    for report in (page, text):  # once each, in the provenance
        assert report.count("runs/one/tokenizer") == report.count("runs/two/tokenizer") == 1


def test_findings_stand_in_the_page_with_their_images(tmp_path):
    battery = [
        Finding(
            "flat_field", "a", {"stride_2_levels": 1.25}, "a pattern", image=photos(64)[0, :, 0]
        ),
        Finding("flat_field", "b", {}, "", unavailable="too small"),
    ]
    page = html(tmp_path, [row("a", 0.5, 20.0)], battery)
    assert "Artifacts" in page
    assert "1.25" in page
    assert "b: too small" in page
    assert "Artifacts" not in html(tmp_path, [row("a", 0.5, 20.0)])


def with_a_perfect_sample(name, rate, pooled):
    made = row(name, rate, float("inf"), examples=examples())
    made.metrics["psnr_pooled"] = pooled
    return made


def test_a_perfect_sample_does_not_hide_the_others(tmp_path):
    rows = [
        with_a_perfect_sample("a/model", 0.5, 24.13),
        with_a_perfect_sample("jpeg:q=50", 1.0, 27.5),
        row("jpeg:q=90", 2.0, 33.0),
    ]
    page = html(tmp_path, rows)
    assert "Reconstructions" in page
    assert "24.13 dB pooled" in page
    (plot,) = re.findall(r"<svg[^>]*pooled PSNR \(dB\) over bits per pixel.*?</svg>", page, re.S)
    assert ">model: 24.13 at 0.5 bits per pixel" in plot
    # the codec's curve is drawn by the same measure: 33 dB is its mean, 32.5 its pooled value
    assert "jpeg:q=90: 32.50 at 2 bits per pixel" in plot
    assert "PSNR is pooled over all samples here" in page


def test_without_perfect_samples_plots_show_the_mean(tmp_path):
    rows = [row("identity", 24.0, float("inf")), row("a", 0.5, 20.0), row("b", 1.0, 25.0)]
    page = html(tmp_path, rows)
    assert "a: 20.00 at 0.5 bits per pixel" in page
    assert "pooled over all samples" not in page


def test_a_perfect_reconstruction_is_not_shown_and_nothing_else_breaks(tmp_path):
    page = html(tmp_path, [row("identity", 24.0, float("inf"), examples=examples())])
    assert "Reconstructions" not in page
    assert torch.isfinite(
        torch.tensor([float(x) for x in re.findall(r'cx="([\d.]+)"', page)])
    ).all()
