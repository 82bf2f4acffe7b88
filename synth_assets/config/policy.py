"""A masking policy: one rule per entity type, per identifier class and for what nobody could classify.

What belongs here: the model of `configs/policies/*.yaml` and of the policies that the package ships in `config/policies/`. What
does not: reading them by name (masking/policies.py) and deciding about one column (masking/plan.py).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from synth_assets.config.dataset import Action, Config

IdentifierClass = Literal["direct", "quasi", "sensitive", "none"]
Generalisation = Literal["year", "month", "zip3", "age_band", "bin", "round", "truncate"]
_PARAMETERS: dict[str, tuple[str, ...]] = {
    "redact": ("token",),
    "partial": ("keep_last",),
    "generalise": ("to", "width", "digits", "over_89"),
    "date_shift": ("max_days",),
    "top_code": ("upper", "lower"),
}


class Rule(Config):
    """One action with its parameters; in YAML `redact` is short for `{action: redact}`."""

    action: Action
    token: str | None = Field(default=None, max_length=40, description="redact: the text that stands for every value.")
    keep_last: int | None = Field(
        default=None, ge=0, le=4, description="partial: digits or letters left readable at the end."
    )
    to: Generalisation | None = Field(default=None, description="generalise: how; by kind of the column when absent.")
    width: float | None = Field(default=None, gt=0, description="generalise to bin or age_band: width of a bin.")
    digits: int | None = Field(
        default=None, ge=-12, le=12, description="generalise to round or truncate: digits after the point."
    )
    over_89: bool | None = Field(
        default=None, description="generalise a birth date: years that imply an age over 89 become one group."
    )
    max_days: int | None = Field(
        default=None, ge=1, le=3650, description="date_shift: largest shift in either direction."
    )
    upper: float | None = Field(default=None, description="top_code: larger values become this one.")
    lower: float | None = Field(default=None, description="top_code: smaller values become this one.")

    @model_validator(mode="after")
    def _fits(self) -> Rule:
        allowed = _PARAMETERS.get(self.action, ())
        given = [name for name in type(self).model_fields if name != "action" and getattr(self, name) is not None]
        for name in given:
            if name not in allowed:
                raise ValueError(f"`{name}` is no parameter of the action `{self.action}`")
        if self.action == "top_code" and self.upper is None and self.lower is None:
            raise ValueError("`top_code` needs `upper` or `lower`")
        return self


def _short(value: Any) -> Any:
    return {"action": value} if isinstance(value, str) else value


RuleOrAction = Annotated[Rule, BeforeValidator(_short)]


class PolicyConfig(Config):
    """What happens to a column, by what it is.

    Order of decision for one column: a person's override; its key rule; withheld when unclassified or below `minimum_confidence`;
    the rule of its entity type; the rule of its identifier class.
    """

    name: str = Field(pattern=r"[a-z][a-z0-9_]*")
    description: str = ""
    minimum_confidence: float = Field(default=0.5, ge=0, le=1, description="Below it a verdict counts as no verdict.")
    unclassified: Literal["drop", "redact"] = Field(
        default="drop", description="What happens to a column without a usable verdict."
    )
    business_data: Literal["mask", "keep"] = Field(
        default="mask",
        description="Contact data that the classification gives to a firm, not to a person: by entity type, or kept.",
    )
    keys: Literal["pseudonym", "format_preserving", "hash"] = Field(
        default="pseudonym",
        description="Columns of keys, unless they are plainly harmless; the same in every table, so that joins survive.",
    )
    classes: dict[IdentifierClass, RuleOrAction]
    entity_types: dict[str, RuleOrAction] = Field(default_factory=dict)

    @field_validator("classes")
    @classmethod
    def _complete(cls, classes: dict[str, Rule]) -> dict[str, Rule]:
        missing = {"direct", "quasi", "sensitive", "none"} - set(classes)
        if missing:
            raise ValueError(f"`classes` gives no rule for: {', '.join(sorted(missing))}")
        if classes["direct"].action in {"keep", "top_code"}:
            raise ValueError("`classes.direct` passes direct identifiers through")
        return classes
