"""Damaged tokenizer folders: a changed file is found by its name, or has no effect."""

import json
import shutil
from pathlib import Path
from random import Random

import pytest
import torch

from fuzzing import CASES, check_message, check_refusal, fuzz, run
from mutators import damaged, flipped, mutated_tree
from tiny import tiny_wetok
from vistok import VisualTokenizer
from vistok.tokenizers.converters.wetok import WeTokConverter

pytestmark = pytest.mark.slow

WEIGHTS = "diffusion_pytorch_model.safetensors"
# A change of the card has no effect; without checksums nothing is compared.
UNCHECKED = {"README.md", "checksums.json"}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A tokenizer of two layers, so that flips often hit what is not a weight."""
    network = {"kind": "causal", "patch_size": 4, "stages": [{"width": 4, "blocks": 0}]}
    VisualTokenizer(network, {"kind": "fsq"}, network).save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def latent_of(folder: Path) -> torch.Tensor:
    x = torch.rand(1, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return VisualTokenizer.from_pretrained(folder).encode(x).latent


def test_damaged_tokenizer_folders(folder):
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {*whole} == {*UNCHECKED, "config.json", WEIGHTS}
    expected = latent_of(folder)

    def case(draw: Random) -> None:
        name = draw.choice((*whole, WEIGHTS, WEIGHTS))
        content = (flipped if draw.random() < 0.7 else damaged)(whole[name], draw)
        (folder / name).write_bytes(content)
        try:
            found = latent_of(folder)
        except (ValueError, FileNotFoundError) as error:
            check_message(str(error), [str(folder)])
        else:
            assert torch.equal(found, expected)
            assert name in UNCHECKED or content == whole[name], f"a changed {name} was loaded"
        finally:
            (folder / name).write_bytes(whole[name])

    fuzz(case)


def test_damaged_tokenizer_folders_without_checksums(folder):
    """What older versions wrote: the config and the header of the weights must still agree."""
    (folder / "checksums.json").unlink()
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    config = json.loads(whole["config.json"])

    def case(draw: Random) -> None:
        match draw.randrange(3):
            case 0:
                mutant, _ = mutated_tree(config, draw)
                (folder / "config.json").write_text(json.dumps(mutant, default=str))
            case 1:
                (folder / "config.json").write_bytes(damaged(whole["config.json"], draw))
            case _:
                (folder / WEIGHTS).write_bytes(damaged(whole[WEIGHTS], draw))
        try:
            if (outcome := run("info", folder)).code:
                check_refusal(outcome, [str(folder)])
        finally:
            for name, content in whole.items():
                (folder / name).write_bytes(content)

    fuzz(case, CASES // 2)


def test_damaged_published_checkpoints(tmp_path):
    """A torch file has checksums; a change is found, or the same tokenizer is converted."""
    checkpoint = WeTokConverter(bits_per_group=4).write(tiny_wetok(), tmp_path / "published")
    whole = checkpoint.read_bytes()
    command = ("convert", "wetok", checkpoint, "--bits-per-group", 4, "--output")
    assert run(*command, tmp_path / "expected").code == 0
    expected = (tmp_path / "expected" / WEIGHTS).read_bytes()

    def case(draw: Random) -> None:
        checkpoint.write_bytes((flipped if draw.random() < 0.7 else damaged)(whole, draw))
        outcome = run(*command, tmp_path / "out")
        if outcome.code:
            check_refusal(outcome, [str(checkpoint)])
        else:
            assert (tmp_path / "out" / WEIGHTS).read_bytes() == expected
        shutil.rmtree(tmp_path / "out", ignore_errors=True)

    fuzz(case, CASES // 10)
