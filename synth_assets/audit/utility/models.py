"""Models of the utility module: three families, classification and regression.

What does not belong here: which rows are used, and how predictions are scored (`scores.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synth_assets.audit.prepare import NUMERIC_KINDS, Floats, Part, Prepared
from synth_assets.tables.schema import ColumnKind

FAMILIES: Mapping[str, str] = {
    "gradient_boosting": "Gradient boosting",
    "linear": "Linear model",
    "random_forest": "Random forest",
}
ROUNDS = 100  # of boosting; with many classes, each of which has a tree per round, fewer
FEWEST_ROUNDS = 20
TREES = 40
CLASS_LIMIT = 20
NUMBER_CLASSES = 10  # a whole-number outcome with at most this many values is a class
TREE_CATEGORIES = 250
LINEAR_CATEGORIES = 40


@dataclass(frozen=True)
class Task:
    """What is predicted.

    Args:
        target: Outcome column.
        classes: Values of the outcome column (category numbers, or numbers), sorted; () for regression.
        scale: Spread (standard deviation) of a numeric outcome in the real table.
        center: Median of a numeric outcome in the real table.
    """

    target: str
    classes: tuple[float, ...]
    scale: float = 1.0
    center: float = 0.0

    @property
    def regression(self) -> bool:
        """Whether the outcome is a number."""
        return not self.classes

    @property
    def headline(self) -> str:
        """The score that counts."""
        return "r2" if self.regression else "roc_auc"

    @property
    def chance(self) -> float:
        """The headline score of a guess."""
        return 0.0 if self.regression else 0.5


@dataclass(frozen=True)
class Outcome:
    """The outcome column of a prepared dataset."""

    prepared: Prepared
    target: str

    def task(self) -> Task | str:
        """The task, or the reason why there is none."""
        column = next(c for c in self.prepared.columns if c.name == self.target)
        if column.kind in (ColumnKind.DATE, ColumnKind.DATETIME):
            return "The outcome is a date; no model is trained for dates."
        values = self.prepared.parts["train"].values[self.target]
        known = values[~np.isnan(values)] if column.kind in NUMERIC_KINDS else values[values >= 0]
        classes = np.unique(known)
        if len(classes) < 2:
            return "The outcome has fewer than two values in the real table."
        whole = column.kind in NUMERIC_KINDS and bool((classes == np.round(classes)).all())
        if column.kind in NUMERIC_KINDS and not (whole and len(classes) <= NUMBER_CLASSES):
            return Task(self.target, (), float(known.std()), float(np.median(known)))
        if len(classes) > CLASS_LIMIT:
            return f"The outcome has more than {CLASS_LIMIT} categories."
        return Task(self.target, tuple(float(c) for c in classes))


def outcome_values(task: Task, part: Part) -> Floats:
    """The outcome: its number, or the position of its class; -1 for a class that the real table does not have."""
    values = part.values[task.target].astype(np.float64)
    if task.regression:
        return values
    classes = np.asarray(task.classes)
    position = np.minimum(np.searchsorted(classes, values), len(classes) - 1)
    return np.where(classes[position] == values, position, -1).astype(np.float64)


def features(prepared: Prepared, part: Part, target: str, family: str) -> Floats:
    """The columns besides the outcome, as the family takes them: float64, shape (rows, features).

    Trees (boosted or in a forest) get numbers and category positions as they are (NaN is missing). The linear model gets ranks in the
    real table, a flag for missing, and one column per frequent category. All that is learnt here comes from the real train table, for
    both models.
    """
    build = _linear_column if family == "linear" else _tree_column
    return np.column_stack([build(prepared, part, name) for name in prepared.names if name != target])


def _frequent(prepared: Prepared, name: str, limit: int) -> npt.NDArray[np.int64]:
    """Category numbers of the most frequent real categories, in order of their number."""
    values = prepared.parts["train"].values[name]
    counts = np.bincount(values[values >= 0], minlength=len(prepared.labels[name]))
    kept = np.argsort(-counts, kind="stable")[:limit]
    return np.sort(kept[counts[kept] > 0])


def _tree_column(prepared: Prepared, part: Part, name: str) -> Floats:
    values = part.values[name]
    if prepared.numeric(name):
        return np.asarray(values, dtype=np.float64)
    kept = _frequent(prepared, name, TREE_CATEGORIES)
    position = np.full(len(prepared.labels[name]) + 1, np.nan)  # the last entry is missing (-1)
    position[kept] = np.arange(len(kept))
    return position[values]


def _linear_column(prepared: Prepared, part: Part, name: str) -> Floats:
    values = part.values[name]
    if not prepared.numeric(name):
        return np.asarray(values[:, None] == _frequent(prepared, name, LINEAR_CATEGORIES)[None, :], dtype=np.float64)
    real = prepared.parts["train"].values[name]
    known = np.sort(real[~np.isnan(real)])
    ranks = (np.searchsorted(known, values, side="left") + np.searchsorted(known, values, side="right")) / max(
        2 * len(known), 1
    )
    missing = np.isnan(values)
    standard = np.clip((values - known.mean()) / (known.std() or 1.0), -5, 5) if len(known) else np.zeros(len(values))
    return np.column_stack(
        [np.where(missing, 0.5, ranks), np.where(missing, 0.0, standard), missing.astype(np.float64)]
    )


@dataclass(frozen=True)
class Model:
    """A fitted model, or a constant where the training rows had one class only."""

    task: Task
    estimator: Any
    constant: float | None = None

    def predict(self, matrix: Floats) -> Floats:
        """Numbers for regression, shape (rows,); else probabilities, shape (rows, classes)."""
        if self.task.regression:
            return np.asarray(self.estimator.predict(matrix), dtype=np.float64)
        result = np.zeros((len(matrix), len(self.task.classes)))
        if self.constant is not None:
            result[:, int(self.constant)] = 1.0
            return result
        result[:, self.estimator.classes_.astype(int)] = self.estimator.predict_proba(matrix)
        return result


def fit(task: Task, family: str, matrix: Floats, truth: Floats, *, categorical: Sequence[bool], seed: int) -> Model:
    """Train one model of one family.

    Args:
        task: The task.
        family: A key of `FAMILIES`.
        matrix: Features, shape (rows, features).
        truth: Numbers or class positions, shape (rows,).
        categorical: For trees: which features are category positions.
        seed: Seed of the model.
    """
    if not task.regression:
        matrix, truth = matrix[truth >= 0], truth[truth >= 0]
        present = np.unique(truth)
        if len(present) < 2:
            return Model(task, None, constant=float(present[0]) if len(present) else 0.0)
    unknown = np.isnan(matrix).all(axis=0)
    matrix = np.where(unknown, 0.0, matrix)  # the trees' binning needs one known value per column
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a linear model that stops at its iteration limit is good enough to compare
        estimator = _estimator(task, family, categorical, seed)
        return Model(task, estimator.fit(matrix, truth if task.regression else truth.astype(int)))


def _estimator(task: Task, family: str, categorical: Sequence[bool], seed: int) -> Any:
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )
    from sklearn.linear_model import LogisticRegression, Ridge

    state = seed % 2**31
    if family == "linear":
        return Ridge(alpha=1.0) if task.regression else LogisticRegression(max_iter=200)
    if family == "random_forest":
        forest = RandomForestRegressor if task.regression else RandomForestClassifier
        share = 1 / 3 if task.regression else "sqrt"
        return forest(TREES, min_samples_leaf=5, max_features=share, random_state=state)
    boosting = HistGradientBoostingRegressor if task.regression else HistGradientBoostingClassifier
    trees = len(task.classes) if len(task.classes) > 2 else 1
    rounds = max(FEWEST_ROUNDS, round(2 * ROUNDS / trees)) if trees > 1 else ROUNDS
    # early stopping would hold rows of a rare class out, or fail where it has one row
    return boosting(max_iter=rounds, early_stopping=False, random_state=state, categorical_features=list(categorical))
