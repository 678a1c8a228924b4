"""The language of the product: docstrings that stand alone, natural English, described settings."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from vistok.train.config.run_config import RunConfig

ROOT = Path(__file__).parents[1]
FOLDERS = ("cli", "data", "encode", "eval", "models", "page", "tokenizers", "train")
SOURCES = sorted(
    [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]
)
TEXTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "configs").glob("*.yaml")]
)

SHORTEST_DOCSTRING = 25

# A function's docstring begins with a verb; so these cannot be its first word.
NO_VERBS = {
    *("A", "About", "After", "All", "Always", "An", "And", "As", "At", "Before", "Between", "Both"),
    *("By", "Each", "Every", "Everything", "For", "From", "How", "If", "In", "It", "Its", "Never"),
    *("No", "None", "Nothing", "Of", "On", "One", "Only", "Our", "So", "Some", "That", "The"),
    *("These", "They", "This", "Those", "To", "What", "When", "Where", "Whether", "Which", "Who"),
    *("Why", "With"),
}

# A module or class may be described by a noun, but not by half a sentence.
FRAGMENTS = ("What ", "Where ", "Of ", "How ", "That ", "Whether ", "Why ")

UNNATURAL = re.compile(
    r"\b(to be had|so many|aloud|goes? on (?:from|exactly|where)|go(?:es)? on with|usual|"
    r"is no (?:valid|tokenizer|file|image|picture|converter|metric)\w*|politely|"
    r"pictures?)\b",
    re.IGNORECASE,
)

# A column of other people's tables that is read as images; the word is not ours to choose.
FOREIGN = '"picture"'


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def documented(path: Path) -> Iterator[tuple[int, ast.AST, str]]:
    """Line, node and docstring of a module, its classes and functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield getattr(node, "lineno", 1), node, text


def is_property(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any("property" in ast.unparse(decorator) for decorator in decorators)


def problem_of(node: ast.AST, docstring: str) -> str | None:
    """What is wrong with the first sentence of a docstring."""
    first = docstring.split("\n\n")[0].replace("\n", " ")
    if len(first) < SHORTEST_DOCSTRING:
        return "says nothing when read alone"
    if not first.endswith((".", ":", "?")):
        return "is not a sentence with a full stop"
    if first.startswith(FRAGMENTS):
        return "is half a sentence"
    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    if is_function and not is_property(node) and first.split()[0].strip(",") in NO_VERBS:
        return "does not begin with a verb"
    return None


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_docstrings_are_sentences_that_stand_alone(path: Path):
    wrong = [
        f"{name_of(path)}:{line}: {problem}: {docstring.splitlines()[0]}"
        for line, node, docstring in documented(path)
        if (problem := problem_of(node, docstring)) is not None
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", [*SOURCES, *TEXTS], ids=name_of)
def test_the_english_is_natural(path: Path):
    lines = path.read_text(encoding="utf-8").splitlines()
    wrong = [
        f"{name_of(path)}:{number}: {found[0]}: {line.strip()}"
        for number, line in enumerate(lines, start=1)
        if (found := UNNATURAL.search(line.replace(FOREIGN, "")))
    ]
    assert not wrong, "\n".join(wrong)


def settings_without_description(schema: dict) -> Iterator[str]:
    for name, section in [("", schema), *schema["$defs"].items()]:
        is_component = "kind" in section.get("properties", {})
        for key, setting in section.get("properties", {}).items():
            if is_component:
                told = re.search(rf"^    {key}: ", section.get("description", ""), re.MULTILINE)
            else:
                told = setting.get("description")
            if key != "kind" and not told:
                yield f"{name}.{key}"


def test_every_setting_has_a_description():
    missing = sorted(settings_without_description(RunConfig.model_json_schema()))
    assert not missing, missing


def test_the_rules_find_what_they_are_made_for():
    function = ast.parse("def f(): ...").body[0]
    assert problem_of(function, "The distance.") == "says nothing when read alone"
    assert problem_of(function, "The mean over samples, weighted.") == "does not begin with a verb"
    assert problem_of(function, "Whether a source names a set.") == "is half a sentence"
    assert problem_of(function, "Return the mean of all samples.") is None
    assert UNNATURAL.search("encode at most so many files")
    assert UNNATURAL.search("the file is no valid YAML")
