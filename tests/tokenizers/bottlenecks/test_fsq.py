"""FSQ: the paper's formula, every code reachable in bf16, and the reference's own tensors."""

import json
from math import atanh, tanh

import pytest
import torch
from safetensors.torch import load_file

from vistok import FSQ
from vistok.tokenizers.bottlenecks.fsq import PRESETS

LEVELS = [(8, 8, 8, 5, 5, 5), (7, 5, 5, 5, 5), (2, 3, 4)]


def scalar_fsq(z: float, levels: int) -> int:
    """The formula for one number, in plain Python: the level counted from 0."""
    h, o = (levels - 1) * 1.001 / 2, 0.5 if levels % 2 == 0 else 0.0
    return round(h * tanh(z + atanh(o / h)) - o) + levels // 2


@pytest.mark.parametrize("levels", LEVELS)
def test_it_follows_the_formula(levels):
    x = torch.randn(200, len(levels), dtype=torch.double)
    expected = []
    for vector in x.tolist():
        digits = [scalar_fsq(z, L) for z, L in zip(vector, levels, strict=True)]
        index, basis = 0, 1
        for digit, L in zip(digits, levels, strict=True):
            index, basis = index + digit * basis, basis * L
        expected.append([index])
    assert FSQ(levels)(x).indices.tolist() == expected


@pytest.mark.parametrize("levels", LEVELS)
def test_every_code_is_reachable_from_bf16(levels):
    """For every code, z = atanh((q + o) / h) - s cast to bf16 gives the code's index again."""
    fsq = FSQ(levels)
    indices = torch.arange(fsq.codebook_size).unsqueeze(1)
    L = torch.tensor(levels).double()
    h, o = (L - 1) * 1.001 / 2, 0.5 * (L % 2 == 0)
    q = fsq.indices_to_codes(indices).double() * (L // 2)
    z = torch.atanh((q + o) / h) - torch.atanh(o / h)
    assert torch.equal(fsq(z.to(torch.bfloat16)).indices, indices)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(6,), (50, 6), (7, 64, 6), (0, 6)], ids=str)
@pytest.mark.parametrize("packed", [True, False])
def test_the_fast_path_is_the_exact_one(symmetric, dtype, shape, packed):
    """Codes, indices and gradient of the eager path; tests of all rows do the same for compiled."""
    fast, exact = FSQ(symmetric=symmetric), FSQ(symmetric=symmetric)
    exact.quantize_fast = exact.quantize_exact
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.randn(shape, generator=generator).to(dtype)
    upstream = torch.randn(shape, generator=generator).to(dtype)
    results = []
    for fsq in (fast, exact):
        leaf = x.clone().requires_grad_()
        out = fsq(leaf if packed else leaf.movedim(0, -1).contiguous().movedim(-1, 0))
        (gradient,) = torch.autograd.grad((out.codes * upstream).sum(), leaf)
        results.append((out.codes, out.indices, gradient))
    assert torch.equal(results[0][1], results[1][1])
    if symmetric:  # q / w + c / w against (q + c) / w
        torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=1e-7)
    else:
        assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][2], results[1][2])


def test_the_gradient_is_that_of_the_bound_over_half_the_levels():
    fsq = FSQ((8, 5))
    x = torch.randn(50, 2, requires_grad=True)
    fsq(x).codes.sum().backward()
    (expected,) = torch.autograd.grad((fsq.bound(x) / (fsq.levels // 2)).sum(), x)
    torch.testing.assert_close(x.grad, expected)


def test_the_symmetric_variant_spaces_codes_evenly_and_keeps_signs():
    fsq = FSQ((8, 5), symmetric=True)
    codes = fsq.indices_to_codes(torch.arange(40).unsqueeze(1))
    torch.testing.assert_close(codes[:, 0].unique(), torch.linspace(-1, 1, 8))
    torch.testing.assert_close(codes[:, 1].unique(), torch.linspace(-1, 1, 5))
    x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(fsq(-x).codes, -fsq(x).codes)


@pytest.mark.parametrize("symmetric", [False, True])
def test_clamping_takes_the_nearest_code(symmetric):
    fsq = FSQ((8, 5, 2), symmetric=symmetric, squash="clamp")
    codes = fsq.indices_to_codes(torch.arange(80).unsqueeze(1))
    x = 1.5 * torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(fsq(x).indices.squeeze(1), torch.cdist(x, codes).argmin(dim=1))


@pytest.mark.parametrize("codebook_size", PRESETS)
def test_presets_are_close_to_their_size_and_not_above(codebook_size):
    size = FSQ(codebook_size=codebook_size).codebook_size
    assert 0.9 * codebook_size < size <= 1.07 * codebook_size


def test_a_size_without_a_preset_is_refused():
    with pytest.raises(ValueError, match=r"codebook_size must be one of 256, 1024, .* got 1000"):
        FSQ(codebook_size=1000)
    with pytest.raises(ValueError, match="levels or codebook_size, not both"):
        FSQ((8, 5), codebook_size=256)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_memory_layout_does_not_matter(order):
    """Latents arrive as views of channels-first tensors; the fused pass is for packed ones."""
    x = torch.randn(3, 7, 6, generator=torch.Generator().manual_seed(0))
    view = x.permute(order).contiguous().permute(*[order.index(i) for i in range(3)])
    a, b = x.clone().requires_grad_(), view.requires_grad_()
    out, other = FSQ()(a), FSQ()(b)
    assert torch.equal(out.codes, other.codes)
    assert torch.equal(out.indices, other.indices)
    for result in (out, other):
        (result.codes * x).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("levels", [(), (8, 1), (0,)])
def test_impossible_levels_are_refused(levels):
    with pytest.raises(ValueError, match="levels must each be >= 2"):
        FSQ(levels)


def test_a_codebook_beyond_62_bits_is_refused():
    with pytest.raises(ValueError, match=r"at most 2\^62"):
        FSQ([2**16] * 4)


def reference_cases(folder):
    """Every stored FSQ case: levels, and tensors with the codebooks side by side in channels."""
    for sidecar in sorted(folder.rglob("*.json")):
        cases = json.loads(sidecar.read_text()).get("cases", {})
        fsq_cases = {k: v for k, v in cases.items() if isinstance(v, dict) and "levels" in v}
        tensors = load_file(sidecar.with_suffix(".safetensors")) if fsq_cases else {}
        for name, case in fsq_cases.items():
            if f"{name}.grad.w" in tensors:
                prefix = name + "."
                yield (
                    case["levels"],
                    {
                        key.removeprefix(prefix): value
                        for key, value in tensors.items()
                        if key.startswith(prefix)
                    },
                )


def test_it_equals_the_reference(parity_folder):
    cases = list(reference_cases(parity_folder))
    if not cases:
        pytest.skip(f"no FSQ cases in {parity_folder}")
    for levels, case in cases:
        fsq = FSQ(levels)
        z = case["z"].requires_grad_()
        grouped = z.movedim(1, -1).unflatten(-1, (-1, len(levels)))
        out = fsq(grouped)
        assert torch.equal(out.indices.squeeze(-1), case["indices"])
        codes = out.codes.flatten(-2).movedim(-1, 1)
        torch.testing.assert_close(codes, case["quantized"], atol=1e-6, rtol=0)
        (gradient,) = torch.autograd.grad((codes * case["grad.w"]).sum(), z)
        limit = 1e-4 * case["grad.z"].abs().max().item()
        torch.testing.assert_close(gradient, case["grad.z"], atol=limit, rtol=0)
        looked_up = fsq.indices_to_codes(case["lookup.indices"].unsqueeze(-1))
        torch.testing.assert_close(looked_up, case["lookup.codes"], atol=1e-6, rtol=0)
