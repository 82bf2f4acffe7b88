"""The engine on Apache Spark: the same Ibis expressions on a cluster, by configuration. Imported only where `engine: spark` is set.

What belongs here: the connection, reading and writing canonical Parquet, temporary tables, functions over Arrow arrays. What does not:
how an operation reads in Spark SQL (spark_dialect.py). Driver and workers see one file system: paths are the same on all of them.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.pyspark import Backend
from ibis.backends.pyspark.datatypes import PySparkType
from ibis.expr import operations as ops
from ibis.expr.operations.udf import InputType
from ibis.formats.pandas import PandasData
from pyspark.logger import PySparkLogger
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  as its documentation has it

from synth_assets.errors import ConfigError, InputError, ServiceUnavailableError
from synth_assets.storage import atomic
from synth_assets.storage.rooms import temporary
from synth_assets.tables.engine import Session, SparkOptions, deep_expressions, parquet_files
from synth_assets.tables.spark_dialect import DOUBLE_TEXT, VARIABLES, SparkCompiler
from synth_assets.tables.spark_sql import spark_sql
from synth_assets.tables.spark_worker import BatchCall, shortest_text, worker_version

_FIXED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.pyspark.fallback.enabled": "false",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.sql.crossJoin.enabled": "true",
}
_START = {
    "spark.ui.showConsoleProgress": "false",
    "spark.submit.deployMode": "client",
    "spark.log.level": "OFF",  # failed tasks are logged with texts that quote cells, and Dagster keeps what this process logs
    "spark.io.encryption.enabled": "true",  # spilled and shuffled rows hold raw values
}
_ENCRYPTED = ("spark.network.crypto.enabled", "spark.ssl.rpc.enabled")
_lock = threading.Lock()
_tried: set[str] = set()  # Spark applications of this process whose network and workers were looked at
_OPTIONS = ibis.pyspark  # ibis knows its options of Spark once this name was asked for


def connect(options: SparkOptions) -> SparkSession:
    """The Spark session of this process; started by the first call, which takes some seconds.

    Raises:
        ServiceUnavailableError: Spark does not start, or its workers cannot run the functions; its own text is withheld.
        ConfigError: rows and keys would cross a network, and nothing says whether it is encrypted.
    """
    settings = {"spark.app.name": "synth_assets", **_START, **dict(options.conf)}
    os.environ.setdefault("PYSPARK_PYTHON", settings.get("spark.pyspark.python", sys.executable))
    _silence()
    with _lock:
        builder = SparkSession.builder.master(options.master)
        for key, value in settings.items():
            builder = builder.config(key, value)
        try:
            session = builder.getOrCreate()
        except Exception as error:  # noqa: BLE001  Py4J and Spark raise many kinds
            raise ServiceUnavailableError(
                f"Spark does not start ({type(error).__name__}).",
                key="SYNTH_ASSETS_SPARK_MASTER",
                remedy="Check the address of the master, that Java 17 is installed here, and the entries of SYNTH_ASSETS_SPARK_CONF.",
            ) from None
        if session.sparkContext.applicationId not in _tried:
            _refuse_open_network(options.master, dict(session.sparkContext.getConf().getAll()))
            _try_worker(session)
            _tried.add(session.sparkContext.applicationId)
            atexit.register(_stop, session)
        return session


def _stop(session: SparkSession) -> None:
    """Let the cluster go at the end of this process; without it Java ends in the middle of its work, and says so."""
    with suppress(Exception):  # stopped already, or the cluster is gone
        session.stop()


def _silence() -> None:
    """Two logs of PySpark here: commands to Java, which hold pickled functions with their keys, and texts of failed queries."""
    logging.getLogger("py4j").setLevel(logging.INFO)
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True


def _refuse_open_network(master: str, conf: Mapping[str, str]) -> None:
    """Raw rows and pickled keys go to the workers: somebody has to have said how the network is protected."""
    if master.startswith("local") or any(conf.get(key) == "true" for key in _ENCRYPTED) or _ENCRYPTED[0] in conf:
        return
    raise ConfigError(
        "raw values and keys would travel to the workers without encryption.",
        key="SYNTH_ASSETS_SPARK_CONF",
        remedy=f"Set spark.authenticate=true and {_ENCRYPTED[0]}=true (or {_ENCRYPTED[1]}=true), or {_ENCRYPTED[0]}=false where the "
        "network itself is encrypted.",
    )


def _try_worker(session: SparkSession) -> None:
    """Whether a worker's Python can run what this process gives it: the same release of this package, and Arrow.

    Raises:
        ServiceUnavailableError: it cannot.
    """
    try:
        found = session.range(1).mapInArrow(worker_version, "version string").toArrow()["version"][0].as_py()
    except Exception as error:  # noqa: BLE001  the workers' own text
        raise ServiceUnavailableError(
            f"the Python of Spark's workers does not run functions of synth_assets ({type(error).__name__}).",
            key="spark.pyspark.python",
            remedy="Install this release with pyarrow in a Python 3.11 on every worker, and name it in SYNTH_ASSETS_SPARK_CONF.",
        ) from None
    if found != version("synth-assets"):
        raise ServiceUnavailableError(
            f"Spark's workers have synth_assets {found}, and this process has {version('synth-assets')}.",
            key="spark.pyspark.python",
            remedy="Install the same release on all of them.",
        )


@contextmanager
def spark_session(options: SparkOptions) -> Iterator[SparkEngineSession]:
    """A session of its own on the process's Spark: its views, functions and cached tables end with it."""
    own = connect(options).newSession()
    for key, value in _FIXED.items():
        own.conf.set(key, value)
    backend = SparkBackend()
    backend.do_connect(own)
    own.udf.register(DOUBLE_TEXT, _arrow_function(shortest_text, "string"))
    session = SparkEngineSession(backend, own, options.folder)
    try:
        yield session
    finally:
        session.close()


def _arrow_function(batch: Callable[..., Any], result: Any) -> Any:
    """A function over Arrow arrays, for Spark, which would else read its kind from annotations."""
    call, arrow_udf = BatchCall(batch), F.arrow_udf
    return arrow_udf(lambda *columns: call(*columns), result)  # noqa: PLW0108  no annotations


class SparkBackend(Backend):  # type: ignore[misc]  # ibis has no types
    """Ibis on Spark with the results of DuckDB, and Arrow on the way out."""

    compiler = SparkCompiler()

    def to_pyarrow(self, expr: ir.Expr, /, *, params: Any = None, limit: Any = None, **_: Any) -> Any:
        """The result in Arrow, without pandas between, so that null and NaN stay two things."""
        table = expr.as_table()
        self._run_pre_execute_hooks(table)
        with deep_expressions():
            sql = self.compile(table, params=params, limit=limit)
        made = self._session.sql(sql).toArrow()
        wanted = table.schema().to_pyarrow()
        columns = [_typed(made.column(i), field.type) for i, field in enumerate(wanted)]
        return expr.__pyarrow_result__(pa.table(columns, names=wanted.names))

    def execute(self, expr: ir.Expr, /, *, params: Any = None, limit: Any = None, **_: Any) -> Any:
        """The result in pandas."""
        table = expr.as_table()
        frame = self.to_pyarrow(table, params=params, limit=limit).to_pandas()
        return expr.__pandas_result__(PandasData.convert_table(frame, table.schema()))

    def _register_in_memory_table(self, op: ops.InMemoryTable) -> None:
        self._session.createDataFrame(op.data.to_pyarrow(op.schema)).createOrReplaceTempView(op.name)

    def _register_udfs(self, expr: ir.Expr) -> None:
        """Functions over Arrow arrays run in the workers' Python, a batch at a time; ibis would call them once per row."""
        for function in expr.op().find(ops.ScalarUDF):
            if function.__input_type__ == InputType.PYARROW:
                name, result = self.compiler.__sql_name__(function), PySparkType.from_ibis(function.dtype)
                self._session.udf.register(name, _arrow_function(function.__func__, result))


def _typed(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """The type that ibis expects; seconds since 1970 keep their fraction, although ibis calls them whole."""
    fraction = pa.types.is_floating(column.type) and pa.types.is_integer(wanted)
    return column if fraction else column.cast(wanted)


class SparkEngineSession(Session):
    """See `Session`. Tables that are held are cached on the workers, in memory and on their disks."""

    name = "spark"

    def __init__(self, backend: SparkBackend, spark: SparkSession, folder: Path | None) -> None:
        self._backend, self._spark, self._folder = backend, spark, folder
        self._kept: dict[str, DataFrame] = {}

    def close(self) -> None:
        """Let go of all tables that were kept."""
        for name in list(self._kept):
            self._drop(name)

    def parquet(self, path: Path | Sequence[Path]) -> ir.Table:
        """See `Session.parquet`."""
        return self._view(self._read(parquet_files(path)))

    def numbered(self, path: Path | Sequence[Path], name: str) -> ir.Table:
        """See `Session.numbered`: the rows of the files before, from their footers, and the row's place in its own file."""
        files = parquet_files(path)
        frame = self._read(files)
        before = np.cumsum([0, *(pq.read_metadata(f).num_rows for f in files)]).tolist()
        place = F.col("_metadata.row_index")
        if len(files) > 1:
            starts = [F.lit(x) for f, n in zip(files, before, strict=False) for x in (f.name, n)]
            place = place + F.create_map(*starts)[F.col("_metadata.file_name")]
        return self._view(frame.select("*", place.cast("long").alias(name)))

    def reorders(self, path: Path | Sequence[Path]) -> bool:
        """See `Session.reorders`: Spark reads the largest files first."""
        return len(parquet_files(path)) > 1

    def _add_function(
        self, name: str, batch: Callable[..., pa.Array], arguments: Sequence[dt.DataType], returns: dt.DataType
    ) -> None:
        del arguments  # Spark takes the types of the columns
        self._spark.udf.register(name, _arrow_function(batch, PySparkType.from_ibis(returns)))

    def thin(self, table: ir.Table, step: int) -> ir.Table:
        """See `Session.thin`: without numbers from a window, which would bring all rows to one worker."""
        number = F.monotonically_increasing_id()
        return self._view(self._frame(table).filter(number % step == 0))

    def keep(self, table: ir.Table) -> ir.Table:
        """See `Session.keep`."""
        return self._backend.table(self._store(table))

    @contextmanager
    def held(self, table: ir.Table) -> Iterator[ir.Table]:
        """See `Session.held`."""
        name = self._store(table)
        try:
            yield self._backend.table(name)
        finally:
            self._drop(name)

    def bind(self, value: str | Sequence[str]) -> str:
        """See `Session.bind`: a text in a view of one row, which no plan shows; a list, which is no secret, as a variable."""
        name = uuid.uuid4().hex[:12]
        text = isinstance(value, str)
        cell = pa.array([value if text else list(value)], pa.string() if text else pa.list_(pa.string()))
        self._spark.createDataFrame(pa.table({"v": cell})).createOrReplaceTempView(VARIABLES + name)
        if not text:
            self._spark.sql(f"DECLARE VARIABLE {VARIABLES}{name} ARRAY<STRING>")
            self._spark.sql(f"SET VARIABLE {VARIABLES}{name} = (SELECT v FROM {VARIABLES}{name})")
        return name

    def batches(self, table: ir.Table, rows: int) -> Iterator[pa.Table]:
        """See `Session.batches`: the driver holds one partition at a time."""
        schema = table.schema().to_pyarrow()
        found = self._frame(table).toLocalIterator()
        while some := list(islice(found, rows)):
            columns = [[row[i] for row in some] for i in range(len(schema))]
            yield pa.table(columns, schema=schema)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """See `Session.scratch`."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with temporary(self._folder) as folder:
            yield folder

    def register(self, name: str, table: pa.Table) -> None:
        """See `Session.register`."""
        fields = [f.with_type(pa.int64()) if pa.types.is_unsigned_integer(f.type) else f for f in table.schema]
        self._spark.createDataFrame(table.cast(pa.schema(fields))).createOrReplaceTempView(name)

    def make(self, name: str, sql: str, *, view: bool = False) -> None:
        """See `Session.make`."""
        frame = self._spark.sql(spark_sql(sql))
        if view:
            frame.createOrReplaceTempView(name)
        else:
            self._settle(name, frame)

    def fetch(self, sql: str) -> Mapping[str, np.ndarray]:
        """See `Session.fetch`."""
        found = self._spark.sql(spark_sql(sql)).toArrow()
        return {name: found[name].to_numpy() for name in found.column_names}

    def arrow(self, expression: ir.Expr) -> Any:
        """See `Session.arrow`."""
        return self._backend.to_pyarrow(expression)

    def spread(self, work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """What a function gives for each of some items, in their order: one task for each."""
        found: list[Any] = self._spark.sparkContext.parallelize(items, max(len(items), 1)).map(work).collect()
        return found

    def write(self, table: ir.Table, path: Path) -> None:
        """See `Session.write`: workers write parts, which get their names at the end; one file is put together on the driver."""
        with atomic.staging_folder(path.parent) as staging:
            shared = staging / "parts"
            with deep_expressions():
                self._frame(table).write.parquet(str(shared))
            parts = sorted(shared.glob("part-*.parquet"))
            if path.suffix == ".parquet":
                _into_one(parts, path)
            else:
                _into_folder(parts, path)

    def _read(self, files: Sequence[Path]) -> DataFrame:
        return self._spark.read.parquet(*(str(f) for f in files))

    def _view(self, frame: DataFrame) -> ir.Table:
        name = f"read_{uuid.uuid4().hex[:12]}"
        frame.createOrReplaceTempView(name)
        return self._backend.table(name)

    def _frame(self, table: ir.Table) -> DataFrame:
        self._backend._run_pre_execute_hooks(table)  # noqa: SLF001  as ibis' own writers do
        with deep_expressions():
            return self._spark.sql(self._backend.compile(table))

    def _store(self, table: ir.Table) -> str:
        name = f"kept_{uuid.uuid4().hex[:12]}"
        self._settle(name, self._frame(table))
        return name

    def _settle(self, name: str, frame: DataFrame) -> None:
        """Compute a table now and cut its history off, so that the plans of later queries stay small."""
        self._kept[name] = frame.localCheckpoint(eager=True)
        self._kept[name].createOrReplaceTempView(name)

    def _drop(self, name: str) -> None:
        """Forget a table; its blocks go when nothing refers to them."""
        del self._kept[name]
        with suppress(Exception):  # the cluster may be gone
            self._spark.catalog.dropTempView(name)


def _into_folder(parts: Sequence[Path], folder: Path) -> None:
    """Rename parts in their order to `part-00000.parquet` and so on; a part without rows only where it is the only one."""
    filled = [p for p in parts if pq.read_metadata(p).num_rows] or list(parts[:1])
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("part-*.parquet")):
        raise InputError("the folder already holds a table.", file=str(folder))
    for number, part in enumerate(filled):
        _move(part, folder / f"part-{number:05d}.parquet")
    atomic.fsync_folder(folder)


def _into_one(parts: Sequence[Path], path: Path) -> None:
    """One file from parts in their order, one row group at a time."""
    if len(parts) == 1:
        _move(parts[0], path)
        atomic.fsync_folder(path.parent)
        return
    schema = pq.read_schema(parts[0]).remove_metadata()
    with atomic.replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for part in parts:
            with pq.ParquetFile(part) as source:
                for group in range(source.num_row_groups):
                    writer.write_table(source.read_row_group(group).replace_schema_metadata(None))


def _move(part: Path, path: Path) -> None:
    part.chmod(0o600)
    with part.open("rb") as handle:
        os.fsync(handle.fileno())
    shutil.move(part, path)
