"""Recipes: a mask as a chain of small expressions, each over the results of the ones before.

What belongs here: running the steps of many columns together, so that a table is masked in one pass and a digest that several pieces
are cut from is computed once. What does not: any mask. Every step of all columns becomes one projection of the query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir

from synth_assets.masking.keyring import KeyRing


@dataclass(frozen=True)
class Target:
    """One column to be masked by one recipe.

    Args:
        source: Column of the table with the raw value.
        domain: Pseudonym domain.
        ring: Keys and lists.
        dtype: Storage type of the raw column.
        companions: Other columns by role ("sex", "person"), where the table has them.
    """

    source: str
    domain: str
    ring: KeyRing
    dtype: str = "string"
    companions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """What a step sees: the table so far, the raw value, and the results of earlier steps."""

    table: ir.Table
    target: Target
    prefix: str

    @property
    def value(self) -> ir.Value:
        """The raw value."""
        return self.table[self.target.source]

    @property
    def text(self) -> ir.StringValue:
        """The raw value as text: whole numbers without a point, dates in ISO form, texts as they are."""
        return as_text(self.value, self.target.dtype)

    @property
    def ring(self) -> KeyRing:
        """Keys and lists."""
        return self.target.ring

    @property
    def domain(self) -> str:
        """Pseudonym domain."""
        return self.target.domain

    def __getitem__(self, step: int) -> ir.Value:
        return self.table[f"{self.prefix}{step}"]

    def companion(self, role: str) -> ir.Value | None:
        """Another column by role, or None."""
        name = self.target.companions.get(role)
        return None if name is None else self.table[name]


Step = Callable[[Cell], ir.Value]
Recipe = tuple[Step, ...]


def cook(table: ir.Table, orders: Mapping[str, tuple[Target, Recipe]]) -> ir.Table:
    """Run many recipes over one table.

    Args:
        table: The table with all source columns.
        orders: Name of the result column -> where it comes from and how it is made.

    Returns:
        The table with the result columns added; the columns of the steps are gone.
    """
    names = list(orders)
    keep = [c for c in table.columns if c not in orders]
    results: dict[str, str] = {}
    for step in range(max((len(recipe) for _, recipe in orders.values()), default=0)):
        made = {}
        for i, name in enumerate(names):
            target, recipe = orders[name]
            if step < len(recipe):
                prefix = f"\x1fstep{i}_"
                made[f"{prefix}{step}"] = recipe[step](Cell(table, target, prefix))
                results[name] = f"{prefix}{step}"
        table = table.mutate(**made)
    return table.select(*keep, **{name: table[column] for name, column in results.items()})


@contextmanager
def separate_steps() -> Iterator[None]:
    """While queries are compiled in here, ibis leaves every step a projection of its own.

    By default it folds a step that is used once into its user. Inside a lambda over characters that means once per character.
    """
    before = ibis.options.sql.fuse_selects
    ibis.options.sql.fuse_selects = False
    try:
        yield
    finally:
        ibis.options.sql.fuse_selects = before


def as_text(value: ir.Value, dtype: str) -> ir.StringValue:
    """A value of any canonical type as text; the same text wherever the same value stands."""
    if dtype == "double":
        whole = value.try_cast("int64")
        return (whole.cast("float64") == value).ifelse(whole.cast("string"), value.cast("string"))
    return value if dtype == "string" else value.cast("string")
