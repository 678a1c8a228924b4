"""The laws of design: every quantizer obeys them. A new quantizer is tested by adding a row."""

import json
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commands import run_process
from quantizer_table import QUANTIZERS, quantizer_of
from vistok import Quantizer

SUPPORT = Path(__file__).parents[2] / "support"

# the quantizer of a test is made anew, and in eval mode has no state that examples could share
few_examples = settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(params=QUANTIZERS, autouse=True)
def quantizer(request) -> Quantizer:
    return quantizer_of(request.param)


def vectors(quantizer: Quantizer, *batch: int, dtype=torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(*batch, quantizer.dim, generator=generator, dtype=dtype)


def settled(quantizer: Quantizer) -> Quantizer:
    """After a few batches, in train mode where a batch leaves no trace, else in eval mode."""
    for _ in range(3):
        quantizer(vectors(quantizer, 200))
    return quantizer.eval() if quantizer.stateful else quantizer


def declares_idempotence(quantizer: Quantizer) -> bool:
    """Return whether the class or its constructor sets `idempotent`, not only the base class."""
    own = type(quantizer).__mro__[: type(quantizer).__mro__.index(Quantizer)]
    return any("idempotent" in vars(declared) for declared in (quantizer, *own))


def test_indices_give_their_codes_back(quantizer):
    out = settled(quantizer)(vectors(quantizer, 500))
    torch.testing.assert_close(quantizer.indices_to_codes(out.indices), out.codes)


def test_codes_of_an_idempotent_quantizer_keep_their_indices(quantizer):
    assert declares_idempotence(quantizer), "a quantizer says whether it is idempotent, and why not"
    if not quantizer.idempotent:
        return
    out = settled(quantizer)(vectors(quantizer, 500))
    assert torch.equal(quantizer(out.codes).indices, out.indices)


def test_indices_lie_in_the_codebook_and_are_int64_per_group(quantizer):
    out = quantizer(1e4 * vectors(quantizer, 4, 5))
    assert out.indices.dtype == torch.int64
    assert out.indices.shape == (4, 5, quantizer.num_groups)
    quantizer.check_indices(out.indices)


@pytest.mark.parametrize("train", [True, False])
def test_the_gradient_reaches_the_latents(quantizer, train):
    settled(quantizer).train(train)
    x = (0.1 * vectors(quantizer, 50)).requires_grad_()
    out = quantizer(x)
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(out.codes.shape, generator=generator)
    ((out.codes * weight).sum() + out.loss).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert (x.grad != 0).any(dim=0).all()


def test_every_weight_gets_a_gradient(quantizer):
    out = quantizer(vectors(quantizer, 200))
    if parameters := list(quantizer.parameters()):
        (out.codes.square().sum() + out.loss).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters)


@few_examples
@given(st.lists(st.integers(1, 4), min_size=0, max_size=3))
def test_the_batch_layout_does_not_matter(quantizer, batch):
    quantizer.eval()
    x = vectors(quantizer, *batch)
    flat = quantizer(x.reshape(-1, quantizer.dim))
    out = quantizer(x)
    assert torch.equal(out.indices.reshape(flat.indices.shape), flat.indices)
    # learned maps are matrix products, which round differently for other shapes
    torch.testing.assert_close(out.codes.reshape(flat.codes.shape), flat.codes)


@few_examples
@given(values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=8))
def test_any_finite_values_give_finite_codes_and_legal_indices(quantizer, values):
    quantizer.eval()
    x = torch.tensor(values).repeat(quantizer.dim)[: 2 * quantizer.dim]
    x = x.repeat(2)[: 2 * quantizer.dim].reshape(2, quantizer.dim)
    out = quantizer(x)
    assert out.codes.isfinite().all()
    assert torch.allclose(quantizer.indices_to_codes(out.indices), out.codes, atol=1e-5)


@few_examples
@given(scale=st.sampled_from([0.0, 1e-8, 1e-3, 1.0, 1e3]))
def test_losses_and_gradients_stay_finite_at_every_scale(quantizer, scale):
    x = (scale * vectors(quantizer, 20)).requires_grad_()
    out = quantizer(x)
    (out.codes.square().sum() + out.loss).backward()
    assert out.loss.isfinite()
    assert all(term.isfinite() for term in out.terms.values())
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_a_vector_does_not_depend_on_its_batch_in_eval_mode(quantizer):
    settled(quantizer).eval()
    x = vectors(quantizer, 40)
    together = quantizer(x)
    alone = quantizer(x[7:8])
    assert torch.equal(alone.indices, together.indices[7:8])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_codes_come_back_in_the_callers_dtype_and_losses_in_fp32(quantizer, dtype):
    out = quantizer(vectors(quantizer, 10, dtype=dtype))
    assert out.codes.dtype == dtype
    assert out.loss.dtype == torch.float32
    assert all(term.dtype == torch.float32 for term in out.terms.values())


def test_half_precision_latents_have_the_indices_of_their_fp32_values(quantizer):
    quantizer.eval()
    x = vectors(quantizer, 200).to(torch.bfloat16)
    assert torch.equal(quantizer(x).indices, quantizer(x.float()).indices)


def test_autocast_changes_nothing(quantizer):
    settled(quantizer).eval()
    x = vectors(quantizer, 200)
    with torch.autocast("cpu", torch.bfloat16):
        inside = quantizer(x)
    assert torch.equal(inside.codes, quantizer(x).codes)
    assert torch.equal(inside.indices, quantizer(x).indices)


def test_casting_the_module_to_half_precision_changes_no_index(quantizer):
    x = vectors(quantizer, 200)
    quantizer.eval()
    has_weights = bool(quantizer.state_dict())
    expected = quantizer(x).indices
    cast = quantizer.to(torch.bfloat16)(x)
    if has_weights:  # which the cast has rounded: their codes are others, but still legal
        quantizer.check_indices(cast.indices)
        torch.testing.assert_close(quantizer.indices_to_codes(cast.indices), cast.codes)
    else:
        assert torch.equal(cast.indices, expected)


def test_terms_and_loss_keep_their_keys_in_eval_mode(quantizer):
    training = quantizer(vectors(quantizer, 10))
    evaluated = quantizer.eval()(vectors(quantizer, 10))
    assert training.terms.keys() == evaluated.terms.keys()
    assert evaluated.loss == 0
    assert all(term == 0 for term in evaluated.terms.values())


def test_eval_mode_leaves_the_state_alone(quantizer):
    quantizer.eval()
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer(vectors(quantizer, 100))
    after = quantizer.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_saved_state_gives_the_same_indices_to_a_fresh_quantizer(quantizer, request):
    settled(quantizer).eval()
    x = vectors(quantizer, 100)
    fresh = quantizer_of(request.node.callspec.params["quantizer"]).eval()
    fresh.load_state_dict(quantizer.state_dict())
    assert torch.equal(fresh(x).indices, quantizer(x).indices)


def test_wrong_channels_and_indices_are_refused(quantizer):
    with pytest.raises(ValueError, match=f"expects {quantizer.dim} channels on the last axis"):
        quantizer(torch.zeros(2, quantizer.dim + 1))
    too_large = torch.full((1, quantizer.num_groups), quantizer.codebook_size)
    for indices in (too_large, -torch.ones_like(too_large)):
        with pytest.raises(ValueError, match=r"indices must lie in \[0, "):
            quantizer.check_indices(indices)
        with pytest.raises(ValueError, match=r"indices must lie in \[0, "):
            quantizer.indices_to_codes(indices)
    with pytest.raises(ValueError, match="indices must end in"):
        quantizer.check_indices(torch.zeros(1, quantizer.num_groups + 1, dtype=torch.int64))


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_latents_that_are_not_finite_are_refused_by_name(quantizer, broken):
    x = vectors(quantizer, 5)
    x[2, 0] = broken
    count = "1 NaN and 0 infinite" if broken != broken else "0 NaN and 1 infinite"
    with pytest.raises(ValueError, match=f"received latents with {count} of {x.numel()} values"):
        quantizer(x)


@pytest.mark.slow
def test_it_exports_in_eval_mode(quantizer):
    settled(quantizer).eval()
    x = vectors(quantizer, 6)
    exported = torch.export.export(quantizer, (x,)).module()(x)
    assert torch.equal(exported.indices, quantizer(x).indices)
    torch.testing.assert_close(exported.codes, quantizer(x).codes)


# ---- without a graph break -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiled() -> dict[str, list[str]]:
    """What compiling gave, [eval, train] by row; a process without the shape checks does it."""
    done = run_process([sys.executable, "compile_quantizers.py"], cwd=SUPPORT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_it_compiles_without_a_graph_break(quantizer, compiled, request):
    in_eval, in_train = compiled[request.node.callspec.params["quantizer"]]
    assert in_eval == "ok"
    # updates of a codebook's own state stay outside compiled regions
    assert in_train == ("stateful" if quantizer.stateful else "ok")
