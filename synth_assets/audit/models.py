"""Models and scores of the utility module: two families, classification and regression.

What does not belong here: which rows are used and what the scores mean for a release.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synth_assets.audit.prepare import NUMERIC_KINDS, Array, Floats, Part, Prepared
from synth_assets.tables.schema import ColumnKind

FAMILIES: Mapping[str, str] = {"gradient_boosting": "Gradient boosting", "linear": "Linear model"}
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
        usual: Position of the most frequent class.
    """

    target: str
    classes: tuple[float, ...]
    scale: float = 1.0
    center: float = 0.0
    usual: int = 0

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

    @property
    def positive(self) -> int:
        """The class that rates are of: the last of two, else the most frequent one."""
        return 1 if len(self.classes) == 2 else self.usual


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
        classes, counts = np.unique(known, return_counts=True)
        if len(classes) < 2:
            return "The outcome has fewer than two values in the real table."
        whole = column.kind in NUMERIC_KINDS and bool((classes == np.round(classes)).all())
        if column.kind in NUMERIC_KINDS and not (whole and len(classes) <= NUMBER_CLASSES):
            return Task(self.target, (), float(known.std()), float(np.median(known)))
        if len(classes) > CLASS_LIMIT:
            return f"The outcome has more than {CLASS_LIMIT} categories."
        return Task(self.target, tuple(float(c) for c in classes), usual=int(np.argmax(counts)))


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

    Trees get numbers and category positions as they are (NaN is missing). The linear model gets ranks in the real table, a flag
    for missing, and one column per frequent category. All that is learnt here comes from the real train table, for both models.
    """
    build = _tree_column if family == "gradient_boosting" else _linear_column
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
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    if family == "linear":
        return Ridge(alpha=1.0) if task.regression else LogisticRegression(max_iter=200)
    kind = HistGradientBoostingRegressor if task.regression else HistGradientBoostingClassifier
    return kind(random_state=seed % 2**31, categorical_features=list(categorical))


def scores(task: Task, truth: Floats, predicted: Floats, *, only: str | None = None) -> dict[str, float]:
    """Scores of predictions.

    Args:
        task: The task.
        truth: Numbers or class positions, shape (rows,); -1 is a class no model knows.
        predicted: What `Model.predict` gave.
        only: Compute this score alone.

    Returns:
        R2 and MAE (as a fraction of the outcome's spread), or ROC AUC, accuracy, F1, precision and recall. With two classes, of the
        last one; with more, the mean over the classes that occur.
    """
    if task.regression:
        return _regression(task, truth, predicted)
    if only == "roc_auc":
        return {"roc_auc": _auc(task, truth, predicted)}
    guess = predicted.argmax(axis=1)
    wanted = [1] if len(task.classes) == 2 else [i for i in range(len(task.classes)) if (truth == i).any()]
    rates = np.array([_precision_recall(truth == i, guess == i) for i in wanted] or [(0.0, 0.0, 0.0)])
    precision, recall, f1 = (float(v) for v in rates.mean(axis=0))
    accuracy = float((guess == truth).mean())
    return {
        "roc_auc": _auc(task, truth, predicted),
        "accuracy": accuracy,
        "f1": f1,
        "precision": precision,
        "recall": recall,
    }


def _regression(task: Task, truth: Floats, predicted: Floats) -> dict[str, float]:
    spread = float(((truth - truth.mean()) ** 2).sum())
    error = float(((truth - predicted) ** 2).sum())
    return {
        "r2": 1 - error / spread if spread else float("nan"),
        "mae": float(np.abs(truth - predicted).mean()) / (task.scale or 1.0),
    }


def _precision_recall(truth: Array, guess: Array) -> tuple[float, float, float]:
    hits = int((truth & guess).sum())
    precision = hits / int(guess.sum()) if guess.any() else 0.0
    recall = hits / int(truth.sum()) if truth.any() else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return precision, recall, f1


def _auc(task: Task, truth: Floats, predicted: Floats) -> float:
    wanted = [1] if len(task.classes) == 2 else range(len(task.classes))
    areas = [area_under_curve(truth == i, predicted[:, i]) for i in wanted]
    known = [a for a in areas if not np.isnan(a)]
    return float(np.mean(known)) if known else float("nan")


def area_under_curve(truth: Array, score: Floats) -> float:
    """ROC AUC: the chance that a positive row scores above a negative one (ties count half); NaN without one of both.

    Source:
        Hanley, McNeil, "The meaning and use of the area under a ROC curve", Radiology 143 (1982), 29-36.
    """
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    others = np.sort(score[~truth])
    mine = score[truth]
    wins = np.searchsorted(others, mine, side="left") + np.searchsorted(others, mine, side="right")
    return float(wins.sum() / 2 / positives / negatives)


def permutation_importance(task: Task, model: Model, matrix: Floats, truth: Floats, seed: int) -> Floats:
    """Loss of the headline score when one column of the matrix is shuffled; shape (features,).

    Source:
        Breiman, "Random Forests", Machine Learning 45 (2001), section 10.
    """
    name = task.headline
    whole = scores(task, truth, model.predict(matrix), only=name)[name]
    losses = []
    for column in range(matrix.shape[1]):
        shuffled = matrix.copy()
        order = np.random.default_rng([seed, column]).permutation(len(matrix))  # the same for every model
        shuffled[:, column] = matrix[order, column]
        losses.append(whole - scores(task, truth, model.predict(shuffled), only=name)[name])
    return np.asarray(losses)
