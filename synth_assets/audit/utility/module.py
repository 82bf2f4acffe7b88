"""Utility: a model trained on the synthetic table and tested on held-out real rows (TSTR), beside one trained on real rows (TRTR).

Both learn from equally many rows and are tested on the same ones, which neither the models nor the synthesizer have seen. A real model
tested on synthetic rows (TRTS) is shown too. What does not belong here: models (`models.py`), scores (`scores.py`), importances
(`importance.py`), queries (`queries.py`), and differences between groups (`fairness/module.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth_assets.audit.clock import Clock
from synth_assets.audit.findings import HEADLINE, number, spread, verdict
from synth_assets.audit.intervals import Pair
from synth_assets.audit.prepare import Floats, Part, Prepared
from synth_assets.audit.records import Finding
from synth_assets.audit.utility.importance import importance_finding, permutation_importance
from synth_assets.audit.utility.models import FAMILIES, Model, Outcome, Task, features, fit, outcome_values
from synth_assets.audit.utility.scores import ERRORS, TITLES, Weights, evident, measure, naive, percentiles, resamples
from synth_assets.config.thresholds import AuditLevels, AuditLimits
from synth_assets.seeds import child_seed
from synth_assets.storage.hashing import hash_parts

MINIMUM_ROWS = 30
IMPORTANCE_ROWS = 3_000
IMPORTANCE_DRAWS = 100
SPLITS = 2
BACKWARDS = "train_real_test_synthetic"
Scores = Mapping[str, Floats]


@dataclass(frozen=True)
class Fitted:
    """Predictions of both gradient boosting models for the held-out rows; fairness looks at the same ones.

    Args:
        task: What was predicted.
        test: The held-out rows.
        truth: Their outcome.
        real: Predictions of the model trained on real rows.
        synthetic: Predictions of the model trained on synthetic rows.
        trained: Rows that each of the models learnt from.
    """

    task: Task
    test: Part
    truth: Floats
    real: Floats
    synthetic: Floats
    trained: int


@dataclass(frozen=True)
class UtilityResult:
    """Findings of the module; `fitted` is None where no model could be trained, and `reason` says why."""

    findings: tuple[Finding, ...]
    fitted: Fitted | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Bench:
    """What the models of one audit share.

    Args:
        prepared: The prepared tables.
        task: What is predicted.
        parts: "train" and "synthetic" rows to learn from, equally many; "holdout" and "backwards" rows to test on.
        truth: Their outcomes.
        weights: Resamples of the rows to test on.
        seed: Seed of the models.
    """

    prepared: Prepared
    task: Task
    parts: Mapping[str, Part]
    truth: Mapping[str, Floats]
    weights: Mapping[str, Weights]
    seed: int

    @property
    def categorical(self) -> list[bool]:
        """Which features of a tree are categories."""
        return [not self.prepared.numeric(name) for name in self.prepared.names if name != self.task.target]

    def matrix(self, side: str, family: str) -> Floats:
        """The features of one side."""
        return features(self.prepared, self.parts[side], self.task.target, family)

    def train(self, family: str, matrix: Floats, truth: Floats) -> Model:
        """A model of one family; all of them share one seed."""
        return fit(self.task, family, matrix, truth, categorical=self.categorical, seed=self.seed)


@dataclass(frozen=True)
class Trial:
    """One family: both models, their predictions of the held-out rows, and the scores with their draws (TRTR, TSTR, TRTS)."""

    family: str
    models: Mapping[str, Model]
    predictions: Mapping[str, Floats]
    scores: Mapping[str, Scores]


def utility_findings(
    prepared: Prepared, target: str, *, limits: AuditLimits, levels: AuditLevels, seed: int, clock: Clock
) -> UtilityResult:
    """Train, test, compare.

    Args:
        prepared: With train and holdout.
        target: Outcome column.
        limits: Rows that models may use, and draws of the intervals.
        levels: Cut-offs.
        seed: Seed of samples and models.
        clock: Takes the time of every part.
    """
    task = Outcome(prepared, target).task()
    if isinstance(task, str):
        return UtilityResult((), reason=task)
    parts = _parts(prepared, target, limits.model_rows, seed)
    short = [side for side, part in parts.items() if part.held < MINIMUM_ROWS and side != "backwards"]
    if short or len(prepared.names) < 2:
        what = (
            f"fewer than {MINIMUM_ROWS} rows with an outcome ({', '.join(short)})"
            if short
            else "no column besides the outcome"
        )
        return UtilityResult((), reason=f"No model can be trained: {what}.")
    bench = _bench(prepared, task, parts, limits, seed)
    with clock.step("utility.models"):
        trials = [_try(bench, family) for family in FAMILIES]
    main = trials[0]
    if not all(np.isfinite(main.scores[side][task.headline][0]) for side in ("train", "synthetic")):
        return UtilityResult((), reason="The held-out rows have one outcome only, so no model can be tested on them.")
    found = [_headline(bench, main, levels)]
    for trial in trials:
        found += _shown(bench, trial, levels)
    with clock.step("utility.feature_importance"):
        found += _importance(bench, main, levels)
    fitted = Fitted(
        task,
        parts["holdout"],
        bench.truth["holdout"],
        main.predictions["train"],
        main.predictions["synthetic"],
        parts["train"].held,
    )
    chance = main.scores["train"][task.headline][0] <= task.chance
    reason = "The outcome cannot be predicted from the real table better than by chance." if chance else None
    return UtilityResult(tuple(found), fitted, reason)


def _parts(prepared: Prepared, target: str, limit: int, seed: int) -> dict[str, Part]:
    """Rows with an outcome: equally many real and synthetic ones to learn from; no more synthetic than held-out ones to test on."""
    known = {side: _with_outcome(prepared, part, target) for side, part in prepared.parts.items()}
    learn = min(known["train"].held, known["synthetic"].held, limit)
    test = min(known["holdout"].held, limit)
    sizes = {"train": learn, "synthetic": learn, "holdout": test}
    parts = {side: _sample(known[side], rows, child_seed(seed, "models", side)) for side, rows in sizes.items()}
    return {**parts, "backwards": _sample(known["synthetic"], test, child_seed(seed, "models", "backwards"))}


def _with_outcome(prepared: Prepared, part: Part, target: str) -> Part:
    values = part.values[target]
    return part.take(np.flatnonzero(~np.isnan(values) if prepared.numeric(target) else values >= 0))


def _sample(part: Part, rows: int, seed: int) -> Part:
    if part.held <= rows:
        return part
    return part.take(np.sort(np.random.default_rng(seed).choice(part.held, rows, replace=False)))


def _bench(prepared: Prepared, task: Task, parts: Mapping[str, Part], limits: AuditLimits, seed: int) -> Bench:
    weights = {
        side: resamples(parts[side].held, limits.draws, child_seed(seed, "draws", side), parts[side].units)
        for side in ("holdout", "backwards")
    }
    truth = {side: outcome_values(task, part) for side, part in parts.items()}
    return Bench(prepared, task, parts, truth, weights, seed)


def _try(bench: Bench, family: str) -> Trial:
    matrices = {side: bench.matrix(side, family) for side in bench.parts}
    models = {side: bench.train(family, matrices[side], bench.truth[side]) for side in ("train", "synthetic")}
    predictions = {side: model.predict(matrices["holdout"]) for side, model in models.items()}
    made = {
        side: measure(bench.task, bench.truth["holdout"], predicted, bench.weights["holdout"])
        for side, predicted in predictions.items()
    }
    backwards = models["train"].predict(matrices["backwards"])
    made["backwards"] = measure(bench.task, bench.truth["backwards"], backwards, bench.weights["backwards"])
    return Trial(family, models, predictions, made)


def _headline(bench: Bench, trial: Trial, levels: AuditLevels) -> Finding:
    name, rows, learnt = bench.task.headline, bench.parts["holdout"].held, bench.parts["train"].held
    real, synthetic = (trial.scores[side][name] for side in ("train", "synthetic"))
    value, baseline = float(synthetic[0]), float(real[0])
    gap = percentiles(real - synthetic)
    level = evident(levels.utility_gap, baseline - value, gap)
    text = (
        f"A model trained on synthetic rows predicts unseen real ones with {TITLES[name]} {number(value)}, one trained on real rows "
        f"with {number(baseline)}. For the gap of {number(baseline - value)}{spread(gap)}, {verdict(level, levels.utility_gap)}."
    )
    return Finding(
        metric=HEADLINE,
        message=text,
        risk_level=level,
        value=value,
        interval=percentiles(synthetic),
        baseline=baseline,
        naive=bench.task.chance,
        excess=baseline - value,
        excess_interval=gap,
        sample_size=rows,
        control_size=rows,
        details={"training_rows": learnt, **_bounds("baseline", percentiles(real))},
        draws=tuple(float(d) if np.isfinite(d) else None for d in synthetic[1:]),
        drawn_on=_drawn_on(bench),
    )


def _drawn_on(bench: Bench) -> str:
    """A hash of the outcomes that are predicted and of their resamples: the same for every synthesizer of a dataset."""
    parts = (bench.truth["holdout"], bench.weights["holdout"])
    return hash_parts(bench.task.headline, *(np.ascontiguousarray(part).tobytes() for part in parts))[:32]


def _shown(bench: Bench, trial: Trial, levels: AuditLevels) -> list[Finding]:
    """All scores of one family, both ways; shown beside the headline."""
    guess = naive(bench.task, bench.truth["holdout"])
    found = []
    for metric, real in trial.scores["train"].items():
        for side in ("synthetic", "backwards"):
            other = trial.scores[side][metric]
            if np.isfinite([real[0], other[0]]).all():
                found.append(_compared(bench, trial, metric, side, guess.get(metric), levels))
    return found


def _compared(bench: Bench, trial: Trial, metric: str, side: str, guess: float | None, levels: AuditLevels) -> Finding:
    """One score of one family against that of the real model on real rows."""
    family, real, other = trial.family, trial.scores["train"][metric], trial.scores[side][metric]
    apart = other - real if metric in ERRORS else real - other
    gap, interval = percentiles(apart), percentiles(other)
    figures = 2 * len(FAMILIES) * len(trial.scores["train"])
    level = evident(levels.utility_gap, float(apart[0]), gap, figures)
    backwards = side == "backwards"
    way = (
        "trained on real rows and tested on synthetic ones"
        if backwards
        else "trained on synthetic rows and tested on real ones"
    )
    text = (
        f"{FAMILIES[family]}, {TITLES[metric]}: {number(other[0])} {way}, {number(real[0])} with real rows for both. For the gap of "
        f"{number(apart[0])}{spread(gap)}, {verdict(level, levels.utility_gap)}."
    )
    return Finding(
        metric=f"{BACKWARDS}.{family}.{metric}" if backwards else f"{family}.{metric}",
        message=text,
        risk_level=level,
        value=float(other[0]),
        interval=interval,
        baseline=float(real[0]),
        naive=None if backwards else guess,
        excess=float(apart[0]),
        excess_interval=gap,
        sample_size=bench.parts["backwards" if backwards else "holdout"].held,
        control_size=bench.parts["holdout"].held,
        decides=False,
        details={"training_rows": bench.parts["train"].held, **_bounds("baseline", percentiles(real))},
    )


def _importance(bench: Bench, trial: Trial, levels: AuditLevels) -> Sequence[Finding]:
    """Agreement of the importances; the control are models of disjoint halves of the real rows."""
    part, seed = bench.parts["holdout"], bench.seed
    matrix, train = bench.matrix("holdout", trial.family), bench.matrix("train", trial.family)
    if matrix.shape[1] < 3:
        return []
    models = [trial.models["train"], trial.models["synthetic"]]
    for split in range(SPLITS):
        order = np.random.default_rng(child_seed(seed, "halves", str(split))).permutation(len(train))
        models += [
            bench.train(trial.family, train[half], bench.truth["train"][half]) for half in np.array_split(order, 2)
        ]
    rows = np.random.default_rng(child_seed(seed, "importance rows")).permutation(part.held)[:IMPORTANCE_ROWS]
    units = None if part.units is None else part.units[rows]
    weights = resamples(len(rows), IMPORTANCE_DRAWS, child_seed(seed, "importance draws"), units)
    truth, shuffles = bench.truth["holdout"][rows], child_seed(seed, "importance")
    real, synthetic, *rest = (
        permutation_importance(bench.task, model, matrix[rows], truth, weights, shuffles) for model in models
    )
    halves = list(zip(rest[::2], rest[1::2], strict=True))
    finding = importance_finding(real, synthetic, halves, len(rows), levels)
    return [] if finding is None else [finding]


def _bounds(name: str, interval: Pair | None) -> dict[str, float]:
    return {} if interval is None else {f"{name}_low": interval[0], f"{name}_high": interval[1]}
