"""The laws of design: every quantizer obeys them. A new quantizer is tested by adding a row."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vistok import FSQ, Quantizer

QUANTIZERS: dict[str, Quantizer] = {
    "fsq 64000": FSQ((8, 8, 8, 5, 5, 5)),
    "fsq odd": FSQ((7, 5, 5, 5, 5)),
    "fsq small": FSQ((2, 3, 4)),
    "fsq one channel": FSQ((16,)),
}


@pytest.fixture(params=QUANTIZERS, autouse=True)
def quantizer(request) -> Quantizer:
    return QUANTIZERS[request.param].train()


def vectors(quantizer: Quantizer, *batch: int, dtype=torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(*batch, quantizer.dim, generator=generator, dtype=dtype)


def test_indices_give_their_codes_back(quantizer):
    out = quantizer(vectors(quantizer, 500))
    torch.testing.assert_close(quantizer.indices_to_codes(out.indices), out.codes)


def test_codes_of_an_idempotent_quantizer_keep_their_indices(quantizer):
    if not quantizer.idempotent:
        assert type(quantizer) is FSQ, "only FSQ bounds its input again and may not be idempotent"
        return
    out = quantizer(vectors(quantizer, 500))
    assert torch.equal(quantizer(out.codes).indices, out.indices)


def test_indices_lie_in_the_codebook_and_are_int64_per_group(quantizer):
    out = quantizer(1e4 * vectors(quantizer, 4, 5))
    assert out.indices.dtype == torch.int64
    assert out.indices.shape == (4, 5, quantizer.num_groups)
    quantizer.check_indices(out.indices)


def test_the_gradient_reaches_the_latents(quantizer):
    x = (0.1 * vectors(quantizer, 50)).requires_grad_()
    out = quantizer(x)
    (out.codes.sum() + out.loss).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert (x.grad != 0).any(dim=0).all()


# the quantizer has no state that one example could leave to the next
@settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.integers(1, 4), min_size=0, max_size=3))
def test_the_batch_layout_does_not_matter(quantizer, batch):
    x = vectors(quantizer, *batch)
    flat = quantizer(x.reshape(-1, quantizer.dim))
    out = quantizer(x)
    assert torch.equal(out.codes.reshape(flat.codes.shape), flat.codes)
    assert torch.equal(out.indices.reshape(flat.indices.shape), flat.indices)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_codes_come_back_in_the_callers_dtype_and_losses_in_fp32(quantizer, dtype):
    out = quantizer(vectors(quantizer, 10, dtype=dtype))
    assert out.codes.dtype == dtype
    assert out.loss.dtype == torch.float32
    assert all(term.dtype == torch.float32 for term in out.terms.values())


def test_autocast_changes_nothing(quantizer):
    x = vectors(quantizer, 200)
    with torch.autocast("cpu", torch.bfloat16):
        inside = quantizer(x)
    assert torch.equal(inside.codes, quantizer(x).codes)
    assert torch.equal(inside.indices, quantizer(x).indices)


def test_casting_the_module_to_half_precision_changes_no_index(quantizer):
    x = vectors(quantizer, 200)
    expected = quantizer(x).indices
    half = QUANTIZERS[next(k for k, v in QUANTIZERS.items() if v is quantizer)].to(torch.bfloat16)
    assert torch.equal(half(x).indices, expected)


def test_terms_and_loss_keep_their_keys_in_eval_mode(quantizer):
    training = quantizer(vectors(quantizer, 10))
    evaluated = quantizer.eval()(vectors(quantizer, 10))
    assert training.terms.keys() == evaluated.terms.keys()
    assert evaluated.loss == 0


def test_wrong_channels_and_indices_are_refused(quantizer):
    with pytest.raises(ValueError, match=f"expects {quantizer.dim} channels on the last axis"):
        quantizer(torch.zeros(2, quantizer.dim + 1))
    with pytest.raises(ValueError, match=r"indices must lie in \[0, "):
        quantizer.check_indices(torch.full((1, quantizer.num_groups), quantizer.codebook_size))
    with pytest.raises(ValueError, match="indices must end in"):
        quantizer.check_indices(torch.zeros(1, quantizer.num_groups + 1, dtype=torch.int64))


def test_it_compiles_and_exports(quantizer):
    quantizer.eval()
    x = vectors(quantizer, 6)
    exported = torch.export.export(quantizer, (x,)).module()(x)
    assert torch.equal(exported.indices, quantizer(x).indices)
