"""Nearest synthetic rows, by a distance that numbers and categories share (Gower). Brute force in blocks, exact, float32.

Blocks are shared among the machine's cores; each is computed by itself, so the figures do not depend on how many there are.

A number counts by its rank in the synthetic table (in [0, 1], so the scale does not matter and no real value shapes it), a category by
mismatch, a missing value as far as can be from a known one. What does not belong here: what an attack makes of the distances.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_assets.audit.prepare import Array, Floats, Integers, Part, Prepared

Matrix = npt.NDArray[np.float32]
_BLOCK_CELLS = 400_000  # one block of distances: 1.6 MB, so that it stays in the processor's cache
_MISSING = np.float32(2.0)


@dataclass(frozen=True)
class Encoded:
    """Rows ready for distances: per column float32 ranks, or int32 category numbers.

    Args:
        names: Columns.
        columns: One array per column, all of equal length.
    """

    names: tuple[str, ...]
    columns: tuple[Array, ...]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.columns[0]) if self.columns else 0

    def take(self, rows: Integers) -> Encoded:
        """Some of its rows."""
        return Encoded(self.names, tuple(column[rows] for column in self.columns))


class Encoder:
    """Turns parts into encoded rows; ranks come from the synthetic table alone."""

    def __init__(self, prepared: Prepared) -> None:
        self.names = prepared.names
        synthetic = prepared.parts["synthetic"]
        self.sorted: dict[str, Floats] = {}
        for name in self.names:
            if prepared.numeric(name):
                values = synthetic.values[name]
                self.sorted[name] = np.sort(values[~np.isnan(values)])

    def encode(self, part: Part) -> Encoded:
        """Encode the rows of a part."""
        return Encoded(self.names, tuple(self.column(name, part.values[name]) for name in self.names))

    def column(self, name: str, values: Array) -> Array:
        """One encoded column."""
        if name not in self.sorted:
            return values.astype(np.int32)
        base = self.sorted[name]
        below, upto = np.searchsorted(base, values, side="left"), np.searchsorted(base, values, side="right")
        ranks = ((below + upto) / max(2 * len(base), 1)).astype(np.float32)
        return np.where(np.isnan(values), _MISSING, ranks).astype(np.float32)


def _column_distance(queries: Array, base: Array, out: Matrix) -> None:
    """Distances of one column, shape (queries, base), into `out`."""
    if base.dtype == np.float32:
        np.subtract(queries[:, None], base[None, :], out=out)
        np.abs(out, out=out)
        np.minimum(out, 1.0, out=out)
    else:
        np.copyto(out, queries[:, None] != base[None, :])


def _blocks(rows: int, base_rows: int) -> Iterator[slice]:
    step = max(1, _BLOCK_CELLS // max(base_rows, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_blocks(work: Callable[[slice], None], rows: int, base_rows: int) -> None:
    """Call a function for every block of rows, on all cores; numpy lets go of the interpreter while it computes."""
    blocks = list(_blocks(rows, base_rows))
    workers = min(_cores(), len(blocks))
    if workers < 2:
        for block in blocks:
            work(block)
        return
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(work, blocks):
            pass


def nearest_distances(queries: Encoded, base: Encoded, *, k: int) -> Floats:
    """Distances to the k nearest rows of the base.

    Args:
        queries: Rows to look from.
        base: Rows to look among, at least k.
        k: How many.

    Returns:
        Shape (queries, k), ascending, each in [0, columns].
    """
    found = np.empty((queries.rows, k))

    def work(block: slice) -> None:
        total = _total(queries, base, block)
        if k == 1:
            found[block, 0] = total.min(axis=1)
            return
        kept = np.partition(total, k - 1, axis=1)[:, :k] if k < base.rows else total
        found[block] = np.sort(kept, axis=1)[:, :k]

    _in_blocks(work, queries.rows, base.rows)
    return found


def _total(queries: Encoded, base: Encoded, block: slice) -> Matrix:
    """Summed distances over all columns for a block of queries."""
    shape = (block.stop - block.start, base.rows)
    total, scratch = np.zeros(shape, np.float32), np.empty(shape, np.float32)
    for column, other in zip(queries.columns, base.columns, strict=True):
        _column_distance(column[block], other, scratch)
        np.add(total, scratch, out=total)
    return total


def nearest_without(queries: Encoded, base: Encoded, secrets: Sequence[int]) -> Integers:
    """The nearest base row on all columns but one, for several such columns.

    Args:
        queries: Rows to look from.
        base: Rows to look among, at least one.
        secrets: Column numbers to leave out, one at a time.

    Returns:
        Row numbers of the base, shape (secrets, queries); of equally near rows the first.
    """
    found = np.empty((len(secrets), queries.rows), dtype=np.int64)

    def work(block: slice) -> None:
        total = _total(queries, base, block)
        scratch = np.empty_like(total)
        for i, secret in enumerate(secrets):
            _column_distance(queries.columns[secret][block], base.columns[secret], scratch)
            np.subtract(total, scratch, out=scratch)
            found[i, block] = scratch.argmin(axis=1)

    _in_blocks(work, queries.rows, base.rows)
    return found


def nearest_sets(queries: Encoded, base: Encoded, columns: Sequence[int], *, k: int) -> Integers:
    """The k nearest base rows on some of the columns.

    Returns:
        Row numbers of the base, shape (queries, min(k, base rows)), in no order.
    """
    k = min(k, base.rows)
    found = np.empty((queries.rows, k), dtype=np.int64)
    part = Encoded(tuple(base.names[i] for i in columns), tuple(base.columns[i] for i in columns))
    asked = Encoded(part.names, tuple(queries.columns[i] for i in columns))

    def work(block: slice) -> None:
        total = _total(asked, part, block)
        if k == 1:
            found[block, 0] = total.argmin(axis=1)
            return
        found[block] = np.argpartition(total, k - 1, axis=1)[:, :k] if k < base.rows else np.arange(base.rows)

    _in_blocks(work, queries.rows, base.rows)
    return found
