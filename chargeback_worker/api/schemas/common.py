"""What many shapes are made of."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from chargeback_worker.usage.fields import TEXT_MAX

_AMOUNT = "Exact digits, always plain: `5.5`, `0.000000001`. Read it as a decimal, not a float."


class Shape(BaseModel):
    """An object with these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class Open(BaseModel):
    """An object with these fields, and more that its own page describes."""

    model_config = ConfigDict(extra="allow")


Money = Annotated[Decimal, WithJsonSchema({"type": "number", "description": _AMOUNT})]
Quantity = Annotated[Decimal, WithJsonSchema({"type": "number", "description": _AMOUNT})]
GivenNumber = Annotated[
    Decimal,
    WithJsonSchema({"type": "number", "description": "A number; its digits are read exactly."}),
]
Instant = Annotated[
    str, WithJsonSchema({"type": "string", "format": "date-time", "description": "UTC, with Z."})
]
Date = Annotated[str, WithJsonSchema({"type": "string", "format": "date"})]
Month = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$"})]
Id = Annotated[str, Field(min_length=1, max_length=TEXT_MAX)]
DECIMAL = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_ID = {"minLength": 1, "maxLength": TEXT_MAX, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"}
GivenId = Annotated[
    Any,
    WithJsonSchema(
        {"type": ["string", "number"], **_ID, "description": "A number is read as its digits."}
    ),
]
MaybeGivenId = Annotated[Any, WithJsonSchema({"type": ["string", "number", "null"], **_ID})]
GivenText = Annotated[Any, WithJsonSchema({"type": ["string", "number", "null"]})]
GivenWhole = Annotated[
    Any,
    WithJsonSchema({"type": ["integer", "string", "null"], "pattern": "^-?(0|[1-9][0-9]*)$"}),
]
AnyObject = Annotated[dict[str, Any], WithJsonSchema({"type": "object"})]
NextCursor = Annotated[
    str | None, Field(description="What continues the list, as `cursor`; null on its last page.")
]


class Message(Shape):
    """That something was done."""

    message: str


class FieldFault(Shape):
    """A place in the request, and what is wrong there."""

    detail: str
    code: str | None = Field(description="A stable word for programs, where there is one.")
    pointer: str | None = Field(None, description="A JSON pointer into the body.")
    parameter: str | None = None
    header: str | None = None


class Problem(Shape):
    """What was refused, and why (RFC 9457)."""

    type: str = Field(description="Its page says what it means and what to do.")
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldFault]
    error: str = Field(description="The same as detail, for clients that look for it.")
    hint: str | None = Field(description="What to do next, where there is something.")
    request_id: str
