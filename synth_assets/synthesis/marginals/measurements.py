"""What the private step leaves behind: noisy integer tables, the public cells they stand on, and the events they cost.

What belongs here: the record and its two files (safetensors and JSON, no pickle). What does not: counting (select_measure.py), fitting
and sampling, which read nothing else. This module must not import `tables`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from synth_assets.errors import InputError, MissingArtifactError
from synth_assets.privacy.records import Event, Record
from synth_assets.storage import atomic
from synth_assets.synthesis.marginals.budget import TableBudget
from synth_assets.synthesis.marginals.options import MarginalOptions

FORMAT_VERSION = 1
NARROW_CELLS = 129
ARRAYS = "measurements.safetensors"
RECORD = "measurements.json"


class ColumnCells(Record):
    """Plain description of one modelled column; the fields are those of `tables.cells.ColumnDomain`."""

    name: str
    kind: Literal["category", "number", "date", "datetime"]
    dtype: str
    categories: tuple[str, ...] = ()
    open: bool = False
    decimals: int = 0
    edges: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    minus: str | None = None
    decay: bool = False
    given: bool = False

    @property
    def value_cells(self) -> int:
        """Cells that hold values; then comes one for missing, and one for other categories where `open`."""
        return len(self.categories) if self.kind == "category" else len(self.edges) - 1

    @property
    def missing_cell(self) -> int:
        """The cell for missing values."""
        return self.value_cells

    @property
    def size(self) -> int:
        """Number of cells."""
        return self.value_cells + 1 + self.open

    @property
    def special_units(self) -> tuple[int, ...]:
        """Values that say nothing about roundness: both bounds and 0."""
        return (self.edges[0], 0, self.edges[-1] - 1)

    @property
    def is_wide(self) -> bool:
        """Whether the column has a second, coarser one-way table."""
        return self.kind != "category" and self.value_cells > NARROW_CELLS and not self.given


@dataclass(frozen=True)
class NoisyPair:
    """One chosen table: columns by position among the features, resolution, and whether its first axis is the target."""

    a: int
    b: int
    level: int
    with_target: bool
    values: np.ndarray

    @property
    def key(self) -> tuple[int, int, int, bool]:
        """What was chosen."""
        return (self.a, self.b, self.level, self.with_target)


@dataclass(frozen=True)
class Measurements:
    """All that a model of one table may know.

    Attributes:
        columns: Modelled columns in order; those that are `given` belong to the parent.
        target: Name of the target column, or None.
        budget: Noise of each step.
        options: Numbers of the method.
        ones: Noisy one-way table of each column, over its cells (over its bins, for a given column), int64.
        blocks: Noisy sums of blocks of cells, for wide columns.
        rounds: Noisy roundness tables.
        targets: Noisy tables [target bins, bins] of each feature, in order.
        pairs: Chosen tables, in order of choice; first axis the target's bins (or 1), then the bins of both columns at their level.
        groups: Bin of each cell, per column.
        levels: Bin at each resolution of each bin, per column: shape (levels, bins).
        rows: Noisy number of rows where there is no column to count; None else.
        events: What was really used.
    """

    columns: tuple[ColumnCells, ...]
    target: str | None
    budget: TableBudget
    options: MarginalOptions
    ones: dict[str, np.ndarray]
    blocks: dict[str, np.ndarray] = field(default_factory=dict)
    rounds: dict[str, np.ndarray] = field(default_factory=dict)
    targets: list[np.ndarray] = field(default_factory=list)
    pairs: list[NoisyPair] = field(default_factory=list)
    groups: dict[str, np.ndarray] = field(default_factory=dict)
    levels: dict[str, np.ndarray] = field(default_factory=dict)
    rows: int | None = None
    events: tuple[Event, ...] = ()

    @property
    def features(self) -> list[str]:
        """Names of the columns besides the target, in order."""
        return [c.name for c in self.columns if c.name != self.target]

    def column(self, name: str) -> ColumnCells:
        """One column by name (KeyError where there is none)."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def save(self, folder: Path) -> None:
        """Write `measurements.safetensors` and `measurements.json`; same content, same bytes."""
        names = [c.name for c in self.columns]
        arrays: dict[str, np.ndarray] = {}
        for what, tables in (
            ("one", self.ones),
            ("block", self.blocks),
            ("round", self.rounds),
            ("group", self.groups),
            ("level", self.levels),
        ):
            arrays |= {f"{what}/{names.index(name)}": values for name, values in tables.items()}
        arrays |= {f"target/{i}": values for i, values in enumerate(self.targets)}
        arrays |= {f"pair/{i}": pair.values for i, pair in enumerate(self.pairs)}
        record = {
            "format_version": FORMAT_VERSION,
            "columns": [c.model_dump(mode="json") for c in self.columns],
            "target": self.target,
            "budget": self.budget.model_dump(mode="json"),
            "options": self.options.model_dump(mode="json"),
            "pairs": [{"a": p.a, "b": p.b, "level": p.level, "with_target": p.with_target} for p in self.pairs],
            "rows": self.rows,
            "events": [e.model_dump(mode="json") for e in self.events],
        }
        write_arrays(folder / ARRAYS, {k: v.astype(np.int64) for k, v in arrays.items()})
        atomic.write_text(folder / RECORD, json.dumps(record, indent=1, sort_keys=True))

    @classmethod
    def load(cls, folder: Path) -> Measurements:
        """Read what `save` wrote.

        Raises:
            MissingArtifactError: a file is not there.
            InputError: the files are of another format version.
        """
        record = read_record(folder / RECORD)
        arrays = read_arrays(folder / ARRAYS)
        columns = tuple(ColumnCells.model_validate(c) for c in record["columns"])

        def tables(what: str) -> dict[str, np.ndarray]:
            return {c.name: arrays[f"{what}/{i}"] for i, c in enumerate(columns) if f"{what}/{i}" in arrays}

        return cls(
            columns=columns,
            target=record["target"],
            budget=TableBudget.model_validate(record["budget"]),
            options=MarginalOptions.model_validate(record["options"]),
            ones=tables("one"),
            blocks=tables("block"),
            rounds=tables("round"),
            targets=[arrays[f"target/{i}"] for i in range(sum(k.startswith("target/") for k in arrays))],
            pairs=[NoisyPair(**p, values=arrays[f"pair/{i}"]) for i, p in enumerate(record["pairs"])],
            groups=tables("group"),
            levels=tables("level"),
            rows=record["rows"],
            events=tuple(_Events.model_validate({"events": record["events"]}).events),
        )


class _Events(Record):
    events: tuple[Event, ...]


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as safetensors, atomically."""
    from safetensors.numpy import save

    atomic.write_bytes(path, save({k: np.ascontiguousarray(v) for k, v in sorted(arrays.items())}))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read safetensors.

    Raises:
        MissingArtifactError: the file is not there.
        InputError: it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not path.is_file():
        raise MissingArtifactError("a file of the model or its measurements is missing.", file=str(path))
    try:
        arrays: dict[str, np.ndarray] = load(path.read_bytes())
    except SafetensorError:
        raise InputError(
            "the file holds no arrays: it is damaged.", file=str(path), remedy="Measure or fit again."
        ) from None
    return arrays


def read_record(path: Path, version: int = FORMAT_VERSION, *, remedy: str = "Measure or fit again.") -> dict[str, Any]:
    """Read the JSON beside the arrays.

    Args:
        path: The file.
        version: The version that this package writes.
        remedy: What to do about another one.

    Raises:
        MissingArtifactError: the file is not there.
        InputError: another format version.
    """
    if not path.is_file():
        raise MissingArtifactError("a file of the model or its measurements is missing.", file=str(path))
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if record.get("format_version") != version:
        raise InputError("the file was written by another version of the package.", file=str(path), remedy=remedy)
    return record
