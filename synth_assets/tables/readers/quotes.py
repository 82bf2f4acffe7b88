"""Are the quotes of a delimited file well formed? Parsers read on silently past an open quote; this finds it first.

A quote opens a cell only at the cell's start; inside an unquoted cell it is a character. The common case is checked with array
operations; a file with quotes inside unquoted cells (inch signs) is walked quote by quote.
"""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth_assets.errors import SourceError
from synth_assets.tables.readers.encoding import line_at

BLOCK_BYTES = 16 * 1024**2
_QUOTE, _LF, _CR = 34, 10, 13


@dataclass(frozen=True)
class QuoteFacts:
    """Whether a file has quotes, and line ends inside quoted cells."""

    any_quote: bool
    line_ends_inside: bool


def check_quotes(path: Path, *, start: int, delimiter: str, label: str) -> QuoteFacts:
    """Check every quote of a file.

    Args:
        path: UTF-8 text.
        start: Byte offset of the first row.
        delimiter: One ASCII character.
        label: How messages name the file.

    Raises:
        SourceError: a quote never closes, or text follows a closing quote; names the line.
    """
    size = path.stat().st_size
    if size <= start:
        return QuoteFacts(False, False)
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        facts = _scan(data, start, ord(delimiter))
        if facts is None:
            facts = _walk(path, data, start, delimiter, label)
    return facts


def _scan(data: mmap.mmap, start: int, delimiter: int) -> QuoteFacts | None:
    """The facts where every quote belongs to a quoted cell, else None. Inside is where the count of quotes before is odd."""
    ends = np.array([delimiter, _LF, _CR, _QUOTE], dtype=np.uint8)
    count, inside = 0, False
    for first in range(start, len(data), BLOCK_BYTES):
        _forget(data, first)
        last = min(first + BLOCK_BYTES, len(data))
        block = np.frombuffer(data[first:last], dtype=np.uint8)
        quotes = np.flatnonzero(block == _QUOTE)
        if not quotes.size:
            inside = inside or (count % 2 == 1 and bool(np.isin(block, ends[1:3]).any()))
            continue
        before = np.frombuffer(data[max(first - 1, start) : last - 1], dtype=np.uint8)
        if first == start:
            before = np.concatenate([np.array([_LF], dtype=np.uint8), before])
        after = np.frombuffer(data[first + 1 : last + 1], dtype=np.uint8)
        if after.size < block.size:
            after = np.append(after, np.uint8(_LF))
        odd = (count + np.arange(quotes.size)) % 2 == 1
        neighbours = np.where(odd, after[quotes], before[quotes])
        if not np.isin(neighbours, ends).all():
            return None
        if not inside:
            breaks = np.flatnonzero((block == _LF) | (block == _CR))
            inside = bool((((np.searchsorted(quotes, breaks) + count) % 2) == 1).any())
        count += quotes.size
    return None if count % 2 else QuoteFacts(count > 0, inside)


def _walk(path: Path, data: mmap.mmap, start: int, delimiter: str, label: str) -> QuoteFacts:
    """Go from quote to quote; exact for every file."""
    ends = {ord(delimiter), _LF, _CR}
    next_end = re.compile(b"[" + re.escape(delimiter.encode()) + b"\r\n]")
    position, inside, kept = start, False, start
    while (quote := data.find(b'"', position)) >= 0:
        if quote - kept > BLOCK_BYTES:
            _forget(data, quote)
            kept = quote
        if quote > start and data[quote - 1] not in ends:
            found = next_end.search(data, quote)
            if found is None:
                break
            position = found.end()
            continue
        close = _closing(data, quote)
        if close is None:
            raise _fault("a quote opens here and never closes.", path, quote, label)
        if close + 1 < len(data) and data[close + 1] not in ends:
            raise _fault("text stands behind a closing quote.", path, quote, label)
        inside = inside or _line_ends(data, quote, close)
        position = close + 1
    return QuoteFacts(True, inside)


def _forget(data: mmap.mmap, position: int) -> None:
    """Give the pages before a position back; mapped pages count as memory of this process."""
    whole = position // mmap.PAGESIZE * mmap.PAGESIZE
    if whole:
        data.madvise(mmap.MADV_DONTNEED, 0, whole)


def _closing(data: mmap.mmap, quote: int) -> int | None:
    """Offset of the quote that closes the cell opened at `quote`; doubled quotes belong to the cell."""
    position = quote + 1
    while (found := data.find(b'"', position)) >= 0:
        if found + 1 < len(data) and data[found + 1] == _QUOTE:
            position = found + 2
            continue
        return found
    return None


def _line_ends(data: mmap.mmap, first: int, last: int) -> bool:
    """Whether a line ends between two offsets."""
    return data.find(b"\n", first, last) >= 0 or data.find(b"\r", first, last) >= 0


def _fault(message: str, path: Path, offset: int, label: str) -> SourceError:
    return SourceError(
        message,
        file=label,
        row=line_at(path, offset),
        remedy='Inside a quoted cell a quote is written twice (""); a cell is quoted as a whole or not at all.',
    )
