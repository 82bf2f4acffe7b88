"""Which columns go together: one matrix over numbers and categories.

What belongs here: Pearson's r, bias-corrected Cramer's V and the correlation ratio, from counts and sums that the engine makes.
What does not: distances between two tables (audit).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

from synth_assets.profiling.columns import LONGEST_SHAPE, ColumnFacts, batches, position
from synth_assets.profiling.records import Associations
from synth_assets.tables.engine import Session

MAX_COLUMNS = 60
MAX_ROWS = 5_000_000
MAX_PAIRED_ROWS = 1_000_000_000  # rows times pairs of columns
MAX_CATEGORIES = 50
_PAIRS_PER_QUERY = 60
_CORRELATIONS_PER_QUERY = 400


@dataclass(frozen=True)
class _Choice:
    numbers: list[ColumnFacts]
    categories: list[ColumnFacts]
    left_out: list[str]
    capped: int

    @property
    def ordered(self) -> list[ColumnFacts]:
        return [*self.numbers, *self.categories]


def _choose(facts: Sequence[ColumnFacts]) -> _Choice:
    numbers = [f for f in facts if f.measure != "none" and f.distinct > 1 and f.number("std")]
    categories = [
        f for f in facts if f.measure == "none" and f.distinct > 1 and not f.nearly_unique and not _is_long_text(f)
    ]
    usable = [f for f in facts if f in numbers or f in categories]
    kept = usable[:MAX_COLUMNS]
    return _Choice(
        numbers=[f for f in numbers if f in kept],
        categories=[f for f in categories if f in kept],
        left_out=[f.schema.name for f in facts if f not in kept],
        capped=len(usable) - len(kept),
    )


def _is_long_text(facts: ColumnFacts) -> bool:
    return (facts.values.get("max_length") or 0) > LONGEST_SHAPE


def associations(session: Session, table: ir.Table, facts: Sequence[ColumnFacts], rows: int) -> Associations | None:
    """The association matrix of a table.

    Args:
        session: The open session of the table.
        table: The table.
        facts: Its columns' facts.
        rows: Its rows; above 5 million, or a billion rows times pairs of columns, every n-th row is used.

    Returns:
        The matrix over at most 60 columns, pairs of rows with both values; None with fewer than two columns to compare.

    Source:
        Bergsma 2013, A bias-correction for Cramer's V and Tschuprow's T (J. Korean Stat. Soc. 42); Fisher 1925 for eta.
    """
    choice = _choose(facts)
    size = len(choice.ordered)
    if size < 2:
        return None
    step = -(-rows // min(MAX_ROWS, MAX_PAIRED_ROWS // math.comb(size, 2)))
    matrix = np.full((size, size), np.nan)
    np.fill_diagonal(matrix, 1.0)
    with session.held(_prepared(session.thin(table, step) if step > 1 else table, choice)) as cached:
        _pearson(cached, choice, matrix)
        _ratios(cached, choice, matrix)
        _cramer(cached, choice, matrix)
    order = sorted(range(size), key=lambda i: facts.index(choice.ordered[i]))
    matrix = matrix[np.ix_(order, order)]
    notes = [f"Every {step}th row was used."] if step > 1 else []
    notes += [f"{choice.capped} columns beyond the first {MAX_COLUMNS} are not in the matrix."] if choice.capped else []
    return Associations(
        columns=tuple(choice.ordered[i].schema.name for i in order),
        numeric=tuple(i < len(choice.numbers) for i in order),
        matrix=tuple(tuple(None if math.isnan(v) else round(float(v), 6) for v in row) for row in matrix),
        rows_used=-(-rows // step),
        left_out=tuple(choice.left_out),
        note=" ".join(notes),
    )


def _prepared(table: ir.Table, choice: _Choice) -> ir.Table:
    """Numbers standardised, categories as hashes; the rarer values of a column with many become one."""
    columns: dict[str, Any] = {}
    for i, fact in enumerate(choice.numbers):
        mean, std = fact.number("mean") or 0.0, fact.number("std") or 1.0
        columns[f"x{i}"] = (position(table, fact.schema).cast("float64") - mean) / std
    for i, fact in enumerate(choice.categories):
        values: Any = table[fact.schema.name]
        code = values.hash()
        if fact.distinct > MAX_CATEGORIES:
            counted = table.group_by(value=values).aggregate(n=ibis._.count()).filter(ibis._.value.notnull())
            common = counted.order_by(ibis.desc("n"), "value").limit(MAX_CATEGORIES)
            code = ibis.ifelse(values.isin(common.value), code, 0)
        columns[f"c{i}"] = ibis.ifelse(values.isnull(), ibis.null("int64"), code)
    return table.select(**columns)


def _pearson(table: ir.Table, choice: _Choice, matrix: np.ndarray[Any, Any]) -> None:
    pairs = list(itertools.combinations(range(len(choice.numbers)), 2))
    for batch in batches(pairs, _CORRELATIONS_PER_QUERY):
        query = table.aggregate(
            **{f"r{n}": table[f"x{a}"].corr(table[f"x{b}"], how="pop") for n, (a, b) in enumerate(batch)}
        )
        row = query.to_pyarrow().to_pylist()[0]
        for n, (a, b) in enumerate(batch):
            value = row[f"r{n}"]
            if value is not None and math.isfinite(value):
                matrix[a, b] = matrix[b, a] = min(1.0, max(-1.0, value))


def _ratios(table: ir.Table, choice: _Choice, matrix: np.ndarray[Any, Any]) -> None:
    """Correlation ratio: the root of the share of a number's variance that lies between the categories."""
    if not choice.numbers or not choice.categories:
        return
    for batch in batches(list(range(len(choice.categories)))):
        parts = []
        for c in batch:
            known = table.filter(table[f"c{c}"].notnull())
            sums: dict[str, Any] = {}
            for i in range(len(choice.numbers)):
                x = known[f"x{i}"]
                sums |= {f"n{i}": x.count().cast("float64"), f"s{i}": x.sum(), f"q{i}": (x * x).sum()}
            parts.append(known.group_by(group=known[f"c{c}"]).aggregate(**sums).mutate(c=ibis.literal(c, "int16")))
        frame = (ibis.union(*parts) if len(parts) > 1 else parts[0]).to_pyarrow().to_pandas()
        for c, groups in frame.groupby("c"):
            for i in range(len(choice.numbers)):
                value = _ratio(groups[f"n{i}"].to_numpy(), groups[f"s{i}"].to_numpy(), groups[f"q{i}"].to_numpy())
                at = len(choice.numbers) + int(c)
                matrix[i, at] = matrix[at, i] = value


def _ratio(counts: np.ndarray[Any, Any], sums: np.ndarray[Any, Any], squares: np.ndarray[Any, Any]) -> float:
    """Eta from per-group counts, sums and sums of squares."""
    seen = counts > 0
    counts, sums, squares = counts[seen], sums[seen], squares[seen]
    middle = sums.sum() ** 2 / counts.sum() if counts.sum() else math.nan
    total = squares.sum() - middle
    between = (sums**2 / counts).sum() - middle
    return math.sqrt(min(1.0, max(0.0, between / total))) if total > 1e-12 else math.nan


def _cramer(table: ir.Table, choice: _Choice, matrix: np.ndarray[Any, Any]) -> None:
    pairs = list(itertools.combinations(range(len(choice.categories)), 2))
    offset = len(choice.numbers)
    for batch in batches(pairs, _PAIRS_PER_QUERY):
        parts = []
        for n, (a, b) in enumerate(batch):
            both = table.filter(table[f"c{a}"].notnull() & table[f"c{b}"].notnull())
            counted = both.group_by(a=both[f"c{a}"], b=both[f"c{b}"]).aggregate(n=ibis._.count())
            parts.append(counted.mutate(pair=ibis.literal(n, "int16")))
        answer = (ibis.union(*parts) if len(parts) > 1 else parts[0]).to_pyarrow()
        frame = {name: answer[name].to_numpy() for name in ("pair", "a", "b", "n")}
        for n, (a, b) in enumerate(batch):
            mine = frame["pair"] == n
            value = cramers_v(frame["a"][mine], frame["b"][mine], frame["n"][mine])
            matrix[offset + a, offset + b] = matrix[offset + b, offset + a] = value


def cramers_v(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any], counts: np.ndarray[Any, Any]) -> float:
    """Bias-corrected Cramer's V from the non-empty cells of a contingency table.

    Args:
        first: Category of each cell on the first side, shape (cells,).
        second: The same on the second side.
        counts: Rows of each cell.

    Returns:
        0 (independent) to 1; NaN where one side has a single category.
    """
    rows, first_codes = np.unique(first, return_inverse=True)
    columns, second_codes = np.unique(second, return_inverse=True)
    n = float(counts.sum())
    r, k = len(rows), len(columns)
    if n < 2 or r < 2 or k < 2:
        return math.nan
    row_sums = np.bincount(first_codes, weights=counts)
    column_sums = np.bincount(second_codes, weights=counts)
    phi2 = float((counts.astype(float) ** 2 / (row_sums[first_codes] * column_sums[second_codes])).sum()) - 1.0
    phi2 = max(0.0, phi2 - (r - 1) * (k - 1) / (n - 1))
    r_fair, k_fair = r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)
    smaller = min(r_fair, k_fair) - 1
    return min(1.0, math.sqrt(phi2 / smaller)) if smaller > 0 else math.nan
