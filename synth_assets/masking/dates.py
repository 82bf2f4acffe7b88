"""Dates of one person move by the same number of days, in every table, so that intervals stay.

What belongs here: the shift. What does not: truncation to years (generalise.py), noise per row (perturb.py), and finding the person
of a row (plan.py, kin.py).
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from synth_assets.masking.pseudonyms import number
from synth_assets.masking.recipes import Cell, Recipe

MAX_DAYS = 365
PERSON = "person"


def date_shift(dtype: str, max_days: int | None) -> Recipe:
    """Every date moves by a keyed number of days of its person: -max_days to max_days, never 0.

    The time of day stays. A text date becomes ISO text; one that cannot be read becomes null.

    Args:
        dtype: "date32[day]", "timestamp[us]" or "string".
        max_days: Largest shift; 365 when None.
    """
    largest = max_days or MAX_DAYS

    def person_digest(cell: Cell) -> ir.StringValue:
        person = cell.companion(PERSON)
        text = ibis.literal("") if person is None else person.cast("string").fill_null("")
        return (cell.ring.key(cell.domain) + text).hexdigest("sha256")

    def days(cell: Cell) -> ir.IntegerValue:
        drawn = number(cell[0], 0, 12) % (2 * largest) - largest
        return drawn + (drawn >= 0).cast("int64")

    return (person_digest, days, lambda cell: moved(cell, dtype, cell[1].as_interval("D")))


def moved(cell: Cell, dtype: str, interval: ir.IntervalValue) -> ir.Value:
    """The cell's date, time or text date, an interval later; a text date becomes ISO text, one that cannot be read null."""
    if dtype == "date32[day]":  # the engine makes a time of date + days, whatever ibis believes
        return (cell.value.cast("timestamp") + interval).cast("date")
    if dtype == "timestamp[us]":
        return cell.value + interval
    later = cell.text.try_cast("timestamp") + interval
    with_time = cell.text.strip().length() > len("2024-01-31")
    return with_time.ifelse(later.strftime("%Y-%m-%d %H:%M:%S"), later.strftime("%Y-%m-%d"))
