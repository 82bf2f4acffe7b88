"""A masking policy: one rule per entity type, per identifier class and for what nobody could classify.

What belongs here: the model of `configs/policies/*.yaml` and of the policies that the package ships in `config/policies/`. What
does not: reading them by name (masking/policies.py) and deciding about one column (masking/plan.py).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from synth_assets.config.anonymity import AnonymityConfig
from synth_assets.config.base import Config
from synth_assets.config.rules import Rule, RuleOrAction

IdentifierClass = Literal["direct", "quasi", "sensitive", "none"]


class PolicyConfig(Config):
    """What happens to a column, by what it is.

    Order of decision for one column: a person's override; its key rule; withheld when unclassified or below `minimum_confidence`, or
    when `special_categories` says so; the rule of its entity type; the rule of its identifier class.
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
    keys: Literal["pseudonym", "format_preserving", "hash", "tokenise"] = Field(
        default="pseudonym",
        description="Columns of keys, unless they are plainly harmless; the same in every table, so that joins survive.",
    )
    anonymity: AnonymityConfig | None = Field(
        default=None, description="k, l, t of the columns that are generalised `jointly`."
    )
    special_categories: Literal["by_rule", "withhold"] = Field(
        default="by_rule",
        description="Columns of GDPR Article 9 data: by the rules below, or dropped unless a person says otherwise.",
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
