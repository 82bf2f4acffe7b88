"""How many different values columns have and how many rows repeat an earlier one: exact, out of core.

What belongs here: counting distinct things. What does not: which values they are (histograms.py). An estimate only decides how a column
is counted: columns with few values together in one query, each of the others by itself, so that one hash table at a time may spill.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import ibis.expr.types as ir
from ibis import _

from synth_assets.tables.engine import Session

FEW_VALUES = 20_000
_MIX = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: any odd constant that differs per column would do


def distinct_counts(table: ir.Table, estimates: Mapping[str, int]) -> dict[str, int]:
    """Exact distinct values per column, missing ones left out.

    Args:
        table: The table.
        estimates: Column -> about how many.
    """
    few = [name for name, about in estimates.items() if about <= FEW_VALUES]
    found: dict[str, int] = {}
    if few:
        row = table.aggregate(**{f"d{i}": table[name].nunique() for i, name in enumerate(few)}).to_pyarrow().to_pylist()
        found |= {name: int(row[0][f"d{i}"]) for i, name in enumerate(few)}
    for name in estimates:
        if name not in found:
            found[name] = int(table[name].nunique().to_pyarrow().as_py())
    return {name: found[name] for name in estimates}


def salted(values: Any, index: int) -> Any:
    """A hash that differs per column, so that xor of several does not cancel where two columns hold the same value."""
    return (values.hash() ^ ((_MIX * (index + 1)) % 2**63)).hash()


def repeated_rows(session: Session, table: ir.Table, columns: Sequence[str]) -> int:
    """Rows that repeat an earlier row in all columns.

    Rows are counted by a hash; those whose hash comes more than once are then compared value by value, so that the count is exact.

    Args:
        session: The open session of the table.
        table: The table.
        columns: All its columns.
    """
    row = functools.reduce(operator.xor, (salted(table[name], i) for i, name in enumerate(columns)))
    hashed = table.select(hash=row)
    suspects = hashed.group_by("hash").aggregate(n=_.count()).filter(_.n > 1)
    with session.held(suspects) as held:
        rows = held.n.sum().to_pyarrow().as_py()
        if not rows:
            return 0
        alike = table.mutate(suspect_hash=row).semi_join(held.rename(suspect_hash="hash"), "suspect_hash")
        return int(rows) - int(alike.select(*columns).distinct().count().to_pyarrow().as_py())
