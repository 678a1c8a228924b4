"""The options of a component as a pydantic model, read from its constructor.

A component may be made of components of its own family. A parameter annotated with a class of the
family is such a part, and one annotated with a function that makes it, `Callable[[], Quantizer]`,
makes copies; the options of both are those of one component of the family:

    quantizer: Callable[[], Quantizer]      {kind: residual, quantizer: {kind: fsq}}
                                            Residual(lambda: FSQ())
"""

import collections.abc
import dataclasses
import inspect
import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import no_info_plain_validator_function

Family = Mapping[str, type]

# How all options are checked: unknown keys are errors, and every number is finite. Dataclasses
# inside a model follow it.
STRICT = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)

# The name of a parameter, in the `Args:` of a docstring.
_PARAMETER = re.compile(r"(?<=^    )\w+(?=: )", re.MULTILINE)

# The entries of a family at the time it was read, by which models are cached.
Members = tuple[tuple[str, type], ...]


@dataclass(frozen=True)
class Part:
    """A parameter that takes another component of the family.

    Attributes:
        base: class that the part must derive from.
        is_factory: whether the constructor takes a function that makes the part.
    """

    base: type
    is_factory: bool


def options_model(
    component: type,
    kind: str | None = None,
    derived: frozenset[str] = frozenset(),
    family: Family | None = None,
    shared: type | None = None,
) -> type[BaseModel]:
    """Return the pydantic model of a component's options.

    Args:
        component: the class whose constructor is read.
        kind: value of the `kind` key that selects the class; None for a component without choice.
        derived: parameters that the program fills in and no config may set.
        family: classes by kind that the component's parts are chosen from.
        shared: a dataclass whose fields are options beside those of the constructor.
    """
    members = tuple((family or {}).items())
    return _complete(_draft(component, kind, derived, members, shared), members)


def _complete(model: type[BaseModel], members: Members) -> type[BaseModel]:
    """Resolve the parts of a model; models may contain each other, and themselves, to any depth."""
    bases = {part.base for _, member in members for part in parts_of(member, members).values()}
    choices = {
        _placeholder(base): _choice(
            [
                _draft(member, kind, frozenset(), members)
                for kind, member in members
                if issubclass(member, base)
            ]
        )
        for base in bases
    }
    model.model_rebuild(_types_namespace=choices)
    return model


def _draft(
    component: type,
    kind: str | None,
    derived: frozenset[str],
    members: Members,
    shared: type | None = None,
) -> type[BaseModel]:
    """Return the model of the options, with placeholders for the annotations of parts."""
    # Components without parts do not depend on the family: their model is always the same one.
    relevant = members if parts_of(component, members) else ()
    return _cached_draft(component, kind, derived, relevant, shared)


@cache
def _cached_draft(
    component: type,
    kind: str | None,
    derived: frozenset[str],
    members: Members,
    shared: type | None,
) -> type[BaseModel]:
    parts = parts_of(component, members)
    fields: dict[str, Any] = {} if kind is None else {"kind": (Literal[kind], kind)}
    options = [*_parameters(component), *(_fields(shared) if shared else ())]
    for name, annotation, default in options:
        if name not in derived:
            fields[name] = (
                _placeholder(parts[name].base) if name in parts else annotation,
                default,
            )
    return create_model(
        component.__name__ + "Options",
        __config__=STRICT,
        __doc__=_description(component, shared),
        **fields,
    )


def _description(component: Any, shared: type | None) -> str:
    """Return the docstring of a component, its `Args:` continued by those of shared options.

    An example, which stands at the end, is left out: options of configs have their own.
    """
    texts = [(inspect.getdoc(component) or "").partition("\n\nExample:\n")[0]]
    more = [*getattr(component, "keywords", object).__mro__, *([shared] if shared else [])]
    for part in reversed(more):
        _, _, options = (inspect.getdoc(part) or "").partition("\nArgs:\n")
        texts += [options] if options else []
    return _PARAMETER.sub(lambda match: option_of(match[0]), "\n".join(texts))


def _placeholder(base: type) -> str:
    """Return the forward reference to "one of the components that derive from `base`"."""
    return base.__name__ + "Choice"


def option_of(parameter: str) -> str:
    """Return the name in configs of a constructor's parameter.

    A parameter whose name would be a word of Python, as in `class: AutoencoderKL`, ends in an
    underscore there.
    """
    option = parameter.removesuffix("_")
    return option if keyword.iskeyword(option) else parameter


def parameter_of(option: str) -> str:
    """Return the constructor's parameter of an option: the inverse of `option_of`."""
    return f"{option}_" if keyword.iskeyword(option) else option


def _parameters(component: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, annotation and default (`...` for none) of every option of a constructor.

    A component whose constructor ends in `**keywords: Unpack[...]` names in its attribute
    `keywords` the dataclass that they construct, so that options shared by several components are
    declared once.
    """
    # Modules with `from __future__ import annotations` have strings in their signatures.
    for parameter in inspect.signature(component, eval_str=True).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            yield from _fields(component.keywords)
        else:
            is_required = parameter.default is inspect.Parameter.empty
            default = ... if is_required else parameter.default
            yield option_of(parameter.name), parameter.annotation, default


def _fields(options: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, annotation and default (`...` for none) of every field of a dataclass."""
    for field in dataclasses.fields(options):
        if field.init:
            yield field.name, field.type, ... if field.default is MISSING else field.default


@cache
def parts_of(component: type, members: Members) -> dict[str, Part]:
    """Return the parameters that take components of the family."""
    parts = {}
    root = _root(members)
    for name, annotation, _ in _parameters(component):
        is_factory = get_origin(annotation) is collections.abc.Callable
        base = get_args(annotation)[-1] if is_factory else annotation
        fits = isinstance(base, type) and issubclass(base, root)
        if fits and any(issubclass(member, base) for _, member in members):
            parts[name] = Part(base, is_factory)
    return parts


def _root(members: Members) -> tuple[type, ...]:
    """Return the most derived class that all members have in common; none without members."""
    for _, first in members[:1]:
        common = (cls for cls in first.__mro__ if all(issubclass(m, cls) for _, m in members))
        return (next(common),)
    return ()


def _choice(models: list[type[BaseModel]]) -> Any:
    """Return the annotation "one of these models, chosen by its kind"."""
    if len(models) == 1:
        return models[0]
    return Annotated[Union[tuple(models)], Field(discriminator="kind")]  # noqa: UP007


class OneOf:
    """Metadata of an annotation: the options of one component of a family.

    Pydantic fixes the type of a field when its class is created; this reads the family at every
    validation, so that a kind that was added since is known.
    """

    def __init__(self, family: Family, derived: frozenset[str], shared: type | None) -> None:
        self.family, self.derived, self.shared = family, derived, shared

    @property
    def models(self) -> list[type[BaseModel]]:
        """One model of options for every kind of the family."""
        return [
            options_model(component, kind, self.derived, self.family, self.shared)
            for kind, component in self.family.items()
        ]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return no_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        if not self.family:  # until something is registered
            return {"type": "object", "required": ["kind"]}
        return handler(self._adapter().core_schema)

    def _validate(self, options: Any) -> Any:
        self._check_kind(options)
        return self._adapter().validate_python(options)

    def _check_kind(self, options: Any) -> None:
        """Refuse what has no known kind; pydantic does so only where it can choose among several.

        Raises:
            PydanticCustomError: of the types that pydantic uses in that case.
        """
        if isinstance(options, BaseModel):
            return
        if not isinstance(options, Mapping):
            raise PydanticCustomError("model_attributes_type", "input should be a mapping")
        if "kind" not in options:
            raise PydanticCustomError("union_tag_not_found", "kind is not set")
        if options["kind"] not in list(self.family):  # it may be a list or a mapping
            raise PydanticCustomError(
                "union_tag_invalid",
                "the kind is not known",
                {
                    "tag": str(options["kind"]),
                    "expected_tags": ", ".join(self.family),
                    "is_unknown": True,
                },
            )

    def _adapter(self) -> TypeAdapter:
        return _cached_adapter(tuple(self.models))


@cache
def _cached_adapter(models: tuple[type[BaseModel], ...]) -> TypeAdapter:
    return TypeAdapter(_choice(list(models)))


def family_union(
    family: Family, derived: frozenset[str] = frozenset(), shared: type | None = None
) -> Any:
    """Return the annotation "options of one of these components, chosen by its kind".

    Args:
        family: classes by kind.
        derived: parameters that the program fills in and no config may set.
        shared: a dataclass whose fields are options of every kind, beside those of its constructor.
    """
    return Annotated[Any, OneOf(family, derived, shared)]
