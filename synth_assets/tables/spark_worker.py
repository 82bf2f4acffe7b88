"""What runs in the Python of Spark's workers, pickled by the driver: functions over Arrow arrays, work over files.

What belongs here: the call itself. What does not: what is called (masking, readers), and the connection (engine_spark.py). Nothing of
PySpark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from typing import Any, Generic, TypeVar

import pyarrow as pa

from synth_assets.errors import SynthAssetsError, withhold_values
from synth_assets.tables.engine import DuckSession, Engine

Item = TypeVar("Item")
Result = TypeVar("Result")


class BatchError(RuntimeError):
    """A function over a batch failed in a worker; its own message is withheld, since workers write it to their logs."""


class BatchCall:
    """A function over Arrow arrays with errors that hold no cell. May hold keys: it has no representation but its class.

    Args:
        batch: See `Session.function`.
    """

    def __init__(self, batch: Callable[..., Any]) -> None:
        self._batch = batch

    def __call__(self, *columns: pa.Array) -> pa.Array:
        """Run it on one batch."""
        try:
            made = self._batch(*columns)
        except Exception as error:  # noqa: BLE001  any kind may quote a cell
            raise BatchError(f"a function over batches failed ({type(error).__name__})") from None
        return made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made


class FileWork(Generic[Item, Result]):
    """Work over files, one item in one task, with DuckDB in the worker.

    Errors come back as results: workers write what is raised to their logs.

    Args:
        work: See `FileTasks.each`.
        memory_limit: DuckDB's, of one task.
    """

    def __init__(self, work: Callable[[DuckSession, Item], Result], memory_limit: str) -> None:
        self._work, self._memory_limit = work, memory_limit

    def __call__(self, item: Item) -> tuple[Result | None, SynthAssetsError | None]:
        """The result, or the error."""
        try:
            with (
                withhold_values("a task over files"),
                Engine(memory_limit=self._memory_limit, threads=1).files_session() as session,
            ):
                return self._work(session, item), None
        except SynthAssetsError as error:
            return None, error


def worker_version(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The release of this package that a worker has, once per batch."""
    for _ in batches:
        yield pa.RecordBatch.from_pydict({"version": [version("synth-assets")]})


def shortest_text(values: pa.Array) -> pa.Array:
    """The shortest text of a double that reads back, which is what DuckDB writes."""
    return pa.array([None if v is None else repr(v) for v in values.to_pylist()], pa.string())
