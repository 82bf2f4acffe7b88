"""Structural zeros: combinations of values that a person declared impossible, and that no sampled row has.

What belongs here: the declared combinations against the columns of a model, which rows have one, drawing those anew. What does not: the
words of a condition (terms.py), data (this module must not import `tables`). A declaration is public, so keeping it costs no budget.
Throwing rows away and drawing them anew gives the model's distribution, given that no row is impossible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from synth_assets.errors import ConfigError, InputError
from synth_assets.synthesis.marginals.measurements import ColumnCells
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.terms import Allowed, allowed, in_domain

Bins = dict[str, np.ndarray]
Rule = tuple[Allowed, ...]
Combinations = Sequence[Mapping[str, Sequence[str | None]]]
MOST_ROUNDS = 60


def rules_of(model: MarginalModel, impossible: Combinations) -> tuple[Rule, ...]:
    """The declared combinations that this model could make; what its columns cannot hold needs no rule."""
    known = {c.name for c in model.columns}
    found = []
    for combination in impossible:
        if not known.issuperset(combination):
            continue
        terms = {n: in_domain(model.column(n), t) for n, t in combination.items()}
        if all(terms.values()):
            found.append(tuple(allowed(model.column(n), t) for n, t in terms.items()))
    return tuple(found)


def check_impossible(columns: Mapping[str, ColumnCells | None], impossible: Combinations) -> None:
    """Whether declared combinations fit the table, as far as its domain is declared; reads nothing.

    Args:
        columns: Modelled columns with their cells, None where the domain is yet to be measured.
        impossible: The combinations.

    Raises:
        ConfigError: a combination names a column that is not modelled, or a value outside its declared domain.
    """
    for name, terms in ((n, t) for combination in impossible for n, t in combination.items()):
        if name not in columns:
            raise ConfigError(
                "a combination under `impossible` names a column that is not modelled.", column=name, key="impossible",
                remedy="Keys and direct identifiers are made anew; name columns that stay.",
            )  # fmt: skip
        cells = columns[name]
        if cells is None:
            continue
        try:
            allowed(cells, terms)
        except InputError as error:
            raise ConfigError(
                "a combination under `impossible` has a value that the declared column cannot hold, or a range that cannot be read.",
                column=name, key="impossible", remedy=error.remedy or "Write values as in `categories`, and ranges as 40..60.",
            ) from None  # fmt: skip


def columns_of(rules: Sequence[Rule]) -> tuple[str, ...]:
    """The columns that decide, in order of appearance, each after the one that it is a difference to."""
    names: dict[str, None] = {}
    for term in (t for rule in rules for t in rule):
        if term.column.minus is not None:
            names.setdefault(term.column.minus)
        names.setdefault(term.column.name)
    return tuple(names)


def broken(rules: Sequence[Rule], values: pa.Table) -> np.ndarray:
    """Whether each row has an impossible combination, shape (rows,), bool."""
    out = np.zeros(len(values), dtype=bool)
    for rule in rules:
        meets = np.ones(len(values), dtype=bool)
        for term in rule:
            meets &= term.met(values.column(term.column.name).combine_chunks())
        out |= meets
    return out


def possible_rows(
    rules: Sequence[Rule],
    bins: Bins,
    values: pa.Table,
    *,
    redraw: Callable[[np.ndarray], Bins],
    spell: Callable[[Bins], pa.Table],
) -> tuple[Bins, pa.Table]:
    """Rows with impossible combinations drawn anew until there are none.

    Args:
        rules: From `rules_of`.
        bins: Bins of all columns, shape (rows,) each.
        values: Their values.
        redraw: New bins for the rows of these numbers, under the conditions that each row has.
        spell: Values of bins.

    Returns:
        Bins and values of as many rows, in the same order.

    Raises:
        InputError: a row's conditions leave it next to nothing but impossible combinations.
    """
    bad = np.flatnonzero(broken(rules, values))
    for _ in range(MOST_ROUNDS):
        if not len(bad):
            return bins, values
        drawn = redraw(bad)
        made = spell(drawn)
        bins = {n: _put(b, bad, drawn[n]) for n, b in bins.items()}
        source = np.arange(len(values))
        source[bad] = len(values) + np.arange(len(bad))
        values = pa.concat_tables([values, made]).take(pa.array(source))
        bad = bad[broken(rules, made)]
    raise InputError(
        f"{len(bad):,} rows have next to nothing but combinations that are declared impossible.", key="impossible",
        remedy="Check the combinations: one of them may hold for a whole class of rows.",
    )  # fmt: skip


def _put(bins: np.ndarray, rows: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    out = bins.copy()
    out[rows] = drawn
    return out
