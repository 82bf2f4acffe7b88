"""The form that columns have while they are made: NumPy arrays, Arrow strings, and codes into a list of texts.

What belongs here: that form, taking rows, turning it into Arrow, a fixed-width text builder. What does not: drawing values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Coded:
    """Texts from a list: `codes` (shape (n,)) index into `values`."""

    codes: Ints
    values: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)


Values: TypeAlias = Coded | npt.NDArray[Any] | pa.Array
Part: TypeAlias = str | tuple[npt.NDArray[Any], int] | tuple[npt.NDArray[Any], int, str]


def take(values: Values, rows: npt.NDArray[np.int64]) -> Values:
    """The values of some rows, in the order of `rows`."""
    if isinstance(values, Coded):
        return Coded(values.codes[rows], values.values)
    if isinstance(values, np.ndarray):
        return np.asarray(values[rows])
    return values.take(pa.array(rows))


def to_arrow(values: Values) -> pa.Array:
    """Values in a canonical Arrow type: int64, double, string, bool, date32[day] or timestamp[us]."""
    if isinstance(values, Coded):
        return pa.array(values.values, pa.string()).take(pa.array(values.codes))
    if isinstance(values, np.ndarray):
        if values.dtype.kind == "M":
            day = np.datetime_data(values.dtype)[0] == "D"
            return pa.array(values.astype("datetime64[D]" if day else "datetime64[us]"))
        return pa.array(values)
    return values


def to_text(values: Values) -> pa.Array:
    """Values as Arrow strings: ISO dates, plain numbers."""
    array = to_arrow(values)
    return array if pa.types.is_string(array.type) else array.cast(pa.string())


def joined(parts: Sequence[pa.Array | str]) -> pa.Array:
    """Texts put together row by row; a `str` is the same in every row."""
    return pc.binary_join_element_wise(*[pa.scalar(p) if isinstance(p, str) else p for p in parts], "")


def fixed_width(n: int, parts: Sequence[Part]) -> pa.Array:
    """Texts of one width, without a loop over rows.

    Args:
        n: Number of rows.
        parts: In order: a literal text; or (numbers, width) for digits with leading zeros; or (numbers, width, alphabet) for
            the same in another alphabet, most significant character first.

    Returns:
        An Arrow string array of n rows.
    """
    width = sum(len(p) if isinstance(p, str) else p[1] for p in parts)
    matrix = np.empty((n, width), dtype=np.uint8)
    at = 0
    for part in parts:
        if isinstance(part, str):
            matrix[:, at : at + len(part)] = np.frombuffer(part.encode("ascii"), dtype=np.uint8)
            at += len(part)
            continue
        numbers, digits = part[0].astype(np.uint64), part[1]
        alphabet = np.frombuffer((part[2] if len(part) == 3 else "0123456789").encode("ascii"), dtype=np.uint8)
        base = np.uint64(len(alphabet))
        for place in range(at + digits - 1, at - 1, -1):
            numbers, digit = np.divmod(numbers, base)
            matrix[:, place] = alphabet[digit.astype(np.int64)]
        at += digits
    return from_matrix(matrix)


def from_matrix(matrix: npt.NDArray[np.uint8]) -> pa.Array:
    """An Arrow string array from ASCII bytes, shape (n, width)."""
    n, width = matrix.shape
    offsets = np.arange(n + 1, dtype=np.int64) * width
    large = pa.LargeStringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(matrix)))
    return large.cast(pa.string())


def to_matrix(texts: pa.Array, width: int) -> npt.NDArray[np.uint8]:
    """The bytes of texts that all have `width` ASCII characters and no null, shape (n, width)."""
    large = pa.concat_arrays([texts]).cast(pa.large_string())
    data = np.frombuffer(large.buffers()[2] or b"", dtype=np.uint8)
    return data[large.offset * width : (large.offset + len(large)) * width].reshape(len(large), width)
