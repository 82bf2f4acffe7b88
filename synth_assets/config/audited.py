"""What is declared about one table under audit, wherever it comes from: a dataset's YAML, a request, options of the command line.

What does not belong here: how audits judge (`thresholds.py`), and where tables lie.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from synth_assets.config.base import Config, TimeZone
from synth_assets.config.dataset import ColumnConfig, DatasetConfig, ExpectationConfig, Names
from synth_assets.config.gates import AuditFile
from synth_assets.config.load import load_dataset, load_model, top_level_keys
from synth_assets.config.sampling import Combination
from synth_assets.errors import InputError


class AuditedTable(Config):
    """What a person says about a table; all of it is optional, and an audit that knows more judges more."""

    primary_key: Names = Field(default=(), description="Columns that number the rows; made anew, so never compared.")
    foreign_keys: dict[str, str] = Field(
        default_factory=dict, description="column: parent_table.column; such columns are never compared."
    )
    unit: str | None = Field(
        default=None, description="Column that says whose a row is: attacks then count people, not rows."
    )
    sequence_order: str | None = Field(default=None, description="Column that orders the rows of one unit in time.")
    impossible: tuple[Combination, ...] = Field(
        default=(), description="Combinations of values that no row can have, each as column: value, range or list."
    )
    contract: tuple[ExpectationConfig, ...] = Field(
        default=(), description="Lines of a contract; those about several columns of one row are counted."
    )
    columns: dict[str, ColumnConfig] = Field(
        default_factory=dict, description="Kinds, categories and bounds of columns, which win over what is inferred."
    )
    order_units: Names = Field(
        default=(), description="Columns that say whose the rows of a sequence are, where that is not `unit`."
    )
    null_values: tuple[str, ...] = Field(default=(), description="Texts that mean missing, besides the empty cell.")
    timezone: TimeZone = Field(default="UTC", description="Zone of times without one.")

    @property
    def whose(self) -> tuple[str, ...]:
        """Columns that say whose the rows of a sequence are."""
        return self.order_units or ((self.unit,) if self.unit else ())


class AuditPlan(Config):
    """Everything that a configuration file says about an audit: how to judge, its gates, and the table."""

    judge: AuditFile = AuditFile()
    table: AuditedTable = AuditedTable()
    target: str | None = None
    protected: Names = ()


def sequence_of(config: DatasetConfig, name: str) -> tuple[str | None, tuple[str, ...]]:
    """The column that orders the rows of a table where they follow each other, and the columns that say whose they are."""
    table, unit = config.tables[name], config.locate(config.unit, "unit")[0] if config.unit else None
    if config.sequence_link is not None and config.sequence_link[0] == name:
        return table.sequence_order, (config.sequence_link[1],)
    parents = {column: reference.partition(".")[0] for column, reference in table.foreign_keys.items()}
    own = [column for column, parent in parents.items() if parent == unit]
    if table.sequence_order and parents:
        return table.sequence_order, tuple((own or list(parents))[:1])
    return None, tuple(own[:1])


def read_plan(path: Path, table: str | None = None) -> AuditPlan:
    """A file for `synth-assets audit --config`: how to judge, or the YAML of a dataset, from which everything is taken.

    Args:
        path: The file. A dataset's YAML is known by its `name`.
        table: Which table of the dataset is under audit; needed where it has several.

    Raises:
        ConfigError: the file is missing or has a mistake; names line and key.
        InputError: the dataset has no such table, or several and none is named, or the file is of no dataset and one is.
    """
    if "name" in top_level_keys(path):
        return plan_of(load_dataset(path), table)
    if table is not None:
        raise InputError(
            "a table is named, and the configuration is of no dataset.", key="table",
            remedy="Give the YAML of a dataset, or leave the table out.",
        )  # fmt: skip
    return AuditPlan(judge=load_model(path, AuditFile))


def plan_of(config: DatasetConfig, table: str | None = None) -> AuditPlan:
    """What a dataset's YAML says about the audit of one of its tables.

    Raises:
        InputError: there is no such table, or there are several and none is named.
    """
    if table not in config.tables and (table is not None or len(config.tables) > 1):
        fault = "the dataset has several tables." if table is None else "the dataset has no such table."
        raise InputError(fault, key="table", remedy=f"Name one of {', '.join(config.tables)}.")
    name = table or next(iter(config.tables))
    own, (order, whose) = config.tables[name], sequence_of(config, name)
    located = [config.locate(p, "protected") for p in config.protected]
    target = config.locate(config.target, "target") if config.target else None
    return AuditPlan(
        judge=AuditFile(**dict(config.audit), thresholds=config.thresholds),
        table=AuditedTable(
            primary_key=own.primary_key,
            foreign_keys=own.foreign_keys,
            unit=_unit_column(config, name),
            sequence_order=order,
            impossible=own.impossible,
            contract=own.contract,
            columns=own.columns,
            order_units=whose,
            null_values=(*config.null_values, *own.null_values),
            timezone=config.timezone,
        ),
        target=target[1] if target and target[0] == name else None,
        protected=tuple(column for of, column in located if of == name),
    )


def _unit_column(config: DatasetConfig, name: str) -> str | None:
    """The column of a table that names the unit of privacy: its own, or the foreign key that points at it."""
    if config.unit is None:
        return None
    own = config.unit_of(name)
    if own is not None:
        return own
    table, column = config.locate(config.unit, "unit")
    pointing = [c for c, reference in config.tables[name].foreign_keys.items() if reference == f"{table}.{column}"]
    return pointing[0] if pointing else None
