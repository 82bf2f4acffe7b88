"""Sample: rows from a fitted model, exact and vectorised, also under conditions on some of its columns.

What belongs here: bins of rows, values of bins, Arrow columns in the types of the schema. What does not: data (this module must not
import `tables`), keys and relations (multitable.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.synthesis.marginals.conditions import sample_given_target, with_target
from synth_assets.synthesis.marginals.coupling import Coupling, Ranks, coupling, positions, ranks
from synth_assets.synthesis.marginals.density import units_at
from synth_assets.synthesis.marginals.features import components, sample_features, stratified
from synth_assets.synthesis.marginals.measurements import ColumnCells
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.polish import MOST_ROWS, polish
from synth_assets.synthesis.marginals.rounding import rounded, step_shares


def sample_bins(
    model: MarginalModel, rows: int, rng: np.random.Generator, *, given: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Bins of every column for `rows` rows, under conditions on any of them.

    The features are drawn from the mixture (under conditions on features: from its exact posterior), the target given the features.
    Under a condition on the target, rows are drawn until enough of each class were found.

    Args:
        model: A fitted model.
        rows: How many.
        rng: Source of randomness.
        given: Bins of some columns, each of shape (rows,).

    Returns:
        int64 array per column; the given columns as they were given.

    Raises:
        InputError: a class of the target is next to impossible under the other conditions.
    """
    given = dict(given or {})
    if model.target is not None and model.target in given:
        return sample_given_target(model, rng, given)
    return with_target(model, sample_features(model, rows, rng, given=given), rng)


def values(
    model: MarginalModel,
    name: str,
    bins: np.ndarray,
    rng: np.random.Generator,
    *,
    base: pa.Array | None = None,
    position: np.ndarray | None = None,
    like: MarginalModel | None = None,
) -> pa.Array:
    """Values of one column for the bins of its rows, in the column's type.

    Args:
        model: The model.
        name: Column.
        bins: Bin per row.
        rng: Source of randomness.
        base: Values of the column that this one is the difference to, where there is one.
        position: Place of each row's value inside its bin, uniform on [0, 1) within every bin; drawn when None.
        like: Model whose cells say how values lie inside a cell; `model` when None.
    """
    column = model.column(name)
    if column.kind == "category":
        cells, _ = _cells(model.group[name], model.inside[name], bins, rng, position)
        return _categories(column, model, cells, rng)
    units, missing = units_of(model, name, bins, rng, position=position, like=like)
    return spelled(column, units, missing, base)


def units_of(
    model: MarginalModel,
    name: str,
    bins: np.ndarray,
    rng: np.random.Generator,
    *,
    position: np.ndarray | None = None,
    like: MarginalModel | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Whole units (days, seconds, 10^-decimals) of a numeric column for the bins of its rows, and where it is missing.

    The arguments are those of `values`.
    """
    column = model.column(name)
    cells, place = _cells(model.group[name], model.inside[name], bins, rng, position)
    missing = cells >= column.value_cells
    cells = np.minimum(cells, column.value_cells - 1)
    mass = _cell_mass(like or model, name)[: column.value_cells]
    units = units_at(column, cells, place, mass)
    if column.steps:
        units = rounded(column, step_shares(column, model.roundness.get(name)), mass, units, cells, rng)
    return units, missing


def _cells(
    group: np.ndarray, inside: np.ndarray, bins: np.ndarray, rng: np.random.Generator, position: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """A cell for each row, from the distribution inside its bin, stratified within the bin; and the place inside the cell."""
    cells: np.ndarray = np.argsort(group, kind="stable")  # a bin's cells side by side
    width = np.bincount(group)
    if width.max() == 1:
        return cells[bins], rng.random(len(bins)) if position is None else position
    end = np.cumsum(width)
    begin = end - width
    share = inside[cells]
    last = np.maximum.reduceat(np.where(share > 0, np.arange(len(cells)), 0), begin)
    before = np.concatenate([[0.0], np.cumsum(share)])
    u = stratified(bins, np.bincount(bins, minlength=len(width)), rng) if position is None else position
    at = before[begin][bins] + u * (before[end] - before[begin])[bins]
    found = np.clip(np.searchsorted(before, at, side="right") - 1, begin[bins], last[bins])
    place = (at - before[found]) / np.maximum(share[found], 1e-300)
    return cells[found], np.clip(place, 0.0, 1 - 1e-12)


def _categories(column: ColumnCells, model: MarginalModel, cells: np.ndarray, rng: np.random.Generator) -> pa.Array:
    """Texts of the cells; `other` becomes a listed category, drawn by their shares; missing becomes null."""
    cells = cells.copy()
    if column.open:
        other = np.flatnonzero(cells == column.value_cells + 1)
        share = _cell_mass(model, column.name)[: column.value_cells]
        if len(other) and share.sum() > 0:
            cumulative = np.cumsum(share)
            cells[other] = np.searchsorted(cumulative, rng.random(len(other)) * cumulative[-1], side="right")
    null = cells >= column.value_cells
    index = pa.array(np.minimum(cells, max(column.value_cells - 1, 0)), pa.int64(), mask=null)
    return pc.take(_typed(column), index) if column.value_cells else pa.nulls(len(cells), arrow_type(column.dtype))


def _cell_mass(model: MarginalModel, name: str) -> np.ndarray:
    """Share of each cell of a column in the model."""
    mass: np.ndarray
    if name == model.target and model.given_features is not None:
        mass = model.given_features.share
    else:
        mass = np.asarray(model.tables[name], dtype=np.float64) @ model.weights
    out: np.ndarray = mass[model.group[name]] * model.inside[name]
    return out


def _typed(column: ColumnCells) -> pa.Array:
    texts = column.categories
    if column.dtype == "bool":
        return pa.array([c == "true" for c in texts], pa.bool_())
    return pa.array(texts, pa.string()).cast(arrow_type(column.dtype))


def spelled(column: ColumnCells, units: np.ndarray, missing: np.ndarray, base: pa.Array | None) -> pa.Array:
    """Whole units to values of the column's type; a difference is added to its base."""
    kind = arrow_type(column.dtype)
    if column.dtype == "double":
        amounts = units / 10.0**column.decimals
        if base is not None:
            missing, amounts = missing | base.is_null().to_numpy(zero_copy_only=False), amounts + plain_numbers(base)
        return pa.array(np.round(amounts, column.decimals), kind, mask=missing)
    if base is not None:
        missing = missing | base.is_null().to_numpy(zero_copy_only=False)
        units = units + (plain_numbers(base) // (1_000_000 if column.kind == "datetime" else 1)).astype(np.int64)
    if column.kind == "datetime":
        units = units * 1_000_000
    if column.kind == "date":
        return pa.array(units.astype(np.int32), pa.int32(), mask=missing).cast(kind)
    return pa.array(units, pa.int64(), mask=missing).cast(kind)


def plain_numbers(base: pa.Array) -> np.ndarray:
    """Days, microseconds or numbers of a column, 0 where missing."""
    if pa.types.is_date32(base.type):
        base = base.cast(pa.int32())
    if pa.types.is_timestamp(base.type):
        base = base.cast(pa.int64())
    return np.asarray(pc.fill_null(base, 0).to_numpy(zero_copy_only=False))


def arrow_type(dtype: str) -> pa.DataType:
    """The Arrow type of a canonical dtype."""
    return {
        "int64": pa.int64(),
        "double": pa.float64(),
        "bool": pa.bool_(),
        "date32[day]": pa.date32(),
        "timestamp[us]": pa.timestamp("us"),
    }.get(dtype, pa.string())


def sample_table(model: MarginalModel, rows: int, rng: np.random.Generator) -> pa.Table:
    """Rows of one table without relations, in random order."""
    return decode(model, sample_rows(model, rows, rng, total=rows), rng)


def sample_rows(model: MarginalModel, rows: int, rng: np.random.Generator, *, total: int) -> dict[str, np.ndarray]:
    """Bins of every column for rows without conditions, in random order.

    Args:
        model: A fitted model.
        rows: How many, of a chunk.
        rng: Source of randomness.
        total: Rows of all chunks. Samples of up to `MOST_ROWS` are polished; in larger ones the error of sampling is small beside the
            noise.
    """
    bins = sample_features(model, rows, rng)
    if bins and total <= MOST_ROWS:
        bins = polish(model, bins, components(model, rows), rng)
    order = rng.permutation(rows)
    return {name: b[order] for name, b in with_target(model, bins, rng).items()}


@dataclass(frozen=True)
class Shape:
    """Where values lie inside bins and cells: taken from a model without conditions.

    Attributes:
        model: The model.
        coupled: Its copula inside the bins, or None.
        ranks: Scores of its rows, among which those of rows under conditions are ranked; None for its own rows.
    """

    model: MarginalModel
    coupled: Coupling | None
    ranks: Ranks | None = None


def shape_of(model: MarginalModel) -> Shape:
    """The shape that rows of a model under conditions take; worth computing once for all their chunks."""
    coupled = coupling(model)
    return Shape(model, coupled, None if coupled is None else ranks(coupled, model))


def decode(
    model: MarginalModel,
    bins: Mapping[str, np.ndarray],
    rng: np.random.Generator,
    *,
    only: Sequence[str] | None = None,
    known: Mapping[str, pa.Array] | None = None,
    shape: Shape | None = None,
) -> pa.Table:
    """Values of own columns for the bins of the rows.

    Args:
        model: The model.
        bins: Bins per column.
        rng: Source of randomness.
        only: Columns wanted, in this order; all own columns when None.
        known: Values that were drawn before.
        shape: For rows under conditions: that of the model without them.
    """
    names = list(only) if only is not None else [c.name for c in model.columns if not c.given]
    made: dict[str, pa.Array] = dict(known or {})
    columns = [model.column(n) for n in names if n not in made]
    inside = shape or Shape(model, coupling(model))
    coupled = inside.coupled
    asked = coupled is not None and not {c.name for c in columns}.isdisjoint(coupled.names)
    place = positions(coupled, bins, rng, among=inside.ranks) if coupled is not None and asked else {}
    for column in sorted(columns, key=lambda c: c.minus is not None):
        base = made.get(column.minus) if column.minus else None
        position = place.get(column.name)
        made[column.name] = values(
            model, column.name, bins[column.name], rng, base=base, position=position, like=inside.model
        )
    return pa.table({n: made[n] for n in names})
