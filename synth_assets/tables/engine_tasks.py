"""Work that is split by file: in this process, all files in one query, or on Spark's workers, a task for each file.

What belongs here: where such work runs, and counts of different values, which no file has alone. What does not: the work (readers,
canonical.py). Both run the same code over DuckDB, so that a cell is read the same way on one machine and on a cluster.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from synth_assets.tables.engine import DuckSession, Engine

if TYPE_CHECKING:
    from synth_assets.tables.spark_worker import FileWork

DISTINCT_PER_QUERY = 50  # each has a hash table of its own
_FEW_ROWS = 100_000  # beyond, one at a time: a hash table spills when it is alone, several together run out of memory
_FEW_VALUES = 10_000  # more than a category has
Item = TypeVar("Item")
Result = TypeVar("Result")


class FileTasks(ABC):
    """Where work over files runs.

    Args:
        session: DuckDB in this process, for what is small.
    """

    def __init__(self, session: DuckSession) -> None:
        self.session = session

    @abstractmethod
    def each(self, work: Callable[[DuckSession, Item], Result], items: Sequence[Item]) -> list[Result]:
        """Do some work for every item.

        Args:
            work: A function of a module or an object that can be pickled; holds no cell and no key. Gets a session of where it runs.
            items: What to work on, such as paths that all machines see.

        Returns:
            The results, in the order of the items.

        Raises:
            SynthAssetsError: the first error of the work.
        """

    @abstractmethod
    def groups(self, parts: Sequence[Path]) -> list[list[Path]]:
        """Which files of a table are one piece of work."""

    @abstractmethod
    def estimated(self, parts: Sequence[Path], columns: Sequence[str]) -> list[int]:
        """About how many different values some columns have."""

    @abstractmethod
    def distinct(self, parts: Sequence[Path], columns: Sequence[str], rows: int) -> list[int]:
        """How many different values some columns have, exactly.

        Args:
            parts: The files of the table.
            columns: Which ones.
            rows: Rows of the table.
        """


@contextmanager
def file_tasks(engine: Engine, *, files: int) -> Iterator[FileTasks]:
    """Work over the files of one source: on the cluster where there are several files and the engine is Spark."""
    with engine.files_session() as session:
        if engine.spark is None or files < 2:
            yield HereTasks(session)
            return
        with engine.session() as cluster:
            yield SparkTasks(session, cluster, engine)


class HereTasks(FileTasks):
    """DuckDB in this process, which uses all cores for one query over all files."""

    def each(self, work: Callable[[DuckSession, Item], Result], items: Sequence[Item]) -> list[Result]:
        """See `FileTasks.each`."""
        return [work(self.session, item) for item in items]

    def groups(self, parts: Sequence[Path]) -> list[list[Path]]:
        """See `FileTasks.groups`: all."""
        return [list(parts)]

    def estimated(self, parts: Sequence[Path], columns: Sequence[str]) -> list[int]:
        """See `FileTasks.estimated`."""
        return self._counted(parts, [f"approx_count_distinct({sql_name(c)})" for c in columns])

    def distinct(self, parts: Sequence[Path], columns: Sequence[str], rows: int) -> list[int]:
        """See `FileTasks.distinct`."""
        together = DISTINCT_PER_QUERY if rows <= _FEW_ROWS else 1
        terms = [f"count(DISTINCT {sql_name(c)})" for c in columns]
        return [n for i in range(0, len(terms), together) for n in self._counted(parts, terms[i : i + together])]

    def _counted(self, parts: Sequence[Path], terms: Sequence[str]) -> list[int]:
        if not terms:
            return []
        return [int(n) for n in ask(self.session, (", ".join(terms), list(parts)))]


class SparkTasks(FileTasks):
    """A task for each file on Spark's workers, where DuckDB reads it with one thread.

    Args:
        session: DuckDB in this process.
        cluster: The session on Spark.
        engine: Its memory limit holds for each task.
    """

    def __init__(self, session: DuckSession, cluster: Any, engine: Engine) -> None:
        super().__init__(session)
        self._cluster, self._engine = cluster, engine

    def each(self, work: Callable[[DuckSession, Item], Result], items: Sequence[Item]) -> list[Result]:
        """See `FileTasks.each`."""
        from synth_assets.tables.spark_worker import FileWork

        done: FileWork[Item, Result] = FileWork(work, self._engine.memory_limit)
        results: list[Result] = []
        for made, error in self._cluster.spread(done, items):
            if error is not None:
                raise error
            results.append(made)
        return results

    def groups(self, parts: Sequence[Path]) -> list[list[Path]]:
        """See `FileTasks.groups`: each for itself."""
        return [[part] for part in parts]

    def estimated(self, parts: Sequence[Path], columns: Sequence[str]) -> list[int]:
        """See `FileTasks.estimated`: exact where they are few, since Spark's estimate is off by 5 %."""
        table = self._cluster.parquet(list(parts))
        found = dict(zip(columns, self._aggregated(table, [table[c].approx_nunique() for c in columns]), strict=True))
        few = [c for c in columns if found[c] <= _FEW_VALUES]
        for start in range(0, len(few), DISTINCT_PER_QUERY):
            some = few[start : start + DISTINCT_PER_QUERY]
            found |= dict(zip(some, self._aggregated(table, [table[c].nunique() for c in some]), strict=True))
        return [found[c] for c in columns]

    def distinct(self, parts: Sequence[Path], columns: Sequence[str], rows: int) -> list[int]:
        """See `FileTasks.distinct`: a query for each, which reads no other column."""
        del rows
        table = self._cluster.parquet(list(parts))
        return [n for c in columns for n in self._aggregated(table, [table[c].nunique()])]

    def _aggregated(self, table: Any, terms: Sequence[Any]) -> list[int]:
        if not terms:
            return []
        found = self._cluster.arrow(table.aggregate(**{f"n{i}": term for i, term in enumerate(terms)})).to_pylist()[0]
        return [int(found[f"n{i}"]) for i in range(len(terms))]


def ask(session: DuckSession, question: tuple[str, list[Path]]) -> tuple[Any, ...]:
    """One row of aggregates over files.

    Args:
        session: DuckDB.
        question: The terms in SQL, and the files.
    """
    terms, parts = question
    row: tuple[Any, ...] = session.backend.raw_sql(f"SELECT {terms} FROM {source_of(parts)}").fetchone()
    return row


def source_of(parts: Sequence[Path]) -> str:
    """SQL for the rows of some Parquet files."""
    return f"read_parquet([{', '.join(sql_text(p) for p in parts)}])"


def sql_text(path: Path) -> str:
    """A path as a text of SQL."""
    return "'" + str(path).replace("'", "''") + "'"


def sql_name(name: str) -> str:
    """The name of a column in SQL."""
    return '"' + name.replace('"', '""') + '"'
