"""The results of an audit as records: findings, scores, inputs, and their public form. Light: no numpy, no engine.

What belongs here: what is stored and shown. What does not: how a figure is computed, and the words of a message
(`findings.py`). A message quotes figures to 0.01 only, so that the public form can keep it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, FiniteFloat, ValidationError

from synth_assets.config.thresholds import AuditLevels, AuditWeights, Level
from synth_assets.errors import InputError
from synth_assets.tables.schema import Frozen

Module = Literal["privacy", "fairness", "fidelity", "utility"]
MODULES: tuple[Module, ...] = ("privacy", "fairness", "fidelity", "utility")
WEIGHTED: tuple[Literal["privacy", "fairness", "fidelity"], ...] = ("privacy", "fairness", "fidelity")
SMALLEST_CELL = 11
OF_A_THOUSAND = ("k_marginal",)  # metrics whose best score is 1000
Interval = tuple[FiniteFloat, FiniteFloat]
_RANK: Mapping[Level, int] = {"low": 0, "medium": 1, "high": 2}


def rank_of(level: Level) -> int:
    """0 for low, 1 for medium, 2 for high."""
    return _RANK[level]


def worst_level(levels: Iterator[Level] | tuple[Level, ...]) -> Level | None:
    """The highest of some levels; None where there is none."""
    return max(levels, key=lambda level: _RANK[level], default=None)


def accepted(level: Level, limit: Level) -> bool:
    """Whether a level is not above the limit."""
    return _RANK[level] <= _RANK[limit]


def coarse(rows: int | None) -> int | None:
    """A row count to two significant digits, for public forms: 32561 -> 33000; None below the smallest cell."""
    if rows is None or rows < SMALLEST_CELL:
        return None
    step: int = 10 ** max(len(str(rows)) - 2, 0)
    return round(rows / step) * step


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits) + 0.0


def _rounded_interval(value: Interval | None, digits: int) -> Interval | None:
    return None if value is None else (round(value[0], digits) + 0.0, round(value[1], digits) + 0.0)


class GroupFigure(Frozen):
    """One group of a protected attribute; its name is a value of the data (or "quarter 1" ... for binned numbers).

    Attributes:
        name: Value of the protected attribute.
        synthetic_rows: Rows of the group in the synthetic table.
        real_rows: Rows of the group in the real table; None without one.
        synthetic: Rate (or share) in the synthetic table, in [0, 1]; None where the group is too small there.
        real: The same in the real table.
    """

    name: str
    synthetic_rows: int
    real_rows: int | None = None
    synthetic: FiniteFloat | None = None
    real: FiniteFloat | None = None

    def public(self) -> GroupFigure | None:
        """Rounded; None where one side has fewer than 11 rows."""
        smallest = min(self.synthetic_rows, self.synthetic_rows if self.real_rows is None else self.real_rows)
        if smallest < SMALLEST_CELL:
            return None
        return self.model_copy(
            update={
                "synthetic_rows": coarse(self.synthetic_rows),
                "real_rows": coarse(self.real_rows),
                "synthetic": _rounded(self.synthetic),
                "real": _rounded(self.real),
            }
        )


class Finding(Frozen):
    """One figure of the audit, its level, and a sentence that says what it means.

    Attributes:
        metric: Stable name, such as "membership_inference.nearest".
        message: Plain words, one or two short sentences; quotes the figure to 0.01 and what makes its level.
        risk_level: low, medium or high.
        value: The figure.
        interval: 95 % confidence interval of `value`.
        baseline: The same figure for real rows the synthesizer has not seen (control, holdout), or for the real table.
        naive: The same figure for a guess without the target's other columns (attribute inference, linkability).
        excess: How far the figure lies above its baseline, as it enters the module's score.
        excess_interval: 95 % confidence interval of `excess`.
        sample_size: Rows, units or attacks that `value` was counted on.
        control_size: The same for `baseline`.
        decides: False where the finding is shown for information only: it enters no score and no level of a module.
        table: Table, where the audit covers several.
        column: Column, where the figure is of one column.
        groups: Figures per group (fairness).
        details: Further numbers; restricted form only.
        draws: `value` of every resample of the rows it was tested on, null where one has none; restricted form only.
        drawn_on: A hash of those rows and resamples: draws of two audits that share it are paired; restricted form only.
    """

    metric: str
    message: str
    risk_level: Level
    value: FiniteFloat | None = None
    interval: Interval | None = None
    baseline: FiniteFloat | None = None
    naive: FiniteFloat | None = None
    excess: FiniteFloat | None = None
    excess_interval: Interval | None = None
    sample_size: int | None = None
    control_size: int | None = None
    decides: bool = True
    table: str | None = None
    column: str | None = None
    groups: tuple[GroupFigure, ...] = ()
    details: Mapping[str, FiniteFloat | int | str | None] = Field(default_factory=dict)
    draws: tuple[FiniteFloat | None, ...] = ()
    drawn_on: str | None = None

    def public(self) -> Finding:
        """Scores to 0.01 (of 1000 to 10), sizes to two digits, no group below 11 rows, no details, no draws."""
        digits = -1 if self.metric in OF_A_THOUSAND else 2
        update = {name: _rounded(getattr(self, name), digits) for name in ("value", "baseline", "naive", "excess")}
        shown = [group.public() for group in self.groups]
        return self.model_copy(
            update={
                **update,
                "interval": _rounded_interval(self.interval, digits),
                "excess_interval": _rounded_interval(self.excess_interval, digits),
                "sample_size": coarse(self.sample_size),
                "control_size": coarse(self.control_size),
                "groups": tuple(group for group in shown if group is not None),
                "details": {},
                "draws": (),
                "drawn_on": None,
            }
        )


class ModuleFindings(Frozen):
    """What was found out about one module.

    Attributes:
        risk_level: The highest level among the findings that decide; None where none does.
        message: The verdict in plain words: the finding that made the level, or why the module could not run.
        findings: Every figure, those that decide first.
    """

    risk_level: Level | None = None
    message: str
    findings: tuple[Finding, ...] = ()

    def public(self) -> ModuleFindings:
        """With the public form of every finding."""
        return self.model_copy(update={"findings": tuple(f.public() for f in self.findings)})


class ModuleScores(Frozen):
    """Scores in [0, 1], 1 is best; None where the module could not run (its reason stands in `reasons`)."""

    privacy: FiniteFloat | None = None
    fairness: FiniteFloat | None = None
    fidelity: FiniteFloat | None = None
    utility: FiniteFloat | None = None


class WeightsUsed(Frozen):
    """Weights after those of null modules were shared among the rest; they sum to 1, or are all 0 without any score."""

    privacy: FiniteFloat = 0.0
    fairness: FiniteFloat = 0.0
    fidelity: FiniteFloat = 0.0


class AuditFigures(Frozen):
    """The few numbers that gates and plots over time use.

    Attributes:
        privacy_risk: Upper bound of the 95 % interval of the worst membership attack's advantage.
        privacy_risk_level: The worst level of all that tells who was in the data: membership attacks, copies and near copies,
            attacks on the most exposed rows. The release gate compares this one.
        utility_gap: Score (ROC AUC, or R2) of a model trained on real rows less that of one trained on synthetic rows.
        fairness_gap: Largest difference between groups that the synthetic table adds to those of the real one, at least 0; one whose
            interval reaches 0 counts 0.
        quality_score: Fidelity score, 1 - mean TVD.
        domain_validity: Share of synthetic values inside the domain.
    """

    privacy_risk: FiniteFloat | None = None
    privacy_risk_level: Level | None = None
    utility_gap: FiniteFloat | None = None
    fairness_gap: FiniteFloat | None = None
    quality_score: FiniteFloat | None = None
    domain_validity: FiniteFloat | None = None


class AuditInputs(Frozen):
    """What was audited and how much of it.

    Attributes:
        tables: Names of the tables.
        synthetic_rows: Rows, over all tables.
        train_rows: Rows of the real table that the synthesizer saw; None where it was not given.
        holdout_rows: Rows of the real table that it did not see.
        holdout_forms: Public forms that had been made against these held-out rows, this one included; None where nobody counts.
        columns: Columns that were compared (table.column where there are several tables).
        left_out: Columns that were not compared, with the reason.
        samples: Rows and draws used where a part of the audit works on a sample.
        notes: Limits of this audit in plain words.
        target: Outcome column.
        protected: Protected columns.
        seed: Seed of all samples.
        versions: Versions of the package and of the libraries that computed the figures.
    """

    tables: tuple[str, ...] = ()
    synthetic_rows: int = 0
    train_rows: int | None = None
    holdout_rows: int | None = None
    holdout_forms: int | None = None
    columns: tuple[str, ...] = ()
    left_out: Mapping[str, str] = Field(default_factory=dict)
    samples: Mapping[str, int] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    target: str | None = None
    protected: tuple[str, ...] = ()
    seed: int = 0
    versions: Mapping[str, str] = Field(default_factory=dict)

    def public(self) -> AuditInputs:
        """Counts of real rows to two significant digits; samples that would tell them exactly are coarse too."""
        return self.model_copy(
            update={
                "train_rows": coarse(self.train_rows),
                "holdout_rows": coarse(self.holdout_rows),
                "samples": {name: kept for name, rows in self.samples.items() if (kept := coarse(rows)) is not None},
            }
        )


class AuditResult(Frozen):
    """One audit of one synthetic dataset: the JSON of requirement A6.

    Attributes:
        form: "full" stays in the restricted zone; "public" holds levels and rounded scores only.
        overall_score: Weighted mean of the scores of privacy, fairness and fidelity; shown, never a gate.
        module_scores: Score per module.
        detailed_findings: Level, verdict and findings per module; every module is a key.
        definitions: What each metric of the findings means, by metric or family of metrics.
        weights: Weights as configured.
        weights_used: Weights after those of null modules were shared among the rest.
        levels: The cut-offs that were used.
        inputs: Row counts, columns, samples, seed, versions.
        reasons: Module (or module.part) to the reason why it could not run; "overall_score" where weights were shared.
        figures: The few numbers that gates and plots use.
        seconds: Wall time per part of the audit.
    """

    format_version: Literal[2] = 2
    form: Literal["full", "public"] = "full"
    overall_score: FiniteFloat | None
    module_scores: ModuleScores
    detailed_findings: Mapping[Module, ModuleFindings]
    definitions: Mapping[str, str] = Field(default_factory=dict)
    weights: AuditWeights
    weights_used: WeightsUsed
    levels: AuditLevels
    inputs: AuditInputs
    reasons: Mapping[str, str] = Field(default_factory=dict)
    figures: AuditFigures = AuditFigures()
    seconds: Mapping[str, FiniteFloat] = Field(default_factory=dict)

    def findings(self, module: Module | None = None, metric: str = "") -> tuple[Finding, ...]:
        """Findings of one module (all when None) whose metric starts with `metric`."""
        modules = MODULES if module is None else (module,)
        return tuple(f for m in modules for f in self.detailed_findings[m].findings if f.metric.startswith(metric))

    def level(self, module: Module) -> Level | None:
        """The highest level among the deciding findings of a module; None where none decides."""
        return self.detailed_findings[module].risk_level

    def public(self) -> AuditResult:
        """The form that reports, Dagster metadata and the evidence pack may hold."""
        scores = {name: _rounded(getattr(self.module_scores, name)) for name in MODULES}
        findings = {module: found.public() for module, found in self.detailed_findings.items()}
        figures = self.figures.model_dump()
        return self.model_copy(
            update={
                "form": "public",
                "overall_score": _rounded(self.overall_score),
                "module_scores": ModuleScores(**scores),
                "detailed_findings": findings,
                "inputs": self.inputs.public(),
                "figures": AuditFigures(
                    **{k: _rounded(v) if isinstance(v, float) else v for k, v in figures.items()},
                ),
                "seconds": {part: round(value, 1) for part, value in self.seconds.items()},
            }
        )


def read_result(path: Path) -> AuditResult:
    """A stored result.

    Args:
        path: A JSON file that holds one, full or public.

    Raises:
        InputError: the file holds no result of this version.
    """
    try:
        return AuditResult.model_validate_json(path.read_text())
    except ValidationError:
        raise InputError(
            "the stored audit is none of this version.", file=str(path), remedy="Materialise the audit again."
        ) from None
