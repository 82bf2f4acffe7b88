"""What every synthesizer is given and what it gives back: the specification of a release and the two protocols.

What belongs here: records and protocols that the Dagster layer and both synthesizers share. What does not: any method. The
differentially private synthesizer is trained from `ReleaseMeasurements`, SDV from the tables; hence the type parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

from pydantic import Field

from synth_assets.config.dataset import ColumnConfig, ExpectationConfig
from synth_assets.tables.schema import Frozen, TableSchema

DEFAULT_MAX_PER_UNIT = 10
DEFAULT_MAX_PER_UNIT_BELOW = (
    1  # the number of children is modelled apart: one row per unit gives the best ratio of rows to noise
)
Training_contra = TypeVar("Training_contra", contravariant=True)


class TableSpec(Frozen):
    """One table of a release.

    Attributes:
        table: Names, kinds, keys; `row_count` is never read.
        path: Train Parquet without direct identifiers: the modelled columns, the keys and, where it exists, `unit_column`.
        columns: The columns to model, in order; keys are made anew and do not belong here.
        configs: What a person declared about columns. What is marked `inferred` counts as undeclared and is measured under DP.
        max_per_unit: Rows of one unit of privacy that are counted. None: 1, but 10 where the unit's own table has several rows per
            unit. A table below its parent needs no more: how many children a parent has is counted apart, over all of them.
        unit_column: Column of `path` that identifies the unit of a row; None: each row is its own unit.
        sequence_order: Column that orders the rows of one unit or parent in time; None: their order means nothing.
        above: Name of the table whose units these are: one row per unit, which is not written; None: a table of the dataset.
        orders: Declared pairs (low, high) of date or number columns with low <= high; the second is modelled as a difference.
        impossible: Declared combinations (column to values and ranges) that no sampled row has: structural zeros.
    """

    table: TableSchema
    path: Path
    columns: tuple[str, ...]
    configs: Mapping[str, ColumnConfig] = Field(default_factory=dict)
    max_per_unit: int | None = Field(default=None, ge=1, le=10_000)
    unit_column: str | None = "_unit"
    sequence_order: str | None = None
    above: str | None = None
    orders: tuple[tuple[str, str], ...] = ()
    impossible: tuple[Mapping[str, tuple[str | None, ...]], ...] = ()

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.table.name


class ReleaseSpec(Frozen):
    """All tables of one release.

    Attributes:
        tables: In any order.
        unit: (table, column) of the unit of privacy; None: one row of one table.
        target: (table, column) that the model serves first, or None.
    """

    tables: tuple[TableSpec, ...]
    unit: tuple[str, str] | None = None
    target: tuple[str, str] | None = None

    def table(self, name: str) -> TableSpec:
        """One table by name (KeyError where there is none)."""
        for spec in self.tables:
            if spec.name == name:
                return spec
        raise KeyError(name)


def declared_orders(contract: Sequence[ExpectationConfig]) -> tuple[tuple[str, str], ...]:
    """The ordered pairs (low, high) that a contract demands: `column_pair_values_a_to_be_greater_than_b` with `or_equal`."""
    pairs = (
        (e.arguments.get("column_B"), e.arguments.get("column_A"))
        for e in contract
        if e.expect.removeprefix("expect_") == "column_pair_values_a_to_be_greater_than_b"
        and e.arguments.get("or_equal")
    )
    return tuple((str(low), str(high)) for low, high in pairs if low and high)


class SynthesizerModel(Protocol):
    """A fitted model: samples tables, and can be stored and loaded in a fresh process."""

    def sample(self, *, rows: int | None, seed: int, out: Path) -> dict[str, Path]:
        """Write every table as Parquet below `out`.

        Args:
            rows: Rows of the root table (the unit's); None: the number that the model knows.
            seed: Same seed, same bytes.
            out: Folder; one sub-folder per table with `part-00000.parquet`.

        Returns:
            The folder of each table.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write the model's files into a folder."""
        ...


class Synthesizer(Protocol[Training_contra]):
    """A method that makes a model; `differentially_private` tells whether the model may leave the restricted zone."""

    name: ClassVar[str]
    differentially_private: ClassVar[bool]

    def fit(
        self, training: Training_contra, *, seed: int, report: Callable[[str, float], None] = ...
    ) -> SynthesizerModel:
        """Train on what the method is allowed to see; `report` is called with what is being done and the fraction done."""
        ...

    def load(self, folder: Path) -> SynthesizerModel:
        """A model that `save` wrote."""
        ...
