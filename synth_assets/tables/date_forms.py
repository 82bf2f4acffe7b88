"""How a source writes its days, so that a text export can write them the same way.

What belongs here: which pattern every cell of a column has. What does not: reading them (forms.py), writing them (exports).
"""

from __future__ import annotations

from collections.abc import Sequence

from synth_assets.tables.inference import Column
from synth_assets.tables.staged_rows import StagedRows, Term

_COLUMNS_PER_QUERY = 100


def date_forms(columns: Sequence[Column], rows: StagedRows) -> dict[int, str]:
    """The pattern of strftime of each column of days, by position; none for ISO 8601, times and typed sources.

    Args:
        columns: The columns, with their forms.
        rows: The staged rows.

    Returns:
        The pattern that writes every cell as it stands. Where cells differ in leading zeros or in the length of the month's name, the
        usual one of the same order.
    """
    found: dict[int, str] = {}
    wanted = [c for c in columns if c.dtype == "date32[day]" and c.form is not None and c.form.written and c.present]
    for start in range(0, len(wanted), _COLUMNS_PER_QUERY):
        some = wanted[start : start + _COLUMNS_PER_QUERY]
        fits = iter(rows.one([_fits(c, pattern) for c in some for pattern in _written(c)]))
        for column in some:
            written = {pattern: next(fits) for pattern in _written(column)}
            found[column.position] = next((p for p, fit in written.items() if fit), _written(column)[0])
    return found


def _written(column: Column) -> tuple[str, ...]:
    return () if column.form is None else column.form.written


def _fits(column: Column, pattern: str) -> Term:
    """Whether a pattern writes all cells."""
    return Term(f"bool_and(strftime({column.value}, '{pattern}') = trim({column.cell}, ' \t'))", "all")
