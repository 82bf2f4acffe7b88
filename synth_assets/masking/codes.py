"""A number for every identifier, the same however it is spelled, by which values are compared: 64 bits instead of a text.

What belongs here: the number. What does not: the search of the leak check, which looks for parts of texts too (canonical.py). Numbers
of up to 18 digits are told apart exactly; of others, two in 2**63 may share one, which costs a pseudonym drawn again in vain.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.masking.ff1 import Integers
from synth_assets.masking.texts import DIGIT, OTHER, Array, Bytes, Flags, Places, Texts

EXACT = 18  # digits
_POWERS = (10 ** np.arange(EXACT + 1, dtype=np.uint64)).astype(np.uint64)
_FLOAT = 15
_FLOAT_POWERS = 10.0 ** np.arange(_FLOAT - 1, -1, -1)
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_LOWER: Bytes = np.arange(256, dtype=np.uint8)
_LOWER[65:91] += 32
_HASHED = np.uint64(1 << 63)
WITHOUT_COUNTRY = (10**10, 2 * 10**10 - 1)  # numbers that may stand for ten digits or for those and the country code 1


def codes(column: Array) -> pa.Array:
    """The numbers of identifiers: letters and digits count, in any letter case; the country code 1 of an 11-digit number does not.

    Args:
        column: Texts.

    Returns:
        int64, null for a missing text and for one without letters and digits.
    """
    return codes_of(Texts.of(column))


def codes_of(texts: Texts) -> pa.Array:
    """As `codes`, of texts that were taken apart already."""
    columns = texts.digit_columns
    if columns is not None:
        return pa.array(_of_digits(np.take(texts.data.reshape(len(texts), -1), columns, axis=1)).view(np.int64))
    if texts.lettered:
        texts = _plain(texts)
        return _masked(of_plain(texts), texts.lengths > 0)
    kinds = texts.kinds
    made, filled = np.zeros(len(texts), np.uint64), np.zeros(len(texts), bool)
    for rows, places in texts.by_count(kinds == DIGIT):
        made[rows], filled[rows] = _of_digits(texts.data[places]), True
    return _masked(made, filled)


def _of_digits(digits: Bytes) -> Integers:
    """The numbers of rows of ASCII digits, shape (n, length)."""
    count, length = digits.shape
    if length > EXACT:
        offsets = np.arange(count + 1) * length
        return hashed(Texts(digits.reshape(-1), offsets, np.ones(count, bool))) | _HASHED
    made = number(digits) + _POWERS[length]
    if length == len("16175550123"):  # the country code
        made -= np.where(digits[:, 0] == ord("1"), _POWERS[length], np.uint64(0))
    return made


def number_codes(column: Array) -> pa.Array:
    """The numbers of whole numbers, those of their digits as text; null for a missing one."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    values = np.abs((array.fill_null(0) if array.null_count else array).to_numpy()).view(np.uint64)
    if (values >= _POWERS[EXACT]).any():
        return codes(array.cast(pa.string()))
    lengths = np.maximum(np.searchsorted(_POWERS, values, "right"), 1)
    made = values + _POWERS[lengths]
    made -= np.where((lengths == len("16175550123")) & (values < 2 * _POWERS[10]), _POWERS[11], np.uint64(0))
    return pa.array(made.view(np.int64), mask=missing)


def digit_codes(column: Array) -> pa.Array:
    """The numbers of the digits of texts that also have letters and nine digits or more; null for others."""
    texts = Texts.of(column)
    kinds = texts.kinds
    if not (kinds > DIGIT).any():
        return pa.nulls(len(texts), pa.int64())
    digits = texts.counts(kinds == DIGIT)
    wanted = (digits >= 9) & (texts.counts(kinds > DIGIT) > 0)
    return _masked(of_plain(_only(texts, kinds == DIGIT)), wanted)


def exact_codes(column: Array) -> pa.Array:
    """The numbers of texts in which every character counts but not its letter case; null for a missing text."""
    return exact_codes_of(Texts.of(column))


def exact_codes_of(texts: Texts) -> pa.Array:
    """As `exact_codes`, of texts that were taken apart already."""
    return _masked(hashed(_lower(texts)) | _HASHED, texts.valid)


def of_plain(texts: Texts) -> Integers:
    """The numbers of texts that have nothing but small letters and digits, shape (n,)."""
    kinds = texts.kinds
    other = texts.counts(kinds != DIGIT)
    lengths = texts.lengths
    made = np.zeros(len(texts), np.uint64)
    exact = (other == 0) & (lengths <= EXACT)
    for length in np.unique(lengths[exact]):
        rows = np.flatnonzero(exact & (lengths == length))
        made[rows] = _of_digits(texts.data[texts.offsets[rows][:, None] + np.arange(length)])
    rows = np.flatnonzero(~exact)
    if len(rows):
        made[rows] = hashed(texts.take(rows)) | _HASHED
    return made


def number(digits: Bytes) -> Integers:
    """Rows of ASCII digits as whole numbers.

    Args:
        digits: Shape (n, length), length at most 18.
    """
    made = np.zeros(len(digits), np.uint64)
    for start in range(0, digits.shape[1], _FLOAT):  # what a product of floats holds exactly
        part = digits[:, start : start + _FLOAT] - np.uint8(48)
        width = part.shape[1]
        made = made * _POWERS[width] + (part.astype(np.float64) @ _FLOAT_POWERS[-width:]).astype(np.uint64)
    return made


def hashed(texts: Texts) -> Integers:
    """64 bits per text, without a key: equal texts have equal ones, and other texts rarely the same, shape (n,)."""
    return stretches(texts.data.astype(np.uint64), texts.offsets[:-1], texts.offsets[1:])


def stretches(values: Integers, starts: Places, ends: Places) -> Integers:
    """A hash of each stretch of a sequence, whatever stands around it.

    A polynomial modulo 2**64 by running sums, mixed at the end: one pass for all stretches, which may overlap.

    Args:
        values: The sequence, shape (n,).
        starts: First place of each stretch.
        ends: The place after its last one.
    """
    powers, inverses = _powers(len(values) + 1)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum((values + np.uint64(1)) * powers[: len(values)])])
    made = (sums[ends] - sums[starts]) * inverses[starts]
    made = (made ^ (made >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    mixed: Integers = made ^ (made >> np.uint64(32))
    return mixed


_cache: list[tuple[Integers, Integers]] = []


def _powers(count: int) -> tuple[Integers, Integers]:
    """The first powers of the base, and of its inverse, modulo 2**64."""
    if not _cache or len(_cache[-1][0]) < count:
        both = []
        for base in (_BASE, pow(_BASE, -1, 1 << 64)):
            factors = np.full(max(1 << 16, 1 << (count - 1).bit_length()), base, np.uint64)
            factors[0] = 1
            both.append(np.cumprod(factors))
        _cache[:] = [(both[0], both[1])]
    return _cache[-1]


def _plain(texts: Texts) -> Texts:
    """Letters and digits only, in small letters."""
    kinds = texts.kinds
    if (kinds == OTHER).any():
        lower = pc.utf8_lower(texts.to_arrow())
        return Texts.of(pc.replace_substring_regex(lower, r"[^\pL\pN]", ""))
    return _lower(_only(texts, kinds > 0))


def _lower(texts: Texts) -> Texts:
    if (texts.data >= 128).any():
        return Texts.of(pc.utf8_lower(texts.to_arrow()))
    return texts.replaced(_LOWER[texts.data])


def _only(texts: Texts, marked: Flags) -> Texts:
    """The marked bytes of each text."""
    if marked.all():
        return texts
    return Texts(texts.data[marked], np.concatenate([[0], np.cumsum(texts.counts(marked))]), texts.valid)


def _masked(made: Integers, wanted: Flags) -> pa.Array:
    return pa.array(made.view(np.int64), mask=None if wanted.all() else ~wanted)
