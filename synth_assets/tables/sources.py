"""Any source into the canonical folder: `ingest`, a fingerprint of its content, and a data frame by the same reader.

This file decides which reader is used and how several files become one table. How a format is read stands in `readers/`, how cells
become types in `inference.py`, what is written in `canonical.py`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from synth_assets.config.dataset import SourceConfig, TableConfig
from synth_assets.errors import SourceError, withhold_values
from synth_assets.storage import atomic
from synth_assets.storage.hashing import hash_file, hash_parts
from synth_assets.storage.rooms import temporary
from synth_assets.tables.canonical import PART, move_into_place, read_notes, wanted_columns, write_canonical
from synth_assets.tables.engine import DuckSession, Engine
from synth_assets.tables.engine_tasks import file_tasks
from synth_assets.tables.readers.avro import read_avro
from synth_assets.tables.readers.columnar import read_parquet
from synth_assets.tables.readers.database import database_label, expand_environment, read_database, sqlite_file
from synth_assets.tables.readers.delimited import read_delimited
from synth_assets.tables.readers.fetch import is_remote, local_files, path_files, remote_version
from synth_assets.tables.readers.formats import format_of
from synth_assets.tables.readers.jsontext import read_json
from synth_assets.tables.readers.limits import GIB, Limits
from synth_assets.tables.readers.naming import missing_columns, require_columns
from synth_assets.tables.readers.spreadsheet import read_excel
from synth_assets.tables.readers.staging import Staged
from synth_assets.tables.readers.transfer import LocalFile, safe_label
from synth_assets.tables.readers.union import together
from synth_assets.tables.schema import TableSchema

__all__ = [
    "ingest",
    "missing_columns",
    "read_frame",
    "read_notes",
    "require_columns",
    "source_fingerprint",
    "source_label",
]

_LOG = logging.getLogger(__name__)
_HASHED_BYTES = GIB


def ingest(
    source: SourceConfig,
    *,
    name: str,
    base_dir: Path,
    out: Path,
    engine: Engine,
    table: TableConfig | None = None,
    null_values: tuple[str, ...] = (),
    timezone: str = "UTC",
    limits: Limits | None = None,
    lenient: bool = False,
) -> TableSchema:
    """Read any source into a canonical folder: `part-*.parquet`, `schema.json`, `reading.json`.

    DuckDB writes one part. On Spark a source of several files becomes as many parts, each read by a task of its own; any other source
    is one stream, which the driver reads.

    Args:
        source: File, folder, address, or database query.
        name: Name of the table.
        base_dir: Relative paths start here (the folder of the YAML).
        out: Folder to make, or an empty one; an older table in it is replaced at the very end.
        engine: Where expressions run.
        table: Declared columns, keys and missing texts; they win over what is inferred.
        null_values: Texts that mean missing, besides the empty cell and those of `table`.
        timezone: IANA zone of times without one; times are stored in UTC.
        limits: Bounds on downloads, expansion, columns and hosts; those of the environment when None.
        lenient: Pass over what is declared about columns that the source has not, where it is somebody else's table.

    Returns:
        The schema, with the number of rows.

    Raises:
        SourceError: the source is no table, or contradicts what is declared; names file, row or column, never a value.
        ConfigError: the source's configuration cannot be used.
        ServiceUnavailableError: a server or database does not answer.
    """
    bounds = limits or Limits.from_environment()
    missing = tuple(dict.fromkeys((*null_values, *(table.null_values if table else ()))))
    with (
        withhold_values(f"reading of {source_label(source)}"),
        atomic.staging_folder(out.parent) as workspace,
        atomic.staging_folder(out.parent) as folder,
    ):
        files = _files(source, base_dir=base_dir, workspace=workspace, limits=bounds)
        with file_tasks(engine, files=len(files)) as tasks:
            if source.url is not None:
                staged = read_database(
                    source.url,
                    query=source.query,
                    table=source.table,
                    base_dir=base_dir,
                    workspace=workspace,
                    limits=bounds,
                )
            else:
                read = _ReadFile(source, tuple(wanted_columns(table)), bounds)
                staged = together(tasks.each(read, files))
            schema = write_canonical(
                staged,
                folder,
                name=name,
                tasks=tasks,
                table=table,
                null_values=missing,
                timezone=timezone,
                lenient=lenient,
            )
        notes = read_notes(folder)
        move_into_place(folder, out)
    for note in notes:
        _LOG.info("%s: %s", source_label(source), note)
    return schema


def read_frame(path: Path, *, engine: Engine | None = None) -> pd.DataFrame:
    """A file as a data frame, read as the chain reads it; for tables that fit in memory.

    Args:
        path: CSV, TSV, Parquet, JSON, JSONL, Excel or Avro file, plain or compressed, or a folder of such files.
        engine: Where expressions run.

    Raises:
        SourceError: the file is no table.
    """
    with temporary() as private:
        out = private / "table"
        ingest(
            SourceConfig(path=str(path.absolute())), name="table", base_dir=Path(), out=out, engine=engine or Engine()
        )
        with withhold_values("reading of a table"):
            frame: pd.DataFrame = pq.read_table(out / PART).to_pandas()
    return frame


def source_label(source: SourceConfig) -> str:
    """How messages and metadata name a source: no password, no query of a signed link."""
    if source.path is not None:
        return safe_label(source.path) if is_remote(source.path) else source.path
    if source.url is None:
        return str(source.generate)
    return database_label(expand_environment(source.url))


def source_fingerprint(source: SourceConfig, base_dir: Path) -> str:
    """A cheap fingerprint of a source's content: equal while nothing has changed.

    Files up to 1 GiB are hashed, larger ones by size and time of change; folders over all their files; addresses by what the
    server tells (ETag, date), SQLite by its file; other databases by query and day, since only running the query would tell.

    Raises:
        SourceError: the source is not there.
    """
    today = datetime.now(UTC).date().isoformat()
    if source.path is not None:
        if is_remote(source.path):
            version = remote_version(source.path, Limits.from_environment())
            return hash_parts("remote", safe_label(source.path), version or today)
        files = path_files(source.path, base_dir)
        return hash_parts("files", *(part for f in files for part in (f.name, _file_state(f))))
    url = expand_environment(str(source.url))
    file = sqlite_file(url, base_dir)
    what = source.query or source.table or ""
    if file is not None:
        return hash_parts("sqlite", _file_state(file), what)
    return hash_parts("database", database_label(url), what, today)


def _file_state(path: Path) -> str:
    try:
        status = path.stat()
        if not path.is_file():
            raise SourceError("this is neither a file nor a folder.", file=str(path))
        return hash_file(path) if status.st_size <= _HASHED_BYTES else f"{status.st_size} {status.st_mtime_ns}"
    except OSError as error:
        raise SourceError(
            f"the file cannot be read ({type(error).__name__}).", file=str(path), remedy="Check `path`."
        ) from None


def _files(source: SourceConfig, *, base_dir: Path, workspace: Path, limits: Limits) -> list[tuple[LocalFile, Path]]:
    """The files of a source, each with a private folder for what is staged; none for a database."""
    if source.url is not None:
        return []
    found = []
    for number, file in enumerate(local_files(str(source.path), base_dir=base_dir, workspace=workspace, limits=limits)):
        own = workspace / f"file-{number:05d}"
        own.mkdir()
        found.append((file, own))
    return found


@dataclass(frozen=True)
class _ReadFile:
    """Stages one file.

    Args:
        source: How it is read.
        known: Names of columns that the configuration uses.
        limits: Bounds of one read.
    """

    source: SourceConfig
    known: tuple[str, ...]
    limits: Limits

    def __call__(self, session: DuckSession, item: tuple[LocalFile, Path]) -> Staged:
        """Stage it into its folder."""
        file, workspace = item
        own: dict[str, Any] = {"workspace": workspace, "limits": self.limits, "label": file.label}
        encoding = self.source.encoding
        kind = format_of(file.path, self.source.format, name=file.name, label=file.label)
        if kind == "parquet":
            return read_parquet(file.path, **own)
        if kind == "avro":
            return read_avro(file.path, **own)
        if kind == "excel":
            return read_excel(file.path, sheet=self.source.sheet, **own)
        if kind in {"json", "jsonl"}:
            return read_json(file.path, encoding=encoding, session=session, **own)
        delimiter = self.source.delimiter or ("\t" if kind == "tsv" else None)
        return read_delimited(file.path, delimiter=delimiter, encoding=encoding, known=self.known, **own)
