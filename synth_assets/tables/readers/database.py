"""A SQL query or table by SQLAlchemy URL (SQLite, PostgreSQL) to staged Parquet: read only, streamed, no password in a message."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synth_assets.errors import ConfigError, ServiceUnavailableError, SourceError
from synth_assets.storage.postgres import connected, postgres_url
from synth_assets.storage.postgres_faults import Refusal, refusal
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.readers.naming import shown
from synth_assets.tables.readers.objects import CHUNK_ROWS, RowStager
from synth_assets.tables.readers.staging import Part, Staged

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_DATABASES = frozenset({"postgresql", "postgres", "sqlite"})
_FILE = Refusal("cannot be opened", "Check the file.")


def expand_environment(url: str) -> str:
    """Replace every `${NAME}` of a database URL by the environment variable.

    In the login part the value is the plain user or password, whatever characters it has; elsewhere it is text of the URL.

    Raises:
        ConfigError: a variable is not set; names it.
    """
    head, separator, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    return _expand(head) + separator + _expand(login, as_login=True) + at + _expand(place)


def _expand(text: str, *, as_login: bool = False) -> str:
    from urllib.parse import quote

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in os.environ:
            raise ConfigError(
                f"the environment variable {name} is not set.", key="source.url", remedy=f"Set it: export {name}=..."
            )
        return quote(os.environ[name], safe="") if as_login else os.environ[name]

    return _VARIABLE.sub(value, text)


def check_url(url: str) -> None:
    """Raise where a source's URL cannot be used, without a connection.

    Raises:
        ConfigError: a variable in it is not set, it is malformed, or it leads to another machine without TLS.
    """
    expanded = expand_environment(url)
    if _parsed(expanded).get_backend_name() != "sqlite":
        postgres_url(expanded, "the URL of the source")


def database_label(url: str) -> str:
    """How messages name a database: dialect, host and name; never user, password or options."""
    parsed = _parsed(url)
    host = parsed.host or ""
    return f"{parsed.get_backend_name()}://{host}/{parsed.database or ''}"


def sqlite_file(url: str, base_dir: Path) -> Path | None:
    """The file behind a SQLite URL, absolute; None for other databases."""
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigError("a SQLite URL must name a file.", key="source.url", remedy="Write sqlite:///path/to/file.db.")
    return (base_dir / str(parsed.database)).resolve()


def read_database(
    url: str, *, query: str | None, table: str | None, base_dir: Path, workspace: Path, limits: Limits
) -> Staged:
    """Stage the result of one query, or one table.

    Args:
        url: SQLAlchemy URL; `${NAME}` is taken from the environment.
        query: A query that gives rows; exactly one of `query` and `table`.
        table: A table name, or schema.table.
        base_dir: Relative SQLite paths start here.
        workspace: Private folder for staged files.
        limits: Bounds of one read.

    Raises:
        ConfigError: the URL is malformed, or a variable in it is not set.
        ServiceUnavailableError: the database does not answer or refuses the login.
        SourceError: no such file or table, the query fails, or it gives no rows.
    """
    import sqlalchemy as sa

    url = expand_environment(url)
    label = f"{database_label(url)} ({table})" if table else f"{database_label(url)} (query)"
    with _connection(url, base_dir, label, limits) as connection:
        statement = sa.text(query) if query is not None else _whole_table(connection, str(table), label)
        try:
            names, stager = _stage(connection, statement, workspace, limits, label)
        except SourceError:
            raise
        except (sa.exc.SQLAlchemyError, ValueError, TypeError) as error:
            raise _refused(error, label) from None
    if not stager.rows:
        raise SourceError(
            "the query gives no rows.",
            file=label,
            remedy="An empty table cannot be used; check the query or the table.",
        )
    types = stager.finish()
    facts = {"format": "sql", "database": database_label(url)}
    part = Part(workspace / "query.staged.parquet", label)
    return Staged(tuple(names), types, (part,), facts=facts, decimals=stager.decimals)


def _stage(connection: Any, statement: Any, workspace: Path, limits: Limits, label: str) -> tuple[list[str], RowStager]:
    """Run a statement and stage its rows, chunk by chunk."""
    result = connection.execution_options(stream_results=True).execute(statement)
    if not result.returns_rows:
        raise SourceError("the query gives no rows: it is no SELECT.", file=label, key="source.query")
    names = [str(name) for name in result.keys()]  # noqa: SIM118  a result is no mapping
    if len(names) > limits.columns:
        raise SourceError(f"the query gives {len(names)} columns; at most {limits.columns} are read.", file=label)
    stager = RowStager(names, workspace / "query.staged.parquet", label)
    for chunk in result.partitions(CHUNK_ROWS):
        stager.add(chunk)
    return names, stager


def _parsed(url: str) -> Any:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError(
            "the database URL is malformed.",
            key="source.url",
            remedy="Write postgresql://user:${PASSWORD}@host/name or sqlite:///file.db.",
        ) from None
    if parsed.get_backend_name() not in _DATABASES:
        raise ConfigError("only SQLite and PostgreSQL databases are read.", key="source.url")
    return parsed


@contextmanager
def _connection(url: str, base_dir: Path, label: str, limits: Limits) -> Iterator[Any]:
    """A read-only connection; closed at the end."""
    import sqlalchemy as sa

    file, server = sqlite_file(url, base_dir), None
    if file is not None:
        _require_sqlite(file)
        engine = sa.create_engine(f"sqlite:///file:{_quoted(file)}?mode=ro&uri=true")
    else:
        server = postgres_url(url, "the URL of the source")
        engine = sa.create_engine(
            server,
            hide_parameters=True,
            connect_args={"connect_timeout": max(2, int(limits.timeout_seconds))},
        )
    try:
        try:
            connection = connected(engine.connect, (sa.exc.OperationalError,))
        except (sa.exc.SQLAlchemyError, UnicodeError) as error:
            why = _FILE if server is None else refusal(error, server, names=False)
            raise ServiceUnavailableError(
                f"the database {why.what}.", file=label, key="source.url", remedy=why.remedy
            ) from None
        with connection:
            if file is None:
                connection = connection.execution_options(postgresql_readonly=True)
            yield connection
    finally:
        engine.dispose()


def _quoted(file: Path) -> str:
    from urllib.parse import quote

    return quote(str(file))


def _require_sqlite(file: Path) -> None:
    if not file.is_file():
        raise SourceError("the database file does not exist.", file=str(file), key="source.url")
    with file.open("rb") as handle:
        if handle.read(16) != b"SQLite format 3\x00":
            raise SourceError("the file is no SQLite database.", file=str(file), key="source.url")


def _whole_table(connection: Any, table: str, label: str) -> Any:
    """SELECT * of a table or view that exists, its name quoted."""
    import sqlalchemy as sa

    inspector = sa.inspect(connection)
    schema, dot, name = table.rpartition(".")
    candidates = [(None, table)] + ([(schema, name)] if dot else [])
    for in_schema, plain in candidates:
        known = {*inspector.get_table_names(schema=in_schema), *inspector.get_view_names(schema=in_schema)}
        if plain in known:
            return sa.select(sa.text("*")).select_from(sa.table(plain, schema=in_schema))
    asked = schema if dot and schema in inspector.get_schema_names() else inspector.default_schema_name
    raise SourceError(
        "the database has no such table.", file=label, key="source.table", remedy=_what_there_is(inspector, asked)
    )


def _what_there_is(inspector: Any, schema: str | None) -> str:
    """The tables of a schema; where there are none, what to look at."""
    names = sorted({*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema)})
    if names:
        return f"The tables of its schema {schema} are {shown(names)}."
    if inspector.dialect.name == "sqlite":
        return "It has no tables at all: check that this is the right file."
    return (
        f"Its schema {schema} has none that this user sees: check the name of the database and the user's rights (USAGE of the schema, "
        "SELECT), or name another schema, as in schema.table."
    )


def _refused(error: Exception, label: str) -> SourceError:
    """The database's own text may quote values; its SQLSTATE does not."""
    state = getattr(getattr(error, "orig", None), "pgcode", None)
    code = f", SQLSTATE {state}" if state else ""
    return SourceError(
        f"the database refused the query ({type(error).__name__}{code}).",
        file=label,
        remedy="Run the query by hand to see why.",
    )
