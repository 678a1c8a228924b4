"""Weights files of the learned metrics, found as real ones are: through their variables."""

from pathlib import Path

import pytest
import torch

from extractor_files import TinyI3D, inception_state
from vistok.eval.i3d import I3D_WEIGHTS
from vistok.eval.inception import INCEPTION_WEIGHTS


@pytest.fixture(scope="session")
def inception_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(inception_state(), path)
    return path


@pytest.fixture
def inception_file(inception_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of random weights stands where Inception's is looked for."""
    monkeypatch.setenv(INCEPTION_WEIGHTS.variable, str(inception_path))
    return inception_path


@pytest.fixture
def i3d_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small TorchScript file stands where I3D's is looked for."""
    torch.manual_seed(0)
    path = tmp_path / "i3d.pt"
    torch.jit.script(TinyI3D().eval()).save(str(path))
    monkeypatch.setenv(I3D_WEIGHTS.variable, str(path))
    return path
