"""Shapes of allocation rules."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from chargeback_worker.allocation.methods import rule_types
from chargeback_worker.api.schemas.common import (
    DECIMAL,
    AnyObject,
    Date,
    GivenId,
    GivenText,
    GivenWhole,
    Id,
    Instant,
    MaybeGivenId,
    Money,
    Shape,
)

_RuleType = Annotated[str, WithJsonSchema({"enum": rule_types(), "type": "string"})]
_Percentages = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": ["object", "null"],
            "additionalProperties": {"type": ["number", "string"], "pattern": DECIMAL},
            "description": "Percent by receiver, `team:ID` or `user:ID`; they sum to exactly 100.",
        }
    ),
]
_Metadata = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": ["object", "null"],
            "properties": {
                "match": {"type": ["object", "null"]},
                "receivers": {"type": ["array", "null"], "items": {"type": ["string", "number"]}},
                "entity_type": {"enum": ["team", "user", None]},
                "driver": {"enum": ["cost", "quantity", "records", None]},
                "driver_match": {"type": ["object", "null"]},
            },
            "additionalProperties": False,
        }
    ),
]
_Ignored = Field(None, description="Shown with a rule, and not looked at here.")


class RuleFields(Shape):
    """The fields of a rule; with PUT those that are given are changed, null is the default."""

    name: GivenText = None
    description: GivenText = None
    rule_type: _RuleType | None = None
    enabled: bool | None = None
    priority: GivenWhole = None
    effective_from: Date | None = None
    effective_to: Date | None = Field(None, description="Exclusive.")
    team_id: MaybeGivenId = None
    user_ids: list[GivenId] | None = None
    split_percentages: _Percentages = None
    allocation_metadata: _Metadata = None
    version: Any = _Ignored
    created_at: Any = _Ignored
    updated_at: Any = _Ignored
    deleted: Any = _Ignored
    warnings: Any = _Ignored
    resolved: Any = _Ignored
    in_words: Any = _Ignored


class NewRule(RuleFields):
    rule_id: GivenId
    rule_type: _RuleType


class ChangedRule(RuleFields):
    rule_id: Id | None = Field(None, description="Where given, it must agree with the path.")


class RuleWarning(Shape):
    warning: str
    message: str


class Rule(Shape):
    """A rule as it stands; in effect from `version` on."""

    rule_id: str
    name: str
    description: str
    rule_type: str
    enabled: bool
    priority: int
    effective_from: Date | None
    effective_to: Date | None
    team_id: str | None
    user_ids: list[str]
    split_percentages: dict[str, Money]
    allocation_metadata: AnyObject
    version: int
    resolved: dict[str, str] = Field(description="To whom each bare key was resolved.")
    in_words: str
    deleted: bool
    created_at: Instant
    updated_at: Instant
    warnings: list[RuleWarning]


class RuleAnswer(Shape):
    rule: Rule


class RulesAnswer(Shape):
    rules: list[Rule]
    next_cursor: str | None


class SavedRuleAnswer(Shape):
    rule_id: str
    message: str
    rule: Rule
