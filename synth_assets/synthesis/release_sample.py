"""Sample a release: parents first, children under the exact conditions of their parent, valid keys, in chunks of bounded memory.

What belongs here: the order of tables, the rows of each parent's children, which parent row a foreign key takes, the Parquet files.
What does not: values (marginals.sample) and the spelling of keys (keys.py). The data are not read here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synth_assets.seeds import child_seed
from synth_assets.storage import atomic
from synth_assets.synthesis import keys
from synth_assets.synthesis.marginals.impossible import possible_rows, rules_of
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.polish import MOST_ROWS
from synth_assets.synthesis.marginals.sample import arrow_type, decode, sample_bins, sample_rows
from synth_assets.synthesis.marginals.strata import AskedRows, Stratum
from synth_assets.synthesis.release_measure import ReleaseLinks, TableLinks
from synth_assets.synthesis.sequence_sample import (
    Frame,
    chain_bins,
    chain_times,
    clock_step,
    end_units,
    rescaled,
    typed_times,
    whole_units,
)
from synth_assets.tables.schema import ForeignKey

Draw = Callable[..., dict[str, np.ndarray]]
CHUNK_ROWS = 200_000
CHUNK_PARENTS = 20_000
MEAN_ROWS = 20_000


@dataclass
class _Made:
    """Rows of one table: the current chunk, or the whole of a table that others refer to.

    Attributes:
        rows: How many.
        keys: Key columns.
        bins: Bins of the modelled columns.
        root: Row of the unit's table, within the chunk, of each row; None outside the unit.
        parent: Row of the parent, within the chunk, of each row; None where the table follows none.
        times: Time of each row in whole units; None where rows have no order.
    """

    rows: int
    keys: dict[str, pa.Array]
    bins: dict[str, np.ndarray] = field(default_factory=dict)
    root: np.ndarray | None = None
    parent: np.ndarray | None = None
    times: np.ndarray | None = None


@dataclass(frozen=True)
class ReleaseParts:
    """What sampling needs: relations, one model per table, the context bins of the children, what draws rows without a parent."""

    links: ReleaseLinks
    models: dict[str, MarginalModel]
    context: dict[str, dict[str, np.ndarray]]
    draw: Draw = sample_rows


def sample_release(
    parts: ReleaseParts, *, rows: int | None, seed: int, out: Path, strata: Sequence[Stratum] = ()
) -> dict[str, Path]:
    """Write every table as `out/<table>/part-00000.parquet`: modelled columns and keys, in the order of the schema.

    Args:
        parts: A fitted release.
        rows: Rows of the unit's table (of the target's, else the first table, where there is no unit); None: the noisy number.
        seed: Same seed, same bytes.
        out: Folder.
        strata: Classes of the root table from `release_strata`; empty for rows without conditions.

    Returns:
        The folder of each table.
    """
    with ExitStack() as stack:
        sampling = _Sampling(parts, seed, out, stack)
        root_rows = parts.models[parts.links.root].rows if rows is None else rows
        sampling.asked = AskedRows(strata, root_rows) if strata else None
        for links in parts.links.tables:
            if not links.in_unit:
                sampling.independent(links, rows if links.table.name == parts.links.root else None)
        root = parts.links.table(parts.links.root)
        if root.in_unit:
            sampling.unit(root, rows)
        sampling.close()
    return {t.table.name: out / t.table.name for t in parts.links.tables if t.written}


class _Sampling:
    """The state of one call: writers, numbers of rows so far and in all, tables that others refer to."""

    def __init__(self, parts: ReleaseParts, seed: int, out: Path, stack: ExitStack) -> None:
        self.parts, self.seed, self.out, self.stack = parts, seed, out, stack
        self.whole: dict[str, _Made] = {}
        self.chunk: dict[str, _Made] = {}
        self.first = {t.table.name: 0 for t in parts.links.tables}
        self.writers: dict[str, Any] = {}
        self.totals: dict[str, int] = {}
        self.asked: AskedRows | None = None  # of the root table, where there are conditions

    # tables outside the unit

    def independent(self, links: TableLinks, rows: int | None) -> None:
        """A table whose rows are its own units: no parent conditions it."""
        name = links.table.name
        total = self.parts.models[name].rows if rows is None else rows
        self.totals[name] = total
        referred = any(k.parent_table == name for t in self.parts.links.tables for k in t.table.foreign_keys)
        all_foreign = bool(links.table.primary_key) and not set(links.table.primary_key) - _foreign(links)
        step = total if referred or all_foreign else CHUNK_ROWS
        kept: list[_Made] = []
        for number, start in enumerate(range(0, max(total, 1), max(step, 1))):
            self.chunk = {}
            made = self._table(links, min(step, total - start), number, None)
            kept += [made] if referred else []
        if referred:
            self.whole[name] = kept[0]

    # the unit's tables

    def unit(self, root: TableLinks, rows: int | None) -> None:
        """The unit's table in chunks, each with all that hangs on it."""
        total = self._units(root, rows)
        self.totals[root.table.name] = total
        followers = [t for t in self.parts.links.tables if t.in_unit and t is not root]
        step = CHUNK_PARENTS if followers else CHUNK_ROWS
        for number, start in enumerate(range(0, max(total, 1), step)):
            self.chunk = {}
            size = min(step, total - start)
            self.chunk[root.table.name] = self._table(root, size, number, None, np.arange(size))
            for links in followers:
                self.chunk[links.table.name] = self._children(links, number)

    def _units(self, root: TableLinks, rows: int | None) -> int:
        """Rows of the unit's table; where units are not written, as many as have about `rows` rows in the table below."""
        model = self.parts.models[root.table.name]
        if rows is None or root.written:
            return model.rows if rows is None else rows
        rng = self._rng(root.table.name, "mean", 0)
        column = next(iter(root.fan_outs))
        drawn = decode(model, sample_bins(model, MEAN_ROWS, rng), rng, only=(column,)).column(column)
        return max(round(rows / max(float(drawn.to_numpy().mean()), 0.01)), min(rows, 1))

    def _children(self, links: TableLinks, number: int) -> _Made:
        """The rows that follow the parents of this chunk."""
        follows = links.follows
        parent_name = follows.parent_table if follows else ""
        parent, name = self.chunk[parent_name], links.table.name
        column = next(c for c, child in self.parts.links.table(parent_name).fan_outs.items() if child == name)
        rng = self._rng(name, "children", number)
        model = self.parts.models[parent_name]
        counts = decode(model, parent.bins, rng, only=(column,)).column(column).to_numpy().astype(np.int64)
        origin = np.repeat(np.arange(parent.rows), counts)
        root = None if parent.root is None else parent.root[origin]
        return self._table(links, len(origin), number, origin, root, frame=self._frame(links, counts, rng))

    def _frame(self, links: TableLinks, counts: np.ndarray, rng: np.random.Generator) -> Frame | None:
        """When the rows of each parent begin and end; None where their order means nothing."""
        follows, sequence = links.follows, links.sequence
        if follows is None or sequence is None:
            return None
        parent, model = self.chunk[follows.parent_table], self.parts.models[follows.parent_table]
        wanted = self.parts.models[links.table.name].column(sequence.order)
        start, span = (
            rescaled(end_units(model, name, parent.bins, counts > number, rng), model.column(name), wanted)
            for number, name in enumerate((sequence.start, sequence.end))
        )
        minus = model.column(sequence.start).minus
        if minus is None:  # both are times, else both are differences
            span = span - start
        elif parent.times is not None:
            start = start + rescaled(parent.times, model.column(minus), wanted)
        return Frame(counts, start, span, clock_step(model, sequence.start))

    # one table

    def _table(
        self,
        links: TableLinks,
        rows: int,
        number: int,
        parent: np.ndarray | None,
        root: np.ndarray | None = None,
        *,
        frame: Frame | None = None,
    ) -> _Made:
        """Sample one chunk of one table, write it, and return what its children need.

        Args:
            links: The table.
            rows: How many.
            number: Of the chunk.
            parent: Row of the parent of each row; None where the table follows none.
            root: Row of the unit's table of each row.
            frame: When the rows of each parent begin and end; None where their order means nothing.
        """
        name, model = links.table.name, self.parts.models[links.table.name]
        rng = self._rng(name, "rows", number)
        made = _Made(rows, {}, {}, root, parent)
        drawn: pa.Table | None = None
        if self.asked is not None and name == self.parts.links.root:
            made.bins, drawn = self.asked.draw(rows, rng, links.columns)
        elif links.sequence is None or frame is None:
            made.bins, drawn = self._drawn(links, rows, parent, rng)
        else:
            given = self._conditions(links, np.arange(len(frame.counts)))
            joined = self.parts.context[name]
            made.bins = chain_bins(model, frame.counts, rng, sequence=links.sequence, given=given, joined=joined)
            made.times = chain_times(model, links.sequence, made.bins[links.sequence.order], frame, rng)
        for key in self._ordered(links):
            self._refer(links, key, made, rng)
        kept = self._distinct(links, made)
        if kept is not None:
            made = _taken(made, kept)
            drawn = None if drawn is None else drawn.take(pa.array(kept))
        keys.number_free_keys(links.table, self.parts.links, made.keys, self.first[name], made.rows)
        for key in links.table.foreign_keys:
            if key.parent_table == name:
                self._refer_to_self(key, made, rng)
        values = self._values(links, made, rng, drawn)
        if links.written:
            self._write(links, values, made)
        self.first[name] += made.rows
        return made

    def _drawn(
        self, links: TableLinks, rows: int, parent: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[dict[str, np.ndarray], pa.Table | None]:
        """Bins of rows under the conditions of their parents, none of them impossible; their values where these had to be drawn."""
        name, model = links.table.name, self.parts.models[links.table.name]
        given = self._conditions(links, parent)
        if parent is None:
            bins = self.parts.draw(model, rows, rng, total=self.totals[name])
        else:
            bins = sample_bins(model, rows, rng, given=given)
        rules = rules_of(model, links.impossible)
        if not rules:
            return bins, None

        def redraw(some: np.ndarray) -> dict[str, np.ndarray]:
            if parent is None:
                return self.parts.draw(model, len(some), rng, total=MOST_ROWS + 1)
            return sample_bins(model, len(some), rng, given={n: b[some] for n, b in given.items()})

        def spell(of: dict[str, np.ndarray]) -> pa.Table:
            return decode(model, of, rng, only=links.columns)

        return possible_rows(rules, bins, spell(bins), redraw=redraw, spell=spell)

    def _values(self, links: TableLinks, made: _Made, rng: np.random.Generator, drawn: pa.Table | None) -> pa.Table:
        """Values of the modelled columns; those of rows under conditions, and the times of a sequence, are there already."""
        model = self.parts.models[links.table.name]
        if not links.columns:
            return pa.table({})
        if made.times is not None and links.time is not None:
            known = {links.time: typed_times(model.column(links.time), made.times)}
            return decode(model, made.bins, rng, only=links.columns, known=known)
        values = decode(model, made.bins, rng, only=links.columns) if drawn is None else drawn
        if links.time is not None:
            made.times = whole_units(model.column(links.time), values.column(links.time), rng)
        return values

    def _conditions(self, links: TableLinks, parent: np.ndarray | None) -> dict[str, np.ndarray]:
        """Bins of the parent's columns beside the rows of a child."""
        if parent is None or links.follows is None:
            return {}
        above, bins = self.chunk[links.follows.parent_table], self.parts.context[links.table.name]
        return {name: bins[name][above.bins[column]][parent] for name, column in sorted(links.context.items())}

    def _ordered(self, links: TableLinks) -> list[ForeignKey]:
        """Foreign keys to other tables, the one that is followed first."""
        others = [k for k in links.table.foreign_keys if k.parent_table != links.table.name]
        return sorted(others, key=lambda k: k != links.follows)

    def _refer(self, links: TableLinks, key: ForeignKey, made: _Made, rng: np.random.Generator) -> None:
        """Choose the parent row of every row for one foreign key, and copy its key."""
        if key == links.follows and made.parent is not None:
            keys.copy_key(key, self.chunk[key.parent_table].keys, made.parent, made.keys)
            return
        target = self.chunk.get(key.parent_table) or self.whole[key.parent_table]
        above = self._ancestor(links, key.parent_table, made)
        if above is not None:
            rows = above
        elif key.parent_table in self.chunk and made.root is not None and target.root is not None:
            rows = _same_root(made.root, target.root, rng)
        else:
            rows = rng.integers(0, target.rows, made.rows) if target.rows else np.full(made.rows, -1)
        keys.copy_key(key, target.keys, rows, made.keys)

    def _ancestor(self, links: TableLinks, table: str, made: _Made) -> np.ndarray | None:
        """Row of a table above the followed parent, for every row; None where it is not above."""
        rows, current = made.parent, links.follows
        while rows is not None and current is not None:
            if current.parent_table == table:
                return rows
            above = self.chunk[current.parent_table]
            rows = above.parent[rows] if above.parent is not None else None
            current = self.parts.links.table(current.parent_table).follows
        return None

    def _refer_to_self(self, key: ForeignKey, made: _Made, rng: np.random.Generator) -> None:
        """A reference to an earlier row of the same table and chunk; the first row refers to none."""
        earlier = np.arange(made.rows)
        rows = np.where(earlier > 0, np.floor(rng.random(made.rows) * earlier).astype(np.int64), -1)
        for column in key.columns:
            made.keys.pop(column, None)
        keys.copy_key(key, made.keys, rows, made.keys)

    def _distinct(self, links: TableLinks, made: _Made) -> np.ndarray | None:
        """Rows to keep where the primary key consists of foreign keys alone; None for all."""
        columns = list(links.table.primary_key)
        if not columns or not made.rows or set(columns) - set(made.keys):
            return None
        return keys.first_of_each(made.keys, columns)

    def _rng(self, *names: object) -> np.random.Generator:
        return np.random.default_rng(child_seed(self.seed, "sample", *(str(n) for n in names)))

    # files

    def _write(self, links: TableLinks, values: pa.Table, made: _Made) -> None:
        name, schema = links.table.name, self._arrow_schema(links)
        if name not in self.writers:
            path = self.stack.enter_context(atomic.replacing(self.out / name / "part-00000.parquet"))
            self.writers[name] = pq.ParquetWriter(path, schema, compression="zstd")
        arrays = [made.keys[f.name] if f.name in made.keys else values.column(f.name) for f in schema]
        self.writers[name].write_table(pa.table(arrays, schema=schema), row_group_size=122_880)

    def _arrow_schema(self, links: TableLinks) -> pa.Schema:
        wanted = {*links.columns, *keys.key_columns(links.table, self.parts.links)}
        return pa.schema([(c.name, arrow_type(c.dtype)) for c in links.table.columns if c.name in wanted])

    def close(self) -> None:
        """Finish the files; the renames follow when the stack is left."""
        for writer in self.writers.values():
            writer.close()


def _foreign(links: TableLinks) -> set[str]:
    return {c for k in links.table.foreign_keys for c in k.columns}


def _taken(made: _Made, rows: np.ndarray) -> _Made:
    index = pa.array(rows, pa.int64())
    return _Made(
        len(rows),
        {c: v.take(index) for c, v in made.keys.items()},
        {c: b[rows] for c, b in made.bins.items()},
        None if made.root is None else made.root[rows],
        None if made.parent is None else made.parent[rows],
        None if made.times is None else made.times[rows],
    )


def _same_root(root: np.ndarray, target_root: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For every row a row of another table with the same unit; any row where that unit has none."""
    if not len(target_root):
        return np.full(len(root), -1)
    order = np.argsort(target_root, kind="stable")
    ordered = target_root[order]
    first, last = np.searchsorted(ordered, root), np.searchsorted(ordered, root, side="right")
    inside = order[
        np.minimum(first + np.floor(rng.random(len(root)) * (last - first)).astype(np.int64), len(order) - 1)
    ]
    return np.where(last > first, inside, rng.integers(0, len(order), len(root)))
