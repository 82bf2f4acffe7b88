"""Tables from a schema, chunk by chunk, to files or to memory. Memory is bounded by the chunk, not by the table.

What belongs here: chunk sizes, running numbers, what is handed on. What does not: values (chunks.py), file formats (files.py).
The same schema, seed and rows give the same bytes, in every process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import pyarrow as pa

from synth_assets.config.generation import COLUMN_TYPES, MAX_ROWS, GenerationSchema
from synth_assets.config.load import compose, line_of, load_model
from synth_assets.errors import ConfigError, InputError
from synth_assets.generation.chunks import Chunk, Run
from synth_assets.generation.files import FORMATS, TableWriter
from synth_assets.generation.plan import Node, Plan, build_plan
from synth_assets.storage import atomic

Format = Literal["parquet", "csv", "jsonl"]
Rows = int | Mapping[str, int]
Progress = Callable[[str, int], None]
CHUNK_ROWS = 50_000  # root rows of a chunk, where they have few descendants
FAMILY_ROWS = 400_000  # rows of all tables of a chunk, about
_PILOT_ROWS = 256


def load_schema(path: Path) -> GenerationSchema:
    """Load a generation schema and check it across its tables.

    Args:
        path: A YAML (or JSON) file.

    Raises:
        ConfigError: with file, line and key.
    """
    try:
        schema = load_model(path, GenerationSchema)
        build_plan(schema)
    except ConfigError as error:
        key = _without_type(error.key) if error.file else error.key
        row = error.row or line_of(compose(path), tuple((key or "").split(".")))
        raise ConfigError(error.message, file=str(path), row=row, key=key, remedy=error.remedy) from None
    return schema


def _without_type(key: str | None) -> str | None:
    """A key as it stands in the file; pydantic adds the type of the column, and which of several forms it tried."""
    parts = (key or "").split(".")
    if len(parts) > 4 and parts[0] == "tables" and parts[2] == "columns" and parts[4] in COLUMN_TYPES:
        del parts[4]
    if len(parts) > 5 and (parts[-1] in {"date", "float"} or parts[-1].startswith("function-")):
        parts.pop()
    return ".".join(parts) or None


def generate(
    schema: GenerationSchema,
    out: Path,
    *,
    seed: int,
    rows: Rows | None = None,
    fmt: Format = "parquet",
    tables: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Make the tables of a schema and write one file for each.

    Args:
        schema: What to make, from `load_schema`.
        out: Folder for the files `<table>.parquet` (or .csv, .jsonl); made when absent, other files in it stay.
        seed: 0 or more. Same schema, seed and rows: same bytes.
        rows: Rows of the first root table, or rows by root table; the schema's own numbers when None.
        fmt: File format.
        tables: Which tables to write; all when None. A table is the same whether or not others are written.
        progress: Called with a table's name and its rows so far.

    Returns:
        Path of each table's file. All appear at the end, together; after an error there is what was there before.

    Raises:
        ConfigError: the schema contradicts itself, or a formula does not fit its columns.
        InputError: an unknown table or format, rows out of range, more unique values wanted than exist.
    """
    if fmt not in FORMATS:
        raise InputError(f"formats are {', '.join(FORMATS)}.", key="format")
    plan = build_plan(schema)
    wanted = _wanted(plan, tables)
    paths = {table: out / f"{table}.{fmt}" for table in wanted}
    done = dict.fromkeys(wanted, 0)
    with ExitStack() as stack:
        temporary = {table: stack.enter_context(atomic.replacing(path)) for table, path in paths.items()}
        with ExitStack() as open_files:
            writers: dict[str, TableWriter] = {}
            for table, batch in _batches(plan, seed, _root_rows(plan, rows), wanted):
                if table not in writers:
                    writers[table] = open_files.enter_context(TableWriter(temporary[table], fmt, batch.schema))
                writers[table].write(batch)
                done[table] += batch.num_rows
                if progress is not None:
                    progress(table, done[table])
    return paths


def make_tables(
    schema: GenerationSchema, *, seed: int, rows: Rows | None = None, tables: Sequence[str] | None = None
) -> dict[str, pa.Table]:
    """Make the tables of a schema in memory; arguments and errors as of `generate`."""
    plan = build_plan(schema)
    wanted = _wanted(plan, tables)
    parts: dict[str, list[pa.Table]] = {table: [] for table in wanted}
    for table, batch in _batches(plan, seed, _root_rows(plan, rows), wanted):
        parts[table].append(batch)
    return {table: pa.concat_tables(batches) for table, batches in parts.items()}


def _wanted(plan: Plan, tables: Sequence[str] | None) -> list[str]:
    known = list(plan.schema.tables)
    unknown = sorted(set(tables or ()) - set(known))
    if unknown:
        raise InputError(
            f"the schema has no table {unknown[0]!r}.", key="tables", remedy=f"Its tables: {', '.join(known)}."
        )
    return known if tables is None else [t for t in known if t in set(tables)]


def _root_rows(plan: Plan, rows: Rows | None) -> dict[str, int]:
    sizes = {t: c.rows for t, c in plan.schema.tables.items() if c.rows is not None}
    asked = {next(iter(sizes)): rows} if isinstance(rows, int) else dict(rows or {})
    for table, n in asked.items():
        if table not in sizes:
            raise InputError(
                f"{table!r} is no table with a number of rows.", key="rows", remedy=f"Those are: {', '.join(sizes)}."
            )
        if not 1 <= n <= MAX_ROWS:
            raise InputError(f"the number of rows is not from 1 to {MAX_ROWS}.", key="rows")
    return {**sizes, **asked}


def _batches(plan: Plan, seed: int, sizes: Mapping[str, int], wanted: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    """The tables in pieces, each at least once."""
    if seed < 0:
        raise InputError("a seed is not negative.", key="seed")
    run = Run(plan, seed, sizes)
    for root in plan.families:
        yield from _family(run, root, wanted)


def _family(run: Run, root: str, wanted: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    plan, total = run.plan, run.totals[root]
    members = [t for t in plan.schema.tables if plan.ancestors(t)[-1] == root]
    shown = [t for t in members if t in wanted]
    pools = sorted(p for p in plan.pools if p[0] in members)
    targets = {(t, c) for t in shown for c, s in plan.schema.tables[t].columns.items() if not s.hidden}
    if not targets and not pools:
        return
    nodes = plan.closure(targets | set(pools))
    size = _chunk_rows(run, root, members)
    first = dict.fromkeys(members, 0)
    keys: dict[Node, list[pa.Array]] = {p: [] for p in pools}
    for index, start in enumerate(range(0, total, size)):
        chunk = Chunk(run, index, root, min(size, total - start), first)
        chunk.compute(nodes)
        for node in pools:
            keys[node].append(chunk.arrow(node))
        for table in shown:
            yield table, chunk.table(table)
        for table, n in chunk.n.items():
            first[table] += n
    for node in pools:
        run.pools[node] = pa.concat_arrays(keys[node])


def _chunk_rows(run: Run, root: str, members: Sequence[str]) -> int:
    """Root rows per chunk, from the descendants that a few rows have; a function of schema and seed only."""
    if len(members) == 1:
        return CHUNK_ROWS
    pilot = Chunk(run, -1, root, _PILOT_ROWS, dict.fromkeys(members, 0))
    pilot.compute(run.plan.closure({(t, "@rows") for t in members}))
    per_row = sum(pilot.n[t] for t in members) / _PILOT_ROWS
    return int(min(CHUNK_ROWS, max(1, FAMILY_ROWS // per_row)))
