"""The perceptual loss: LPIPS of every frame, in parts, never random and never without weights."""

import pytest
import torch
from torch import nn

from vistok.eval.features.extractor_weights import MissingWeights
from vistok.eval.features.lpips_network import TRUNKS, lpips_network
from vistok.train.losses.perceptual import PerceptualLoss, build_perceptual_loss


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    """LPIPS over an AlexNet of random features."""
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    shapes = {
        "0": (64, 3, 11, 11),
        "3": (192, 64, 5, 5),
        "6": (384, 192, 3, 3),
        "8": (256, 384, 3, 3),
        "10": (256, 256, 3, 3),
    }
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in shapes.items():
        scale = (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
        state[f"features.{name}.weight"] = torch.randn(shape, generator=generator) * scale
        state[f"features.{name}.bias"] = torch.randn(shape[0], generator=generator) * 0.1
    torch.save(state, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TRUNKS["alex"].variable, str(path))
        return lpips_network("alex")


def clips(frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, frames, 64, 64, generator=generator) * 2 - 1
    return x, (x + 0.2 * torch.randn(x.shape, generator=generator)).requires_grad_()


def test_it_is_the_mean_of_lpips_over_frames(network):
    x, y = clips(frames=3)
    distances = [network(x[:, :, t], y[:, :, t]) for t in range(3)]
    torch.testing.assert_close(PerceptualLoss(network)(y, x), torch.stack(distances).mean())


def test_parts_change_neither_value_nor_gradient(network):
    """Also when gradients are taken twice, as the adaptive weight does."""
    x, y = clips(frames=3)
    results = []
    for frames_at_once in (100, 4, 1):
        loss = PerceptualLoss(network, frames_at_once)(y, x)
        first = torch.autograd.grad(loss, y, retain_graph=True)[0]
        second = torch.autograd.grad(loss, y)[0]
        assert torch.equal(first, second)
        results.append((loss.detach(), first))
    for loss, slope in results[1:]:
        torch.testing.assert_close(loss, results[0][0])
        torch.testing.assert_close(slope, results[0][1])


def test_activations_of_one_part_only_are_kept(network):
    x, y = clips(frames=4)

    def kept(frames_at_once: int) -> int:
        count = 0

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal count
            count += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            PerceptualLoss(network, frames_at_once)(y, x)
        return count

    assert kept(2) < kept(8) / 10


def test_it_is_computed_in_fp32_under_autocast(network):
    x, y = clips(frames=1)
    loss = PerceptualLoss(network)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(y, x)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, loss(y, x))


def test_without_weights_the_error_names_file_address_variable_and_the_way_out(
    tmp_path, monkeypatch
):
    monkeypatch.delenv(TRUNKS["vgg"].variable, raising=False)
    monkeypatch.setenv("VISTOK_OFFLINE", "1")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(MissingWeights) as caught:
        build_perceptual_loss("vgg", torch.device("cpu"))
    told = ("vgg16-397923af.pth", "https://download.pytorch.org/", "VISTOK_VGG16_WEIGHTS")
    assert all(text in str(caught.value) for text in told)
    assert "train.losses.perceptual_weight=0" in str(caught.value)
