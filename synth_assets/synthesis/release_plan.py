"""The plan of a release: every table's columns, relations, noise and events, from public facts alone.

What belongs here: which parent a table follows, contribution bounds, the division of the budget, the events to reserve. What does not:
data. Neighbours: all rows of one unit of privacy in the tables that lead to it; one row in a table that does not. Each group of tables
has the whole budget, since no unit is in two groups, and no group costs more than the first (docs/mechanisms/dp_marginals.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from synth_assets.errors import ConfigError
from synth_assets.privacy.calibration import calibrate, total_rho
from synth_assets.privacy.records import Event, ExponentialEvent, GaussianEvent, ThresholdEvent
from synth_assets.synthesis.domain import ColumnPlan, non_dp_inputs, plan_columns
from synth_assets.synthesis.marginals.budget import TableBudget, TableShape, pair_count, plan_table
from synth_assets.synthesis.marginals.impossible import check_impossible
from synth_assets.synthesis.marginals.measurements import ColumnCells
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.protocol import DEFAULT_MAX_PER_UNIT, DEFAULT_MAX_PER_UNIT_BELOW, ReleaseSpec, TableSpec
from synth_assets.synthesis.sequence_plan import (
    SequencePlan,
    derived,
    end_names,
    end_plans,
    plan_sequence,
    with_gaps,
    with_units,
)
from synth_assets.tables.relations import parents_first, route
from synth_assets.tables.schema import ForeignKey, Frozen, TableSchema

MAX_CONTEXT = 12
TARGET_WEIGHT = 2.0
DELTA_SHARE = 0.1
MARGIN = 1 - 1e-4  # rounding of noise scales, where one group must not cost more than another


class TablePlan(Frozen):
    """The plan of one table.

    Attributes:
        name: Table.
        columns: How the domain of each modelled column comes about.
        unit_column: Column of the unit of privacy; None: one row is the unit.
        max_per_unit: Rows of one unit that are read.
        follows: The foreign key to the parent whose columns condition this table, or None.
        fan_outs: Derived column -> child table that follows this one.
        context: Derived column -> column of the parent, modelled beside the own ones.
        ends: Child table that is a sequence -> derived columns for the first and the last time of its rows; they stand in `columns`.
        sequence: How rows of one parent follow each other; None where their order means nothing.
        target: Name of the target column, if it is in this table.
        budget: Noise of every step.
    """

    name: str
    columns: tuple[ColumnPlan, ...]
    unit_column: str | None
    max_per_unit: int
    follows: ForeignKey | None
    fan_outs: Mapping[str, str]
    context: Mapping[str, str]
    ends: Mapping[str, tuple[str, str]]
    sequence: SequencePlan | None
    target: str | None
    budget: TableBudget

    @property
    def given(self) -> tuple[str, ...]:
        """Derived columns that are conditions: of the parent, and of the row before."""
        return (*self.context, *(self.sequence.conditions if self.sequence else ()))


class ReleasePlan(Frozen):
    """The plan of a release.

    Attributes:
        spec: What was asked for.
        epsilon: Target.
        delta: Target.
        tables: Parents before children.
        events: To be reserved; no unit of privacy can lose more than these cost.
        contribution_bounds: Rows of one unit that are read, per table.
        non_dp_inputs: Facts that were inferred from the data and not confirmed.
        notes: Choices in words, for the report.
        options: Numbers of the method.
    """

    spec: ReleaseSpec
    epsilon: float
    delta: float
    tables: tuple[TablePlan, ...]
    events: tuple[Event, ...]
    contribution_bounds: Mapping[str, int]
    non_dp_inputs: tuple[str, ...]
    notes: tuple[str, ...]
    options: MarginalOptions

    def table(self, name: str) -> TablePlan:
        """One table by name (KeyError where there is none)."""
        for plan in self.tables:
            if plan.name == name:
                return plan
        raise KeyError(name)


class _Draft(Frozen):
    """A table's plan before its share of the budget is known."""

    spec: TableSpec
    columns: tuple[ColumnPlan, ...]
    in_unit: bool
    max_per_unit: int
    follows: ForeignKey | None
    fan_outs: Mapping[str, str]
    context: Mapping[str, str]
    ends: Mapping[str, tuple[str, str]]
    sequence: SequencePlan | None
    target: str | None

    @property
    def shape(self) -> TableShape:
        own = self.columns
        given = len(self.context) + (len(self.sequence.conditions) if self.sequence else 0)
        total = len(own) + len(self.fan_outs) + given
        return TableShape(
            columns=total,
            wide=sum(c.may_be_wide for c in own),
            round=sum(c.may_be_round for c in own),
            has_target=self.target is not None and total > 1,
            bounds=sum(c.source == "bounds" for c in own),
            categories=sum(c.source == "categories" for c in own),
            given=given,
            max_per_unit=self.max_per_unit,
        )


def plan_release(
    spec: ReleaseSpec, *, epsilon: float, delta: float, options: MarginalOptions | None = None
) -> ReleasePlan:
    """Plan a release; nothing is read.

    Args:
        spec: Tables, unit and target.
        epsilon: Total epsilon of the release, > 0.
        delta: Its delta, in (0, 1).
        options: Numbers of the method.

    Raises:
        ConfigError: the specification contradicts itself.
        InputError: epsilon or delta is out of range.
    """
    options = options or MarginalOptions()
    _check(spec)
    spec = with_units(spec)
    drafts = _drafts(spec)
    groups = _groups(drafts)
    delta_thresholds = DELTA_SHARE * delta if any(d.shape.categories for d in drafts.values()) else 0.0
    first = _first_budgets(groups[0], epsilon, delta, delta_thresholds, options)
    budgets = dict(zip((d.spec.name for d in groups[0]), first[0], strict=True))
    for group in groups[1:]:
        budgets |= _later_budgets(group, first[1], delta_thresholds, options)
    plans = tuple(_plan(draft, budgets[name]) for name, draft in drafts.items())
    for plan in plans:
        domains = {
            c.name: ColumnCells.model_validate(c.domain.model_dump()) if c.domain else None for c in plan.columns
        }
        check_impossible(domains, spec.table(plan.name).impossible)
    return ReleasePlan(
        spec=spec,
        epsilon=epsilon,
        delta=delta,
        tables=plans,
        events=first[1],
        contribution_bounds={p.name: p.max_per_unit for p in plans},
        non_dp_inputs=tuple(line for t in spec.tables for line in non_dp_inputs(t)),
        notes=_notes(drafts, spec),
        options=options,
    )


def _check(spec: ReleaseSpec) -> None:
    names = [t.name for t in spec.tables]
    if not names or len(set(names)) < len(names):
        raise ConfigError("a release needs at least one table, and no table twice.", key="tables")
    for what, place in (("unit", spec.unit), ("target", spec.target)):
        if place is not None and place[0] not in names:
            raise ConfigError(f"the table of the {what} is not part of the release.", key=what)


def _drafts(spec: ReleaseSpec) -> dict[str, _Draft]:
    """Relations of all tables, parents first."""
    schemas = {t.name: _within(t.table, spec) for t in spec.tables}
    order = parents_first(schemas)
    in_unit = {n: spec.unit is not None and route(schemas, n, spec.unit[0]) is not None for n in order}
    follows = {n: _leading_key(n, schemas, in_unit, spec.unit[0]) if in_unit[n] and spec.unit else None for n in order}
    drafts: dict[str, _Draft] = {}
    for name in order:
        table = spec.table(name)
        target = spec.target[1] if spec.target and spec.target[0] == name and spec.target[1] in table.columns else None
        if in_unit[name] and table.unit_column is None:
            raise ConfigError(
                f"table {name!r} leads to the unit of privacy, but no column says which unit a row belongs to.",
                key="unit",
            )
        if table.sequence_order is not None and not in_unit[name]:
            raise ConfigError(
                "rows that follow each other belong to one unit of privacy, and this table has no way to it.",
                key=f"tables.{name}.sequence_order",
            )
        key = follows[name]
        children = [n for n in order if (fk := follows[n]) is not None and fk.parent_table == name]
        taken = set(table.table.names)
        fan_outs = {derived("#", child, taken): child for child in children}
        ends = {child: end_names(child, taken) for child in children if spec.table(child).sequence_order}
        taken |= {*fan_outs, *(name for pair in ends.values() for name in pair)}
        parent = drafts[key.parent_table] if key is not None else None
        context = _context(parent, name, taken) if parent is not None and (table.columns or fan_outs) else {}
        sequence, columns = None, plan_columns(table)
        if parent is not None and table.sequence_order is not None:
            sequence = plan_sequence(table, target, parent.ends[name], taken | set(context))
            columns = with_gaps(table, sequence, columns)
        drafts[name] = _Draft(
            spec=table,
            columns=(
                *columns,
                *(c for child, names in ends.items() for c in end_plans(names, spec.table(child), table)),
            ),
            in_unit=in_unit[name],
            max_per_unit=_max_per_unit(table, spec, in_unit=in_unit[name]),
            follows=key,
            fan_outs=fan_outs,
            context=context,
            ends=ends,
            sequence=sequence,
            target=target,
        )
    return drafts


def _within(table: TableSchema, spec: ReleaseSpec) -> TableSchema:
    """The schema with the references to tables of this release only."""
    names = {t.name for t in spec.tables}
    return table.model_copy(update={"foreign_keys": tuple(k for k in table.foreign_keys if k.parent_table in names)})


def _leading_key(
    name: str, schemas: Mapping[str, TableSchema], in_unit: Mapping[str, bool], root: str
) -> ForeignKey | None:
    """The foreign key whose parent conditions a table: of those that lead to the unit, the one with the longest way.

    A row that names its encounter and its patient hangs on the encounter, whose own reference gives the patient.
    """
    if name == root:
        return None
    keys = [k for k in schemas[name].foreign_keys if k.parent_table != name and in_unit[k.parent_table]]
    return max(keys, key=lambda k: len(route(schemas, k.parent_table, root) or ()))


def _max_per_unit(table: TableSpec, spec: ReleaseSpec, *, in_unit: bool) -> int:
    if not in_unit or spec.unit is None:
        return 1
    several = table.name == spec.unit[0] and table.table.primary_key != (spec.unit[1],)
    return table.max_per_unit or (DEFAULT_MAX_PER_UNIT if several else DEFAULT_MAX_PER_UNIT_BELOW)


def _context(parent: _Draft, child: str, taken: set[str]) -> dict[str, str]:
    """Columns of the parent that stand beside a child's: its target, its number of these children, their first time, the others."""
    others = {name for other, names in parent.ends.items() for name in names if other != child}
    own = [
        c.name for c in parent.columns if c.minus is None and c.name not in others
    ]  # a difference alone means nothing
    first = [t for t in own if t == parent.target] + [f for f, name in parent.fan_outs.items() if name == child]
    first += [name for name in parent.ends.get(child, ()) if name in own]
    chosen = list(dict.fromkeys([*first, *own]))[:MAX_CONTEXT]
    return {derived("^", name, taken): name for name in chosen}


def _groups(drafts: Mapping[str, _Draft]) -> list[list[_Draft]]:
    """Tables of the unit together, every other table by itself; the group that decides the budget first."""
    together = [d for d in drafts.values() if d.in_unit]
    alone = [[d] for d in drafts.values() if not d.in_unit]
    if together:
        return [together, *alone]
    alone.sort(key=lambda g: (g[0].target is None, -len(g[0].columns)))
    return alone


def _first_budgets(
    group: list[_Draft], epsilon: float, delta: float, delta_thresholds: float, options: MarginalOptions
) -> tuple[list[TableBudget], tuple[Event, ...]]:
    """Budgets of the group that decides, calibrated with the tight accountant, and the events of the release."""
    rough = total_rho(epsilon, delta)
    equal = [pair_count(d.shape, rough / len(group), options) for d in group]
    weights = [
        (TARGET_WEIGHT if d.target else 1.0) * math.sqrt(d.shape.ones + n) for d, n in zip(group, equal, strict=True)
    ]  # a table with few columns needs less
    share = [w / sum(weights) for w in weights]
    pairs = [pair_count(d.shape, s * rough, options) for d, s in zip(group, share, strict=True)]
    categories = sum(d.shape.categories for d in group)
    per_column = delta_thresholds / categories if categories else 0.0

    def budgets(rho: float) -> list[TableBudget]:
        return [
            plan_table(d.shape, s * rho, options, delta_domain=per_column, pairs=p)
            for d, s, p in zip(group, share, pairs, strict=True)
        ]

    def events(rho: float) -> tuple[Event, ...]:
        own = tuple(e for b in budgets(rho) for e in b.events())
        if delta_thresholds and not categories:  # another group measures categories
            own = (*own, ThresholdEvent(delta=delta_thresholds))
        return own

    rho = calibrate(events, epsilon=epsilon, delta=delta)
    return budgets(rho), events(rho)


def _later_budgets(
    group: list[_Draft], envelope: tuple[Event, ...], delta_thresholds: float, options: MarginalOptions
) -> dict[str, TableBudget]:
    """Budgets of a group whose events must not cost more than `envelope`, kind by kind.

    Its Gaussians have at most the same total of (sensitivity / sigma)^2, its selections are as many at most with the same epsilon, and
    its thresholds have the same total delta.
    """
    gaussian = sum(e.count * (e.l2_sensitivity / e.sigma) ** 2 / 2 for e in envelope if isinstance(e, GaussianEvent))
    selections = [e for e in envelope if isinstance(e, ExponentialEvent)]
    most = max(selections, key=lambda e: e.count * e.epsilon**2, default=None)
    categories = sum(d.shape.categories for d in group)
    per_column = delta_thresholds / categories if categories else 0.0
    out = {}
    for draft in group:
        budget = gaussian * MARGIN / len(group)
        pairs = min(pair_count(draft.shape, budget, options), most.count // len(group)) if most else 0
        unit = plan_table(draft.shape, 1.0, options, delta_domain=per_column, pairs=pairs)
        cost = sum(
            e.count * (e.l2_sensitivity / e.sigma) ** 2 / 2 for e in unit.events() if isinstance(e, GaussianEvent)
        )
        plan = plan_table(draft.shape, budget / cost, options, delta_domain=per_column, pairs=pairs)
        out[draft.spec.name] = plan.model_copy(update={"epsilon_pick": most.epsilon if most and pairs else None})
    return out


def _plan(draft: _Draft, budget: TableBudget) -> TablePlan:
    return TablePlan(
        name=draft.spec.name,
        columns=draft.columns,
        unit_column=draft.spec.unit_column if draft.in_unit else None,
        max_per_unit=draft.max_per_unit,
        follows=draft.follows,
        fan_outs=draft.fan_outs,
        context=draft.context,
        ends=draft.ends,
        sequence=draft.sequence,
        target=draft.target if draft.shape.has_target else None,
        budget=budget,
    )


def _notes(drafts: Mapping[str, _Draft], spec: ReleaseSpec) -> tuple[str, ...]:
    """What a reader of the privacy report must know about the choices."""
    unit = f"{spec.unit[0]}.{spec.unit[1]}" if spec.unit else None
    lines = [
        f"Unit of privacy: {unit}." if unit else "Unit of privacy: one row of one table, since no unit is declared."
    ]
    for name, draft in drafts.items():
        if unit and not draft.in_unit:
            lines.append(f"Table {name} has no way to {unit}: its own unit of privacy is one row.")
        elif draft.in_unit and draft.max_per_unit > 1:
            lines.append(
                f"Table {name}: at most {draft.max_per_unit} rows of one unit are read, chosen by a keyed hash."
            )
        if draft.sequence:
            lines.append(
                f"Table {name}: rows in the order of {draft.sequence.order}, each conditioned on the one before; of one unit at most "
                f"{draft.max_per_unit} such transitions are counted."
            )
        if draft.follows:
            lines.append(
                f"Table {name} follows {draft.follows.parent_table}; rows without such a parent are not reproduced."
            )
    return tuple(lines)
