"""Fidelity: how close the synthetic table's distributions are to the real one's, each beside the same figure of held-out real rows.

Source of column shapes and column pair trends: the definitions of SDMetrics' quality report (DataCebo, SDMetrics documentation,
"Column Shapes", "Column Pair Trends"), written anew: numbers of pairs with a missing side are left out, bins come from the real table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from synth_assets.audit.clock import Clock
from synth_assets.audit.findings import number, verdict
from synth_assets.audit.marginals import (
    Clique,
    Codes,
    Grid,
    cramers_v,
    equal_width_grid,
    joint_counts,
    quantile_grid,
    total_variation_distance,
    workload,
)
from synth_assets.audit.prepare import Floats, Integers, Part, Prepared
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import AuditLevels
from synth_assets.errors import InputError
from synth_assets.seeds import child_seed


def kolmogorov_smirnov(real: Floats, synthetic: Floats) -> float:
    """Largest distance between two empirical distribution functions.

    Args:
        real: Numbers; NaN is left out.
        synthetic: Numbers; NaN is left out.

    Returns:
        A fraction in [0, 1].

    Raises:
        InputError: one side has no number.

    Source:
        Conover, "Practical Nonparametric Statistics", 3rd ed., section 6.3.
    """
    first, second = np.sort(real[~np.isnan(real)]), np.sort(synthetic[~np.isnan(synthetic)])
    if not len(first) or not len(second):
        raise InputError("a column without numbers has no distribution to compare.")
    both = np.concatenate([first, second])
    below = (
        np.searchsorted(first, both, side="right") / len(first),
        np.searchsorted(second, both, side="right") / len(second),
    )
    return float(np.abs(below[0] - below[1]).max())


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's test of two samples over the same categories; `effect` (Cramer's V) does not grow with the sample."""

    statistic: float
    degrees: int
    p_value: float
    effect: float


def chi_square(real: Sequence[int] | Integers, synthetic: Sequence[int] | Integers) -> ChiSquare:
    """Pearson's chi-square test of homogeneity of two histograms.

    Args:
        real: Row counts, shape (k,).
        synthetic: Row counts, shape (k,).

    Returns:
        Statistic, degrees of freedom, p-value and Cramer's V of the 2 x k table.

    Source:
        Pearson, "On the criterion ...", Philosophical Magazine 50 (1900), 157-175.
    """
    from scipy.stats import chi2

    table = np.array([real, synthetic], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    degrees = table.shape[1] - 1
    effect = cramers_v(table)
    statistic = effect**2 * float(table.sum())
    return ChiSquare(statistic, degrees, float(chi2.sf(statistic, degrees)) if degrees else 1.0, effect)


def correlation(first: Floats, second: Floats) -> float:
    """Pearson correlation over the rows that have both numbers; 0 where one side is constant."""
    known = np.isfinite(first) & np.isfinite(second)
    x, y = first[known], second[known]
    if len(x) < 2 or x.std() == 0 or y.std() == 0:
        return 0.0
    return float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))


@dataclass(frozen=True)
class Comparison:
    """The real train table, what is compared with it, and the bins. `same_size` is None without a holdout."""

    prepared: Prepared
    levels: AuditLevels
    grid: Grid
    train: Part
    synthetic: Part
    same_size: Part | None
    holdout: Part | None

    def sides(self) -> list[Part]:
        """Train, then what is measured against it: synthetic, and with a holdout synthetic at its size and the holdout."""
        extra = [part for part in (self.same_size, self.holdout) if part is not None]
        return [self.train, self.synthetic, *extra]


def compare(prepared: Prepared, levels: AuditLevels, seed: int) -> Comparison:
    """Bins, and equal sizes for the holdout and the synthetic rows that are set beside it."""
    synthetic, holdout = prepared.parts["synthetic"], prepared.parts.get("holdout")
    same = None
    if holdout is not None:
        rows = min(synthetic.held, holdout.held)
        same = _subset(synthetic, rows, child_seed(seed, "same size", "synthetic"))
        holdout = _subset(holdout, rows, child_seed(seed, "same size", "holdout"))
    return Comparison(prepared, levels, quantile_grid(prepared), prepared.parts["train"], synthetic, same, holdout)


def _subset(part: Part, rows: int, seed: int) -> Part:
    if part.held == rows:
        return part
    return part.take(np.sort(np.random.default_rng(seed).choice(part.held, rows, replace=False)))


def fidelity_findings(
    prepared: Prepared, levels: AuditLevels, seed: int, clock: Clock
) -> tuple[list[Finding], list[str]]:
    """All findings of the module but domain validity, and notes about what was left out.

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
    with clock.step("fidelity.summaries"):
        found += [_summary(comparison, *part) for part in _summaries(comparison, codes, cliques[2])]
    with clock.step("fidelity.columns"):
        found += [f for name in prepared.names for f in _column_findings(comparison, codes, name)]
    if comparison.grid.merged:
        notes = (*notes, f"Rare categories share one bin in: {', '.join(comparison.grid.merged)}.")
    return found, list(notes)


def _mean_tvd(comparison: Comparison, codes: Sequence[Codes], size: int, cliques: Sequence[Clique]) -> Finding | None:
    if not cliques:
        return None
    distances = []
    for clique in cliques:
        real, *others = joint_counts(codes, comparison.grid, clique)
        distances.append([total_variation_distance(real, other) for other in others])
    means = np.mean(distances, axis=0)
    only = len(comparison.prepared.names) == 1
    return _measured(
        comparison,
        f"tvd_{size}way",
        f"Mean total variation distance over {len(cliques)} {size}-way marginal{'s' if len(cliques) > 1 else ''}",
        [float(m) for m in means],
        decides=size == 2 or (size == 1 and only),
        details={"largest": float(np.max(distances, axis=0)[0]), "marginals": len(cliques)},
    )


def _measured(
    comparison: Comparison,
    metric: str,
    title: str,
    values: Sequence[float],
    *,
    decides: bool = False,
    column: str | None = None,
    details: dict[str, float | int] | None = None,
) -> Finding:
    """A finding from distances to the train table: of the synthetic one, and of equally many synthetic and held-out rows."""
    baseline = values[2] if len(values) > 2 else None
    cutoffs = comparison.levels.tvd
    level = cutoffs.level(values[0])
    text = f"{title}: {number(values[0])} from the real table, {verdict(level, cutoffs)}."
    if baseline is not None:
        text += f" Unseen real rows are {number(baseline)} away, as many synthetic rows {number(values[1])}."
    return Finding(
        metric=metric,
        message=text,
        risk_level=level,
        value=values[0],
        baseline=baseline,
        excess=None if baseline is None else values[1] - baseline,
        decides=decides,
        column=column,
        details=details or {},
    )


def _column_findings(comparison: Comparison, codes: Sequence[Codes], name: str) -> list[Finding]:
    """TVD of one column, and its KS distance (numbers) or chi-square effect (categories)."""
    counts = joint_counts(codes, comparison.grid, (name,))
    distances = [total_variation_distance(counts[0], other) for other in counts[1:]]
    found = [_measured(comparison, "column_tvd", f"Column {name!r}, total variation distance", distances, column=name)]
    parts = comparison.sides()
    if not comparison.prepared.numeric(name):
        tests = [chi_square(counts[0], other) for other in counts[1:]]
        details = {"statistic": tests[0].statistic, "degrees": tests[0].degrees, "p_value": tests[0].p_value}
        title = f"Column {name!r}, chi-square effect (Cramer's V)"
        found.append(
            _measured(comparison, "column_chi_square", title, [t.effect for t in tests], column=name, details=details)
        )
    elif all((~np.isnan(part.values[name])).any() for part in parts):
        steps = [kolmogorov_smirnov(parts[0].values[name], part.values[name]) for part in parts[1:]]
        found.append(
            _measured(comparison, "column_ks", f"Column {name!r}, Kolmogorov-Smirnov distance", steps, column=name)
        )
    return found


def _summary(comparison: Comparison, metric: str, title: str, similarities: Sequence[float]) -> Finding:
    """A finding from a similarity in [0, 1] (1 is best); its level is that of 1 - similarity."""
    cutoffs = comparison.levels.tvd
    level = cutoffs.level(1 - similarities[0])
    text = f"{title}: {number(similarities[0])} of 1; for the distance from 1, {verdict(level, cutoffs)}."
    baseline = similarities[2] if len(similarities) > 2 else None
    if baseline is not None:
        text += f" Unseen real rows reach {number(baseline)}, as many synthetic rows {number(similarities[1])}."
    return Finding(
        metric=metric,
        message=text,
        risk_level=level,
        value=similarities[0],
        baseline=baseline,
        excess=None if baseline is None else baseline - similarities[1],
        decides=False,
    )


def _summaries(
    comparison: Comparison, codes: Sequence[Codes], pairs: Sequence[Clique]
) -> list[tuple[str, str, list[float]]]:
    """Column shapes, column pair trends, and the differences of correlation and association, as similarities."""
    prepared, parts = comparison.prepared, comparison.sides()
    shapes = [_shape(comparison, codes, name) for name in prepared.names]
    result = [("column_shapes", "Column shapes", _means(shapes))]
    numeric = [pair for pair in pairs if all(prepared.numeric(name) for name in pair)]
    correlations = {
        pair: [correlation(part.values[pair[0]], part.values[pair[1]]) for part in parts] for pair in numeric
    }
    if pairs:
        grid = equal_width_grid(prepared)
        wide = [grid.codes(part) for part in parts]
        trends = [
            [1 - abs(correlations[pair][0] - other) / 2 for other in correlations[pair][1:]]
            if pair in correlations
            else _against_first(joint_counts(wide, grid, pair), lambda a, b: 1 - total_variation_distance(a, b))
            for pair in pairs
        ]
        result.append(("column_pair_trends", "Column pair trends", _means(trends)))
    if correlations:
        kept = [[1 - abs(values[0] - other) for other in values[1:]] for values in correlations.values()]
        result.append(("correlation_similarity", "1 - mean difference of Pearson correlations", _means(kept)))
    if pairs:
        associations = [_associations(comparison.grid, codes, pair) for pair in pairs]
        kept = [[1 - abs(values[0] - other) for other in values[1:]] for values in associations]
        result.append(("association_similarity", "1 - mean difference of Cramer's V", _means(kept)))
    return result


def _shape(comparison: Comparison, codes: Sequence[Codes], name: str) -> list[float]:
    """1 - KS for numbers, 1 - TVD for categories."""
    parts = comparison.sides()
    if comparison.prepared.numeric(name) and all((~np.isnan(part.values[name])).any() for part in parts):
        return [1 - kolmogorov_smirnov(parts[0].values[name], part.values[name]) for part in parts[1:]]
    counts = joint_counts(codes, comparison.grid, (name,))
    return _against_first(counts, lambda a, b: 1 - total_variation_distance(a, b))


def _associations(grid: Grid, codes: Sequence[Codes], pair: Clique) -> list[float]:
    sizes = [grid.sizes[name] for name in pair]
    counts = joint_counts(codes, grid, pair)
    whole = math.prod(sizes)
    return [cramers_v(c.reshape(sizes)) if len(c) == whole else 0.0 for c in counts]


def _against_first(counts: Sequence[Integers], score: Callable[[Integers, Integers], float]) -> list[float]:
    return [score(counts[0], other) for other in counts[1:]]


def _means(rows: Sequence[Sequence[float]]) -> list[float]:
    return [float(m) for m in np.mean(np.asarray(rows, dtype=np.float64), axis=0)]
