"""LPIPS is the `lpips` package's network with trunk weights from a file, never random ones."""

import warnings
from pathlib import Path

import lpips
import pytest
import torch
import torchvision
from lpips import pretrained_networks

from vistok.eval.features.extractor_weights import MissingWeights
from vistok.eval.features.lpips_network import TRUNKS, lpips_network

NETWORKS = {"alex": torchvision.models.alexnet, "vgg": torchvision.models.vgg16}


def random_trunk_file(trunk: str, path: Path) -> dict[str, torch.Tensor]:
    """Random weights as torchvision's file stores them, the unused classifier as one number."""
    with torch.device("meta"):
        shapes = NETWORKS[trunk](weights=None).state_dict()
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, value in shapes.items():
        if name.startswith("classifier."):
            state[name] = torch.zeros(1).expand(value.shape)
        else:
            scale = (2 / max(1, value[0].numel())) ** 0.5
            state[name] = torch.randn(value.shape, generator=generator) * scale
    torch.save(state, path)
    return state


def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    first = torch.rand(2, 3, 64, 64, generator=generator) * 2 - 1
    return first, (first + torch.randn(first.shape, generator=generator) * 0.2).clamp(-1, 1)


@pytest.mark.parametrize("trunk", NETWORKS)
def test_it_equals_the_package_with_the_same_weights(trunk, tmp_path, monkeypatch):
    path = tmp_path / TRUNKS[trunk].file
    state = random_trunk_file(trunk, path)
    monkeypatch.setenv(TRUNKS[trunk].variable, str(path))
    ours = lpips_network(trunk)
    with warnings.catch_warnings(action="ignore"), torch.device("meta"):
        theirs = NETWORKS[trunk](weights=None)
    theirs.load_state_dict(state, assign=True)
    # The package asks torchvision for pretrained networks; it gets this one.
    monkeypatch.setattr(pretrained_networks.tv, theirs_name(trunk), lambda pretrained: theirs)
    reference = lpips.LPIPS(net=trunk, verbose=False)
    a, b = images()
    with torch.no_grad():
        assert torch.equal(ours(a, b), reference(a, b))
        assert ours(a, b).min() > 0
        assert ours(a, a).max() == 0


def theirs_name(trunk: str) -> str:
    return NETWORKS[trunk].__name__


def test_it_is_frozen_and_in_eval_mode(tmp_path, monkeypatch):
    random_trunk_file("alex", tmp_path / "alex.pth")
    monkeypatch.setenv(TRUNKS["alex"].variable, str(tmp_path / "alex.pth"))
    network = lpips_network("alex")
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(tensor.is_meta for tensor in network.state_dict().values())
    a, b = images()
    b.requires_grad_()
    network(a, b).sum().backward()
    assert b.grad is not None
    assert b.grad.any()


def test_without_the_file_there_is_no_network(tmp_path, monkeypatch):
    monkeypatch.delenv(TRUNKS["vgg"].variable, raising=False)
    monkeypatch.setenv("VISTOK_OFFLINE", "1")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(MissingWeights, match=r"vgg16-397923af\.pth.*VISTOK_VGG16_WEIGHTS"):
        lpips_network("vgg")


def test_a_file_of_another_network_is_refused(tmp_path, monkeypatch):
    random_trunk_file("vgg", tmp_path / "vgg.pth")
    monkeypatch.setenv(TRUNKS["alex"].variable, str(tmp_path / "vgg.pth"))
    with pytest.raises(
        ValueError, match=r"does not contain LPIPS's AlexNet trunk: .*features\.12\."
    ):
        lpips_network("alex")
    (tmp_path / "text.pth").write_text("no weights")
    monkeypatch.setenv(TRUNKS["alex"].variable, str(tmp_path / "text.pth"))
    with pytest.raises(ValueError, match=r"text\.pth cannot be read as weights"):
        lpips_network("alex")


def test_a_file_with_one_wrong_shape_is_refused(tmp_path, monkeypatch):
    state = random_trunk_file("alex", tmp_path / "alex.pth")
    state["features.3.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "alex.pth")
    monkeypatch.setenv(TRUNKS["alex"].variable, str(tmp_path / "alex.pth"))
    with pytest.raises(ValueError, match=r"of another shape are features\.3\.bias;"):
        lpips_network("alex")
