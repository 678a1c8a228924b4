"""The same numbers as vector-quantize-pytorch, where the definitions coincide."""

import pytest
import torch
import vector_quantize_pytorch as reference

from vistok import FSQ, LFQ, VQ, Residual, SimVQ


def vectors(count: int, dim: int) -> torch.Tensor:
    return 2 * torch.randn(1, count, dim, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("levels", [(8, 8, 8, 5, 5, 5), (7, 5, 5, 5, 5), (8, 6, 5)])
@pytest.mark.parametrize("symmetric", [False, True])
def test_fsq(levels, symmetric):
    theirs = reference.FSQ(list(levels), preserve_symmetry=symmetric)
    ours = FSQ(levels, symmetric=symmetric)
    a, b = (vectors(500, len(levels)).requires_grad_() for _ in range(2))
    out, (codes, indices) = ours(a), theirs(b)
    assert torch.equal(out.indices.squeeze(-1), indices.long())
    torch.testing.assert_close(out.codes, codes, atol=1e-6, rtol=0)
    out.codes.sum().backward()
    codes.sum().backward()
    torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=1e-4)


def test_residual_fsq():
    """Theirs clamps softly beforehand, and spaces codes symmetrically."""
    levels = (8, 5, 5)
    theirs = reference.ResidualFSQ(levels=list(levels), num_quantizers=3).eval()
    ours = Residual(lambda: FSQ(levels, symmetric=True, squash="clamp"), num_quantizers=3).eval()
    x = vectors(500, 3)
    limit = 1 + 1 / (torch.tensor(levels) - 1)
    out = ours((x / limit).tanh() * limit)
    codes, indices = theirs(x)
    assert torch.equal(out.indices, indices)
    torch.testing.assert_close(out.codes, codes, atol=1e-6, rtol=0)


def test_vq_with_an_ema_codebook():
    torch.manual_seed(0)
    theirs = reference.VectorQuantize(
        dim=8, codebook_size=64, decay=0.99, rotation_trick=False, commitment_weight=0.25
    )
    ours = VQ(codebook_size=64, codebook_dim=8, update="ema", commitment_weight=0.25)
    ours.codebook.copy_(theirs.codebook)
    ours.ema_sums.copy_(theirs.codebook)
    for step in range(5):
        x = vectors(300, 8) + step
        out, (codes, indices, loss) = ours(x), theirs(x)
        assert torch.equal(out.indices.squeeze(-1), indices)
        torch.testing.assert_close(out.codes, codes, atol=1e-5, rtol=0)
        torch.testing.assert_close(out.loss, loss.squeeze())
    torch.testing.assert_close(ours.codebook, theirs.codebook, atol=1e-5, rtol=1e-5)


def test_the_rotation_trick():
    torch.manual_seed(0)
    theirs = reference.VectorQuantize(dim=8, codebook_size=64, rotation_trick=True)
    ours = VQ(codebook_size=64, codebook_dim=8, update="ema", gradient="rotation")
    ours.codebook.copy_(theirs.codebook)
    a, b = (vectors(100, 8).requires_grad_() for _ in range(2))
    upstream = torch.randn(1, 100, 8, generator=torch.Generator().manual_seed(1))
    (ours(a).codes * upstream).sum().backward()
    (theirs(b)[0] * upstream).sum().backward()
    torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4)


def test_simvq():
    torch.manual_seed(0)
    theirs = reference.SimVQ(dim=8, codebook_size=64, rotation_trick=False)
    ours = SimVQ(codebook_size=64, codebook_dim=8)
    ours.table.copy_(theirs.frozen_codebook)
    with torch.no_grad():
        ours.map.weight.copy_(theirs.get_parameter("code_transform.weight"))
        ours.map.bias.zero_()  # theirs has none
    x = vectors(300, 8)
    out, (codes, indices, loss) = ours(x), theirs(x)
    assert torch.equal(out.indices.squeeze(-1), indices)
    torch.testing.assert_close(out.codes, codes, atol=1e-6, rtol=0)
    torch.testing.assert_close(out.loss, loss)


def test_sample_entropy_and_remapped_indices_of_lfq():
    """Theirs counts bits from the last channel, and its codebook entropy clamps instead of eps."""
    theirs = reference.LFQ(dim=10, codebook_size=2**10).train()
    ours = LFQ(bits=10)
    x = 0.02 * vectors(400, 10)
    out = ours(x)
    result, breakdown = theirs(x, return_loss_breakdown=True)
    assert torch.equal(ours(x.flip(-1)).indices.squeeze(-1), result.indices)
    torch.testing.assert_close(out.codes, result.quantized, atol=1e-6, rtol=0)
    entropy = breakdown.per_sample_entropy
    torch.testing.assert_close(out.terms["sample_entropy"], entropy, atol=1e-5, rtol=1e-4)
