"""From a share of the budget to the noise of every step of one table: planned from public facts, before any read.

What belongs here: scales of noise and the events they are. What does not: data, noise, and which tables are chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from synth_assets.privacy.mechanisms import effective_sigma
from synth_assets.privacy.records import Event, ExponentialEvent, GaussianEvent, Record, ThresholdEvent
from synth_assets.synthesis.marginals.options import MarginalOptions


class TableShape(Record):
    """Public facts about a table that decide its plan.

    Attributes:
        columns: Modelled columns, own, derived and of the parent.
        given: Those of the parent; they have no one-way tables.
        wide: Columns that may have a second, coarser one-way table.
        round: Columns whose roundness may be measured.
        has_target: Whether every column is measured with a target.
        bounds: Number, date and datetime columns whose bounds are not declared.
        categories: Category columns whose categories are not declared.
        max_per_unit: Sensitivity of a table of counts, in rows.
    """

    columns: int
    wide: int
    round: int
    has_target: bool
    given: int = 0
    bounds: int = 0
    categories: int = 0
    max_per_unit: int = 1

    @property
    def ones(self) -> int:
        """One-way tables; the number of rows where there is no column."""
        return max(1, self.columns - self.given + self.wide)

    @property
    def features(self) -> int:
        """Columns besides the target."""
        return self.columns - self.has_target


class TableBudget(Record):
    """Noise of every step for one table; None where a step does not take place.

    Attributes:
        shape: The facts it was planned for.
        sigma_domain: Noise of the counts that find bounds and categories.
        delta_domain: Probability, per column, that a category of one unit alone is shown.
        sigma_one: Noise of one-way tables.
        sigma_round: Noise of roundness tables.
        sigma_target: Noise of the tables of a column with the target.
        sigma_pair: Noise of chosen tables.
        pairs: How many tables are chosen.
        epsilon_pick: Epsilon of one choice.
    """

    shape: TableShape
    sigma_one: float
    sigma_domain: float | None = None
    delta_domain: float | None = None
    sigma_round: float | None = None
    sigma_target: float | None = None
    sigma_pair: float | None = None
    pairs: int = 0
    epsilon_pick: float | None = None

    def events(self) -> tuple[Event, ...]:
        """All mechanisms that the table may use, at most."""
        shape = self.shape
        planned = (
            (self.sigma_domain, shape.bounds + shape.categories),
            (self.sigma_one, shape.ones),
            (self.sigma_round, shape.round),
            (self.sigma_target, shape.features),
            (self.sigma_pair, self.pairs),
        )
        out: list[Event] = [
            GaussianEvent(sigma=sigma, l2_sensitivity=shape.max_per_unit, count=count)
            for sigma, count in planned
            if sigma and count
        ]
        if self.epsilon_pick and self.pairs:
            out.append(ExponentialEvent(epsilon=self.epsilon_pick, count=self.pairs))
        if self.delta_domain and shape.categories:
            out.append(ThresholdEvent(delta=self.delta_domain, count=shape.categories))
        return tuple(out)


def pair_count(shape: TableShape, rho: float, options: MarginalOptions) -> int:
    """How many tables of pairs to measure: more where the budget is larger, fewer where one unit has many rows."""
    d = shape.features
    possible = d * (d - 1) // 2
    wanted = round(options.pairs * math.sqrt(rho / 0.02) / shape.max_per_unit)
    return int(min(max(wanted, 18, d), options.pairs_cap * possible))


def plan_table(
    shape: TableShape, rho: float, options: MarginalOptions, *, delta_domain: float = 0.0, pairs: int | None = None
) -> TableBudget:
    """Divide a zCDP budget among the steps of one table.

    Args:
        shape: Public facts.
        rho: zCDP budget of this table; the tight accountant is applied outside, by scaling rho.
        options: The shares.
        delta_domain: Delta per column of undeclared categories.
        pairs: Number of tables to choose; from `pair_count` when None.

    Source:
        Gaussian noise of scale sigma on a vector of L2 sensitivity s is (s / sigma)^2 / 2-zCDP, a choice of bounded range eps is
        eps^2 / 8-zCDP (Bun, Steinke 2016; Cesar, Rogers 2021).
    """
    needs_domain = shape.bounds + shape.categories
    share_domain = options.share_domain * math.sqrt(min(1.0, needs_domain / max(1, shape.columns - shape.given)))
    rest = rho * (1 - share_domain)
    pairs = pair_count(shape, rest, options) if pairs is None else pairs
    shares = {
        "one": options.share_ones,
        "round": options.share_roundness if shape.round else 0.0,
        "target": options.share_target if shape.has_target else 0.0,
        "pick": options.share_selection if pairs else 0.0,
    }
    if pairs:
        shares["pair"] = 1 - sum(shares.values())
    else:
        shares["one"] += 1 - sum(shares.values())

    def sigma(share: float, count: int) -> float | None:
        if not share or not count:
            return None
        return effective_sigma(shape.max_per_unit * math.sqrt(count / (2 * share * rest)))

    domain = shape.max_per_unit * math.sqrt(needs_domain / (2 * share_domain * rho)) if needs_domain else None
    sigma_one = sigma(shares["one"], shape.ones)
    return TableBudget(
        shape=shape,
        sigma_one=sigma_one if sigma_one is not None else math.inf,
        sigma_domain=effective_sigma(domain) if domain else None,
        delta_domain=delta_domain if shape.categories else None,
        sigma_round=sigma(shares["round"], shape.round),
        sigma_target=sigma(shares["target"], shape.features),
        sigma_pair=sigma(shares.get("pair", 0.0), pairs),
        pairs=pairs,
        epsilon_pick=math.sqrt(8 * shares["pick"] * rest / pairs) if pairs else None,
    )


def total_events(budgets: Sequence[TableBudget]) -> tuple[Event, ...]:
    """The events of several tables together."""
    return tuple(event for budget in budgets for event in budget.events())
