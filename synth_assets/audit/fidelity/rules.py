"""Rules that rows can break: orders, sums, dependencies, missing values that follow from another column, combinations.

What belongs here: what a rule says, and which rows of a table it applies to and which break it. What does not: how rules are found
(`rule_search.py`), what a person declares (`declared.py`). The words name columns, and values only where a person declared them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from synth_assets.audit.marginals import Clique, Grid
from synth_assets.audit.prepare import Array, Floats, Integers, Part

Flags = npt.NDArray[np.bool_]
Kind = Literal["declared", "order", "sum", "dependency", "missing", "combination"]
_CLOSE = 1e-6  # of a sum, relative to the total


@dataclass(frozen=True)
class Outcome:
    """Rows of one table that a rule applies to, and those of them that break it; shape (rows,) each."""

    applies: Flags
    broken: Flags


@dataclass(frozen=True)
class Rule:
    """One rule.

    Args:
        kind: What sort of rule it is; the end of the metric's name.
        words: What it says.
        columns: The columns it speaks of.
        check: Which rows of a table it applies to, and which break it.
    """

    kind: Kind
    words: str
    columns: tuple[str, ...]
    check: Callable[[Part], Outcome]


def known(values: Array) -> Flags:
    """Which values are there: numbers that are not NaN, category numbers that are not -1."""
    flags: Flags = ~np.isnan(values) if values.dtype.kind == "f" else values >= 0
    return flags


def order(low: str, high: str, *, strict: bool = False, kind: Kind = "order") -> Rule:
    """One number or date is at most another one, or below it; for rows that have both."""

    def check(part: Part) -> Outcome:
        first, second = part.values[low], part.values[high]
        applies = known(first) & known(second)
        return Outcome(applies, applies & ((first >= second) if strict else (first > second)))

    return Rule(kind, f"{low!r} {'<' if strict else '<='} {high!r}", (low, high), check)


def total(of: str, addends: Sequence[str], *, kind: Kind = "sum") -> Rule:
    """A number is the sum of others (of one other: both are equal); for rows that have all of them."""

    def check(part: Part) -> Outcome:
        columns = [part.values[name] for name in addends]
        applies = known(part.values[of])
        for values in columns:
            applies &= known(values)
        return Outcome(applies, applies & ~adds_up(part.values[of], columns))

    return Rule(kind, f"{of!r} = {' + '.join(repr(name) for name in addends)}", (of, *addends), check)


def adds_up(wanted: Floats, columns: Sequence[Floats]) -> Flags:
    """Whether columns add up to another one, row by row; NaN does not."""
    with np.errstate(invalid="ignore"):
        close: Flags = np.abs(wanted - np.sum(columns, axis=0)) <= _CLOSE * (1 + np.abs(wanted))
    return close


@dataclass(frozen=True)
class Exact:
    """Numbers of one column's values: those of the shared dictionary, or the places of numbers in a list.

    Args:
        name: Column.
        numbers: Sorted numbers that have a place; None for a category column.
        size: Values, 0 to size - 1; `size` is missing, `size + 1` any other value.
    """

    name: str
    numbers: Array | None
    size: int

    def of(self, part: Part) -> Integers:
        """Numbers of the values of one table, shape (rows,)."""
        values = part.values[self.name]
        if self.numbers is None:
            return np.where(values < 0, self.size, values).astype(np.int64)
        at = np.searchsorted(self.numbers, values)
        found = self.numbers[np.minimum(at, self.size - 1)] == values
        return np.where(np.isnan(values), self.size, np.where(found, at, self.size + 1)).astype(np.int64)


def dependency(by: Exact, of: Exact, value: Integers) -> Rule:
    """A column's value follows from another column's value; for rows whose deciding value is one from which it does.

    Args:
        by: The column that decides.
        of: The column that follows.
        value: What follows from each number of `by`, -1 for nothing; shape (by.size + 2,).
    """

    def check(part: Part) -> Outcome:
        wanted = value[by.of(part)]
        applies: Flags = wanted >= 0
        return Outcome(applies, applies & (of.of(part) != wanted))

    return Rule("dependency", f"{by.name!r} determines {of.name!r}", (by.name, of.name), check)


def missing(column: str, by: str, grid: Grid, state: Integers) -> Rule:
    """Whether a column is missing follows from another column; for rows in bins that decide.

    Args:
        column: The column that is missing or not.
        by: The column that decides.
        grid: Bins of `by`.
        state: Per bin of `by`: 1 where `column` is always missing, 0 where it never is, -1 where it may be.
    """

    def check(part: Part) -> Outcome:
        wanted = state[grid.code(by, part.values[by])]
        applies: Flags = wanted >= 0
        return Outcome(applies, applies & (known(part.values[column]) == (wanted == 1)))

    return Rule("missing", f"whether {column!r} is missing follows from {by!r}", (by, column), check)


def combination(pair: Clique, grid: Grid, never: Flags) -> Rule:
    """Values of two columns that do not occur together; for all rows.

    Args:
        pair: The columns.
        grid: Bins of both.
        never: Whether each pair of bins does not occur, shape (bins of the first, bins of the second).
    """

    def check(part: Part) -> Outcome:
        broken: Flags = never[tuple(grid.code(name, part.values[name]) for name in pair)]
        return Outcome(np.ones(len(broken), dtype=bool), broken)

    first, second = pair
    words = f"values of {first!r} and {second!r} that do not occur together in the real tables"
    return Rule("combination", words, pair, check)


def impossible(words: str, allowed: Mapping[str, Flags], ranges: Mapping[str, Sequence[tuple[float, float]]]) -> Rule:
    """A combination of values and ranges that a person declared impossible; for all rows.

    Args:
        words: The combination as declared.
        allowed: Category column to whether each category meets its term, missing last, shape (labels + 1,).
        ranges: Numeric column to first and last number of each range; NaN stands for missing.
    """

    def check(part: Part) -> Outcome:
        met = np.ones(part.held, dtype=bool)
        for name, flags in allowed.items():
            met &= flags[part.values[name]]  # -1, missing, picks the last flag
        for name, spans in ranges.items():
            values = part.values[name]
            inside = np.zeros(part.held, dtype=bool)
            for low, high in spans:
                inside |= np.isnan(values) if np.isnan(low) else (values >= low) & (values <= high)
            met &= inside
        return Outcome(np.ones(part.held, dtype=bool), met)

    return Rule("declared", f"not {words}", (*allowed, *ranges), check)
