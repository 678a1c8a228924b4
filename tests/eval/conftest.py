"""Weights files of the learned metrics, found as real ones are: through their variables."""

from pathlib import Path

import pytest
import torch

from extractor_files import TinyI3D, alexnet_state, inception_state, write_script
from vistok.eval.features.i3d import I3D_WEIGHTS
from vistok.eval.features.inception import INCEPTION_WEIGHTS
from vistok.eval.features.lpips_network import TRUNKS


@pytest.fixture(scope="session")
def inception_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(inception_state(), path)
    return path


@pytest.fixture(autouse=True)
def _no_weights_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded, and what somebody has downloaded before changes no test."""
    monkeypatch.setenv("VISTOK_OFFLINE", "1")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))


@pytest.fixture
def inception_file(inception_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of random weights stands where Inception's is looked for."""
    monkeypatch.setenv(INCEPTION_WEIGHTS.variable, str(inception_path))
    return inception_path


@pytest.fixture
def alexnet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of random weights stands where LPIPS's AlexNet is looked for."""
    path = tmp_path / "alexnet.pth"
    torch.save(alexnet_state(), path)
    monkeypatch.setenv(TRUNKS["alex"].variable, str(path))
    return path


@pytest.fixture
def i3d_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small TorchScript file stands where I3D's is looked for."""
    torch.manual_seed(0)
    path = tmp_path / "i3d.pt"
    write_script(TinyI3D(), path)
    monkeypatch.setenv(I3D_WEIGHTS.variable, str(path))
    return path
