"""The folders of `eval/` import one way: each only from those before it."""

import ast
from pathlib import Path

EVAL = Path(__file__).parents[2] / "eval"
ORDER = (
    "protocols",
    "features",
    "metrics",
    "reconstructors",
    "harness",
    "diagnostics",
    "report",
    "job",
    "evaluate",
)


def imported_layers(path: Path) -> set[str]:
    """Folders of `eval/` (or modules at its top) that a module imports."""
    below = path.relative_to(EVAL).parent.parts
    layers = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        # One dot is the module's own folder; as many as there are folders and one more is eval/.
        if isinstance(node, ast.ImportFrom) and node.level == len(below) + 1:
            layers.add((node.module or "").split(".")[0])
    return layers


def test_every_folder_is_in_the_order():
    folders = {path.relative_to(EVAL).parts[0].removesuffix(".py") for path in EVAL.rglob("*.py")}
    assert folders == set(ORDER)


def test_folders_import_only_from_those_before_them():
    wrong = []
    for path in EVAL.rglob("*.py"):
        own = path.relative_to(EVAL).parts[0].removesuffix(".py")
        later = ORDER[ORDER.index(own) :]
        wrong += [f"{path.name} imports {layer}" for layer in imported_layers(path) & set(later)]
    assert not wrong, wrong


def test_the_rule_sees_imports():
    assert {"harness", "report"} <= imported_layers(EVAL / "job.py")
    assert {"protocols", "features"} <= imported_layers(EVAL / "metrics" / "catalog.py")
