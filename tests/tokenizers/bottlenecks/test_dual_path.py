"""A dual-path tokenizer: one encoder, one decoder, and both ways between them."""

from collections.abc import Callable

import pytest
import torch

from tiny import tiny_tokenizer
from vistok import FSQ, KL, DualPath, VisualTokenizer, evaluate
from vistok.tokenizers.adaptation.adapt import adapt_state
from vistok.tokenizers.bottlenecks.dual_path import PathName

FSQ_BEHIND_LINEAR = {"kind": "multi_token", "quantizer": {"kind": "fsq"}, "dim": 16}
PLAIN = {"kind": "dual_path", "continuous": {"kind": "plain"}, "quantizer": FSQ_BEHIND_LINEAR}
GAUSSIAN = {**PLAIN, "continuous": {"kind": "kl", "kl_weight": 0.5}}


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.rand(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def close(a: torch.Tensor | None, b: torch.Tensor) -> None:
    assert a is not None
    torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_an_encoding_has_latents_and_their_codes(pixels):
    tokenizer = tiny_tokenizer("image", GAUSSIAN).eval()
    assert tokenizer.paths == ("discrete", "continuous")
    encoding = tokenizer.encode(pixels)
    mean, logvar = tokenizer.encoder(pixels).chunk(2, dim=1)
    close(encoding.latent, mean)
    assert encoding.posterior is not None
    close(encoding.posterior.logvar[0], logvar)
    assert isinstance(tokenizer.bottleneck, DualPath)
    expected = tokenizer.bottleneck.quantizer(mean.movedim(1, -1))
    assert torch.equal(encoding.index, expected.indices)
    close(encoding.code, expected.codes.movedim(-1, 1))
    assert (tokenizer.num_groups, tokenizer.codebook_size) == (2, 64000)


def test_each_path_has_its_own_way_back(pixels):
    tokenizer = tiny_tokenizer("image", GAUSSIAN).eval()
    encoding = tokenizer.encode(pixels)
    with torch.no_grad():
        discrete = tokenizer.decode(encoding.codes, encoding.layout)
        continuous = tokenizer.decode_latents(encoding.latents, encoding.layout)
        close(tokenizer.decode_tokens(encoding.tokens, encoding.layout), discrete)
        (streamed,) = tokenizer.decode_latents_stream([encoding.latents])
    close(streamed, continuous)
    close(tokenizer.reconstruct(pixels), discrete.clamp(-1, 1))
    close(tokenizer.reconstruct(pixels, path="continuous"), continuous.clamp(-1, 1))
    assert (discrete - continuous).abs().max() > 1e-3
    decoded = tokenizer.as_diffusers().decode(encoding.latent, return_dict=False)[0]
    close(decoded, continuous)


def test_a_rate_belongs_to_a_path(pixels):
    tokenizer = tiny_tokenizer("image", GAUSSIAN)
    layout = tokenizer.encode(pixels).layout
    bits = 2 * torch.tensor(64000.0).log2().item()
    assert tokenizer.bits_per_pixel(layout) == pytest.approx(bits / 64)
    assert tokenizer.bits_per_pixel(layout, path="continuous") == 16 * 16 / 64


def test_both_paths_are_the_two_paths_from_one_pass_of_the_encoder(pixels):
    tokenizer = tiny_tokenizer("image", PLAIN).train()
    both, discrete, continuous = (
        tokenizer(pixels, path=path) for path in ("both", "discrete", "continuous")
    )
    close(both.paths["discrete"], discrete.pixels)
    close(both.paths["continuous"], continuous.pixels)
    assert both.pixels is both.paths["discrete"]
    assert torch.equal(both.reconstructions, torch.cat([discrete.pixels, continuous.pixels]))
    assert torch.equal(both.encoding.index, discrete.encoding.index)
    assert continuous.encoding.indices is None
    # gradients of a sum over both are sums of the gradients
    gradients = []
    for outputs in ([both], [discrete, continuous]):
        tokenizer.zero_grad()
        for output in outputs:
            squares = torch.stack([(p * p).sum() for p in output.paths.values()])
            squares.sum().backward(retain_graph=True)
        gradients.append({n: p.grad for n, p in tokenizer.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-4, rtol=1e-4, msg=name)


def test_the_divergence_belongs_to_the_continuous_path(pixels):
    tokenizer = tiny_tokenizer("image", GAUSSIAN).train()
    assert tokenizer(pixels, path="discrete").terms == {}
    continuous = tokenizer(pixels, path="continuous")
    both = tokenizer(pixels, path="both")
    assert continuous.loss == both.loss == 0.5 * both.terms["kl"] > 0
    # in train mode the continuous path is a sample, the discrete one quantizes the mode
    assert not torch.equal(tokenizer(pixels, path="continuous").pixels, continuous.pixels)
    assert torch.equal(tokenizer(pixels, path="both").pixels, both.pixels)


def test_the_divergence_of_the_continuous_path_may_be_one_per_pixel(pixels):
    terms = []
    for reduction in ("per_pixel", "sum_over_batch"):
        gaussian = {"kind": "kl", "kl_reduction": reduction}
        tokenizer = tiny_tokenizer("image", {**PLAIN, "continuous": gaussian}).train()
        terms.append(tokenizer(pixels, path="both").terms["kl"])
    close(terms[0] * 3 * 16 * 16, terms[1])


def test_a_path_not_taken_learns_nothing(pixels):
    codebook = {"kind": "vq", "codebook_size": 32, "codebook_dim": 4, "update": "ema"}
    inner = {"kind": "multi_token", "quantizer": codebook, "dim": 16}
    tokenizer = tiny_tokenizer("image", {**PLAIN, "quantizer": inner}).train()
    before = {name: value.clone() for name, value in tokenizer.bottleneck.state_dict().items()}
    output = tokenizer(pixels, path="continuous")
    (output.pixels.sum() + output.loss).backward()
    assert all(p.grad is None for p in tokenizer.bottleneck.parameters())
    for name, value in tokenizer.bottleneck.state_dict().items():
        assert torch.equal(value, before[name]), name
    tokenizer(pixels, path="both")
    assert any(
        not torch.equal(value, before[name])
        for name, value in tokenizer.bottleneck.state_dict().items()
    )


def test_a_quantizer_is_put_onto_a_trained_vae(pixels):
    """OneVAE's recipe: everything is loaded, and only the quantizer begins anew."""
    vae = tiny_tokenizer("image", {"kind": "kl"})
    target = tiny_tokenizer("image", GAUSSIAN)
    adapted = adapt_state(vae, target, "align")
    assert {name.split(".")[0] for name in adapted.new} == {"bottleneck"}
    assert adapted.mismatched == adapted.unused == ()
    target.load_state_dict(adapted.state)
    assert torch.equal(target.reconstruct(pixels, path="continuous"), vae.reconstruct(pixels))


def test_it_is_saved_and_loaded(pixels, tmp_path):
    tokenizer = tiny_tokenizer("image", GAUSSIAN).eval()
    tokenizer.save_pretrained(tmp_path)
    loaded = VisualTokenizer.from_pretrained(tmp_path)
    for path in tokenizer.paths:
        assert torch.equal(loaded.reconstruct(pixels, path), tokenizer.reconstruct(pixels, path))
    card = (tmp_path / "README.md").read_text()
    assert "tags: [visual-tokenizer, discrete, continuous]" in card
    assert "DualPath: 2 index(es) per position" in card


def test_an_evaluation_scores_the_path_that_is_named(tmp_path):
    tokenizer = tiny_tokenizer("image", GAUSSIAN).eval()
    tokenizer.save_pretrained(tmp_path)

    def function(path: PathName) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda pixels: tokenizer.reconstruct(pixels, path)

    functions = map(function, tokenizer.paths)
    subjects = [str(tmp_path), f"continuous:{tmp_path}", *functions]
    rows = evaluate("samples:heldout", subjects, size=32, limit=2, metrics=["psnr"])
    discrete, continuous, *expected = (row.metrics["psnr"] for row in rows)
    assert (discrete, continuous) == pytest.approx(tuple(expected), abs=1e-6)
    assert discrete != continuous
    assert rows[1].bits_per_pixel == 16 * 16 / 64
    tiny_tokenizer("image").save_pretrained(tmp_path / "single")
    with pytest.raises(ValueError, match="has no continuous path, only discrete"):
        evaluate("samples:heldout", f"continuous:{tmp_path / 'single'}", size=32, limit=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: tiny_tokenizer("image", {**PLAIN, "continuous": {"kind": "fsq"}}),
            "^bottleneck.continuous.kind: must be one of kl, fixed_sigma, plain, got 'fsq'$",
        ),
        (
            lambda: tiny_tokenizer("image", {**PLAIN, "quantizer": {"kind": "kl"}}),
            "^bottleneck.quantizer.kind: must be one of fsq, .*, dual_path, got 'kl'$",
        ),
        (
            lambda: DualPath(continuous=KL(latent_channels=8), quantizer=FSQ()),
            "input and output must have the 8 channels of the latents, got 6 and 6; wrap it in "
            "multi_token with num_tokens=1 and dim=8$",
        ),
        (
            lambda: tiny_tokenizer("image", {"kind": "kl"}).reconstruct(
                torch.zeros(1, 3, 1, 16, 16), path="discrete"
            ),
            "path must be continuous for this tokenizer, got 'discrete'",
        ),
        (
            lambda: tiny_tokenizer("image")(torch.zeros(1, 3, 1, 16, 16), path="both"),
            "path must be discrete for this tokenizer, got 'both'",
        ),
    ],
)
def test_impossible_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
