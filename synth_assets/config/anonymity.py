"""What must hold for people who look alike: k-anonymity, l-diversity, t-closeness, and how far columns may be coarsened for it.

What belongs here: the section `anonymity` of a policy and of a table. What does not: how it is reached (masking/anonymity).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from synth_assets.config.base import Config

Diversity = Literal["distinct", "entropy", "recursive"]
Method = Literal["auto", "full_domain", "multidimensional"]


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Columns = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]


class AnonymityConfig(Config):
    """What every class of rows that agree in all quasi-identifiers must reach.

    The default k is 11: the smallest cell that the US Centers for Medicare & Medicaid Services let out, and a risk of 1/11 = 0.09, the
    threshold of the European Medicines Agency (policy 0070) and of Health Canada for clinical data.
    """

    k: int = Field(default=11, ge=2, le=1_000_000, description="Fewest persons (rows, where each is one) in a class.")
    l_diversity: float | None = Field(
        default=None, ge=1, description="Fewest well-represented values of each sensitive column in a class."
    )
    diversity: Diversity = Field(
        default="distinct", description="Form of l-diversity: distinct values, entropy, or recursive (c, l)."
    )
    c: float = Field(default=3.0, gt=0, description="c of the recursive form.")
    t_closeness: float | None = Field(
        default=None, gt=0, le=1, description="Largest distance of a class from the table, per sensitive column."
    )
    suppression: float = Field(
        default=0.05, ge=0, lt=1, description="Largest share of rows whose quasi-identifiers may be blanked."
    )
    method: Method = Field(
        default="auto",
        description="One recoding for all rows (full_domain), one per class (multidimensional), or whichever loses less.",
    )

    @model_validator(mode="after")
    def _fits(self) -> AnonymityConfig:
        if self.l_diversity is not None and self.diversity != "entropy" and self.l_diversity != int(self.l_diversity):
            raise ValueError("`l_diversity` is a whole number in the forms `distinct` and `recursive`")
        return self

    @property
    def looks_at_values(self) -> bool:
        """Whether sensitive columns matter."""
        return self.l_diversity is not None or self.t_closeness is not None


class HierarchyConfig(Config):
    """How one quasi-identifier is coarsened, finest step first; by its type when absent."""

    levels: tuple[dict[str, Columns], ...] = Field(
        default=(),
        description="Categories: per step `group: [members]`; members are values, or groups of the step before.",
    )
    widths: tuple[float, ...] = Field(
        default=(), description="Numbers: widths of the bins, each a multiple of the one before."
    )

    @model_validator(mode="after")
    def _fits(self) -> HierarchyConfig:
        if bool(self.levels) == bool(self.widths):
            raise ValueError("give either `levels` (categories) or `widths` (numbers)")
        for level in self.levels:
            members = [m for group in level.values() for m in group]
            if len(set(members)) < len(members):
                raise ValueError("a step of `levels` puts one member into two groups")
        pairs = zip(self.widths, self.widths[1:], strict=False)
        if any(w <= 0 for w in self.widths) or any(b <= a or abs(b / a - round(b / a)) > 1e-9 for a, b in pairs):
            raise ValueError("`widths` are above 0, and each is a multiple of the one before")
        return self


class TableAnonymity(Config):
    """The section `anonymity` of a table: its quasi-identifiers, and what it asks for in place of the policy."""

    quasi_identifiers: Columns = Field(
        default=(), description="Columns to coarsen together; those of class quasi when absent."
    )
    sensitive: Columns = Field(
        default=(), description="Columns for l-diversity and t-closeness; those of class sensitive when absent."
    )
    hierarchies: dict[str, HierarchyConfig] = Field(default_factory=dict, description="Column: how it is coarsened.")
    k: int | None = Field(default=None, ge=2, le=1_000_000)
    l_diversity: float | None = Field(default=None, ge=1)
    diversity: Diversity | None = None
    c: float | None = Field(default=None, gt=0)
    t_closeness: float | None = Field(default=None, gt=0, le=1)
    suppression: float | None = Field(default=None, ge=0, lt=1)
    method: Method | None = None

    @model_validator(mode="after")
    def _fits(self) -> TableAnonymity:
        both = sorted(set(self.quasi_identifiers) & set(self.sensitive))
        if both:
            raise ValueError(f"`{both[0]}` cannot be a quasi-identifier and sensitive at once")
        self.over(None)
        return self

    def over(self, policy: AnonymityConfig | None) -> AnonymityConfig:
        """What holds for the table: this section first, then the policy, then the defaults."""
        said = {name: getattr(self, name) for name in AnonymityConfig.model_fields if getattr(self, name) is not None}
        return AnonymityConfig(**{**(policy.model_dump() if policy else {}), **said})
