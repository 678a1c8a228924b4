"""One evaluation of a dozen autoencoders of diffusers and of codecs, with one report."""

import json
from math import isfinite

from diffusers_models import TINY, save

from vistok import evaluate

CASES = (
    "AutoencoderKL",
    "AutoencoderKL no quant conv",
    "AutoencoderKLFlux2",
    "AutoencoderKLHunyuanImage",
    "AutoencoderDC",
    "AutoencoderTiny",
    "VQModel",
    "AutoencoderKLQwenImage",
    "AutoencoderKLWan",
    "AutoencoderKLHunyuanVideo",
    "AutoencoderKLLTXVideo",
    "AutoencoderKLCogVideoX",
)


def test_a_dozen_autoencoders_and_codecs_are_scored_in_one_report(tmp_path):
    names = [save(case, tmp_path / case.replace(" ", "-")) for case in CASES]
    report = tmp_path / "report"
    rows = evaluate(
        "samples:heldout",
        [*names, "jpeg:q=50,90", "webp:q=50"],
        size=64,
        limit=2,
        metrics=("psnr", "ssim"),
        output=report,
    )
    subjects = [*names, "jpeg:q=50", "jpeg:q=90", "webp:q=50"]
    assert [row.tokenizer for row in rows] == subjects
    for row in rows:
        assert row.num_samples == 2
        assert isfinite(row.metrics["psnr"])
        assert row.bits_per_pixel is not None
        assert row.bits_per_pixel > 0
    assert min(row.metrics["psnr"] for row in rows[-3:]) > 25
    by_case = dict(zip(CASES, rows, strict=False))
    # 16 bits for each value of a continuous latent, log2 of the codebook's size for an index
    latents, side = TINY["AutoencoderKL"].options["latent_channels"], 4
    assert by_case["AutoencoderKL"].bits_per_pixel == 16 * latents / side**2
    assert by_case["VQModel"].bits_per_pixel == 5 / side**2

    stored = json.loads((report / "report.json").read_text())["rows"]
    assert [row["tokenizer"] for row in stored] == subjects
    page = (report / "report.html").read_text()
    assert all(row.tokenizer.rpartition("/")[2] in page for row in rows)
