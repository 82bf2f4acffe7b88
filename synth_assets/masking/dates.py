"""Dates of one person move by the same number of days, in every table, so that intervals stay. A text keeps its form.

What belongs here: the shift, and texts and whole numbers that are dates. What does not: truncation to years (generalise.py), noise per
row (perturb.py), and finding the person of a row (plan.py, kin.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import ibis
import ibis.expr.types as ir

from synth_assets.masking.generalise import DATE_TYPES
from synth_assets.masking.recipes import Cell, Recipe
from synth_assets.masking.records import ColumnPlan

MAX_DAYS = 365
PERSON = "person"
DATED = frozenset({"birth_date", "death_date", "event_date", "timestamp"})
_TIME = r"((?:[T ].*)?)"


@dataclass(frozen=True)
class _Form:
    """A written form of a day: its pattern, and which groups are year, month and day.

    Args:
        pattern: Groups for all parts, separators included.
        parts: "y", "m", "d" for the parts of the day, "=" for what stays, in the order of the groups.
    """

    pattern: str
    parts: str

    def group(self, text: ir.StringValue, part: str) -> ir.StringValue:
        """One part of the day."""
        return text.re_extract(self.pattern, self.parts.index(part) + 1)

    def day(self, text: ir.StringValue) -> ir.DateValue:
        """The day that a text of this form says; null where no calendar has it."""
        month = self.group(text, "m").lpad(2, "0") if "m" in self.parts else ibis.literal("07")
        day = self.group(text, "d").lpad(2, "0") if "d" in self.parts else ibis.literal("01")
        return (self.group(text, "y") + "-" + month + "-" + day).try_cast("date")

    def written(self, text: ir.StringValue, later: ir.TimestampValue) -> ir.StringValue:
        """Another day in the form of a text; a day or month of one digit stays without a leading zero."""
        values = {"y": later.year(), "m": later.month(), "d": later.day()}
        made: ir.StringValue = ibis.literal("")
        for i, part in enumerate(self.parts, start=1):
            original = text.re_extract(self.pattern, i)
            if part == "=":
                made = made + original
                continue
            plain = values[part].cast("string")
            padded = plain.lpad(4 if part == "y" else 2, "0")
            made = made + (original.length() == 1).ifelse(plain, padded)
        return made


_DAY, _SEPARATED = r"(0?[1-9]|[12]\d|3[01])", r"([-/. ])"
_MONTH = r"(0?[1-9]|1[0-2])"
_FORMS = (
    _Form(rf"^(\d{{4}}){_SEPARATED}{_MONTH}{_SEPARATED}{_DAY}{_TIME}$", "y=m=d="),
    _Form(rf"^{_DAY}(\.){_MONTH}(\.)(\d{{4}}){_TIME}$", "d=m=y="),
    _Form(rf"^{_MONTH}([-/ ]){_DAY}([-/ ])(\d{{4}}){_TIME}$", "m=d=y="),
    _Form(rf"^{_DAY}([-/ ]){_MONTH}([-/ ])(\d{{4}}){_TIME}$", "d=m=y="),
    _Form(r"^(\d{4})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$", "ymd"),
    _Form(r"^([12]\d{3})$", "y"),
)


def is_dated(plan: ColumnPlan) -> bool:
    """Whether the column's values are days or times that move with their person."""
    if plan.action == "date_shift":
        return True
    return plan.action == "format_preserving" and (plan.dtype in DATE_TYPES or holds_dates(plan))


def holds_dates(plan: ColumnPlan) -> bool:
    """Whether texts or whole numbers of the column are dates by their classification."""
    return plan.dtype in {"string", "int64"} and plan.entity_type in DATED


def date_shift(dtype: str, max_days: int | None) -> Recipe:
    """Every date moves by a keyed number of days of its person: -max_days to max_days, never 0.

    The time of day stays. A text keeps its form (2024-05-17, 5/17/2024, 17.05.2024, 20240517, a year alone); where day and month could
    be either, with `/` or `-` between them, the month is taken to stand first. What cannot be read becomes null.

    Args:
        dtype: "date32[day]", "timestamp[us]", "string", or "int64" for numbers such as 20240517 or 1980.
        max_days: Largest shift; 365 when None.
    """
    largest = max_days or MAX_DAYS

    def person_number(cell: Cell) -> ir.Value:
        person = cell.companion(PERSON)
        text = ibis.literal("") if person is None else person.cast("string").fill_null("")
        return cell.ring.numbers(cell.domain)(text)

    def days(cell: Cell) -> ir.IntegerValue:
        drawn = cell[0] % (2 * largest) - largest
        return drawn + (drawn >= 0).cast("int64")

    return (person_number, days, *moves(dtype))


def moves(dtype: str, unit: Literal["D", "s"] = "D") -> Recipe:
    """The cell's date, time, or text or number that is a date, moved by the number of units in step 1; null where it cannot be read.

    Nothing moves out of the years 1 to 9999, so 9999-12-31 (no end) stays readable. Each step stands once in the query: a text that is
    read, moved and written in one expression makes one of tens of thousands of terms.

    Args:
        dtype: As for `date_shift`.
        unit: Days or seconds.
    """

    def interval(cell: Cell) -> ir.IntervalValue:
        return cell[1].as_interval(unit)

    if dtype == "date32[day]":  # the engine makes a time of date + days, whatever ibis believes
        return (
            lambda cell: cell.value.cast("timestamp") + interval(cell),
            lambda cell: _readable(cell[2]).cast("date"),
        )
    if dtype == "timestamp[us]":
        return (lambda cell: cell.value + interval(cell), lambda cell: _readable(cell[2]))

    def by_form(cell: Cell, made: Callable[[_Form], ir.Value], dtype: str) -> ir.Value:
        return ibis.cases(*((cell[3] == i, made(form)) for i, form in enumerate(_FORMS)), else_=ibis.null(dtype))

    def form(cell: Cell) -> ir.Value:
        cases = ((cell[2].re_search(f.pattern) & f.day(cell[2]).notnull(), i) for i, f in enumerate(_FORMS))
        return ibis.cases(*cases, else_=ibis.null("int8"))

    def written(cell: Cell) -> ir.Value:
        made = by_form(cell, lambda f: f.written(cell[2], cell[5]), "string")
        return made.try_cast("int64") if dtype == "int64" else made

    return (
        lambda cell: cell.text.strip(),
        form,
        lambda cell: by_form(cell, lambda f: f.day(cell[2]), "date").cast("timestamp") + interval(cell),
        lambda cell: _readable(cell[4]),
        written,
    )


def _readable(time: ir.TimestampValue) -> ir.TimestampValue:
    first, last = ibis.timestamp("0001-01-01 00:00:00"), ibis.timestamp("9999-12-31 23:59:59")
    made: ir.TimestampValue = ibis.cases((time < first, first), (time > last, last), else_=time)
    return made
