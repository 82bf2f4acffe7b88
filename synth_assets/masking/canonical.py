"""One spelling per identifier, so that 555-123-4567 and (555) 123 4567 are found to be the same.

What belongs here: canonical forms of identifiers, and the table of all raw ones. What does not: searching for them (leakcheck.py), and
drawing pseudonyms that avoid them (unique.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir

from synth_assets.masking.recipes import as_text
from synth_assets.tables.engine import Session

SHORTEST = 5  # letters and digits; shorter identifiers stand in every text by chance
LONG_NUMBER = 9  # digits that identify without their letters


@dataclass(frozen=True)
class RawColumn:
    """A raw column that holds identifiers."""

    table: str
    column: str
    dtype: str
    path: Path


def canonical(text: ir.StringValue) -> ir.StringValue:
    """Letters and digits only, in lower case; the country code 1 of an 11-digit number is left out."""
    return text.lower().re_replace(r"[^\pL\pN]", "").re_replace("^1([0-9]{10})$", r"\1")


def digits_alone(text: ir.StringValue) -> ir.StringValue:
    """The digits of a text that also has letters, where they are many enough to identify; else null."""
    enough = text.re_search(r"\pL") & text.re_search(rf"(?:[0-9][^0-9]*){{{LONG_NUMBER}}}")
    return enough.ifelse(text.re_replace("[^0-9]", ""), ibis.null("string"))


def raw_forms(session: Session, columns: Sequence[RawColumn]) -> ir.Table | None:
    """All canonical forms of the values of some columns, one row per cell and form.

    Args:
        session: The open session.
        columns: Where to look.

    Returns:
        Rows of `form` (text) and `source` (position in `columns`), not distinct, null for a missing value; None for no columns.
    """
    parts = []
    for i, column in enumerate(columns):
        table = session.parquet(column.path)
        text = as_text(table[column.column], column.dtype)
        parts.append(table.select(form=canonical(text), source=ibis.literal(i, "int64")))
        alone = table.select(form=digits_alone(text), source=ibis.literal(i, "int64"))
        parts.append(alone.filter(alone.form.notnull()))
    return ibis.union(*parts, distinct=False) if parts else None
