"""The results of a batch: short to print, moved, measured and sliced as one."""

import pytest
import torch
from torch.utils._pytree import tree_leaves

from tiny import tiny_tokenizer
from vistok import FSQ, Encoding, Quantized
from vistok.tokenizers.bottlenecks.posterior import Gaussian

BOTTLENECKS = [
    {"kind": "fsq"},
    {"kind": "gq", "bits_per_group": [3, 4]},
    {"kind": "kl", "latent_channels": 4},
    {"kind": "plain", "latent_channels": 4},
]


def pixels(*size: int) -> torch.Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(params=BOTTLENECKS, ids=lambda b: b["kind"])
def tokenizer(request):
    return tiny_tokenizer("image", request.param)


def test_a_result_prints_its_shapes_and_no_values(tokenizer):
    x = pixels(2, 3, 1, 64, 64)
    with torch.no_grad():
        results = (
            tokenizer.encode(x),
            tokenizer(x),
            tokenizer.bottleneck(torch.zeros(5, 4, 8)[..., : tokenizer.bottleneck.dim]),
        )
    for result in results:
        assert len(repr(result)) < 700
        assert "tensor(" not in repr(result)


def test_the_repr_names_dtypes_shapes_and_scalars():
    result = FSQ((3, 3))(torch.zeros(4, 2))
    assert repr(result) == "Quantized(codes=float32[4, 2], indices=int64[4, 1], loss=0, terms={})"
    meta = Gaussian(torch.zeros(2, device="meta"), None)
    assert repr(meta) == "Gaussian(mean=float32[2], meta, logvar=None)"


def test_slices_keep_the_axis_of_the_batch(tokenizer):
    x = pixels(5, 3, 1, 16, 16)
    e = tokenizer.encode(x)
    part = e[2:4]
    assert (len(e), len(part), len(e[0:1]), len(e[5:])) == (5, 2, 1, 0)
    assert isinstance(part, Encoding)
    assert torch.equal(part.code, e.code[2:4])
    assert part.layout == e.layout
    if e.indices is not None:
        assert torch.equal(part.tokens, e.tokens[2:4])
    if e.posterior is not None:
        assert part.posterior is not None
        assert torch.equal(part.posterior.mean[0], e.posterior.mean[0][2:4])
        assert len(part.posterior) == 2
    assert torch.equal(tokenizer.decode(part), tokenizer.decode(part.codes, e.layout))
    assert e[5:], "an empty result is a result"


def test_slices_of_an_output_leave_its_losses_alone(tokenizer):
    output = tokenizer.train()(pixels(3, 3, 1, 16, 16))
    part = output[:2]
    assert part.pixels.shape[0] == len(part) == len(part.encoding) == 2
    assert torch.equal(part.loss, output.loss)
    assert part.terms.keys() == output.terms.keys()


def test_single_samples_and_iteration_are_refused(tokenizer):
    e = tokenizer.encode(pixels(2, 3, 1, 16, 16))
    with pytest.raises(TypeError, match=r"takes slices of the batch.*\[0:1\]; got 0"):
        e[0]
    with pytest.raises(TypeError, match="Encoding is not a sequence"):
        _codes, _ = e


def test_vectors_without_a_batch_have_no_length():
    single = FSQ((3, 3))(torch.zeros(2))
    for use in (len, lambda result: result[:1]):
        with pytest.raises(TypeError, match="no batch axis"):
            use(single)


def test_results_move_and_indices_stay_integers(tokenizer):
    e = tokenizer.encode(pixels(2, 3, 1, 16, 16))
    for half in (e.to(torch.float16), e.to("cpu", torch.float16), e.to(dtype=torch.float16)):
        assert half.code.dtype == half.latent.dtype == torch.float16
        assert half.layout == e.layout
        if half.indices is not None:
            assert torch.equal(half.index, e.index)
    assert e.to("meta").code.is_meta
    assert tree_leaves(e)[0] is e.latent, "tools that walk results still find their tensors"
    with pytest.raises(ValueError, match=r"dtype must be floating, got torch.int32"):
        e.to(torch.int32)
    with pytest.raises(ValueError, match="to takes one dtype"):
        e.to(torch.float16, torch.float32)


def test_results_of_quantizers_move_with_their_losses():
    moved = FSQ((3, 3))(torch.zeros(4, 2)).to(torch.float64)
    assert isinstance(moved, Quantized)
    assert moved.codes.dtype == moved.loss.dtype == torch.float64
