"""The attacks on a planned release, before anything is read: on its noise, and on how its public domain comes about.

What belongs here: worst-case neighbours for a plan, and the verdict. What does not: the attack on noise and the bounds
(privacy/empirical), canaries in a model (canaries.py). Derivation: docs/mechanisms/empirical_audit.md.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pyarrow as pa

from synth_assets.errors import InputError
from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.privacy.empirical.bounds import claimed_mu, epsilon_of_mu, mu_lower
from synth_assets.privacy.empirical.noise import LEAST_REPETITIONS, REPETITIONS, attack_noise
from synth_assets.privacy.empirical.records import DomainAttack, EmpiricalCheck, NeighbourKind
from synth_assets.privacy.mechanisms import NoiseSource
from synth_assets.synthesis.domain import measure_domain
from synth_assets.synthesis.marginals.budget import total_events
from synth_assets.synthesis.release_plan import ReleasePlan, TablePlan
from synth_assets.tables.marginals import FrameTable

FALSE_ALARM = 1e-3  # of one series of attacks; a release is refused after a second, independent one only
NOISE_SHARE = 0.8
MARGIN = 1.5  # a domain that gives everything away must show this many times the claim
MOST_TRIALS = 200
STRAY = 2  # noise alone moves a bound now and then
FIRST_TRIES = 3
KINDS: tuple[NeighbourKind, ...] = ("extreme", "missing")
ORDINARY_ROWS = 2  # far below every threshold, so that the usual domain is nearly always the same one
UNIT = "\x1funit"  # no column of a table is called so
ARROW = {
    "string": pa.string(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "date32[day]": pa.date32(),
    "timestamp[us]": pa.timestamp("us"),
}
ORDINARY: Mapping[str, object] = {
    "string": "ordinary", "int64": 7, "double": 7.0, "bool": True, "date32[day]": date(2020, 6, 15),
    "timestamp[us]": np.datetime64("2020-06-15T12", "us"),
}  # fmt: skip
EXTREME: Mapping[str, object] = {
    "string": "seen once", "int64": -(10**15), "double": 1e12, "bool": None, "date32[day]": date(1801, 1, 1),
    "timestamp[us]": np.datetime64("1801-01-01", "us"),
}  # fmt: skip


def attack_plan(plan: ReleasePlan, noise: NoiseSource, *, repetitions: int = REPETITIONS) -> EmpiricalCheck:
    """Attack all that a plan allows, with the noise that the release will use; twice where the first series of attacks alarms.

    Args:
        plan: From `plan_release`.
        noise: The source of the release.
        repetitions: Of the attack on the noise, at least 10,000; shared by groups of tables where there are several.

    Raises:
        InputError: fewer than 10,000 repetitions.
    """
    if repetitions < LEAST_REPETITIONS:
        raise InputError(
            f"the empirical check needs at least {LEAST_REPETITIONS:,} repetitions, {repetitions:,} are asked for."
        )
    started = time.process_time()
    check = _attacked(plan, noise, repetitions)
    if not check.passed:
        check = _attacked(plan, noise, repetitions)
    return check.model_copy(update={"seconds": round(time.process_time() - started, 3)})


def _attacked(plan: ReleasePlan, noise: NoiseSource, repetitions: int) -> EmpiricalCheck:
    """One series of attacks."""
    groups = _groups(plan)
    each = max(LEAST_REPETITIONS, repetitions // len(groups))
    alpha = FALSE_ALARM * NOISE_SHARE / len(groups)
    attacks = tuple(
        attack_noise(total_events([t.budget for t in g]), noise, repetitions=each, alpha=alpha, claim=plan.events)
        for g in groups
    )
    alpha, mu = FALSE_ALARM * (1 - NOISE_SHARE) / len(groups) / len(KINDS), claimed_mu(plan.events)
    domains = tuple(attack_domain(g, noise, kind, mu=mu, alpha=alpha) for g in groups for kind in KINDS)
    strongest = max(attacks, key=lambda a: a.mu_lower)
    return EmpiricalCheck(
        epsilon_claimed=epsilon_spent(plan.events, plan.delta),
        epsilon_lower=epsilon_of_mu(strongest.mu_lower, plan.delta),
        delta=plan.delta,
        mu_claimed=strongest.mu_claimed,
        mu_lower=strongest.mu_lower,
        false_alarm=FALSE_ALARM**2,
        repetitions=each,
        noise=attacks,
        domain=domains,
        seconds=0.0,
        passed=all(a.passed for a in attacks) and all(d.passed for d in domains),
    )


def _groups(plan: ReleasePlan) -> list[list[TablePlan]]:
    """Tables that share units of privacy, together; each other table by itself."""
    together = [t for t in plan.tables if t.unit_column is not None]
    return [g for g in (together, *([t] for t in plan.tables if t.unit_column is None)) if g]


def attack_domain(
    tables: Sequence[TablePlan], noise: NoiseSource, kind: NeighbourKind, *, mu: float, alpha: float
) -> DomainAttack:
    """Make the domain of one of two neighbours, by a fair coin, and guess from it which one that was.

    One of them has a unit more. The guess is "more" where the cells are not those of most first tries without it. There are as many
    trials as it takes to show more than the claim where all guesses but two are right.

    Args:
        tables: Plans of the tables that share units.
        noise: The source of the release.
        kind: "extreme": the unit has categories that nobody else has, and values beyond all bounds; "missing": it has no value.
        mu: The claim.
        alpha: Chance of a false alarm.
    """
    trials = _trials(mu, alpha)
    tries = [_cells(tables, noise, None) for _ in range(FIRST_TRIES)]
    usual = max(tries, key=tries.count)
    coins = np.random.default_rng().random(trials) < 0.5  # as the noise, the attacker's coins come from the system
    correct = sum((_cells(tables, noise, kind if more else None) != usual) == more for more in coins.tolist())
    lower = mu_lower(correct, trials, alpha)
    return DomainAttack(
        neighbour=kind,
        repetitions=trials,
        correct=correct,
        confidence=1 - alpha,
        mu_claimed=mu,
        mu_lower=lower,
        passed=lower <= mu,
    )


def _trials(mu: float, alpha: float) -> int:
    """Fewest trials that exclude MARGIN times mu with STRAY wrong guesses among them, at most MOST_TRIALS."""
    trials = STRAY + 1
    while trials < MOST_TRIALS and mu_lower(trials - STRAY, trials, alpha) <= MARGIN * mu:
        trials += 1
    return trials


def _cells(tables: Sequence[TablePlan], noise: NoiseSource, more: NeighbourKind | None) -> list[str]:
    """The domains of all tables, as texts."""
    out = []
    for table in tables:
        several = UNIT if table.max_per_unit > 1 else None
        rows = neighbour(table, more)
        private = FrameTable(rows, gate=lambda: None, unit_column=several, max_per_unit=table.max_per_unit)
        out.append(measure_domain(table.columns, private, table.budget, noise).domain.model_dump_json())
    return out


def neighbour(table: TablePlan, more: NeighbourKind | None) -> pa.Table:
    """A small made-up table; with `more` ("extreme" or "missing") one unit of privacy is added, with all rows that it may have."""
    added = table.max_per_unit if more else 0
    units = pa.array([f"u{i}" for i in range(ORDINARY_ROWS)] + ["one more"] * added, pa.string())
    columns = {UNIT: units}
    for column in table.columns:
        value = EXTREME[column.dtype] if more == "extreme" else None
        columns[column.name] = pa.array([ORDINARY[column.dtype]] * ORDINARY_ROWS + [value] * added, ARROW[column.dtype])
    return pa.table(columns)
