"""What a notebook shows of a module: the settings that its layers alone do not tell."""

import pytest

from tiny import tiny_tokenizer
from vistok import FSQ, GQ, KL, LFQ, VQ, FixedSigma, MultiToken, Plain, Residual
from vistok.models.discriminators.blur_pool import BlurPool


@pytest.mark.parametrize(
    ("module", "shown"),
    [
        (FSQ((8, 5, 5)), "FSQ(levels=(8, 5, 5), squash='tanh')"),
        (LFQ(bits=4), "LFQ(dim=4, code_dim=4, group_sizes=(16,))"),
        (GQ(num_groups=2, bits_per_group=3), "GQ(dim=6, code_dim=6, group_sizes=(8, 8))"),
        (VQ(codebook_size=9, codebook_dim=2), "VQ(dim=2, code_dim=2, group_sizes=(9,))"),
        (KL(4), "KL(dim=8, code_dim=4, kl_weight=1e-06)"),
        (FixedSigma(4), "FixedSigma(dim=4, code_dim=4, kl_weight=1e-06, sigma=0.1)"),
        (Plain(4), "Plain(dim=4, code_dim=4)"),
        (BlurPool(3), "BlurPool(size=3)"),
        (FSQ((3, 3)).to("meta"), "FSQ(levels=(3, 3), squash='tanh')"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_module_shows_its_settings(module, shown):
    assert repr(module) == shown


def test_a_composition_shows_itself_and_its_parts():
    for module in (
        Residual(lambda: FSQ((3, 3), squash="clamp"), num_quantizers=2),
        MultiToken(lambda: FSQ((3, 3)), num_tokens=2),
    ):
        assert "group_sizes=(9, 9)" in repr(module)
        assert "(0-1): 2 x FSQ(levels=(3, 3)" in repr(module)


def test_a_tokenizer_begins_with_its_compression(video_tokenizer):
    lines = repr(video_tokenizer).splitlines()
    assert lines[1].strip() == "compression=4x8x8, paths=('discrete',)"
    assert "patch_size=2, compression=4x8x8" in repr(video_tokenizer.encoder)
    assert "patch_size=2, compression=4x8x8" in repr(video_tokenizer.decoder)
    assert repr(video_tokenizer).count("time=2, space=2") == 3
    assert "RMSNorm(eps=" in repr(tiny_tokenizer())
