"""The engine: Ibis over embedded DuckDB, out of core, with a memory limit; or over Spark, by configuration (engine_spark.py).

The only place that opens a connection. Everything else writes Ibis expressions over tables that `Session.parquet` gives. DuckDB 2.0
with ibis 12.0: `con.sql` and `to_pyarrow_batches` do not work (renamed methods); `read_parquet`, `to_pyarrow` and `execute` do.
"""

from __future__ import annotations

import inspect
import os
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from synth_assets.config.runtime import Settings
from synth_assets.config.stores import protection_of
from synth_assets.errors import ConfigError, InputError
from synth_assets.storage import atomic
from synth_assets.storage.rooms import temporary

ROW_GROUP_ROWS = 122_880
RECURSION_LIMIT = 20_000


@dataclass(frozen=True)
class SparkOptions:
    """Which cluster.

    Args:
        master: Address of the master, such as "spark://host:7077", "yarn" or "k8s://https://host:443".
        conf: Entries of Spark's configuration.
        folder: Where steps put small tables for the workers; all of them see it. The temporary folder when None.
    """

    master: str
    conf: tuple[tuple[str, str], ...] = ()
    folder: Path | None = None


@dataclass(frozen=True)
class Engine:
    """How to connect.

    Args:
        memory_limit: DuckDB's limit, such as "2GB"; beyond it operators spill to disk.
        threads: Worker threads of DuckDB; None means all cores.
        spill_folder: Where they spill; a private temporary folder when None.
        spark: The cluster that expressions run on; None: DuckDB, in this process.
    """

    memory_limit: str = "2GB"
    threads: int | None = None
    spill_folder: Path | None = None
    spark: SparkOptions | None = None

    @property
    def name(self) -> Literal["duckdb", "spark"]:
        """Which engine it is."""
        return "duckdb" if self.spark is None else "spark"

    @property
    def embedded(self) -> Engine:
        """DuckDB in this process, for steps that are about one file of another format and not about rows in bulk."""
        return replace(self, spark=None)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One connection for one step; closed at the end, its temporary tables and spill files removed.

        Raises:
            ConfigError: Spark is asked for and not installed.
            ServiceUnavailableError: Spark does not start.
        """
        opened: AbstractContextManager[Session] = (
            self.files_session() if self.spark is None else _open_spark(self.spark)
        )
        with opened as session:
            yield session

    @contextmanager
    def files_session(self) -> Iterator[DuckSession]:
        """DuckDB in this process, whichever engine runs the tables: source files of any format are read by it."""
        with temporary(self.spill_folder) as spill:
            backend = ibis.duckdb.connect(
                ":memory:",
                threads=self.threads or os.cpu_count() or 1,
                memory_limit=self.memory_limit,
                temp_directory=str(spill),
                preserve_insertion_order=True,
            )
            backend.raw_sql("SET enable_progress_bar = false")
            backend.raw_sql("SET autoinstall_known_extensions = false")
            try:
                yield DuckSession(backend, self.spill_folder)
            finally:
                backend.disconnect()


def _open_spark(options: SparkOptions) -> AbstractContextManager[Session]:
    try:
        from synth_assets.tables.engine_spark import spark_session
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {"pyspark", "py4j"}:
            raise
        raise ConfigError(
            "the engine is spark, and PySpark is not installed.",
            key="SYNTH_ASSETS_ENGINE",
            remedy="Install the extra: pip install 'synth-assets[spark]'.",
        ) from None
    return spark_session(options)


def engine_of(settings: Settings) -> Engine:
    """The engine that an installation's settings name."""
    private = protection_of(settings).spill()
    spark = None
    if settings.engine == "spark" and settings.spark_master is not None:
        spark = SparkOptions(settings.spark_master, settings.spark_conf, private)
    return Engine(memory_limit=settings.memory_limit, threads=settings.threads, spill_folder=private, spark=spark)


class Session(ABC):
    """An open connection: read Parquet as Ibis tables, run expressions, write Parquet."""

    name: ClassVar[Literal["duckdb", "spark"]]

    @abstractmethod
    def parquet(self, path: Path | Sequence[Path]) -> ir.Table:
        """An Ibis table over a Parquet file, a folder of `part-*.parquet`, or a list of files.

        Raises:
            InputError: the folder holds no Parquet file.
        """

    @abstractmethod
    def numbered(self, path: Path | Sequence[Path], name: str) -> ir.Table:
        """The same with a column of row numbers, from 0, in the order of the files and of the rows in them."""

    @abstractmethod
    def reorders(self, path: Path | Sequence[Path]) -> bool:
        """Whether a query without an order may give the rows of this table in another one than they are stored in."""

    def function(
        self, batch: Callable[..., pa.Array], arguments: Sequence[str], returns: str
    ) -> Callable[..., ir.Value]:
        """Give the engine a function over Arrow arrays, for what is quicker in numpy than as an expression.

        Args:
            batch: One array (or chunked array) per argument, all of one length, nulls included -> an array of that length. It may hold
                keys: it stands in no query text. DuckDB calls it in this process; Spark's workers get it pickled, so it is an
                object of an importable class or a function of a module.
            arguments: Ibis types of the arguments, such as "string" or "array<string>".
            returns: Ibis type of the result.

        Returns:
            What builds the expression, with one argument per type; of use in this session only.
        """
        name = f"batch_{uuid.uuid4().hex[:12]}"
        types = [dt.dtype(t) for t in (*arguments, returns)]
        self._add_function(name, batch, types[:-1], types[-1])

        def face(*_: ir.Value) -> None: ...

        places = [inspect.Parameter(f"a{i}", inspect.Parameter.POSITIONAL_OR_KEYWORD) for i in range(len(arguments))]
        face.__signature__ = inspect.Signature(places)  # type: ignore[attr-defined]
        made: Callable[..., ir.Value] = ibis.udf.scalar.builtin(
            face, name=name, signature=(tuple(types[:-1]), types[-1])
        )
        return made

    @abstractmethod
    def _add_function(
        self, name: str, batch: Callable[..., pa.Array], arguments: Sequence[dt.DataType], returns: dt.DataType
    ) -> None:
        """Make a function known to the engine by a name."""

    @abstractmethod
    def thin(self, table: ir.Table, step: int) -> ir.Table:
        """About one row of `step`, spread over the whole table: every n-th in DuckDB, every n-th of each part of the work in Spark."""

    @abstractmethod
    def keep(self, table: ir.Table) -> ir.Table:
        """Compute an expression once, for several queries; it lives in the engine (spilling to disk) until the session ends."""

    @abstractmethod
    def held(self, table: ir.Table) -> AbstractContextManager[ir.Table]:
        """The same until the block ends."""

    @abstractmethod
    def bind(self, value: str | Sequence[str]) -> str:
        """Give a text, or a list of texts, to the session; its name for `getvariable`. It stands in no query text.

        The name holds for the session and says nothing about the value.
        """

    @abstractmethod
    def batches(self, table: ir.Table, rows: int) -> Iterator[pa.Table]:
        """The rows of an expression, some at a time, in any order; neither this process nor a disk outside the engine holds all.

        Args:
            table: The expression, computed once.
            rows: At most as many in one batch.
        """

    @abstractmethod
    def scratch(self) -> AbstractContextManager[Path]:
        """A private folder that the engine can read wherever it runs; removed when the block ends."""

    @abstractmethod
    def register(self, name: str, table: pa.Table) -> None:
        """Give the session a small table, for `make` and `fetch`."""

    @abstractmethod
    def make(self, name: str, sql: str, *, view: bool = False) -> None:
        """Create a temporary table (or view) from a query in the SQL of `tables.engine_rows`."""

    @abstractmethod
    def fetch(self, sql: str) -> Mapping[str, np.ndarray]:
        """The columns of a small result of such a query."""

    @abstractmethod
    def write(self, table: ir.Table, path: Path) -> None:
        """Write an expression as canonical Parquet (zstd), in bounded memory.

        Args:
            table: The expression; rows are written in its order.
            path: A name that ends in `.parquet`: one file, atomically. Else a folder, which gets `part-*.parquet`: one from DuckDB,
                one per task from Spark. A folder is made visible part by part, so it belongs to the caller until this returns.
        """

    def arrow(self, expression: ir.Expr) -> Any:
        """The result of an expression: an Arrow table, column or scalar."""
        return expression.to_pyarrow()


class DuckSession(Session):
    """DuckDB in this process."""

    name = "duckdb"

    def __init__(self, backend: Any, folder: Path | None = None) -> None:
        self.backend, self._folder = backend, folder

    def parquet(self, path: Path | Sequence[Path]) -> ir.Table:
        """See `Session.parquet`."""
        return self.backend.read_parquet([str(f) for f in parquet_files(path)])

    def numbered(self, path: Path | Sequence[Path], name: str) -> ir.Table:
        """See `Session.numbered`: DuckDB keeps the order of files and rows."""
        return self.parquet(path).mutate(**{name: ibis.row_number()})

    def reorders(self, path: Path | Sequence[Path]) -> bool:
        """See `Session.reorders`."""
        del path
        return False

    def _add_function(
        self, name: str, batch: Callable[..., pa.Array], arguments: Sequence[dt.DataType], returns: dt.DataType
    ) -> None:
        *sql, result = [self.backend.compiler.type_mapper.to_string(t) for t in (*arguments, returns)]
        self.backend.con.create_function(name, batch, sql, result, type="arrow", null_handling="special")

    def thin(self, table: ir.Table, step: int) -> ir.Table:
        """See `Session.thin`."""
        number = "\x1fnumber"
        numbered = table.mutate(**{number: ibis.row_number()})
        return numbered.filter(numbered[number] % step == 0).drop(number)

    def keep(self, table: ir.Table) -> ir.Table:
        """See `Session.keep`.

        Ibis' own `cache()` cannot drop its tables here: with sqlglot 30 its DROP statement has no name.
        """
        return self.backend.table(self._store(table), database=("temp", "main"))

    def _store(self, table: ir.Table) -> str:
        name = f"kept_{uuid.uuid4().hex[:12]}"
        with deep_expressions():
            sql = self.backend.compile(table)
        self.backend.raw_sql(f"CREATE TEMP TABLE {name} AS {sql}").fetchall()
        return name

    @contextmanager
    def held(self, table: ir.Table) -> Iterator[ir.Table]:
        """See `Session.held`."""
        name = self._store(table)
        try:
            yield self.backend.table(name, database=("temp", "main"))
        finally:
            self.backend.raw_sql(f"DROP TABLE temp.main.{name}").fetchall()

    def bind(self, value: str | Sequence[str]) -> str:
        """See `Session.bind`."""
        name = f"bound_{uuid.uuid4().hex[:12]}"
        texts = [value] if isinstance(value, str) else list(value)
        quoted = ", ".join("'" + v.replace("'", "''") + "'" for v in texts)
        self.backend.raw_sql(f"SET VARIABLE {name} = {quoted if isinstance(value, str) else f'[{quoted}]'}")
        return name

    def batches(self, table: ir.Table, rows: int) -> Iterator[pa.Table]:
        """See `Session.batches`."""
        number = "\x1fnumber"
        with self.held(table.mutate(**{number: ibis.row_number()})) as held:
            for start in range(0, int(held.count().execute()), rows):
                yield held.filter(held[number].between(start, start + rows - 1)).drop(number).to_pyarrow()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """See `Session.scratch`."""
        with temporary(self._folder) as folder:
            yield folder

    def register(self, name: str, table: pa.Table) -> None:
        """See `Session.register`."""
        self.backend.con.register(f"{name}_arrow", table)
        self.backend.raw_sql(f"CREATE TEMP TABLE {name} AS SELECT * FROM {name}_arrow")
        self.backend.con.unregister(f"{name}_arrow")

    def make(self, name: str, sql: str, *, view: bool = False) -> None:
        """See `Session.make`."""
        self.backend.raw_sql(f"CREATE TEMP {'VIEW' if view else 'TABLE'} {name} AS {sql}")

    def fetch(self, sql: str) -> Mapping[str, np.ndarray]:
        """See `Session.fetch`."""
        found: dict[str, np.ndarray] = self.backend.raw_sql(sql).fetchnumpy()
        return found

    def write(self, table: ir.Table, path: Path) -> None:
        """See `Session.write`."""
        file = path if path.suffix == ".parquet" else path / "part-00000.parquet"
        self._copy(
            table, file, f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {ROW_GROUP_ROWS}"
        )

    def write_csv(self, table: ir.Table, path: Path, *, delimiter: str = ",") -> None:
        """Write an expression to one CSV file with a header (RFC 4180; missing is the empty cell), atomically.

        In a table of one column every cell is quoted, the missing one as "", since readers leave out empty lines.
        """
        options = f"FORMAT csv, HEADER true, DELIMITER '{delimiter}', NULLSTR ''"
        if len(table.columns) == 1:
            (name,) = table.columns
            table = table.select(table[name].cast("string").fill_null("").name(name))
            options += ", FORCE_QUOTE *"
        self._copy(table, path, options)

    def write_json_lines(self, table: ir.Table, path: Path) -> None:
        """Write an expression as one JSON object per line, atomically."""
        self._copy(table, path, "FORMAT json")

    def _copy(self, table: ir.Table, path: Path, options: str) -> None:
        with deep_expressions():
            sql = self.backend.compile(table)
        with atomic.replacing(path) as temporary:
            self.backend.raw_sql(f"COPY ({sql}) TO '{_literal(temporary)}' ({options})").fetchall()


def parquet_files(path: Path | Sequence[Path]) -> list[Path]:
    """The Parquet files that a path or several stand for, in order.

    Raises:
        InputError: there is none.
    """
    paths = [path] if isinstance(path, Path) else list(path)
    files = [f for p in paths for f in (sorted(p.glob("part-*.parquet")) if p.is_dir() else [p])]
    if not files:
        raise InputError("no Parquet file in the folder.", file=str(path))
    return files


@contextmanager
def deep_expressions() -> Iterator[None]:
    """Room for the compiler, which descends into an expression by recursion: masking a text nests one call per name it replaces."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, RECURSION_LIMIT))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _literal(path: Path) -> str:
    return str(path).replace("'", "''")
