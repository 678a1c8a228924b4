"""Registering kinds from outside the package: `vistok.register("mine", MyQuantizer)`.

The family of a kind follows from the base class. Once registered, a kind is chosen in configs, at
the command line and in saved tokenizers like those of the package; its options are the parameters
of its constructor. Everything that can be checked about a class is checked when it is registered.
"""

import inspect
import json
import re
from collections.abc import Collection, Iterator, MutableMapping
from dataclasses import dataclass, fields
from typing import Any

from pydantic import PydanticUserError
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from .component_options import options_model
from .eval.metrics.catalog import MetricContext
from .eval.metrics.metric import SampleMetric, SetMetric
from .eval.metrics.names import METRICS, REGISTERED_METRICS
from .eval.reconstructors.catalog import (
    KINDS,
    RECONSTRUCTOR_DERIVED,
    REGISTERED_RECONSTRUCTORS,
)
from .eval.reconstructors.reconstructor import Reconstructor
from .models.catalog import DECODER_DERIVED, DECODERS, ENCODER_DERIVED, ENCODERS
from .models.discriminators.catalog import DISCRIMINATORS
from .models.discriminators.discriminator import Discriminator
from .models.network import Decoder, Encoder
from .tokenizers.bottlenecks.bottleneck import Bottleneck
from .tokenizers.bottlenecks.catalog import BOTTLENECKS
from .train.losses.catalog import LOSSES, Weighted
from .train.losses.reconstruction import ReconstructionLoss

KIND = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Registrable:
    """A family that kinds from outside the package may join.

    Attributes:
        base: class that its members derive from.
        kinds: its members by kind, which a new one is added to.
        others: kinds that are taken, but not among `kinds`.
        derived: parameters that the program fills in; those in `required` must be there.
        required: parameters without which the program cannot make a component.
        refused: parameters that would hide an option of the family.
        forward: number of positional arguments that `forward` is called with; None to skip it.
        attributes: class attributes that must be the kind itself.
        has_options: whether users may give options; False where the name is all they give.
    """

    base: type
    kinds: MutableMapping[str, Any]
    others: Collection[str] = ()
    derived: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    forward: int | None = None
    attributes: tuple[str, ...] = ()
    has_options: bool = True


SETTINGS = frozenset(field.name for field in fields(MetricContext))
CHANNELS = frozenset({"in_channels"})
WEIGHT = frozenset(field.name for field in fields(Weighted))

FAMILIES = (
    Registrable(Bottleneck, BOTTLENECKS, forward=1),
    Registrable(Encoder, ENCODERS, derived=ENCODER_DERIVED, required=ENCODER_DERIVED, forward=2),
    Registrable(Decoder, DECODERS, derived=DECODER_DERIVED, required=DECODER_DERIVED, forward=3),
    Registrable(Discriminator, DISCRIMINATORS, derived=CHANNELS, required=CHANNELS, forward=1),
    Registrable(ReconstructionLoss, LOSSES, refused=WEIGHT, forward=2),
    *(
        Registrable(
            base,
            REGISTERED_METRICS,
            others=METRICS,
            derived=SETTINGS,
            attributes=("name",),
            has_options=False,
        )
        for base in (SampleMetric, SetMetric)
    ),
    Registrable(
        Reconstructor, REGISTERED_RECONSTRUCTORS, others=KINDS, derived=RECONSTRUCTOR_DERIVED
    ),
)


def register(kind: str, component: Any) -> None:
    """Make a class of your own known under a kind, in the family that its base class belongs to.

    Registering the same class again, as a notebook does, replaces it.

    Args:
        kind: name in configs and at the command line: lower-case letters, digits and underscores.
        component: a subclass of `Quantizer`, `Continuous` or `Bottleneck`, of `Encoder`, `Decoder`,
            `Discriminator`, `ReconstructionLoss`, `SampleMetric`, `SetMetric` or `Reconstructor`.

    Raises:
        ValueError: the kind is taken or not a name, or the class is of no family, is abstract, or
            has a constructor whose parameters cannot be options of a config.
    """
    if not isinstance(kind, str) or not KIND.fullmatch(kind):
        raise ValueError(
            "kind must be a name of lower-case letters, digits and underscores that begins with a "
            f"letter, got {kind!r}"
        )
    family = family_of(component)
    taken = family.kinds.get(kind)
    if kind in family.others or (taken is not None and not _is_newer(component, taken)):
        owner = "vistok itself" if taken is None else f"{taken.__module__}.{taken.__qualname__}"
        raise ValueError(
            f"the kind {kind} is taken by {owner}; register {component.__name__} under another name"
        )
    if problems := list(_problems(kind, component, family)):
        name = f"{component.__module__}.{component.__qualname__}"
        raise ValueError(
            "\n".join(f"{name} cannot be registered as {kind}: {line}" for line in problems)
        )
    family.kinds[kind] = component


def family_of(component: Any) -> Registrable:
    """Return the family that a class belongs to.

    Raises:
        ValueError: it is not a class, or of no family or several.
    """
    if not isinstance(component, type):
        raise ValueError(f"register takes a class, got {component!r}")
    found = [family for family in FAMILIES if issubclass(component, family.base)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(family.base.__name__ for family in found or FAMILIES)
    how = "only one" if found else "one"
    raise ValueError(f"{component.__name__} must derive from {how} of vistok's {names}")


def _is_newer(component: type, taken: type) -> bool:
    """Return whether a class is another version of one that was registered, from the same place."""
    place = (component.__module__, component.__qualname__)
    return place == (taken.__module__, taken.__qualname__)


def _problems(kind: str, component: type, family: Registrable) -> Iterator[str]:
    """Yield what keeps a class from being registered."""
    if inspect.isabstract(component):
        missing = ", ".join(sorted(getattr(component, "__abstractmethods__", ())))
        yield f"it is abstract; define {missing}"
        return
    for attribute in family.attributes:
        if getattr(component, attribute, None) != kind:
            yield f"its class attribute {attribute} must be {kind!r}"
    if family.forward is not None:
        yield from _forward_problems(component, family.forward)
    try:
        parameters = inspect.signature(component, eval_str=True).parameters
    except NameError as error:
        yield f"an annotation of its constructor cannot be read: {error}"
        return
    for name in sorted(family.required - parameters.keys()):
        yield f"its constructor must take {name}, which the tokenizer sets"
    for name in sorted(family.refused & parameters.keys()):
        yield f"its constructor may not take {name}, which every {family.base.__name__} has"
    problems = [*_parameter_problems(component, parameters.values(), family)]
    yield from problems
    if not problems:
        yield from _option_problems(kind, component, family)


def _forward_problems(component: Any, count: int) -> Iterator[str]:
    try:
        inspect.signature(component.forward).bind(None, *[None] * count)
    except TypeError as error:
        yield f"its forward must take {count} positional argument(s) besides self: {error}"


def _parameter_problems(
    component: Any, parameters: Collection[inspect.Parameter], family: Registrable
) -> Iterator[str]:
    """Yield the parameters that cannot be options."""
    for parameter in parameters:
        name, default = parameter.name, parameter.default
        has_default = default is not inspect.Parameter.empty
        if parameter.kind is inspect.Parameter.VAR_KEYWORD and hasattr(component, "keywords"):
            continue
        if parameter.kind not in (
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            inspect.Parameter.KEYWORD_ONLY,
        ):
            yield f"its constructor must name its parameters, got {parameter}"
        elif name in family.derived:
            continue
        elif not family.has_options and not has_default:
            yield (
                f"its parameter {name} needs a default; without one it may take "
                f"{', '.join(sorted(family.derived))}"
            )
        elif parameter.annotation is inspect.Parameter.empty:
            yield f"its parameter {name} needs an annotation, such as {name}: float = 1.0"
        elif has_default:
            yield from _default_problems(name, default)


def _default_problems(name: str, default: Any) -> Iterator[str]:
    try:
        json.dumps(to_jsonable_python(default), allow_nan=False)
    except (PydanticSerializationError, ValueError):
        yield f"the default of its parameter {name} must be a plain JSON value, got {default!r}"


def _option_problems(kind: str, component: type, family: Registrable) -> Iterator[str]:
    """Yield what keeps pydantic from describing the options."""
    members = {**family.kinds, kind: component}
    try:
        options_model(component, kind, family.derived, members).model_json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError, NameError, TypeError) as error:
        yield (
            "its parameters must be annotated with types of plain JSON values "
            f"({str(error).splitlines()[0]})"
        )
