"""docs/diffusers.md: its tables are those of the catalog, its code runs, its commands exist."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import typer
import yaml
from diffusers_models import TINY, build, save

from vistok.cli.app import app
from vistok.component import validate
from vistok.eval.reconstructors.catalog import KINDS
from vistok.models.wrapped.catalog import REFUSED, SUPPORTED
from vistok.train.config.files import load_run_config
from vistok.train.config.prior import with_prior
from vistok.train.config.run_config import Model

PAGE = (Path(__file__).parents[2] / "docs" / "diffusers.md").read_text(encoding="utf-8")
# First number of frames and step between legal ones, from the temporal compression f.
FRAMES = {
    "any": lambda f: (1, 1),
    "1 + *f* *k*": lambda f: (1, f),
    "1 + 2 *f* *k*": lambda f: (1, 2 * f),
    "1 + 4 *k*": lambda f: (1, 4),
    "1 + 16 *k*": lambda f: (1, 16),
    "*f* (1 + *k*)": lambda f: (f, f),
}
LATENTS = {"kl": "Gaussian", "plain": "certain", "vq": "codes", "fsq": "codes"}


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> dict[str, list[str]]:
    """The cells of a section's table by the class in its first column."""
    found = re.findall(r"^\| `(\w+)` \| (.+) \|$", section(title), re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in found}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_class_is_on_the_page_with_the_reason_if_it_is_refused():
    assert list(rows("Supported classes")) == list(SUPPORTED)
    assert rows("Refused classes") == {name: [reason] for name, reason in REFUSED.items()}


@pytest.mark.parametrize("name", SUPPORTED)
def test_a_row_says_what_the_catalog_knows(name):
    _, published, options, frames, latents, normalized = rows("Supported classes")[name]
    wrapped = SUPPORTED[name]
    assert set(re.findall(r"`(\w+)`", options)) <= wrapped.parameters().keys()
    defaults = {key: p.default for key, p in wrapped.parameters().items()}
    compression = None if name == "AutoencoderKLHunyuanImage" else wrapped.compression(defaults)
    if compression not in (None, (1, 1)):  # defaults of some classes are of no published model
        assert "{} x {}".format(*compression) in published.split(", ")

    rules, kinds, scales = set(), set(), []
    for case in (case for case in TINY if TINY[case].name == name):
        config = wrapped.options(TINY[case].options)
        f, _ = wrapped.compression(config)
        (rule,) = {
            rule
            for rule in re.sub("not causal: ", "", frames).split("; ")
            if FRAMES[rule](f) == (wrapped.first_frames(config), wrapped.frame_step(config))
        }
        rules.add(rule)
        kinds.add(LATENTS[wrapped.bottleneck(config)["kind"]])
        scales.append(wrapped.latent_scale(config, build(case)))
    assert rules == set(re.sub("not causal: ", "", frames).split("; "))
    assert kinds == set(re.sub("FSQ: ", "", latents).split("; "))
    said = {
        "mean": any(s.latents_mean is not None for s in scales),
        "factor": any(s.scaling_factor is not None for s in scales),
        "shift": any(s.shift_factor is not None for s in scales),
        "packing": any(s.latent_patch_size > 1 for s in scales),
        "nothing": not any(s.is_known for s in scales),
    }
    normalized = normalized.replace("batch norm", "mean and std")
    assert {word for word, is_said in said.items() if is_said} == {
        w for w in said if w in normalized
    }


@pytest.mark.parametrize("code", blocks("python"), ids=lambda code: code.splitlines()[0])
def test_python_on_the_page_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("AutoencoderKL", tmp_path / "vae")
    code = code.replace("stabilityai/sd-vae-ft-mse", "vae").replace("size=256", "size=64")
    exec(compile(code, "diffusers.md", "exec"), {"__name__": "page"})
    assert (tmp_path / "mine" / "config.json").is_file()


def test_the_config_on_the_page_is_completed_by_its_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("AutoencoderKL", tmp_path / "vae")
    (text,) = blocks("yaml")
    tree, problems = with_prior(yaml.safe_load(text))
    assert problems == []
    tokenizer = validate(Model, tree["model"]).build()
    assert (tokenizer.spatial_compression, tokenizer.quantizer.group_sizes) == (4, (64_000,))


COMMANDS = [
    shlex.split(line, comments=True)
    for block in blocks("bash")
    for line in block.replace("\\\n", " ").splitlines()
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words)[:60])
def test_commands_on_the_page_exist_with_their_options(command):
    program, name, *arguments = command
    assert program == "vistok"
    context = typer.Context(typer.main.get_command(app))
    shown = context.command.get_command(context, name)  # pyright: ignore[reportAttributeAccessIssue]
    options = {option for parameter in shown.params for option in parameter.opts}
    assert {word for word in arguments if word.startswith("--")} <= options
    for word in arguments:
        if word.startswith("diffusers:"):
            assert word.split(":")[1] in SUPPORTED
    overrides = [b for a, b in pairwise(arguments) if a == "--set"]
    if name == "train" and "config=null" not in " ".join(arguments) and arguments[0] != "CONFIG":
        load_run_config(arguments[0], overrides)


def test_the_comparison_is_of_a_dozen_autoencoders_and_of_codecs():
    (command,) = [words for words in COMMANDS if "report" in words and "256" in words]
    scored = [b for a, b in pairwise(command) if a == "--tokenizer"]
    assert len({s for s in scored if s.startswith("diffusers:")}) == 12
    assert {s.partition(":")[0] for s in scored} == {"diffusers", "jpeg", "webp", "avif"}
    assert {s.partition(":")[0] for s in scored} <= set(KINDS)
