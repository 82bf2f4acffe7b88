"""Sample: rows from a fitted model, exact and vectorised, also under conditions on some of its columns.

What belongs here: bins of rows, values of bins, Arrow columns in the types of the schema. What does not: data (this module must not
import `tables`), keys and relations (multitable.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.synthesis.marginals.binning import number_scale, signed_exp, signed_log
from synth_assets.synthesis.marginals.conditions import sample_given_target, with_target
from synth_assets.synthesis.marginals.features import components, sample_features, stratified
from synth_assets.synthesis.marginals.measurements import ColumnCells
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.polish import MOST_ROWS, polish

DEFAULT_DECIMALS = 2


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
    model: MarginalModel, name: str, bins: np.ndarray, rng: np.random.Generator, *, base: pa.Array | None = None
) -> pa.Array:
    """Values of one column for the bins of its rows, in the column's type.

    Args:
        model: The model.
        name: Column.
        bins: Bin per row.
        rng: Source of randomness.
        base: Values of the column that this one is the difference to, where there is one.
    """
    column = model.column(name)
    if column.kind == "category":
        return _categories(column, model, _cells(model.group[name], model.inside[name], bins, rng), rng)
    units, missing = units_of(model, name, bins, rng)
    return spelled(column, units, missing, base)


def units_of(
    model: MarginalModel, name: str, bins: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Whole units (days, seconds, 10^-decimals) of a numeric column for the bins of its rows, and where it is missing."""
    column = model.column(name)
    cells = _cells(model.group[name], model.inside[name], bins, rng)
    units = _units(column, model.roundness.get(name), np.minimum(cells, column.value_cells - 1), rng)
    return units, cells >= column.value_cells


def _cells(group: np.ndarray, inside: np.ndarray, bins: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A cell for each row, from the distribution inside its bin, stratified within the bin."""
    cells: np.ndarray = np.argsort(group, kind="stable")  # a bin's cells side by side
    width = np.bincount(group)
    out: np.ndarray
    if width.max() == 1:
        out = cells[bins]
        return out
    end = np.cumsum(width)
    begin = end - width
    share = inside[cells]
    last = np.maximum.reduceat(np.where(share > 0, np.arange(len(cells)), 0), begin)
    before = np.concatenate([[0.0], np.cumsum(share)])
    u = stratified(bins, np.bincount(bins, minlength=len(width)), rng)
    at = before[begin][bins] + u * (before[end] - before[begin])[bins]
    found = np.searchsorted(before, at, side="right") - 1
    out = cells[np.clip(found, begin[bins], last[bins])]
    return out


def _categories(column: ColumnCells, model: MarginalModel, cells: np.ndarray, rng: np.random.Generator) -> pa.Array:
    """Texts of the cells; `other` becomes a listed category, drawn by their shares; missing becomes null."""
    cells = cells.copy()
    if column.open:
        other = np.flatnonzero(cells == column.value_cells + 1)
        share = _category_shares(model, column)
        if len(other) and share.sum() > 0:
            cumulative = np.cumsum(share)
            cells[other] = np.searchsorted(cumulative, rng.random(len(other)) * cumulative[-1], side="right")
    null = cells >= column.value_cells
    index = pa.array(np.minimum(cells, max(column.value_cells - 1, 0)), pa.int64(), mask=null)
    return pc.take(_typed(column), index) if column.value_cells else pa.nulls(len(cells), arrow_type(column.dtype))


def _category_shares(model: MarginalModel, column: ColumnCells) -> np.ndarray:
    """Share of each listed category in the model."""
    name, group = column.name, model.group[column.name]
    mass: np.ndarray
    if name == model.target and model.given_features is not None:
        mass = model.given_features.share
    else:
        mass = np.asarray(model.tables[name], dtype=np.float64) @ model.weights
    out: np.ndarray = (mass[group] * model.inside[name])[: column.value_cells]
    return out


def _typed(column: ColumnCells) -> pa.Array:
    texts = column.categories
    if column.dtype == "bool":
        return pa.array([c == "true" for c in texts], pa.bool_())
    return pa.array(texts, pa.string()).cast(arrow_type(column.dtype))


def _units(column: ColumnCells, shares: np.ndarray | None, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A whole unit inside each cell: log-uniform for wide numbers, else uniform, then rounded as the data are."""
    edges = np.array(column.edges, dtype=np.int64)
    low, width = edges[cells], np.diff(edges)[cells]
    if column.decay:  # density (x + 1)^-3 inside a cell
        a, b = (low + 1.0) ** -2, (low + width + 1.0) ** -2
        x = np.floor((a + rng.random(len(cells)) * (b - a)) ** -0.5 - 1).astype(np.int64)
    elif column.kind == "number" and column.is_wide:
        anchor, scale = number_scale(column)
        z0, z1 = signed_log(low - 0.5, anchor, scale), signed_log(low + width - 0.5, anchor, scale)
        x = np.rint(signed_exp(z0 + rng.random(len(cells)) * (z1 - z0), anchor, scale)).astype(np.int64)
    else:
        x = low + np.floor(rng.random(len(cells)) * width).astype(np.int64)
    x = np.clip(x, low, low + width - 1)
    return _rounded(column, _step_shares(column, shares), x, low, width, rng) if column.steps else x


def _step_shares(column: ColumnCells, shares: np.ndarray | None) -> np.ndarray:
    """The measured shares of the steps; where nothing was significant, two digits after the point, whole numbers or whole minutes."""
    if shares is not None and shares.sum() > 0:
        return shares
    default = np.zeros(len(column.steps))
    default[1 if column.kind == "datetime" else max(0, column.decimals - DEFAULT_DECIMALS)] = 1.0
    return default


def finest_step(column: ColumnCells, shares: np.ndarray | None) -> int:
    """The finest step in use, of a column with steps."""
    return column.steps[int(np.flatnonzero(_step_shares(column, shares) > 0)[0])]


def _rounded(
    column: ColumnCells, shares: np.ndarray, x: np.ndarray, low: np.ndarray, width: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Move each value to a multiple of a drawn step inside its cell; where the cell holds none, of the next finer step in use.

    A cell that holds no multiple of the finest one gives the nearest multiple, so that no value has more digits than the data show.
    """
    chosen = rng.choice(len(shares), len(x), p=shares / shares.sum())
    todo = np.ones(len(x), dtype=bool)
    for k in reversed(np.flatnonzero(shares > 0).tolist()):
        step = column.steps[k]
        down = x // step * step
        down = np.where(down < low, down + step, down)
        fits = todo & (chosen >= k) & (down < low + width)
        x = np.where(fits, down, x)
        todo &= ~fits
    finest = column.steps[int(np.flatnonzero(shares > 0)[0])]
    nearest = np.clip((x + finest // 2) // finest * finest, column.edges[0], column.edges[-1] - 1)
    return np.where(todo, nearest, x)


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


def decode(
    model: MarginalModel,
    bins: Mapping[str, np.ndarray],
    rng: np.random.Generator,
    *,
    only: Sequence[str] | None = None,
    known: Mapping[str, pa.Array] | None = None,
) -> pa.Table:
    """Values of own columns for the bins of the rows.

    Args:
        model: The model.
        bins: Bins per column.
        rng: Source of randomness.
        only: Columns wanted, in this order; all own columns when None.
        known: Values that were drawn before.
    """
    names = list(only) if only is not None else [c.name for c in model.columns if not c.given]
    made: dict[str, pa.Array] = dict(known or {})
    for column in sorted((model.column(n) for n in names if n not in made), key=lambda c: c.minus is not None):
        base = made.get(column.minus) if column.minus else None
        made[column.name] = values(model, column.name, bins[column.name], rng, base=base)
    return pa.table({n: made[n] for n in names})
