"""The binary family: exact entropies, by brute force and against WeTok's own tensors."""

import json
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from commands import run_process
from vistok import BSQ, GQ, LFQ
from vistok.tokenizers.bottlenecks.binary import Binary
from vistok.tokenizers.entropy import binary_entropy


def brute_force(quantizer: Binary, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the terms as the papers write them: a softmax over the listed codebook, in fp64."""
    x = x.double()
    if isinstance(quantizer, BSQ):
        x = x / x.norm(dim=-1, keepdim=True)
    sample, histograms, at = [], [], 0
    for bits in quantizer.bits_per_group:
        words = torch.arange(2**bits).unsqueeze(1)
        codes = quantizer.scale * (2 * (words >> torch.arange(bits) & 1) - 1).double()
        logits = 2 * x[:, at : at + bits] @ codes.t() / quantizer.losses.temperature
        sample.append(torch.distributions.Categorical(logits=logits).entropy().mean())
        histograms.append(logits.softmax(dim=1).mean(dim=0))
        at += bits
    if quantizer.losses.reduction == "reference":
        histograms = [torch.stack(histograms).mean(dim=0)]
        sample = [torch.stack(sample).mean()]
    eps = quantizer.losses.entropy_eps
    return {
        "sample_entropy": torch.stack(sample).sum(),
        "codebook_entropy": torch.stack([-(p * (p + eps).log()).sum() for p in histograms]).sum(),
        "commitment": (x - quantizer.scale * torch.where(x > 0, 1.0, -1.0)).square().mean(),
    }


FAMILY = [
    LFQ(bits=7),
    LFQ(bits=1),
    GQ(num_groups=3, bits_per_group=4),
    GQ(num_groups=3, bits_per_group=5, reduction="reference"),
    GQ(bits_per_group=(6, 3)),
    BSQ(bits=6),
    BSQ(bits=8, num_groups=2, reduction="reference"),
]


@pytest.mark.parametrize("quantizer", FAMILY, ids=lambda q: f"{type(q).__name__} {q.group_sizes}")
@pytest.mark.parametrize("chunk", [2**20, 64], ids=["one chunk", "many chunks"])
def test_every_term_and_gradient_is_that_of_the_definition(quantizer, chunk, monkeypatch):
    monkeypatch.setattr(binary_entropy, "CHUNK_ELEMENTS", chunk)
    x = 0.02 * torch.randn(50, quantizer.dim, generator=torch.Generator().manual_seed(0))
    ours, theirs = x.double().requires_grad_(), x.double().requires_grad_()
    out, expected = quantizer.train()(ours), brute_force(quantizer, theirs)
    for name, value in expected.items():
        # terms come back in fp32
        torch.testing.assert_close(out.terms[name].double(), value, rtol=1e-6, atol=1e-6)
        (gradient,) = torch.autograd.grad(out.terms[name], ours, retain_graph=True)
        (reference,) = torch.autograd.grad(value, theirs, retain_graph=True)
        # softplus is exactly linear above 20, which is 2e-9 per unit of a logit of slope 400
        torch.testing.assert_close(gradient, reference, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("chunk", [2**20, 64], ids=["one chunk", "many chunks"])
@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_the_fast_entropies_are_those_of_the_exact_assignment(bits, chunk, dtype, monkeypatch):
    monkeypatch.setattr(binary_entropy, "CHUNK_ELEMENTS", chunk)
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, 40, bits, generator=generator, dtype=dtype)
    upstream = torch.randn(2, 2**bits, generator=generator, dtype=dtype)
    fast, exact = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    p = binary_entropy.soft_assignment(exact)
    expected = (-(p * p.log()).sum(dim=-1), p.mean(dim=1))
    actual = (
        binary_entropy.bit_entropy(fast).sum(dim=-1),
        binary_entropy.mean_assignment(fast),
    )
    torch.testing.assert_close(actual, expected)
    ours, theirs = (
        torch.autograd.grad(entropies.sum() + (histograms * upstream).sum(), leaf)
        for (entropies, histograms), leaf in ((actual, fast), (expected, exact))
    )
    # in fp32 the exact form sums 2^bits probabilities, each with its own rounding
    atol = 1e-6 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("groups", [(10,), (62,), (3, 24, 25, 1)], ids=str)
def test_indices_are_the_binary_numbers_of_the_signs(groups, dtype):
    """The fp32 sums of powers of two against the integers that they stand for."""
    gq = GQ(bits_per_group=groups, codebook_entropy_weight=0.0).eval()
    x = torch.randn(100, gq.dim, generator=torch.Generator().manual_seed(0)).to(dtype)
    words = (x > 0).long().split(groups, dim=-1)
    expected = [(word << torch.arange(word.shape[-1])).sum(dim=-1) for word in words]
    assert torch.equal(gq(x).indices, torch.stack(expected, dim=-1))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 20), st.floats(1e-3, 1e3))
def test_the_histogram_is_one_whatever_the_shape(bits, vectors, scale):
    generator = torch.Generator().manual_seed(bits)
    logits = scale * torch.randn(2, vectors, bits, generator=generator)
    histogram = binary_entropy.mean_assignment(logits)
    assert histogram.shape == (2, 2**bits)
    assert (histogram >= 0).all()
    torch.testing.assert_close(histogram.sum(dim=1), torch.ones(2))


def test_the_loss_is_weighed_as_documented():
    weights = {
        "entropy_weight": 0.3,
        "sample_entropy_weight": 2.0,
        "codebook_entropy_weight": 0.5,
        "commitment_weight": 0.7,
    }
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    out = GQ(num_groups=2, bits_per_group=3, **weights)(x)
    entropy = 2.0 * out.terms["sample_entropy"] - 0.5 * out.terms["codebook_entropy"]
    torch.testing.assert_close(out.loss, 0.3 * entropy + 0.7 * out.terms["commitment"])


def test_pooling_groups_hides_a_collapse_that_the_paper_sees():
    """Two groups that always give one code each, and not the same one."""
    x = torch.cat([torch.ones(64, 4), -torch.ones(64, 4)], dim=1)
    paper = GQ(num_groups=2, bits_per_group=4)(x).terms["codebook_entropy"]
    pooled = GQ(num_groups=2, bits_per_group=4, reduction="reference")(x).terms["codebook_entropy"]
    assert paper == pytest.approx(0, abs=1e-4)
    assert pooled == pytest.approx(torch.tensor(2.0).log().item(), abs=1e-4)


def test_bits_are_counted_from_the_first_channel_and_zero_is_negative():
    x = torch.tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0], [0.0, -0.0, 1e-30]])
    assert LFQ(bits=3)(x).indices.squeeze(1).tolist() == [1, 6, 4]


def test_62_bits_survive_the_round_trip():
    lfq = LFQ(bits=62).eval()
    x = torch.randn(100, 62, generator=torch.Generator().manual_seed(0))
    out = lfq(x)
    assert torch.equal(lfq.indices_to_codes(out.indices), out.codes)
    assert out.indices.max() > 2**60


def test_an_unaffordable_histogram_is_refused_with_two_ways_out():
    with pytest.raises(ValueError, match=r"2\^30 codes.*kind gq.*codebook_entropy_weight to 0"):
        LFQ(bits=30)(torch.randn(4, 30))
    quiet = LFQ(bits=30, codebook_entropy_weight=0.0)(torch.randn(4, 30))
    assert quiet.terms["codebook_entropy"] == 0
    LFQ(bits=30).eval()(torch.randn(4, 30))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LFQ(bits=63), "bits must be from 1 to 62, got 63"),
        (lambda: LFQ(bits=0), "bits must be from 1 to 62, got 0"),
        (lambda: GQ(num_groups=2, bits_per_group=63), "bits_per_group must be from 1 to 62"),
        (lambda: GQ(num_groups=0), "num_groups must be >= 1, got 0"),
        (lambda: GQ(num_groups=3, bits_per_group=(6, 10)), r"each of the 3 groups, got \(6, 10\)"),
        (lambda: GQ(bits_per_group=(6, 10), reduction="reference"), "of one size"),
        (lambda: BSQ(bits=10, num_groups=3), "bits must be a positive multiple of num_groups"),
        (lambda: LFQ(temperature=0.0), "temperature must be > 0"),
    ],
)
def test_impossible_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.slow
def test_two_to_the_18_codes_fit_into_a_gigabyte_and_a_half():
    """N = 16384 forward and backward; the plain form's tensors would take 16 GiB each."""
    support = Path(__file__).parents[2] / "support"
    code = f"""
import sys, torch
sys.path.insert(0, {str(support)!r})
from peak_memory import peak_bytes
from vistok import LFQ
lfq, small = LFQ(bits=18), LFQ(bits=4)
def step(q, n):
    x = torch.randn(n, q.dim, requires_grad=True)
    out = q(x)
    (out.codes.sum() + out.loss).backward()
step(small, 64)
before = peak_bytes()
step(lfq, 16384)
print((peak_bytes() - before) / 2**30)
"""
    done = run_process([sys.executable, "-c", code], check=True)
    assert float(done.stdout) < 1.5  # GiB


# ---- WeTok's own tensors -------------------------------------------------------------------------


def reference_cases(folder):
    """Every stored case of a quantizer: its sidecar and tensors."""
    for sidecar in sorted(folder.rglob("*.json")):
        case = json.loads(sidecar.read_text())
        if isinstance(case, dict) and case.get("quantizer_class") in ("LFQ", "GFQ"):
            yield case, load_file(sidecar.with_suffix(".safetensors"))


def channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(1, -1)


def quantizer_of_case(case: dict) -> GQ:
    options = case["kwargs"]
    bits = options.get("factorized_bits") or (options["codebook_size"] - 1).bit_length()
    return GQ(
        num_groups=options["num_codebooks"],
        bits_per_group=bits,
        reduction="reference",
        sample_entropy_weight=options["sample_minimization_weight"],
        codebook_entropy_weight=options["batch_maximization_weight"],
    )


def test_training_equals_the_reference_in_every_term_and_gradient(parity_folder):
    cases = [(c, t) for c, t in reference_cases(parity_folder) if "entropy_aux_loss" in t]
    if not cases:
        pytest.skip(f"no training cases of WeTok's quantizer in {parity_folder}")
    for case, tensors in cases:
        gq = quantizer_of_case(case).train()
        x = tensors["input"].requires_grad_()
        out = gq(channels_last(x))
        terms = {
            "per_sample_entropy": out.terms["sample_entropy"],
            "codebook_entropy": out.terms["codebook_entropy"],
            "commitment": out.terms["commitment"],
            "entropy_aux_loss": gq.losses.sample_entropy_weight * out.terms["sample_entropy"]
            - gq.losses.codebook_entropy_weight * out.terms["codebook_entropy"],
            "total": out.loss,
        }
        assert torch.equal(out.indices.flatten(), tensors["indices"])
        torch.testing.assert_close(
            out.codes.movedim(-1, 1), tensors["quantized"], atol=2e-5, rtol=0
        )
        for name, value in terms.items():
            torch.testing.assert_close(value, tensors[name], atol=2e-5, rtol=0)
            (gradient,) = torch.autograd.grad(value, x, retain_graph=True)
            expected = tensors[f"grad.{name}"]
            # the fp32 reference gradient is itself up to 1.9e-5 from fp64
            limit = 2e-5 + 2e-5 * expected.abs().max().item()
            torch.testing.assert_close(gradient, expected, atol=limit, rtol=0)
        upstream = channels_last(tensors["ste.upstream"])
        (gradient,) = torch.autograd.grad((out.codes * upstream).sum(), x)
        torch.testing.assert_close(gradient, tensors["ste.grad_input"], atol=2e-5, rtol=0)
        evaluated = gq.eval()(channels_last(x))
        torch.testing.assert_close(
            evaluated.codes.movedim(-1, 1), tensors["eval.quantized"], atol=2e-5, rtol=0
        )
        assert evaluated.loss == tensors["eval.entropy_aux_loss"] == 0


def test_factorised_indices_equal_the_reference(parity_folder):
    cases = [(c, t) for c, t in reference_cases(parity_folder) if "indices.0" in t]
    if not cases:
        pytest.skip(f"no factorised cases of WeTok's quantizer in {parity_folder}")
    for case, tensors in cases:
        gq = (
            quantizer_of_case(
                {
                    "kwargs": {
                        **case["kwargs"],
                        "num_codebooks": len(case["kwargs"]["factorized_bits"]),
                    }
                }
            )
            if len(set(case["kwargs"]["factorized_bits"])) == 1
            else GQ(bits_per_group=case["kwargs"]["factorized_bits"])
        )
        out = gq.eval()(channels_last(tensors["input"]))
        for k, index in enumerate(out.indices.unbind(-1)):
            assert torch.equal(index.flatten(), tensors[f"indices.{k}"])
        decoded = gq.indices_to_codes(out.indices).movedim(-1, 1)
        assert torch.equal(decoded, tensors["decoded"])
