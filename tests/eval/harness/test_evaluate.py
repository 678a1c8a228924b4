"""The harness: invariances, baselines, and reports that browsers and programs can read."""

import json
import math

import jaxtyping
import pytest
import torch
from PIL import Image

from tiny import tiny_tokenizer
from vistok import evaluate
from vistok.eval.protocols.protocol import PROTOCOLS
from vistok.eval.reconstructors.catalog import open_reconstructors
from vistok.eval.reconstructors.saved_tokenizer import TokenizerReconstructor
from vistok.eval.report.report import Report

SOURCE = "samples:heldout"


def test_identity_is_perfect():
    (row,) = evaluate(SOURCE, "identity", size=64)
    assert row.metrics["psnr"] == math.inf
    assert row.metrics["ssim"] == pytest.approx(1.0)
    assert row.bits_per_pixel == 24
    assert row.num_samples == 4


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_scores_do_not_depend_on_the_batch_size(batch_size):
    (reference,) = evaluate(SOURCE, "bicubic:f=4", size=64, batch_size=2)
    (row,) = evaluate(SOURCE, "bicubic:f=4", size=64, batch_size=batch_size)
    assert row.metrics == pytest.approx(reference.metrics, abs=1e-6)
    (through_net,) = evaluate(SOURCE, tiny_tokenizer(), size=64, batch_size=batch_size)
    (one,) = evaluate(SOURCE, tiny_tokenizer(), size=64, batch_size=1)
    assert through_net.metrics["psnr"] == pytest.approx(one.metrics["psnr"], abs=1e-3)


def test_noise_of_known_strength_has_the_closed_form_psnr():
    def noisy(pixels):
        generator = torch.Generator().manual_seed(0)
        sign = torch.randint(0, 2, pixels.shape, generator=generator) * 2 - 1
        gray = torch.zeros_like(pixels)
        return gray + sign * (20.0 / 127.5) + pixels * 0

    def gray(pixels):
        return pixels * 0

    (a,) = evaluate(SOURCE, noisy, size=64, metrics=("psnr",))
    (b,) = evaluate(SOURCE, gray, size=64, metrics=("psnr",))
    # independent errors add: MSE(noisy) = MSE(gray) + 20^2, up to rounding of 127.5 and correlation
    mse_a = 255**2 / 10 ** (a.metrics["psnr_pooled"] / 10)
    mse_b = 255**2 / 10 ** (b.metrics["psnr_pooled"] / 10)
    assert mse_a - mse_b == pytest.approx(400, rel=0.1)


def test_a_perfect_sample_makes_the_mean_infinite_and_the_row_says_so(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    generator = torch.Generator().manual_seed(0)
    for name in "abc":
        noise = torch.randint(0, 256, (64, 64, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(noise.numpy()).save(tmp_path / f"{name}.png")
    (row,) = evaluate(tmp_path, "jpeg:q=50", size=64, metrics=("psnr",))
    assert row.metrics["psnr"] == math.inf
    assert row.metrics["psnr_pooled"] < 40
    assert row.caveats["psnr"].startswith("1 of 4 samples are reproduced exactly")
    (perfect,) = evaluate(tmp_path, "identity", size=64, metrics=("psnr",))
    assert "psnr" not in perfect.caveats


def test_the_pooled_psnr_lies_below_the_mean():
    (row,) = evaluate(SOURCE, "bicubic:f=8", size=128)
    assert row.metrics["psnr_pooled"] < row.metrics["psnr"]
    values = [float(sample["psnr"]) for sample in row.per_sample]
    assert row.metrics["psnr"] == pytest.approx(sum(values) / len(values))


def test_clips_are_scored_frame_by_frame():
    (row,) = evaluate("samples:videos", "bicubic:f=4", size=64, frames=5, limit=3)
    assert (row.num_samples, row.frames) == (3, 5)


def test_a_tokenizer_reports_its_rate_size_and_speed():
    (row,) = evaluate(SOURCE, tiny_tokenizer(), size=64)
    assert row.bits_per_pixel == pytest.approx(math.log2(64_000) / 64)
    assert row.parameters == sum(p.numel() for p in tiny_tokenizer().parameters())
    assert row.encode_samples_per_second is not None
    assert row.decode_samples_per_second is not None
    assert row.encode_samples_per_second > 0
    assert row.decode_samples_per_second > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scores_of_other_weights_than_float32_carry_a_caveat(dtype):
    # So few codes that the tokens of four images say how they are used.
    tokenizer = tiny_tokenizer(bottleneck={"kind": "fsq", "levels": [3, 3]})
    (row,) = evaluate(SOURCE, tokenizer, size=64, metrics=["psnr", "codebook_usage"])
    assert row.caveats == {}
    (row,) = evaluate(SOURCE, tokenizer.to(dtype), size=64, metrics=["psnr", "codebook_usage"])
    assert row.caveats.keys() == row.metrics.keys()
    name = str(dtype).removeprefix("torch.")
    assert set(row.caveats.values()) == {
        f"the weights were in {name}; the protocol requires float32"
    }


def test_rows_keep_the_order_of_the_tokenizers():
    rows = evaluate(SOURCE, ["bicubic:f=2", "identity", tiny_tokenizer()], size=64)
    assert [row.tokenizer for row in rows][:2] == ["bicubic:f=2", "identity"]


def test_tokenizers_of_one_name_are_told_apart():
    tokenizer = TokenizerReconstructor("tiny", tiny_tokenizer())
    tokenizers = ["bicubic:f=2", tokenizer, "bicubic:f=2", tokenizer]
    rows = evaluate(SOURCE, tokenizers, size=32, metrics=("psnr",), limit=1)
    names = [row.tokenizer for row in rows]
    assert names == ["bicubic:f=2", "tiny", "bicubic:f=2 (2)", "tiny (2)"]
    assert rows[1].metrics == rows[3].metrics
    assert tokenizer.name == "tiny"  # the caller's own is left as it is
    (row,) = evaluate(SOURCE, [*tokenizers[:1]], size=32, metrics=("psnr",), limit=1)
    assert row.tokenizer == "bicubic:f=2"


def test_files_that_cannot_be_read_are_listed_not_scored(tmp_path):
    from vistok.data.sources.bundled import SAMPLES

    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    good = SAMPLES / "images" / "kodim01.jpg"
    (tmp_path / "b.jpg").write_bytes(good.read_bytes())
    (row,) = evaluate(tmp_path, "identity", size=64, batch_size=1)
    assert row.num_samples == 1
    assert [bad.path.endswith("a.png") for bad in row.bad_files] == [True]
    (tmp_path / "b.jpg").unlink()
    with pytest.raises(ValueError, match="none of the 1 files could be read"):
        evaluate(tmp_path, "identity", size=64)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("bicubic", ValueError, "written bicubic:f=8"),
        ("bicubic:f=0", ValueError, "f must be >= 1"),
        ("./nothing", FileNotFoundError, "no tokenizer at ./nothing"),
    ],
)
def test_unknown_reconstructors_are_refused(spec, error, message):
    with pytest.raises(error, match=message):
        open_reconstructors(spec)


def test_folders_are_paths_or_names(saved_tokenizer):
    alone = evaluate(SOURCE, saved_tokenizer, size=64, metrics=["psnr"])
    both = evaluate(SOURCE, [saved_tokenizer, str(saved_tokenizer)], size=64, metrics=["psnr"])
    name = str(saved_tokenizer)
    assert [row.tokenizer for row in [*alone, *both]] == [name, name, f"{name} (2)"]
    assert both[0].metrics == both[1].metrics == alone[0].metrics


@pytest.mark.parametrize("tokenizers", [5, ["identity", 5]])
def test_what_is_no_tokenizer_is_named(tokenizers, monkeypatch):
    # The annotations that tests check would refuse it first.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(TypeError, match="or a function of pixels, got 5"):
        evaluate(SOURCE, tokenizers, size=64)


def test_unknown_metrics_are_refused():
    with pytest.raises(ValueError, match="got 'psrn'; did you mean psnr"):
        evaluate(SOURCE, "identity", metrics=("psrn",))


def test_the_report_is_valid_json_for_browsers(tmp_path):
    rows = evaluate(SOURCE, ["identity", "bicubic:f=8"], size=64)
    report = Report(SOURCE, PROTOCOLS["vistok-eval-v1"], rows)
    report.write(tmp_path)
    value = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert value["protocol"] == "vistok-eval-v1"
    assert len(value["protocol_hash"]) == 12
    perfect, blurred = value["rows"]
    assert perfect["metrics"]["psnr"] is None
    assert perfect["metrics"]["psnr_infinite"] is True
    assert blurred["metrics"]["psnr"] == rows[1].metrics["psnr"]
    assert {"num_samples", "size", "unavailable", "bits_per_pixel", "parameters"} <= perfect.keys()


def test_codebook_use_is_counted_over_the_whole_evaluation_and_per_group():
    tokenizer = tiny_tokenizer("image", {"kind": "gq", "num_groups": 2, "bits_per_group": 3})
    rows = [evaluate(SOURCE, tokenizer, size=64, batch_size=n)[0] for n in (1, 4)]
    assert rows[0].code_use == rows[1].code_use
    use = rows[0].code_use
    assert use is not None
    assert len(use.usage) == len(use.perplexity) == len(use.entropy) == 2
    assert rows[0].metrics["codebook_usage"] == pytest.approx(sum(use.usage) / 2)
    assert rows[0].metrics["codebook_perplexity"] == pytest.approx(sum(use.perplexity) / 2)
    assert use.nominal_bits_per_pixel == pytest.approx(rows[0].bits_per_pixel)
    assert use.nominal_bits_per_pixel is not None
    assert use.effective_bits_per_pixel is not None
    assert use.effective_bits_per_pixel <= use.nominal_bits_per_pixel


def test_codebook_metrics_of_what_has_no_codebook_are_named_unavailable():
    continuous = tiny_tokenizer("image", {"kind": "kl", "latent_channels": 3})
    for row in evaluate(SOURCE, ["identity", continuous], size=64):
        assert row.code_use is None
        assert "codebook_usage" not in row.metrics
        assert row.unavailable["codebook_usage"] == "has no codebook"


def test_the_use_of_a_codebook_on_few_tokens_carries_a_caveat():
    names = ("codebook_usage", "codebook_perplexity", "codebook_entropy")
    large = tiny_tokenizer(bottleneck={"kind": "fsq", "levels": [8, 8, 8]})
    (few,) = evaluate(SOURCE, large, size=64, metrics=("psnr", *names))
    assert few.caveats.keys() == {*names, "empirical_bits_per_pixel"}
    assert few.caveats["codebook_entropy"].startswith("256 indices understate the use of 512 codes")
    small = tiny_tokenizer(bottleneck={"kind": "fsq", "levels": [3, 3]})
    (enough,) = evaluate(SOURCE, small, size=64, metrics=("psnr", *names))
    assert enough.caveats == {}
    (continuous,) = evaluate(SOURCE, "identity", size=64, metrics=("psnr", *names))
    assert "codebook_entropy" not in continuous.caveats
