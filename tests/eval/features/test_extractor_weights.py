"""A file of published weights is found, downloaded, or asked for by name; nothing replaces it."""

import hashlib
import pickle
from pathlib import Path

import pytest
import torch

from vistok.eval.features.extractor_weights import ExtractorWeights, MissingWeights, find

CONTENT = b"the weights"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch hub folder, and no settings of this machine."""
    for name in ("HF_HUB_OFFLINE", "VISTOK_OFFLINE", "VISTOK_TEST_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def published(folder: Path, content: bytes = CONTENT) -> ExtractorWeights:
    """A file at an address that needs no network."""
    (folder / "published.pth").write_bytes(content)
    return ExtractorWeights(
        name="the test network",
        file="weights.pth",
        url=(folder / "published.pth").as_uri(),
        sha256_prefix=hashlib.sha256(CONTENT).hexdigest()[:8],
        variable="VISTOK_TEST_WEIGHTS",
    )


def test_the_environment_variable_comes_before_the_cache(hub, tmp_path, monkeypatch):
    weights = published(tmp_path)
    hub.mkdir(parents=True)
    (hub / "weights.pth").touch()
    assert find(weights) == hub / "weights.pth"
    own = tmp_path / "own.pth"
    own.touch()
    monkeypatch.setenv(weights.variable, str(own))
    assert find(weights) == own


def test_what_is_not_here_is_downloaded_once(hub, tmp_path):
    weights = published(tmp_path)
    assert find(weights).read_bytes() == CONTENT
    (tmp_path / "published.pth").unlink()
    assert find(weights) == hub / "weights.pth"


def test_a_download_of_another_content_is_refused_and_not_kept(hub, tmp_path):
    with pytest.raises(MissingWeights, match="the download failed: invalid hash"):
        find(published(tmp_path, b"something else"))
    assert list(hub.iterdir()) == []


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "VISTOK_OFFLINE"])
def test_offline_downloads_nothing_and_says_how_to_get_the_file(
    hub, tmp_path, monkeypatch, variable
):
    weights = published(tmp_path)
    monkeypatch.setenv(variable, "1")
    with pytest.raises(FileNotFoundError) as caught:
        find(weights)
    message = str(caught.value)
    told = ("weights.pth", weights.url, weights.sha256_prefix, str(hub), weights.variable, variable)
    assert all(text in message for text in told), message
    assert str(pickle.loads(pickle.dumps(caught.value))) == message


def test_a_variable_that_names_no_file_is_an_error_not_a_reason_to_look_elsewhere(
    hub, tmp_path, monkeypatch
):
    weights = published(tmp_path)
    monkeypatch.setenv(weights.variable, str(tmp_path / "nowhere.pth"))
    with pytest.raises(MissingWeights, match=r"VISTOK_TEST_WEIGHTS=.*nowhere\.pth is not a file"):
        find(weights)


def test_an_address_that_does_not_answer_is_missing_weights(hub, tmp_path):
    weights = published(tmp_path)
    (tmp_path / "published.pth").unlink()
    with pytest.raises(MissingWeights, match="the download failed"):
        find(weights)
