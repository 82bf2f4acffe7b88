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
    plain = text.lower().re_replace(r"[^\pL\pN]", "")
    return plain.re_search("^1[0-9]{10}$").ifelse(plain.substr(1), plain)  # type: ignore[no-any-return]


def digits_alone(plain: ir.StringValue) -> ir.StringValue:
    """The digits of a canonical form that also has letters, where they are many enough to identify; else null."""
    digits = plain.re_replace("[^0-9]", "")
    return ((digits.length() >= LONG_NUMBER) & (digits != plain)).ifelse(digits, ibis.null("string"))  # type: ignore[no-any-return]


def raw_forms(session: Session, columns: Sequence[RawColumn]) -> ir.Table | None:
    """All canonical forms of the values of some columns.

    Args:
        session: The open session.
        columns: Where to look.

    Returns:
        Distinct rows of `form` (text) and `source` (position in `columns`); None for no columns.
    """
    parts = []
    for i, column in enumerate(columns):
        table = session.parquet(column.path)
        values = table.select(v=as_text(table[column.column], column.dtype)).distinct()
        plain = values.select(form=canonical(values.v))
        alone = plain.select(form=digits_alone(plain.form))
        both = plain.union(alone, distinct=False)
        parts.append(both.filter(both.form.notnull() & (both.form != "")).mutate(source=ibis.literal(i, "int64")).distinct())
    return ibis.union(*parts, distinct=False) if len(parts) > 1 else (parts[0] if parts else None)
