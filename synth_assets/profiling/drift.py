"""How far two profiles of a table are apart. Public forms only: no cell below 11 rows, no value of an identifying column."""

from __future__ import annotations

from collections.abc import Sequence

from synth_assets.profiling.records import ColumnProfile, TableProfile
from synth_assets.tables.schema import Frozen


class Drift(Frozen):
    """What has changed between two profiles of a table.

    Attributes:
        added: Columns that are new.
        removed: Columns that are gone.
        changed: Columns of another kind.
        distances: Column to total variation distance in [0, 1], for columns that can be compared.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    distances: dict[str, float]

    def beyond(self, limit: float) -> tuple[str, ...]:
        """Columns whose distance is beyond a limit."""
        return tuple(c for c, d in self.distances.items() if d > limit)


def drift(before: TableProfile, after: TableProfile) -> Drift:
    """Compare the public forms of two profiles of one table.

    Columns are compared by missing values, and by their histograms where these have the same edges, or by their commonest values; the
    largest distance counts. What the public form hides is not compared.
    """
    old = {c.name: c for c in before.public().columns}
    new = {c.name: c for c in after.public().columns}
    both = [n for n in new if n in old]
    found = {n: _distance(old[n], new[n]) for n in both if old[n].kind == new[n].kind}
    return Drift(
        added=tuple(n for n in new if n not in old),
        removed=tuple(n for n in old if n not in new),
        changed=tuple(n for n in both if old[n].kind != new[n].kind),
        distances={n: round(d, 4) for n, d in found.items() if d is not None},
    )


def _distance(old: ColumnProfile, new: ColumnProfile) -> float | None:
    found = [d for d in (_missing(old, new), _histograms(old, new), _values(old, new)) if d is not None]
    return max(found, default=None)


def _missing(old: ColumnProfile, new: ColumnProfile) -> float | None:
    shares = []
    for column in (old, new):
        if column.missing is None or column.count is None or column.missing + column.count == 0:
            return None
        shares.append(column.missing / (column.missing + column.count))
    return abs(shares[0] - shares[1])


def _histograms(old: ColumnProfile, new: ColumnProfile) -> float | None:
    if old.histogram is None or new.histogram is None or old.histogram.edges != new.histogram.edges:
        return None
    if None in old.histogram.counts or None in new.histogram.counts:
        return None
    return _tvd([c or 0 for c in old.histogram.counts], [c or 0 for c in new.histogram.counts])


def _values(old: ColumnProfile, new: ColumnProfile) -> float | None:
    if not old.top_values or not new.top_values:
        return None
    left, right = ({v.value: v.rows for v in c.top_values} for c in (old, new))
    names = sorted(left.keys() | right.keys())
    rest = [c.rows_of_other_values or 0 for c in (old, new)]
    return _tvd([*(left.get(n, 0) for n in names), rest[0]], [*(right.get(n, 0) for n in names), rest[1]])


def _tvd(old: Sequence[int], new: Sequence[int]) -> float | None:
    if not sum(old) or not sum(new):
        return None
    return sum(abs(a / sum(old) - b / sum(new)) for a, b in zip(old, new, strict=True)) / 2
