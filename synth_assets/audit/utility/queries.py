"""Query accuracy: how far are the answers of random queries on the synthetic table from those on the real one?

A seeded workload of counts, sums, means and group-bys under one to three filters, answered by NumPy on the prepared columns; beside it
the same queries on equally many unseen real rows. Queries name values of the data: they never leave this module, only quantiles of
their errors do. It needs no outcome. What does not belong here: models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from synth_assets.audit.findings import number, spread, verdict
from synth_assets.audit.prepare import Array, Floats, Integers, Part, Prepared
from synth_assets.audit.records import Finding
from synth_assets.audit.utility.scores import evident, percentiles
from synth_assets.config.thresholds import AuditLevels, AuditLimits
from synth_assets.seeds import child_seed
from synth_assets.tables.schema import ColumnKind

Kind = Literal["counts", "aggregates", "groups"]
KINDS: tuple[Kind, ...] = ("counts", "aggregates", "groups")
MOST_FILTERS = 3
SMALLEST_SHARE = 0.01  # filters are dropped until this share of the real rows is left
SANITY_SHARE = (
    0.001  # an answer below this share of the table (or of a column's total) is compared as if it were that large
)
SANITY_SPREAD = 0.1  # and a mean below this share of the column's standard deviation
MOST_GROUPS = 50
BINS = 10
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Filter:
    """Rows that a query is about: a closed range of a number, or some categories.

    Args:
        column: The column.
        low: Lower end, for numbers and dates.
        high: Upper end.
        members: For categories: whether the category of this number is wanted; the last entry (missing) is False.
    """

    column: str
    low: float = 0.0
    high: float = 0.0
    members: Flags | None = None

    def rows(self, part: Part) -> Flags:
        """Which rows it lets through; a missing value never passes."""
        values = part.values[self.column]
        if self.members is not None:
            return np.asarray(self.members[values])
        return np.asarray((values >= self.low) & (values <= self.high))


@dataclass(frozen=True)
class Query:
    """One query.

    Args:
        kind: What it is counted under.
        filters: All of them hold.
        measure: Number that is added up or averaged; None counts rows.
        mean: Whether `measure` is averaged.
        by: Column that is grouped by.
        edges: Inner edges of the bins of a numeric `by`.
    """

    kind: Kind
    filters: tuple[Filter, ...]
    measure: str | None = None
    mean: bool = False
    by: str | None = None
    edges: Floats | None = None

    def answer(self, part: Part, groups: int) -> Floats:
        """Its answer per row of the table, so that tables of any size compare; shape (groups,), or (1,) without groups."""
        chosen = np.ones(part.held, dtype=np.bool_)
        for one in self.filters:
            chosen &= one.rows(part)
        weight = np.ones(part.held) if self.measure is None else part.values[self.measure]
        chosen &= ~np.isnan(weight)
        if self.mean:
            return np.array([weight[chosen].mean() if chosen.any() else np.nan])
        if self.by is None:
            return np.array([weight[chosen].sum() / part.held])
        members = self._members(part)[chosen]
        known = members >= 0
        return np.bincount(members[known], weight[chosen][known], minlength=groups) / part.held

    def _members(self, part: Part) -> Integers:
        values: Array = part.values[self.by or ""]
        if self.edges is None:
            return values
        return np.where(np.isnan(values), -1, np.searchsorted(self.edges, values, side="right"))


def workload(prepared: Prepared, real: Part, count: int, seed: int) -> list[Query]:
    """Random queries: a third counts, a third sums or means of a number, a third group-bys of counts or sums.

    Every range covers a tenth to a half of the real values of its column, every list of categories holds one to three, but not all, of
    those that have 1 % of the real rows or more. A table without numbers has no sums and means.

    Args:
        prepared: The columns.
        real: Rows of the real table.
        count: Number of queries.
        seed: Seed of the workload.
    """
    rng = np.random.default_rng(seed)
    numbers = [
        c.name for c in prepared.columns if c.kind is ColumnKind.NUMBER and not np.isnan(real.values[c.name]).all()
    ]
    usable = [name for name in prepared.names if _known(prepared, real, name).any()]
    made = []
    for i in range(count):
        kind = KINDS[i % len(KINDS)]
        if kind == "aggregates" and not numbers:
            kind = "counts"
        fewest = 0 if kind == "groups" else 1
        wanted = min(int(rng.integers(fewest, MOST_FILTERS + fewest)), len(usable))
        columns = [usable[j] for j in rng.permutation(len(usable))]
        filters = _passing([_filter(prepared, real, name, rng) for name in columns[:wanted]], real)
        measure = str(rng.choice(numbers)) if numbers and (kind == "aggregates" or rng.random() < 0.5) else None
        if kind == "counts":
            made.append(Query(kind, filters))
        elif kind == "aggregates":
            made.append(Query(kind, filters, measure, mean=bool(rng.random() < 0.5)))
        else:
            by = columns[-1]
            made.append(Query(kind, filters, measure, by=by, edges=_edges(prepared, real, by)))
    return made


def _known(prepared: Prepared, part: Part, name: str) -> Flags:
    values = part.values[name]
    return np.asarray(~np.isnan(values) if prepared.numeric(name) else values >= 0)


def _filter(prepared: Prepared, real: Part, name: str, rng: np.random.Generator) -> Filter:
    known = real.values[name][_known(prepared, real, name)]
    if not prepared.numeric(name):
        rows = np.bincount(known, minlength=len(prepared.labels[name]))
        common = np.flatnonzero(rows >= min(SMALLEST_SHARE * len(known), rows.max()))
        members = np.zeros(len(rows) + 1, dtype=np.bool_)
        members[rng.choice(common, min(int(rng.integers(1, 4)), max(len(common) - 1, 1)), replace=False)] = True
        return Filter(name, members=members)
    width = rng.uniform(0.1, 0.5)
    start = rng.uniform(0, 1 - width)
    low, high = np.quantile(known, [start, start + width])
    return Filter(name, float(low), float(high))


def _passing(filters: Sequence[Filter], real: Part) -> tuple[Filter, ...]:
    """The first filters that together leave enough real rows; at least one."""
    kept: list[Filter] = []
    chosen = np.ones(real.held, dtype=np.bool_)
    for one in filters:
        chosen = chosen & one.rows(real)
        if kept and chosen.sum() < SMALLEST_SHARE * real.held:
            break
        kept.append(one)
    return tuple(kept)


def _edges(prepared: Prepared, real: Part, by: str) -> Floats | None:
    """Bins of a number, or None for categories."""
    if not prepared.numeric(by):
        return None
    values = real.values[by]
    return np.unique(np.quantile(values[~np.isnan(values)], np.linspace(0, 1, BINS + 1)[1:-1]))


def relative_errors(prepared: Prepared, queries: Sequence[Query], real: Part, other: Part) -> Floats:
    """Relative error of every query on another table, shape (queries,).

    Source:
        Xiao, Wang, Gehrke, "Differential privacy via wavelet transforms", IEEE TKDE 23 (2011), 1200-1214: relative error with a sanity
        bound of 0.1 % of the rows. Of a group-by: the sum of absolute differences over the groups (the 50 largest real ones), relative
        to the sum of absolute answers. An answer that the other table does not have counts 1.
    """
    return np.array([_error(prepared, query, real, other) for query in queries])


def _error(prepared: Prepared, query: Query, real: Part, other: Part) -> float:
    groups = 1
    if query.by is not None:
        groups = len(prepared.labels[query.by]) if query.edges is None else len(query.edges) + 1
    wanted, given = query.answer(real, groups), query.answer(other, groups)
    if len(wanted) > MOST_GROUPS:
        largest = np.argsort(-np.abs(wanted), kind="stable")[:MOST_GROUPS]
        wanted, given = wanted[largest], given[largest]
    if not np.isfinite(wanted).all():
        return 0.0 if not np.isfinite(given).any() else 1.0
    if not np.isfinite(given).all():
        return 1.0
    return float(np.abs(given - wanted).sum() / max(float(np.abs(wanted).sum()), _sanity(query, real)))


def _sanity(query: Query, real: Part) -> float:
    if query.measure is None:
        return SANITY_SHARE
    values = real.values[query.measure]
    known = values[~np.isnan(values)]
    bound = SANITY_SPREAD * known.std() if query.mean else SANITY_SHARE * np.abs(known).sum() / real.held
    return float(bound) or 1.0


def query_findings(prepared: Prepared, *, limits: AuditLimits, levels: AuditLevels, seed: int) -> list[Finding]:
    """Quantiles of the relative errors, beside those of equally many unseen real rows; shown, they never decide.

    Args:
        prepared: With train; holdout is the control.
        limits: Number of queries, rows that they are answered on, draws of the intervals.
        levels: Cut-offs.
        seed: Seed of the workload and of the samples.
    """
    rows = min(limits.query_rows, *(prepared.parts[s].held for s in ("synthetic", "holdout") if s in prepared.parts))
    parts = {
        side: _sample(part, limits.query_rows if side == "train" else rows, child_seed(seed, "queries", side))
        for side, part in prepared.parts.items()
    }
    queries = workload(prepared, parts["train"], limits.queries, child_seed(seed, "workload"))
    errors = {
        side: relative_errors(prepared, queries, parts["train"], part)
        for side, part in parts.items()
        if side != "train"
    }
    kinds = np.array([query.kind for query in queries])
    draw = child_seed(seed, "query draws")
    found = [_finding("query_error", errors, 0.5, "all kinds", rows, limits.draws, draw, levels)]
    found.append(_finding("query_error.p90", errors, 0.9, "all kinds", rows, limits.draws, draw, levels))
    texts = {"counts": "counts", "aggregates": "sums and means", "groups": "group-bys"}
    for kind in KINDS:
        if (kinds == kind).any():
            own = {side: values[kinds == kind] for side, values in errors.items()}
            found.append(_finding(f"query_error.{kind}", own, 0.5, texts[kind], rows, limits.draws, draw, levels))
    return found


def _sample(part: Part, rows: int, seed: int) -> Part:
    if part.held <= rows:
        return part
    return part.take(np.sort(np.random.default_rng(seed).choice(part.held, rows, replace=False)))


def _finding(
    metric: str,
    errors: Mapping[str, Floats],
    share: float,
    what: str,
    rows: int,
    draws: int,
    seed: int,
    levels: AuditLevels,
) -> Finding:
    """One quantile of the errors, with its control and intervals over resampled queries."""
    count = len(errors["synthetic"])
    picked = np.random.default_rng(seed).integers(0, count, (draws, count))
    made = {
        side: np.concatenate(([np.quantile(values, share)], np.quantile(values[picked], share, axis=1)))
        for side, values in errors.items()
    }
    value, interval = float(made["synthetic"][0]), percentiles(made["synthetic"])
    control = made.get("holdout")
    added = None if control is None else percentiles(made["synthetic"] - control)
    excess = None if control is None else value - float(control[0])
    cutoffs = levels.utility_gap if share == 0.5 else levels.tvd  # the largest errors of a sample vary more
    level = cutoffs.level(value) if excess is None else evident(cutoffs, excess, added)
    part = "Half" if share == 0.5 else "Nine of ten"
    text = f"{part} of {count} random queries ({what}) have a relative error of at most {number(value)}"
    judged = verdict(level, cutoffs)
    if control is not None and excess is not None:
        text += f", on unseen real rows of at most {number(float(control[0]))}. "
        text += f"For the difference of {number(excess)}{spread(added)}, {judged}."
    else:
        text += f": {judged}. Without unseen real rows nobody can tell how much of it a sample makes."
    return Finding(
        metric=metric,
        message=text,
        risk_level=level,
        value=value,
        interval=interval,
        baseline=None if control is None else float(control[0]),
        excess=excess,
        excess_interval=added,
        sample_size=rows,
        control_size=None if control is None else rows,
        decides=False,
        details={"queries": count},
    )
