"""Bounded noise on numbers and dates, by key: the same row and value get the same noise in every run of a release domain.

What belongs here: the noise. What does not: shifts that keep a person's intervals (dates.py). The noise is uniform, never 0 where the
bound has room for a step, and hides a value among its neighbours only: it is no differential privacy, and outliers stay outliers.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from synth_assets.masking.dates import holds_dates, moves
from synth_assets.masking.generalise import DATE_TYPES, NUMBER_TYPES, as_number, toward_zero
from synth_assets.masking.pseudonyms import digest, number
from synth_assets.masking.recipes import Cell, Recipe
from synth_assets.masking.records import ColumnPlan

ROW_ROLE = "row"  # companion column that names the row
_DAY_SECONDS = 86_400
_DRAWN_BITS = 60
_MOST_STEPS = 2 ** (_DRAWN_BITS - 2)


def unsuited(plan: ColumnPlan) -> str | None:
    """Why this noise cannot work on this column, or None where it can."""
    rule = plan.rule
    if is_dated(plan):
        if rule.percent is not None:
            return "noise on dates needs `bound`, in days"
        return "noise on dates needs a `bound` of at least one day" if (rule.bound or 0) < 1 else None
    if plan.dtype not in (*NUMBER_TYPES, "string"):
        return f"noise cannot be added in a column of type {plan.dtype}"
    step = step_of(plan)
    if rule.bound is not None and step is not None and rule.bound < step:
        return f"a `bound` below {step:g} leaves every value of this column as it is"
    return None


def is_dated(plan: ColumnPlan) -> bool:
    """Whether the column's values are days or times."""
    return plan.dtype in DATE_TYPES or holds_dates(plan)


def step_of(plan: ColumnPlan) -> float | None:
    """The smallest difference of two values that the column writes: 1 for whole numbers; None where nothing is known."""
    if plan.dtype == "int64":
        return 1.0
    return None if plan.decimals is None else 10.0**-plan.decimals


def perturb(plan: ColumnPlan) -> Recipe:
    """Uniform noise between minus and plus the bound, in steps of the column's own precision.

    Numbers move by at most `bound`, or by `percent` of their absolute value; a value whose share is less than one step stays. Days move
    by whole days, times by whole seconds. A text of a number becomes a number; a text that cannot be read becomes null.

    Args:
        plan: A plan for which `unsuited` finds nothing.
    """
    if is_dated(plan):
        return _dates(plan)
    step = step_of(plan)

    def limit(cell: Cell) -> ir.FloatingValue:
        if plan.rule.bound is not None:
            return ibis.literal(float(plan.rule.bound))
        return as_number(cell.value, plan.dtype).abs() * (float(plan.rule.percent or 0) / 100)

    def steps(cell: Cell) -> ir.Value:
        if step is None:
            share = number(cell[0], 0, _DRAWN_BITS // 4) / float(2 ** (_DRAWN_BITS - 1)) - 1
            return share * limit(cell)
        return _drawn(cell, toward_zero(ibis.least(limit(cell) / step, float(_MOST_STEPS))).try_cast("int64"))

    def result(cell: Cell) -> ir.Value:
        value = as_number(cell.value, plan.dtype)
        if plan.dtype == "int64":
            return (value + cell[1]).cast("int64")
        if step is None:
            return value + cell[1]
        return (value + cell[1] * step).round(plan.decimals or 0)

    return (_row_digest, steps, result)


def _dates(plan: ColumnPlan) -> Recipe:
    days = int(plan.rule.bound or 0)
    if plan.dtype == "timestamp[us]":
        return (
            _row_digest,
            lambda cell: _drawn(cell, ibis.literal(days * _DAY_SECONDS, "int64")),
            *moves(plan.dtype, "s"),
        )
    return (
        _row_digest,
        lambda cell: _drawn(cell, ibis.literal(days, "int64")),
        *moves(plan.dtype),
    )


def _row_digest(cell: Cell) -> ir.StringValue:
    """Digest of the row and the value, with a key of this column's own."""
    row = cell.companion(ROW_ROLE)
    name = ibis.literal("") if row is None else row.cast("string").fill_null("")
    return digest(cell, name + "\x1f" + cell.text, part=f"/noise/{cell.target.source}")


def _drawn(cell: Cell, most: ir.IntegerValue) -> ir.IntegerValue:
    """A whole number from -most to most, not 0 unless `most` is 0, from the digest in step 0."""
    room = ibis.greatest(most, 1)
    drawn = number(cell[0], 0, _DRAWN_BITS // 4) % (room * 2) - room
    return (most > 0).ifelse(drawn + (drawn >= 0).cast("int64"), 0)
