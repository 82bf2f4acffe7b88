"""The fitted model of one table: what is stored, loaded and sampled.

What belongs here: the record and its two files (safetensors and JSON, no pickle). What does not: the fit (fit.py), draws (features.py,
sample.py), data (this module must not import `tables`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth_assets.storage import atomic
from synth_assets.synthesis.marginals.measurements import ColumnCells, read_arrays, read_record, write_arrays
from synth_assets.synthesis.marginals.target_model import TargetModel

MODEL_VERSION = 2  # 1 had no model of the target given the other columns
ARRAYS = "model.safetensors"
RECORD = "model.json"
REMEDY = "Fit it again from its stored measurements: this spends nothing."


@dataclass(frozen=True)
class MarginalModel:
    """A fitted model of one table.

    Attributes:
        columns: Modelled columns in order; those that are `given` belong to the parent.
        target: The column that is drawn given all others, or None.
        rows: Noisy number of rows.
        weights: Of the components, shape (components,), float32, sum 1.
        tables: Per feature, probability of each bin in each component, shape (bins, components), float32.
        group: Bin of each cell, per column.
        inside: Probability of each cell within its bin, per column.
        roundness: Share of each step, per column with steps.
        given_features: The target given the features; None without a target.
    """

    columns: tuple[ColumnCells, ...]
    target: str | None
    rows: int
    weights: np.ndarray
    tables: dict[str, np.ndarray]
    group: dict[str, np.ndarray]
    inside: dict[str, np.ndarray]
    roundness: dict[str, np.ndarray]
    given_features: TargetModel | None = None

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
        for what, tables in (
            ("table", self.tables),
            ("group", self.group),
            ("inside", self.inside),
            ("roundness", self.roundness),
        ):
            arrays |= {f"{what}/{names.index(name)}": values for name, values in tables.items()}
        if self.given_features is not None:
            arrays |= self.given_features.arrays()
        record = {
            "format_version": MODEL_VERSION,
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
        record = read_record(folder / RECORD, MODEL_VERSION, remedy=REMEDY)
        arrays = read_arrays(folder / ARRAYS)
        columns = tuple(ColumnCells.model_validate(c) for c in record["columns"])
        target = record["target"]

        def tables(what: str) -> dict[str, np.ndarray]:
            return {c.name: arrays[f"{what}/{i}"] for i, c in enumerate(columns) if f"{what}/{i}" in arrays}

        return cls(
            columns=columns,
            target=target,
            rows=record["rows"],
            weights=arrays["weights"],
            tables=tables("table"),
            group=tables("group"),
            inside=tables("inside"),
            roundness=tables("roundness"),
            given_features=TargetModel.of_arrays([c.name for c in columns if c.name != target], arrays)
            if target is not None
            else None,
        )
