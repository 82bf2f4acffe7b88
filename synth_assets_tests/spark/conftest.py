"""Both engines over the same small tables: DuckDB here, Spark with a driver and two worker processes on this machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.tables.engine import Engine, Session, SparkOptions

DUCK = Engine(memory_limit="1GB", threads=2)
_QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # these processes are too short for Java's second compiler to pay
CONF = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.executor.memory": "1g",
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.extraJavaOptions": _QUICK,
    "spark.executor.extraJavaOptions": _QUICK,
}
# PySpark leaves the sockets by which it hands tables to its own Java process to the garbage collector
SOCKET = "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
MASTER = os.environ.get("SYNTH_ASSETS_TEST_SPARK_MASTER", "local-cluster[2,1,1024]")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Spark with two workers; skips where Java or PySpark are missing."""
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("PySpark is not installed (the extra `spark`)")
    if shutil.which("java") is None:
        pytest.skip("there is no Java on this machine")
    scratch = tmp_path_factory.mktemp("spark")
    (scratch / "events").mkdir()
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    conf = {**CONF, "spark.local.dir": str(scratch), "spark.sql.warehouse.dir": str(scratch / "warehouse")}
    conf |= {"spark.eventLog.enabled": "true", "spark.eventLog.dir": str(scratch / "events")}
    conf |= {"spark.eventLog.compress": "false"}
    yield Engine(spark=SparkOptions(MASTER, tuple(conf.items())))
    from pyspark import SparkContext

    if SparkContext._active_spark_context is not None:
        SparkContext._active_spark_context.stop()


@pytest.fixture(scope="session")
def sessions(spark: Engine) -> Iterator[tuple[Session, Session]]:
    """An open session of each engine."""
    with DUCK.session() as duck, spark.session() as other:
        yield duck, other


Answers = Callable[..., tuple[list[Any], list[Any]]]


@pytest.fixture(scope="session")
def answers(sessions: tuple[Session, Session], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """answers(expression of a column, values, dtype): what DuckDB gives and what Spark gives, row by row."""
    folder = tmp_path_factory.mktemp("answers")

    def run(make: Callable[[Any], Any], values: Any, dtype: Any = None) -> tuple[list[Any], list[Any]]:
        file = folder / "part-00000.parquet"
        pq.write_table(pa.table({"v": pa.array(values, dtype), "at": range(len(values))}), file)
        found = []
        for session in sessions:
            table = session.parquet(file)
            found.append(table.order_by("at").select(made=make(table.v)).to_pyarrow()["made"].to_pylist())
        return found[0], found[1]

    return run


def stored(table: pa.Table, folder: Path, parts: int = 1) -> Path:
    """A canonical folder of one or more files."""
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-table.num_rows // parts)
    for i in range(parts):
        pq.write_table(table.slice(i * size, size), folder / f"part-{i:05d}.parquet")
    return folder


def near(value: Any) -> Any:
    """The same record, in which numbers may differ in the order of their sums."""
    if isinstance(value, dict):
        return {k: near(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(near(v) for v in value)
    return pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
