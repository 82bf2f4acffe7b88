"""Columns of texts as bytes: an Arrow batch seen through numpy, so that a mask is a few passes over one buffer.

What belongs here: taking a batch apart, finding characters of a kind in it, putting it together. What does not: what the characters
become (forms.py), words of running text (mentions.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Array: TypeAlias = pa.Array | pa.ChunkedArray

DIGIT, CAPITAL, SMALL, OTHER = 1, 2, 3, 4  # kinds of bytes; OTHER: part of a character beyond ASCII
KIND: Bytes = np.zeros(256, np.uint8)
KIND[48:58], KIND[65:91], KIND[97:123], KIND[128:] = DIGIT, CAPITAL, SMALL, OTHER
_KINDS = KIND.tobytes()


@dataclass(frozen=True)
class Texts:
    """A batch of n texts.

    Args:
        data: Their UTF-8 bytes, one after the other.
        offsets: Shape (n + 1,): where each begins and the last one ends.
        valid: Shape (n,): False where the text is missing (it is empty then).
    """

    data: Bytes
    offsets: Places
    valid: Flags

    @staticmethod
    def of(column: Array) -> Texts:
        """The texts of an Arrow column."""
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks)
        if array.type != pa.string():
            array = array.cast(pa.string())
        if len(array) == 0:
            return Texts(np.zeros(0, np.uint8), np.zeros(1, np.int64), np.zeros(0, bool))
        valid = np.ones(len(array), bool) if array.null_count == 0 else array.is_valid().to_numpy(zero_copy_only=False)
        if not valid.all():
            array = array.fill_null("")
        _, ends, data = array.buffers()
        offsets = np.frombuffer(ends, np.int32)[array.offset : array.offset + len(array) + 1].astype(np.int64)
        raw = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
        return Texts(raw[offsets[0] : offsets[-1]], offsets - offsets[0], valid)

    def __len__(self) -> int:
        return len(self.valid)

    @property
    def lengths(self) -> Places:
        """Bytes per text, shape (n,)."""
        return np.diff(self.offsets)

    @cached_property
    def kinds(self) -> Bytes:
        """Kind of each byte."""
        return looked_up(self.data, _KINDS)

    @cached_property
    def digit_columns(self) -> Places | None:
        """The places of the digits within each text, where there are no letters and these are the same in all texts; else None."""
        if not self.width:
            return None
        columns = self.columns(self.kinds == DIGIT)
        return None if columns is None or not len(columns) or self.lettered else columns

    @cached_property
    def lettered(self) -> bool:
        """Whether any text has a letter."""
        return bool(len(self.data) and self.kinds.max() > DIGIT)

    @cached_property
    def width(self) -> int:
        """Bytes of each text where all have equally many, as in most columns of numbers; else 0."""
        width = len(self.data) // len(self) if len(self) else 0
        return width if width and bool((self.offsets[1:] - self.offsets[:-1] == width).all()) else 0

    def columns(self, marked: Flags) -> Places | None:
        """The places of marked bytes within each text, where these are the same in all texts; else None."""
        if not self.width:
            return None
        flags = marked.reshape(len(self), self.width)
        return np.flatnonzero(flags[0]) if (flags == flags[0]).all() else None

    def counts(self, marked: Flags) -> Places:
        """How many marked bytes each text has, shape (n,); `marked` has one flag per byte."""
        if not marked.any():
            return np.zeros(len(self), np.int64)
        total = np.concatenate([[0], np.cumsum(marked)])
        made: Places = total[self.offsets[1:]] - total[self.offsets[:-1]]
        return made

    def by_count(self, marked: Flags) -> Iterator[tuple[Places, Places]]:
        """The texts in groups that have equally many marked bytes, without those that have none.

        Yields:
            The group's rows, shape (m,), and the places of their marked bytes in `data`, shape (m, count).
        """
        columns = self.columns(marked)
        if columns is not None:
            if len(columns):
                yield np.arange(len(self)), self.offsets[:-1, None] + columns
            return
        places, counts = np.flatnonzero(marked), self.counts(marked)
        before = np.cumsum(counts) - counts
        for count in np.unique(counts[counts > 0]):
            rows = np.flatnonzero(counts == count)
            yield rows, places[before[rows][:, None] + np.arange(count)]

    def take(self, rows: Places) -> Texts:
        """Some of the texts."""
        if self.width and len(rows):
            data = self.data.reshape(len(self), self.width)[rows].reshape(-1)
            return Texts(data, np.arange(len(rows) + 1) * self.width, np.ones(len(rows), bool))
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return Texts(self.data[spans(self.offsets[rows], lengths)], offsets, self.valid[rows])

    def replaced(self, data: Bytes) -> Texts:
        """Texts of the same lengths with other bytes."""
        return Texts(data, self.offsets, self.valid)

    def with_digits(self, data: Bytes) -> Texts:
        """The same where only digits became other digits."""
        made = self.replaced(data)
        for known in ("kinds", "width", "digit_columns", "lettered"):
            if known in self.__dict__:
                made.__dict__[known] = self.__dict__[known]
        return made

    def to_arrow(self) -> pa.Array:
        """An Arrow array of strings."""
        offsets = self.offsets
        kind = pa.string() if offsets[-1] < 2**31 else pa.large_string()
        width = np.int32 if kind == pa.string() else np.int64
        mask = None if self.valid.all() else pa.array(self.valid).buffers()[1]
        missing = int(len(self) - self.valid.sum())
        buffers = [mask, pa.py_buffer(offsets.astype(width)), pa.py_buffer(np.ascontiguousarray(self.data))]
        return pa.Array.from_buffers(kind, len(self), buffers, missing)


def looked_up(data: Bytes, table: bytes) -> Bytes:
    """Each byte as a table of 256 has it."""
    return np.frombuffer(bytearray(data.data if data.flags.c_contiguous else data.tobytes()).translate(table), np.uint8)


_HIDING = np.array([(1 << 8 * i) - 1 for i in range(9)], np.uint64)


def words_at(data: Bytes, starts: Places, lengths: Places) -> npt.NDArray[np.uint64]:
    """The next eight bytes from some places as little-endian numbers, zeros from `lengths` bytes on, shape (n,).

    Args:
        data: Bytes, at least eight from every start on.
        starts: Shape (n,).
        lengths: Bytes that count, shape (n,); none where it is below 0.
    """
    words = np.ndarray((len(data) - 7,), "<u8", np.ascontiguousarray(data), 0, (1,))  # a number at every byte
    made: npt.NDArray[np.uint64] = words[starts] & _HIDING.take(lengths, mode="clip")
    return made


def spans(starts: Places, lengths: Places) -> Places:
    """Places of all bytes of some stretches, one stretch after the other."""
    ends = np.cumsum(lengths)
    made: Places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
    return made


def with_rows(texts: Texts, rows: Places, others: Texts) -> Texts:
    """The texts, with those of some rows replaced by others (in the order of `rows`)."""
    if texts.width and texts.width == others.width:
        table = texts.data.reshape(len(texts), texts.width).copy()
        table[rows] = others.data.reshape(len(others), others.width)
        return Texts(table.reshape(-1), texts.offsets, texts.valid)
    lengths, starts, valid = texts.lengths.copy(), texts.offsets[:-1].copy(), texts.valid.copy()
    lengths[rows], valid[rows] = others.lengths, others.valid
    starts[rows] = others.offsets[:-1] + len(texts.data)
    data = np.concatenate([texts.data, others.data])
    return Texts(data[spans(starts, lengths)], np.concatenate([[0], np.cumsum(lengths)]), valid)


@dataclass(frozen=True)
class Stretches:
    """Stretches of a batch of texts in order, none over another, and what stands there instead.

    Args:
        rows: The text, shape (s,).
        starts: First byte of the stretch, in `Texts.data`.
        ends: The byte after its last one.
        new_starts: First byte of what replaces it, in a sequence of bytes of its own.
        new_lengths: Bytes of what replaces it.
    """

    rows: Places
    starts: Places
    ends: Places
    new_starts: Places
    new_lengths: Places


def assembled(texts: Texts, places: Stretches, other: Bytes) -> Texts:
    """The texts with other bytes in some stretches.

    Args:
        texts: A batch.
        places: What to replace.
        other: The bytes that `places.new_starts` are about.
    """
    if not len(places.rows):
        return texts
    count = len(places.rows)
    upto = np.searchsorted(places.rows, np.arange(len(texts)), "right")
    starts = np.empty(2 * count + len(texts), np.int64)  # per text: gap, replacement, gap, replacement ... gap
    lengths = np.empty_like(starts)
    gaps = 2 * np.arange(count) + places.rows
    follows = np.concatenate([[False], places.rows[1:] == places.rows[:-1]])
    starts[gaps] = np.where(follows, np.roll(places.ends, 1), texts.offsets[places.rows])
    lengths[gaps] = places.starts - starts[gaps]
    starts[gaps + 1], lengths[gaps + 1] = places.new_starts + len(texts.data), places.new_lengths
    last = 2 * upto + np.arange(len(texts))
    some = upto > np.concatenate([[0], upto[:-1]])
    starts[last] = np.where(some, places.ends[upto - 1], texts.offsets[:-1])
    lengths[last] = texts.offsets[1:] - starts[last]
    offsets = np.concatenate([[0], np.cumsum(lengths)[last]])
    return Texts(np.concatenate([texts.data, other])[spans(starts, lengths)], offsets, texts.valid)
