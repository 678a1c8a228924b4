"""Components from plain data: a constructor's signature is the only description of its options.

A component is a class with a keyword constructor of JSON-able values. A family is one plain dict
from `kind` to class; it is read whenever it is needed, so that an entry can be added at any time.
`options_model` turns the signature into a pydantic model that forbids unknown keys, and `build`
makes the object. Where a component is made of other components, `build` makes these parts first:
constructors take finished parts, or functions that make them, and never descriptions. Nothing is
looked up by a dotted name.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from .component_options import Family, OneOf, options_model, parts_of

# Earlier names of options, in configs and saved tokenizers, for the error that names the new one.
RENAMED = {
    "entropy_boost_steps": "entropy_warmup_steps",
    "entropy_boost_weight": "entropy_warmup_weight",
    "final_lr_factor": "min_lr_ratio",
    "kmeans_start": "kmeans_init",
    "revive_below": "dead_code_threshold",
    "warmup_start": "warmup_start_factor",
}

# How much longer than a wrong path the path may be that an error message suggests instead.
MAX_EXTRA_PARTS = 3

# Characters of a wrong value that an error message shows.
MAX_VALUE_LENGTH = 200


class ComponentError(ValueError):
    """A constructor refused its options; the message begins with the path of the component."""


def build(family: Family, options: Mapping[str, Any], where: str, **derived: Any) -> Any:
    """Make the component that `options` describe, its parts included.

    Args:
        family: classes by kind.
        options: plain JSON values with a `kind` key.
        where: path of the options in the config, for error messages.
        derived: parameters that the program fills in.

    Raises:
        ValueError: unknown kind or key, or a value of the wrong type.
        ComponentError: a constructor refused its values.
    """
    if not isinstance(options, Mapping) or "kind" not in options:
        raise ValueError(f"{where} must be a mapping with a kind, one of {', '.join(family)}")
    kind = str(options["kind"])
    if kind not in family:
        raise ValueError(
            f"{where}.kind must be one of {', '.join(family)}, got {kind!r}"
            f"{did_you_mean(kind, family)}"
        )
    model = options_model(family[kind], kind, frozenset(derived), family)
    return _make(family, validate(model, options, where), where, derived)


def _make(family: Family, options: Any, where: str, derived: Mapping[str, Any]) -> Any:
    """Make a component of checked options, and first its parts."""
    component = family[options.kind]
    names = type(options).model_fields.keys() - {"kind"}
    values = {name: getattr(options, name) for name in names}
    for name, part in parts_of(component, tuple(family.items())).items():
        make = partial(_make, family, values[name], where=f"{where}.{name}", derived={})
        values[name] = make if part.is_factory else make()
    try:
        return component(**values, **derived)
    except ComponentError:  # of a part, whose path is the longer one
        raise
    except ValueError as error:
        raise ComponentError(f"{where}: {error}") from error


# ---- checks and their messages -------------------------------------------------------------------


def validate(model: type[BaseModel], values: Mapping[str, Any], where: str = "") -> Any:
    """Check plain values against a model, with every problem in one readable `ValueError`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [_describe(problem, model, values, where) for problem in error.errors()]
        raise ValueError("\n".join(problems)) from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint at the closest known words, or an empty string."""
    close = get_close_matches(word, list(known), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _describe(problem: Any, model: type[BaseModel], values: Any, where: str) -> str:
    """Describe a problem in one line: its path, the rule, the value and a close match."""
    start = where.split(".") if where else []
    path = start + (_path(problem["loc"], values) if problem["loc"] else [])
    name = ".".join(path) or "config"
    match problem["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            if path[-1] in RENAMED:
                return f"{name}: is now called {RENAMED[path[-1]]}"
            return f"{name}: unknown key{_closest_path(path, model, start)}"
        case "missing":
            return f"{name}: required, but not set"
        case "union_tag_not_found":
            return f"{name}.kind: required, but not set"
        case "union_tag_invalid":
            tag, tags = problem["ctx"]["tag"], problem["ctx"]["expected_tags"].replace("'", "")
            hint = did_you_mean(tag, tags.split(", "))
            return f"{name}.kind: must be one of {tags}, got {tag!r}{hint}"
        case "model_attributes_type":
            return f"{name}: must be a mapping with a kind, got {problem['input']!r}"
        case _:
            message = problem["msg"].removeprefix("Value error, ")
            value = _shortened(problem["input"])
            got = "" if problem["type"] == "value_error" else f", got {value}"
            return f"{name}: {message[:1].lower()}{message[1:]}{got}"


def _shortened(value: Any) -> str:
    """Return the text of a value, of which a message shows the beginning."""
    text = repr(value)
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[:MAX_VALUE_LENGTH]}…"


def _closest_path(path: list[str], model: type[BaseModel], start: list[str]) -> str:
    """Return a hint at the most similar key; of several equal ones, the nearest in the config."""
    known = list(_known_paths(model, start, longest=len(path) + MAX_EXTRA_PARTS))
    close = get_close_matches(path[-1], {candidate[-1] for candidate in known}, n=1, cutoff=0.6)
    if not close:
        return ""

    def shared_parents(candidate: list[str]) -> int:
        return (Counter(candidate[:-1]) & Counter(path[:-1])).total()

    # Shorter paths come first, and `max` takes the first of equals.
    best = max(
        (known_path for known_path in known if known_path[-1] == close[0]), key=shared_parents
    )
    return f"; did you mean {'.'.join(best)}?"


def _path(location: Iterable[str | int], values: Any) -> list[str]:
    """Return the path of a problem as the config spells it, without the kinds pydantic adds."""
    path: list[str] = []
    *inner, last = location
    for part in inner:
        found = (isinstance(values, Mapping) and part in values) or isinstance(part, int)
        if found:
            path.append(str(part))
            values = values[part]
    return [*path, str(last)]


def _known_paths(model: Any, start: list[str], longest: int) -> Iterator[list[str]]:
    """Yield every path of at most `longest` parts that a config of this type may set.

    Shorter paths come first. Components may contain their own kind, so the length needs a limit.
    """
    pending, seen = deque([(model, start)]), set()
    while pending:
        annotation, prefix = pending.popleft()
        inner = annotation.models if isinstance(annotation, OneOf) else get_args(annotation)
        pending.extendleft((part, prefix) for part in reversed(inner))
        fields = getattr(annotation, "model_fields", None) or getattr(
            annotation, "__dataclass_fields__", {}
        )
        place = (annotation, *prefix)
        if not fields or len(prefix) == longest or place in seen:
            continue
        seen.add(place)
        for name, field in fields.items():
            path = [*prefix, name]
            yield path
            pending.append((getattr(field, "annotation", None) or field.type, path))
            pending.extend((extra, path) for extra in getattr(field, "metadata", ()) or ())
