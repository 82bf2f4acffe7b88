"""The profile of one table: a handful of queries per batch of columns, all inside the engine.

What belongs here: the order of the passes and the record they end in. What does not: how each figure is computed (columns.py,
histograms.py, associations.py, uniqueness.py) and how it is drawn (plots.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import ibis.expr.types as ir

from synth_assets.errors import withhold_values
from synth_assets.profiling.associations import associations
from synth_assets.profiling.columns import (
    ColumnFacts,
    column_facts,
    number_stats,
    text_stats,
    time_stats,
)
from synth_assets.profiling.distinct import repeated_rows
from synth_assets.profiling.histograms import histograms, shapes, top_values
from synth_assets.profiling.records import ColumnProfile, Histogram, Identifies, TableProfile, ValueCount
from synth_assets.profiling.uniqueness import anonymity_of, single_out
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.schema import TableSchema


def profile_table(
    table: Path,
    schema: TableSchema,
    engine: Engine,
    *,
    identifying: frozenset[str] = frozenset(),
    quasi: Sequence[str] = (),
    sensitive: Sequence[str] = (),
) -> TableProfile:
    """Profile a canonical table.

    Args:
        table: Folder with part-*.parquet, or one Parquet file.
        schema: Its schema.
        engine: Memory limit, threads and spill folder.
        identifying: Columns that identify somebody alone; the public form hides their values, and those of `quasi`.
        quasi: Quasi-identifiers; with them the search for what singles people out is over these columns, and the record has
            k-anonymity, l-diversity and t-closeness.
        sensitive: Sensitive columns, for l and t.

    Returns:
        The full form, as sensitive as the table itself; `.public()` gives the other one.

    Raises:
        InputError: the folder holds no Parquet file.
        ConfigError: a quasi-identifier or sensitive column is not in the table.
    """
    with withhold_values(f"the profile of table {schema.name!r}"), engine.session() as session:
        data = session.parquet(table)
        rows = int(data.count().to_pyarrow().as_py())
        facts = column_facts(data, schema.columns, rows)
        bins, values, forms = histograms(data, facts), top_values(data, facts), shapes(data, facts)
        return TableProfile(
            name=schema.name,
            row_count=rows,
            columns=tuple(_column(f, bins, values, forms, _identifies(f, identifying, quasi)) for f in facts),
            duplicates=_duplicates(session, data, facts, rows),
            associations=associations(session, data, facts, rows),
            uniqueness=single_out(session, data, facts, rows, quasi=quasi),
            anonymity=anonymity_of(session, data, schema, quasi, sensitive) if quasi and rows else None,
        )


def _identifies(facts: ColumnFacts, identifying: frozenset[str], quasi: Sequence[str]) -> Identifies:
    name = facts.schema.name
    return "alone" if name in identifying else "with others" if name in quasi else "no"


def _column(
    facts: ColumnFacts,
    bins: Mapping[str, Histogram],
    values: Mapping[str, tuple[ValueCount, ...]],
    forms: Mapping[str, tuple[ValueCount, ...]],
    identifies: Identifies,
) -> ColumnProfile:
    name = facts.schema.name
    text, top = text_stats(facts), values.get(name, ())
    if text is not None and name in forms:
        others = facts.count - sum(s.rows for s in forms[name])
        text = text.model_copy(update={"shapes": forms[name], "rows_of_other_shapes": others})
    return ColumnProfile(
        name=name,
        kind=facts.schema.kind,
        dtype=facts.schema.dtype,
        identifies=identifies,
        count=facts.count,
        missing=facts.rows - facts.count,
        distinct=facts.distinct,
        constant=facts.distinct == 1,
        unique=facts.unique,
        number=number_stats(facts),
        time=time_stats(facts),
        text=text,
        histogram=bins.get(name),
        top_values=top,
        rows_of_other_values=facts.count - sum(v.rows for v in top),
    )


def _duplicates(session: Session, table: ir.Table, facts: Sequence[ColumnFacts], rows: int) -> int:
    """Rows that repeat an earlier row; where a column is a key there are none, and nothing is counted."""
    if rows < 2 or any(f.unique and f.count == rows for f in facts):
        return 0
    return repeated_rows(session, table, [f.schema.name for f in facts])
