"""Sample sequences: row after row of all parents at once, each conditioned on the one before; times as a start and whole gaps.

What belongs here: bins of chained rows, times from starts and gaps. What does not: keys and files (release_sample.py), one row's
conditional distribution (marginals.sample), data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from synth_assets.synthesis.marginals.measurements import ColumnCells
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.sample import plain_numbers, sample_bins, spelled, units_of
from synth_assets.synthesis.sequence_plan import ROW_EDGES, SequencePlan

MINUTE = 60


def chain_bins(
    model: MarginalModel,
    counts: np.ndarray,
    rng: np.random.Generator,
    *,
    sequence: SequencePlan,
    given: Mapping[str, np.ndarray],
    joined: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Bins of all rows, parent by parent, in the order of time.

    The first row of a parent is drawn without a condition on a row before, every other one with the bins of the row before it. Beyond
    the rows that were measured the chain goes on from the same conditional distribution.

    Args:
        model: Of the table.
        counts: Rows of each parent, shape (parents,).
        rng: Source of randomness.
        sequence: What is conditioned on.
        given: Bins of the parent's columns, each of shape (parents,).
        joined: Per column of the row before: its bin for each bin of the own column.

    Returns:
        int64 array per column, shape (sum of counts,).
    """
    first = np.cumsum(counts) - counts
    out = {c.name: np.zeros(int(counts.sum()), dtype=np.int64) for c in model.columns}
    later = without_missing(model, sequence.order)
    for number in range(int(counts.max(initial=0))):
        parents = np.flatnonzero(counts > number)
        rows = first[parents] + number
        conditions = {name: bins[parents] for name, bins in given.items()}
        conditions[sequence.position] = np.full(len(rows), np.searchsorted(ROW_EDGES, number, side="right"))
        if number:
            conditions |= {n: joined[n][out[sequence.before[n]][rows - 1]] for n in sequence.given}
        for name, bins in sample_bins(later if number else model, len(rows), rng, given=conditions).items():
            out[name][rows] = bins
    return out


def without_missing(model: MarginalModel, name: str) -> MarginalModel:
    """The same model where one column is not missing; unchanged where the column is never anything else."""
    column, group = model.column(name), model.group[name]
    absent = np.setdiff1d(group[column.value_cells :], group[: column.value_cells])
    table = model.tables[name].copy()
    table[absent] = 0
    if not len(absent) or not table.sum():
        return model
    return replace(model, tables={**model.tables, name: table})


def end_units(
    model: MarginalModel, name: str, bins: Mapping[str, np.ndarray], with_rows: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """First time of each parent's rows, or the time from it to the last, in whole units of the derived column.

    Args:
        model: Of the parent.
        name: Derived column.
        bins: Bins of all columns of the parent.
        with_rows: Which parents have enough rows to have one: for them it is never missing.
        rng: Source of randomness.
    """
    found = without_missing(model, name)
    units, missing = units_of(model, name, bins[name], rng)
    again = np.flatnonzero(missing & with_rows)
    if len(again):
        others = {n: bins[n][again] for n in model.tables if n != name}
        drawn = sample_bins(found, len(again), rng, given=others)[name]
        units[again] = units_of(found, name, drawn, rng)[0]
    return units


def clock_step(model: MarginalModel, name: str) -> int:
    """Seconds in which times are told: the finest step of the first times, whole minutes where it is not known; 1 for others."""
    column = model.column(name)
    if column.kind != "datetime":
        return 1
    shares = model.roundness.get(name)
    used = np.flatnonzero(shares > 0) if shares is not None else np.zeros(0, dtype=np.int64)
    return int(column.steps[used[0]]) if len(used) else MINUTE


@dataclass(frozen=True)
class Frame:
    """When the rows of each parent begin and end.

    Attributes:
        counts: Rows of each parent, shape (parents,).
        start: First time, in whole units of the ordering column.
        span: From the first to the last time, likewise; below 0 where nothing is known about it.
        step: Times since the first are multiples of it.
    """

    counts: np.ndarray
    start: np.ndarray
    span: np.ndarray
    step: int


def chain_times(
    model: MarginalModel, sequence: SequencePlan, bins: np.ndarray, frame: Frame, rng: np.random.Generator
) -> np.ndarray:
    """Times of all rows in whole units of the ordering column: the start of the parent, then whole gaps, never backwards.

    Gaps are fitted to the span of their parent, since what is drawn gap by gap drifts. A chain ends at the declared upper bound at the
    latest.

    Args:
        model: Of the table.
        sequence: How its rows follow each other.
        bins: Bins of the ordering column, shape (rows,).
        frame: When the rows of each parent begin and end.
        rng: Source of randomness.
    """
    column, counts = model.column(sequence.order), frame.counts
    gaps, missing = units_of(model, sequence.order, bins, rng)
    of = np.repeat(np.arange(len(counts)), counts)
    first = (np.cumsum(counts) - counts)[counts > 0]
    gaps = np.where(missing, 0, gaps)
    gaps[first] = 0
    total = np.bincount(of, weights=gaps, minlength=len(counts))
    start, wanted = frame.start, np.where(frame.span < 0, total, frame.span)
    if sequence.latest is not None:
        latest = int(np.floor(sequence.latest * 10**column.decimals))
        start = np.minimum(start, latest)
        wanted = np.minimum(wanted, latest - start)
    passed = np.cumsum(fitted_gaps(gaps, of, total, wanted))
    before = np.zeros(len(counts))
    before[counts > 0] = passed[first]
    since = np.floor(passed - before[of] + 1e-6).astype(np.int64)
    times: np.ndarray = start[of] + since // frame.step * frame.step
    return times


def fitted_gaps(gaps: np.ndarray, of: np.ndarray, total: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Gaps whose sums are as wanted: the long ones give or take, since they are the least sure; the short ones stay as drawn.

    Where the sum is too large, gaps are cut at one level for all of a chain; where it is too small, each grows by its squared share.

    Args:
        gaps: 0 or more, shape (rows,).
        of: Chain of each, ascending.
        total: Their sum per chain, shape (chains,).
        wanted: What it should be.

    Returns:
        float64; a chain without any gap stays so.
    """
    out: np.ndarray = np.minimum(gaps, _level(gaps, of, wanted)[of])
    squares = np.bincount(of, weights=gaps.astype(np.float64) ** 2, minlength=len(total))
    more = np.maximum(wanted - total, 0) / np.maximum(squares, 1)
    grown: np.ndarray = out + gaps.astype(np.float64) ** 2 * more[of]
    return grown


def _level(gaps: np.ndarray, of: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The level per chain at which gaps are cut so that they add up to what is wanted; infinite where they are not too long."""
    order = np.lexsort((gaps, of))
    ordered, chain = gaps[order].astype(np.float64), of[order]
    size = np.bincount(of, minlength=len(wanted))
    begin = (np.cumsum(size) - size)[chain]
    passed = np.cumsum(ordered) - ordered
    passed = passed - passed[begin]
    above = size[chain] - (np.arange(len(ordered)) - begin)  # gaps that are at least as long
    hit = np.flatnonzero(passed + ordered * above >= wanted[chain])
    level = np.full(len(wanted), np.inf)
    chains, at = np.unique(chain[hit], return_index=True)
    level[chains] = ((wanted[chain] - passed) / above)[hit[at]]
    return level


def typed_times(column: ColumnCells, times: np.ndarray) -> pa.Array:
    """Whole units of the ordering column as values of its type."""
    return spelled(column, times, np.zeros(len(times), dtype=bool), None)


def whole_units(column: ColumnCells, values: pa.ChunkedArray, rng: np.random.Generator) -> np.ndarray:
    """Values of a column in whole units; a missing one takes another row's, since something has to follow it."""
    known = np.flatnonzero(~values.is_null().to_numpy(zero_copy_only=False))
    plain = plain_numbers(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)
    scale = {"datetime": 1e-6, "number": 10.0**column.decimals}.get(column.kind, 1.0)
    units = np.rint(plain * scale).astype(np.int64)
    absent = np.setdiff1d(np.arange(len(units)), known)
    if len(absent):
        units[absent] = units[rng.choice(known, len(absent))] if len(known) else 0
    return units


def rescaled(units: np.ndarray, own: ColumnCells, wanted: ColumnCells) -> np.ndarray:
    """Whole units of one column in those of another, with as many or other digits after the point."""
    shift = wanted.decimals - own.decimals
    out: np.ndarray = units * 10**shift if shift >= 0 else units // 10**-shift
    return out
