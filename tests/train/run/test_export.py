"""Latent statistics: those of all vectors of the data, whatever the batches."""

import pytest
import torch

from tiny import tiny_tokenizer
from vistok import VisualTokenizer
from vistok.data.pixels import to_pixels
from vistok.train.config.files import load_run_config
from vistok.train.loop import train
from vistok.train.run.export import measure_latents


def clips(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 1, 16, 24), dtype=torch.uint8, generator=generator)


def test_they_are_the_mean_and_spread_of_every_channel_over_all_positions():
    tokenizer = tiny_tokenizer("image", {"kind": "kl", "latent_channels": 3})
    data = clips(7)
    latents = tokenizer.encode(to_pixels(data)).latent.detach().double()
    vectors = latents.movedim(1, -1).reshape(-1, 3)
    for split in (7, 2):
        found = measure_latents(tokenizer, data.split(split))
        assert found.num_samples == 7
        # Batch sizes move fp32 latents by rounding
        spread = vectors.std(0, unbiased=False)
        for ours, theirs in ((found.mean, vectors.mean(0)), (found.std, spread)):
            torch.testing.assert_close(torch.tensor(ours).double(), theirs, rtol=1e-4, atol=1e-5)


def test_no_data_and_broken_weights_are_named():
    tokenizer = tiny_tokenizer("image", {"kind": "plain"})
    with pytest.raises(ValueError, match="at least one batch"):
        measure_latents(tokenizer, [])


def test_a_finished_run_writes_them_into_config_and_card(tmp_path):
    overrides = ["data.source=samples:train", "data.size=32", "data.workers=0", "eval.source=null"]
    overrides += ["train.steps=1", "train.batch_size=2", "train.latent_statistics_samples=6"]
    overrides += ["model.encoder.stages=[{width: 8, blocks: 1}]", "model.encoder.patch_size=8"]
    overrides += ["model.decoder.stages=[{width: 8, blocks: 1}]", "model.decoder.patch_size=8"]
    config = load_run_config("image_kl_f8", overrides)
    result = train(config, tmp_path / "run", "cpu", show_progress=False)
    assert result.tokenizer is not None
    tokenizer = VisualTokenizer.from_pretrained(result.tokenizer)
    mean, std = tokenizer.config["latents_mean"], tokenizer.config["latents_std"]
    assert len(mean) == len(std) == tokenizer.bottleneck.code_dim
    assert all(value > 0 for value in std)
    assert "not measured" not in (result.tokenizer / "README.md").read_text()
    latents = torch.randn(2, len(mean), 1, 2, 2)
    torch.testing.assert_close(tokenizer.unnormalize(tokenizer.normalize(latents)), latents)
