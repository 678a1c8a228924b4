"""Components from plain data: a constructor's signature is the only description of its options.

A component is a class with a keyword constructor of JSON-able values. A family is one plain dict
from `kind` to class; it is read whenever it is needed, so that an entry can be added at any time.
`options_model` turns the signature into a pydantic model that forbids unknown keys, and `build`
makes the object. Where a component is made of other components, `build` makes these parts first:
constructors take finished parts, or functions that make them, and never descriptions. Nothing is
looked up by a dotted name.
"""

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .component_options import Family, options_model, parameter_of, parts_of
from .option_errors import UNKNOWN_KEY, describe, path_of, unknown_kind


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
        raise ValueError(f"{where}.kind {unknown_kind(kind, family)}")
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
    arguments = {parameter_of(name): value for name, value in values.items()}
    try:
        return component(**arguments, **derived)
    except ComponentError:  # of a part, whose path is the longer one
        raise
    except ValueError as error:
        raise ComponentError(f"{where}: {error}") from error


# ---- checks and their messages -------------------------------------------------------------------


def validate(model: type[BaseModel], values: Mapping[str, Any], where: str = "") -> Any:
    """Check plain values against a model, with every problem in one readable `ValueError`."""
    problems, _ = find_problems(model, values, where)
    if problems:
        raise ValueError("\n".join(problems))
    return model.model_validate(values)


def find_problems(
    model: type[BaseModel], values: Mapping[str, Any], where: str = ""
) -> tuple[list[str], Any]:
    """Check plain values against a model, and return every problem.

    Pydantic compares the settings of a section only where each of them is valid. An unknown key
    does not hide what comparing the others finds: they are checked once more without it.

    Returns:
        One line per problem, and the values without their unknown keys.
    """
    errors, known = _errors(model, values), values
    if unknown := [error for error in errors if error["type"] in UNKNOWN_KEY]:
        known = copy.deepcopy(values)
        for error in unknown:
            _remove(known, path_of(error, values))
    problems = dict.fromkeys(describe(errors, model, values, where))  # in order, each once
    if unknown:
        problems |= dict.fromkeys(describe(_errors(model, known), model, known, where))
    return list(problems), known


def _errors(model: type[BaseModel], values: Any) -> Sequence[ErrorDetails]:
    try:
        model.model_validate(values)
    except ValidationError as error:
        return error.errors()
    return []


def _remove(values: Any, path: Sequence[str]) -> None:
    """Remove the entry at a path of keys and positions."""
    *parents, last = path
    for part in parents:
        values = values[part] if isinstance(values, Mapping) else values[int(part)]
    values.pop(last, None)
