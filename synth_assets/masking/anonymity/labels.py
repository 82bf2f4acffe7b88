"""The texts of coarse values: `[30, 40)`, `[30, 39]`, `1980-05`, `1980s`, `{A, B}`.

What belongs here: texts. What does not: which values stand together.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

LONGEST_SET = 100


def number_text(value: float) -> str:
    """A number without a needless point."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else format(float(value), ".12g")


def day_text(day: date) -> str:
    """A day in ISO form."""
    return day.isoformat()


def period_text(start: date, period: str) -> str:
    """A day, month, year or decade by its first day: 1980-05-17, 1980-05, 1980, 1980s."""
    if period == "day":
        return start.isoformat()
    return {"month": f"{start:%Y-%m}", "year": f"{start.year:04d}", "decade": f"{start.year:04d}s"}[period]


def closed_text(low: str, high: str) -> str:
    """An interval with both ends: `[30, 39]`; the value itself where both are the same."""
    return low if low == high else f"[{low}, {high}]"


def set_text(values: Sequence[str]) -> str:
    """A set in the order of the alphabet: `{A, B}`; a long one is cut: `{A, B, 12 more}`."""
    ordered = sorted(values)
    if len(ordered) == 1:
        return ordered[0]
    shown: list[str] = []
    for value in ordered:
        if shown and sum(map(len, shown)) + 2 * len(shown) + len(value) > LONGEST_SET:
            break
        shown.append(value)
    more = len(ordered) - len(shown)
    return "{" + ", ".join([*shown, *([f"{more} more"] if more else [])]) + "}"
