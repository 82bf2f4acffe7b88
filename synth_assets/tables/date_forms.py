"""How a source writes its days, so that a text export can write them the same way.

What belongs here: which pattern every cell of a column has. What does not: reading them (forms.py), writing them (exports).
"""

from __future__ import annotations

from collections.abc import Sequence

from synth_assets.tables.engine import DuckSession
from synth_assets.tables.inference import Column

_COLUMNS_PER_QUERY = 100


def date_forms(columns: Sequence[Column], session: DuckSession, source: str) -> dict[int, str]:
    """The pattern of strftime of each column of days, by position; none for ISO 8601, times and typed sources.

    Args:
        columns: The columns, with their forms.
        session: The open session.
        source: SQL of the staged table.

    Returns:
        The pattern that writes every cell as it stands. Where cells differ in leading zeros or in the length of the month's name, the
        usual one of the same order.
    """
    found: dict[int, str] = {}
    wanted = [c for c in columns if c.dtype == "date32[day]" and c.form is not None and c.form.written and c.present]
    for start in range(0, len(wanted), _COLUMNS_PER_QUERY):
        some = wanted[start : start + _COLUMNS_PER_QUERY]
        row = session.backend.raw_sql(f"SELECT {', '.join(_first_fit(c) for c in some)} FROM {source}").fetchone()
        found |= {c.position: _written(c)[int(v)] for c, v in zip(some, row, strict=True)}
    return found


def _written(column: Column) -> tuple[str, ...]:
    return () if column.form is None else column.form.written


def _first_fit(column: Column) -> str:
    """SQL for the place of the first pattern that writes all cells, 0 where none does."""
    fits = " ".join(
        f"WHEN bool_and(strftime({column.value}, '{pattern}') = trim({column.cell}, ' \t')) THEN {i}"
        for i, pattern in enumerate(_written(column))
    )
    return f"CASE {fits} ELSE 0 END"
