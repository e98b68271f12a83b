# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Types of parameters and their bounds."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A group of parameters: unknown names and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def says(
    default: Any,
    meaning: str,
    heading: str = "",
    fact: Literal["", "fixed", "usual", "changed"] = "",
) -> Any:
    """A parameter: its value where none is given, and its meaning in one line.

    Args:
        default: None for one that follows from others.
        meaning: what default_config.yaml, --help and docs/parameters.md say.
        heading: of the group of parameters that begins here.
        fact: whether a model carries its value, and one that is given has to be the same ("fixed"),
            or is taken instead ("usual", or "changed", which stands there only where it is not the
            default); see `src.model_utils.facts`.
    """
    return Field(
        default,
        description=meaning,
        json_schema_extra={"heading": heading, "fact": fact},
        validate_default=False,
    )


def derived(given: Any, found: Any, name: str, source: str) -> Any:
    """The value of a parameter that follows from others, also where it is given all the same.

    Raises:
        ValueError: another value is given.
    """
    if given not in (None, found):
        raise ValueError(f"{name} is {given}, but {source} makes it {found}; leave out one of them")
    return found


def _not_zero(value: int) -> int:
    if value == 0:
        raise PydanticCustomError("zero", "should be at least 1, or -1")
    return value


# Numbers stay numbers in what follows: int32, and float32 with room for products.
_LARGEST_INT, _LARGEST, _SMALLEST = 2**31 - 1, 1e30, 1e-30
Count = Annotated[int, Field(ge=1, le=_LARGEST_INT)]
CountOrAll = Annotated[int, Field(ge=-1, le=_LARGEST_INT), AfterValidator(_not_zero)]
Index = Annotated[int, Field(ge=0, le=_LARGEST_INT)]
NonNegative = Annotated[float, Field(ge=0, le=_LARGEST)]
Positive = Annotated[float, Field(ge=_SMALLEST, le=_LARGEST)]
# Of what memory is taken for: beyond these they are mistakes.
BatchSize = Annotated[int, Field(ge=1, le=65_536)]
Channels = Annotated[int, Field(ge=1, le=16_384)]
Entries = Annotated[int, Field(ge=1, le=100_000)]  # classes, objects of an image
Probability = Annotated[float, Field(ge=0, le=1)]
# What MindRecord takes as the beginning of a file name.
FileName = Annotated[str, Field(pattern=r"""^[^\s/\\:*?"<>|`&;'][^/\\:*?"<>|`&;']*$""")]
Triple = Annotated[
    list[Annotated[float, Field(ge=-1e6, le=1e6)]], Field(min_length=3, max_length=3)
]
# Beyond these bounds sizes and lengths are mistakes, and would end in numbers that overflow.
LARGEST_INPUT_SIDE = 8192
Resolution = Annotated[
    list[Annotated[int, Field(ge=32, le=LARGEST_INPUT_SIDE)]], Field(min_length=2, max_length=2)
]
Scale = Annotated[float, Field(ge=0.05, le=16)]
OutputResolution = Annotated[list[Count], Field(min_length=2, max_length=2)]
