"""What can be done with a column: one action and its parameters, as policies and datasets write it.

What belongs here: the closed list of actions and which parameters each takes. What does not: which rule a column gets (policy.py,
masking/plan.py), and doing it (masking/operators.py).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from synth_assets.config.base import Config

Action = Literal[
    "redact",
    "partial",
    "pseudonym",
    "format_preserving",
    "generalise",
    "round",
    "truncate",
    "perturb",
    "date_shift",
    "drop",
    "keep",
    "hash",
    "tokenise",
    "scrub",
    "top_code",
]
Generalisation = Literal["year", "month", "zip3", "age_band", "bin", "jointly"]
_PARAMETERS: dict[str, tuple[str, ...]] = {
    "redact": ("token",),
    "partial": ("keep_last",),
    "generalise": ("to", "width", "over_89"),
    "round": ("digits",),
    "truncate": ("digits", "length"),
    "perturb": ("bound", "percent"),
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
    to: Generalisation | None = Field(
        default=None, description="generalise: how (`jointly`: k-anonymity); by kind of the column when absent."
    )
    width: float | None = Field(default=None, gt=0, description="generalise to bin or age_band: width of a bin.")
    digits: int | None = Field(
        default=None, ge=-12, le=12, description="round, truncate: digits after the point; negative ones before it."
    )
    length: int | None = Field(default=None, ge=1, le=1000, description="truncate a text: characters that stay.")
    over_89: bool | None = Field(
        default=None, description="generalise a date: years that imply an age over 89 become one group."
    )
    max_days: int | None = Field(
        default=None, ge=1, le=3650, description="date_shift: largest shift in either direction."
    )
    bound: float | None = Field(
        default=None, gt=0, le=1e12, description="perturb: largest change in either direction; days for dates."
    )
    percent: float | None = Field(
        default=None, gt=0, le=100, description="perturb: largest change in percent of the value."
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
        if self.action == "top_code" and not given:
            raise ValueError("`top_code` needs `upper` or `lower`")
        if self.action == "perturb" and len(given) != 1:
            raise ValueError("`perturb` needs `bound` or `percent`, one of them")
        if self.action == "truncate" and len(given) > 1:
            raise ValueError("`truncate` takes `digits` for numbers or `length` for texts, not both")
        return self


def _short(value: Any) -> Any:
    return {"action": value} if isinstance(value, str) else value


RuleOrAction = Annotated[Rule, BeforeValidator(_short)]
