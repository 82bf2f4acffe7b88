"""Fit: from stored measurements alone to a model that can be sampled and stored. Spends nothing, may be repeated.

What belongs here: the steps of the fit. What does not: the model's record (model.py), data (this module must not import `tables`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from synth_assets.seeds import child_seed
from synth_assets.synthesis.marginals.binning import one_way, roundness_shares, stored_bins
from synth_assets.synthesis.marginals.features import sample_features
from synth_assets.synthesis.marginals.measurements import Measurements
from synth_assets.synthesis.marginals.mixture import choose_device
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.problem import Problem
from synth_assets.synthesis.marginals.target_fit import fit_target

PARTS = 10


def fit(
    measurements: Measurements,
    *,
    seed: int,
    device: str = "auto",
    progress: Callable[[str, float], None] | None = None,
) -> MarginalModel:
    """Fit the mixture to all noisy tables, then the target given the other columns.

    Args:
        measurements: The noisy tables; nothing else is read.
        seed: Of the initial weights; same seed and device, same model.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        progress: Called with a step's name and the fraction done.
    """
    report = progress or (lambda _what, _fraction: None)
    if not measurements.columns:
        return _no_columns(measurements)
    options, budget = measurements.options, measurements.budget
    one = one_way(measurements.columns, measurements.ones, measurements.blocks, budget.sigma_one, options)
    bins = {
        c.name: stored_bins(c, measurements.groups[c.name], measurements.levels[c.name], one)
        for c in measurements.columns
    }
    sigma_pair = budget.sigma_pair or one.sigma
    sigma_target = budget.sigma_target if measurements.target else None
    joint = bool(measurements.pairs or measurements.targets)
    if not joint:  # independent columns: one product distribution, known already
        options = options.model_copy(update={"components": 2, "spread": 0.0})
    given = frozenset(c.name for c in measurements.columns if c.given)
    problem = Problem(measurements.features, bins, measurements.target, one, sigma_pair, sigma_target, options, given)
    mixture = problem.start(seed, choose_device(device))
    if joint:
        problem.aim(mixture, measurements.targets, measurements.pairs)
        for part in range(PARTS):
            mixture.optimise(problem.final_steps, problem.entropy, part / PARTS, (part + 1) / PARTS)
            report("fit", (part + 1) / PARTS)
    probabilities = mixture.probabilities().cpu().numpy()
    tables = {
        c: probabilities[mixture.offsets[i] : mixture.offsets[i + 1]] for i, c in enumerate(measurements.features)
    }
    for name in _unmeasured(measurements):
        tables[name] = np.full_like(tables[name], 1 / len(tables[name]))
    model = MarginalModel(
        columns=measurements.columns,
        target=measurements.target,
        rows=round(one.rows),
        weights=mixture.weights.cpu().numpy(),
        tables=tables,
        group={name: b.group for name, b in bins.items()},
        inside={name: b.inside for name, b in bins.items()},
        roundness={
            name: roundness_shares(counts, budget.sigma_round or 0.0) for name, counts in measurements.rounds.items()
        },
    )
    if measurements.target is None:
        return model
    rng = np.random.default_rng(child_seed(seed, "target"))
    drawn = sample_features(model, options.target_rows, rng)
    return replace(model, given_features=fit_target(measurements, drawn))


def _unmeasured(measurements: Measurements) -> list[str]:
    """Conditions that stand in no measured table: what the model has for them is chance, and must not decide a row."""
    if measurements.targets:
        return []
    seen = {measurements.features[i] for pair in measurements.pairs for i in (pair.a, pair.b)}
    return [c.name for c in measurements.columns if c.given and c.name not in seen]


def _no_columns(measurements: Measurements) -> MarginalModel:
    """A table without modelled columns: only its number of rows is known."""
    return MarginalModel(
        columns=(),
        target=None,
        rows=max(0, measurements.rows or 0),
        weights=np.ones(1, dtype=np.float32),
        tables={},
        group={},
        inside={},
        roundness={},
    )
