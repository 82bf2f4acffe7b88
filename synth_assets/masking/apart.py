"""Keeping made-up names apart where the real ones were: two people of a unique column who drew one name get digits behind it.

What belongs here: finding whose made-up names meet, and the digits. What does not: drawing names (people.py), forms that are permuted
and never meet (forms.py), and the few of them that meet a real identifier (unique.py). Columns in which a name stands twice are left
alone: there, as among people, two may be called the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from synth_assets.masking.codes import hashed
from synth_assets.masking.keyring import KeyRing
from synth_assets.masking.records import ColumnPlan
from synth_assets.masking.texts import Array, Texts

LISTED = frozenset(
    {"person_name", "first_name", "last_name", "street_address", "city", "county", "employer", "organization"}
)
_FIRST_LOOK = 100_000  # rows in which most columns show a value twice
_NUMBERS = 900_000

Met = Mapping[tuple[str, str], npt.NDArray[np.uint64]]


def from_list(plan: ColumnPlan) -> bool:
    """Whether a column gets texts from a list, where two values may draw the same."""
    return plan.action == "format_preserving" and plan.dtype == "string" and plan.form in LISTED


def unique_columns(table: ir.Table, columns: Sequence[str]) -> list[str]:
    """Those of some columns in which no value stands twice.

    Args:
        table: The raw table.
        columns: What to look at.
    """
    looked = list(columns)
    for rows in (table.limit(_FIRST_LOOK), table):
        if not looked:
            return []
        counts = {f"n{i}": rows[c].count() for i, c in enumerate(looked)}
        counts |= {f"d{i}": rows[c].nunique() for i, c in enumerate(looked)}
        found = rows.aggregate(**counts).to_pyarrow().to_pylist()[0]
        looked = [c for i, c in enumerate(looked) if found[f"n{i}"] == found[f"d{i}"]]
    return looked


def met(table: ir.Table, source: str, made: str) -> npt.NDArray[np.uint64]:
    """Numbers of the values of a column whose made-up text is that of another value, sorted.

    Args:
        table: Raw values beside made ones.
        source: Column with the raw values.
        made: Column with what was drawn.
    """
    pairs = table.select(v=table[source], m=table[made]).drop_null().distinct()
    many = pairs.group_by("m").aggregate(n=pairs.count())
    values = pairs.semi_join(many.filter(many.n > 1), "m").select("v").to_pyarrow()["v"]
    return np.unique(hashed(Texts.of(values)))


@dataclass(frozen=True)
class Among:
    """A function over batches: 1 for values of a list, else 0.

    Args:
        numbers: Their numbers, sorted.
    """

    numbers: npt.NDArray[np.uint64]

    def __call__(self, column: Array) -> pa.Array:
        """Texts to int64."""
        return pa.array(np.isin(hashed(Texts.of(column)), self.numbers).astype(np.int64))


def kept_apart(made: ir.StringValue, raw: ir.StringValue, plan: ColumnPlan, ring: KeyRing, known: Met) -> ir.Value:
    """What was drawn, with six digits behind it where it is another value's too; the same ones wherever the value stands.

    Args:
        made: What was drawn.
        raw: The value.
        plan: Of its column.
        ring: Keys.
        known: (domain, form) -> values that met.
    """
    numbers = known[plan.domain, plan.form]
    if not len(numbers):
        return made
    meets = ring.function(f"apart {plan.domain} {plan.form}", lambda: Among(numbers), ["string"], "int64")
    digits = (ring.numbers(f"{plan.domain}/apart")(raw) % _NUMBERS + 100_000).cast("string")
    return (meets(raw) == 1).ifelse(made + digits, made)
