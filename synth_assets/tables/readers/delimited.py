"""CSV and TSV to staged Parquet: every cell as text, in blocks, with every row checked for its number of cells.

The parser (pyarrow) streams; quotes are checked before it (quotes.py), since it reads on past an open one without a word.
"""

from __future__ import annotations

import csv
import mmap
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from synth_assets.errors import ConfigError, SourceError
from synth_assets.tables.readers import sniff
from synth_assets.tables.readers.encoding import TextFile, as_utf8
from synth_assets.tables.readers.limits import MIB, Limits
from synth_assets.tables.readers.quotes import check_quotes
from synth_assets.tables.readers.staging import Part, Staged, StagedType, positions, staged_schema, staged_writer

BLOCK_BYTES = 8 * MIB
LARGEST_ROW_BYTES = 512 * MIB
_BOM = "\ufeff"


@dataclass
class _RowFaults:
    """What the parser met in rows of another width."""

    comments: bool
    skipped: int = 0
    marks: int = 0
    empty_lines: bool = False
    ended: bool = False
    bad: list[int] = field(default_factory=list)

    def __call__(self, row: Any) -> Literal["skip", "error"]:
        if self.comments and row.text.startswith("#"):
            self.skipped += 1
            return "skip"
        if row.text.strip() == "\x1a":
            self.ended = True
            return "skip"
        self.bad.append(row.actual_columns)
        return "error"


def read_delimited(
    path: Path,
    *,
    delimiter: str | None,
    encoding: str | None,
    known: Collection[str],
    workspace: Path,
    limits: Limits,
    label: str,
) -> Staged:
    """Stage one delimited file.

    Args:
        path: Local file, not compressed.
        delimiter: As the configuration names it; sniffed when None.
        encoding: As the configuration names it; recognised when None.
        known: Column names that the configuration uses.
        workspace: Private folder for staged files.
        limits: Bounds of one read.
        label: How messages name the file.

    Raises:
        SourceError: the file cannot be read as one table; names the line.
    """
    text = as_utf8(path, declared=encoding, workspace=workspace, label=label)
    text, dialect = _understood(text, delimiter, known, workspace, label)
    if dialect.width > limits.columns:
        raise SourceError(f"the table has {dialect.width} columns; at most {limits.columns} are read.", file=label)
    staged = workspace / f"{path.name}.staged.parquet"
    faults = _RowFaults(dialect.comments)
    rows = _stage(text, dialect, staged, faults, label)
    if faults.bad:
        squared = _squared(text, dialect, workspace, label)
        rows = _stage(
            squared, replace(dialect, data_offset=0, comments=False), staged, _RowFaults(comments=False), label
        )
    if not rows:
        raise SourceError(
            "the file has a header and no rows.",
            file=label,
            remedy="An empty table cannot be used; give a file with at least one row.",
        )
    return Staged(
        names=dialect.names or tuple("" for _ in range(dialect.width)),
        types=_texts(dialect.width),
        parts=(Part(staged, label, partial(_line_of, text, dialect)),),
        facts={
            "format": "csv",
            "delimiter": dialect.delimiter,
            "encoding": text.encoding,
            "header": bool(dialect.names),
        },
        notes=[*text.notes, *_notes(dialect, faults)],
        header_found=bool(dialect.names),
    )


def _understood(
    text: TextFile, delimiter: str | None, known: Collection[str], workspace: Path, label: str
) -> tuple[TextFile, sniff.Dialect]:
    """The dialect of a text, and the text itself, rewritten where blanks stand between delimiters and quotes."""
    if delimiter is not None and (not delimiter.isascii() or delimiter in '"\r\n'):
        raise ConfigError("the delimiter must be one ASCII character, and no quote.", key="source.delimiter")
    dialect = sniff.sniff(*_sample(text), delimiter=delimiter, known=known, label=label)
    if not dialect.delimiter.isascii():
        raise SourceError("the delimiter is no ASCII character.", file=label, remedy="Write the file with commas.")
    if not dialect.blanks_before_quotes:
        return text, dialect
    plain = _rewritten(text, dialect, workspace, label)
    return plain, sniff.sniff(*_sample(plain), delimiter=dialect.delimiter, known=known, label=label)


def _texts(count: int) -> tuple[StagedType, ...]:
    text: StagedType = "text"
    return (text,) * count


def _notes(dialect: sniff.Dialect, faults: _RowFaults) -> list[str]:
    notes = []
    if not dialect.names:
        notes.append("the first row holds values, so the file has no header; columns were named column_<position>.")
    if dialect.lines_before:
        notes.append(f"{dialect.lines_before} line(s) before the header were left out.")
    if faults.empty_lines:
        notes.append("the only column has empty cells or empty lines; both count as rows without a value.")
    if faults.marks:
        notes.append(f"a BOM (U+FEFF) in front of {faults.marks} row(s) was left out: files were put together.")
    if faults.bad:
        notes.append("rows with more or fewer empty cells at their end were brought to the header's width.")
    if faults.skipped:
        notes.append(f"{faults.skipped} comment line(s) between the rows were left out.")
    if faults.ended:
        notes.append("a DOS end-of-file mark (0x1A) at the end was left out.")
    return notes


def _sample(text: TextFile) -> tuple[str, bool]:
    """The start of the text, and whether more follows."""
    with text.path.open("rb") as handle:
        handle.seek(text.start)
        data = handle.read(sniff.SAMPLE_BYTES + 1)
    return data[: sniff.SAMPLE_BYTES].decode("utf-8", "ignore"), len(data) > sniff.SAMPLE_BYTES


def _stage(text: TextFile, dialect: sniff.Dialect, staged: Path, faults: _RowFaults, label: str) -> int:
    """Parse and write, and give the number of rows; a row that is longer than a block is tried again with larger blocks."""
    quotes = check_quotes(text.path, start=text.start, delimiter=dialect.delimiter, label=label)
    block = BLOCK_BYTES
    while True:
        try:
            return _parse(text, dialect, staged, faults, line_ends_inside=quotes.line_ends_inside, block=block)
        except pa.ArrowInvalid as error:
            if faults.bad:
                return 0
            if "Empty CSV file" in str(error):
                return 0
            if "straddling" not in str(error):
                raise SourceError("the file cannot be parsed as delimited text.", file=label) from None
            block *= 8
            if block > LARGEST_ROW_BYTES:
                raise SourceError(
                    f"a row is longer than {LARGEST_ROW_BYTES // MIB} MiB.",
                    file=label,
                    remedy="Look for a quote that is not closed.",
                ) from None


def _parse(
    text: TextFile, dialect: sniff.Dialect, staged: Path, faults: _RowFaults, *, line_ends_inside: bool, block: int
) -> int:
    columns = positions(dialect.width)
    schema = staged_schema(_texts(dialect.width))
    rows = 0
    with text.path.open("rb") as handle, staged_writer(staged, schema) as writer:
        handle.seek(text.start + dialect.data_offset)
        if not handle.read(1):
            return 0
        handle.seek(-1, 1)
        alone = dialect.width == 1
        reader = pacsv.open_csv(
            _WithoutLastEmptyLines(handle, text.path) if alone else handle,
            read_options=pacsv.ReadOptions(use_threads=False, column_names=columns, block_size=block),
            parse_options=pacsv.ParseOptions(
                delimiter=dialect.delimiter,
                newlines_in_values=line_ends_inside,
                invalid_row_handler=faults,
                ignore_empty_lines=not alone,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                check_utf8=False,
            ),
        )
        for batch in reader:
            rows += batch.num_rows
            faults.empty_lines = faults.empty_lines or (alone and batch.column(0).null_count > 0)
            writer.write_batch(_without_bom(batch, faults))
    return rows


class _WithoutLastEmptyLines:
    """A file up to its last line with text: in a file of one column an empty line is a row without a value, but not at the end."""

    closed = False

    def __init__(self, handle: IO[bytes], path: Path) -> None:
        self._handle = handle
        with path.open("rb") as whole, mmap.mmap(whole.fileno(), 0, access=mmap.ACCESS_READ) as data:
            end = len(data)
            while end and data[end - 1] in b"\r\n":
                end -= 1
        self._end = max(end, handle.tell())

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        left = self._end - self._handle.tell()
        return self._handle.read(left if size < 0 else min(size, left))

    def readable(self) -> bool:
        """As of a file."""
        return True

    def close(self) -> None:
        """The file belongs to the caller."""


def _without_bom(batch: pa.RecordBatch, faults: _RowFaults) -> pa.RecordBatch:
    """Files glued together have a BOM in front of a later row; it belongs to no value."""
    first = batch.column(0)
    marked = pc.sum(pc.starts_with(first, _BOM)).as_py()
    if not marked:
        return batch
    faults.marks += marked
    return batch.set_column(0, batch.schema.field(0), pc.utf8_ltrim(first, _BOM))


def _reader(handle: Any, dialect: sniff.Dialect) -> Any:
    csv.field_size_limit(2**31 - 1)
    return csv.reader(handle, delimiter=dialect.delimiter, skipinitialspace=dialect.blanks_before_quotes)


def _rows_with_lines(text: TextFile, dialect: sniff.Dialect) -> Any:
    """Cells and 1-based first line of every row that is no comment; slow, for messages only."""
    with text.path.open(encoding="utf-8", newline="") as handle:
        handle.seek(text.start)
        for _ in range(dialect.data_line - 1):
            handle.readline()
        reader = _reader(handle, dialect)
        previous = 0
        for record in reader:
            cells = record or ([""] if dialect.width == 1 else [])
            comment = dialect.comments and bool(cells) and cells[0].startswith("#") and len(cells) != dialect.width
            if cells and not comment:
                yield cells, dialect.data_line + previous
            previous = reader.line_num


def _squared(text: TextFile, dialect: sniff.Dialect, workspace: Path, label: str) -> TextFile:
    """The rows of a file in which only empty cells at the end are too many, or only cells of nameless last columns are missing.

    Raises:
        SourceError: a row differs in any other way.
    """
    copy = workspace / f"{text.path.name}.squared"
    named = max((i for i, name in enumerate(dialect.names, 1) if name.strip()), default=dialect.width)
    with copy.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, delimiter=dialect.delimiter, lineterminator="\r\n")
        for cells, _ in _rows_with_lines(text, dialect):
            if not named <= len(cells) <= dialect.width and (len(cells) < named or any(cells[dialect.width :])):
                raise _ragged(text, dialect, label)
            writer.writerow((cells + [""] * dialect.width)[: dialect.width])
    return TextFile(copy, 0, text.encoding, text.notes)


def _ragged(text: TextFile, dialect: sniff.Dialect, label: str) -> SourceError:
    """The first rows of a wrong width, by line."""
    lines: list[tuple[int, int]] = []
    for cells, line in _rows_with_lines(text, dialect):
        if len(cells) != dialect.width:
            lines.append((line, len(cells)))
            if len(lines) > 5:
                break
    if not lines:
        return SourceError("a row has another number of cells than the header.", file=label)
    others = [str(line) for line, _ in lines[1:5]]
    more = f" Other such lines: {', '.join(others)}{' and more' if len(lines) > 5 else ''}." if others else ""
    count = f"{lines[0][1]} cell{'s' if lines[0][1] != 1 else ''}"
    what = "header" if dialect.names else "first row"
    return SourceError(
        f"the row has {count}, the {what} has {dialect.width}.{more}",
        file=label,
        row=lines[0][0],
        remedy="Quote cells that hold the delimiter, complete short rows, or name the `delimiter`.",
    )


def _line_of(text: TextFile, dialect: sniff.Dialect, row: int) -> int:
    for index, (_, line) in enumerate(_rows_with_lines(text, dialect)):
        if index == row:
            return int(line)
    return row + dialect.data_line


def _rewritten(text: TextFile, dialect: sniff.Dialect, workspace: Path, label: str) -> TextFile:
    """The same table without blanks behind delimiters, so that quotes stand at the start of their cells."""
    copy = workspace / f"{text.path.name}.plain"
    with text.path.open(encoding="utf-8", newline="") as source, copy.open("w", encoding="utf-8", newline="") as target:
        source.seek(text.start)
        csv.field_size_limit(2**31 - 1)
        reader = csv.reader(source, delimiter=dialect.delimiter, skipinitialspace=True, strict=True)
        writer = csv.writer(target, delimiter=dialect.delimiter, lineterminator="\r\n")
        try:
            writer.writerows(reader)
        except csv.Error:
            raise SourceError(
                "a quoted cell is not well formed: text stands behind its closing quote, or it never closes.",
                file=label,
                row=reader.line_num,
                remedy='Inside a quoted cell a quote is written twice ("").',
            ) from None
    return TextFile(copy, 0, text.encoding, (*text.notes, "blanks behind delimiters were removed."))
