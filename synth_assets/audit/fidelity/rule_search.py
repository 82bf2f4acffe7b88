"""Rules that the real rows keep: found in the train table, and kept by held-out rows as well. Nobody has to declare them.

A rule counts where the real tables (almost) never break it and where independent columns would: what holds by chance, or because two
columns lie in different ranges, says nothing. What does not belong here: what a rule means (`rules.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from synth_assets.audit.fidelity.rules import (
    Exact,
    Flags,
    Rule,
    adds_up,
    combination,
    dependency,
    known,
    missing,
    order,
    total,
)
from synth_assets.audit.marginals import Clique, Codes, Grid, joint
from synth_assets.audit.prepare import Array, Floats, Integers, Part, Prepared
from synth_assets.seeds import child_seed
from synth_assets.tables.schema import ColumnKind

MOST_BROKEN = 0.001  # of the real rows
TELLING = 0.02  # of the rows at least would break a rule if the columns were independent
FEWEST_ROWS = 100  # that a rule applies to
MOST_LIKELY = (
    0.02  # a combination that never occurs does so at most this often, against independence, with 95 % confidence
)
SAMPLE = 20_000
SUM_SAMPLE = 500
SUM_COLUMNS = 40
DISTINCT = 1_000
KEY_ROWS = 5
_POISSON = 3.0  # 95 % upper bound of a count of which none was seen


def find_rules(prepared: Prepared, grid: Grid, bins: Sequence[Codes], pairs: Sequence[Clique], seed: int) -> list[Rule]:
    """Rules that the real tables keep.

    Args:
        prepared: With a train table; its holdout, where there is one, confirms the rules.
        grid: Bins of the compared columns (`quantile_grid`).
        bins: Bin numbers of the train table, and of the holdout where there is one.
        pairs: Pairs of columns to look at.
        seed: Seed of the sample in which candidates are looked for.

    Returns:
        Orders, sums, dependencies, missing values, combinations; a pair with a dependency has no combinations of its own.
    """
    train, holdout = prepared.parts["train"], prepared.parts.get("holdout")
    sample = _sample(train, SAMPLE, child_seed(seed, "rules"))
    exact = {name: values for name in prepared.names if (values := _exact(prepared, name)) is not None}
    candidates: Iterator[Rule] = itertools.chain(
        _sums(prepared, sample, seed),
        _orders(prepared, sample, pairs, seed),
        _dependencies(exact, sample, train, pairs),
    )
    kept = [rule for rule in candidates if _kept(rule, train) and (holdout is None or _kept(rule, holdout, few=True))]
    equal = {frozenset(rule.columns) for rule in kept if rule.kind == "sum"}
    kept = [rule for rule in kept if rule.kind == "sum" or frozenset(rule.columns) not in equal]
    tied = {frozenset(rule.columns) for rule in kept if rule.kind in ("dependency", "sum")}
    free = [pair for pair in pairs if frozenset(pair) not in tied]
    return [*kept, *_missing(prepared, grid, bins, free), *_combinations(prepared, grid, bins, free)]


def _sample(part: Part, rows: int, seed: int) -> Part:
    if part.held <= rows:
        return part
    return part.take(np.sort(np.random.default_rng(seed).choice(part.held, rows, replace=False)))


def _kept(rule: Rule, part: Part, *, few: bool = False) -> bool:
    """Whether the rows of a real table keep a rule; `few`: also where hardly any row says something."""
    outcome = rule.check(part)
    rows, broken = int(outcome.applies.sum()), int(outcome.broken.sum())
    return (few or rows >= FEWEST_ROWS) and broken <= MOST_BROKEN * rows


def _orders(prepared: Prepared, sample: Part, pairs: Sequence[Clique], seed: int) -> Iterator[Rule]:
    """Numbers, and dates or times, of which one is never above the other."""
    kinds = {c.name: c.kind is ColumnKind.NUMBER for c in prepared.columns if prepared.numeric(c.name)}
    rng = np.random.default_rng(child_seed(seed, "orders"))
    for first, second in pairs:
        if first not in kinds or second not in kinds or kinds[first] != kinds[second]:
            continue
        for low, high in ((first, second), (second, first)):
            both = known(sample.values[low]) & known(sample.values[high])
            below, above = sample.values[low][both], sample.values[high][both]
            if len(below) >= FEWEST_ROWS and (below > above).mean() <= MOST_BROKEN:
                if (rng.permutation(below) > above).mean() >= TELLING:
                    yield order(low, high)
                break


def _sums(prepared: Prepared, sample: Part, seed: int) -> Iterator[Rule]:
    """Numbers that are the sum of others, or equal to another one."""
    names = [c.name for c in prepared.columns if c.kind is ColumnKind.NUMBER][:SUM_COLUMNS]
    if len(names) < 2:
        return
    columns = np.column_stack([sample.values[name] for name in names])
    columns = columns[np.isfinite(columns).all(axis=1)]
    if len(columns) < FEWEST_ROWS:
        return
    columns = columns[np.random.default_rng(child_seed(seed, "sums")).permutation(len(columns))[:SUM_SAMPLE]]
    useful = [i for i in range(len(names)) if (columns[:, i] != 0).mean() >= TELLING and np.ptp(columns[:, i]) > 0]
    found: set[frozenset[int]] = set()
    for goal in useful:
        for addends in _addends(columns, goal, [i for i in useful if i != goal]):
            if frozenset((goal, *addends)) not in found:
                found.add(frozenset((goal, *addends)))
                yield total(names[goal], [names[i] for i in addends])


def _addends(columns: Floats, goal: int, others: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Columns that add up to another one: one, two, or the whole set that least squares finds."""
    wanted = columns[:, goal]

    def fits(addends: Sequence[int]) -> bool:
        return bool(adds_up(wanted, [columns[:, i] for i in addends]).mean() >= 1 - MOST_BROKEN)

    short = [pair for size in (1, 2) for pair in itertools.combinations(others, size) if fits(pair)]
    yield from short
    if short or len(others) < 3:
        return
    weights = np.linalg.lstsq(columns[:, list(others)], wanted, rcond=None)[0]
    chosen = tuple(i for i, weight in zip(others, weights, strict=True) if abs(weight - 1) < 1e-3)
    if len(chosen) > 2 and fits(chosen):
        yield chosen


def _exact(prepared: Prepared, name: str) -> Exact | None:
    """Numbers of a column's exact values in the train table; None where it has too many."""
    if not prepared.numeric(name):
        return Exact(name, None, len(prepared.labels[name])) if len(prepared.labels[name]) <= DISTINCT else None
    numbers = _few(prepared.parts["train"].values[name])
    return None if numbers is None else Exact(name, numbers, len(numbers))


def _few(values: Array) -> Array | None:
    """The different numbers of a column, sorted; None for none or too many."""
    values = values[~np.isnan(values)]
    if len(np.unique(values[: 4 * DISTINCT])) > DISTINCT:
        return None
    numbers = np.unique(values)
    return numbers if 0 < len(numbers) <= DISTINCT else None


def _dependencies(exact: dict[str, Exact], sample: Part, train: Part, pairs: Sequence[Clique]) -> Iterator[Rule]:
    """Columns whose value follows from another column's, looked for in a sample and learned from all train rows."""
    small = {name: codes.of(sample) for name, codes in exact.items()}
    whole: dict[str, Integers] = {}
    for pair in pairs:
        if not set(pair) <= set(exact):
            continue
        for by, of in (pair, pair[::-1]):
            if _follows(small[by], small[of], exact[by].size + 2, exact[of].size + 2) is None:
                continue
            for name in (by, of):
                if name not in whole:
                    whole[name] = exact[name].of(train)
            value = _follows(whole[by], whole[of], exact[by].size + 2, exact[of].size + 2)
            if value is not None:
                yield dependency(exact[by], exact[of], value)


def _follows(by: Integers, of: Integers, keys: int, values: int) -> Integers | None:
    """The code of `of` that follows from each code of `by`, -1 where rows are too few; None where it does not depend on it."""
    sizes = {"by": keys, "of": values}
    marginal = joint([{"by": by, "of": of}], sizes, ("by", "of"))
    places, found = divmod(marginal.cells, values)
    counts = marginal.counts[0]
    rows = np.bincount(places, weights=counts, minlength=keys)
    rows[keys - 2] = 0  # a missing value decides nothing
    order = np.lexsort((found, -counts, places))
    first = order[np.unique(places[order], return_index=True)[1]]
    usual, most = np.full(keys, -1, dtype=np.int64), np.zeros(keys)
    usual[places[first]], most[places[first]] = found[first], counts[first]
    telling = rows >= KEY_ROWS
    covered = float(rows[telling].sum())
    if covered < max(0.9 * rows.sum(), FEWEST_ROWS) or most[telling].sum() < (1 - MOST_BROKEN) * covered:
        return None
    shares = np.bincount(of, minlength=values) / len(of)
    by_chance = float((rows[telling] / covered * shares[usual[telling]]).sum())
    return np.where(telling, usual, -1) if by_chance <= 1 - TELLING else None


def _never(counts: Sequence[Array]) -> Flags:
    """Which cells of a table of counts never occur in train, and not in the holdout either, though independence would fill them."""
    train = counts[0].astype(np.float64)
    expected = train.sum(axis=1, keepdims=True) * train.sum(axis=0, keepdims=True) / max(train.sum(), 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rare = np.where(expected > 0, (train + _POISSON) / expected, np.inf) <= MOST_LIKELY
    never: Flags = rare & (train <= MOST_BROKEN * expected)
    for held in counts[1:]:
        never &= held <= MOST_BROKEN * expected * held.sum() / max(train.sum(), 1.0)
    return never


def _missing(prepared: Prepared, grid: Grid, bins: Sequence[Codes], pairs: Sequence[Clique]) -> Iterator[Rule]:
    """Columns whose missing values follow from another column."""
    gaps = {n: [(b[n] == grid.sizes[n] - 1).astype(np.int64) for b in bins] for n in prepared.names}
    gaps = {n: each for n, each in gaps.items() if TELLING <= each[0].mean() <= 1 - TELLING}
    for by, column in itertools.chain.from_iterable((pair, pair[::-1]) for pair in pairs):
        if column not in gaps:
            continue
        tables = [{by: b[by], "gap": gap} for b, gap in zip(bins, gaps[column], strict=True)]
        counts = joint(tables, {by: grid.sizes[by], "gap": 2}, (by, "gap")).counts
        never = _never([each.reshape(-1, 2) for each in counts])
        state = np.where(never[:, 0], 1, np.where(never[:, 1], 0, -1))
        if (state >= 0).any():
            yield missing(column, by, grid, state)


def _combinations(prepared: Prepared, grid: Grid, bins: Sequence[Codes], pairs: Sequence[Clique]) -> Iterator[Rule]:
    """Pairs of columns, one a category at least, with values that do not occur together."""
    for pair in pairs:
        if all(prepared.numeric(name) for name in pair):
            continue
        shape = tuple(grid.sizes[name] for name in pair)
        if len((marginal := joint(bins, grid.sizes, pair)).cells) != shape[0] * shape[1]:
            continue
        never = _never([counts.reshape(shape) for counts in marginal.counts])
        never[-1, :] = never[:, -1] = False  # missing values have rules of their own
        for axis, name in enumerate(pair):
            if not prepared.numeric(name):
                np.moveaxis(never, axis, 0)[-2] = False  # values that train lacks, or that share a bin
        if never.any():
            yield combination(pair, grid, never)
