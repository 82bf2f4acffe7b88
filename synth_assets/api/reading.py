"""From a file or a frame to a table in canonical form, in a private temporary folder; and back to a frame."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.config.audited import AuditedTable
from synth_assets.config.dataset import ColumnConfig, SourceConfig, TableConfig, TextDetectorName
from synth_assets.config.runtime import Settings, find_home
from synth_assets.errors import InputError, SourceError, withhold_values
from synth_assets.storage.rooms import temporary
from synth_assets.tables.schema import TableSchema

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.pii.records import ColumnVerdict
    from synth_assets.tables.engine import Engine

    Table = Path | str | TableConfig | pd.DataFrame

Progress = Callable[[str], None]


def silent(step: str) -> None:
    """The progress of people who want none."""
    del step


@dataclass(frozen=True)
class Ingested:
    """A table in canonical form, in a private temporary folder."""

    folder: Path
    schema: TableSchema


def settings_of(home: Path | None) -> Settings:
    """Settings of a home folder; of the nearest one when None."""
    return Settings.from_environment((home or find_home(Path.cwd())).resolve())


def engine_of(settings: Settings | None = None) -> Engine:
    """The table engine, with the limits that the environment sets."""
    from synth_assets.tables import engine

    return engine.engine_of(settings or Settings.from_environment(Path.cwd()))


@contextmanager
def ingested(
    table: Table,
    name: str | None = None,
    columns: Mapping[str, ColumnConfig] | None = None,
    *,
    declared: AuditedTable | None = None,
    lenient: bool = False,
) -> Iterator[Ingested]:
    """Read a file or frame into canonical form; the folder is removed at the end.

    Args:
        table: File, folder, address, frame, or a `TableConfig` (a database query, an encoding, texts that mean missing).
        name: Name of the table; the file's stem when None.
        columns: What is known about columns; declared kinds win over inferred ones.
        declared: Keys, missing texts and time zone, where an audit knows them.
        lenient: Pass over what is declared about columns that the table has not.

    Raises:
        SourceError: it is no table, or has no such column.
        InputError: the frame cannot be read as a table.
    """
    from synth_assets.tables.sources import ingest

    with temporary() as scratch:
        config = _config(table, scratch, columns or {})
        if declared is not None:
            known = {k: getattr(declared, k) for k in ("primary_key", "foreign_keys")}
            config = config.model_copy(update={**known, "null_values": (*config.null_values, *declared.null_values)})
        folder = scratch / "table"
        try:
            schema = ingest(
                config.source,
                name=name or stem_of(table),
                base_dir=Path.cwd(),
                out=folder,
                engine=engine_of(),
                table=config,
                timezone="UTC" if declared is None else declared.timezone,
                lenient=lenient,
            )
        except SourceError as error:
            if error.file is None or not error.file.startswith(str(scratch)):
                raise
            raise SourceError(
                error.message, file="frame", row=error.row, column=error.column, remedy=error.remedy
            ) from None
        yield Ingested(folder, schema)


def _config(table: Table, scratch: Path, columns: Mapping[str, ColumnConfig]) -> TableConfig:
    """The table as the reader takes it, with the declared kinds."""
    given = table if isinstance(table, TableConfig) else TableConfig(source=_source(table, scratch))
    path = given.source.path
    if path is not None and "://" not in path:
        local = Path(os.path.abspath(path))  # noqa: PTH100  keeps symbolic links
        if not local.exists() and not glob.has_magic(path):
            raise SourceError("the file does not exist.", file=str(local), remedy="Check its name.")
    kinds = {n: ColumnConfig(kind=c.kind, categories=c.categories) for n, c in {**given.columns, **columns}.items()}
    return given.model_copy(update={"columns": kinds})


def _source(table: Path | str | pd.DataFrame, scratch: Path) -> SourceConfig:
    if isinstance(table, str | Path):
        text = str(table)
        return SourceConfig(path=text if "://" in text else os.path.abspath(text))  # noqa: PTH100  keeps symbolic links
    file = scratch / "frame.parquet"
    _write_frame(table, file)
    return SourceConfig(path=str(file))


def _write_frame(frame: pd.DataFrame, file: Path) -> None:
    import pyarrow as pa

    if not frame.columns.is_unique:
        raise InputError("two columns of the frame have one name.", remedy="Give every column its own name.")
    if not len(frame) or not len(frame.columns):
        raise InputError("the frame is empty.", remedy="Give a frame with at least one row and one column.")
    named = frame.set_axis([str(c) for c in frame.columns], axis=1)
    try:
        named.to_parquet(file, index=False)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        raise InputError(
            "the column has values of several types.", column=_mixed(named), remedy="Give every column one type."
        ) from None


def _mixed(frame: pd.DataFrame) -> str | None:
    """The column that Arrow cannot store."""
    import pyarrow as pa

    for name in frame.columns:
        try:
            pa.array(frame[name], from_pandas=True)
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            return str(name)
    return None


def verdicts_of(
    data: Ingested,
    columns: Mapping[str, ColumnConfig] | None = None,
    text_detector: TextDetectorName = "builtin",
) -> tuple[ColumnVerdict, ...]:
    """What each column holds about people."""
    from synth_assets.pii.classify import classify_table

    known = {n: c for n, c in (columns or {}).items() if n in data.schema.names}
    with withhold_values("the classification"):
        return classify_table(
            data.folder,
            data.schema,
            engine_of(),
            table_name=data.schema.name,
            overrides=known,
            text_detector=text_detector,
        )


def path_of(table: Table) -> str | None:
    """The path or address of a file; None of frames and database queries."""
    if isinstance(table, TableConfig):
        return table.source.path
    return str(table) if isinstance(table, str | Path) else None


def stem_of(table: Table) -> str:
    """The name of a table without another one."""
    path = path_of(table)
    if path is None:
        return "table" if isinstance(table, TableConfig) else "frame"
    return Path(path.partition("?")[0]).name.split(".")[0] or "table"


def frame_of(folder: Path) -> pd.DataFrame:
    """A canonical table as a frame; whole numbers and booleans with missing cells keep their type (`Int64`, `boolean`)."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(sorted(folder.glob("part-*.parquet")))
    gaps = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    holed = [c for c in table.column_names if table[c].null_count and table[c].type in gaps]
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    for name in holed:
        frame[name] = pd.array(table[name].to_pylist(), dtype=gaps[table[name].type])
    return frame


def texts_kept(made: pd.DataFrame, given: Table) -> pd.DataFrame:
    """A made frame in which columns that were texts in the given one are texts again, as dates and digits in them are."""
    import pandas as pd

    if not isinstance(given, pd.DataFrame):
        return made
    texts = [n for n in made.columns if n in given.columns and _is_text(given[n]) and not _is_text(made[n])]
    return made.assign(**{n: _as_text(made[n]) for n in texts})


def _is_text(column: pd.Series[Any]) -> bool:
    import pandas as pd

    return pd.api.types.infer_dtype(column, skipna=True) == "string"


def _as_text(column: pd.Series[Any]) -> pd.Series[Any]:
    """ISO 8601 for dates and times, digits for numbers; missing stays missing."""
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column):
        whole_days = bool((column.dropna() == column.dropna().dt.normalize()).all())
        text = column.dt.strftime("%Y-%m-%d" if whole_days else "%Y-%m-%dT%H:%M:%S")
    else:
        text = column.astype("string").astype(object)
    kept: pd.Series[Any] = text.where(column.notna(), None)
    return kept


def destination(out: Path | str | None, source: Table | None = None) -> Path | None:
    """The file to write, absolute and checked before any work; None where a frame is wanted.

    Raises:
        InputError: nothing can be written there, its suffix names no format, or it is the source itself.
    """
    from synth_assets.exports.destination import check_file

    if out is None:
        return None
    path = Path(os.path.abspath(out))  # noqa: PTH100  keeps symbolic links
    read = None if source is None else path_of(source)
    check_file(path, sources=[] if read is None or "://" in read else [Path(read)])
    return path
