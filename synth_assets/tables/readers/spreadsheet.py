"""Excel workbooks (.xlsx) to staged Parquet: one sheet, first row that is not empty as header, streamed row by row."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from synth_assets.errors import SourceError
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.readers.naming import shown
from synth_assets.tables.readers.objects import CHUNK_ROWS, RowStager
from synth_assets.tables.readers.staging import Part, Staged

_MOST_EMPTY_ROWS_BETWEEN = 1_000


def read_excel(path: Path, *, sheet: str | None, workspace: Path, limits: Limits, label: str) -> Staged:
    """Stage one sheet.

    Args:
        path: A workbook.
        sheet: Its name; the first sheet when None.
        workspace: Private folder for staged files.
        limits: Bounds of one read.
        label: How messages name the file.

    Raises:
        SourceError: the workbook is damaged, expands beyond the limits, has no such sheet, no header or no rows.
    """
    _refuse_bomb(path, limits, label)
    with _sheet(path, sheet, label) as (title, rows):
        header_row, header = _header(rows, label, title)
        if len(header) > limits.columns:
            raise SourceError(f"the sheet has {len(header)} columns; at most {limits.columns} are read.", file=label)
        stager = RowStager(header, workspace / f"{path.name}.staged.parquet", label)
        body = _rows(rows, len(header), header_row, label)
        while chunk := list(islice(body, CHUNK_ROWS)):
            stager.add(chunk)
    if not stager.rows:
        raise SourceError(
            f"sheet {title!r} has a header and no rows.", file=label, remedy="Give a sheet with at least one row."
        )
    types = stager.finish()
    return Staged(
        names=tuple(header),
        types=types,
        parts=(Part(workspace / f"{path.name}.staged.parquet", label, partial(_line_of, header_row)),),
        facts={"format": "excel", "sheet": title, "header": True},
    )


def _line_of(header_row: int, row: int) -> int:
    return header_row + 1 + row


def _refuse_bomb(path: Path, limits: Limits, label: str) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            expanded = sum(item.file_size for item in archive.infolist())
    except (zipfile.BadZipFile, OSError):
        raise SourceError("the workbook is damaged.", file=label, remedy="Save it again in Excel.") from None
    ratio = expanded / max(path.stat().st_size, 1)
    if expanded > limits.expanded_bytes or (expanded > limits.free_expansion_bytes and ratio > limits.expansion_ratio):
        raise SourceError(
            f"the workbook expands to {expanded} bytes, {ratio:.0f} times its size.",
            file=label,
            remedy="Export it as CSV.",
        )


@contextmanager
def _sheet(path: Path, sheet: str | None, label: str) -> Iterator[tuple[str, Iterator[tuple[Any, ...]]]]:
    """Title and rows of one sheet. openpyxl warns about styles and quotes cells in its errors: both stay inside."""
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        except Exception:  # noqa: BLE001  a foreign text may quote a cell
            raise SourceError(
                "the workbook cannot be opened.", file=label, remedy="Save it again as .xlsx without a password."
            ) from None
        try:
            names = [w.title for w in book.worksheets]
            if not names or (sheet is not None and sheet not in names):
                raise SourceError(
                    "the workbook has no such sheet.",
                    file=label,
                    key="source.sheet",
                    remedy=f"Its sheets are {shown(names)}.",
                )
            found = book[sheet] if sheet is not None else book.worksheets[0]
            yield found.title, _values(found, label)
        finally:
            book.close()


def _values(sheet: Any, label: str) -> Iterator[tuple[Any, ...]]:
    try:
        sheet.reset_dimensions()
        yield from sheet.iter_rows(values_only=True)
    except Exception:  # noqa: BLE001  a foreign text may quote a cell
        raise SourceError("the sheet is damaged.", file=label, remedy="Save the workbook again in Excel.") from None


def _empty(row: Sequence[Any]) -> bool:
    return all(v is None or v == "" for v in row)


def _header(rows: Iterator[tuple[Any, ...]], label: str, title: str) -> tuple[int, list[str]]:
    """Row number and names of the header."""
    for number, row in enumerate(rows, 1):
        if _empty(row):
            continue
        names = ["" if v is None else str(v) for v in row]
        while names and not names[-1].strip():
            names.pop()
        return number, names
    raise SourceError(f"sheet {title!r} is empty.", file=label, remedy="Give a sheet with a header and rows.")


def _rows(rows: Iterator[tuple[Any, ...]], width: int, header_row: int, label: str) -> Iterator[list[Any]]:
    """Rows of the header's width; empty rows count only where a row with values follows."""
    held = 0
    for number, row in enumerate(rows, header_row + 1):
        if _empty(row):
            held += 1
            continue
        if held > _MOST_EMPTY_ROWS_BETWEEN:
            raise SourceError(
                f"{held} empty rows stand above this one.", file=label, row=number, remedy="Keep one table per sheet."
            )
        for _ in range(held):
            yield [None] * width
        held = 0
        if any(v is not None and v != "" for v in row[width:]):
            raise SourceError(
                f"a cell stands to the right of the {width} header cells.",
                file=label,
                row=number,
                remedy="Give every column a name.",
            )
        cells = [_cell(v) for v in row[:width]]
        yield cells + [None] * (width - len(cells))


def _cell(value: Any) -> Any:
    """Whole floats stay floats; a date is a datetime at midnight in a workbook."""
    if isinstance(value, datetime) and value.time() == time() and value.tzinfo is None:
        return value.date()
    return value
