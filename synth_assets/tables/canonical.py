"""The canonical form: one zstd Parquet file with the six dtypes of the chain, `schema.json`, and `reading.json` with what was odd.

Everything is made in a private staging folder and renamed into place at the end, so that a failure leaves what was there.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synth_assets.config.dataset import ColumnConfig, TableConfig
from synth_assets.errors import ConfigError, SourceError
from synth_assets.storage import atomic
from synth_assets.tables.date_forms import date_forms
from synth_assets.tables.engine import ROW_GROUP_ROWS, DuckSession
from synth_assets.tables.inference import Column, ColumnFacts, declared_kind, infer_kind, type_columns
from synth_assets.tables.readers.naming import column_names, require_columns
from synth_assets.tables.readers.staging import Staged
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, TableSchema

PART = "part-00000.parquet"
SCHEMA_FILE = "schema.json"
READING_FILE = "reading.json"
_COLUMNS_PER_QUERY = 500
_MOST_DECIMALS = 6
_FIRST_ROWS = 50_000
_DISTINCT_PER_QUERY = 50  # each has a hash table of its own
_FEW_ROWS = (
    100_000  # beyond, one at a time: a hash table spills when it is alone, several side by side run out of memory
)
_FIRST_DATE, _PAST_DATE = "DATE '0001-01-01'", "DATE '10000-01-01'"
_UUID = "________-____-____-____-____________"


def write_canonical(
    staged: Staged,
    folder: Path,
    *,
    name: str,
    session: DuckSession,
    table: TableConfig | None,
    null_values: Sequence[str],
    timezone: str,
) -> TableSchema:
    """Type a staged source and write it into a folder that nobody else uses.

    Args:
        staged: The staged source.
        folder: An empty folder.
        name: Name of the table.
        session: An open engine session.
        table: What the configuration declares about the table.
        null_values: Texts that mean missing, besides the empty cell.
        timezone: IANA zone of times without one.

    Raises:
        SourceError: a declared column is missing or a cell does not have its declared kind.
    """
    named = column_names(staged.names)
    declared = table.columns if table else {}
    label = staged.parts[0].origin
    require_columns(named.names, wanted_columns(table), source=label, ambiguous=named.ambiguous)
    columns = [
        Column(n, i, t, _cell(i, t, _missing(null_values, declared.get(n))), declared_kind(declared.get(n)))
        for i, (n, t) in enumerate(zip(named.names, staged.types, strict=True))
    ]
    source = f"read_parquet([{', '.join(_literal(p.path) for p in staged.parts)}])"
    _refuse_infinite(session, staged, columns, source)
    _refuse_far_dates(session, staged, columns, source)
    notes = type_columns(session, staged, columns, source)
    part = folder / PART
    values = ", ".join(f"{c.value} AS {_identifier(c.name)}" for c in columns)
    session.backend.raw_sql(
        f"COPY (SELECT {values} FROM {source}) TO {_literal(part)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
    ).fetchall()
    _to_utc(part, columns, timezone)
    schema = _schema(name, part, columns, staged, session, source, table)
    atomic.write_text(folder / SCHEMA_FILE, schema.model_dump_json(indent=1))
    reading = {"facts": staged.facts, "notes": [*staged.notes, *named.notes, *notes]}
    atomic.write_text(folder / READING_FILE, json.dumps(reading, indent=1, sort_keys=True, ensure_ascii=False))
    return schema


def move_into_place(folder: Path, out: Path) -> None:
    """Rename a finished folder to `out`; what stood there is kept until the new one is in place."""
    for path in folder.iterdir():
        path.chmod(0o600)
    out.parent.mkdir(parents=True, exist_ok=True)
    if not out.exists() or not any(out.iterdir()):
        folder.rename(out)
    else:
        old = out.parent / f".replaced-{uuid.uuid4().hex[:12]}"
        out.rename(old)
        folder.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    atomic.fsync_folder(out.parent)


def read_notes(folder: Path) -> tuple[str, ...]:
    """What was odd in the source of a canonical folder: sentences without cell values."""
    path = folder / READING_FILE
    return tuple(json.loads(path.read_text(encoding="utf-8"))["notes"]) if path.is_file() else ()


def wanted_columns(table: TableConfig | None) -> dict[str, str]:
    """Columns that a table's configuration uses, each with the key that uses it."""
    if table is None:
        return {}
    wanted: dict[str, str] = {}
    for key, columns in (
        ("primary_key", table.primary_key),
        ("foreign_keys", table.foreign_keys),
        ("columns", table.columns),
    ):
        for column in columns:
            wanted.setdefault(column, key)
    for expectation in table.contract:
        if expectation.column is not None:
            wanted.setdefault(expectation.column, "contract")
    return wanted


def _missing(null_values: Sequence[str], config: ColumnConfig | None) -> tuple[str, ...]:
    """Texts that mean missing in one column: a declared category is always a value."""
    categories = set(config.categories or ()) if config else set()
    return tuple(v for v in null_values if v not in categories and v != "")


def _cell(position: int, staged_type: str, missing: Sequence[str]) -> str:
    column = f"c{position}"
    if not missing or staged_type not in {"text", "string"}:
        return column
    texts = ", ".join("'" + v.replace("'", "''") + "'" for v in missing)
    return f"CASE WHEN {column} IN ({texts}) THEN NULL ELSE {column} END"


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _refuse_infinite(session: DuckSession, staged: Staged, columns: Sequence[Column], source: str) -> None:
    """Infinity has no place in bounds and means; NaN of a data frame is a missing number."""
    doubles = [c for c in columns if c.staged == "double"]
    if not doubles:
        return
    terms = ", ".join(f"count(*) FILTER (isinf({c.cell})), count(*) FILTER (isnan({c.cell}))" for c in doubles)
    counts = session.backend.raw_sql(f"SELECT {terms} FROM {source}").fetchone()
    for column, infinite, nan in zip(doubles, counts[0::2], counts[1::2], strict=True):
        if infinite:
            raise SourceError(
                f"the column holds {infinite} infinite number(s).",
                file=staged.parts[0].origin,
                column=column.name,
                remedy="Replace them by a number or an empty cell.",
            )
        if nan:
            staged.notes.append(f"column {column.name!r}: {nan} NaN value(s) count as missing.")


def _refuse_far_dates(session: DuckSession, staged: Staged, columns: Sequence[Column], source: str) -> None:
    """Dates beyond the calendar of most tools (years 1 to 9999) are marks such as "never", and would fail later."""
    dates = [c for c in columns if c.staged in {"date", "timestamp", "timestamp_utc"}]
    if not dates:
        return
    terms = ", ".join(f"count(*) FILTER (NOT ({c.cell} >= {_FIRST_DATE} AND {c.cell} < {_PAST_DATE}))" for c in dates)
    counts = session.backend.raw_sql(f"SELECT {terms} FROM {source}").fetchone()
    for column, far in zip(dates, counts, strict=True):
        if far:
            raise SourceError(
                f"the column holds {far} date(s) outside the years 1 to 9999.",
                file=staged.parts[0].origin,
                column=column.name,
                remedy="Replace them by a date or an empty cell.",
            )


def _to_utc(part: Path, columns: Sequence[Column], timezone: str) -> None:
    """Shift times without a zone from `timezone` to UTC, block by block. An hour that occurs twice is taken as the first one."""
    if timezone.upper() in {"UTC", "ETC/UTC", "GMT"}:
        return
    local = {c.name for c in columns if c.dtype == "timestamp[us]" and not c.zoned}
    if not local:
        return
    with atomic.replacing(part) as temporary, pq.ParquetFile(part) as source:
        schema = source.schema_arrow
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for batch in source.iter_batches(batch_size=ROW_GROUP_ROWS):
                shifted = [
                    _utc(c, timezone) if f.name in local else c for c, f in zip(batch.columns, schema, strict=True)
                ]
                writer.write_batch(pa.record_batch(shifted, schema=schema))


def _utc(column: pa.Array, timezone: str) -> pa.Array:
    try:
        zoned = pc.assume_timezone(column, timezone, ambiguous="earliest", nonexistent="latest")
    except pa.ArrowInvalid:
        raise ConfigError(
            "the time zone is not known.", key="timezone", remedy="Use an IANA name such as Europe/Berlin."
        ) from None
    return zoned.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))


def _schema(
    name: str,
    part: Path,
    columns: Sequence[Column],
    staged: Staged,
    session: DuckSession,
    source: str,
    table: TableConfig | None,
) -> TableSchema:
    rows = pq.read_metadata(part).num_rows
    declared: Mapping[str, ColumnConfig] = table.columns if table else {}
    keys = {*table.primary_key, *table.foreign_keys} if table else set()
    decimals = _decimals(columns, staged, session, source)
    written = date_forms(columns, session, source)
    facts = _facts(columns, rows, session, part)
    described = []
    for column, fact in zip(columns, facts, strict=True):
        config = declared.get(column.name)
        kind = (
            ColumnKind(column.declared)
            if column.declared
            else infer_kind(column.name, fact, is_key=column.name in keys)
        )
        inferred = column.declared is None or (config is not None and config.inferred)
        if column.declared is None and column.name in keys:
            inferred = False
        described.append(
            ColumnSchema(
                name=column.name,
                kind=kind,
                dtype=column.dtype,
                inferred=inferred,
                decimals=decimals.get(column.position),
                date_form=written.get(column.position),
            )
        )
    return TableSchema(
        name=name,
        columns=tuple(described),
        primary_key=table.primary_key if table else (),
        foreign_keys=_foreign_keys(table),
        row_count=rows,
    )


def _foreign_keys(table: TableConfig | None) -> tuple[ForeignKey, ...]:
    references = table.foreign_keys if table else {}
    split = {column: reference.partition(".") for column, reference in references.items()}
    return tuple(ForeignKey(columns=(c,), parent_table=p, parent_columns=(k,)) for c, (p, _, k) in split.items())


def _decimals(columns: Sequence[Column], staged: Staged, session: DuckSession, source: str) -> dict[int, int]:
    """Digits behind the decimal point of each double: as written, as the source declares, or the fewest that keep every value."""
    found = dict(staged.decimals)
    wanted = [c for c in columns if c.dtype == "double" and c.present + (c.form is None) and c.position not in found]
    for start in range(0, len(wanted), _COLUMNS_PER_QUERY):
        some = wanted[start : start + _COLUMNS_PER_QUERY]
        row = session.backend.raw_sql(f"SELECT {', '.join(_decimals_term(c) for c in some)} FROM {source}").fetchone()
        found.update({c.position: int(v) for c, v in zip(some, row, strict=True) if v is not None})
    return {c.position: found[c.position] for c in columns if c.dtype == "double" and c.position in found}


def _decimals_term(column: Column) -> str:
    if column.form is not None and column.form.fraction is not None:
        return f"coalesce(max(length({column.form.fraction.format(x=column.cell)})), 0)"
    kept = " ".join(
        f"WHEN bool_and(round({column.value}, {d}) = {column.value}) THEN {d}" for d in range(_MOST_DECIMALS + 1)
    )
    return f"CASE {kept} END"


def _facts(columns: Sequence[Column], rows: int, session: DuckSession, part: Path) -> list[ColumnFacts]:
    """Counts that decide kinds; distinct values are exact where they decide on uniqueness, else estimated."""
    facts: list[ColumnFacts] = []
    source = f"read_parquet({_literal(part)})"
    for start in range(0, len(columns), _COLUMNS_PER_QUERY):
        some = columns[start : start + _COLUMNS_PER_QUERY]
        row = session.backend.raw_sql(f"SELECT {', '.join(_facts_terms(c) for c in some)} FROM {source}").fetchone()
        for i, column in enumerate(some):
            present, distinct, longest, with_blanks, uuids = row[5 * i : 5 * i + 5]
            facts.append(ColumnFacts(column.dtype, rows, present, distinct, longest or 0, with_blanks, bool(uuids)))
    near = [i for i, f in enumerate(facts) if f.dtype in {"string", "int64"} and f.distinct >= 0.8 * f.present > 0]
    first = f"(FROM {source} LIMIT {_FIRST_ROWS})"
    repeated = _repeated(session, first, columns, near)
    for i in repeated:
        facts[i] = replace(facts[i], distinct=min(facts[i].distinct, facts[i].present - 1))
    near = [i for i in near if i not in repeated]
    together = _DISTINCT_PER_QUERY if rows <= _FEW_ROWS else 1
    for start in range(0, len(near), together):
        block = near[start : start + together]
        terms = ", ".join(f"count(DISTINCT {_identifier(columns[i].name)})" for i in block)
        row = session.backend.raw_sql(f"SELECT {terms} FROM {source}").fetchone()
        for i, distinct in zip(block, row, strict=True):
            facts[i] = replace(facts[i], distinct=distinct)
    return facts


def _repeated(session: DuckSession, first: str, columns: Sequence[Column], near: Sequence[int]) -> set[int]:
    """Columns with a value that occurs twice in the first rows: these are not unique, and no count over all rows has to show it."""
    found: set[int] = set()
    for start in range(0, len(near), _DISTINCT_PER_QUERY):
        block = near[start : start + _DISTINCT_PER_QUERY]
        names = [_identifier(columns[i].name) for i in block]
        terms = ", ".join(f"count(DISTINCT {n}) < count({n})" for n in names)
        row = session.backend.raw_sql(f"SELECT {terms} FROM {first}").fetchone()
        found |= {i for i, repeats in zip(block, row, strict=True) if repeats}
    return found


def _facts_terms(column: Column) -> str:
    name = _identifier(column.name)
    distinct = f"approx_count_distinct({name})"
    if column.dtype == "string":
        return (
            f"count({name}), {distinct}, max(length({name})), "
            f"count(*) FILTER (contains({name}, ' ')), bool_and({name} LIKE '{_UUID}')"
        )
    return f"count({name}), {distinct if column.dtype == 'int64' else 0}, 0, 0, false"
