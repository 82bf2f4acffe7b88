"""Whether keys hold after masking: foreign keys find as many parents as before, unique columns are still unique.

What belongs here: counting in the raw and the masked tables. What does not: searching for identifiers (leakcheck.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import ibis.expr.types as ir

from synth_assets.errors import withhold_values
from synth_assets.masking.kin import same_key
from synth_assets.masking.records import ONE_TO_ONE, KeyFinding, KeyReport, MaskSummary
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.schema import ForeignKey, TableSchema


def check_keys(
    raw: Mapping[str, Path],
    masked: Mapping[str, Path],
    *,
    schemas: Mapping[str, TableSchema],
    summaries: Mapping[str, MaskSummary],
    engine: Engine,
    tables: Collection[str] | None = None,
) -> KeyReport:
    """Compare keys before and after masking.

    Args:
        raw: Raw table -> Parquet.
        masked: Masked table -> Parquet; with the parents of those that are checked.
        schemas: Raw table -> schema.
        summaries: Masked table -> what was done to it.
        engine: The table engine.
        tables: Masked tables to check; all of `masked` when None.
    """
    found = []
    with withhold_values("the key check"), engine.files_session() as session:
        for table in sorted(masked if tables is None else tables):
            check = _Table(session, raw, masked, schemas, summaries[table])
            found += [*check.foreign_keys(), *check.unique()]
    return KeyReport(passed=all(k.passed for k in found), keys=tuple(found))


class _Table:
    def __init__(
        self,
        session: Session,
        raw: Mapping[str, Path],
        masked: Mapping[str, Path],
        schemas: Mapping[str, TableSchema],
        summary: MaskSummary,
    ) -> None:
        self.session, self.raw, self.masked, self.schemas, self.summary = session, raw, masked, schemas, summary
        self.table, self.schema = summary.table, schemas[summary.table]
        self.chosen = {c.column for c in summary.columns if c.overridden and c.dtype is None}
        self.made_up = {c.column for c in summary.columns if c.action == "format_preserving"}
        self.coarser = {c.column for c in summary.columns if c.action not in ONE_TO_ONE | {"date_shift"}}

    def foreign_keys(self) -> Iterator[KeyFinding]:
        """One finding per reference to a table that is there on both sides."""
        for key in self.schema.foreign_keys:
            if key.parent_table not in self.raw or key.parent_table not in self.masked:
                continue
            before = self._matches(self.raw, key)
            parent = self.session.parquet(self.masked[key.parent_table])
            there = set(key.columns) <= set(self.summary.output_schema.names) and set(key.parent_columns) <= set(
                parent.columns
            )
            after = self._matches(self.masked, key) if there else None
            passed = after == before or (after is None and bool(self.chosen & set(key.columns)))
            yield KeyFinding(
                kind="foreign_key", table=self.table, columns=key.columns, before=before, after=after, passed=passed
            )

    def _matches(self, paths: Mapping[str, Path], key: ForeignKey) -> int:
        child, parent = self.session.parquet(paths[self.table]), self.session.parquet(paths[key.parent_table])
        names = [f"_p{i}" for i in range(len(key.columns))]
        above = parent.select(**dict(zip(names, (parent[c] for c in key.parent_columns), strict=True))).distinct()
        on = [same_key(child[c], above[n]) for c, n in zip(key.columns, names, strict=True)]
        return int(child.semi_join(above, on).count().execute())

    def unique(self) -> Iterator[KeyFinding]:
        """One finding for the primary key, and one for each other column that was unique, unless the policy made a column coarser."""
        own = self.schema.primary_key
        keys: list[tuple[str, ...]] = [own] if own and not self._coarsened(own) else []
        keys += [(c.column,) for c in self.summary.columns if c.action in ONE_TO_ONE and c.dtype is not None]
        raw, masked = (self.session.parquet(p[self.table]) for p in (self.raw, self.masked))
        for columns in dict.fromkeys(keys):
            before, complete = _distinct(raw, columns)
            if not complete or (columns[0] in self.made_up and not _distinct(_folded(raw, columns), columns)[1]):
                continue  # it was not unique before, or by the letter case alone, which made-up values do not tell apart
            there = set(columns) <= set(masked.columns)
            after = _distinct(masked, columns)[0] if there else None
            passed = after == before or (after is None and bool(self.chosen & set(columns)))
            yield KeyFinding(
                kind="unique", table=self.table, columns=columns, before=before, after=after, passed=passed
            )

    def _coarsened(self, columns: tuple[str, ...]) -> bool:
        """Whether a key of several columns has one that became a year or the like; joins by its other columns hold."""
        return len(columns) > 1 and bool(self.coarser & set(columns))


def _folded(table: ir.Table, columns: tuple[str, ...]) -> ir.Table:
    texts = [c for c in columns if table[c].type().is_string()]
    return table.mutate(**{c: table[c].strip().lower() for c in texts}) if texts else table


def _distinct(table: ir.Table, columns: tuple[str, ...]) -> tuple[int, bool]:
    """Different values, and whether no value stands twice (rows with a missing part do not count)."""
    whole = table.select(*columns).drop_null()
    counts = whole.aggregate(rows=whole.count()).to_pyarrow().to_pylist()[0]
    distinct = int(whole.distinct().count().execute())
    return distinct, distinct == int(counts["rows"])
