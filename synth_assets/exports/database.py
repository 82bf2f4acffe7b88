"""Tables into a PostgreSQL database: made, filled and swapped in one transaction, so that a reader sees the old tables or the new.

What was written says so in the comment of each table; tables without that mark are somebody else's, and are left alone unless told.
Rows go through COPY; no statement, log or error holds a value of them, and none holds the URL.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.errors import ConfigError, InputError, ServiceUnavailableError, SynthAssetsError
from synth_assets.exports.formats import spelled
from synth_assets.storage.postgres import CONNECT_SECONDS, connected
from synth_assets.storage.postgres_faults import refusal
from synth_assets.tables.engine import Engine
from synth_assets.tables.relations import parents_first
from synth_assets.tables.schema import ColumnSchema, TableSchema

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

MARK = "synth_assets"
_TYPES = {
    "int64": "bigint",
    "double": "double precision",
    "string": "text",
    "bool": "boolean",
    "date32[day]": "date",
    "timestamp[us]": "timestamp without time zone",
}
_MOST_BYTES, _MOST_COLUMNS = 63, 1_600
_LOCK_SECONDS, _BATCH_ROWS = 60, 50_000


@dataclass(frozen=True)
class Delivered:
    """What happened.

    Args:
        rows: Of each table, now in the database.
        unchanged: The database held this content already, and nothing was written.
    """

    rows: Mapping[str, int]
    unchanged: bool


@dataclass(frozen=True)
class DatabaseTables:
    """Tables that go into a schema of a database together.

    Args:
        paths: Parquet of each table.
        schemas: Their columns and keys.
        provenance: What is said about them in the database, such as dataset and synthesizer; `dataset` tells whose they are.
        content: Hash of all of it; the same hash is not written again.
    """

    paths: Mapping[str, Path]
    schemas: Mapping[str, TableSchema]
    provenance: Mapping[str, Any]
    content: str

    @property
    def order(self) -> tuple[str, ...]:
        """Parents first."""
        return parents_first(self.schemas)


def write_database(
    tables: DatabaseTables, url: URL, *, schema: str, engine: Engine, replace: bool = False, again: bool = False
) -> Delivered:
    """Put tables into a database.

    Tables that this dataset wrote before are refilled where their columns are the same, so that views and rights on them stay, and made
    anew where these differ. All of it is one transaction; where the connection breaks off, it is done once more, which is safe.

    Args:
        tables: The tables.
        url: Of the server, checked by `storage.postgres`.
        schema: Schema of the database; made where there is none.
        engine: The table engine.
        replace: Also replace tables that hold rows and were not written by this dataset.
        again: Write what is there already.

    Raises:
        InputError: a name does not fit, a table is somebody else's, something depends on it, or the rows break a rule of keys.
        ConfigError: the login may not do this.
        ServiceUnavailableError: the server does not answer. The database is as before.
    """
    import sqlalchemy as sa

    _check_names(tables, schema)
    options = {"connect_timeout": CONNECT_SECONDS, "options": f"-c lock_timeout={_LOCK_SECONDS * 1000}"}
    database = sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True, connect_args=options)

    def once() -> Delivered:
        with connected(database.connect, (sa.exc.OperationalError,)) as connection, connection.begin():
            return _Writer(connection, tables, schema, engine).write(replace=replace, again=again)

    with _faults(schema, url):
        try:
            return once()
        except sa.exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return once()


class _Writer:
    """One transaction."""

    def __init__(self, connection: Any, tables: DatabaseTables, schema: str, engine: Engine) -> None:
        self.connection, self.tables, self.schema, self.engine = connection, tables, schema, engine
        self.cursor: Any = connection.connection.cursor()

    def write(self, *, replace: bool, again: bool) -> Delivered:
        """See `write_database`."""
        self.run("SET LOCAL client_encoding TO 'UTF8'; SET LOCAL standard_conforming_strings TO on")
        self.run("SELECT pg_advisory_xact_lock(%s)", (_lock_key(self.schema),))
        self.make_schema()
        found = {name: self.found(name) for name in self.tables.order}
        self.refuse_strangers(found, replace=replace)
        if not again and all(m is not None and m.get("content") == self.tables.content for m in found.values()):
            rows = {name: self.count(name) for name in found}
            if rows == {name: (found[name] or {})["rows"] for name in found}:
                return Delivered(rows, unchanged=True)
        refill = all(self.same_columns(name, mark) for name, mark in found.items())
        for name in reversed(self.tables.order):
            self.run(f"DELETE FROM {self.name(name)}" if refill else f"DROP TABLE IF EXISTS {self.name(name)}")
        rows = {}
        for name in self.tables.order:
            if not refill:
                self.run(f"CREATE TABLE {self.name(name)} ({', '.join(self.columns(name))})")
            rows[name] = self.copy(name)
        for name in self.tables.order:
            if not refill:
                for clause in self.references(name):
                    self.run(f"ALTER TABLE {self.name(name)} ADD {clause}")
            self.comment(name, rows[name])
        return Delivered(rows, unchanged=False)

    def run(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """One statement of the driver; identifiers in it are quoted by us."""
        return self.connection.exec_driver_sql(statement if values else statement.replace("%", "%%"), tuple(values))

    def name(self, table: str) -> str:
        """Schema and table, quoted."""
        return f"{_quoted(self.schema)}.{_quoted(table)}"

    def make_schema(self) -> None:
        """The schema, where there is none: the right to make one is not needed otherwise."""
        if self.run("SELECT 1 FROM pg_namespace WHERE nspname = %s", (self.schema,)).scalar() is None:
            self.run(f"CREATE SCHEMA {_quoted(self.schema)}")

    def found(self, table: str) -> dict[str, Any] | None:
        """Our mark on a table; {} where it has none, None where there is no such table."""
        query = (
            "SELECT c.relkind::text, obj_description(c.oid, 'pg_class') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s AND c.relname = %s"
        )
        row = self.run(query, (self.schema, table)).first()
        if row is None:
            return None
        if row[0] != "r":
            raise InputError(
                "the database has something else of this name, such as a view.",
                key=f"{self.schema}.{table}",
                remedy="Deliver into another schema (`schema_name`).",
            )
        try:
            mark = json.loads(row[1] or "")[MARK]
        except (ValueError, KeyError, TypeError):
            return {}
        return dict(mark) if isinstance(mark, dict) else {}

    def refuse_strangers(self, found: Mapping[str, dict[str, Any] | None], *, replace: bool) -> None:
        """Tables with rows that another dataset, or somebody else, has written."""
        for table, mark in found.items():
            ours = mark is None or mark.get("dataset") == self.tables.provenance["dataset"]
            if not ours and not replace and self.run(f"SELECT 1 FROM {self.name(table)} LIMIT 1").first() is not None:
                raise InputError(
                    "the database has a table of this name with rows that this dataset did not write; nothing was changed.",
                    key=f"{self.schema}.{table}",
                    remedy="Deliver into another schema (`schema_name`), or say `replace: true`.",
                )

    def same_columns(self, table: str, mark: Mapping[str, Any] | None) -> bool:
        """Whether a table can be refilled: the columns are those that would be made, and so were its keys."""
        if mark is None or mark.get("structure") != self.structure(table):
            return False
        query = (
            "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
            "WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        )
        there = [tuple(row) for row in self.run(query, (self.name(table),))]
        return there == [(c.name, _type(c)) for c in self.tables.schemas[table].columns]

    def structure(self, table: str) -> str:
        """Hash of columns and keys."""
        made = [*self.columns(table), *self.references(table)]
        return hashlib.sha256(json.dumps(made).encode()).hexdigest()[:32]

    def columns(self, table: str) -> list[str]:
        """Columns and primary key, as CREATE TABLE takes them."""
        schema = self.tables.schemas[table]
        made = [f"{_quoted(c.name)} {_type(c)}" for c in schema.columns]
        if schema.primary_key and set(schema.primary_key) <= set(schema.names):
            made.append(f"PRIMARY KEY ({', '.join(map(_quoted, schema.primary_key))})")
        return made

    def references(self, table: str) -> list[str]:
        """Foreign keys to the primary keys of tables that are delivered too."""
        schema, made = self.tables.schemas[table], []
        for key in schema.foreign_keys:
            parent = self.tables.schemas.get(key.parent_table)
            if parent is None or parent.primary_key != key.parent_columns or not set(key.columns) <= set(schema.names):
                continue
            here, there = (", ".join(map(_quoted, names)) for names in (key.columns, key.parent_columns))
            made.append(f"FOREIGN KEY ({here}) REFERENCES {self.name(key.parent_table)} ({there})")
        return made

    def copy(self, table: str) -> int:
        """Send the rows."""
        schema = self.tables.schemas[table]
        names = ", ".join(map(_quoted, schema.names))
        with self.engine.files_session() as session:
            shown = spelled(session.parquet(self.tables.paths[table]), schema)
            stream = _Stream(_lines(session.batches(shown, _BATCH_ROWS)))
            self.cursor.copy_expert(f"COPY {self.name(table)} ({names}) FROM STDIN WITH (FORMAT csv)", stream)
        return int(self.cursor.rowcount)

    def count(self, table: str) -> int:
        """Rows that are there."""
        return int(self.run(f"SELECT count(*) FROM {self.name(table)}").scalar())

    def comment(self, table: str, rows: int) -> None:
        """Mark the table: whose it is, and that it is synthetic."""
        mark = {
            **self.tables.provenance,
            "table": table,
            "rows": rows,
            "content": self.tables.content,
            "structure": self.structure(table),
        }
        text = json.dumps({MARK: mark}, sort_keys=True).replace("'", "''")
        self.run(f"COMMENT ON TABLE {self.name(table)} IS '{text}'")


class _Stream(io.RawIOBase):
    """What COPY reads: pieces of bytes, one after the other."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces, self.rest = pieces, b""

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; b"" at the end."""
        if not self.rest:
            self.rest = next(self.pieces, b"")
        piece, self.rest = (self.rest, b"") if size < 0 else (self.rest[:size], self.rest[size:])
        return piece


def _lines(batches: Iterator[Any]) -> Iterator[bytes]:
    """CSV: every text in quotes, so that nothing of it is a sign of COPY; what is missing is empty and unquoted."""
    from pyarrow import BufferOutputStream
    from pyarrow.csv import WriteOptions, write_csv

    for batch in batches:
        out = BufferOutputStream()
        write_csv(batch, out, WriteOptions(include_header=False))
        if piece := out.getvalue().to_pybytes():
            yield piece


def _type(column: ColumnSchema) -> str:
    """Numbers that the source shows with decimals stay exact decimals."""
    return "numeric" if column.dtype == "double" and column.decimals else _TYPES[column.dtype]


def _check_names(tables: DatabaseTables, schema: str) -> None:
    names = [("schema", schema)]
    for table, described in tables.schemas.items():
        if len(described.columns) > _MOST_COLUMNS:
            raise InputError(f"a table of PostgreSQL has at most {_MOST_COLUMNS} columns.", key=table)
        names += [("table", table), *(("column", column) for column in described.names)]
    for kind, name in names:
        if len(name.encode()) > _MOST_BYTES or "\x00" in name or not name:
            raise InputError(
                f"PostgreSQL would cut this name of a {kind}: it takes {_MOST_BYTES} bytes.",
                key=name,
                remedy="Shorten it.",
            )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _lock_key(schema: str) -> int:
    digest = hashlib.sha256(f"{MARK} delivery\x1f{schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@contextmanager
def _faults(schema: str, url: URL) -> Iterator[None]:
    """The driver's own texts quote values; SQLSTATE does not."""
    import psycopg2
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        raise _meaning(
            error, getattr(error.orig, "pgcode", None), schema, url, broken=error.connection_invalidated
        ) from None
    except psycopg2.Error as error:  # COPY goes to the driver directly
        raise _meaning(error, error.pgcode, schema, url, broken=False) from None


def _meaning(error: Exception, state: str | None, schema: str, url: URL, *, broken: bool) -> SynthAssetsError:
    key = f"schema {schema}"
    if state is None or broken or state[:2] in {"08", "57", "53", "58", "28", "3D"}:
        why = refusal(error, url, names=False)
        return ServiceUnavailableError(
            f"the target server {why.what}; the database is as before.",
            key=key,
            remedy=f"{why.remedy} The URL is in the variable that `database` names.",
        )
    if state in {"55P03", "40001", "40P01"}:
        return ServiceUnavailableError(
            f"somebody else holds the tables of the target database (SQLSTATE {state}); it is as before.",
            key=key,
            remedy="Run again when long queries on them have ended.",
        )
    if state == "42501":
        return ConfigError(
            "the login of the target database may not do this.",
            key=key,
            remedy="Let it make and own the tables of this schema (GRANT USAGE, CREATE ON SCHEMA).",
        )
    told = {
        "2BP01": "something in the database, such as a view, depends on a table whose columns have changed",
        "23503": "rows of the database refer to rows that would go, or rows to be written to none",
        "23505": "two rows have the same primary key",
        "23502": "a primary key is missing in a row",
        "22021": "a text has a sign that PostgreSQL cannot hold",
    }
    what = told.get(state, "the target database refuses the tables")
    return InputError(f"{what} (SQLSTATE {state}); the database is as before.", key=key)
