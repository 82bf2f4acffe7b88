"""The canonical form: one zstd Parquet file with the six dtypes of the chain, `schema.json`, and `reading.json` with what was odd.

Everything is made in a private staging folder and renamed into place at the end, so that a failure leaves what was there.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synth_assets.config.dataset import ColumnConfig, TableConfig
from synth_assets.errors import ConfigError, SourceError
from synth_assets.storage import atomic
from synth_assets.tables.date_forms import date_forms
from synth_assets.tables.engine import ROW_GROUP_ROWS, DuckSession
from synth_assets.tables.engine_tasks import DISTINCT_PER_QUERY, FileTasks, source_of, sql_name, sql_text
from synth_assets.tables.inference import Column, ColumnFacts, declared_kind, infer_kind, type_columns
from synth_assets.tables.readers.naming import column_names, require_columns
from synth_assets.tables.readers.staging import Staged
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, TableSchema
from synth_assets.tables.staged_rows import StagedRows, Term

PART = "part-00000.parquet"
SCHEMA_FILE = "schema.json"
READING_FILE = "reading.json"
_COLUMNS_PER_QUERY = 500
_MOST_DECIMALS = 6
_FIRST_ROWS = 50_000
_FIRST_BYTES = 256 * 2**20
_TOO_MANY = 1_000_000  # digits; stands for "none of these"
_FIRST_DATE, _PAST_DATE = "DATE '0001-01-01'", "DATE '10000-01-01'"
_UUID = "________-____-____-____-____________"


def write_canonical(
    staged: Staged,
    folder: Path,
    *,
    name: str,
    tasks: FileTasks,
    table: TableConfig | None,
    null_values: Sequence[str],
    timezone: str,
    lenient: bool = False,
) -> TableSchema:
    """Type a staged source and write it into a folder that nobody else uses.

    Args:
        staged: The staged source.
        folder: An empty folder.
        name: Name of the table.
        tasks: Where files are worked on.
        table: What the configuration declares about the table.
        null_values: Texts that mean missing, besides the empty cell.
        timezone: IANA zone of times without one.
        lenient: Pass over what is declared about columns that the source has not.

    Raises:
        SourceError: a declared column is missing or a cell does not have its declared kind.
    """
    named = column_names(staged.names)
    if table is not None and lenient:
        table = declared_of(table, frozenset(named.names))
    declared = table.columns if table else {}
    label = staged.parts[0].origin
    require_columns(named.names, wanted_columns(table), source=label, ambiguous=named.ambiguous)
    columns = [
        Column(n, i, t, _cell(i, t, _missing(null_values, declared.get(n))), declared_kind(declared.get(n)))
        for i, (n, t) in enumerate(zip(named.names, staged.types, strict=True))
    ]
    rows = StagedRows(tasks, tuple(p.path for p in staged.parts))
    _refuse_infinite(rows, staged, columns)
    _refuse_far_dates(rows, staged, columns)
    notes = type_columns(rows, staged, columns)
    values = ", ".join(f"{c.value} AS {sql_name(c.name)}" for c in columns)
    local = frozenset(c.name for c in columns if c.dtype == "timestamp[us]" and not c.zoned)
    groups = tasks.groups(rows.parts)
    made = tuple(folder / f"part-{i:05d}.parquet" for i in range(len(groups)))
    tasks.each(_Write(values, local, timezone), list(zip(groups, made, strict=True)))
    schema = _schema(name, columns, staged, rows, StagedRows(tasks, made), table)
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


def declared_of(table: TableConfig, names: Collection[str]) -> TableConfig:
    """What a configuration declares about some columns only; a primary key stays where all its columns are among them."""
    kept = {
        "primary_key": table.primary_key if set(table.primary_key) <= set(names) else (),
        "foreign_keys": {c: reference for c, reference in table.foreign_keys.items() if c in names},
        "columns": {c: config for c, config in table.columns.items() if c in names},
        "contract": tuple(line for line in table.contract if line.column is None or line.column in names),
    }
    return table.model_copy(update=kept)


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


def _refuse_infinite(rows: StagedRows, staged: Staged, columns: Sequence[Column]) -> None:
    """Infinity has no place in bounds and means; NaN of a data frame is a missing number."""
    doubles = [c for c in columns if c.staged == "double"]
    if not doubles:
        return
    terms = [f"count(*) FILTER ({test}({c.cell}))" for c in doubles for test in ("isinf", "isnan")]
    counts = rows.one([Term(t) for t in terms])
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


def _refuse_far_dates(rows: StagedRows, staged: Staged, columns: Sequence[Column]) -> None:
    """Dates beyond the calendar of most tools (years 1 to 9999) are marks such as "never", and would fail later."""
    dates = [c for c in columns if c.staged in {"date", "timestamp", "timestamp_utc"}]
    if not dates:
        return
    terms = (f"count(*) FILTER (NOT ({c.cell} >= {_FIRST_DATE} AND {c.cell} < {_PAST_DATE}))" for c in dates)
    counts = rows.one([Term(t) for t in terms])
    for column, far in zip(dates, counts, strict=True):
        if far:
            raise SourceError(
                f"the column holds {far} date(s) outside the years 1 to 9999.",
                file=staged.parts[0].origin,
                column=column.name,
                remedy="Replace them by a date or an empty cell.",
            )


@dataclass(frozen=True)
class _Write:
    """Types the rows of some staged files into a canonical one.

    Args:
        values: SQL for its columns.
        local: Columns with times in the zone of the source.
        timezone: That zone.
    """

    values: str
    local: frozenset[str]
    timezone: str

    def __call__(self, session: DuckSession, item: tuple[list[Path], Path]) -> None:
        """Write the file."""
        parts, target = item
        session.backend.raw_sql(
            f"COPY (SELECT {self.values} FROM {source_of(parts)}) TO {sql_text(target)} "
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
        ).fetchall()
        _to_utc(target, self.local, self.timezone)


def _to_utc(part: Path, local: frozenset[str], timezone: str) -> None:
    """Shift times without a zone from `timezone` to UTC, block by block. An hour that occurs twice is taken as the first one."""
    if timezone.upper() in {"UTC", "ETC/UTC", "GMT"} or not local:
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
    columns: Sequence[Column],
    staged: Staged,
    rows: StagedRows,
    made: StagedRows,
    table: TableConfig | None,
) -> TableSchema:
    row_count = sum(pq.read_metadata(part).num_rows for part in made.parts)
    declared: Mapping[str, ColumnConfig] = table.columns if table else {}
    keys = {*table.primary_key, *table.foreign_keys} if table else set()
    decimals = _decimals(columns, staged, rows)
    written = date_forms(columns, rows)
    facts = _facts(columns, row_count, made)
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
        row_count=row_count,
    )


def _foreign_keys(table: TableConfig | None) -> tuple[ForeignKey, ...]:
    references = table.foreign_keys if table else {}
    split = {column: reference.partition(".") for column, reference in references.items()}
    return tuple(ForeignKey(columns=(c,), parent_table=p, parent_columns=(k,)) for c, (p, _, k) in split.items())


def _decimals(columns: Sequence[Column], staged: Staged, rows: StagedRows) -> dict[int, int]:
    """Digits behind the decimal point of each double: as written, as the source declares, or the fewest that keep every value."""
    found = dict(staged.decimals)
    wanted = [c for c in columns if c.dtype == "double" and c.present + (c.form is None) and c.position not in found]
    for start in range(0, len(wanted), _COLUMNS_PER_QUERY):
        some = wanted[start : start + _COLUMNS_PER_QUERY]
        digits = rows.one([Term(_decimals_term(c), "max") for c in some])
        found.update({c.position: int(v) for c, v in zip(some, digits, strict=True) if v not in {None, _TOO_MANY}})
    return {c.position: found[c.position] for c in columns if c.dtype == "double" and c.position in found}


def _decimals_term(column: Column) -> str:
    if column.form is not None and column.form.fraction is not None:
        return f"coalesce(max(length({column.form.fraction.format(x=column.cell)})), 0)"
    kept = " ".join(
        f"WHEN bool_and(round({column.value}, {d}) = {column.value}) THEN {d}" for d in range(_MOST_DECIMALS + 1)
    )
    return f"CASE WHEN count({column.value}) = 0 THEN NULL {kept} ELSE {_TOO_MANY} END"


def _facts(columns: Sequence[Column], rows: int, made: StagedRows) -> list[ColumnFacts]:
    """Counts that decide kinds; distinct values are exact where they decide on uniqueness, else estimated."""
    facts: list[ColumnFacts] = []
    for start in range(0, len(columns), _COLUMNS_PER_QUERY):
        some = columns[start : start + _COLUMNS_PER_QUERY]
        row = made.one([term for c in some for term in _facts_terms(c)])
        for i, column in enumerate(some):
            present, distinct, longest, with_blanks, uuids = row[5 * i : 5 * i + 5]
            facts.append(
                ColumnFacts(column.dtype, rows, present, distinct or 0, longest or 0, with_blanks, bool(uuids))
            )
    counted = [i for i, f in enumerate(facts) if f.dtype in {"string", "int64"} and f.present]
    if len(made.tasks.groups(made.parts)) > 1:  # what the groups estimate does not add up
        estimates = made.tasks.estimated(made.parts, [columns[i].name for i in counted])
        facts = _with_distinct(facts, counted, estimates)
    near = [i for i in counted if facts[i].distinct >= 0.8 * facts[i].present]
    first = _repeats_in_first_rows(made, columns, near)
    repeated = [i for i in near if first[i].repeats]
    facts = _with_distinct(facts, repeated, [min(facts[i].distinct, facts[i].present - 1) for i in repeated])
    unique = [i for i in near if not first[i].repeats and first[i].rows == rows]
    facts = _with_distinct(facts, unique, [facts[i].present for i in unique])
    settled = {*repeated, *unique}
    near = [i for i in near if i not in settled]
    return _with_distinct(facts, near, made.tasks.distinct(made.parts, [columns[i].name for i in near], rows))


def _with_distinct(facts: Sequence[ColumnFacts], places: Sequence[int], counts: Sequence[int]) -> list[ColumnFacts]:
    found = dict(zip(places, counts, strict=True))
    return [replace(f, distinct=found.get(i, f.distinct)) for i, f in enumerate(facts)]


@dataclass(frozen=True)
class _First:
    """What the first rows of a column show: how many were read, and whether one of their values occurs twice."""

    rows: int
    repeats: bool


def _repeats_in_first_rows(made: StagedRows, columns: Sequence[Column], near: Sequence[int]) -> dict[int, _First]:
    """Of each column: a value that occurs twice in the first rows settles that it is not unique, without a count over all rows.

    Arrow reads the columns of a block alone; a query of DuckDB binds all columns of the file, which takes long where they are
    thousands.
    """
    found: dict[int, _First] = {}
    with pq.ParquetFile(made.parts[0]) as file:
        for start in range(0, len(near), DISTINCT_PER_QUERY):
            block = {i: columns[i].name for i in near[start : start + DISTINCT_PER_QUERY]}
            some = next(
                file.iter_batches(_rows_that_fit(file.metadata, block.values()), columns=[*block.values()]), None
            )
            rows = some.num_rows if some is not None else 0
            found |= {i: _First(rows, some is not None and _repeats(some.column(name))) for i, name in block.items()}
    return found


def _rows_that_fit(file: pq.FileMetaData, names: Collection[str]) -> int:
    """How many rows of some columns to hold in memory at once."""
    if not file.num_row_groups:
        return 1
    group = file.row_group(0)
    wanted = set(names)
    sizes = (
        c.total_uncompressed_size for c in map(group.column, range(group.num_columns)) if c.path_in_schema in wanted
    )
    rows: int = group.num_rows
    width: int = sum(sizes)
    return max(1, min(_FIRST_ROWS, _FIRST_BYTES * rows // max(1, width)))


def _repeats(values: pa.Array) -> bool:
    distinct: int = pc.count_distinct(values).as_py()
    present: int = len(values) - values.null_count
    return distinct < present


def _facts_terms(column: Column) -> list[Term]:
    """Present and distinct values, the longest text, texts with blanks, whether all are UUIDs."""
    name = sql_name(column.name)
    distinct = Term(f"approx_count_distinct({name})" if column.dtype in {"string", "int64"} else "0", "estimate")
    terms = [Term(f"count({name})"), distinct]
    if column.dtype != "string":
        return [*terms, Term("0", "max"), Term("0"), Term("false", "all")]
    blanks = Term(f"count(*) FILTER (contains({name}, ' '))")
    return [*terms, Term(f"max(length({name}))", "max"), blanks, Term(f"bool_and({name} LIKE '{_UUID}')", "all")]
