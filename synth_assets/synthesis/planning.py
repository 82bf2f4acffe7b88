"""What a dataset's DP releases would cost and how exact they would be, from its configuration alone: the first safety layer.

What belongs here: the plan of each DP synthesizer as records for people and machines, and judgements of the configuration. What does
not: data. Nothing here opens a source or an artifact; schemas come from the configuration, or from a caller who knows them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from pydantic import Field

from synth_assets.config.dataset import ColumnConfig, DatasetConfig, SynthesizerConfig, TableConfig
from synth_assets.pii.roles import OPAQUE_KINDS
from synth_assets.pii.taxonomy import taxonomy
from synth_assets.privacy.accounting import spent
from synth_assets.privacy.crosscheck import verify
from synth_assets.privacy.records import CrossCheck, Event, Finding, Spent, Validation
from synth_assets.privacy.validate import validate
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec, declared_orders
from synth_assets.synthesis.release_plan import ReleasePlan, TablePlan, plan_release
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, Frozen, TableSchema

NOWHERE = Path("/nonexistent")  # a plan reads nothing
DTYPES = {
    ColumnKind.NUMBER: "double",
    ColumnKind.DATE: "date32[day]",
    ColumnKind.DATETIME: "timestamp[us]",
    ColumnKind.BOOLEAN: "bool",
}
MEAN_ABS = math.sqrt(2 / math.pi)  # of a Gaussian with scale 1
NORMAL_95 = 1.96


class NoisyStep(Frozen):
    """One kind of noisy step of one table.

    Attributes:
        table: Table; None for a step of the whole release.
        what: In words.
        mechanism: In words.
        scale: Standard deviation of the noise in rows or in clipping bounds, epsilon of one choice, or delta of one threshold.
        unit: "rows", "clipping bounds", "epsilon" or "delta".
        sensitivity: Largest L2 change of one vector by one unit of privacy, in rows; None where it does not apply.
        count: How many.
    """

    table: str | None
    what: str
    mechanism: str
    scale: float
    unit: str
    sensitivity: float | None = None
    count: int


class ExpectedError(Frozen):
    """Error of one measured table of counts by its noise alone, before the model combines it with all others.

    Attributes:
        table: Table.
        ways: Columns of the table of counts: 1 or 2.
        count: How many such tables are measured.
        rows_per_cell: Expected absolute error of one cell, in rows.
        rows_per_cell_95: 95 of 100 cells are within this many rows.
        cells: Cells of a typical one, as fine as its noise lets the method choose; None where the number of units is not known.
        tvd: Expected total variation distance of a typical one; None where the number of units is not known.
    """

    table: str
    ways: int
    count: int
    rows_per_cell: float
    rows_per_cell_95: float
    cells: int | None = None
    tvd: float | None = None


class ReleaseForecast(Frozen):
    """One DP release as it would run.

    Attributes:
        synthesizer: Its name.
        epsilon: Target.
        delta: Target.
        spent: What the plan costs by the primary accountant; None where there is no plan.
        crosscheck: What the second accountant says.
        noise: Every kind of step with its scale.
        errors: Expected errors of 1- and 2-way tables.
        steps: Calls of noisy mechanisms.
        sampling_rate: Share of units per step; 1 where every unit is counted.
        contribution_bounds: Rows of one unit that are read, per table.
        non_dp_inputs: What would be taken from the data without noise.
        notes: Choices in words.
        validation: Errors, warnings, recommended values.
        events: What would be reserved.
    """

    synthesizer: str
    epsilon: float
    delta: float
    spent: Spent | None = None
    crosscheck: CrossCheck | None = None
    noise: tuple[NoisyStep, ...] = ()
    errors: tuple[ExpectedError, ...] = ()
    steps: int = 0
    sampling_rate: float = 1.0
    contribution_bounds: Mapping[str, int] = Field(default_factory=dict)
    non_dp_inputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    validation: Validation
    events: tuple[Event, ...] = ()


def forecast(
    config: DatasetConfig,
    synthesizer: SynthesizerConfig,
    *,
    units: int | None = None,
    schemas: Mapping[str, TableSchema] | None = None,
    modelled: Mapping[str, Sequence[str]] | None = None,
) -> ReleaseForecast:
    """What one DP synthesizer of a dataset would do and cost. Nothing is read, trained or spent.

    Args:
        config: The dataset.
        synthesizer: One of its differentially private synthesizers.
        units: Public number of units of privacy, where it is known.
        schemas: Schemas of all tables as an earlier run recorded them; from the configuration when None.
        modelled: Modelled columns of all tables, likewise.

    Raises:
        ConfigError: the configuration contradicts itself.
    """
    epsilon, delta = synthesizer.epsilon, synthesizer.delta
    spec = release_spec(config, schemas=schemas, modelled=modelled)
    if synthesizer.trained_on_rows:
        from synth_assets.synthesis.planning_training import forecast_training

        return forecast_training(config, synthesizer, spec, units=units)
    plan = plan_release(spec, epsilon=epsilon, delta=delta)
    cost = spent(plan.events, delta)
    judged = validate(epsilon=epsilon, delta=delta, rows=units, plan=plan.events)
    return ReleaseForecast(
        synthesizer=synthesizer.name,
        epsilon=epsilon,
        delta=delta,
        spent=cost,
        crosscheck=verify(plan.events, cost),
        noise=tuple(step for table in plan.tables for step in noise_of(table)),
        errors=tuple(error for table in plan.tables for error in errors_of(table, plan, units)),
        steps=sum(e.count for e in plan.events),
        contribution_bounds=plan.contribution_bounds,
        non_dp_inputs=plan.non_dp_inputs,
        notes=plan.notes,
        validation=judged.model_copy(update={"warnings": (*judged.warnings, *domain_findings(plan, config))}),
        events=plan.events,
    )


def release_spec(
    config: DatasetConfig,
    *,
    schemas: Mapping[str, TableSchema] | None = None,
    modelled: Mapping[str, Sequence[str]] | None = None,
) -> ReleaseSpec:
    """The specification of a release that reads nothing: its paths lead nowhere."""
    tables = []
    for name, table in config.tables.items():
        schema = schemas[name] if schemas else schema_of(config, name)
        columns = tuple(modelled[name]) if modelled else modelled_of(schema, table, unit=config.unit_of(name))
        tables.append(
            TableSpec(
                table=schema,
                path=NOWHERE,
                columns=columns,
                configs=table.columns,
                max_per_unit=table.max_per_unit,
                sequence_order=table.sequence_order,
                impossible=table.impossible,
                orders=tuple(o for o in declared_orders(table.contract) if set(o) <= set(columns)),
            )
        )
    target = config.locate(config.target, "target") if config.target else None
    if target is not None and target[1] not in next(t.columns for t in tables if t.name == target[0]):
        target = None
    unit = config.locate(config.unit, "unit") if config.unit else None
    return ReleaseSpec(tables=tuple(tables), unit=unit, target=target)


def schema_of(config: DatasetConfig, name: str) -> TableSchema:
    """The schema that a table's configuration declares; columns that it does not name are not in it."""
    table = config.tables[name]
    keys = [*table.primary_key, *table.foreign_keys]
    located = [config.locate(ref, "foreign_keys") for ref in table.foreign_keys.values()]
    mentioned = dict.fromkeys([*keys, *table.columns])
    if table.sequence_order is not None:
        mentioned.setdefault(table.sequence_order)
    for place in (config.target, config.unit):
        where = config.locate(place) if place else None
        if where is not None and where[0] == name:
            mentioned.setdefault(where[1])
    return TableSchema(
        name=name,
        columns=tuple(_column(c, _said(c, table), is_key=c in keys) for c in mentioned),
        primary_key=table.primary_key,
        foreign_keys=tuple(
            ForeignKey(columns=(column,), parent_table=parent, parent_columns=(key,))
            for column, (parent, key) in zip(table.foreign_keys, located, strict=True)
        ),
    )


def modelled_of(schema: TableSchema, table: TableConfig, *, unit: str | None = None) -> tuple[str, ...]:
    """Columns that a model would learn, as far as the configuration says: no keys, direct identifiers, free text or names of units."""
    keys = {*schema.primary_key, *(c for key in schema.foreign_keys for c in key.columns)}
    direct = {name for name, entity in taxonomy().items() if entity.identifier_class == "direct"}
    out = []
    for column in schema.columns:
        said = table.columns.get(column.name, ColumnConfig())
        by_type = said.identifier_class is None and said.entity_type in direct
        whose = column.name == unit and not said.has_public_values
        hidden = said.identifier_class == "direct" or by_type or column.kind in OPAQUE_KINDS or whose
        if column.name not in keys and not hidden:
            out.append(column.name)
    return tuple(out)


def _said(name: str, table: TableConfig) -> ColumnConfig:
    """What a table's configuration says about a column; one that orders rows is a date where nobody says what it is."""
    said = table.columns.get(name, ColumnConfig())
    unsaid = name == table.sequence_order and said.kind is None and said.lower is None and said.upper is None
    return said.model_copy(update={"kind": "date"}) if unsaid else said


def _column(name: str, said: ColumnConfig, *, is_key: bool) -> ColumnSchema:
    kind = ColumnKind(said.kind) if said.kind else ColumnKind.ID if is_key else _kind_of(said)
    return ColumnSchema(
        name=name, kind=kind, dtype=DTYPES.get(kind, "string"), inferred=said.kind is None and not is_key
    )


def _kind_of(said: ColumnConfig) -> ColumnKind:
    bound = said.lower if said.lower is not None else said.upper
    if isinstance(bound, str):
        return ColumnKind.DATE if len(bound) <= len("2020-12-31") else ColumnKind.DATETIME
    return ColumnKind.NUMBER if bound is not None else ColumnKind.CATEGORY


def noise_of(table: TablePlan) -> list[NoisyStep]:
    """Every kind of noisy step of one table."""
    budget, shape = table.budget, table.budget.shape
    names = {name for pair in table.ends.values() for name in pair}
    times = sum(1 + c.may_be_wide for c in table.columns if c.name in names)
    counts = (
        ("counts that find bounds and categories", budget.sigma_domain, shape.bounds + shape.categories),
        ("one-way tables", budget.sigma_one, shape.ones - times),
        ("one-way tables of the first and last time of sequences", budget.sigma_one, times),
        ("roundness of numbers", budget.sigma_round, shape.round),
        ("tables of a column with the target", budget.sigma_target, shape.features),
        ("chosen tables of several columns", budget.sigma_pair, budget.pairs),
    )
    steps = [
        NoisyStep(
            table=table.name, what=what, mechanism="discrete Gaussian", scale=sigma, unit="rows",
            sensitivity=shape.max_per_unit, count=count,
        )
        for what, sigma, count in counts
        if sigma and count
    ]  # fmt: skip
    if budget.epsilon_pick and budget.pairs:
        steps.append(
            NoisyStep(
                table=table.name, what="choices of tables", mechanism="exponential mechanism", scale=budget.epsilon_pick,
                unit="epsilon", count=budget.pairs,
            )
        )  # fmt: skip
    if budget.delta_domain and shape.categories:
        steps.append(
            NoisyStep(
                table=table.name, what="thresholds of categories", mechanism="stability threshold", scale=budget.delta_domain,
                unit="delta", count=shape.categories,
            )
        )  # fmt: skip
    return steps


def errors_of(table: TablePlan, plan: ReleasePlan, units: int | None) -> list[ExpectedError]:
    """Expected errors of one- and two-way tables by their noise alone."""
    budget = table.budget
    two_way = [
        (s, n) for s, n in ((budget.sigma_target, budget.shape.features), (budget.sigma_pair, budget.pairs)) if s and n
    ]
    found = [_error_of(table, plan, 1, budget.sigma_one, budget.shape.ones, units)]
    return found + [_error_of(table, plan, 2, sigma, count, units) for sigma, count in two_way]


def _error_of(
    table: TablePlan, plan: ReleasePlan, ways: int, sigma: float, count: int, units: int | None
) -> ExpectedError:
    per_cell = sigma * MEAN_ABS
    cells = tvd = None
    if units is not None and table.columns:
        bins = max(2, round(plan.options.bins * (units / sigma) ** 0.25)) if units > sigma else 2
        sizes = [min(c.domain.size, bins) if c.domain is not None else bins for c in table.columns]
        most = max(
            2.0**ways, units / (plan.options.significance_mass * sigma)
        )  # finer tables are not chosen: they are noise
        cells = round(min(median(sizes) ** ways, most))
        tvd = min(1.0, cells * per_cell / (2 * units))
    return ExpectedError(
        table=table.name,
        ways=ways,
        count=count,
        rows_per_cell=per_cell,
        rows_per_cell_95=NORMAL_95 * sigma,
        cells=cells,
        tvd=tvd,
    )


def domain_findings(plan: ReleasePlan, config: DatasetConfig) -> tuple[Finding, ...]:
    """What is not declared, and what that costs."""
    found = []
    for table in plan.tables:
        unknown = [c.name for c in table.columns if c.source != "declared"]
        if unknown:
            share = plan.options.share_domain * math.sqrt(min(1.0, len(unknown) / max(1, len(table.columns))))
            found.append(
                Finding(
                    severity="warning",
                    key=f"tables.{table.name}.columns",
                    message=f"{len(unknown)} of {len(table.columns)} columns have no declared bounds or categories "
                    f"({', '.join(unknown[:5])}{', ...' if len(unknown) > 5 else ''}): finding them takes about {share:.0%} of this "
                    "table's budget. Declare what is public knowledge.",
                )
            )
    if config.unit is None:
        message = (
            "no unit of privacy is declared: one row is protected, not one person, where a person has several rows."
        )
        found.append(Finding(severity="warning", key="unit", message=message))
    return tuple(found)
