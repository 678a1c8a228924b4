"""Components from plain data: a constructor's signature is the only description of its options.

A component is a class with a keyword constructor of JSON-able values. `options_model` turns the
signature into a pydantic model (unknown keys forbidden), a family is one plain dict from `kind` to
class, and `build` makes the object. Nothing is looked up by a dotted name.
"""

import dataclasses
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

Component = TypeVar("Component")

# Earlier names of options, in configs and saved tokenizers, for the error that names the new one.
RENAMED = {
    "entropy_boost_steps": "entropy_warmup_steps",
    "entropy_boost_weight": "entropy_warmup_weight",
    "final_lr_factor": "min_lr_ratio",
    "kmeans_start": "kmeans_init",
    "revive_below": "dead_code_threshold",
    "warmup_start": "warmup_start_factor",
}
Family = Mapping[str, type[Component]]


def options_model(
    component: type, kind: str | None = None, derived: frozenset[str] = frozenset()
) -> type[BaseModel]:
    """The pydantic model of a component's options.

    Args:
        component: the class whose constructor is read.
        kind: value of the `kind` key that selects the class; None for a component without choice.
        derived: parameters that the program fills in and no config may set.
    """
    return _options_model(component, kind, derived)


@cache
def _options_model(component: type, kind: str | None, derived: frozenset[str]) -> type[BaseModel]:
    """One model per choice of arguments, however they were passed."""
    fields: dict[str, Any] = {} if kind is None else {"kind": (Literal[kind], kind)}
    for parameter in inspect.signature(component).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            fields |= _keyword_fields(component)
        elif parameter.name not in derived:
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[parameter.name] = (parameter.annotation, default)
    return create_model(
        component.__name__ + "Options",
        __config__=ConfigDict(extra="forbid", protected_namespaces=()),
        __doc__=_description(component),
        **fields,
    )


def _keyword_fields(component: Any) -> dict[str, Any]:
    """The options behind `**keywords`: the fields of the dataclass that they construct.

    A component whose constructor ends in `**keywords: Unpack[...]` names that dataclass in its
    attribute `keywords`, so that options shared by a family are declared once.
    """
    return {
        field.name: (field.type, ... if field.default is MISSING else field.default)
        for field in dataclasses.fields(component.keywords)
    }


def _description(component: Any) -> str:
    """Return the docstring of a component, its `Args:` continued by those of its `keywords`."""
    texts = [inspect.getdoc(component) or ""]
    for shared in reversed(getattr(component, "keywords", object).__mro__):
        _, _, options = (inspect.getdoc(shared) or "").partition("\nArgs:\n")
        texts += [options] if options else []
    return "\n".join(texts)


def family_union(family: Family, derived: frozenset[str] = frozenset()) -> Any:
    """The annotation "one of these components, chosen by its kind"."""
    models = [options_model(component, kind, derived) for kind, component in family.items()]
    if len(models) == 1:
        return models[0]
    return Annotated[Union[tuple(models)], Field(discriminator="kind")]  # noqa: UP007


def build(family: Family, options: Mapping[str, Any], where: str, **derived: Any) -> Any:
    """Make the component that `options` describe.

    Args:
        family: classes by kind.
        options: plain JSON values with a `kind` key.
        where: path of the options in the config, for error messages.
        derived: parameters that the program fills in.

    Raises:
        ValueError: unknown kind or key, or a value of the wrong type.
    """
    if not isinstance(options, Mapping) or "kind" not in options:
        raise ValueError(f"{where} must be a mapping with a kind, one of {', '.join(family)}")
    kind = str(options["kind"])
    if kind not in family:
        raise ValueError(
            f"{where}.kind must be one of {', '.join(family)}, got {kind!r}"
            f"{did_you_mean(kind, family)}"
        )
    component = family[kind]
    checked = validate(options_model(component, kind, frozenset(derived)), options, where)
    values = {name: getattr(checked, name) for name in type(checked).model_fields if name != "kind"}
    try:
        return component(**values, **derived)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def validate(model: type[BaseModel], values: Mapping[str, Any], where: str = "") -> Any:
    """Check plain values against a model, with every problem in one readable `ValueError`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [_describe(problem, model, values, where) for problem in error.errors()]
        raise ValueError("\n".join(problems)) from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint at the closest known words, or nothing."""
    close = get_close_matches(word, list(known), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _describe(problem: Any, model: type[BaseModel], values: Any, where: str) -> str:
    """One line: path, what is wrong, what arrived, what is close."""
    path = _path(problem["loc"], values) if problem["loc"] else []
    name = ".".join([where, *path] if where else path) or "config"
    match problem["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            if path[-1] in RENAMED:
                return f"{name}: is now called {RENAMED[path[-1]]}"
            hint = _closest_path(path if not where else [where, *path], model, where)
            return f"{name}: unknown key{hint}"
        case "missing":
            return f"{name}: required, but not set"
        case "union_tag_not_found":
            return f"{name}.kind: required, but not set"
        case "union_tag_invalid":
            tag, tags = problem["ctx"]["tag"], problem["ctx"]["expected_tags"].replace("'", "")
            hint = did_you_mean(tag, tags.split(", "))
            return f"{name}.kind: must be one of {tags}, got {tag!r}{hint}"
        case _:
            message = problem["msg"].removeprefix("Value error, ")
            got = "" if problem["type"] == "value_error" else f", got {problem['input']!r}"
            return f"{name}: {message[:1].lower()}{message[1:]}{got}"


def _closest_path(path: list[str], model: type[BaseModel], where: str) -> str:
    """A hint at the most similar key, rather a near one than a far one."""
    known = [candidate.split(".") for candidate in _known_paths(model, where)]
    names = {candidate[-1] for candidate in known}
    close = get_close_matches(path[-1], names, n=1, cutoff=0.6)
    if not close:
        return ""

    def shared_parents(candidate: list[str]) -> int:
        return len(set(candidate[:-1]) & set(path[:-1]))

    best = max((c for c in known if c[-1] == close[0]), key=shared_parents)
    return f"; did you mean {'.'.join(best)}?"


def _path(location: Iterable[str | int], values: Any) -> list[str]:
    """The path of a problem as the config spells it: without the kinds that pydantic adds."""
    path: list[str] = []
    *inner, last = location
    for part in inner:
        found = (isinstance(values, Mapping) and part in values) or isinstance(part, int)
        if found:
            path.append(str(part))
            values = values[part]
    return [*path, str(last)]


def _known_paths(annotation: Any, prefix: str) -> Iterator[str]:
    """Every dotted path that a config of this type may set."""
    fields = getattr(annotation, "model_fields", None) or getattr(
        annotation, "__dataclass_fields__", {}
    )
    for name, field in fields.items():
        path = f"{prefix}.{name}" if prefix else name
        yield path
        yield from _known_paths(getattr(field, "annotation", None) or field.type, path)
    for inner in getattr(annotation, "__args__", ()):
        yield from _known_paths(inner, prefix)
