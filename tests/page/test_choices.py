"""What can be chosen on the page: tokenizers of the command line, and codecs."""

from pathlib import Path

import pytest
import torch

from tiny import tiny_tokenizer
from vistok.eval.reconstructors.catalog import open_all, open_reconstructors
from vistok.page.choices import OFFERED, Choices


def test_loaded_tokenizers_come_first_and_are_selected_beside_a_codec():
    loaded = open_all([tiny_tokenizer(), "webp:q=20,50"], "cpu", torch.float32)
    choices = Choices(loaded)
    assert choices.names[:3] == ("tokenizer", "webp:q=20", "webp:q=50")
    assert set(OFFERED) < set(choices.names)
    assert len(set(choices.names)) == len(choices.names)
    assert choices.defaults == ("tokenizer", "webp:q=20", "webp:q=50", "jpeg:q=50")
    (opened,) = choices.open(["tokenizer"])
    assert opened.fingerprint == loaded[0].fingerprint


def test_tokenizers_are_named_by_the_part_of_their_path_that_tells_them_apart(tmp_path: Path):
    folders = [tmp_path / name / "tokenizer" for name in ("a", "b")]
    for folder in folders:
        tiny_tokenizer().save_pretrained(folder)
    choices = Choices(open_all(folders, "cpu", torch.float32))
    assert choices.defaults == ("a", "b", "jpeg:q=50")
    assert [one.name for one in choices.open(["b", "a"])] == ["b", "a"]


def test_any_setting_of_a_codec_can_be_typed():
    opened = Choices(()).open([" jpeg:q=13 ", "jpeg:q=13,70", "identity", "bicubic:f=3"])
    assert [one.name for one in opened] == ["jpeg:q=13", "jpeg:q=70", "identity", "bicubic:f=3"]


@pytest.mark.parametrize(
    "name",
    ["/etc", "folder:/etc", "continuous:x", "diffusers:AutoencoderKL:x", "someone/model", ""],
)
def test_the_page_opens_no_path_that_the_command_line_did_not_name(name: str):
    with pytest.raises(ValueError, match="neither loaded nor a codec"):
        Choices(()).open([name])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "Choose at least one"),
        (["jpeg:q=500"], "must be in 1 ... 100"),
        (["jpg:q=50"], "did you mean jpeg:q=50"),
    ],
)
def test_wrong_choices_are_explained(names: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        Choices(()).open(names)


def test_a_folder_of_results_cannot_be_offered(tmp_path: Path):
    from vistok.data.codecs.write import write_image

    write_image(tmp_path / "a.png", torch.zeros(3, 16, 16, dtype=torch.uint8))
    with pytest.raises(ValueError, match="certain files only"):
        Choices(open_reconstructors(f"folder:{tmp_path}"))
