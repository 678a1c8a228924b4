"""The arguments that a component was made with, and the options of a config that would make it.

A component made by a Python call knows its arguments, so that a tokenizer put together from modules
can be saved like one that was built from a config.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from pydantic_core import PydanticSerializationError, to_jsonable_python

from ..component import validate
from ..component_options import Family, option_of, options_model, parts_of


class Arguments:
    """The arguments of a constructor call, shared by copies and forgotten by pickles.

    Args:
        args: positional arguments.
        kwargs: keyword arguments; None where the call is not known.
    """

    def __init__(self, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> None:
        self.args, self.kwargs = args, kwargs

    def __deepcopy__(self, memo: Any) -> "Arguments":
        return self

    def __reduce__(self) -> Any:
        # Functions, which some components take, cannot be pickled.
        return (Arguments, ())


class RecordsArguments:
    """Base of classes whose objects know the arguments that they were made with."""

    _arguments: Arguments

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make the object as ever, and keep the arguments beside its other attributes."""
        made = super().__new__(cls)
        object.__setattr__(made, "_arguments", Arguments(args, kwargs))
        return made

    def arguments(self) -> dict[str, Any] | None:
        """Return the arguments by name; None for an object that was unpickled."""
        given = self._arguments
        if given.kwargs is None:
            return None
        bound = inspect.signature(type(self)).bind(*given.args, **given.kwargs)
        arguments = dict(bound.arguments)
        for parameter in bound.signature.parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                arguments |= arguments.pop(parameter.name, {})
        return arguments


def options_of(
    family: Family,
    component: RecordsArguments,
    where: str,
    derived: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Return the plain options, with `kind`, that `build` would make such a component from.

    Args:
        family: classes by kind.
        component: a finished component.
        where: path of the options in a config, for error messages.
        derived: parameters that the program fills in.

    Raises:
        ValueError: a class that no kind is registered for, or arguments that are not plain values.
    """
    cls = type(component)
    kind = next((kind for kind, member in family.items() if member is cls), None)
    if kind is None:
        raise ValueError(
            f"{where} is a {cls.__name__}, which is not registered; "
            f"call vistok.register(kind, {cls.__name__}) first"
        )
    arguments = component.arguments()
    if arguments is None:
        raise ValueError(
            f"{where}: the arguments of this {cls.__name__} are not known, since it was unpickled; "
            "call its constructor instead"
        )
    parts = parts_of(cls, tuple(family.items()))
    options: dict[str, Any] = {"kind": kind}
    for parameter, value in arguments.items():
        name = option_of(parameter)
        if name in parts:
            part = _made_without_memory(value) if parts[name].is_factory else value
            options[name] = options_of(family, part, f"{where}.{name}")
        elif name not in derived:
            options[name] = _plain(value, f"{where}.{name}")
    validate(options_model(cls, kind, derived, family), options, where)
    return options


def _made_without_memory(factory: Any) -> Any:
    """Call a function that makes a part, without weights and without drawing random numbers."""
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        return factory()


def _plain(value: Any, where: str) -> Any:
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError:
        raise ValueError(
            f"{where} must be a plain JSON value to be saved, got a {type(value).__name__}"
        ) from None
