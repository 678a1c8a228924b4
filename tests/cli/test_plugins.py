"""Plug-ins: modules of other people that the command line imports, by name and never by path."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from own_parts import TERNARY, forgetting

from commands import run_process, vistok
from vistok.cli import plugins
from vistok.cli.plugins import load_plugins
from vistok.tokenizers.bottlenecks.catalog import BOTTLENECKS

OVERRIDES = ("model.bottleneck={kind: ternary, channels: 3}", "train.steps=3", "data.size=32")
OVERRIDES += ("train.batch_size=2", "train.warmup_steps=1", "eval.size=32", "eval.limit=2")
SETTINGS = [word for override in OVERRIDES for word in ("--set", override)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """A folder that Python imports from, with a plug-in; forgotten at the end."""
    (tmp_path / "own_ternary.py").write_text(TERNARY)
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)
    with forgetting():
        yield tmp_path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "own_parts.py/",
            "takes the name of a module that Python can import, such as",
        ),
        ("./own_ternary", "not a path, got './own_ternary'; set PYTHONPATH to its folder"),
        ("folder/own_ternary.py", "not a path"),
        ("", "not a path, got ''"),
        (
            "no_such_module",
            "--plugin no_such_module cannot be imported: ModuleNotFoundError",
        ),
        ("no_such_module", "; install it, or set PYTHONPATH to its folder$"),
        ("broken", r"--plugin broken cannot be imported: ZeroDivisionError: division by zero$"),
        (
            "taken",
            r"--plugin taken cannot be imported: ValueError: the kind fsq is taken",
        ),
    ],
)
def test_a_plug_in_that_cannot_be_imported_is_one_clear_message(folder, name, message):
    (folder / "broken.py").write_text("1 / 0")
    (folder / "taken.py").write_text(TERNARY.replace('register("ternary"', 'register("fsq"'))
    with pytest.raises(ValueError, match=message):
        load_plugins([name])


def test_plug_ins_of_installed_packages_are_loaded_by_their_entry_points(folder, monkeypatch):
    entries = [EntryPoint("mine", "own_ternary", "vistok.plugins")]

    def entry_points(group: str) -> list[EntryPoint]:
        return [entry for entry in entries if entry.group == group]

    monkeypatch.setattr(plugins, "entry_points", entry_points)
    assert "ternary" not in BOTTLENECKS
    assert "kind: ternary" in vistok("train", "quickstart", *SETTINGS, "--dry-run").stdout
    entries[:] = [EntryPoint("theirs", "no_such_module", "vistok.plugins")]
    failed = vistok("info", "quickstart", code=2).stderr
    assert failed.startswith("error: the plug-in theirs (vistok.plugins: no_such_module) cannot be")
    assert "Traceback" not in failed


def test_a_config_cannot_name_a_plug_in(folder):
    (folder / "run.yaml").write_text("extends: quickstart\nplugins: [own_ternary]\n")
    assert "plugins: unknown key" in vistok("train", folder / "run.yaml", code=2).stderr
    assert "own_ternary" not in sys.modules


@pytest.mark.slow
def test_every_command_that_opens_a_config_or_a_tokenizer_takes_plug_ins(folder):
    run, samples = folder / "run", "samples:heldout"
    plug = ["--plugin", "own_ternary"]
    vistok("train", "quickstart", *SETTINGS, "--output", run, *plug)
    assert (run / "tokenizer" / "config.json").exists()
    saved, small = run / "tokenizer", ["--size", 32, "--limit", 2]
    job = ["encode", samples, "--tokenizer", saved, "--output", folder / "tokens", *small]
    commands = [
        job,
        ["decode", folder / "tokens", "--tokenizer", saved, "--output", folder / "decoded"],
        ["eval", samples, "--tokenizer", saved, "--output", folder / "report", *small],
        ["info", saved],
        ["convert", "wetok", saved, "--output", folder / "published", "--reverse"],
    ]
    commands[2] += ["--metrics", "psnr"]
    for command in commands:
        sys.modules.pop("own_ternary", None)
        BOTTLENECKS.pop("ternary", None)
        if command[0] != "convert":
            without = vistok(*command, code=2).stderr
            assert "got 'ternary'" in without
            assert "registered by the module own_ternary" in without
            vistok(*command, *plug)
        else:
            assert "this tokenizer is not a WeTok" in vistok(*command, *plug, code=2).stderr


SCRIPT = """
import sys
from pathlib import Path

import own_ternary
from vistok import VisualTokenizer, evaluate
from vistok.train.config.files import load_run_config
from vistok.train.loop import train

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if not (folder / "run").exists():
        train(load_run_config(folder / "run.yaml"), folder / "run", "cpu", show_progress=False)
        sys.exit()
    tokenizer = VisualTokenizer.from_pretrained(folder / "run" / "tokenizer")
    assert type(tokenizer.quantizer) is own_ternary.Ternary
    (row,) = evaluate("samples:heldout", tokenizer, size=32, limit=2, metrics=["psnr"])
    print(row.metrics["psnr"])
    try:
        VisualTokenizer(tokenizer.encoder, tokenizer.bottleneck, tokenizer.decoder)
    except ValueError as error:
        print(error, file=sys.stderr)
"""

CONFIG = """
extends: quickstart
model: {bottleneck: {kind: ternary, channels: 3}}
data: {size: 32}
train: {steps: 3, batch_size: 2, warmup_steps: 1}
eval: {source: null}
"""


def test_the_quantizer_of_the_docs_is_short():
    assert len(TERNARY.splitlines()) <= 30


@pytest.mark.slow
def test_a_script_outside_the_repository_registers_trains_saves_loads_and_scores(tmp_path):
    (tmp_path / "own_ternary.py").write_text(TERNARY)
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "without.py").write_text(SCRIPT.replace("import own_ternary\n", ""))
    (tmp_path / "run.yaml").write_text(CONFIG)

    def script(name: str):
        return run_process([sys.executable, tmp_path / name, tmp_path], cwd=tmp_path)

    trained = script("script.py")
    assert trained.returncode == 0, trained.stderr
    scored = script("script.py")
    assert scored.returncode == 0, scored.stderr
    assert float(scored.stdout) > 5
    assert "modules are put together by VisualTokenizer.from_modules" in scored.stderr
    without = script("without.py")
    assert without.returncode == 1
    assert "got 'ternary'" in without.stderr
    assert "registered by the module own_ternary; if you trust it, import it" in without.stderr
