"""What the classifier sees of a column: counts over all rows, and a deterministic sample of distinct values.

What belongs here: reading the sample from Parquet or Arrow, and measures of values that several detectors need. What does not:
what a measure means (detectors.py). Samples live in memory for one classification and are never written or returned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.pii.dictionaries import normalise, word_list
from synth_assets.pii.patterns import CELL

SAMPLE_VALUES = 2_000
CHECKED_VALUES = 300
_NULL_MARKS = pa.array(
    [
        "",
        "-",
        "--",
        "---",
        ".",
        "?",
        "n/a",
        "na",
        "n.a.",
        "#n/a",
        "null",
        "(null)",
        "nan",
        "nil",
        "<na>",
        "\\n",
        "missing",
        "undefined",
    ]
)


class ColumnSample:
    """Distinct values of one column as trimmed text, with counts over all rows.

    Args:
        name: Column name.
        dtype: Canonical Arrow type as text, such as "int64" or "string".
        values: Some or all distinct values, not null; a deterministic choice.
        rows: Rows of the table.
        missing: Null cells.
        distinct: Distinct non-null values, approximate in large tables.
    """

    def __init__(self, name: str, dtype: str, values: pa.Array, *, rows: int, missing: int, distinct: int) -> None:
        self.name, self.dtype, self.rows, self.missing = name, dtype, rows, missing
        text = _as_text(values)
        marks = pc.is_in(pc.utf8_lower(text), value_set=_NULL_MARKS)
        kept = text.filter(pc.invert(marks))
        kept = pc.unique(kept) if len(kept) else kept
        self.marks = len(text) - len(kept)
        self.distinct = max(distinct - min(self.marks, distinct), len(kept) if distinct <= len(text) else 0)
        self.text: pa.Array = _choose(kept, SAMPLE_VALUES)
        self._shares: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self.text)

    @property
    def filled(self) -> int:
        """Cells that are not missing."""
        return self.rows - self.missing

    @property
    def distinct_ratio(self) -> float:
        """Distinct values per filled cell, 0 to 1."""
        return min(1.0, self.distinct / self.filled) if self.filled else 0.0

    @cached_property
    def short(self) -> pa.Array:
        """The sampled values as forms see them: cut to 400 characters, every run of white space one blank."""
        return pc.replace_substring_regex(pc.utf8_slice_codeunits(self.text, 0, 400), r"\s+", " ")

    @cached_property
    def values(self) -> list[str]:
        """The sampled values."""
        return self.text.to_pylist()  # type: ignore[no-any-return]

    @cached_property
    def checked(self) -> list[str]:
        """A fixed part of the sample for validators that cost more."""
        return self.values[:CHECKED_VALUES]

    @cached_property
    def normal(self) -> list[str]:
        """The checked part, normalised as the dictionaries are."""
        return [normalise(v) for v in self.checked]

    @cached_property
    def words(self) -> list[list[str]]:
        """Words of each checked value."""
        return [v.split() for v in self.normal]

    def share(self, pattern: str) -> float:
        """Share of sampled values that have a form of `patterns.CELL` as a whole, 0 to 1."""
        if pattern not in self._shares:
            self._shares[pattern] = self._match(CELL[pattern]) if len(self) else 0.0
        return self._shares[pattern]

    def _match(self, regex: str) -> float:
        return float(pc.mean(pc.match_substring_regex(self.short, f"^(?:{regex})$").cast(pa.float64())).as_py())

    def share_in(self, list_name: str) -> float:
        """Share of checked values that stand in a dictionary as a whole."""
        known = word_list(list_name)
        return _mean([v in known for v in self.normal])

    def share_with_word(self, list_name: str) -> float:
        """Share of checked values with at least one word of a dictionary."""
        known = word_list(list_name)
        return _mean([not known.isdisjoint(w) for w in self.words])

    def share_valid(self, check: Callable[[str], bool], limit: int = CHECKED_VALUES) -> float:
        """Share of checked values that a validator accepts."""
        return _mean([check(v) for v in self.checked[:limit]])

    @cached_property
    def numbers(self) -> np.ndarray:
        """Sampled values that read as numbers, shape (k,), float64."""
        plain = self.text.filter(pc.match_substring_regex(self.text, r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"))
        return np.asarray(pc.cast(plain, pa.float64()).to_numpy(zero_copy_only=False), dtype=float)

    @property
    def numeric_share(self) -> float:
        """Share of sampled values that read as numbers."""
        return len(self.numbers) / len(self) if len(self) else 0.0

    @cached_property
    def lengths(self) -> np.ndarray:
        """Characters per sampled value, shape (k,)."""
        return np.asarray(pc.utf8_length(self.text).to_numpy(zero_copy_only=False))

    @cached_property
    def mean_length(self) -> float:
        """Mean characters per value."""
        return float(self.lengths.mean()) if len(self) else 0.0

    @cached_property
    def mean_words(self) -> float:
        """Mean words per checked value."""
        return _mean([len(v.split()) for v in self.checked])

    @cached_property
    def temporal(self) -> bool:
        """Whether the storage type is a date or time."""
        return self.dtype.startswith(("date", "timestamp"))

    @cached_property
    def years(self) -> np.ndarray:
        """Years of values that read as dates, shape (k,), float64; two-digit years read as 1930 to 2029."""
        forms = (
            r"[-/. ](?P<y>(?:1[5-9]|2[01])\d{2})(?:[T ,]|$)",
            r"^(?P<y>(?:1[5-9]|2[01])\d{2})(?:[-/. T]|\d{4}|$)",
            r"[-/. ](?P<y>\d{2})(?:[T ]|$)",
        )
        found = pc.coalesce(*(pc.struct_field(pc.extract_regex(self.text, form), "y") for form in forms)).drop_null()
        years = np.asarray(pc.cast(found, pa.float64()).to_numpy(zero_copy_only=False), dtype=float)
        return np.where(years < 30, years + 2000, np.where(years < 100, years + 1900, years))

    @cached_property
    def alphabetic_share(self) -> float:
        """Share of letters among the characters of the sample."""
        joined = "".join(self.checked)
        return sum(c.isalpha() for c in joined) / len(joined) if joined else 0.0

    @cached_property
    def shapes(self) -> int:
        """Number of distinct forms, digits read as 9 and letters as A."""
        digits = pc.replace_substring_regex(self.text, r"\d", "9")
        return len(pc.unique(pc.replace_substring_regex(digits, r"[A-Za-z]", "A")))

    @cached_property
    def consecutive(self) -> bool:
        """Whether the values are whole numbers that nearly fill their range, as running numbers do."""
        numbers = self.numbers
        if len(numbers) < max(3, 0.99 * len(self)) or not np.all(numbers == np.floor(numbers)):
            return False
        span = float(numbers.max() - numbers.min()) + 1
        return self.distinct_ratio > 0.95 and self.distinct / span > 0.6

    @cached_property
    def decimals(self) -> float:
        """Mean digits after the decimal point."""
        tails = pc.struct_field(pc.extract_regex(self.text, r"^-?\d+\.(?P<d>\d+)$"), "d").drop_null()
        return float(pc.mean(pc.utf8_length(tails)).as_py()) if len(tails) > 0.5 * len(self) else 0.0


def _mean(values: Sequence[float]) -> float:
    return float(sum(values)) / len(values) if values else 0.0


def _choose(values: pa.Array, limit: int) -> pa.Array:
    """Up to `limit` values in the order of a fixed hash: the same values whatever the order of the rows."""
    if not len(values):
        return values
    order = np.argsort(pd.util.hash_array(values.to_numpy(zero_copy_only=False), categorize=False), kind="stable")
    return values.take(pa.array(order[:limit]))


def _as_text(values: pa.Array) -> pa.Array:
    """Trimmed text of any canonical type; whole numbers stored as double lose their point."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    values = values.drop_null()
    if pa.types.is_floating(values.type):
        values = _whole_as_int(values)
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        return pa.array(["0x" + b.hex() for b in values.to_pylist()[:SAMPLE_VALUES]], pa.string())
    text = values if pa.types.is_string(values.type) else pc.cast(values, pa.string(), safe=False)
    return pc.utf8_trim_whitespace(text)


def _whole_as_int(values: pa.Array) -> pa.Array:
    numbers = values.to_numpy(zero_copy_only=False)
    finite = numbers[np.isfinite(numbers)]
    if len(finite) and np.all(finite == np.floor(finite)) and math.fabs(float(np.abs(finite).max())) < 2**53:
        return pa.array(finite.astype(np.int64))
    return values
