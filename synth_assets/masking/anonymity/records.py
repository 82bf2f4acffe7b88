"""What a table has to reach, what was done for it, and what was measured on the written table. Light; counts only, no values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from synth_assets.config.anonymity import AnonymityConfig, HierarchyConfig
from synth_assets.tables.schema import Frozen

SolvedBy = Literal["full_domain", "multidimensional"]
Unit = Literal["rows", "persons"]


class AnonymityDemand(Frozen):
    """What must hold for one table.

    Attributes:
        quasi: Quasi-identifiers, coarsened together.
        sensitive: Columns that l-diversity and t-closeness speak of; () where neither is asked for.
        rule: k, l, t, the share of rows that may be blanked, the method.
        hierarchies: Column -> how it is coarsened, where a person has said so.
        entity_types: Column -> its entity type, which chooses the default way.
    """

    quasi: tuple[str, ...] = Field(min_length=1)
    sensitive: tuple[str, ...] = ()
    rule: AnonymityConfig = AnonymityConfig()
    hierarchies: Mapping[str, HierarchyConfig] = Field(default_factory=dict)
    entity_types: Mapping[str, str] = Field(default_factory=dict)


class ColumnRecoding(Frozen):
    """How one quasi-identifier was coarsened.

    Attributes:
        column: Name of the column.
        hierarchy: Kind of its hierarchy: number, date, prefix, category.
        level: Step that every row has (full domain); None where it differs by class.
        levels: Number of steps above the raw value, the last one being "no value".
        loss: Mean normalised certainty penalty of its cells, 0 to 1; a blanked cell counts 1.
    """

    column: str
    hierarchy: str
    level: int | None
    levels: int
    loss: float = Field(ge=0, le=1)


class MethodLoss(Frozen):
    """One method that was tried.

    Attributes:
        method: Its name.
        loss: Mean normalised certainty penalty over all cells of quasi-identifiers; None where it found no solution.
        exact: Whether no recoding of its kind loses less (only the full-domain search can say so).
        checked: Recodings that were looked at.
    """

    method: SolvedBy
    loss: float | None
    exact: bool
    checked: int


class AnonymityOutcome(Frozen):
    """What was done to one table.

    Attributes:
        quasi: The quasi-identifiers.
        k: What was asked for.
        method: The method with the least loss.
        tried: All methods that were tried.
        unit: What a class counts.
        rows: Rows of the table.
        combinations: Different combinations of quasi-identifiers before.
        classes: Classes afterwards, the blanked rows not among them.
        suppressed_rows: Rows whose quasi-identifiers are blank; they stay in the table.
        loss: Mean normalised certainty penalty (Xu et al. 2006; GenILoss of Iyengar 2002), 0 to 1.
        discernibility: Sum of squared class sizes, a blanked row counting as the whole table (Bayardo and Agrawal 2005).
        average_class_size: rows / (classes * k); 1 is the best (LeFevre et al. 2006).
        columns: Per quasi-identifier.
    """

    quasi: tuple[str, ...]
    k: int
    method: SolvedBy
    tried: tuple[MethodLoss, ...]
    unit: Unit
    rows: int
    combinations: int
    classes: int
    suppressed_rows: int
    loss: float
    discernibility: int
    average_class_size: float
    columns: tuple[ColumnRecoding, ...]


class SensitiveMeasure(Frozen):
    """What the classes of a table give away about one sensitive column.

    Attributes:
        column: Name of the column.
        ordered: Whether t uses the ordered distance (numbers, dates) or the equal one (categories).
        distinct: Fewest distinct values in a class, a missing one being a value.
        entropy: Entropy l: exp of the smallest entropy of a class.
        recursive: The c that the worst class needs in the recursive form with the l asked for, r_1 / (r_l + ... + r_m); None without l,
            or where a class has fewer than l values.
        t: Largest distance between a class and the whole table, 0 to 1.
    """

    column: str
    ordered: bool
    distinct: int
    entropy: float
    recursive: float | None = None
    t: float


class AnonymityMeasure(Frozen):
    """k, l and t of a table as it stands.

    Attributes:
        quasi: Columns that make the classes.
        unit: What a class counts.
        rows: Rows of the table.
        classes: Number of classes.
        k: Smallest class.
        unique_rows: Rows that are alone in their class.
        sensitive: Per sensitive column.
    """

    quasi: tuple[str, ...]
    unit: Unit
    rows: int
    classes: int
    k: int
    unique_rows: int
    sensitive: tuple[SensitiveMeasure, ...] = ()


class AnonymityReport(Frozen):
    """Result of the check of a written table; it blocks where `passed` is False.

    Attributes:
        passed: Nothing failed.
        failures: What failed, in words, counts only.
        measure: What was measured; None for a table without quasi-identifiers.
    """

    passed: bool
    failures: tuple[str, ...] = ()
    measure: AnonymityMeasure | None = None
