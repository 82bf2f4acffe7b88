"""The public domain of a table: declared bounds and categories as they are, all others measured under differential privacy.

What belongs here: the plan of that step from public facts, the counts that find bounds and categories, their post-processing. What
does not: cells (tables.cells), what the model is fitted to. Derivation: docs/mechanisms/dp_marginals.md, "Domain".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from synth_assets.config.dataset import ColumnConfig
from synth_assets.errors import ConfigError
from synth_assets.privacy.mechanisms import NoiseSource
from synth_assets.privacy.planned import PlannedNoise
from synth_assets.privacy.records import Event, ThresholdEvent
from synth_assets.privacy.thresholds import threshold_delta, threshold_for
from synth_assets.synthesis.marginals.binning import significant_cells
from synth_assets.synthesis.marginals.budget import TableBudget
from synth_assets.synthesis.marginals.measurements import NARROW_CELLS
from synth_assets.synthesis.protocol import TableSpec
from synth_assets.tables.cells import (
    CellKind,
    ColumnDomain,
    TableDomain,
    category_cells,
    date_cells,
    datetime_cells,
    day_of,
    number_cells,
    scout_date_cells,
    scout_number_cells,
)
from synth_assets.tables.marginals import PrivateTable
from synth_assets.tables.schema import ColumnKind, ColumnSchema, Frozen

MAX_CATEGORIES = 1000
RANGE_SIGMAS = 5.5  # up to 950 cells in runs of ten widths: a false bound in 1 of 5,000 columns
WINDOWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
DEFAULT_NUMBERS = (0.0, 1000.0)
DEFAULT_DAYS = (date(1950, 1, 1), date(2029, 12, 31))
FAN_OUT_EDGES = (0, 1, 2, 3, 4, 5, 6, 8, 11, 16, 21, 31, 51, *(e * 10**k + 1 for k in (2, 3, 4, 5) for e in (1, 2, 5)))


class ColumnPlan(Frozen):
    """How the domain of one column comes about.

    Attributes:
        name: Column name.
        kind: Category or one of the numeric kinds.
        dtype: Arrow type.
        source: "declared" (or public by type), "bounds" or "categories" (to be measured).
        domain: The cells, where they are known.
        lower: Declared lower bound of a column whose upper bound is not declared.
        upper: The other way round.
        minus: The column is modelled as its difference to this one.
    """

    name: str
    kind: CellKind
    dtype: str
    source: Literal["declared", "bounds", "categories"]
    domain: ColumnDomain | None = None
    lower: float | str | None = None
    upper: float | str | None = None
    minus: str | None = None

    @property
    def may_be_wide(self) -> bool:
        """Whether the column may get a second one-way table."""
        if self.domain is None:
            return self.kind != "category"
        return self.kind != "category" and self.domain.value_cells > NARROW_CELLS

    @property
    def may_be_round(self) -> bool:
        """Whether the roundness of the column may be measured."""
        if self.domain is None:
            return self.kind in {"number", "datetime"}
        return bool(self.domain.steps)


def plan_columns(spec: TableSpec) -> tuple[ColumnPlan, ...]:
    """What is public about the modelled columns of a table; reads the schema and the declarations, no data.

    Raises:
        ConfigError: a column is not in the table, or a declaration contradicts itself or the column's type.
    """
    lows = {high: low for low, high in spec.orders if {low, high} <= set(spec.columns)}
    plans = []
    for name in spec.columns:
        if name not in spec.table.names:
            raise ConfigError(f"table {spec.name!r} has no such column to model.", column=name)
        plans.append(
            _plan_column(spec.table.column(name), spec.configs.get(name, ColumnConfig()), lows.get(name), spec)
        )
    return tuple(plans)


def _plan_column(column: ColumnSchema, config: ColumnConfig, minus: str | None, spec: TableSpec) -> ColumnPlan:
    name, dtype, kind = column.name, column.dtype, _cell_kind(column)
    declared = ColumnConfig() if config.inferred else config
    if declared.categories is not None:
        return _known(category_cells(name, dtype, declared.categories))
    if dtype == "bool":
        return _known(category_cells(name, dtype, ("false", "true")))
    if kind == "category":
        return ColumnPlan(name=name, kind=kind, dtype=dtype, source="categories")
    if minus is not None:
        return _plan_difference(column, kind, declared, minus, spec)
    if declared.lower is not None and declared.upper is not None:
        return _known(bounded_cells(name, kind, dtype, declared.lower, declared.upper))
    return ColumnPlan(name=name, kind=kind, dtype=dtype, source="bounds", lower=declared.lower, upper=declared.upper)


def _plan_difference(
    column: ColumnSchema, kind: CellKind, declared: ColumnConfig, minus: str, spec: TableSpec
) -> ColumnPlan:
    if spec.table.column(minus).dtype != column.dtype:
        raise ConfigError("the two columns of an ordered pair must have one type.", column=column.name)
    longest = declared_span(kind, spec.configs.get(minus, ColumnConfig()), declared, column.name)
    if longest is None:
        return ColumnPlan(name=column.name, kind=kind, dtype=column.dtype, source="bounds", minus=minus)
    return _known(difference_cells(column.name, kind, column.dtype, minus, longest))


def _cell_kind(column: ColumnSchema) -> CellKind:
    """Dates and times by their type; numbers where they are meant as numbers; all else is a category."""
    if column.dtype in {"date32[day]", "timestamp[us]"}:
        return "date" if column.dtype == "date32[day]" else "datetime"
    return "number" if column.kind == ColumnKind.NUMBER and column.dtype in {"int64", "double"} else "category"


def _known(domain: ColumnDomain) -> ColumnPlan:
    return ColumnPlan(
        name=domain.name, kind=domain.kind, dtype=domain.dtype, source="declared", domain=domain, minus=domain.minus
    )


def declared_span(kind: CellKind, low: ColumnConfig, high: ColumnConfig, name: str) -> float | None:
    """Longest difference of an ordered pair (numbers, days or seconds), from its declared bounds; None where one is missing."""
    if low.inferred or high.inferred or low.lower is None or high.upper is None:
        return None
    cells = bounded_cells(name, kind, "int64", low.lower, high.upper)
    return float(cells.edges[-1] - cells.edges[0])


def difference_cells(name: str, kind: CellKind, dtype: str, minus: str, longest: float) -> ColumnDomain:
    """Cells of the difference of an ordered pair: from 0 on, on the grid of numbers, in units of the column."""
    grid = number_cells(name, dtype if kind == "number" else "int64", 0, max(longest, 1.0))
    steps = grid.steps if kind == "number" else ()
    return grid.model_copy(update={"kind": kind, "dtype": dtype, "minus": minus, "steps": steps})


def bounded_cells(name: str, kind: CellKind, dtype: str, lower: float | str, upper: float | str) -> ColumnDomain:
    """Cells of a numeric column between two declared bounds.

    Raises:
        ConfigError: a bound is no number, or no ISO date, or they are in the wrong order.
    """
    try:
        if kind == "number":
            return number_cells(name, dtype, float(lower), float(upper))
        first, last = date.fromisoformat(str(lower)[:10]), date.fromisoformat(str(upper)[:10])
    except (ValueError, OverflowError) as error:
        if isinstance(error, ConfigError):
            raise
        wanted = "a number" if kind == "number" else "a date such as 2020-12-31"
        raise ConfigError(f"`lower` and `upper` must each be {wanted}.", column=name, key="lower") from None
    return date_cells(name, first, last) if kind == "date" else datetime_cells(name, first, last)


def fan_out_cells(name: str, most: int) -> ColumnDomain:
    """Cells of a number of children: single up to 5, then wider; the public `most` bounds it."""
    edges = (*(e for e in FAN_OUT_EDGES if e < most), most + 1)
    return ColumnDomain(name=name, kind="number", dtype="int64", edges=edges, decay=True)


def non_dp_inputs(spec: TableSpec) -> tuple[str, ...]:
    """Facts that were inferred from the data and that nobody has confirmed: kinds and types of modelled columns."""
    columns = (spec.table.column(name) for name in spec.columns)
    return tuple(f"{spec.name}.{c.name}: kind {c.kind} ({c.dtype}) was inferred" for c in columns if c.inferred)


@dataclass(frozen=True)
class FoundDomain:
    """A complete domain.

    Attributes:
        domain: The cells of all columns.
        events: What finding them has used.
        notes: What could not be found, for the report.
    """

    domain: TableDomain
    events: tuple[Event, ...]
    notes: tuple[str, ...]


def measure_domain(
    plans: tuple[ColumnPlan, ...], table: PrivateTable, budget: TableBudget, noise: NoiseSource
) -> FoundDomain:
    """Complete the domain: find undeclared bounds and categories under differential privacy.

    Args:
        plans: One per column; what is declared is taken as it is.
        table: The private table.
        budget: Its `sigma_domain` and `delta_domain`.
        noise: Source of the noise.

    Returns:
        The domain, the events and notes. Nothing else about the data decides them.
    """
    bounds = [p for p in plans if p.source == "bounds"]
    categories = [p for p in plans if p.source == "categories"]
    found: dict[str, ColumnDomain] = {}
    events: list[Event] = []
    notes: list[str] = []
    sigma = budget.sigma_domain
    if (bounds or categories) and sigma is not None:
        steps = PlannedNoise(noise, budget.events(), table.max_per_unit)
        found |= _find_bounds(bounds, table, sigma, steps, notes)
        for plan in categories:
            found[plan.name], event = _find_categories(plan, table, sigma, budget.delta_domain or 0.0, steps)
            events.append(event)
            if not found[plan.name].categories:
                notes.append(_no_category(plan))
        events += steps.events()
    columns = tuple(found[p.name] if p.domain is None else p.domain for p in plans)
    return FoundDomain(TableDomain(columns=columns), tuple(events), tuple(notes))


def possible_notes(plans: tuple[ColumnPlan, ...]) -> tuple[str, ...]:
    """Every note that finding a domain may leave; which of them it leaves depends on noisy counts only."""
    return (*(_no_category(p) for p in plans), *(_no_range(p) for p in plans))


def _no_category(plan: ColumnPlan) -> str:
    return f"Column {plan.name}: no value is frequent enough to be shown; declare its categories."


def _no_range(plan: ColumnPlan) -> str:
    return f"Column {plan.name}: no range stands out of the noise, a default is used; declare its bounds."


def _find_bounds(
    plans: list[ColumnPlan], table: PrivateTable, sigma: float, steps: PlannedNoise, notes: list[str]
) -> dict[str, ColumnDomain]:
    """Noisy counts over public, exponentially wide cells (calendar years for dates); what stands out gives the bounds."""
    if not plans:
        return {}
    scouts = tuple(_scout(p) for p in plans)
    source = table.marginals(TableDomain(columns=scouts))
    found = {}
    for plan, scout, counts in zip(plans, scouts, source.counts([(p.name,) for p in plans]), strict=True):
        noisy = steps.noisy(counts, sigma)
        cells = significant_range(noisy[: scout.value_cells], sigma)
        if cells is None:
            notes.append(_no_range(plan))
        found[plan.name] = _measured_cells(plan, scout, cells)
    return found


def _scout(plan: ColumnPlan) -> ColumnDomain:
    if plan.kind == "number":
        return scout_number_cells(plan.name, plan.dtype, minus=plan.minus)
    return scout_date_cells(plan.name, plan.kind, plan.dtype, minus=plan.minus)


def significant_range(noisy: np.ndarray, sigma: float) -> tuple[int, int] | None:
    """First and last cell that belong to a run of 1, 2, 4, ... cells whose noisy sum stands out of the noise; None where none does."""
    cells = np.flatnonzero(significant_cells(noisy, sigma, sigmas=RANGE_SIGMAS, widths=WINDOWS))
    return (int(cells[0]), int(cells[-1])) if len(cells) else None


def _measured_cells(plan: ColumnPlan, scout: ColumnDomain, cells: tuple[int, int] | None) -> ColumnDomain:
    """The cells of a column between the bounds of two scouting cells, or between default ones; a declared bound wins."""
    scale = 10**scout.decimals
    low, high = (scout.edges[cells[0]], scout.edges[cells[1] + 1] - 1) if cells else (0, 0)
    if plan.minus is not None:
        longest = _rounded_up(high / scale) if cells else DEFAULT_NUMBERS[1]
        return difference_cells(plan.name, plan.kind, plan.dtype, plan.minus, longest)
    if plan.kind == "number":
        found = (-_rounded_up(-low / scale), _rounded_up(high / scale)) if cells else DEFAULT_NUMBERS
        lower, upper = (float(d) if d is not None else f for d, f in zip((plan.lower, plan.upper), found, strict=True))
        return number_cells(plan.name, plan.dtype, min(lower, upper), max(lower, upper))
    days = (day_of(low, plan.kind), day_of(high, plan.kind)) if cells else DEFAULT_DAYS
    first, last = (
        date.fromisoformat(str(d)[:10]) if d is not None else f
        for d, f in zip((plan.lower, plan.upper), days, strict=True)
    )
    make = date_cells if plan.kind == "date" else datetime_cells
    return make(plan.name, min(first, last), max(first, last))


def _rounded_up(bound: float) -> float:
    """The next number with two significant digits: a measured bound is round, so that a value on it looks like a value of the data."""
    if bound == 0:
        return 0.0
    digits = math.floor(math.log10(abs(bound))) - 1
    return (
        float(math.ceil(bound / 10**digits) * 10**digits)
        if digits >= 0
        else math.ceil(bound * 10**-digits) / 10**-digits
    )


def _find_categories(
    plan: ColumnPlan, table: PrivateTable, sigma: float, delta: float, steps: PlannedNoise
) -> tuple[ColumnDomain, ThresholdEvent]:
    """Stability-based selection: a value becomes a category when its noisy count reaches the threshold for `delta`."""
    texts, counts = table.frequencies(plan.name, plan.dtype)
    threshold = threshold_for(sigma=sigma, delta=delta, rows_per_unit=table.max_per_unit)
    noisy = steps.noisy(counts, sigma)
    shown = [i for i in np.argsort(-noisy, kind="stable")[:MAX_CATEGORIES].tolist() if noisy[i] >= threshold]
    chosen = tuple(sorted(texts[i] for i in shown))
    event = ThresholdEvent(delta=threshold_delta(sigma=sigma, threshold=threshold, rows_per_unit=table.max_per_unit))
    return category_cells(plan.name, plan.dtype, chosen, is_open=True), event
