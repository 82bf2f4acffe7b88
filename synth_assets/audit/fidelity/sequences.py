"""Rows in time: autocorrelation, transitions and steps of the rows of one unit, beside the same of held-out units.

What belongs here: pairs of rows of one unit that are 1, 2 or 3 places apart. What does not: how many rows a unit has (`relations.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth_assets.audit.fidelity.columns import correlation, kolmogorov_smirnov, sway
from synth_assets.audit.findings import added_level, added_words, number, told_apart
from synth_assets.audit.intervals import Pair, mover
from synth_assets.audit.marginals import Grid, Joint, MeanDistance, joint, quantile_grid
from synth_assets.audit.prepare import Array, Floats, Integers, Part, Prepared, Tables, sequence_keys
from synth_assets.audit.records import Finding
from synth_assets.audit.spread import Spread
from synth_assets.config.thresholds import AuditLevels, Cutoffs
from synth_assets.seeds import child_seed

LAGS = 3
STATES = 5  # bins of a number
FEWEST_PAIRS = 30


@dataclass(frozen=True)
class Steps:
    """The rows of one table in the order of their units and of time.

    Args:
        values: Column to its values, sorted.
        units: Unit number of each row, ascending from 0.
        time: Time of each row.
    """

    values: Mapping[str, Array]
    units: Integers
    time: Floats

    @property
    def count(self) -> int:
        """Number of units."""
        return int(self.units[-1]) + 1 if len(self.units) else 0

    def pairs(self, lag: int) -> tuple[Integers, Integers]:
        """Positions of rows of one unit that are `lag` places apart, the earlier first."""
        earlier = np.flatnonzero(self.units[lag:] == self.units[:-lag]) if len(self.units) > lag else np.empty(0, int)
        return earlier, earlier + lag

    def take(self, units: int, seed: int) -> Steps:
        """So many of its units, drawn at random."""
        if units >= self.count:
            return self
        kept = np.zeros(self.count, dtype=bool)
        kept[np.random.default_rng(seed).choice(self.count, units, replace=False)] = True
        rows = np.flatnonzero(kept[self.units])
        return Steps(
            {name: values[rows] for name, values in self.values.items()},
            np.unique(self.units[rows], return_inverse=True)[1],
            self.time[rows],
        )


def in_order(part: Part, units: Integers, time: Floats) -> Steps:
    """Sort a table by unit and time; rows without a time come last in their unit, equal times keep their order."""
    rows = np.lexsort((time, units))
    numbers = np.unique(units[rows], return_inverse=True)[1]
    return Steps({name: values[rows] for name, values in part.values.items()}, numbers, time[rows])


def sequence_findings(
    tables: Tables, prepared: Prepared, order: str, units: Sequence[str], levels: AuditLevels, seed: int
) -> tuple[list[Finding], str | None]:
    """Findings about the order of rows, or the reason why there are none.

    Args:
        tables: The tables.
        prepared: Their compared columns, with a train table.
        order: Column that orders the rows of one unit.
        units: Columns that say whose the rows are.
        levels: Cut-offs.
        seed: Seed of the draw of equally many units.
    """
    if any(part.held < part.rows for part in prepared.parts.values()):
        return [], "The rows were sampled, so they do not follow each other any more."
    steps = {}
    for side, part in prepared.parts.items():
        keys = sequence_keys(tables, side, order, units)
        if keys is None:
            return [], f"The {side} table lacks the columns that order its rows or say whose they are."
        steps[side] = in_order(part, *keys)
    sides = [steps["train"], steps["synthetic"]]
    if "holdout" in steps:
        equal = min(steps["synthetic"].count, steps["holdout"].count)
        sides += [steps[side].take(equal, child_seed(seed, "units", side)) for side in ("synthetic", "holdout")]
    if min(len(side.pairs(1)[0]) for side in sides) < FEWEST_PAIRS:
        return [], f"Fewer than {FEWEST_PAIRS} rows follow another one of their unit."
    found = _autocorrelation(prepared, sides, order, levels) + _transitions(prepared, sides, order, levels)
    return found + _gaps(sides, levels), None


def autocorrelations(steps: Steps, name: str, lags: int = LAGS) -> list[float | None]:
    """Pearson correlation of a number with itself 1, 2, ... rows of its unit earlier, after the mean of the unit was taken off.

    Without that, whose the rows are would count, not their order. Units of fewer than lag + 2 rows say nothing about a lag.

    Args:
        steps: The rows in order.
        name: A numeric column.
        lags: Largest lag.

    Returns:
        One correlation per lag; None where it is not defined.
    """
    return [correlation(first, second) for first, second, _ in _lagged(steps, name, lags)]


def _lagged(steps: Steps, name: str, lags: int = LAGS) -> list[tuple[Floats, Floats, Integers]]:
    """Per lag the earlier and the later numbers of all pairs of rows, less the mean of their unit, and the unit of each pair."""
    values, rows = steps.values[name], np.bincount(steps.units)
    known = ~np.isnan(values)
    totals, counts = (np.bincount(steps.units, weights=w) for w in (np.where(known, values, 0.0), known))
    centred = values - (totals / np.maximum(counts, 1))[steps.units]
    found = []
    for lag in range(1, lags + 1):
        earlier, later = steps.pairs(lag)
        long = rows[steps.units[earlier]] >= lag + 2
        found.append((centred[earlier[long]], centred[later[long]], steps.units[earlier[long]]))
    return found


def _unit_sway(steps: Steps, pairs: tuple[Floats, Floats, Integers]) -> Floats:
    """Influence of each unit on the correlation over its pairs of rows."""
    first, second, units = pairs
    if not len(units):
        return np.zeros(steps.count)
    totals = np.bincount(units, weights=sway(first, second), minlength=steps.count)
    return np.asarray(totals * (steps.count / len(units)), dtype=np.float64)


def _autocorrelation(prepared: Prepared, sides: Sequence[Steps], order: str, levels: AuditLevels) -> list[Finding]:
    """Mean difference of autocorrelations over numbers and lags, and per number."""
    each, whole = {}, Spread([side.count for side in sides])
    for name in prepared.names:
        if prepared.numeric(name) and name != order:
            made = _differences(sides, name, whole)
            if made is not None:
                each[name] = made
    if not each:
        return []
    means = [float(m) for m in np.mean([values for values, _ in each.values()], axis=0)]
    intervals = [whole.interval(i, mean) for i, mean in enumerate(means, start=1)]
    metric = "sequence.autocorrelation"
    title = f"Mean difference of the autocorrelations of {len(each)} number{'s' if len(each) > 1 else ''}, 1 to {LAGS} rows apart"
    found = [_finding(sides, title, means, intervals, levels.tvd, metric=metric)]
    for name, (values, own) in each.items() if len(each) > 1 else ():
        title = f"Column {name!r}, mean difference of autocorrelations"
        found.append(_finding(sides, title, values, own, levels.tvd, metric=metric, column=name))
    return found


def _differences(sides: Sequence[Steps], name: str, whole: Spread) -> tuple[list[float], list[Pair]] | None:
    """Mean difference over the lags per table, with intervals over units; None where the real column shows none. `whole` takes part."""
    lagged = [_lagged(side, name) for side in sides]
    real = [correlation(*pairs[:2]) for pairs in lagged[0]]
    lags = [i for i in range(LAGS) if real[i] is not None]
    if not lags:
        return None
    near = [_unit_sway(sides[0], pairs) for pairs in lagged[0]]
    own, values = Spread([side.count for side in sides]), []
    for other in range(1, len(sides)):
        apart = {i: (correlation(*lagged[other][i][:2]) or 0.0) - (real[i] or 0.0) for i in lags}
        values.append(float(np.mean([abs(gap) for gap in apart.values()])))
        for i, gap in apart.items():
            far = np.sign(gap) * _unit_sway(sides[other], lagged[other][i])
            own.add(other, own.of_table(0, -np.sign(gap) * near[i]), own.of_table(other, far))
            whole.add(other, own.of_table(0, -np.sign(gap) * near[i]), own.of_table(other, far), 1 / len(lags))
    return values, [own.interval(i, value) for i, value in enumerate(values, start=1)]


def _transitions(prepared: Prepared, sides: Sequence[Steps], order: str, levels: AuditLevels) -> list[Finding]:
    """Mean total variation distance of the tables of (state, next state), and per column; numbers in fifths."""
    names = [name for name in prepared.names if name != order]
    if not names:
        return []
    grid = quantile_grid(prepared, STATES)
    ends = [side.pairs(1) for side in sides]
    groups = [side.units[earlier] for side, (earlier, _) in zip(sides, ends, strict=True)]
    rows = [len(earlier) for earlier, _ in ends]
    whole = MeanDistance(rows, groups)
    each = {}
    for name in names:
        marginal = _moves(sides, ends, grid, name)
        whole.add(marginal)
        alone = MeanDistance(rows, groups)
        alone.add(marginal)
        each[name] = alone.results()
    results = whole.results()
    title = f"Mean total variation distance of the transitions of {len(names)} column{'s' if len(names) > 1 else ''}"
    values, intervals = [r.value for r in results], [r.interval for r in results]
    found = [_finding(sides, title, values, intervals, levels.tvd, metric="sequence.transitions")]
    for name, made in each.items() if len(names) > 1 else ():
        title = f"Column {name!r}, total variation distance of transitions"
        values, intervals = [r.value for r in made], [r.interval for r in made]
        found.append(_finding(sides, title, values, intervals, levels.tvd, metric="sequence.transitions", column=name))
    return found


def _moves(sides: Sequence[Steps], ends: Sequence[tuple[Integers, Integers]], grid: Grid, name: str) -> Joint:
    """The table of (state, next state) of one column."""
    codes = [grid.code(name, side.values[name]) for side in sides]
    tables = [{"from": c[a], "to": c[b]} for c, (a, b) in zip(codes, ends, strict=True)]
    return joint(tables, {"from": grid.sizes[name], "to": grid.sizes[name]}, ("from", "to"))


def _gaps(sides: Sequence[Steps], levels: AuditLevels) -> list[Finding]:
    """KS distance of the time from one row of a unit to the next."""
    steps, units = [], []
    for side in sides:
        earlier, later = side.pairs(1)
        steps.append(side.time[later] - side.time[earlier])
        units.append(side.units[earlier])
    if any(np.isnan(step).all() for step in steps):
        return []
    gaps = [
        kolmogorov_smirnov(steps[0], other, (units[0], whose))
        for other, whose in zip(steps[1:], units[1:], strict=True)
    ]
    values, intervals = [gap.value for gap in gaps], [gap.interval for gap in gaps]
    title = "Time from one row of a unit to the next, Kolmogorov-Smirnov distance"
    return [_finding(sides, title, values, intervals, levels.tvd, metric="sequence.gaps")]


def _finding(
    sides: Sequence[Steps],
    title: str,
    values: Sequence[float],
    intervals: Sequence[Pair],
    cutoffs: Cutoffs,
    *,
    metric: str,
    column: str | None = None,
) -> Finding:
    baseline = values[2] if len(values) > 2 else None
    above = mover(values[1], intervals[1], values[2], intervals[2]) if baseline is not None else None
    excess = None if baseline is None else values[1] - baseline
    rows = sides[3].count if len(sides) > 3 else 0
    added = None if excess is None or above is None else told_apart(excess, above, rows)
    level = added_level(cutoffs, values[0], added)
    text = f"{title}: {number(values[0])}"
    if baseline is not None:
        text += f"; unseen real units {number(baseline)}, as many synthetic ones {number(values[1])}"
    text += f". {added_words(level, cutoffs, added)}"
    return Finding(
        metric=metric,
        message=text,
        risk_level=level,
        value=values[0],
        interval=intervals[0],
        baseline=baseline,
        excess=excess,
        excess_interval=above,
        sample_size=sides[1].count,
        control_size=sides[3].count if len(sides) > 3 else None,
        decides=False,
        column=column,
    )
