"""Code in the documentation runs: examples in docstrings, and the README's blocks."""

import doctest
import re
import shlex
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

import vistok
from commands import run_process
from tiny import tiny_image_configs
from vistok import VisualTokenizer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PUBLIC = [getattr(vistok, name) for name in dir(vistok) if name[0] != "_"]
MODULES = sorted({o.__name__ if isinstance(o, ModuleType) else o.__module__ for o in PUBLIC})

# Public names that a reader tries first; each shows how.
SHOWN = ("FSQ", "LFQ", "GQ", "BSQ", "VQ", "Residual", "MultiToken", "KL", "VisualTokenizer")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_give_what_they_show(name):
    results = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0


@pytest.mark.parametrize("name", [*SHOWN, "Layout", "CodeStatistics", "evaluate"])
def test_the_main_names_have_an_example(name):
    assert ">>>" in getattr(vistok, name).__doc__


@pytest.fixture
def where_it_runs(tmp_path, monkeypatch) -> Path:
    """The files that the README's code finds where it is run."""
    encoder, decoder = tiny_image_configs()
    tokenizer = VisualTokenizer(encoder, {"kind": "fsq"}, decoder)
    tokenizer.save_pretrained(tmp_path / "quickstart" / "tokenizer")
    for name in ("photo.jpg", "FOLDER/a.jpg", "HELD_OUT/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (256, 264), "teal").save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readme_has_code():
    assert blocks("python")
    assert blocks("bash")


# What would take minutes, or a library that is not installed everywhere.
SHORTENED = {'"steps": 2000': '"steps": 1', "rows.to_pandas()": "rows"}


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks("python"), ids=lambda code: code.splitlines()[0])
def test_python_in_the_readme_runs(code, where_it_runs):
    for long, short in SHORTENED.items():
        code = code.replace(long, short)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


COMMANDS = [
    shlex.split(line, comments=True)
    for block in blocks("bash")
    for line in block.splitlines()
    if shlex.split(line, comments=True)
]


@cache
def help_of(command: str) -> str:
    return run_process([sys.executable, "-m", "vistok", command, "--help"], check=True).stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_in_the_readme_exist_with_their_options(command):
    program, name, *arguments = command
    if program == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{name}:", makefile, re.MULTILINE)
    elif program == "vistok":
        shown = help_of(name)
        for option in arguments:
            if option.startswith("--"):
                assert re.search(rf"{option}\b", shown), f"vistok {name} has no {option}"
    else:
        assert command == ["pip", "install", "."], "a command that no test knows"
