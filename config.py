"""Configs: YAML files, `extends`, `--set a.b=c` overrides, and the sections they are checked by.

A config is a tree of plain values. `extends: other.yaml` names one base (a shipped name or a path
relative to the file) whose values apply unless the file sets them. A mapping of another `kind`
replaces the base's mapping instead of merging with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from .component_options import STRICT
from .option_errors import did_you_mean

SHIPPED = Path(__file__).parent / "configs"

Tree = dict[str, Any]

# Numbers that fit every counter of the libraries below: torch's shapes, threads, tables.
Count = Annotated[int, Field(ge=0, lt=2**31)]
PositiveInt = Annotated[int, Field(gt=0, lt=2**31)]

# A seed that every random generator takes.
Seed = Annotated[int, Field(ge=0, lt=2**63)]

# A number in [0, 1), such as a decay rate.
UnitInterval = Annotated[float, Field(ge=0, lt=1)]


class ConfigSection(BaseModel):
    """One section of a config: unknown keys are errors, docstrings below fields describe them."""

    model_config = STRICT | ConfigDict(use_attribute_docstrings=True)


def load_config(config: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Tree:
    """Read a config and apply overrides.

    Args:
        config: path of a YAML file, the name of a shipped config, or the settings themselves.
        overrides: `a.b=value` strings, the value read as YAML.

    Raises:
        FileNotFoundError: no such file or shipped config.
        ValueError: the YAML or an override cannot be read, or a key is set twice.
    """
    if isinstance(config, Mapping):
        tree, name, folder = _plain(config), "the config", Path()
    else:
        path = _find(str(config), beside=Path())
        tree, name, folder = _read(path), str(path), path.parent
    if "extends" in tree:
        base = _read(_find(str(tree.pop("extends")), beside=folder))
        if "extends" in base:
            raise ValueError(f"{name}: extends goes one level deep, but its base extends another")
        tree = merge(base, tree)
    override_values(tree, overrides)
    return tree


def _plain(value: Any) -> Any:
    """Copy settings given in Python as YAML would read them: paths as text, tuples as lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """Lay the values of `over` over those of `base`, mapping by mapping."""
    merged = dict(base)
    for key, value in over.items():
        ours = merged.get(key)
        same_kind = (
            isinstance(ours, Mapping)
            and isinstance(value, Mapping)
            and value.get("kind", ours.get("kind")) == ours.get("kind")
        )
        merged[key] = merge(ours, value) if same_kind else value  # pyright: ignore[reportArgumentType]
    return merged


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return every leaf of a tree by its dotted path."""
    if isinstance(tree, Mapping):
        items: Any = tree.items()
    elif isinstance(tree, list):
        items = enumerate(tree)
    else:
        return {prefix: tree}
    leaves: dict[str, Any] = {}
    for key, value in items:
        leaves |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return leaves


def dump(tree: Mapping[str, Any]) -> str:
    """Write a tree as YAML, keeping the order of its keys."""
    return yaml.safe_dump(dict(tree), sort_keys=False, default_flow_style=None, width=100)


def shipped_names() -> list[str]:
    """Names of the configs that come with vistok."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def _find(name: str, beside: Path) -> Path:
    for path in (beside / name, SHIPPED / name, SHIPPED / f"{name}.yaml"):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"no config {name!r}: neither a file nor one of the shipped configs "
        f"{', '.join(shipped_names())}{did_you_mean(name, shipped_names())}"
    )


def _read(path: Path) -> Tree:
    try:
        tree = _parse(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {_yaml_problem(error)}") from error
    except DuplicateKeyError as error:
        raise ValueError(
            "\n".join(
                f"{path}: {key} is set twice, in line {first} and in line {line}"
                for key, first, line in error.places
            )
        ) from None
    if not isinstance(tree, dict):
        raise ValueError(f"{path} must hold a mapping of settings, got {type(tree).__name__}")
    return tree


class DuplicateKeyError(ValueError):
    """Keys that a YAML mapping sets twice, of which YAML would keep the last ones silently.

    Args:
        places: per key its path, and the lines, counted from 1, of its first and a later value.
    """

    def __init__(self, places: Sequence[tuple[str, int, int]]) -> None:
        super().__init__("\n".join(f"{key} is set twice" for key, _, _ in places))
        self.places = tuple(places)


def _parse(text: str) -> Any:
    """Read plain values from YAML.

    Raises:
        yaml.YAMLError: the text is not valid YAML, or is nested too deeply.
        DuplicateKeyError: a mapping sets a key twice.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if duplicates := list(_duplicate_keys(node)):
            raise DuplicateKeyError(duplicates)
        return loader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("its values are nested too deeply") from None
    finally:
        loader.dispose()


def _yaml_problem(error: Exception) -> str:
    """Return one line about a text that is not YAML."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        mark = error.problem_mark
        return f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"
    return " ".join(str(error).split())


def _duplicate_keys(root: yaml.Node) -> Iterator[tuple[str, int, int]]:
    """Yield every key that a mapping sets twice: its path, and its first and later line."""
    pending: list[tuple[yaml.Node, str]] = [(root, "")]
    seen: set[int] = set()  # an alias is its anchor's node once more
    while pending:
        node, prefix = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending += [(part, f"{prefix}{index}.") for index, part in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                name, line = str(key.value), key.start_mark.line + 1
                if name in lines:
                    yield f"{prefix}{name}", lines[name], line
                lines.setdefault(name, line)
                pending.append((value, f"{prefix}{name}."))


def override_values(tree: Tree, overrides: Sequence[str]) -> None:
    """Apply overrides in order.

    Raises:
        ValueError: names every override that cannot be applied.
    """
    problems = []
    for override in overrides:
        try:
            override_value(tree, override)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))


def override_value(tree: Tree, override: str) -> None:
    """Apply one `a.b=value`; numbers in the path index lists."""
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise ValueError(f"--set takes key.path=value, got {override!r}")
    value = read_value(text, f"--set {path}")
    node: Any = tree
    *parents, last = path.split(".")
    for depth, key in enumerate(parents):
        if isinstance(node, dict) and node.get(key) is None:
            node[key] = {}
        node = _child(node, key, ".".join(parents[: depth + 1]))
    if isinstance(node, list):
        _child(node, last, path)
        node[int(last)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise ValueError(f"--set {path}: {'.'.join(parents)} is {node!r} and has no parts to set")


def read_value(text: str, where: str) -> Any:
    """Read a value of the command line as YAML.

    Args:
        text: the value.
        where: beginning of error messages.

    Raises:
        ValueError: the text is not valid YAML, or sets a key twice.
    """
    try:
        return _parse(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: {text!r} is not a valid YAML value") from error
    except DuplicateKeyError as error:
        raise ValueError(
            "\n".join(f"{where}: {key} is set twice" for key, _, _ in error.places)
        ) from None


def _child(node: Any, key: str, path: str) -> Any:
    if isinstance(node, list):
        if not key.isdigit() or int(key) >= len(node):
            raise ValueError(
                f"--set {path}: the list has entries 0 to {len(node) - 1}, got {key!r}"
            )
        return node[int(key)]
    if isinstance(node, dict):
        return node[key]
    raise ValueError(f"--set {path}: {node!r} has no parts to set")
