"""Cut-offs, weights and sizes of the audit: every number at which a score changes its level, in one file.

What does not belong here: gates of a release (`gates.py`); they name levels and scores.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from synth_assets.config.base import Config

Level = Literal["low", "medium", "high"]


class Cutoffs(Config):
    """Below `medium` is low; from `medium` up to `high` is medium; from `high` on is high. Larger figures are worse."""

    medium: float = Field(ge=0)
    high: float = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Cutoffs:
        if not self.medium <= self.high:
            raise ValueError("`medium` must not be larger than `high`")
        return self

    def level(self, figure: float) -> Level:
        """The level of one figure."""
        return "low" if figure < self.medium else "medium" if figure < self.high else "high"

    def met(self, level: Level) -> str:
        """What makes a figure one of this level, for messages."""
        medium, high = _told(self.medium), _told(self.high)
        return {"low": f"below {medium}", "medium": f"{medium} to {high}", "high": f"{high} or more"}[level]

    def text(self) -> str:
        """The cut-offs in words."""
        return f"low below {_told(self.medium)}, high from {_told(self.high)}"


def _told(cutoff: float) -> str:
    """With two digits, or more where a cut-off has more."""
    return f"{cutoff:.2f}" if round(cutoff, 2) == cutoff else f"{cutoff:g}"


class AuditLevels(Config):
    """Cut-offs of the audit's findings, per kind of figure.

    Attributes:
        membership: Upper bound of the interval of a membership attack's advantage (TPR - FPR).
        reidentification: Chance to find the row of a person in a masked table. 0.09 is the highest that the European Medicines Agency
            accepts for publication, 0.33 is common among trusted recipients (El Emam, "Guide to the de-identification of personal
            health information", 2013).
        disclosure: Upper bound of a rate above its control: singling out, linkability, attribute inference, copies.
        copied: Lower bound of the share of people who are copied beyond coincidence; a copy harms one person, however few there are.
        shown: Lower bound of an advantage over selected people: at few false alarms, or over the most exposed rows.
        fairness: Difference between groups.
        tvd: Total variation distance, and 1 - similarity.
        subsample: 1 - the share of the real rows that, drawn at random, would have the same k-marginal score.
        inconsistency: Share of rows that break a rule.
        discriminator: ROC AUC of a classifier that tells synthetic from real rows.
        invalid: Share of values outside the domain.
        utility_gap: Score of a model trained on real rows less that of one trained on synthetic rows.
    """

    membership: Cutoffs = Cutoffs(medium=0.10, high=0.25)
    reidentification: Cutoffs = Cutoffs(medium=0.10, high=0.34)
    disclosure: Cutoffs = Cutoffs(medium=0.10, high=0.25)
    copied: Cutoffs = Cutoffs(medium=0.001, high=0.003)
    shown: Cutoffs = Cutoffs(medium=0.02, high=0.10)
    fairness: Cutoffs = Cutoffs(medium=0.05, high=0.10)
    tvd: Cutoffs = Cutoffs(medium=0.15, high=0.30)
    subsample: Cutoffs = Cutoffs(medium=0.95, high=0.99)
    inconsistency: Cutoffs = Cutoffs(medium=0.01, high=0.05)
    discriminator: Cutoffs = Cutoffs(medium=0.65, high=0.80)
    invalid: Cutoffs = Cutoffs(medium=0.01, high=0.05)
    utility_gap: Cutoffs = Cutoffs(medium=0.05, high=0.15)


class AuditWeights(Config):
    """Weights of the overall score; utility is reported beside it and has none."""

    privacy: float = Field(default=0.5, ge=0)
    fairness: float = Field(default=0.25, ge=0)
    fidelity: float = Field(default=0.25, ge=0)

    @model_validator(mode="after")
    def _positive(self) -> AuditWeights:
        if self.privacy + self.fairness + self.fidelity <= 0:
            raise ValueError("at least one weight must be above 0")
        return self


class AuditLimits(Config):
    """How much of a table each part of the audit looks at; of more rows a seeded sample is used, and the result says so.

    Attributes:
        compare_rows: Rows per table for marginals and column statistics.
        model_rows: Rows per table for models.
        draws: Resamples of the intervals of model scores and of queries.
        queries: Random queries of query accuracy.
        query_rows: Rows per table for queries.
        group_rows: Rows that a protected group, or a group of a rate, needs on both sides to be compared.
        attack_rows: Training rows, and as many held-out rows, under attack.
        synthetic_rows: Synthetic rows that distances look among.
        reference_rows: Held-out rows that a membership attacker knows.
        singling_out_rows: Training rows that predicates are counted on.
        predicates: Predicates of each kind.
        secrets: Columns that attribute inference guesses.
        near_copy_rows: Rows of the training and of the held-out table that near copies are looked for of.
        exposed_rows: Training rows, and as many held-out rows, that the most exposed ones are looked for among.
        link_neighbours: Nearest synthetic rows that each half of a row leads to (linkability).
    """

    compare_rows: int = Field(default=1_000_000, ge=1)
    model_rows: int = Field(default=50_000, ge=100)
    draws: int = Field(default=200, ge=20)
    queries: int = Field(default=500, ge=20)
    query_rows: int = Field(default=200_000, ge=100)
    group_rows: int = Field(default=30, ge=11)
    attack_rows: int = Field(default=2_000, ge=100)
    synthetic_rows: int = Field(default=50_000, ge=1)
    reference_rows: int = Field(default=10_000, ge=100)
    singling_out_rows: int = Field(default=100_000, ge=100)
    predicates: int = Field(default=1_000, ge=100)
    secrets: int = Field(default=15, ge=1)
    near_copy_rows: int = Field(default=200_000, ge=100)
    exposed_rows: int = Field(default=10_000, ge=100)
    link_neighbours: int = Field(default=1, ge=1)


class AuditConfig(Config):
    """How audits judge: the section `audit` of a dataset, or a file of its own for `synth-assets audit --config`."""

    levels: AuditLevels = Field(default=AuditLevels(), description="Cut-offs of the levels, per kind of figure.")
    weights: AuditWeights = Field(default=AuditWeights(), description="Weights of the overall score.")
    limits: AuditLimits = Field(default=AuditLimits(), description="How much of a table each part looks at.")
    shadow_models: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Shadow models to train per synthesizer for an attack; each costs as much as the synthesizer.",
    )
