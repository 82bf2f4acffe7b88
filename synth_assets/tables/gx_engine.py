"""Great Expectations inside embedded DuckDB: counts leave this module, values and foreign exception texts do not.

What belongs here: everything that imports Great Expectations (3 seconds, so inside functions) and repairs its use of DuckDB.
Its SQL engine opens a connection per query and loses the result, knows no regular expression or LIKE for DuckDB, and reads column
types through PostgreSQL's catalogue. What does not belong: which expectations a table has (contracts.py).
"""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from synth_assets.errors import ConfigError, UnexpectedError, withhold_values
from synth_assets.storage.rooms import temporary
from synth_assets.tables.engine import Engine

VIEW = "contract_table"
TYPES = ("BIGINT", "DOUBLE", "VARCHAR", "BOOLEAN", "DATE", "TIMESTAMP")
_BOOLEAN_ONLY = {"result_format": {"result_format": "BOOLEAN_ONLY"}}
_FATAL = ("OutOfMemoryException", "IOException", "InternalException", "FatalException", "InterruptException")


@dataclass(frozen=True)
class Request:
    """One expectation to run: full name, keyword arguments (column included), configuration key for errors."""

    name: str
    arguments: Mapping[str, Any]
    key: str


@dataclass(frozen=True)
class Verdict:
    """What a run gives: success, rows of the table, rows not checked (missing), rows that fail, or why nothing could be computed."""

    success: bool
    table_rows: int
    skipped_rows: int = 0
    unexpected_rows: int | None = None
    problem: str | None = None


@dataclass
class _Task:
    request: Request
    expectation: Any
    dependencies: Any = None
    resolved: dict[Any, Any] = field(default_factory=dict)
    failures: list[Any] = field(default_factory=list)


def evaluate(files: Sequence[Path], requests: Sequence[Request], engine: Engine, *, step: str) -> list[Verdict]:
    """Run expectations over Parquet files, all in as few queries as Great Expectations can bundle.

    Args:
        files: The Parquet files of one table.
        requests: What to run.
        engine: Memory limit, threads and spill folder.
        step: Name of the step, for errors.

    Returns:
        One verdict per request, in order.

    Raises:
        ConfigError: an argument is unknown, missing or of the wrong type.
        UnexpectedError: the engine failed (memory, disk); the foreign text is withheld.
    """
    with withhold_values(step), _quiet():
        tasks = [_Task(request, _build(request)) for request in requests]
        with _connected(files, engine) as execution:
            _check_patterns(execution, requests)
            rows = _row_count(execution)
            _compute(execution, tasks)
            for task in tasks:
                if task.failures:
                    task.failures = []
                    _compute(execution, [task])
            return [_verdict(execution, task, rows) for task in tasks]


@contextmanager
def _quiet() -> Iterator[None]:
    """Import and run Great Expectations without telemetry, warnings or log lines, and leave the process as it was."""
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    logger = logging.getLogger("great_expectations")
    level = logger.level
    captured_before = warnings.showwarning.__module__ == "logging"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL + 1)
        try:
            _import()
            yield
        finally:
            logger.setLevel(level)
            if not captured_before:
                logging.captureWarnings(False)  # its import turns this on for the whole process


def _import() -> None:
    """Import Great Expectations as if PySpark were not installed.

    Nothing here needs its Spark engine. It imports `pyspark.sql.connect`, which ends the process (`sys.exit(0)`) where grpc is missing
    and the main module has no file, as in processes that a launcher starts with `python -c`.
    """
    if "great_expectations" in sys.modules:
        return
    hidden = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "pyspark"}
    modules: dict[str, Any] = sys.modules  # None: as if it were not installed
    modules.update(dict.fromkeys([*hidden, "pyspark"]))
    try:
        import great_expectations  # noqa: F401  fills the registry
    finally:
        del modules["pyspark"]
        modules.update(hidden)


def _build(request: Request) -> Any:
    """The expectation object, with arguments checked by its own model."""
    from great_expectations.expectations.expectation import BatchExpectation
    from great_expectations.expectations.registry import get_expectation_impl

    kind = get_expectation_impl(request.name)
    own = set(kind.__fields__) - set(BatchExpectation.__fields__)
    allowed = sorted(own | {"row_condition", "condition_parser"})
    unknown = [name for name in request.arguments if name not in allowed]
    if unknown:
        raise ConfigError(
            f"{request.name!r} has no argument {unknown[0]!r}.",
            key=request.key,
            remedy=f"Its arguments: {', '.join(allowed)}.",
        )
    try:
        return kind(**request.arguments)
    except Exception as error:  # noqa: BLE001  pydantic 1 and validators of many kinds; their texts quote the input
        places = [str(e["loc"][0]) for e in error.errors()] if hasattr(error, "errors") else []
        named = next((p for p in places if p in allowed), None)
        message = (
            f"argument {named!r} of {request.name!r} is missing or of the wrong type."
            if named
            else f"{request.name!r} got wrong arguments."
        )
        raise ConfigError(message, key=request.key, remedy=f"Its arguments: {', '.join(allowed)}.") from None


@contextmanager
def _connected(files: Sequence[Path], engine: Engine) -> Iterator[Any]:
    """An execution engine on one DuckDB connection with a view over the files."""
    import sqlalchemy as sa
    from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData

    with temporary(engine.spill_folder) as spill:
        config: dict[str, Any] = {
            "memory_limit": engine.memory_limit,
            "threads": engine.threads or os.cpu_count() or 1,
            "temp_directory": str(spill),
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
        }
        database = sa.create_engine("duckdb:///:memory:", connect_args={"config": config}, poolclass=sa.StaticPool)
        _forget_try_cast()
        execution = _engine_class()(engine=database)
        try:
            paths = ", ".join("'" + str(f).replace("'", "''") + "'" for f in files)
            with execution.get_connection() as connection:
                connection.exec_driver_sql("SET enable_progress_bar = false")
                connection.exec_driver_sql(f"CREATE VIEW {VIEW} AS SELECT * FROM read_parquet([{paths}])")
                connection.commit()
            batch = SqlAlchemyBatchData(execution_engine=execution, table_name=VIEW, create_temp_table=False)
            execution.load_batch_data("contract", batch)
            yield execution
        finally:
            execution.shut()
            database.dispose()


def _forget_try_cast() -> None:
    """Take back duckdb_engine's hook on SQLAlchemy's TRY_CAST, which we never use.

    The hook ties DuckDB to a class that outlives the interpreter's clean-up when torch or altair is loaded, and DuckDB then
    prints 40 lines of "leaked" at exit.
    """
    from sqlalchemy import TryCast

    specs = getattr(getattr(TryCast, "_compiler_dispatcher", None), "specs", {})
    specs.pop("duckdb", None)


@lru_cache(maxsize=1)
def _engine_class() -> Any:
    """Great Expectations' SQL engine on one kept connection, and its missing metrics, registered for it alone."""
    import sqlalchemy as sa
    from great_expectations.execution_engine.sqlalchemy_execution_engine import SqlAlchemyExecutionEngine
    from great_expectations.expectations.metrics.metric_provider import metric_value
    from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

    class OneConnectionEngine(SqlAlchemyExecutionEngine):
        """One connection for all queries; a failed query is rolled back."""

        @contextmanager
        def get_connection(self) -> Iterator[Any]:
            if self._connection is None:
                self._connection = self.engine.connect()
            try:
                yield self._connection
            except Exception:
                self._connection.rollback()
                raise

        def shut(self) -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    class ColumnTypes(TableMetricProvider):
        """Names and types by DESCRIBE, as SQLAlchemy types of DuckDB's names."""

        metric_name = "table.column_types"
        value_keys = ("include_nested",)

        @metric_value(engine=OneConnectionEngine)
        def _described(cls, execution_engine: Any, **_: Any) -> list[dict[str, Any]]:  # noqa: N805  the metric's own form
            rows = execution_engine.execute_query(sa.text(f"DESCRIBE {VIEW}")).fetchall()
            return [
                {"name": row[0], "type": getattr(sa, row[1])() if row[1] in TYPES else sa.types.NullType()}
                for row in rows
            ]

    _register_patterns(OneConnectionEngine)
    return OneConnectionEngine


def _register_patterns(engine_class: Any) -> None:
    """Regular expressions (RE2, found anywhere, as in Great Expectations) and LIKE patterns, single and in lists, plain and negated."""
    import sqlalchemy as sa

    def regex(column: Any, pattern: str) -> Any:
        return sa.func.regexp_matches(sa.cast(column, sa.VARCHAR), pattern)

    def like(column: Any, pattern: str) -> Any:
        return sa.cast(column, sa.VARCHAR).like(pattern)

    for family, one, test in (("regex", "regex", regex), ("like_pattern", "like_pattern", like)):
        many = f"{one}_list"
        _register(engine_class, f"column_values.match_{family}", (one,), lambda c, a, t=test, k=one: t(c, a[k]))
        _register(
            engine_class, f"column_values.not_match_{family}", (one,), lambda c, a, t=test, k=one: sa.not_(t(c, a[k]))
        )
        _register(
            engine_class,
            f"column_values.match_{family}_list",
            (many, "match_on"),
            lambda c, a, t=test, k=many: _any_or_all(t, c, a, k),
        )
        _register(
            engine_class,
            f"column_values.not_match_{family}_list",
            (many,),
            lambda c, a, t=test, k=many: sa.not_(sa.or_(*(t(c, p) for p in a[k]))),
        )


def _any_or_all(test: Callable[[Any, str], Any], column: Any, arguments: Mapping[str, Any], key: str) -> Any:
    import sqlalchemy as sa

    join = sa.and_ if arguments.get("match_on") == "all" else sa.or_
    return join(*(test(column, pattern) for pattern in arguments[key]))


def _register(engine_class: Any, metric: str, keys: tuple[str, ...], condition: Callable[..., Any]) -> None:
    from great_expectations.expectations.metrics.map_metric_provider.column_condition_partial import (
        column_condition_partial,
    )
    from great_expectations.expectations.metrics.map_metric_provider.column_map_metric_provider import (
        ColumnMapMetricProvider,
    )

    class _Pattern(ColumnMapMetricProvider):
        condition_metric_name = metric
        condition_value_keys = keys

        @column_condition_partial(engine=engine_class)
        def _condition(cls, column: Any, **arguments: Any) -> Any:  # noqa: N805  the metric's own form
            return condition(column, arguments)


def _check_patterns(execution: Any, requests: Sequence[Request]) -> None:
    """Every regular expression must be one that the engine understands (RE2: no look-around, no back-references)."""
    import sqlalchemy as sa

    query = sa.text("SELECT regexp_matches('', :pattern)")
    for request in requests:
        one = request.arguments.get("regex")
        for pattern in [*([one] if one is not None else []), *(request.arguments.get("regex_list") or [])]:
            try:
                with execution.get_connection() as connection:
                    connection.execute(query, {"pattern": str(pattern)}).fetchall()
            except Exception:  # noqa: BLE001  the engine's text is of no help to the reader
                raise ConfigError(
                    f"{request.name!r} has a regular expression that the engine does not understand.",
                    key=request.key,
                    remedy="It takes RE2 syntax: no look-ahead, look-behind or back-reference.",
                ) from None


def _row_count(execution: Any) -> int:
    import sqlalchemy as sa

    return int(execution.execute_query(sa.text(f"SELECT count(*) FROM {VIEW}")).scalar_one())


def _compute(execution: Any, tasks: Sequence[_Task]) -> None:
    """Resolve the metrics of several expectations in one graph; note for each task what failed."""
    from great_expectations.validator.metrics_calculator import MetricsCalculator

    calculator = MetricsCalculator(execution, show_progress_bars=False)
    wanted: list[Any] = []
    for task in tasks:
        try:
            task.dependencies = task.expectation.get_validation_dependencies(
                execution_engine=execution, runtime_configuration=_BOOLEAN_ONLY
            )
            wanted += task.dependencies.get_metric_configurations()
        except Exception as error:  # noqa: BLE001  one bad expectation must not stop the others
            task.dependencies, task.failures = None, [error]
    resolved: dict[Any, Any]
    aborted: dict[Any, Any]
    try:
        resolved, aborted = calculator.compute_metrics(wanted, runtime_configuration=_BOOLEAN_ONLY)
    except Exception as error:  # noqa: BLE001  as above
        resolved, aborted = {}, {"": error}
    for task in tasks:
        if task.dependencies is None:
            continue
        needed = [c.id for c in task.dependencies.get_metric_configurations()]
        task.resolved = resolved
        task.failures = list(aborted.values()) if any(i not in resolved for i in needed) else []


def _verdict(execution: Any, task: _Task, rows: int) -> Verdict:
    if task.failures:
        return Verdict(success=False, table_rows=rows, problem=_problem(task))
    try:
        result = task.expectation.metrics_validate(
            metrics=task.resolved, execution_engine=execution, runtime_configuration=dict(_BOOLEAN_ONLY)
        )
    except Exception as error:  # noqa: BLE001  its text may quote values
        task.failures = [error]
        return Verdict(success=False, table_rows=rows, problem=_problem(task))
    counts = {name: task.resolved.get(c.id) for name, c in task.dependencies.metric_configurations.items()}
    table_rows = int(counts.get("table.row_count") or rows)
    skipped, unexpected = _row_counts(task.request.name, counts, table_rows)
    return Verdict(bool(result.success), table_rows, skipped, unexpected)


def _row_counts(name: str, counts: Mapping[str, Any], table_rows: int) -> tuple[int, int | None]:
    """Rows not checked and rows that fail; None where the expectation is about the column or table as a whole."""
    missing = "column_values.nonnull.unexpected_count"
    unexpected = {n: v for n, v in counts.items() if n.endswith(".unexpected_count")}
    if name == "expect_column_values_to_not_be_null":
        return 0, int(unexpected[missing] or 0)
    kept = next((v for n, v in counts.items() if n.endswith(".filtered_row_count")), None)
    skipped = table_rows - int(kept) if kept is not None else int(unexpected.pop(missing, None) or 0)
    return skipped, int(next(iter(unexpected.values())) or 0) if unexpected else None


def _problem(task: _Task) -> str:
    """The kind of a failure in one word; faults of the machine are raised, since they say nothing about the data."""
    texts = [
        f"{type(f).__name__} {f}" if isinstance(f, Exception) else str(f.get("exception_info")) for f in task.failures
    ]
    kinds = re.findall(r"_duckdb\.(\w+)", " ".join(texts))
    fatal = next((k for k in kinds if k in _FATAL), None)
    if fatal:
        raise UnexpectedError(
            f"{fatal} of the engine in {task.request.name}; its text is withheld, since it may quote data."
        )
    return kinds[-1] if kinds else "MetricError"
