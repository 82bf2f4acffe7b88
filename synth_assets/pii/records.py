"""What a classification says, as frozen records. Light on purpose: asset code imports it at load.

What belongs here: verdicts and their public form. What does not: how they are reached. No record holds a cell value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from synth_assets.tables.schema import Frozen

IdentifierClass = Literal["direct", "quasi", "sensitive", "none"]
Level = Literal["public", "internal", "confidential", "restricted"]
_ORDER: tuple[Level, ...] = ("public", "internal", "confidential", "restricted")


class ColumnVerdict(Frozen):
    """The verdict on one column.

    Attributes:
        column: Name of the column.
        entity_type: One of `taxonomy.entity_types()`.
        identifier_class: Identifies a person alone (direct), with others (quasi), tells something sensitive, or none of these.
        confidence: Calibrated share of such verdicts that are right, 0 to 1; 1 for a person's override.
        evidence: Why, in words, strongest first; it never quotes a value.
        hipaa_identifier: Letter of the Safe Harbor list, (A) to (R), or None.
        gdpr_category: "personal", "special" (Article 9) or None.
        level: What may happen to the column without masking.
        recommended_action: Masking action that fits type and class; a policy decides.
        overridden: A person's configuration decided type or class.
        runner_up: Second best entity type, or None where nothing else had evidence.
        distinct_count: Distinct values, approximate in large tables; None in the public form.
        missing_fraction: Share of missing cells, 0 to 1; rounded in the public form.
    """

    column: str
    entity_type: str
    identifier_class: IdentifierClass
    confidence: float = Field(ge=0, le=1)
    evidence: tuple[str, ...]
    hipaa_identifier: str | None = None
    gdpr_category: str | None = None
    level: Level
    recommended_action: str
    overridden: bool = False
    runner_up: str | None = None
    distinct_count: int | None = None
    missing_fraction: float | None = None

    def public(self) -> ColumnVerdict:
        """The form that may leave the restricted zone: no distinct count, shares and confidence rounded to 0.01."""
        missing = None if self.missing_fraction is None else round(self.missing_fraction, 2)
        return self.model_copy(
            update={
                "distinct_count": None,
                "missing_fraction": missing,
                "confidence": round(self.confidence, 2),
                "evidence": tuple(e for e in self.evidence if not e.startswith("counts:")),
            }
        )


def table_level(verdicts: Sequence[ColumnVerdict]) -> Level:
    """Level of a table: the highest of its columns."""
    return max((v.level for v in verdicts), key=_ORDER.index, default="public")
