"""Aggregates over the files of a table that is being read: asked of each group of files, then put together.

What belongs here: how partial answers become one. What does not: where they are asked (engine_tasks.py), and what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from synth_assets.tables.engine_tasks import FileTasks, ask

How = Literal["sum", "max", "all", "estimate"]
_TOGETHER: Mapping[How, Callable[[Sequence[Any]], Any]] = {
    "sum": sum,
    "max": max,
    "all": all,
    "estimate": lambda _: None,
}


@dataclass(frozen=True)
class Term:
    """One aggregate.

    Attributes:
        sql: DuckDB's SQL.
        how: How the answers of several groups of files become one: None where a group has no value does not count. An estimate of
            different values cannot be put together, and is None.
    """

    sql: str
    how: How = "sum"


@dataclass(frozen=True)
class StagedRows:
    """The rows of some files.

    Attributes:
        tasks: Where queries run.
        parts: The files, in the order of their rows.
    """

    tasks: FileTasks
    parts: tuple[Path, ...]

    def one(self, terms: Sequence[Term]) -> tuple[Any, ...]:
        """The values of some aggregates over all rows; None where no row has one."""
        sql = ", ".join(term.sql for term in terms)
        rows = self.tasks.each(ask, [(sql, group) for group in self.tasks.groups(self.parts)])
        if len(rows) == 1:
            return rows[0]
        return tuple(_together(term.how, values) for term, values in zip(terms, zip(*rows, strict=True), strict=True))


def _together(how: How, values: Sequence[Any]) -> Any:
    present = [v for v in values if v is not None]
    return _TOGETHER[how](present) if present else None
