"""Measure a release: table by table, parents first, each through its own private source. The only step of synthesis that reads rows.

What belongs here: opening the sources, joining children with the coarse columns of their parent, the stored form of the measurements.
What does not: the plan (release_plan.py) and anything after the noise (release.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synth_assets.errors import ReleaseRefusedError
from synth_assets.privacy.mechanisms import NoiseSource
from synth_assets.privacy.records import Event
from synth_assets.seeds import child_seed
from synth_assets.storage import atomic
from synth_assets.synthesis.domain import fan_out_cells, measure_domain
from synth_assets.synthesis.marginals.binning import coarse_bins, one_way, stored_bins
from synth_assets.synthesis.marginals.measurements import (
    FORMAT_VERSION,
    Measurements,
    read_arrays,
    read_record,
    write_arrays,
)
from synth_assets.synthesis.marginals.select_measure import BEFORE_BINS, measure
from synth_assets.synthesis.release_plan import ReleasePlan, TablePlan
from synth_assets.synthesis.sequence_plan import SequencePlan, before_cells, position_bins, position_cells
from synth_assets.tables.cells import TableDomain
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.engine_rows import Chain, Context, FanOut, ParquetTable
from synth_assets.tables.schema import ForeignKey, Frozen, TableSchema

RECORD = "release.json"
CONTEXT = "context.safetensors"
CONTEXT_BINS = 8
FAN_OUT_FACTOR = 10
FAN_OUT_LEAST = 1000


class TableLinks(Frozen):
    """What sampling must know of one table besides its model: public facts only.

    Attributes:
        table: Its schema, without row count and without digits after the point (both are private).
        columns: Modelled columns in order.
        in_unit: Whether the table belongs to the unit of privacy.
        follows: The foreign key to the parent that conditions it, or None.
        fan_outs: Derived column -> child table.
        context: Derived column -> column of the parent.
        sequence: How rows of one parent follow each other, or None.
        time: The column that orders the rows, or from which the first rows of the children are counted; None where there is none.
        written: Whether the table is one of the dataset.
        impossible: Declared combinations that no row has.
    """

    table: TableSchema
    columns: tuple[str, ...]
    in_unit: bool
    follows: ForeignKey | None
    fan_outs: Mapping[str, str]
    context: Mapping[str, str]
    sequence: SequencePlan | None = None
    time: str | None = None
    written: bool = True
    impossible: tuple[Mapping[str, tuple[str | None, ...]], ...] = ()

    @property
    def joined(self) -> tuple[str, ...]:
        """Derived columns whose bins are joined bins of another column: of the parent, or of the row before."""
        return tuple(sorted((*self.context, *(self.sequence.given if self.sequence else ()))))


class ReleaseLinks(Frozen):
    """All tables of a release, parents first, and the one whose rows a caller may ask for."""

    tables: tuple[TableLinks, ...]
    root: str

    def table(self, name: str) -> TableLinks:
        """One table by name (KeyError where there is none)."""
        for links in self.tables:
            if links.table.name == name:
                return links
        raise KeyError(name)


@dataclass(frozen=True)
class ReleaseMeasurements:
    """Noisy tables of all tables of a release: all that any model of it may know.

    Attributes:
        links: Relations.
        tables: Measurements per table.
        context: Per table and derived column: its bin for each bin of the column of the parent, or of the own column in the row before.
        events: What was used; what was planned where several groups of tables were measured.
        notes: Choices in words.
    """

    links: ReleaseLinks
    tables: dict[str, Measurements]
    context: dict[str, dict[str, np.ndarray]]
    events: tuple[Event, ...]
    notes: tuple[str, ...] = ()

    def save(self, folder: Path) -> None:
        """Write one sub-folder per table (numbered), `release.json` and `context.safetensors`; no pickle, no value of the data."""
        for i, links in enumerate(self.links.tables):
            self.tables[links.table.name].save(folder / f"table-{i:03d}")
        save_links(
            folder,
            self.links,
            self.context,
            {"events": [e.model_dump(mode="json") for e in self.events], "notes": list(self.notes)},
        )

    @classmethod
    def load(cls, folder: Path) -> ReleaseMeasurements:
        """Read what `save` wrote.

        Raises:
            MissingArtifactError: a file is not there.
            InputError: the files are of another format version.
        """
        links, context, record = load_links(folder)
        tables = {t.table.name: Measurements.load(folder / f"table-{i:03d}") for i, t in enumerate(links.tables)}
        return cls(
            links, tables, context, _Events.model_validate({"events": record["events"]}).events, tuple(record["notes"])
        )


class _Events(Frozen):
    events: tuple[Event, ...]


def save_links(
    folder: Path, links: ReleaseLinks, context: Mapping[str, Mapping[str, np.ndarray]], more: Mapping[str, object]
) -> None:
    """Write the relations and context bins of a release beside its tables."""
    arrays = {
        f"{i}/{j}": context[t.table.name][name] for i, t in enumerate(links.tables) for j, name in enumerate(t.joined)
    }
    record = {"format_version": FORMAT_VERSION, "links": links.model_dump(mode="json"), **more}
    write_arrays(folder / CONTEXT, arrays)
    atomic.write_text(folder / RECORD, json.dumps(record, indent=1, sort_keys=True))


def load_links(folder: Path) -> tuple[ReleaseLinks, dict[str, dict[str, np.ndarray]], dict[str, Any]]:
    """Read what `save_links` wrote."""
    record, arrays = read_record(folder / RECORD), read_arrays(folder / CONTEXT)
    links = ReleaseLinks.model_validate(record["links"])
    context = {
        t.table.name: {name: arrays[f"{i}/{j}"] for j, name in enumerate(t.joined)} for i, t in enumerate(links.tables)
    }
    return links, context, record


def measure_release(
    plan: ReleasePlan,
    *,
    engine: Engine,
    noise: NoiseSource,
    gate: Callable[[], None],
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[str, float], None] | None = None,
    allow_insecure: bool = False,
) -> ReleaseMeasurements:
    """Measure all tables of a plan.

    Args:
        plan: From `plan_release`.
        engine: The table engine.
        noise: `SystemNoise` for a release.
        gate: Called before every read; raises where no reservation of budget is open.
        seed: Of the models between rounds of selection; noise takes none.
        device: "auto", "cpu" or "cuda".
        progress: Called with a step's name and the fraction done.
        allow_insecure: Accept repeatable noise; for tests of plumbing only.

    Raises:
        ReleaseRefusedError: the noise is not secure.
    """
    if not noise.secure and not allow_insecure:
        raise ReleaseRefusedError(
            "the noise of a release must come from the operating system.", remedy="Use SystemNoise."
        )
    report = progress or (lambda _what, _fraction: None)
    with engine.session() as session:
        sources = open_sources(plan, session, gate)
        run = _Run(plan, noise, seed, device)
        for i, table in enumerate(plan.tables):
            run.add(table, sources[table.name], _part_of(report, table.name, i, len(plan.tables)))
    several = any(not t.in_unit for t in run.links.tables) and len(plan.tables) > 1
    events = plan.events if several else tuple(run.events)
    return ReleaseMeasurements(run.links, run.tables, run.context, events, (*plan.notes, *run.notes))


def _part_of(
    report: Callable[[str, float], None], table: str, number: int, tables: int
) -> Callable[[str, float], None]:
    """Progress of one table as progress of the whole."""
    return lambda what, part: report(f"{table}: {what}", (number + part) / tables)


def open_sources(plan: ReleasePlan, session: Session, gate: Callable[[], None]) -> dict[str, ParquetTable]:
    """One private table per table of the plan, with number of children and columns of the parent; nothing is read yet."""
    sources: dict[str, ParquetTable] = {}
    for table in plan.tables:
        spec = plan.spec.table(table.name)
        sources[table.name] = ParquetTable(
            session,
            spec.path,
            columns=spec.columns,
            gate=gate,
            unit_column=table.unit_column,
            max_per_unit=table.max_per_unit,
            identity=[c for c in spec.table.primary_key if c in spec.table.names],
        )
    for table in plan.tables:
        for name, child in table.fan_outs.items():
            below = plan.table(child)
            if below.follows is not None:
                own, key = _join_columns(plan, below.follows)
                ends = (below.sequence.start, below.sequence.end, below.sequence.order) if below.sequence else None
                sources[table.name].count_children(FanOut(name, sources[child], own, key, ends))
        if table.follows is not None:
            own, key = _join_columns(plan, table.follows)
            sources[table.name].join_parent(Context(sources[table.follows.parent_table], own, key, table.context))
            if table.sequence is not None:
                s = table.sequence
                sources[table.name].follow_rows(Chain(s.order, own, s.before, s.earlier, s.position))
    return sources


def _join_columns(plan: ReleasePlan, key: ForeignKey) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns of a reference besides the unit of privacy; none where the parent is the unit itself."""
    return ((), ()) if plan.spec.table(key.parent_table).above is not None else (key.columns, key.parent_columns)


class _Run:
    """Measurements so far."""

    def __init__(self, plan: ReleasePlan, noise: NoiseSource, seed: int, device: str) -> None:
        self.plan, self.noise, self.seed, self.device = plan, noise, seed, device
        self.links = public_links(plan)
        self.domains: dict[str, TableDomain] = {}
        self.tables: dict[str, Measurements] = {}
        self.context: dict[str, dict[str, np.ndarray]] = {}
        self.events: list[Event] = []
        self.notes: list[str] = []

    def add(self, table: TablePlan, source: ParquetTable, progress: Callable[[str, float], None]) -> None:
        """Find the domain of one table and measure it."""
        found = measure_domain(table.columns, source, table.budget, self.noise)
        self.events += found.events
        self.notes += [f"Table {table.name}: {note}" for note in found.notes]
        columns = list(found.domain.columns)
        columns += [fan_out_cells(name, most_children(self.plan, child)) for name, child in table.fan_outs.items()]
        self.context[table.name], given = {}, {}
        for name, parent_column in table.context.items():
            parent = table.follows.parent_table if table.follows else ""
            cells = self.domains[parent].column(parent_column)
            coarse = self._coarse(parent, parent_column, CONTEXT_BINS)
            self.context[table.name][name] = coarse
            given[name] = coarse[self.tables[parent].groups[parent_column]]
            columns.append(cells.model_copy(update={"name": name}))
        before = {}
        if table.sequence is not None:
            before = {name: table.sequence.before[name] for name in table.sequence.given}
            columns += [before_cells(table.sequence, n, found.domain.column(own)) for n, own in before.items()]
            columns.append(position_cells(table.sequence.position))
            given[table.sequence.position] = position_bins()
        self.domains[table.name] = TableDomain(columns=tuple(columns))
        measured = measure(
            source.marginals(self.domains[table.name]),
            table.budget,
            self.noise,
            target=table.target,
            given=given,
            before=before,
            options=self.plan.options,
            seed=child_seed(self.seed, "measure", table.name),
            device=self.device,
            progress=progress,
        )
        self.tables[table.name] = measured
        self.context[table.name] |= {name: self._coarse(table.name, own, BEFORE_BINS) for name, own in before.items()}
        self.events += measured.events

    def _coarse(self, table: str, column: str, most: int) -> np.ndarray:
        """A few bins of a column, from its noisy tables."""
        m = self.tables[table]
        one = one_way(m.columns, m.ones, m.blocks, m.budget.sigma_one, m.options)
        cells = m.column(column)
        bins = stored_bins(cells, m.groups[column], m.levels[column], one)
        return coarse_bins(bins, most, ordered=cells.kind != "category")


def most_children(plan: ReleasePlan, child: str) -> int:
    """Public bound of the number of children of one row."""
    return max(FAN_OUT_LEAST, FAN_OUT_FACTOR * plan.table(child).max_per_unit)


def public_links(plan: ReleasePlan) -> ReleaseLinks:
    """What sampling must know of the tables of a plan: public facts only."""
    tables = []
    for table in plan.tables:
        spec = plan.spec.table(table.name)
        columns = tuple(c.model_copy(update={"decimals": None}) for c in spec.table.columns)
        names = {t.name for t in plan.tables}
        keys = tuple(k for k in spec.table.foreign_keys if k.parent_table in names)
        public = spec.table.model_copy(update={"row_count": 0, "columns": columns, "foreign_keys": keys})
        tables.append(
            TableLinks(
                table=public,
                columns=spec.columns,
                in_unit=table.unit_column is not None,
                follows=table.follows,
                fan_outs=table.fan_outs,
                context=table.context,
                sequence=table.sequence,
                time=spec.sequence_order,
                written=spec.above is None,
                impossible=spec.impossible,
            )
        )
    root = plan.spec.unit or plan.spec.target or (plan.spec.tables[0].name, "")
    return ReleaseLinks(tables=tuple(tables), root=root[0])
