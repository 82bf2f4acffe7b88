"""Select and measure: the only step of the method that reads data, through a `MarginalSource`, with noise on every number.

What belongs here: one-way tables, tables with the target, and the adaptive choice and measuring of pairs. What does not: the plan of
the budget (budget.py), bins (binning.py), the final fit (fit.py). Exact counts stay inside this file. Derivation:
docs/mechanisms/dp_marginals.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np

from synth_assets.errors import InputError
from synth_assets.privacy.mechanisms import NoiseSource
from synth_assets.privacy.planned import PlannedNoise
from synth_assets.seeds import child_seed
from synth_assets.synthesis.marginals.binning import (
    Bins,
    OneWay,
    block_of,
    coarse_bins,
    given_bins,
    make_bins,
    one_way,
)
from synth_assets.synthesis.marginals.budget import TableBudget
from synth_assets.synthesis.marginals.measurements import ColumnCells, Measurements, NoisyPair
from synth_assets.synthesis.marginals.mixture import Mixture, choose_device
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.marginals.problem import Problem
from synth_assets.tables.marginals import MarginalSource, roundness

Key = tuple[int, int, int, bool]
PAIRS_PER_READ = 500
BEFORE_BINS = 32


def measure(
    source: MarginalSource,
    budget: TableBudget,
    noise: NoiseSource,
    *,
    target: str | None = None,
    given: Mapping[str, np.ndarray] | None = None,
    before: Mapping[str, str] | None = None,
    options: MarginalOptions | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[str, float], None] | None = None,
) -> Measurements:
    """Measure one table under its budget.

    Args:
        source: Exact counts; its sensitivity must be the one that the budget was planned for.
        budget: Noise of every step.
        noise: Where it comes from; a release needs `SystemNoise`.
        target: Column that is measured with every other column.
        given: Bins of the cells of columns that are known when a row is drawn: those of the parent.
        before: Columns of the row before -> the own column whose cells, and joined bins, they have.
        options: Numbers of the method.
        seed: Of the model's initial weights during selection; noise takes no seed.
        device: "auto", "cpu" or "cuda", for the fits between selections.
        progress: Called with a step's name and the fraction done.

    Raises:
        InputError: source and budget do not belong together.
    """
    if source.max_per_unit != budget.shape.max_per_unit:
        raise InputError("the budget was planned for another number of rows per unit of privacy.", key="max_per_unit")
    options = options or MarginalOptions()
    return _Measuring(source, budget, noise, target, given or {}, before or {}, options, progress).run(seed, device)


class _Measuring:
    """The state of one run: exact counts are reached only through `steps`, which records its events."""

    def __init__(
        self,
        source: MarginalSource,
        budget: TableBudget,
        noise: NoiseSource,
        target: str | None,
        given: Mapping[str, np.ndarray],
        before: Mapping[str, str],
        options: MarginalOptions,
        progress: Callable[[str, float], None] | None,
    ) -> None:
        self.source, self.budget, self.options = source, budget, options
        self.steps = PlannedNoise(noise, budget.events(), source.max_per_unit)
        self.progress = progress or (lambda _what, _fraction: None)
        self.given, self.before = dict(given), before
        columns = []
        for domain in source.domain.columns:
            known = domain.name in given or domain.name in before
            cells = ColumnCells.model_validate({**domain.model_dump(), "given": known})
            columns.append(cells)
        self.columns: tuple[ColumnCells, ...] = tuple(columns)
        names = [c.name for c in columns]
        self.target = target if target in names and budget.sigma_target is not None else None
        self.features = [n for n in names if n != self.target]

    def run(self, seed: int, device: str) -> Measurements:
        if not self.columns:
            rows = self.steps.noisy(self.source.counts([()])[0].reshape(1), self.budget.sigma_one)
            return self._result({}, {}, {}, {}, [], [], rows=int(rows[0]))
        ones, blocks, rounds = self._ones()
        one = one_way(self.columns, ones, blocks, self.budget.sigma_one, self.options)
        bins = {c.name: self._bins(c, one) for c in self.columns if c.name not in self.before}
        for name, own in self.before.items():
            ordered = next(c.kind for c in self.columns if c.name == own) != "category"
            self.given[name] = coarse_bins(bins[own], BEFORE_BINS, ordered=ordered)[bins[own].group]
        bins = {c.name: bins[c.name] if c.name in bins else self._bins(c, one) for c in self.columns}
        self.progress("one-way tables", 0.1)
        self.groups = {c.name: self._cell_bins(c, bins[c.name]) for c in self.columns}
        targets = self._targets()
        pairs: list[NoisyPair] = []
        if self.budget.pairs and self.budget.sigma_pair and len(self.features) > 1:
            sigma_pair, sigma_target = self.budget.sigma_pair, self.budget.sigma_target
            problem = Problem(
                self.features,
                bins,
                self.target,
                one,
                sigma_pair,
                sigma_target if self.target else None,
                self.options,
                frozenset(self.given),
            )
            pairs = self._pairs(problem, targets, child_seed(seed, "selection"), choose_device(device))
        return self._result(ones, blocks, rounds, bins, targets, pairs)

    def _result(
        self,
        ones: dict[str, np.ndarray],
        blocks: dict[str, np.ndarray],
        rounds: dict[str, np.ndarray],
        bins: dict[str, Bins],
        targets: list[np.ndarray],
        pairs: list[NoisyPair],
        rows: int | None = None,
    ) -> Measurements:
        return Measurements(
            columns=self.columns,
            target=self.target,
            budget=self.budget,
            options=self.options,
            ones=ones,
            blocks=blocks,
            rounds=rounds,
            targets=targets,
            pairs=pairs,
            groups={name: b.group for name, b in bins.items()},
            levels={name: b.levels for name, b in bins.items()},
            rows=rows,
            events=self.steps.events(),
        )

    def _bins(self, column: ColumnCells, one: OneWay) -> Bins:
        if column.given:
            return given_bins(int(self.given[column.name].max()) + 1, one, self.options)
        most = self.options.target_bins if column.name == self.target else None
        return make_bins(column, one, self.options, most_bins=most)

    def _cell_bins(self, column: ColumnCells, bins: Bins) -> np.ndarray:
        return self.given[column.name] if column.given else bins.group

    def _ones(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Noisy one-way tables, sums of blocks of wide columns, and roundness tables."""
        wide = [c for c in self.columns if c.is_wide]
        stepped = [c for c in self.columns if c.steps and not c.given] if self.budget.sigma_round else []
        own = [c for c in self.columns if not c.given]
        exact = self.source.counts([(c.name,) for c in own] + [(roundness(c.name),) for c in stepped])
        ones, blocks = {}, {}
        for column, counts in zip(own, exact, strict=False):
            ones[column.name] = self.steps.noisy(counts, self.budget.sigma_one)
            if column in wide:
                sums = np.zeros(int(block_of(column, self.options)[-1]) + 1, dtype=np.int64)
                np.add.at(sums, block_of(column, self.options), counts)
                blocks[column.name] = self.steps.noisy(sums, self.budget.sigma_one)
        rounds = {
            c.name: self.steps.noisy(counts, self.budget.sigma_round or math.inf)
            for c, counts in zip(stepped, exact[len(own) :], strict=True)
        }
        return ones, blocks, rounds

    def _targets(self) -> list[np.ndarray]:
        """Noisy tables of every feature with the target."""
        if self.target is None or not self.budget.sigma_target:
            return []
        exact = self.source.counts([(self.target, c) for c in self.features], bins=self.groups)
        return [self.steps.noisy(counts, self.budget.sigma_target) for counts in exact]

    def _pairs(self, problem: Problem, targets: list[np.ndarray], seed: int, device: str) -> list[NoisyPair]:
        """Rounds of choosing and measuring, with a fit in between."""
        exact = self._exact_pairs(seed)
        self.progress("counts", 0.2)
        mixture = problem.start(seed, device)
        problem.aim(mixture, targets, [])
        mixture.optimise(self.options.warm_steps, problem.entropy)
        pairs: list[NoisyPair] = []
        done: set[Key] = set()
        stages, total = self.options.stages, self.budget.pairs
        for stage in range(stages):
            batch = total // stages + (stage < total % stages)
            for key, counts in self._select(exact, mixture, problem, batch, done):
                pairs.append(NoisyPair(*key, self.steps.noisy(counts, problem.sigma_pair)))
            self.progress(f"round {stage + 1} of {stages}", 0.2 + 0.8 * (stage + 1) / stages)
            if stage < stages - 1:
                problem.aim(mixture, targets, pairs)
                mixture.optimise(self.options.stage_steps, problem.entropy)
        return pairs

    def _exact_pairs(self, seed: int) -> dict[tuple[int, int], np.ndarray]:
        """Exact tables [class, a, b] of the candidate pairs; they reach the outside through scores and noise only."""
        lead = (self.target,) if self.target else ()
        known = [name in self.given for name in self.features]  # pairs of the parent's columns are the parent's model
        candidates = [(a, b) for a, b in itertools.combinations(range(len(known)), 2) if not (known[a] and known[b])]
        if len(candidates) > self.options.candidates:
            pick = np.random.default_rng(child_seed(seed, "candidates")).permutation(len(candidates))
            candidates = [candidates[i] for i in sorted(pick[: self.options.candidates])]
        exact = {}
        for start in range(0, len(candidates), PAIRS_PER_READ):
            some = candidates[start : start + PAIRS_PER_READ]
            cliques = [(*lead, self.features[a], self.features[b]) for a, b in some]
            for key, counts in zip(some, self.source.counts(cliques, bins=self.groups), strict=True):
                exact[key] = (counts if lead else counts[None]).astype(np.int64)
        return exact

    def _select(
        self,
        exact: Mapping[tuple[int, int], np.ndarray],
        mixture: Mixture,
        problem: Problem,
        batch: int,
        done: set[Key],
    ) -> list[tuple[Key, np.ndarray]]:
        """Exponential mechanism, one fresh draw per choice.

        Score = L1 distance of the exact table to the model's, minus the expected noise. The model depends on noisy data only, and one
        row moves one cell by 1, so the sensitivity is the number of rows per unit.
        """
        scores, tables = self._scores(exact, mixture, problem, done)
        keys = list(scores)
        values = np.array([scores[k] for k in keys])
        picked: list[tuple[Key, np.ndarray]] = []
        while keys and len(picked) < batch:
            best = keys[self.steps.choose(values, self.budget.epsilon_pick or 0.0)]
            done.add(best)
            picked.append((best, tables[best]))
            keep = np.array([k[:2] != best[:2] for k in keys])  # one table of a pair per round
            keys, values = [k for k, kept in zip(keys, keep, strict=True) if kept], values[keep]
        return picked

    def _scores(
        self, exact: Mapping[tuple[int, int], np.ndarray], mixture: Mixture, problem: Problem, done: set[Key]
    ) -> tuple[dict[Key, float], dict[Key, np.ndarray]]:
        rows = problem.one.rows
        penalty = self.options.noise_share * math.sqrt(2 / math.pi) * problem.sigma_pair
        scores: dict[Key, float] = {}
        tables: dict[Key, np.ndarray] = {}
        model = mixture.tables()
        for (a, b), counts in exact.items():
            for level, (full, offsets) in enumerate(model):
                bins_a, bins_b = mixture.levels[a][level], mixture.levels[b][level]
                if level and len(bins_a) == bins_a.max() + 1 and len(bins_b) == bins_b.max() + 1:
                    continue
                joined = join_axis(join_axis(counts, bins_a, 1), bins_b, 2) if level else counts
                expected = rows * full[:, offsets[a] : offsets[a + 1], offsets[b] : offsets[b + 1]]
                for with_target in (False, True)[: 1 + (len(full) > 1)]:
                    key = (a, b, level, with_target)
                    if key in done:
                        continue
                    table = joined if with_target else joined.sum(0, keepdims=True)
                    aim = expected if with_target else expected.sum(0, keepdims=True)
                    tables[key] = table
                    scores[key] = float(np.abs(table - aim).sum() - penalty * table.size)
        return scores, tables


def join_axis(table: np.ndarray, group: np.ndarray, axis: int) -> np.ndarray:
    """Sum the bins of one axis by group."""
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(group.max() + 1))
    return np.asarray(np.add.reduceat(np.take(table, order, axis), starts, axis))
