"""Fidelity: how close the synthetic table's distributions are to the real one's, each beside the same figure of held-out real rows.

What belongs here: which figures are reported, their baselines, levels and words. What does not: how one is computed (`../marginals.py`,
`columns.py`, `quality.py`, `kmarginal.py`), rules (`rules.py`), the domain (`validity.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth_assets.audit.clock import Clock
from synth_assets.audit.fidelity.columns import chi_square, kolmogorov_smirnov
from synth_assets.audit.fidelity.comparison import Comparison, compare
from synth_assets.audit.fidelity.kmarginal import BEST, cliques_of, k_marginal, subsample_share
from synth_assets.audit.fidelity.quality import (
    View,
    column_shape,
    correlation_sway,
    mean_of,
    pair_trends,
    pearson,
    shape_sway,
    view,
)
from synth_assets.audit.fidelity.resampled import trend_halves
from synth_assets.audit.findings import added_level, added_words, number, verdict
from synth_assets.audit.findings import share as share_of
from synth_assets.audit.intervals import Pair, mover
from synth_assets.audit.marginals import (
    Clique,
    Codes,
    MeanDistance,
    association_sway,
    cramers_v,
    joint,
    rank_grid,
)
from synth_assets.audit.prepare import Prepared
from synth_assets.audit.records import Finding
from synth_assets.audit.spread import Spread, around, design_effect
from synth_assets.audit.workload import workload
from synth_assets.config.thresholds import AuditLevels, Cutoffs
from synth_assets.seeds import child_seed
from synth_assets.tables.schema import ColumnKind

_TVD = {1: "tvd_1way", 2: "tvd_2way", 3: "tvd_3way"}
_SETS = {1: "column", 2: "pair of columns", 3: "triple of columns"}
_MANY = {1: "columns", 2: "pairs of columns", 3: "triples of columns"}


@dataclass(frozen=True)
class Measured:
    """One figure: of the synthetic table, and with a holdout of equally many synthetic and held-out rows.

    Args:
        values: One per table of `Comparison.sides` but the first.
        intervals: Their 95 % intervals, where there are any.
        details: Further numbers, for the restricted form.
    """

    values: Sequence[float]
    intervals: Sequence[Pair] | None = None
    details: Mapping[str, float | int] | None = None


def fidelity_findings(
    prepared: Prepared, levels: AuditLevels, seed: int, clock: Clock
) -> tuple[list[Finding], list[str]]:
    """Distances, scores and tests over columns, pairs and triples, and notes about what was left out.

    Args:
        prepared: With a train table; with a holdout each figure has its baseline.
        levels: Cut-offs.
        seed: For subsets.
        clock: Takes the time of every part.
    """
    with clock.step("fidelity.marginals"):
        comparison = compare(prepared, levels, seed)
        cliques, notes = workload(prepared.names, seed)
        codes = [comparison.grid.codes(part) for part in comparison.sides()]
        found = [f for size in (1, 2, 3) if (f := _mean_tvd(comparison, codes, size, cliques[size])) is not None]
        found += _associations(comparison, codes, cliques[2])
    with clock.step("fidelity.columns"):
        columns = [f for name in prepared.names for f in _column_findings(comparison, codes, name)]
    del codes
    with clock.step("fidelity.k_marginal"):
        found += _k_marginal(comparison, cliques[2] or cliques_of(prepared.names))
    with clock.step("fidelity.quality"):
        found += _quality(comparison, cliques[2])
    if comparison.grid.merged:
        notes = (*notes, f"Rare categories share one bin in: {', '.join(comparison.grid.merged)}.")
    return [*found, *columns], list(notes)


def _distance_finding(
    comparison: Comparison,
    title: str,
    measured: Measured,
    *,
    metric: str,
    cutoffs: Cutoffs | None = None,
    decides: bool = False,
    column: str | None = None,
) -> Finding:
    """A finding from distances to the train table, 0 is best."""
    values, intervals = measured.values, measured.intervals
    baseline = values[2] if len(values) > 2 else None
    cutoffs = cutoffs or comparison.levels.tvd
    above = mover(values[1], intervals[1], values[2], intervals[2]) if intervals and baseline is not None else None
    excess = None if baseline is None else values[1] - baseline
    added = None if excess is None or above is None else comparison.told_apart(excess, above)
    level = added_level(cutoffs, values[0], added)
    text = f"{title}: {number(values[0])}{_beside(baseline, values)}. {added_words(level, cutoffs, added)}"
    return Finding(
        metric=metric,
        message=text,
        risk_level=level,
        value=values[0],
        interval=intervals[0] if intervals else None,
        baseline=baseline,
        excess=excess,
        excess_interval=above,
        sample_size=comparison.synthetic.held,
        control_size=comparison.holdout.held if comparison.holdout is not None else None,
        decides=decides,
        column=column,
        details=measured.details or {},
    )


def _beside(baseline: float | None, values: Sequence[float]) -> str:
    return (
        "" if baseline is None else f"; unseen real rows {number(baseline)}, as many synthetic ones {number(values[1])}"
    )


def _mean_tvd(comparison: Comparison, codes: Sequence[Codes], size: int, cliques: Sequence[Clique]) -> Finding | None:
    if not cliques:
        return None
    distances = MeanDistance([part.held for part in comparison.sides()], comparison.groups)
    for clique in cliques:
        distances.add(joint(codes, comparison.grid.sizes, clique))
    results = distances.results()
    only = len(comparison.prepared.names) == 1
    return _distance_finding(
        comparison,
        f"Mean total variation distance of {len(cliques)} {_SETS[size] if len(cliques) == 1 else _MANY[size]}",
        Measured(
            [r.value for r in results],
            [r.interval for r in results],
            {"largest": results[0].largest, "marginals": len(cliques)},
        ),
        metric=_TVD[size],
        decides=size == 2 or (size == 1 and only),
    )


def _associations(comparison: Comparison, codes: Sequence[Codes], pairs: Sequence[Clique]) -> list[Finding]:
    """Mean difference of Cramer's V over all pairs."""
    if not pairs:
        return []
    sizes, spread, strengths = comparison.grid.sizes, comparison.spread(), []
    for pair in pairs:
        shape = [sizes[name] for name in pair]  # at most 252 x 252 cells
        marginal = joint(codes, sizes, pair)
        tables = [counts.reshape(shape) for counts in marginal.counts]
        found = [cramers_v(table) for table in tables]
        moved = [
            association_sway(table).ravel()[spread.of_table(i, marginal.keys[i])] for i, table in enumerate(tables)
        ]
        for i in range(1, len(tables)):
            sign = np.sign(found[i] - found[0])
            spread.add(i, -sign * moved[0], sign * moved[i])
        strengths.append(found)
    title = "Mean difference of Cramer's V"
    return [_difference(comparison, title, np.array(strengths), spread, metric="association_difference")]


def _difference(comparison: Comparison, title: str, strengths: np.ndarray, spread: Spread, *, metric: str) -> Finding:
    """The mean absolute difference from the first column (train) over the rows (pairs)."""
    apart = np.abs(strengths[:, 1:] - strengths[:, :1])
    details = {"largest": float(apart[:, 0].max()), "pairs": len(apart)}
    text = f"{title} over {len(apart)} pair{'s' if len(apart) > 1 else ''} of columns"
    means = [float(m) for m in apart.mean(axis=0)]
    measured = Measured(means, [spread.interval(i, mean) for i, mean in enumerate(means, start=1)], details)
    return _distance_finding(comparison, text, measured, metric=metric)


def _column_findings(comparison: Comparison, codes: Sequence[Codes], name: str) -> list[Finding]:
    """TVD of one column, and its KS distance (numbers) or chi-square effect (categories)."""
    parts, groups = comparison.sides(), comparison.groups
    marginal = joint(codes, comparison.grid.sizes, (name,))
    distances = MeanDistance([part.held for part in parts], groups)
    distances.add(marginal)
    results = distances.results()
    measured = Measured([r.value for r in results], [r.interval for r in results])
    title = f"Column {name!r}, total variation distance"
    found = [_distance_finding(comparison, title, measured, metric="column_tvd", column=name)]
    if not comparison.prepared.numeric(name):
        effects = [design_effect(keys, whose) for keys, whose in zip(marginal.keys, groups, strict=True)]
        tests = [
            chi_square(marginal.counts[0], other, (effects[0], effect))
            for other, effect in zip(marginal.counts[1:], effects[1:], strict=True)
        ]
        details = {"statistic": tests[0].statistic, "degrees": tests[0].degrees, "p_value": tests[0].p_value}
        measured = Measured([t.effect for t in tests], [t.interval for t in tests], details)
        title = f"Column {name!r}, chi-square effect (Cramer's V)"
        found.append(_distance_finding(comparison, title, measured, metric="column_chi_square", column=name))
    elif all((~np.isnan(part.values[name])).any() for part in parts):
        gaps = [
            kolmogorov_smirnov(parts[0].values[name], part.values[name], (groups[0], whose))
            for part, whose in zip(parts[1:], groups[1:], strict=True)
        ]
        measured = Measured([g.value for g in gaps], [g.interval for g in gaps])
        title = f"Column {name!r}, Kolmogorov-Smirnov distance"
        found.append(_distance_finding(comparison, title, measured, metric="column_ks", column=name))
    return found


def _k_marginal(comparison: Comparison, cliques: Sequence[Clique]) -> list[Finding]:
    """NIST's score, and the share of the real rows that would score the same."""
    grid, tables = rank_grid(comparison.prepared), comparison.sides()
    codes = [grid.codes(part) for part in tables]
    scores, curve = k_marginal(codes, grid, cliques, comparison.groups)
    seed = child_seed(comparison.seed, "subsamples")
    share, span = subsample_share(scores[0].value, curve, codes[0], grid, cliques, seed=seed)
    holdout = scores[2] if len(scores) > 2 else None
    above = excess = None
    text = f"NIST's k-marginal score: {_tens(scores[0].value)} of 1000"
    if holdout is not None:
        excess = holdout.value - scores[1].value
        above = mover(holdout.value, holdout.interval, scores[1].value, scores[1].interval)
        text += f"; unseen real rows {_tens(holdout.value)}, as many synthetic ones {_tens(scores[1].value)}"
    cutoffs, apart = comparison.levels.tvd, 1 - scores[0].value / BEST
    added = None
    if excess is not None and above is not None:
        added = comparison.told_apart(excess / BEST, (above[0] / BEST, above[1] / BEST))
    level = added_level(cutoffs, apart, added)
    text += f". {added_words(level, cutoffs, added, 'The distance from 1000')}"
    limits = comparison.levels.subsample
    small = limits.level(1 - share)
    told = f"A random part of {share_of(share)} of the real rows would have this k-marginal score, {verdict(small, limits)}."
    if holdout is not None:
        told += f" Unseen real rows read as {share_of(curve.share(holdout.value))}."
    sizes = {
        "sample_size": comparison.synthetic.held,
        "control_size": comparison.holdout.held if comparison.holdout is not None else None,
    }
    return [
        Finding(
            metric="k_marginal",
            message=text,
            risk_level=level,
            value=scores[0].value,
            interval=scores[0].interval,
            baseline=None if holdout is None else holdout.value,
            excess=excess,
            excess_interval=above,
            decides=False,
            **sizes,
        ),
        Finding(
            metric="k_marginal.subsample_share",
            message=told,
            risk_level=small,
            value=share,
            interval=span,
            baseline=None if holdout is None else curve.share(holdout.value),
            decides=False,
            **sizes,
        ),
    ]


def _tens(score: float) -> str:
    """A score of 1000 as messages quote it: to a hundredth."""
    return f"{round(score, -1):.0f}"


def _quality(comparison: Comparison, pairs: Sequence[Clique]) -> list[Finding]:
    """Column shapes, column pair trends and their mean as SDMetrics has them, and the mean difference of correlations."""
    prepared, parts = comparison.prepared, comparison.sides()
    categories = {name: len(labels) for name, labels in prepared.labels.items()}
    times = [column.name for column in prepared.columns if column.kind in (ColumnKind.DATE, ColumnKind.DATETIME)]
    views = [view(part, categories, times) for part in parts]
    spread = comparison.spread()
    shapes: list[list[float | None]] = []
    for i, part in enumerate(parts[1:], start=1):
        shapes.append([])
        for name in prepared.names:
            sides, numeric = (parts[0].values[name], part.values[name]), prepared.numeric(name)
            shapes[-1].append(column_shape(*sides, numeric=numeric))
            shape_sway(spread, i, *sides, numeric=numeric)
    every = pair_trends(views, pairs)
    trends = [[row[i] for row in every] for i in range(len(parts) - 1)]
    first = [spread.half(i) for i in range(1, len(parts))]
    second = trend_halves(parts, comparison.groups, categories, times, pairs, child_seed(comparison.seed, "trends"))
    whole = [(a + b) / 2 if t is not None else a for a, b, t in zip(first, second, map(mean_of, trends), strict=True)]
    both = [[mean_of(shape), mean_of(trend)] for shape, trend in zip(shapes, trends, strict=True)]
    figures = (
        ("column_shapes", "Column shapes (as in SDMetrics)", shapes, first),
        ("column_pair_trends", "Column pair trends (as in SDMetrics)", trends, second),
        ("quality_report", "Overall quality score (as in SDMetrics)", both, whole),
    )
    found = [
        f for metric, title, scores, halves in figures for f in _similarity(comparison, title, scores, halves, metric)
    ]
    return found + _correlations(comparison, views, [p for p in pairs if all(prepared.numeric(n) for n in p)])


def _correlations(comparison: Comparison, views: Sequence[View], pairs: Sequence[Clique]) -> list[Finding]:
    if not pairs:
        return []
    strengths = np.array([[pearson(table, pair) or 0.0 for table in views] for pair in pairs])
    spread = comparison.spread()
    for pair in pairs:
        for i in range(1, len(views)):
            correlation_sway(spread, views, pair, i)
    title = "Mean difference of Pearson correlations"
    return [_difference(comparison, title, strengths, spread, metric="correlation_difference")]


def _similarity(
    comparison: Comparison, title: str, scores: Sequence[Sequence[float | None]], halves: Sequence[float], metric: str
) -> list[Finding]:
    """A finding from the mean similarity in [0, 1] (1 is best) of each table; its level is that of 1 - similarity."""
    means = [mean_of(each) for each in scores]
    if not means or means[0] is None:
        return []
    cutoffs, value = comparison.levels.tvd, means[0]
    same, baseline = (means[1], means[2]) if len(means) > 2 else (None, None)
    above = excess = None
    text = f"{title}: {number(value)} of 1"
    if same is not None and baseline is not None:
        excess, above = baseline - same, mover(baseline, around(baseline, halves[2]), same, around(same, halves[1]))
        text += f"; unseen real rows {number(baseline)}, as many synthetic ones {number(same)}"
    added = None if excess is None or above is None else comparison.told_apart(excess, above)
    level = added_level(cutoffs, 1 - value, added)
    text += f". {added_words(level, cutoffs, added, 'The distance from 1')}"
    counted = sum(score is not None for score in scores[0])
    return [
        Finding(
            metric=metric,
            message=text,
            risk_level=level,
            value=value,
            interval=around(value, halves[0]),
            baseline=baseline,
            excess=excess,
            excess_interval=above,
            sample_size=comparison.synthetic.held,
            control_size=comparison.holdout.held if comparison.holdout is not None else None,
            decides=False,
            details={"counted": counted},
        )
    ]
