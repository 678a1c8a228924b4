"""Shape annotations are checked in every test; nothing of vistok may be imported before that.

Nothing of it is imported here either: xdist's controller, which runs no test, loads this file.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jaxtyping import install_import_hook

if TYPE_CHECKING:
    from vistok import VisualTokenizer

install_import_hook("vistok", "beartype.beartype")

# One thread in each process, those that tests start included: the worker processes share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("VISTOK_DATA", ROOT.parent / "shared" / "data"))
PARITY = Path(os.environ.get("VISTOK_PARITY", ROOT.parent / "shared" / "parity"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with slow tests first, so that no worker is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def parity_folder() -> Path:
    """Input and output tensors of the reference systems; without their folder, a bundled few."""
    from parity import cases_folder

    return cases_folder(PARITY)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real pictures and clips, hostile ones among them, which are not part of the repository."""
    if not DATA.is_dir():
        pytest.skip(f"no pictures and clips at {DATA}; set VISTOK_DATA to their folder")
    return DATA


def tiny_tokenizer(*arguments: Any) -> "VisualTokenizer":
    from tiny import tiny_tokenizer

    return tiny_tokenizer(*arguments)


@pytest.fixture
def image_tokenizer() -> "VisualTokenizer":
    return tiny_tokenizer("image")


@pytest.fixture
def video_tokenizer() -> "VisualTokenizer":
    return tiny_tokenizer("video")


@pytest.fixture
def kl_tokenizer() -> "VisualTokenizer":
    return tiny_tokenizer("image", {"kind": "kl", "latent_channels": 4})


@pytest.fixture
def saved_tokenizer(image_tokenizer: "VisualTokenizer", tmp_path: Path) -> Path:
    folder = tmp_path / "tokenizer"
    image_tokenizer.save_pretrained(folder)
    return folder
