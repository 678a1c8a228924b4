"""Images of latents: main directions as colors, alike for all samples of a tokenizer."""

import numpy as np
import torch

from vistok.eval.report.error_map import FULL_SCALE, error_map
from vistok.eval.report.latent_image import latent_images


def test_the_main_directions_are_the_colors_in_order():
    generator = torch.Generator().manual_seed(0)
    # three channels of falling strength, hidden among weak ones by a rotation
    strong = torch.randn(3, 1, 16, 16, generator=generator) * torch.tensor([9.0, 3, 1]).view(
        3, 1, 1, 1
    )
    weak = torch.randn(5, 1, 16, 16, generator=generator) * 0.01
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=generator)).Q
    latents = torch.einsum("dc,cthw->dthw", rotation, torch.cat([strong, weak]))
    (image,) = latent_images([latents], factor=1)
    for channel in range(3):
        pair = torch.stack([image[channel].flatten().float(), strong[channel].flatten()])
        assert torch.corrcoef(pair)[0, 1].abs() > 0.95


def test_frames_stand_side_by_side_and_positions_are_enlarged():
    latents = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    (image,) = latent_images([latents], factor=2)
    assert image.shape == (3, 10, 36)
    assert torch.equal(image[:, ::2, ::2], image[:, 1::2, 1::2])


def test_the_same_latents_have_the_same_colors_in_every_image():
    latents = torch.randn(4, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    others = torch.randn(4, 1, 7, 3, generator=torch.Generator().manual_seed(1))
    first, _, again = latent_images([latents, others, latents.clone()], factor=1)
    assert torch.equal(first, again)


def test_few_channels_leave_colors_dark():
    latents = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    (image,) = latent_images([latents], factor=1)
    assert image[2].max() == 0 < image[1].max()


def test_an_error_map_is_black_without_error_and_brightest_from_full_scale_on():
    black = torch.zeros(3, 4, 4, dtype=torch.uint8)
    other = black.clone()
    other[:, 0, 0], other[:, 1, 1] = int(FULL_SCALE), 255
    pixels = np.asarray(error_map(black, other)).tolist()
    assert max(pixels[3][3]) <= 4
    assert pixels[0][0] == pixels[1][1] != pixels[3][3]
