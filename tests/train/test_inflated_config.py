"""The config that makes a video model of an image autoencoder: its network, its start, its step."""

import json
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from vistok import VisualTokenizer
from vistok.component import validate
from vistok.models.published.kl import kl_options
from vistok.tokenizers.adaptation.adapt import adapt_state
from vistok.tokenizers.converters.kl import KLConverter
from vistok.tokenizers.converters.kl_config import KLConfig
from vistok.train.config.files import load_run_config
from vistok.train.config.run_config import Model
from vistok.train.config.start import Start
from vistok.train.loop import train
from vistok.train.run.warm_start import load_warm_start

NAME = "video_kl_4x8x8_inflated"
WIDTHS = (128, 256, 512, 512)
TIMES = (1, 2, 2)


def block_types(levels: int) -> dict[str, Any]:
    return {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
    }


def test_the_network_is_stable_diffusions_with_time():
    config = load_run_config(NAME, ["data.source=anywhere"])
    encoder, decoder = kl_options(WIDTHS, times=TIMES)
    bottleneck = {"kind": "kl", "latent_channels": 4, "kl_reduction": "per_pixel"}
    expected = {
        "encoder": {"kind": "causal", **encoder},
        "bottleneck": {**bottleneck, "kl_weight": pytest.approx(1e-6 * config.data.frames)},
        "decoder": {"kind": "causal", **decoder},
    }
    assert config.model.bottleneck.model_dump()["kl_weight"] == expected["bottleneck"]["kl_weight"]
    expected["bottleneck"]["kl_weight"] = 1.7e-5
    assert config.model == validate(Model, expected)
    with torch.device("meta"):
        source = KLConfig(block_out_channels=WIDTHS, layers_per_block=2, **block_types(4)).build()
        target = config.build_tokenizer()
    result = adapt_state(source, target, config.start.adapt)
    assert result.new + result.mismatched + result.unused == ()
    assert len(result.added) == 8  # weight and bias of two convolutions over time on each side


@torch.no_grad()
def test_a_model_of_diffusers_is_inflated_without_a_conversion(tmp_path):
    torch.manual_seed(0)
    options: dict[str, Any] = {"block_out_channels": (32, 32)}
    image: Any = AutoencoderKL(**options, **block_types(2)).eval()
    image.save_pretrained(tmp_path / "vae")
    encoder, decoder = kl_options((32, 32), 1, times=(2,))
    video = VisualTokenizer(
        {"kind": "causal", **encoder},
        {"kind": "kl", "latent_channels": 4},
        {"kind": "causal", **decoder},
    )
    start = Start(source=f"diffusers:AutoencoderKL:{tmp_path / 'vae'}", adapt="inflate")
    load_warm_start(video, start, previous=None, has_discriminator=False)
    pixels = torch.rand(1, 3, 16, 16) * 2 - 1
    posterior = video.eval().encode_images(pixels).posterior
    assert posterior is not None
    latents = posterior.grids[0].mean
    torch.testing.assert_close(latents[:, :, 0], image.encode(pixels).latent_dist.mean)


def test_a_step_from_the_inflated_start(tmp_path):
    torch.manual_seed(0)
    widths = (32, 32, 32, 32)
    options: dict[str, Any] = {"block_out_channels": widths, "layers_per_block": 1}
    image: Any = AutoencoderKL(**options, **block_types(4)).eval()
    image.save_pretrained(tmp_path / "vae")
    KLConverter().read(tmp_path / "vae").save(tmp_path / "image_vae")

    encoder, decoder = kl_options(widths, 1, times=TIMES)
    settings = {
        "model.encoder.stages": encoder["stages"],
        "model.decoder.stages": decoder["stages"],
        "start.source": str(tmp_path / "image_vae"),
        "data.source": "samples:videos",
        "data.size": 16,
        "data.frames": 5,
        "data.workers": 0,
        "train.steps": 1,
        "train.sample_every_steps": 0,
        "train.lr": 1e-9,  # too small to be seen, so that the result shows the start
        "train.losses.perceptual_weight": 0.0,  # LPIPS needs weights
        "train.latent_statistics_samples": 1,
    }
    config = load_run_config(
        NAME, [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    )
    result = train(config, tmp_path / "run", "cpu", show_progress=False)
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert row["step"] == 1
    assert 0 < row["gradient_norm"] < float("inf")

    video = VisualTokenizer.from_pretrained(result.tokenizer)
    clip = torch.rand(1, 3, 5, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        images = [image.encode(clip[:, :, frame]).latent_dist.mode() for frame in (0, 4)]
        first, last = (image.decode(latents).sample.clamp(-1, 1) for latents in images)
        alone, together = video.reconstruct(clip[:, :, :1]), video.reconstruct(clip)
    torch.testing.assert_close(alone[:, :, 0], first, rtol=0, atol=1e-5)
    # In a clip, convolutions add in another order, and norms over four positions amplify that.
    torch.testing.assert_close(together[:, :, 0], first, rtol=0, atol=1e-4)
    torch.testing.assert_close(together[:, :, 4], last, rtol=0, atol=1e-4)
