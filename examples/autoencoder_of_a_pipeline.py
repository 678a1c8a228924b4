"""Use a continuous tokenizer where a latent-diffusion pipeline expects its autoencoder."""

from typing import Any

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from vistok import VisualTokenizer

network = {"kind": "causal", "patch_size": 8, "stages": [{"width": 32, "blocks": 1}]}
bottleneck = {"kind": "kl", "latent_channels": 4}
tokenizer = VisualTokenizer(network, bottleneck, network, scaling_factor=0.5).eval()
vae = tokenizer.as_diffusers()  # encode(x).latent_dist, decode(z)[0], config.scaling_factor
scheduler: Any = DDIMScheduler(num_train_timesteps=1000)
generator = torch.Generator().manual_seed(0)


def denoiser(latents: torch.Tensor, timestep: int) -> torch.Tensor:
    """Stand in for the transformer or U-Net of a pipeline, which predicts the noise."""
    return 0.1 * latents


images = torch.rand(2, 3, 1, 64, 64) * 2 - 1
with torch.inference_mode():
    # Training sees the scaled latents of images, noised as the scheduler says.
    latents = vae.encode(images).latent_dist.sample(generator) * vae.config.scaling_factor
    noise = torch.randn(latents.shape, generator=generator)
    noised = scheduler.add_noise(latents, noise, torch.tensor([500]))
    print(f"latents {tuple(latents.shape)}, noised {tuple(noised.shape)}")

    # Sampling begins with noise and ends with the decoder.
    scheduler.set_timesteps(10)
    sample = noise
    for timestep in scheduler.timesteps.tolist():
        sample = scheduler.step(denoiser(sample, timestep), timestep, sample).prev_sample
    pixels = vae.decode(sample / vae.config.scaling_factor, return_dict=False)[0]
print(f"images {tuple(pixels.shape)}")
