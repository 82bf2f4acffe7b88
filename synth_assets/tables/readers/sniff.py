"""The dialect of a delimited text: delimiter, first lines that are no rows, header or not.

It works on a sample of the file; the reader checks every row against it.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from synth_assets.errors import SourceError

SAMPLE_BYTES = 1024**2
SAMPLE_RECORDS = 500
DELIMITERS = (",", "\t", ";", "|")
_SEP_LINE = re.compile(r'"?sep=(.)"?\s*')
_VALUE = re.compile(
    r"\s*([+-]?(\d[\d.,]*|[.,]\d+)([eE][+-]?\d+)?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?.{0,8})?)\s*"
)


@dataclass(frozen=True)
class Record:
    """One record of the sample: its cells and the physical lines it stands on (1-based, inclusive)."""

    cells: tuple[str, ...]
    first_line: int
    last_line: int

    @property
    def comment(self) -> bool:
        """Whether it starts as a comment line does."""
        return self.cells[0].startswith("#")


@dataclass(frozen=True)
class Dialect:
    """How to read a delimited text.

    Attributes:
        delimiter: One character.
        names: Header cells; invented nowhere here, empty when there is no header.
        width: Cells per row.
        data_line: 1-based physical line of the first row.
        data_offset: Byte offset of that line behind the start of the text.
        comments: Whether lines that start with # are comments.
        blanks_before_quotes: Whether a blank stands between delimiter and quote.
        lines_before: Lines with text before the header or the first row: comments, a `sep=` line.
    """

    delimiter: str
    names: tuple[str, ...]
    width: int
    data_line: int
    data_offset: int
    comments: bool
    blanks_before_quotes: bool
    lines_before: int = 0


def sniff(text: str, truncated: bool, *, delimiter: str | None, known: Collection[str], label: str) -> Dialect:
    """Find the dialect.

    Args:
        text: The start of the file, without BOM.
        truncated: Whether the file goes on behind it.
        delimiter: The delimiter that the configuration or the format names, if any.
        known: Column names that the configuration uses; where one stands in the first row, that row is the header.
        label: How messages name the file.

    Raises:
        SourceError: there is no row, or no header can be told from title lines.
    """
    skipped = 0
    lines = list(io.StringIO(text, newline=""))
    if truncated:
        lines = lines[:-1]
        if not lines:
            raise SourceError(
                f"the first line is longer than {SAMPLE_BYTES // 1024} KiB.",
                file=label,
                row=1,
                remedy="Give a file whose first line names the columns.",
            )
    if lines and (found := _SEP_LINE.fullmatch(lines[0])):
        delimiter, skipped = delimiter or found.group(1), 1
    if not any(line.strip(" \t\r\n\x1a,;|") for line in lines[skipped:]):
        raise SourceError(
            "the file holds no cell with a value.", file=label, remedy="Give a file with a header and rows."
        )
    delimiter = delimiter or _best_delimiter(lines[skipped:], text)
    blanks = _blanks_before_quotes(text, delimiter)
    records = [_shifted(r, skipped) for r in _records(lines[skipped:], delimiter, blanks)]
    width = _usual_width(records)
    body = [r for r in records if not (r.comment and len(r.cells) != width)]
    comments = len(body) < len(records)
    if '"' not in text:
        _refuse_apostrophes(lines[skipped:], delimiter, records, label)
    _refuse_titles(body, label)
    _refuse_odd_layout(body, delimiter, label)
    header = _has_header(body, known)
    first = body[0].last_line if header else body[0].first_line - 1
    before = lines[: body[0].first_line - 1]
    return Dialect(
        delimiter=delimiter,
        names=body[0].cells if header else (),
        width=len(body[0].cells),
        data_line=first + 1,
        data_offset=sum(len(line.encode()) for line in lines[:first]),
        comments=comments,
        blanks_before_quotes=blanks,
        lines_before=sum(bool(line.strip()) for line in before),
    )


def _shifted(record: Record, lines: int) -> Record:
    return replace(record, first_line=record.first_line + lines, last_line=record.last_line + lines)


def _records(lines: Sequence[str], delimiter: str, blanks: bool) -> list[Record]:
    """The first records; blank lines are left out."""
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=blanks)
    found: list[Record] = []
    previous = 0
    for cells in reader:
        if cells:
            found.append(Record(tuple(cells), previous + 1, reader.line_num))
        previous = reader.line_num
        if len(found) >= SAMPLE_RECORDS:
            break
    return found


def _widths(records: Sequence[Record]) -> list[int]:
    plain = [len(r.cells) for r in records if not r.comment]
    return plain or [len(r.cells) for r in records]


def _usual_width(records: Sequence[Record]) -> int:
    """The most frequent number of cells; the header decides a tie."""
    widths = _widths(records)
    counts = Counter(widths)
    return max(counts, key=lambda w: (counts[w], w == widths[0]))


def _blanks_before_quotes(text: str, delimiter: str) -> bool:
    """Whether quoted cells start behind a blank, as in `1, "a"`."""
    between = re.escape(delimiter)
    return re.search(rf'(^|{between}) +"[^"{between}\r\n]', text, re.MULTILINE) is not None


def _best_delimiter(lines: Sequence[str], text: str) -> str:
    """The candidate under which most records have the usual width, if that is above 1; a comma for a single column."""
    best, best_score = ",", (0.0, False, 0)
    for candidate in DELIMITERS:
        records = _records(lines, candidate, _blanks_before_quotes(text, candidate))
        usual = _usual_width(records) if records else 1
        if usual < 2:
            continue
        widths = _widths(records)
        score = (round(widths.count(usual) / len(widths), 2), widths[0] == usual, usual)
        if score > best_score:
            best, best_score = candidate, score
    return best


def _refuse_apostrophes(lines: Sequence[str], delimiter: str, records: Sequence[Record], label: str) -> None:
    """Cells quoted with ' hold delimiters that would cut them."""
    usual = _usual_width(records)
    if all(len(r.cells) == usual for r in records) or not any("'" in line for line in lines):
        return
    again = [cells for cells in csv.reader(lines, delimiter=delimiter, quotechar="'") if cells]
    if len({len(cells) for cells in again}) == 1 and len(again) > 1:
        raise SourceError(
            "cells are quoted with apostrophes (').",
            file=label,
            remedy='Write the file with double quotes (").',
        )


def _refuse_titles(body: Sequence[Record], label: str) -> None:
    """A sheet saved with title lines above its header."""
    first = body[0]
    width = _usual_width(body)
    agreeing = [r for r in body if len(r.cells) == width]
    if len(first.cells) < width and len(agreeing) >= 2 and any(any(r.cells[len(first.cells) :]) for r in agreeing):
        header = agreeing[0]
        raise _titles(
            f"line {first.first_line} has {_cells(len(first.cells))}, the other lines have {width}", header, label
        )
    filled = sum(bool(cell.strip()) for cell in first.cells)
    if 1 <= filled < len(first.cells) / 2:
        for record in body[1:40]:
            if len(record.cells) == width and sum(bool(c.strip()) for c in record.cells) > max(filled, width / 2):
                raise _titles(
                    f"{width - filled} of {width} header cells in line {first.first_line} are empty", record, label
                )


def _titles(problem: str, header: Record, label: str) -> SourceError:
    return SourceError(
        f"{problem}: title lines seem to stand above the header.",
        file=label,
        row=header.first_line,
        remedy=f"Delete the lines before line {header.first_line}, and totals or footnotes below the rows.",
    )


def _cells(count: int) -> str:
    return f"{count} cell" if count == 1 else f"{count} cells"


def _refuse_odd_layout(body: Sequence[Record], delimiter: str, label: str) -> None:
    """Two-character delimiters and fixed-width columns would read as nonsense."""
    first = body[0].cells
    if len(first) >= 3 and len(first) % 2 == 1 and all(not any(r.cells[1::2]) for r in body) and any(first[2::2]):
        raise SourceError(
            "the delimiter seems to have two characters.",
            file=label,
            remedy=f"Write the file with a single {delimiter!r} between cells.",
        )
    if (
        len(first) == 1
        and len(body) > 1
        and all(re.search(r"\S {2,}\S", r.cells[0]) for r in body if len(r.cells) == 1)
    ):
        raise SourceError(
            "the file has no delimiter; it looks like fixed-width text.",
            file=label,
            remedy="Write it as CSV, or name its `delimiter`.",
        )


def _has_header(body: Sequence[Record], known: Collection[str]) -> bool:
    """Whether the first record names the columns.

    Columns whose rows are all numbers or dates vote: a first cell that is none of these is a name; one that is, is a value.
    """
    first = [cell.strip() for cell in body[0].cells]
    if any(cell in known for cell in first if cell):
        return True
    if len(body) == 1:
        return not any(_VALUE.fullmatch(cell) for cell in first) or len(first) == 1
    if _labels(first):
        return True
    for_header = against = 0
    for i, cell in enumerate(first):
        values = [r.cells[i] for r in body[1:100] if i < len(r.cells) and r.cells[i].strip()]
        if not values or not all(_VALUE.fullmatch(v) for v in values):
            continue
        if not _VALUE.fullmatch(cell):
            for_header += 1
        elif not _year(cell):
            against += 1
    return against <= for_header


def _year(cell: str) -> bool:
    return cell.isdecimal() and len(cell) == 4 and 1800 <= int(cell) <= 2200


def _labels(first: Sequence[str]) -> bool:
    """Number cells that are labels: distinct years, or 0, 1, 2, ... as data frames number their columns."""
    if not all(c.isdecimal() and c.isascii() for c in first) or len(first) < 2:
        return False
    numbers = [int(c) for c in first]
    return len(set(numbers)) == len(numbers) and (all(map(_year, first)) or numbers == list(range(len(numbers))))
