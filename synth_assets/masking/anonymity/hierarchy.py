"""The steps from a value to "no value" of one quasi-identifier, as arrays over its domain, and what each step loses.

What belongs here: groups, penalties and names per step. What does not: reading the domain (counts.py), choosing steps (lattice.py),
cutting classes (mondrian.py), the texts of free intervals (labels.py).

Penalty of a cell (normalised certainty penalty: Xu et al., "Utility-based anonymization using local recoding", KDD 2006): numbers and
dates: length of the interval / length of the domain; categories and prefixes: (values in the group - 1) / (values - 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synth_assets.config.anonymity import HierarchyConfig
from synth_assets.masking.anonymity.bases import FIVE_DIGITS, PERIODS, Base, Spread, nice
from synth_assets.masking.anonymity.labels import day_text, number_text, period_text, set_text

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_PERIODS: tuple[tuple[str, str], ...] = (("day", "D"), ("month", "M"), ("year", "Y"), ("decade", "10Y"))
_SHARES = (0.01, 0.05, 0.2)
_FIRST_BINS = 32


@dataclass(frozen=True)
class Step:
    """One step: the group of every code, what a cell of it loses, and the names of the groups (None: no value).

    Codes are positions in the domain; the one after the last stands for "missing", which keeps a group of its own below the top.
    """

    groups: Codes
    penalty: Floats
    names: tuple[str | None, ...]


@dataclass(frozen=True)
class Hierarchy:
    """One quasi-identifier.

    Args:
        base: How its base values are made.
        values: Base values by code, without the missing one.
        rows: Rows per code, the missing one last.
        steps: From the base value to "no value".
        position: Place of each code on its scale, 0 to 1.
        tree: Whether a class may only have names of the steps (declared groups, prefixes), not free intervals or sets.
    """

    base: Base
    values: tuple[Any, ...]
    rows: Codes
    steps: tuple[Step, ...]
    position: Floats
    tree: bool

    @property
    def missing(self) -> int:
        """The code of a missing value."""
        return len(self.values)

    def mean_penalty(self, level: int) -> float:
        """Mean penalty of the column's cells at a step."""
        total = int(self.rows.sum())
        return float((self.steps[level].penalty * self.rows).sum() / total) if total else 0.0


def build(
    base: Base, values: Sequence[Any], rows: Sequence[int], missing: int, spread: Spread, said: HierarchyConfig | None
) -> Hierarchy:
    """The hierarchy of one column.

    Args:
        base: How base values are made.
        values: Distinct base values, not missing, ascending.
        rows: Rows of each.
        missing: Rows without a base value.
        spread: Smallest and largest raw number.
        said: What a person has said about it.
    """
    order = list(range(len(values)))
    if base.kind == "category":
        order = _category_order(values, rows, said)
    values = [values[i] for i in order]
    counts = np.array([*(rows[i] for i in order), missing], dtype=np.int64)
    made = list(_steps(base, values, counts, spread, said)) if values else []
    lost = max(0, missing - spread.missing) / missing if missing else 0.0  # values that the base does not tell apart
    for step in made:
        step.penalty[-1] = lost
    steps = _closed([*made, _top(len(values), lost)], counts)
    tree = base.kind == "prefix" or said is not None
    return Hierarchy(base, tuple(values), counts, steps, _positions(base, values), tree)


def _steps(
    base: Base, values: Sequence[Any], counts: Codes, spread: Spread, said: HierarchyConfig | None
) -> Iterator[Step]:
    if base.kind == "number":
        return _number_steps(base, values, spread, said)
    if base.kind == "date":
        return _date_steps(base, values)
    every = max(spread.distinct, len(values)) if base.width < FIVE_DIGITS else len(values)
    return _prefix_steps(values, every) if base.kind == "prefix" else _category_steps(values, counts, said)


def _closed(steps: Sequence[Step], counts: Codes) -> tuple[Step, ...]:
    """Without steps that change nothing; a domain of one value has no step but itself."""
    kept: list[Step] = []
    present = counts > 0
    for step in steps:
        groups = len(np.unique(step.groups[present]))
        if not kept or groups < len(np.unique(kept[-1].groups[present])):
            kept.append(step)
    return tuple(kept)


def _top(size: int, lost: float) -> Step:
    """No value; where there was none before, only what the base has lost is lost."""
    return Step(np.zeros(size + 1, np.int64), np.ones(size + 1) if size else np.full(1, lost), (None,))


def _step(keys: npt.NDArray[Any], penalty: Floats, names: Mapping[Any, str]) -> Step:
    """A step from one key per code; the missing value gets a group of its own."""
    distinct, groups = np.unique(keys, return_inverse=True)
    every = np.append(groups.astype(np.int64), len(distinct))
    return Step(every, np.append(penalty, 0.0), (*(names[k] for k in distinct.tolist()), None))


def _positions(base: Base, values: Sequence[Any]) -> Floats:
    """Place of each code on a scale of 0 to 1."""
    if base.kind == "number":
        raw = np.asarray(values, dtype=np.float64)
    elif base.kind == "date":
        raw = np.asarray(values, dtype="datetime64[D]").astype(np.float64)
    else:
        raw = np.arange(len(values), dtype=np.float64)
    length = raw[-1] - raw[0] if len(raw) else 0.0
    return (raw - raw[0]) / length if length > 0 else np.zeros(len(raw))


def _number_steps(base: Base, values: Sequence[Any], spread: Spread, said: HierarchyConfig | None) -> Iterator[Step]:
    x = np.asarray(values, dtype=np.float64)
    low, high = float(spread.low or 0.0), float(spread.high or 0.0)
    length = high - low
    unit = 1.0 if base.column.dtype == "int64" else 0.0
    if base.exact:
        yield _step(x, np.zeros(len(x)), {v: number_text(v) for v in x.tolist()})
    for width in _widths(base, length, unit, said):
        index = np.floor(x * (base.width / width)) if base.grain == "bin" else np.floor(x / width)
        start = index * width
        size = np.minimum(start + width - (unit if width >= 1 else 0.0), high) - np.maximum(start, low)
        penalty = np.clip(size / length, 0.0, 1.0) if length > 0 else np.zeros(len(x))
        names = {i: f"[{number_text(i * width)}, {number_text((i + 1) * width)})" for i in index.tolist()}
        yield _step(index, penalty, names)


def _widths(base: Base, length: float, unit: float, said: HierarchyConfig | None) -> Iterator[float]:
    """Widths of bins, each twice the one before, until one bin holds all; or the declared ones."""
    if said is not None and said.widths:
        yield from (w for w in said.widths if w >= base.width)
        return
    width = base.width or max(nice(length / _FIRST_BINS), 2.0 * unit)
    while length > 0 and width <= 2 * length:
        yield width
        width *= 2


def _date_steps(base: Base, values: Sequence[Any]) -> Iterator[Step]:
    days = np.asarray(values, dtype="datetime64[D]")
    length = float((days[-1] - days[0]).astype(np.int64))
    finest = PERIODS.index(base.grain) if base.grain in PERIODS else 0
    for name, unit in _PERIODS[finest:]:
        if name == "decade":
            year = days.astype("datetime64[Y]").astype(np.int64) + 1970
            start = ((year // 10 * 10) - 1970).astype("datetime64[Y]")
            end = (start + np.timedelta64(10, "Y")).astype("datetime64[D]")
        else:
            start = days.astype(f"datetime64[{unit}]")
            end = (start + 1).astype("datetime64[D]")
        keys = start.astype("datetime64[D]")
        last = np.minimum(end - np.timedelta64(1, "D"), days[-1])
        size = (last - np.maximum(keys, days[0])).astype(np.float64)
        penalty = np.clip(size / length, 0.0, 1.0) if length > 0 else np.zeros(len(days))
        yield _step(keys, penalty, {k: period_text(k, name) for k in keys.tolist()})


def _prefix_steps(values: Sequence[Any], every: int) -> Iterator[Step]:
    longest = max(FIVE_DIGITS if every > len(values) else 0, *map(len, values))
    for size in range(longest, 0, -1):
        keys = np.array([v[:size].ljust(longest, "*") for v in values])
        yield _step(keys, _share_of_values(keys, every), {k: k for k in keys.tolist()})


def _category_order(values: Sequence[Any], rows: Sequence[int], said: HierarchyConfig | None) -> list[int]:
    """Frequent values first; with declared groups, members of a group side by side."""
    paths = [tuple(reversed(_path(_text(v), said))) for v in values] if said else [()] * len(values)
    return sorted(range(len(values)), key=lambda i: (paths[i][:-1] if said else (), -rows[i], _text(values[i])))


def _path(value: str, said: HierarchyConfig) -> list[str]:
    """A value and the groups above it; a value that no step names stays as it is."""
    path = [value]
    for level in said.levels:
        group = next((g for g, members in level.items() if path[-1] in members), path[-1])
        path.append(group)
    return path


def _category_steps(values: Sequence[Any], counts: Codes, said: HierarchyConfig | None) -> Iterator[Step]:
    texts = [_text(v) for v in values]
    yield _step(np.arange(len(texts)), np.zeros(len(texts)), dict(enumerate(texts)))
    if said is not None:
        paths = [_path(t, said) for t in texts]
        for depth in range(1, len(said.levels) + 1):
            keys = np.array([p[depth] for p in paths])
            yield _step(keys, _share_of_values(keys, len(keys)), {k: k for k in keys.tolist()})
        return
    shares = counts[:-1] / max(int(counts.sum()), 1)
    for share in _SHARES:
        rare = np.flatnonzero(shares < share)
        if len(rare) < 2:
            continue
        keys = np.where(shares < share, len(texts), np.arange(len(texts)))
        names = {**dict(enumerate(texts)), len(texts): set_text([texts[i] for i in rare])}
        yield _step(keys, _share_of_values(keys, len(keys)), names)


def _share_of_values(keys: npt.NDArray[Any], every: int) -> Floats:
    """(values in the group - 1) / (values - 1) for every value.

    Args:
        keys: Group per base value.
        every: Raw values; more than base values where these are prefixes, each of which then stands for as many.
    """
    _, inverse, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    return np.asarray((sizes[inverse] * (every / len(keys)) - 1) / max(every - 1, 1))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return number_text(value) if isinstance(value, int | float) else str(value)


__all__ = ["Codes", "Floats", "Hierarchy", "Step", "build", "day_text"]
