"""Groups of protected attributes: categories, quarters of numbers and dates, and intersections of two attributes.

What does not belong here: rates of the groups and differences between them (`parity.py`), and what they mean (`module.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from synth_assets.audit.prepare import Array, Floats, Integers, Part, Prepared

QUARTERS = 4
MOST_PAIRS = 10


@dataclass(frozen=True)
class Attribute:
    """A protected column in groups: its categories, or quarters of the real distribution for numbers and dates."""

    name: str
    labels: tuple[str, ...]
    edges: Floats | None = None

    @property
    def count(self) -> int:
        """Number of groups."""
        return len(self.labels)

    def label(self, group: int) -> str:
        """The name of a group; a value of the data, where the column has categories."""
        return self.labels[group]

    def groups(self, part: Part) -> Integers:
        """Group number per row; -1 for a missing value."""
        values: Array = part.values[self.name]
        if self.edges is None:
            return values
        return np.where(np.isnan(values), -1, np.searchsorted(self.edges, values, side="right"))


@dataclass(frozen=True)
class Intersection:
    """Two attributes at once: every pair of their groups is a group."""

    first: Attribute
    second: Attribute

    @property
    def name(self) -> str:
        """Both columns."""
        return f"{self.first.name} and {self.second.name}"

    @property
    def count(self) -> int:
        """Number of groups."""
        return self.first.count * self.second.count

    def label(self, group: int) -> str:
        """The names of both groups."""
        return f"{self.first.label(group // self.second.count)}, {self.second.label(group % self.second.count)}"

    def groups(self, part: Part) -> Integers:
        """Group number per row; -1 where one of both values is missing."""
        one, other = self.first.groups(part), self.second.groups(part)
        return np.where((one < 0) | (other < 0), -1, one * self.second.count + other)


Grouping = Attribute | Intersection


def attribute(prepared: Prepared, name: str) -> Attribute:
    """Groups of a protected column; bins come from the real table, or the synthetic one where there is no real one."""
    if not prepared.numeric(name):
        return Attribute(name, prepared.labels[name])
    values = prepared.parts["train" if "train" in prepared.parts else "synthetic"].values[name]
    known = values[~np.isnan(values)]
    distinct = np.unique(known)
    if len(distinct) <= QUARTERS:  # 0/1 and the like: every value is a group
        return Attribute(name, tuple(f"value {i + 1}" for i in range(max(len(distinct), 1))), distinct[1:])
    edges = np.unique(np.quantile(known, np.linspace(0, 1, QUARTERS + 1)[1:-1]))
    return Attribute(name, tuple(f"quarter {i + 1}" for i in range(len(edges) + 1)), edges)


def groupings(prepared: Prepared, protected: Sequence[str]) -> tuple[list[Grouping], int]:
    """Every protected column, then the intersections of two.

    Returns:
        The groupings, and how many pairs are left out beyond the first ten.
    """
    single = [attribute(prepared, name) for name in dict.fromkeys(protected)]
    pairs = list(combinations(single, 2))
    return [*single, *(Intersection(*pair) for pair in pairs[:MOST_PAIRS])], max(len(pairs) - MOST_PAIRS, 0)
