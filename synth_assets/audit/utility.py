"""Utility: a model trained on the synthetic table and tested on held-out real rows (TSTR), beside one trained on real rows (TRTR).

Both are tested on the same rows, which neither the models nor the synthesizer have seen. What does not belong here: the metrics'
formulas and the two model families (`models.py`), and differences between groups (`fairness.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synth_assets.audit.clock import Clock
from synth_assets.audit.findings import HEADLINE, number, span, verdict
from synth_assets.audit.intervals import Pair, bootstrap
from synth_assets.audit.models import (
    FAMILIES,
    Model,
    Outcome,
    Task,
    features,
    fit,
    outcome_values,
    permutation_importance,
    scores,
)
from synth_assets.audit.prepare import Floats, Integers, Part, Prepared
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import AuditLevels
from synth_assets.seeds import child_seed

MINIMUM_ROWS = 30
IMPORTANCE_ROWS = 3_000
_TITLES: Mapping[str, str] = {
    "roc_auc": "ROC AUC",
    "accuracy": "accuracy",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "r2": "R2",
    "mae": "mean absolute error as a fraction of the outcome's spread",
}


@dataclass(frozen=True)
class Fitted:
    """Predictions of both gradient boosting models for the held-out rows; fairness looks at the same ones.

    Args:
        task: What was predicted.
        test: The held-out rows.
        truth: Their outcome.
        real: Predictions of the model trained on real rows.
        synthetic: Predictions of the model trained on synthetic rows.
    """

    task: Task
    test: Part
    truth: Floats
    real: Floats
    synthetic: Floats


@dataclass(frozen=True)
class UtilityResult:
    """Findings of the module; `fitted` is None where no model could be trained, and `reason` says why."""

    findings: tuple[Finding, ...]
    fitted: Fitted | None = None
    reason: str | None = None


def utility_findings(
    prepared: Prepared, target: str, *, rows: int, levels: AuditLevels, seed: int, clock: Clock
) -> UtilityResult:
    """Train, test, compare.

    Args:
        prepared: With train and holdout.
        target: Outcome column.
        rows: Rows per table that models may use; of more a seeded sample is used.
        levels: Cut-offs.
        seed: Seed of samples and models.
        clock: Takes the time of every part.
    """
    task = Outcome(prepared, target).task()
    if isinstance(task, str):
        return UtilityResult((), reason=task)
    parts = {
        side: _usable(prepared, part, target, rows, child_seed(seed, "models", side))
        for side, part in prepared.parts.items()
    }
    short = [side for side, part in parts.items() if part.held < MINIMUM_ROWS]
    if short or len(prepared.names) < 2:
        what = (
            f"fewer than {MINIMUM_ROWS} rows with an outcome ({', '.join(short)})"
            if short
            else "no column besides the outcome"
        )
        return UtilityResult((), reason=f"No model can be trained: {what}.")
    with clock.step("utility.models"):
        trials = [_try(prepared, task, family, parts, seed) for family in FAMILIES]
    main = trials[0]
    if not all(np.isfinite(main.scores[side][task.headline]) for side in ("train", "synthetic")):
        return UtilityResult((), reason="The held-out rows have one outcome only, so no model can be tested on them.")
    found = [_headline(task, main, _gap_interval(task, main, seed), levels)]
    for trial in trials:
        found += [_shown(trial, metric, levels) for metric in trial.scores["train"]]
    with clock.step("utility.feature_importance"):
        found += _importance(task, main, seed)
    fitted = Fitted(task, parts["holdout"], main.truth, main.predictions["train"], main.predictions["synthetic"])
    chance = main.scores["train"][task.headline] <= task.chance
    reason = "The outcome cannot be predicted from the real table better than by chance." if chance else None
    return UtilityResult(tuple(found), fitted, reason)


@dataclass(frozen=True)
class Trial:
    """One family: both models, their predictions of the held-out rows, and the scores."""

    family: str
    models: Mapping[str, Model]
    matrix: Floats
    truth: Floats
    predictions: Mapping[str, Floats]
    scores: Mapping[str, Mapping[str, float]]


def _try(prepared: Prepared, task: Task, family: str, parts: Mapping[str, Part], seed: int) -> Trial:
    truth = {side: outcome_values(task, part) for side, part in parts.items()}
    matrices = {side: features(prepared, part, task.target, family) for side, part in parts.items()}
    categorical = [not prepared.numeric(name) for name in prepared.names if name != task.target]
    models = {
        side: fit(task, family, matrices[side], truth[side], categorical=categorical, seed=seed)
        for side in ("train", "synthetic")
    }
    predictions = {side: model.predict(matrices["holdout"]) for side, model in models.items()}
    result = {side: scores(task, truth["holdout"], predicted) for side, predicted in predictions.items()}
    result["backwards"] = scores(task, truth["synthetic"], models["train"].predict(matrices["synthetic"]))
    return Trial(family, models, matrices["holdout"], truth["holdout"], predictions, result)


def _usable(prepared: Prepared, part: Part, target: str, rows: int, seed: int) -> Part:
    """Rows with an outcome, at most `rows`."""
    values = part.values[target]
    known = np.flatnonzero(~np.isnan(values) if prepared.numeric(target) else values >= 0)
    if len(known) > rows:
        known = np.sort(np.random.default_rng(seed).choice(known, rows, replace=False))
    return part.take(known)


def _gap_interval(task: Task, trial: Trial, seed: int) -> Pair | None:
    """95 % interval of the gap over resampled test rows."""
    name, truth, predictions = task.headline, trial.truth, trial.predictions

    def gap(drawn: Integers) -> float:
        real, synthetic = (
            scores(task, truth[drawn], predictions[side][drawn], only=name)[name] for side in ("train", "synthetic")
        )
        return real - synthetic

    low, high = bootstrap(gap, len(truth), seed=child_seed(seed, "gap"))
    return (low, high) if np.isfinite([low, high]).all() else None


def _headline(task: Task, trial: Trial, gap: Pair | None, levels: AuditLevels) -> Finding:
    name = task.headline
    real, synthetic = trial.scores["train"][name], trial.scores["synthetic"][name]
    level = levels.utility_gap.level(real - synthetic)
    spread = f" (95 % interval {span(gap)})" if gap else ""
    text = (
        f"Trained on synthetic rows and tested on unseen real ones, gradient boosting reaches {_TITLES[name]} {number(synthetic)}; "
        f"trained on real rows {number(real)}. The gap is {number(real - synthetic)}{spread}, {verdict(level, levels.utility_gap)}."
    )
    return Finding(
        metric=HEADLINE,
        message=text,
        risk_level=level,
        value=synthetic,
        baseline=real,
        naive=task.chance,
        excess=real - synthetic,
        excess_interval=gap,
    )


def _shown(trial: Trial, metric: str, levels: AuditLevels) -> Finding:
    """One metric of one family; shown beside the headline."""
    real, synthetic, backwards = (trial.scores[side][metric] for side in ("train", "synthetic", "backwards"))
    gap = synthetic - real if metric == "mae" else real - synthetic
    level = levels.utility_gap.level(gap)
    known = bool(np.isfinite(backwards))
    other = (
        f"{number(backwards)} trained on real and tested on synthetic rows"
        if known
        else "not defined on the synthetic rows"
    )
    text = (
        f"{FAMILIES[trial.family]}, {_TITLES[metric]}: {number(synthetic)} trained on synthetic rows, {number(real)} trained on real "
        f"rows, both tested on unseen real rows; {other}. For the gap, {verdict(level, levels.utility_gap)}."
    )
    return Finding(
        metric=f"{trial.family}.{metric}",
        message=text,
        risk_level=level,
        value=synthetic,
        baseline=real,
        excess=gap,
        decides=False,
        details={"train_real_test_synthetic": backwards if known else None},
    )


def _importance(task: Task, trial: Trial, seed: int) -> list[Finding]:
    """Do both models lean on the same columns? Spearman correlation of their permutation importances."""
    if trial.matrix.shape[1] < 3:
        return []
    rows = np.random.default_rng(child_seed(seed, "importance rows")).permutation(len(trial.truth))[:IMPORTANCE_ROWS]
    matrix, truth, shuffles = trial.matrix[rows], trial.truth[rows], child_seed(seed, "importance")
    weights = [
        permutation_importance(task, trial.models[side], matrix, truth, shuffles) for side in ("train", "synthetic")
    ]
    if not np.isfinite(weights).all():
        return []
    agreement = _spearman(*weights)
    text = (
        f"Feature importance: the models trained on real and on synthetic rows agree to {number(agreement)} on which columns matter "
        "(Spearman, 1 is full agreement). Shown for information."
    )
    return [
        Finding(
            metric="feature_importance", message=text, risk_level="low", value=agreement, baseline=1.0, decides=False
        )
    ]


def _spearman(first: Floats, second: Floats) -> float:
    from scipy.stats import rankdata

    x, y = rankdata(first), rankdata(second)
    if x.std() == 0 or y.std() == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])
