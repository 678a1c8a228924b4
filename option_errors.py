"""Messages about options that pydantic refuses: a line each, with the path as the config spells it.

Hints at similar keys name only keys of the components that a config has chosen.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from .component_options import OneOf

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

# The end of messages about kinds that are not known.
REGISTER_FIRST = (
    "; a kind of your own must be registered first: import its module, or give --plugin MODULE"
)

# Pydantic's names of the errors about unknown keys, of models and of dataclasses.
UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")

# Characters of a wrong value that an error message shows, and of a rule that quotes one.
MAX_VALUE_LENGTH = 200
MAX_RULE_LENGTH = 1000


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint at the closest known words, or an empty string."""
    close = get_close_matches(word, list(known), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def unknown_kind(kind: str, known: Collection[str], hint: str = REGISTER_FIRST) -> str:
    """Return the message about a kind that is not among the known ones.

    Args:
        kind: the kind.
        known: kinds that are allowed.
        hint: end of the message where no known kind is similar.
    """
    allowed = f"must be one of {', '.join(known)}" if known else "must be one that is registered"
    return f"{allowed}, got {_shortened(kind)}{did_you_mean(kind, known) or hint}"


def describe(
    problems: Iterable[ErrorDetails], model: type[BaseModel], values: Any, where: str
) -> Iterator[str]:
    """Describe problems, each in one line: path, rule, value and a close match."""
    start = where.split(".") if where else []
    located = [(path_of(problem, values), problem) for problem in problems]
    of_several_types: dict[tuple[str, ...], list[str]] = {}
    for path, problem in located:
        name = ".".join(start + path)
        if not _is_one_type_of_several(problem, path):
            hint = ""
            if problem["type"] in UNKNOWN_KEY:
                hint = _closest_path(start + path, model, values, start)
            yield from _lines(name, problem, hint)
        elif not any(len(path) < len(other) and path == other[: len(path)] for other, _ in located):
            # None of the types fits so far that the problem lies deeper: name all of them.
            of_several_types.setdefault((name, _shortened(problem["input"])), []).append(
                _sentence(problem)
            )
    for (name, value), rules in of_several_types.items():
        others = (rule.removeprefix("input should be ") for rule in rules[1:])
        yield f"{name}: {' or '.join([rules[0], *others])}, got {value}"


def _is_one_type_of_several(problem: ErrorDetails, path: list[str]) -> bool:
    """Return whether a location ends in the name of one of the types that a value may have."""
    location = problem["loc"]
    names_key = not location or path[-1:] == [str(location[-1])]
    return not names_key and problem["type"] != "value_error"


def _lines(name: str, problem: ErrorDetails, hint: str) -> Iterator[str]:
    """Describe the problem of the setting called `name`; a check may have found several."""
    prefix = f"{name}: " if name else ""
    match problem["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            new_name = RENAMED.get(name.rpartition(".")[2])
            yield prefix + (f"is now called {new_name}" if new_name else f"unknown key{hint}")
        case "missing":
            yield f"{prefix}required, but not set"
        case "union_tag_not_found":
            yield f"{name}.kind: required, but not set"
        case "union_tag_invalid":
            context = problem.get("ctx", {})
            known = [kind for kind in context["expected_tags"].replace("'", "").split(", ") if kind]
            # Of parts, pydantic itself reports kinds that may be known, but do not fit there.
            hint = REGISTER_FIRST if context.get("is_unknown") else ""
            yield f"{name}.kind: {unknown_kind(context['tag'], known, hint)}"
        case "model_attributes_type":
            yield f"{prefix}must be a mapping with a kind, got {_shortened(problem['input'])}"
        case "value_error":
            for line in _sentence(problem).splitlines():
                yield prefix + line[:MAX_RULE_LENGTH]
        case _:
            yield f"{prefix}{_sentence(problem)}, got {_shortened(problem['input'])}"


def _sentence(problem: ErrorDetails) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _shortened(value: Any) -> str:
    """Return the text of a value, of which a message shows the beginning."""
    text = repr(value)
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[:MAX_VALUE_LENGTH]}…"


def _closest_path(path: list[str], model: type[BaseModel], values: Any, start: list[str]) -> str:
    """Return a hint at the most similar key; of several equal ones, the nearest in the config."""
    longest = len(path) + MAX_EXTRA_PARTS
    known = [known for known in _known_paths(model, values, start, longest) if known != path]
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


def path_of(problem: ErrorDetails, values: Any) -> list[str]:
    """Return the path of a problem as the config spells it, without kinds and names of types."""
    path: list[str] = []
    location = problem["loc"]
    is_about_a_key = problem["type"] in ("missing", *UNKNOWN_KEY)
    for depth, part in enumerate(location):
        if is_about_a_key and depth == len(location) - 1:
            return [*path, str(part)]
        is_key = isinstance(values, Mapping) and part in values and part != values.get("kind")
        if is_key or (isinstance(part, int) and isinstance(values, list | tuple)):
            path.append(str(part))
            values = values[part]  # pyright: ignore[reportCallIssue, reportArgumentType]
    return path


def _known_paths(model: Any, values: Any, start: list[str], longest: int) -> Iterator[list[str]]:
    """Yield every path of at most `longest` parts that a config of this type may set.

    Shorter paths come first. Components may contain their own kind, so the length needs a limit.
    Of a component whose kind is chosen, by `values` or by default, other kinds are left out.
    """
    pending, seen = deque([(model, start, values)]), set()
    while pending:
        annotation, prefix, value = pending.popleft()
        inner = annotation.models if isinstance(annotation, OneOf) else get_args(annotation)
        pending.extendleft((part, prefix, value) for part in reversed(inner))
        fields = getattr(annotation, "model_fields", None) or getattr(
            annotation, "__dataclass_fields__", {}
        )
        place = (annotation, *prefix)
        if not fields or len(prefix) == longest or place in seen:
            continue
        if "kind" in fields and _kind(value) not in (None, fields["kind"].default):
            continue
        seen.add(place)
        for name, field in fields.items():
            path = [*prefix, name]
            yield path
            chosen = _chosen(value, name, field)
            pending.append((getattr(field, "annotation", None) or field.type, path, chosen))
            pending.extend((extra, path, chosen) for extra in getattr(field, "metadata", ()) or ())


def _kind(options: Any) -> Any:
    """Return the kind of a component's options, plain or checked; None where none is chosen."""
    if isinstance(options, Mapping):
        return options.get("kind")
    return getattr(options, "kind", None)


def _chosen(values: Any, name: str, field: Any) -> Any:
    """Return the value of a field in a section, the default one where the section has none."""
    if isinstance(values, Mapping) and name in values:
        return values[name]
    return field.get_default(call_default_factory=True) if isinstance(field, FieldInfo) else None
