"""Section: what the sections of a run config have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# A number in [0, 1), as decay rates are.
UnitInterval = Annotated[float, Field(ge=0, lt=1)]


class ConfigSection(BaseModel):
    """Settings whose unknown keys are errors, described by the texts below them."""

    model_config = ConfigDict(
        extra="forbid", protected_namespaces=(), use_attribute_docstrings=True
    )
