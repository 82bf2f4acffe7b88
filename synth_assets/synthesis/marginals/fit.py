"""Fit: from stored measurements alone to a model that can be sampled and stored. Spends nothing, may be repeated.

What belongs here: the fit and the model's record. What does not: data (this module must not import `tables`), sampling (sample.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth_assets.storage import atomic
from synth_assets.synthesis.marginals.binning import one_way, roundness_shares, stored_bins
from synth_assets.synthesis.marginals.measurements import (
    FORMAT_VERSION,
    ColumnCells,
    Measurements,
    read_arrays,
    read_record,
    write_arrays,
)
from synth_assets.synthesis.marginals.mixture import choose_device
from synth_assets.synthesis.marginals.problem import Problem

ARRAYS = "model.safetensors"
RECORD = "model.json"
PARTS = 10


@dataclass(frozen=True)
class MarginalModel:
    """A fitted model of one table.

    Attributes:
        columns: Modelled columns in order; those that are `given` belong to the parent.
        target: The column that each component fixes, or None.
        rows: Noisy number of rows.
        weights: Of the components, shape (components,), float32, sum 1.
        classes: Bin of the target in each component, shape (components,); None without a target.
        tables: Per feature, probability of each bin in each component, shape (bins, components), float32.
        group: Bin of each cell, per column.
        inside: Probability of each cell within its bin, per column.
        roundness: Share of each step, per column with steps.
    """

    columns: tuple[ColumnCells, ...]
    target: str | None
    rows: int
    weights: np.ndarray
    classes: np.ndarray | None
    tables: dict[str, np.ndarray]
    group: dict[str, np.ndarray]
    inside: dict[str, np.ndarray]
    roundness: dict[str, np.ndarray]

    def column(self, name: str) -> ColumnCells:
        """One column by name (KeyError where there is none)."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `model.json`; same content, same bytes."""
        names = [c.name for c in self.columns]
        arrays: dict[str, np.ndarray] = {"weights": self.weights}
        if self.classes is not None:
            arrays["classes"] = self.classes
        for what, tables in (
            ("table", self.tables),
            ("group", self.group),
            ("inside", self.inside),
            ("roundness", self.roundness),
        ):
            arrays |= {f"{what}/{names.index(name)}": values for name, values in tables.items()}
        record = {
            "format_version": FORMAT_VERSION,
            "columns": [c.model_dump(mode="json") for c in self.columns],
            "target": self.target,
            "rows": self.rows,
        }
        write_arrays(folder / ARRAYS, arrays)
        atomic.write_text(folder / RECORD, json.dumps(record, indent=1, sort_keys=True))

    @classmethod
    def load(cls, folder: Path) -> MarginalModel:
        """Read what `save` wrote.

        Raises:
            MissingArtifactError: a file is not there.
            InputError: the files are of another format version.
        """
        record, arrays = read_record(folder / RECORD), read_arrays(folder / ARRAYS)
        columns = tuple(ColumnCells.model_validate(c) for c in record["columns"])

        def tables(what: str) -> dict[str, np.ndarray]:
            return {c.name: arrays[f"{what}/{i}"] for i, c in enumerate(columns) if f"{what}/{i}" in arrays}

        return cls(
            columns=columns,
            target=record["target"],
            rows=record["rows"],
            weights=arrays["weights"],
            classes=arrays.get("classes"),
            tables=tables("table"),
            group=tables("group"),
            inside=tables("inside"),
            roundness=tables("roundness"),
        )


def fit(
    measurements: Measurements,
    *,
    seed: int,
    device: str = "auto",
    progress: Callable[[str, float], None] | None = None,
) -> MarginalModel:
    """Fit the mixture to all noisy tables.

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
    return MarginalModel(
        columns=measurements.columns,
        target=measurements.target,
        rows=round(one.rows),
        weights=mixture.weights.cpu().numpy(),
        classes=mixture.classes.astype(np.int64) if measurements.target else None,
        tables=tables,
        group={name: b.group for name, b in bins.items()},
        inside={name: b.inside for name, b in bins.items()},
        roundness={
            name: roundness_shares(counts, budget.sigma_round or 0.0) for name, counts in measurements.rounds.items()
        },
    )


def _no_columns(measurements: Measurements) -> MarginalModel:
    """A table without modelled columns: only its number of rows is known."""
    return MarginalModel(
        columns=(),
        target=None,
        rows=max(0, measurements.rows or 0),
        weights=np.ones(1, dtype=np.float32),
        classes=None,
        tables={},
        group={},
        inside={},
        roundness={},
    )
