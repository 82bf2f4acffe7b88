"""The engine: Ibis over embedded DuckDB, out of core, with a memory limit. The only place that opens a connection.

Everything else writes Ibis expressions over tables that `Session.parquet` gives. DuckDB 2.0 with ibis 12.0: `con.sql` and
`to_pyarrow_batches` do not work (renamed methods); `read_parquet`, `to_pyarrow`, `execute` and `to_parquet` do.
"""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from synth_assets.errors import InputError
from synth_assets.storage import atomic

ROW_GROUP_ROWS = 122_880
RECURSION_LIMIT = 20_000


@dataclass(frozen=True)
class Engine:
    """How to connect.

    Args:
        memory_limit: DuckDB's limit, such as "2GB"; beyond it operators spill to disk.
        threads: Worker threads; None means all cores.
        spill_folder: Where they spill; a private temporary folder when None.
    """

    memory_limit: str = "2GB"
    threads: int | None = None
    spill_folder: Path | None = None

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One connection for one step; closed at the end, its spill files removed."""
        with tempfile.TemporaryDirectory(prefix="synth-assets-", dir=self.spill_folder) as spill:
            backend = ibis.duckdb.connect(
                ":memory:",
                threads=self.threads or os.cpu_count() or 1,
                memory_limit=self.memory_limit,
                temp_directory=spill,
                preserve_insertion_order=True,
            )
            backend.raw_sql("SET enable_progress_bar = false")
            backend.raw_sql("SET autoinstall_known_extensions = false")
            try:
                yield Session(backend)
            finally:
                backend.disconnect()


class Session:
    """An open connection: read Parquet as Ibis tables, run expressions, write Parquet."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend

    def parquet(self, path: Path | Sequence[Path]) -> ir.Table:
        """An Ibis table over a Parquet file, a folder of `part-*.parquet`, or a list of files.

        Raises:
            InputError: the folder holds no Parquet file.
        """
        paths = [path] if isinstance(path, Path) else list(path)
        files = [f for p in paths for f in (sorted(p.glob("part-*.parquet")) if p.is_dir() else [p])]
        if not files:
            raise InputError("no Parquet file in the folder.", file=str(path))
        return self.backend.read_parquet([str(f) for f in files])

    def function(
        self, batch: Callable[..., pa.Array], arguments: Sequence[str], returns: str
    ) -> Callable[..., ir.Value]:
        """Give the engine a function over Arrow arrays, for what is quicker in numpy than as an expression.

        Args:
            batch: One array (or chunked array) per argument, all of one length, nulls included -> an array of that length. It may hold
                keys: it is called inside the engine's process and stands in no query text.
            arguments: Ibis types of the arguments, such as "string" or "array<string>".
            returns: Ibis type of the result.

        Returns:
            What builds the expression, with one argument per type; of use in this session only.
        """
        name = f"batch_{uuid.uuid4().hex[:12]}"
        types = [dt.dtype(t) for t in (*arguments, returns)]
        sql = [self.backend.compiler.type_mapper.to_string(t) for t in types]
        self.backend.con.create_function(name, batch, sql[:-1], sql[-1], type="arrow", null_handling="special")

        def face(*_: ir.Value) -> None: ...

        places = [inspect.Parameter(f"a{i}", inspect.Parameter.POSITIONAL_OR_KEYWORD) for i in range(len(arguments))]
        face.__signature__ = inspect.Signature(places)  # type: ignore[attr-defined]
        made: Callable[..., ir.Value] = ibis.udf.scalar.builtin(
            face, name=name, signature=(tuple(types[:-1]), types[-1])
        )
        return made

    @contextmanager
    def held(self, table: ir.Table) -> Iterator[ir.Table]:
        """Compute an expression once, for several queries; it lives in the engine (spilling to disk) until the block ends.

        Ibis' own `cache()` cannot drop its tables here: with sqlglot 30 its DROP statement has no name.
        """
        name = f"held_{uuid.uuid4().hex[:12]}"
        self.backend.raw_sql(f"CREATE TEMP TABLE {name} AS {self.backend.compile(table)}").fetchall()
        try:
            yield self.backend.table(name, database=("temp", "main"))
        finally:
            self.backend.raw_sql(f"DROP TABLE temp.main.{name}").fetchall()

    def write(self, table: ir.Table, path: Path) -> None:
        """Write an expression to one Parquet file (zstd), atomically, in bounded memory."""
        self._copy(table, path, f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS}")

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
        with _deep_expressions():
            sql = self.backend.compile(table)
        with atomic.replacing(path) as temporary:
            self.backend.raw_sql(f"COPY ({sql}) TO '{_literal(temporary)}' ({options})").fetchall()


@contextmanager
def _deep_expressions() -> Iterator[None]:
    """Room for the compiler, which descends into an expression by recursion: masking a text nests one call per name it replaces."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, RECURSION_LIMIT))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _literal(path: Path) -> str:
    return str(path).replace("'", "''")
