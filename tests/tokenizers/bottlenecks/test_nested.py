"""Residual and MultiToken: quantizers made of any quantizers."""

import json

import pytest
import torch
from safetensors.torch import load_file

from vistok import FSQ, MultiToken, Residual

CLAMPED = {"kind": "fsq", "levels": [5, 5, 5], "squash": "clamp"}


def vectors(count: int, dim: int) -> torch.Tensor:
    return torch.rand(count, dim, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(
    ("inner", "factor"),
    [
        (CLAMPED, 0.3),
        ({"kind": "lfq", "bits": 3}, 0.6),
        ({"kind": "vq", "codebook_size": 256, "codebook_dim": 3, "kmeans_init": True}, 0.6),
    ],
    ids=["fsq", "lfq", "vq"],
)
def test_every_stage_halves_the_error_and_prefixes_decode(inner, factor):
    torch.manual_seed(0)
    x = vectors(2000, 3)
    residual = Residual(inner, num_quantizers=3)
    residual(x)
    indices = residual.eval()(x).indices
    errors = [
        (residual.indices_to_codes(indices[:, :n]) - x).abs().mean().item() for n in (1, 2, 3)
    ]
    assert errors[1] < factor * errors[0]
    assert errors[2] < factor * errors[1]


def test_quantizer_dropout_trains_prefixes_and_keeps_the_indices():
    torch.manual_seed(0)
    residual = Residual(CLAMPED, num_quantizers=4, quantizer_dropout=1.0)
    x = vectors(10, 3)
    whole = residual.eval()(x)
    residual.train()
    prefixes = [residual.indices_to_codes(whole.indices[:, :n]) for n in (1, 2, 3, 4)]
    seen = set()
    for _ in range(60):
        out = residual(x)
        assert torch.equal(out.indices, whole.indices)
        matches = [n for n in range(4) if torch.allclose(out.codes, prefixes[n])]
        assert matches
        seen.add(matches[0])
    assert seen == {0, 1, 2, 3}


def test_the_gradient_of_a_stack_is_that_of_one_quantizer():
    x = vectors(10, 3).requires_grad_()
    Residual({"kind": "lfq", "bits": 3}, num_quantizers=5)(x).codes.sum().backward()
    torch.testing.assert_close(x.grad, torch.ones_like(x))


def test_residual_over_several_groups_takes_prefixes_of_whole_stages():
    residual = Residual({"kind": "gq", "num_groups": 2, "bits_per_group": 3}, num_quantizers=3)
    indices = residual(vectors(5, 6)).indices
    assert indices.shape == (5, 6)
    residual.indices_to_codes(indices[:, :4])
    with pytest.raises(ValueError, match="for a prefix in a multiple of 2"):
        residual.indices_to_codes(indices[:, :3])


def test_tokens_of_multi_token_are_independent():
    two = MultiToken({"kind": "fsq", "levels": [8, 5]}, num_tokens=2)
    x = vectors(20, 4)
    out, fsq = two(x), FSQ((8, 5))
    for k in range(2):
        part = fsq(x[:, 2 * k : 2 * k + 2])
        assert torch.equal(out.codes[:, 2 * k : 2 * k + 2], part.codes)
        assert torch.equal(out.indices[:, k : k + 1], part.indices)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Residual({"kind": "kl"}), "quantizer.kind must be discrete, one of fsq, lfq"),
        (lambda: Residual({"kind": "fsqq"}), "quantizer.kind must be one of .* did you mean fsq"),
        (lambda: MultiToken({"kind": "fsq", "levels": [1]}), "quantizer: levels must each be >= 2"),
        (lambda: MultiToken({"kind": "fsq", "steps": 3}), "quantizer.steps: unknown key"),
        (lambda: Residual({"kind": "fsq"}, num_quantizers=0), "num_quantizers must be >= 1, got 0"),
        (lambda: MultiToken({"kind": "fsq"}, dim=0), "dim must be >= 1, got 0"),
        (lambda: Residual({"kind": "fsq"}, quantizer_dropout=2.0), "quantizer_dropout must lie"),
        (lambda: Residual({"kind": "fsq"}, scale=0.0), "scale must be > 0, got 0"),
    ],
)
def test_impossible_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def projected_cases(folder):
    """Every stored case of multi-token FSQ between two linear layers."""
    for sidecar in sorted(folder.rglob("*.json")):
        cases = json.loads(sidecar.read_text()).get("cases", {})
        for name, case in cases.items():
            if isinstance(case, dict) and "dim" in case and "levels" in case:
                yield name, case, load_file(sidecar.with_suffix(".safetensors"))


def test_the_projected_variant_equals_the_reference(parity_folder):
    cases = list(projected_cases(parity_folder))
    assert cases, f"no projected quantizer cases in {parity_folder}"
    for name, case, tensors in cases:
        inner = {"kind": "fsq", "levels": case["levels"]}
        quantizer = MultiToken(inner, num_tokens=case["num_codebooks"], dim=case["dim"]).eval()
        prefix = f"{name}.sd."
        state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        quantizer.load_state_dict(state)
        out = quantizer(tensors[f"{name}.z"].movedim(1, -1))
        assert torch.equal(out.indices, tensors[f"{name}.indices"])
        codes = out.codes.movedim(-1, 1)
        torch.testing.assert_close(codes, tensors[f"{name}.quantized"], atol=2e-6, rtol=0)
