"""The quantizers with a table of codes: VQ, SimVQ and IBQ against their definitions."""

import pytest
import torch
import torch.nn.functional as F

from vistok import IBQ, VQ, SimVQ
from vistok.tokenizers.bottlenecks import codebook as codebook_module
from vistok.tokenizers.bottlenecks import ibq
from vistok.tokenizers.gradients.straight_through import rotate_through, straight_through


def vectors(count: int, dim: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("chunk", [2**22, 100])
def test_the_search_finds_the_nearest_code_in_chunks_as_in_one(chunk, dtype, monkeypatch):
    monkeypatch.setattr(codebook_module, "CHUNK_ELEMENTS", chunk)
    x, codebook = vectors(200).to(dtype), vectors(50, seed=1).to(dtype)
    distances = torch.cdist(x, codebook)
    assert torch.equal(codebook_module.nearest_codes(x, codebook), distances.argmin(dim=1))
    assert torch.equal(
        codebook_module.most_similar_codes(x, codebook), (x @ codebook.t()).argmax(dim=1)
    )


def test_the_first_of_equal_codes_is_taken():
    codebook = torch.ones(5, 2)
    assert codebook_module.nearest_codes(torch.ones(3, 2), codebook).tolist() == [0, 0, 0]


def test_both_gradients_give_the_codes_to_the_bit():
    x, codes = 1e4 * vectors(100), vectors(100, seed=1)
    assert torch.equal(straight_through(x, codes), codes)
    assert torch.equal(rotate_through(x, codes), codes)


def test_the_rotation_trick_turns_the_gradient_with_the_vector():
    x, q = vectors(30).requires_grad_(), vectors(30, seed=1)
    upstream = vectors(30, seed=2)
    (gradient,) = torch.autograd.grad((rotate_through(x, q) * upstream).sum(), x)
    ratio = q.norm(dim=1) / x.norm(dim=1)
    # lengths scale by |q| / |x|, and the angle to the vector becomes the angle to its code
    torch.testing.assert_close(gradient.norm(dim=1), ratio * upstream.norm(dim=1))
    before = F.cosine_similarity(upstream, q)
    torch.testing.assert_close(F.cosine_similarity(gradient, x), before, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_rotation_trick_is_the_product_with_the_rotation_matrix(dtype):
    x, q = vectors(30).to(dtype).requires_grad_(), vectors(30, seed=1).to(dtype)
    upstream = vectors(30, seed=2).to(dtype)
    (gradient,) = torch.autograd.grad((rotate_through(x, q) * upstream).sum(), x)
    x_hat, q_hat = F.normalize(x.detach(), dim=-1), F.normalize(q, dim=-1)
    r = F.normalize(x_hat + q_hat, dim=-1)
    # R = I - 2 r r^T + 2 q_hat x_hat^T, one matrix per vector
    outer = r[:, :, None] * r[:, None, :]
    rotation = torch.eye(4, dtype=dtype) - 2 * outer + 2 * q_hat[:, :, None] * x_hat[:, None, :]
    torch.testing.assert_close((rotation @ x_hat[:, :, None]).squeeze(-1), q_hat)
    ratio = q.norm(dim=1, keepdim=True) / x.detach().norm(dim=1, keepdim=True)
    expected = ratio * (rotation.mT @ upstream[:, :, None]).squeeze(-1)
    torch.testing.assert_close(gradient, expected)


def test_straight_through_is_the_textbook_form_without_its_rounding():
    x, codes = vectors(30).requires_grad_(), vectors(30, seed=1).requires_grad_()
    upstream = vectors(30, seed=2)
    textbook = x + (codes - x).detach()
    torch.testing.assert_close(straight_through(x, codes), textbook)
    for form in (straight_through(x, codes), textbook):
        gradients = torch.autograd.grad((form * upstream).sum(), (x, codes), allow_unused=True)
        assert torch.equal(gradients[0], upstream)
        assert gradients[1] is None


def test_the_loss_of_vq_is_that_of_the_definition():
    vq = VQ(codebook_size=16, codebook_dim=4, commitment_weight=0.3, codebook_weight=0.9)
    x = vectors(50).requires_grad_()
    out = vq(x)
    chosen = vq.codebook[torch.cdist(x, vq.codebook).argmin(dim=1)]
    expected = 0.3 * F.mse_loss(x, chosen.detach()) + 0.9 * F.mse_loss(chosen, x.detach())
    torch.testing.assert_close(out.loss, expected)
    for ours, theirs in zip(
        torch.autograd.grad(out.loss, (x, vq.codebook)),
        torch.autograd.grad(expected, (x, vq.codebook)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_ema_codes_become_the_means_of_their_vectors():
    vq = VQ(codebook_size=4, codebook_dim=2, update="ema", ema_decay=0.5)
    centres = torch.tensor([[5.0, 5.0], [-5.0, 5.0], [5.0, -5.0], [-5.0, -5.0]])
    vq.codebook.copy_(centres + 0.5)
    x = centres.repeat(25, 1) + 0.1 * vectors(100, 2)
    for _ in range(30):
        vq(x)
    expected = torch.stack([x[i::4].mean(dim=0) for i in range(4)])
    torch.testing.assert_close(vq.codebook, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(vq.ema_counts, torch.full((4,), 25.0), atol=1e-3, rtol=0)


def test_k_means_starts_the_codebook_at_the_data_once():
    x = 3 + vectors(500)
    vq = VQ(codebook_size=16, codebook_dim=4, kmeans_init=True)
    before = F.mse_loss(vq.eval()(x).codes, x)
    vq.train()(x)
    after = F.mse_loss(vq.eval()(x).codes, x)
    assert after < 0.1 * before
    started = vq.codebook.clone()
    vq.train()(-x)
    assert torch.equal(vq.codebook, started)


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_dead_codes_move_to_the_data_and_their_ema_state_with_them(update):
    torch.manual_seed(0)
    vq = VQ(codebook_size=64, codebook_dim=4, update=update, ema_decay=0.8, dead_code_threshold=0.1)
    with torch.no_grad():
        vq.codebook[1:] = 100.0  # never the nearest
    x = vectors(512)
    used_at_first = len(vq.eval()(x).indices.unique())
    vq.train()
    for _ in range(40):
        vq(x)
    used = len(vq.eval()(x).indices.unique())
    assert used_at_first == 1
    assert used > 50
    if update == "ema":
        # a code is where its state says, so the next update does not throw it back
        implied = vq.ema_sums / vq.ema_counts.unsqueeze(1)
        torch.testing.assert_close(vq.codebook, implied, atol=1e-2, rtol=1e-2)


def test_the_table_of_simvq_is_frozen_and_every_step_moves_all_codes():
    simvq = SimVQ(codebook_size=32, codebook_dim=4)
    assert [name for name, _ in simvq.named_parameters()] == ["map.weight", "map.bias"]
    every = torch.arange(32).unsqueeze(1)
    before = simvq.indices_to_codes(every)
    simvq(vectors(20)).loss.backward()
    with torch.no_grad():
        for parameter in simvq.parameters():
            parameter -= 0.1 * parameter.grad
    assert (simvq.indices_to_codes(every) != before).any(dim=1).all()


def test_simvq_is_its_definition_with_a_gradient_through_all_codes():
    q = SimVQ(codebook_size=24, codebook_dim=4, commitment_weight=0.3, codebook_weight=0.9)
    x = vectors(50).requires_grad_()
    weights = (x, q.map.weight, q.map.bias)
    out = q(x)
    codebook = q.map(q.table)
    indices = torch.cdist(x, codebook).argmin(dim=1)
    codes = codebook[indices]
    loss = 0.3 * F.mse_loss(x, codes.detach()) + 0.9 * F.mse_loss(codes, x.detach())
    assert torch.equal(out.indices.squeeze(1), indices)
    torch.testing.assert_close(out.codes, codes)
    torch.testing.assert_close(out.loss, loss)
    ours, theirs = torch.autograd.grad(out.loss, weights), torch.autograd.grad(loss, weights)
    torch.testing.assert_close(ours, theirs)


def literal_ibq(q: IBQ, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return codes and loss as the released code computes them, with the N x K one-hots."""
    logits = x @ q.codebook.t()
    soft = logits.softmax(dim=1)
    hard = F.one_hot(logits.argmax(dim=1), q.codebook_size).to(x.dtype)
    codes = (hard - soft.detach() + soft) @ q.codebook
    hard_codes = hard @ q.codebook
    logits = logits / q.entropy_loss.temperature
    p = logits.softmax(dim=1)
    sample = -(p * logits.log_softmax(dim=1)).sum(dim=1).mean()
    mean = p.mean(dim=0)
    entropy = sample + (mean * (mean + q.entropy_loss.entropy_eps).log()).sum()
    loss = (
        F.mse_loss(codes, x)
        + q.commitment_weight * F.mse_loss(hard_codes.detach(), x)
        + q.codebook_weight * F.mse_loss(hard_codes, x.detach())
        + q.entropy_loss.entropy_weight * entropy
    )
    return codes, loss


@pytest.mark.parametrize("chunk", [2**22, 300], ids=["one chunk", "many chunks"])
def test_ibq_equals_the_literal_form_and_its_gradient_reaches_every_code(chunk, monkeypatch):
    monkeypatch.setattr(ibq, "CHUNK_ELEMENTS", chunk)
    q = IBQ(codebook_size=24, codebook_dim=4).double()
    x = vectors(50).double().requires_grad_()
    upstream = vectors(50, seed=3).double()
    out = q(x)
    codes, loss = literal_ibq(q, x)
    torch.testing.assert_close(out.codes, codes)
    torch.testing.assert_close(out.loss, loss.float())
    for ours, theirs in (((out.codes * upstream).sum(), (codes * upstream).sum()),):
        a = torch.autograd.grad(ours, (x, q.codebook), retain_graph=True)
        b = torch.autograd.grad(theirs, (x, q.codebook), retain_graph=True)
        torch.testing.assert_close(a, b)
    a = torch.autograd.grad(out.loss, (x, q.codebook))
    b = torch.autograd.grad(loss, (x, q.codebook))
    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)
    assert (a[1] != 0).any(dim=1).all()


def test_the_default_weights_of_ibq_are_the_released_ones():
    """The reference has 1 + 1 (latents) + 1/4 (codes), and 0.05 of the entropies."""
    q = IBQ(codebook_size=24, codebook_dim=4).double()
    x = vectors(50).double()
    hard = q(x).codes
    logits = (x @ q.codebook.t()) / 0.01
    p = logits.softmax(dim=1)
    mean = p.mean(dim=0)
    entropy = (
        -(p * logits.log_softmax(dim=1)).sum(dim=1).mean() + (mean * (mean + 1e-5).log()).sum()
    )
    distance = (hard - x).square().mean()
    expected = (1.0 + 1.0 + 0.25) * distance + 0.05 * entropy
    torch.testing.assert_close(q(x).loss, expected.float())
    assert (q.commitment_weight, q.codebook_weight) == (1.0, 0.25), "the other way round than in VQ"


def test_an_ibq_of_two_to_the_18_codes_trains():
    q = IBQ(codebook_size=2**18, codebook_dim=2)
    x = vectors(24, 2).requires_grad_()
    out = q(x)
    (out.codes.sum() + out.loss).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VQ(codebook_size=1), "codebook_size must be >= 2, got 1"),
        (lambda: SimVQ(codebook_dim=0), "codebook_dim must be >= 1, got 0"),
        (lambda: VQ(ema_decay=1.0), "ema_decay must lie between 0 and 1"),
        (lambda: VQ(dead_code_threshold=1.0), r"dead_code_threshold must lie in \[0, 1\)"),
        (lambda: IBQ(codebook_size=4, codebook_dim=2, temperature=-1.0), "temperature must be > 0"),
    ],
)
def test_impossible_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
