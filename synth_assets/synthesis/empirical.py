"""The attacks on a planned release, before anything is read: on its noise, and on how its public domain comes about.

What belongs here: worst-case neighbours for a plan, and the verdict. What does not: the attack on noise and the bounds
(privacy/empirical), canaries in a model (canaries.py). Derivation: docs/mechanisms/empirical_audit.md.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date, datetime

import numpy as np
import pyarrow as pa

from synth_assets.errors import InputError
from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.privacy.empirical.bounds import claimed_mu, epsilon_of_mu, mu_lower
from synth_assets.privacy.empirical.noise import LEAST_REPETITIONS, REPETITIONS, attack_noise
from synth_assets.privacy.empirical.records import DomainAttack, EmpiricalCheck
from synth_assets.privacy.mechanisms import NoiseSource
from synth_assets.synthesis.domain import ColumnPlan, measure_domain
from synth_assets.synthesis.marginals.budget import total_events
from synth_assets.synthesis.release_plan import ReleasePlan, TablePlan
from synth_assets.tables.marginals import FrameTable

FALSE_ALARM = 1e-3
NOISE_SHARE = 0.8
DOMAIN_REPETITIONS = 100
ORDINARY_ROWS = 50
UNIT = "\x1funit"  # no column of a table is called so
ARROW = {
    "string": pa.string(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "date32[day]": pa.date32(),
    "timestamp[us]": pa.timestamp("us"),
}
ORDINARY = {"string": "ordinary", "int64": 7, "double": 7.0, "bool": True}
EXTREME = {"string": "seen once", "int64": -(10**15), "double": 1e12, "bool": None}


def attack_plan(plan: ReleasePlan, noise: NoiseSource, *, repetitions: int = REPETITIONS) -> EmpiricalCheck:
    """Attack all that a plan allows, with the noise that the release will use.

    Args:
        plan: From `plan_release`.
        noise: The source of the release.
        repetitions: Of the attack on the noise, at least 10,000; shared by groups of tables where there are several.

    Raises:
        InputError: fewer than 10,000 repetitions.
    """
    if repetitions < LEAST_REPETITIONS:
        raise InputError(f"the empirical check needs at least {LEAST_REPETITIONS:,} repetitions, {repetitions:,} are asked for.")
    started = time.process_time()
    groups = _groups(plan)
    each = max(LEAST_REPETITIONS, repetitions // len(groups))
    alpha = FALSE_ALARM * NOISE_SHARE / len(groups)
    attacks = tuple(
        attack_noise(total_events([t.budget for t in g]), noise, repetitions=each, alpha=alpha, claim=plan.events) for g in groups
    )
    alpha = FALSE_ALARM * (1 - NOISE_SHARE) / len(groups)
    domains = tuple(attack_domain(g, noise, mu=claimed_mu(plan.events), alpha=alpha) for g in groups)
    strongest = max(attacks, key=lambda a: a.mu_lower)
    return EmpiricalCheck(
        epsilon_claimed=epsilon_spent(plan.events, plan.delta),
        epsilon_lower=epsilon_of_mu(strongest.mu_lower, plan.delta),
        delta=plan.delta,
        mu_claimed=strongest.mu_claimed,
        mu_lower=strongest.mu_lower,
        false_alarm=FALSE_ALARM,
        repetitions=each,
        noise=attacks,
        domain=domains,
        seconds=round(time.process_time() - started, 3),
        passed=all(a.passed for a in attacks) and all(d.passed for d in domains),
    )


def _groups(plan: ReleasePlan) -> list[list[TablePlan]]:
    """Tables that share units of privacy, together; each other table by itself."""
    together = [t for t in plan.tables if t.unit_column is not None]
    return [g for g in (together, *([t] for t in plan.tables if t.unit_column is None)) if g]


def attack_domain(
    tables: Sequence[TablePlan], noise: NoiseSource, *, mu: float, alpha: float, repetitions: int = DOMAIN_REPETITIONS
) -> DomainAttack:
    """Make the domain of one of two neighbours, by a fair coin, and guess from it which one that was.

    One of them has a unit more: in every other repetition with a category that nobody else has and values beyond all bounds, in the
    others with nothing but missing values. The guess is "more" where the cells are not those of a first try without it.

    Args:
        tables: Plans of the tables that share units.
        noise: The source of the release.
        mu: The claim.
        alpha: Chance of a false alarm.
        repetitions: Trials.
    """
    usual = _cells(tables, noise, None)
    coins = np.random.default_rng().random(repetitions) < 0.5  # as the noise, the attacker's coins come from the system
    correct = 0
    for i, more in enumerate(coins.tolist()):
        kind = None if not more else "extreme" if i % 2 else "missing"
        correct += (_cells(tables, noise, kind) != usual) == more
    lower = mu_lower(correct, repetitions, alpha)
    return DomainAttack(
        repetitions=repetitions,
        correct=correct,
        confidence=1 - alpha,
        mu_claimed=mu,
        mu_lower=lower,
        passed=lower <= mu,
    )


def _cells(tables: Sequence[TablePlan], noise: NoiseSource, more: str | None) -> list[str]:
    """The domains of all tables, as texts."""
    out = []
    for table in tables:
        private = FrameTable(
            neighbour(table, more), gate=lambda: None, unit_column=UNIT, max_per_unit=table.max_per_unit
        )  # fmt: skip
        out.append(measure_domain(table.columns, private, table.budget, noise).domain.model_dump_json())
    return out


def neighbour(table: TablePlan, more: str | None) -> pa.Table:
    """A small made-up table; with `more` ("extreme" or "missing") one unit of privacy is added, with all rows that it may have."""
    added = table.max_per_unit if more else 0
    units = pa.array([f"u{i}" for i in range(ORDINARY_ROWS)] + ["one more"] * added, pa.string())
    columns = {UNIT: units}
    for column in table.columns:
        value = _extreme(column) if more == "extreme" else None
        columns[column.name] = pa.array([_ordinary(column)] * ORDINARY_ROWS + [value] * added, ARROW[column.dtype])
    return pa.table(columns)


def _ordinary(column: ColumnPlan) -> object:
    return {"date32[day]": date(2020, 6, 15), "timestamp[us]": datetime(2020, 6, 15, 12)}.get(column.dtype, ORDINARY.get(column.dtype))


def _extreme(column: ColumnPlan) -> object:
    return {"date32[day]": date(1801, 1, 1), "timestamp[us]": datetime(1801, 1, 1)}.get(column.dtype, EXTREME.get(column.dtype))
