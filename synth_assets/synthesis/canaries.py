"""Canaries in a marginal model: a twin of the release on public rows, with the same budget and fresh noise, half of the canaries in it.

The twin's rows are a sample of the model itself, which is public, so the attack reads nothing private and costs no budget. It is run
by the code of the release (`measure`). What belongs here: canaries, the twin, the best linear attack on noisy tables, and the weak one
on a sample. What does not: coins and bounds (privacy/empirical/canaries.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.privacy.empirical.canaries import ALPHA, flip_coins, judge_canaries
from synth_assets.privacy.empirical.records import CanaryAttack
from synth_assets.privacy.mechanisms import NoiseSource, SystemNoise
from synth_assets.seeds import child_seed
from synth_assets.storage.rooms import temporary
from synth_assets.synthesis.marginals.fit import fit
from synth_assets.synthesis.marginals.measurements import Measurements
from synth_assets.synthesis.marginals.sample import sample_table
from synth_assets.synthesis.marginals.select_measure import measure
from synth_assets.synthesis.release import ReleaseModel
from synth_assets.synthesis.release_measure import ReleaseMeasurements
from synth_assets.tables.cells import ColumnDomain, TableDomain
from synth_assets.tables.marginals import ROUNDNESS, clique_shape, encode, encode_roundness, roundness

FEWEST_CANARIES, MOST_CANARIES = 50, 2000
CANARIES_PER_CELL, CANARIES_PER_PAIR = (
    1.5,
    10,
)  # of one-way tables, and per table of pairs: more hide each other, fewer show less
MOST_DELTA = (
    1e-7  # at a larger delta, the bound of one run with many canaries says little; the claim is taken at this one then
)
MOST_ROWS = 20_000
SAMPLED_ROWS = 4000
EFFORT = {"components": 100, "warm_steps": 30, "stage_steps": 30, "final_steps": 200}  # the fit is post-processing
ASSUMED = (1.0, 0.25, 0.05)  # shares of the planned noise for which scores are made; each has its part of alpha
PRIOR = 4.0  # precision of a fair coin


def attack_canaries(
    model: ReleaseModel, measured: ReleaseMeasurements, *, delta: float, seed: int, noise: NoiseSource | None = None
) -> tuple[CanaryAttack, ...]:
    """Attack the largest table of a release with canaries, on the noisy tables and on a sample.

    Args:
        model: The model of the release; the twin's rows are sampled from it.
        measured: Its measurements: cells, budget and options of the twin.
        delta: Of the release; the bounds are at this delta, or at 1e-7 where it is larger.
        seed: Of sampling and initial weights; coins and noise take none.
        noise: The operating system's when None.

    Returns:
        The white-box attack, which gates, and the black-box one, which does not; empty where no table has a column of its own.
    """
    tables = {n: [c for c in m.columns if not c.given] for n, m in measured.tables.items()}
    name = max(tables, key=lambda n: len(tables[n]), default=None)
    if name is None or not tables[name]:
        return ()
    twin = _twin(model, measured.tables[name], name, seed)
    included = flip_coins(twin.number)
    found = measure(
        twin.source(included), twin.measured.budget, noise or SystemNoise(), target=twin.measured.target,
        options=twin.measured.options.model_copy(update=EFFORT), seed=child_seed(seed, "twin"), device="cpu",
    )  # fmt: skip
    delta = min(delta, MOST_DELTA)
    budget = twin.measured.budget.model_copy(update={"sigma_domain": None, "delta_domain": None})  # its cells are given
    epsilon = epsilon_spent(budget.events(), delta)
    white = [
        judge_canaries(
            included, scores, epsilon=epsilon, delta=delta, scored_on="noisy tables", alpha=ALPHA / len(ASSUMED)
        )
        for scores in table_scores(found, twin, ASSUMED)
    ]  # fmt: skip
    strongest = max(white, key=lambda a: a.epsilon_lower).model_copy(update={"confidence": 1 - ALPHA})
    seen = sample_scores(found, twin, seed)
    return strongest, judge_canaries(included, seen, epsilon=epsilon, delta=delta, scored_on="sample")


@dataclass(frozen=True)
class Twin:
    """The public rows of a twin, and its canaries, as cells.

    Attributes:
        domain: Own columns of the table.
        measured: Measurements of the release.
        rows: Cell of each public row, per column and roundness, shape (n,).
        canaries: Cell of each canary, likewise, shape (m,).
    """

    domain: TableDomain
    measured: Measurements
    rows: Mapping[str, np.ndarray]
    canaries: Mapping[str, np.ndarray]

    @property
    def number(self) -> int:
        """Of canaries."""
        return len(next(iter(self.canaries.values())))

    def source(self, included: np.ndarray) -> CodedSource:
        """The counts of the public rows and of the canaries that are in."""
        return CodedSource(self.domain, self.measured.budget.shape.max_per_unit, self.rows, self.canaries, included)


@dataclass(frozen=True)
class CodedSource:
    """`MarginalSource` over rows that are cells already; a canary is a unit of privacy with all rows that it may have, all alike."""

    domain: TableDomain
    max_per_unit: int
    rows: Mapping[str, np.ndarray]
    canaries: Mapping[str, np.ndarray]
    included: np.ndarray

    def counts(
        self, cliques: Sequence[tuple[str, ...]], *, bins: Mapping[str, np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """See `MarginalSource`."""
        bins = bins or {}
        out = []
        for clique in cliques:
            shape = clique_shape(self.domain, clique, bins)
            size = int(np.prod(shape))
            public = np.bincount(cell_of(self.rows, clique, shape, bins), minlength=size)
            inside = np.bincount(cell_of(self.canaries, clique, shape, bins)[self.included], minlength=size)
            out.append((public + self.max_per_unit * inside).astype(np.int64).reshape(shape))
        return out


def cell_of(
    codes: Mapping[str, np.ndarray], clique: tuple[str, ...], shape: tuple[int, ...], bins: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Row-major index of the cell of each row."""
    key = np.zeros(len(next(iter(codes.values()))), dtype=np.int64)
    for name, size in zip(clique, shape, strict=True):
        key = key * size + (np.asarray(bins[name])[codes[name]] if name in bins else codes[name])
    return key


def _twin(model: ReleaseModel, measured: Measurements, name: str, seed: int) -> Twin:
    """Rows sampled from the model, and canaries spread evenly over the public cells of values."""
    import pyarrow.parquet as pq

    own = [c for c in measured.columns if not c.given]
    names = {c.name for c in own}
    derived = {
        c.name for c in own if c.minus is not None and c.minus not in names
    }  # differences to another row or table
    cells = [ColumnDomain(**c.model_dump(exclude={"given"})) for c in own]
    domain = TableDomain(columns=tuple(c.model_copy(update={"minus": None}) if c.name in derived else c for c in cells))
    root = model.links.root
    wanted = min(MOST_ROWS, max(1, model.models[root].rows))
    with temporary() as scratch:
        folder = model.sample(rows=wanted, seed=child_seed(seed, "twin", "rows"), out=scratch)[name]
        table = pq.read_table(folder)
    known = [c for c in domain.columns if c.name in table.column_names and c.name not in derived]
    rng = np.random.default_rng(child_seed(seed, "twin", "cells"))
    fitting = int(CANARIES_PER_CELL * sum(c.size for c in domain.columns)) + CANARIES_PER_PAIR * measured.budget.pairs
    number = min(MOST_CANARIES, max(FEWEST_CANARIES, fitting))
    rows: dict[str, np.ndarray] = {}
    canaries: dict[str, np.ndarray] = {}
    for column in domain.columns:
        values = max(1, column.value_cells)
        rows[column.name] = encode(column, table) if column in known else rng.integers(0, values, table.num_rows)
        canaries[column.name] = rng.integers(0, values, number)
        if column.steps:
            special = np.full(table.num_rows, len(column.steps))
            rows[roundness(column.name)] = encode_roundness(column, table) if column in known else special
            canaries[roundness(column.name)] = rng.integers(0, len(column.steps), number)
    return Twin(domain, measured, rows, canaries)


def table_scores(found: Measurements, twin: Twin, shares: Sequence[float] = (1.0,)) -> list[np.ndarray]:
    """The best linear guess of every coin from all noisy tables; all but the coins and the noise is known to the attacker.

    Each noisy cell is (public rows) + m (canaries of the cell that are in) + noise. With coins of mean 1/2 and variance 1/4 the guess
    is 1/2 + (G + 4 I)^-1 (v - G 1/2), G = sum over tables of (m / sigma)^2 [same cell], v = sum of m / sigma^2 times what is left of
    the canary's cell without the public rows.

    Args:
        found: The twin's measurements.
        twin: The twin.
        shares: Of the planned noise that the attacker assumes; where there is less than planned, a smaller one sees more.

    Returns:
        For each share, shape (canaries,).
    """
    gram, pull = _evidence(found, twin)
    guesses = []
    for share in shares:  # sigma stands squared below every term of both sums
        g, v = gram / share**2, pull / share**2
        guesses.append(np.asarray(np.linalg.solve(g + PRIOR * np.eye(len(v)), v - g.sum(1) / 2)))
    return guesses


def _evidence(found: Measurements, twin: Twin) -> tuple[np.ndarray, np.ndarray]:
    """G and v of `table_scores` at the planned noise: shapes (canaries, canaries) and (canaries,)."""
    m, count = twin.measured.budget.shape.max_per_unit, twin.number
    gram, pull = np.zeros((count, count)), np.zeros(count)
    for noisy, sigma, rows, canaries in _noisy_tables(found, twin):
        left = noisy.ravel() - np.bincount(rows, minlength=noisy.size)
        pull += m / sigma**2 * left[canaries]
        order = np.argsort(canaries, kind="stable")
        for together in np.split(order, np.flatnonzero(np.diff(canaries[order])) + 1):
            gram[np.ix_(together, together)] += (m / sigma) ** 2
    return gram, pull


def _noisy_tables(found: Measurements, twin: Twin) -> Iterator[tuple[np.ndarray, float, np.ndarray, np.ndarray]]:
    """Every noisy table: its values, its noise, and the cell of every public row and of every canary in it."""
    budget = found.budget

    def placed(
        noisy: np.ndarray, sigma: float, clique: tuple[str, ...], bins: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
        shape = tuple(s for s in noisy.shape if s > 1 or noisy.ndim == 1) if len(clique) != noisy.ndim else noisy.shape
        return noisy, sigma, cell_of(twin.rows, clique, shape, bins), cell_of(twin.canaries, clique, shape, bins)

    for name, noisy in found.ones.items():
        yield placed(noisy, budget.sigma_one, (name,), {})
    for name, noisy in found.rounds.items():
        yield placed(noisy, budget.sigma_round or 1.0, (ROUNDNESS + name,), {})
    if found.target is not None:
        for feature, noisy in zip(found.features, found.targets, strict=False):
            yield placed(noisy, budget.sigma_target or 1.0, (found.target, feature), found.groups)
    for pair in found.pairs:
        names = (found.features[pair.a], found.features[pair.b])
        bins = {n: found.levels[n][pair.level][found.groups[n]] for n in names}
        if found.target is not None:
            bins[found.target] = found.groups[found.target]
        lead = (found.target,) if pair.with_target and found.target is not None else ()
        values = pair.values if lead else pair.values[0]
        yield placed(values, budget.sigma_pair or 1.0, (*lead, *names), bins)


def sample_scores(found: Measurements, twin: Twin, seed: int) -> np.ndarray:
    """What somebody sees who holds only a sample of the twin's model: how many cells a canary shares with its nearest rows."""
    model = fit(found, seed=child_seed(seed, "twin", "fit"), device="cpu")
    rng = np.random.default_rng(child_seed(seed, "twin", "sample"))
    table = sample_table(model, SAMPLED_ROWS, rng)
    groups = {c.name: found.groups[c.name] for c in twin.domain.columns}
    return nearness(
        [(groups[c.name][twin.canaries[c.name]], groups[c.name][encode(c, table)]) for c in twin.domain.columns]
    )


def nearness(columns: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """How many cells a canary shares with its ten nearest rows, on average.

    Args:
        columns: Per column the cells of the canaries, shape (m,), and those of the rows, shape (n,).

    Returns:
        Shape (m,).
    """
    shared = np.zeros((len(columns[0][0]), len(columns[0][1])), dtype=np.float32)
    for canaries, rows in columns:
        shared += canaries[:, None] == rows[None, :]
    nearest = np.sort(shared, axis=1)[:, -10:]
    return np.asarray(nearest.mean(1), dtype=np.float64)
