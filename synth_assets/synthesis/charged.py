"""A DP release, charged: plan, second opinion, reserve, measure, settle, report. The one road from rows to noisy counts.

Order matters: the plan is made from public facts, its cost is verified by the second accountant and reserved before the first read;
a refusal therefore happens before any data is touched. A crash in between leaves the reservation counted in full.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from synth_assets.errors import CheckFailedError, InputError
from synth_assets.privacy.accounting import spent
from synth_assets.privacy.budget import BudgetLedger, measurement_key
from synth_assets.privacy.crosscheck import verify
from synth_assets.privacy.empirical.noise import REPETITIONS
from synth_assets.privacy.empirical.records import EmpiricalCheck
from synth_assets.privacy.empirical.words import failed_words
from synth_assets.privacy.levels import level_of
from synth_assets.privacy.mechanisms import NoiseSource, SystemNoise
from synth_assets.privacy.records import Event
from synth_assets.privacy.report import PrivacyReport
from synth_assets.storage.hashing import hash_parts
from synth_assets.synthesis.empirical import attack_plan
from synth_assets.synthesis.marginals.binning import one_way
from synth_assets.synthesis.marginals.measurements import Measurements
from synth_assets.synthesis.protocol import ReleaseSpec
from synth_assets.synthesis.release import ReleaseMeasurements, ReleasePlan, measure_release, plan_release
from synth_assets.synthesis.reserved import Made, read_under
from synth_assets.tables.engine import Engine

MECHANISM = "dp_marginals"
MECHANISM_VERSION = "1"


@dataclass(frozen=True)
class Prepared:
    """A plan that the second accountant has accepted, and what attacks on it have shown. No data was read.

    Args:
        plan: What will run.
        empirical: The verdict of the attacks; a release needs one that passed.
    """

    plan: ReleasePlan
    empirical: EmpiricalCheck


def prepare(
    spec: ReleaseSpec,
    *,
    epsilon: float,
    delta: float,
    noise: NoiseSource | None = None,
    repetitions: int = REPETITIONS,
) -> Prepared:
    """Plan a release, verify its cost and attack its mechanisms, from public facts alone.

    Args:
        spec: Tables, unit and target.
        epsilon: Total epsilon of this release.
        delta: Its delta.
        noise: Source of the noise; the operating system's when None.
        repetitions: Of the attack on the noise, at least 10,000.

    Raises:
        CheckFailedError: the second accountant contradicts the first.
        InputError: too few repetitions.
    """
    plan = plan_release(spec, epsilon=epsilon, delta=delta)
    verify(plan.events, spent(plan.events, delta))
    return Prepared(plan, attack_plan(plan, noise or SystemNoise(), repetitions=repetitions))


def require_passed(check: EmpiricalCheck) -> None:
    """Refuse a release whose mechanisms cost more than is claimed.

    Raises:
        CheckFailedError: an attack gave a lower bound above the claim.
    """
    if not check.passed:
        raise CheckFailedError(
            f"{failed_words(check)} No data was read and no budget was spent.",
            key="epsilon",
            remedy="This is a fault of the mechanism or of its random numbers; please report it, and release nothing before.",
        )


@dataclass(frozen=True)
class Charge:
    """Who pays, and for whom the ledger keeps the entry.

    Args:
        population: Population whose budget is charged.
        unit: Unit of privacy in words: `table.column`, or "row".
        budget_epsilon: Budget of the population, as its configuration declares it.
        budget_delta: Likewise.
        label: Dataset and asset.
        run_id: The run.
        attempt: Its attempt, from 0.
        data_version: Content hash of what is read.
        per_release: Largest epsilon of one release, as its configuration declares it.
        per_dataset: Largest epsilon of all releases of one dataset, likewise.
        keep_budget: Leave the population's budget as it is where it has one (a bare file declares none).
        alone: Nobody else may read for this label now, since the run holds the lease of its dataset: what earlier runs left open under
            it is closed, and counts in full where they had begun to read.
    """

    population: str
    unit: str
    budget_epsilon: float
    budget_delta: float
    label: str
    run_id: str
    attempt: int
    data_version: str
    per_release: float | None = None
    per_dataset: float | None = None
    keep_budget: bool = False
    alone: bool = False


def measure_charged(
    spec: ReleaseSpec,
    *,
    epsilon: float,
    delta: float,
    charge: Charge,
    ledger: BudgetLedger,
    engine: Engine,
    out: Path,
    noise: NoiseSource | None = None,
    repetitions: int = REPETITIONS,
    prepared: Prepared | None = None,
) -> PrivacyReport:
    """Measure a release under differential privacy and write the noisy tables.

    Args:
        spec: Tables, unit and target.
        epsilon: Total epsilon of this release.
        delta: Its delta.
        charge: Who pays.
        ledger: The budget ledger.
        engine: The table engine.
        out: Folder for the measurements.
        noise: Source of the noise; the operating system's when None.
        repetitions: See `prepare`.
        prepared: What `prepare` gave for the same release; made here when None.

    Returns:
        The privacy report of the release.

    Raises:
        BudgetExceededError: the budget does not suffice. No data was read.
        CheckFailedError: the second accountant contradicts the first, or an attack contradicts the claim. No data was read.
        InputError: the population's budget counts another unit of privacy; or delta is at or above 1 / the noisy number of units,
            which is known, and charged, only after the measurement.
    """
    started = time.perf_counter()
    noise = noise or SystemNoise()
    prepared = prepared or prepare(spec, epsilon=epsilon, delta=delta, noise=noise, repetitions=repetitions)
    plan = prepared.plan
    require_passed(prepared.empirical)
    measured = spend(
        charge, ledger, plan.events, delta=delta, key=key_of(spec, charge, epsilon=epsilon, delta=delta), out=out,
        run=lambda gate: measure_release(plan, engine=engine, noise=noise, gate=gate),
    )  # fmt: skip
    require_small_delta(measured, delta)
    return privacy_report(
        MECHANISM, spec, plan, measured.events, prepared.empirical, charge, ledger, notes=plan.notes,
        seconds=time.perf_counter() - started,
    )  # fmt: skip


def spend(
    charge: Charge,
    ledger: BudgetLedger,
    events: Sequence[Event],
    *,
    delta: float,
    key: str,
    out: Path,
    run: Callable[[Callable[[], None]], Made],
) -> Made:
    """The one road to the data: reserve, run, write, settle.

    A fault before the first read gives the reservation back; one after it costs all of it, and so does a kill.

    Args:
        charge: Who pays.
        ledger: The budget ledger.
        events: All that may run.
        delta: Of the release.
        key: The measurement key.
        out: Folder for what is made.
        run: Reads and makes; calls what it is given before every read.

    Raises:
        BudgetExceededError: the budget does not suffice, and no data was read; or more ran than was planned.
        InputError: the population's budget counts another unit of privacy.
    """
    open_account(charge, ledger)
    reservation = ledger.reserve(
        charge.population,
        events=tuple(events),
        label=charge.label,
        measurement_key=key,
        run_id=charge.run_id,
        attempt=charge.attempt,
    )
    return read_under(reservation, ledger, events, delta=delta, out=out, run=run)


def open_account(charge: Charge, ledger: BudgetLedger) -> None:
    """Declare the budget of the population that pays, and close what dead attempts left open.

    Raises:
        InputError: the population's budget counts another unit of privacy.
    """
    if charge.keep_budget and charge.population in ledger.populations():
        _require_same_unit(ledger, charge)
    else:
        ledger.declare(
            charge.population,
            charge.unit,
            charge.budget_epsilon,
            charge.budget_delta,
            per_release=charge.per_release,
            per_dataset=charge.per_dataset,
        )
    if charge.alone:
        ledger.supersede(charge.population, charge.label, run_id=charge.run_id, attempt=charge.attempt)


def _require_same_unit(ledger: BudgetLedger, charge: Charge) -> None:
    """One row protects less than one person: what counts rows must not be charged to a budget of persons."""
    unit = ledger.status(charge.population).unit
    if unit != charge.unit:
        raise InputError(
            f"the budget of population {charge.population!r} counts {unit!r}, this release counts {charge.unit!r}.",
            key="population",
            remedy="Name another population, or run the dataset whose YAML declares that unit.",
        )


def require_small_delta(measured: ReleaseMeasurements, delta: float) -> None:
    """Publishing one whole record at random would satisfy a delta of 1 / n."""
    units = noisy_rows(measured.tables[measured.links.root])
    if delta * units >= 1:
        raise InputError(
            f"delta {delta:g} is not below 1 / n: about {units:.2g} units of privacy were measured. Nothing is released, "
            "but the measurement was charged.",
            key="delta",
            remedy=f"Set delta to {0.01 / units:.0e} or less.",
        )


def noisy_rows(measured: Measurements) -> float:
    """The number of rows that the noisy one-way tables of a table agree on best."""
    if not any(not c.given for c in measured.columns):
        return float(measured.rows or 0)
    return one_way(measured.columns, measured.ones, measured.blocks, measured.budget.sigma_one, measured.options).rows


def key_of(spec: ReleaseSpec, charge: Charge, *, epsilon: float, delta: float) -> str:
    """The measurement key: population, data version, domain, mechanism and parameters. The same key need not be measured twice."""
    return measurement_key(
        population=charge.population,
        data_version=charge.data_version,
        domain=spec_hash(spec),
        mechanism=f"{MECHANISM}/{MECHANISM_VERSION}",
        parameters={"epsilon": epsilon, "delta": delta},
    )


def spec_hash(spec: ReleaseSpec) -> str:
    """Hash of what a person declared: tables, columns, domain, unit and target; not where the files are."""
    return hash_parts(spec.model_dump_json(exclude={"tables": {"__all__": {"path"}}}))


class Planned(Protocol):
    """What a report needs of a plan."""

    @property
    def events(self) -> tuple[Event, ...]:
        """All that may run."""
        ...

    @property
    def epsilon(self) -> float:
        """What was asked for."""
        ...

    @property
    def delta(self) -> float:
        """Likewise."""
        ...

    @property
    def contribution_bounds(self) -> Mapping[str, int]:
        """Rows of one unit that are read, per table."""
        ...

    @property
    def non_dp_inputs(self) -> tuple[str, ...]:
        """What was taken from the data without noise."""
        ...


def privacy_report(
    mechanism: str,
    spec: ReleaseSpec,
    plan: Planned,
    ran: tuple[Event, ...],
    empirical: EmpiricalCheck,
    charge: Charge,
    ledger: BudgetLedger,
    *,
    notes: Sequence[str],
    seconds: float,
) -> PrivacyReport:
    """The claim is the cost of the plan: how many of its steps ran may depend on noisy results, so less would not be sound."""
    cost = spent(plan.events, plan.delta)
    status = ledger.status(charge.population)
    level = level_of(plan.epsilon)  # of what was asked for, which is a little more than what it costs
    return PrivacyReport(
        mechanism=mechanism,
        population=charge.population,
        unit=charge.unit,
        unit_is_declared=spec.unit is not None,
        contribution_bounds=dict(plan.contribution_bounds),
        target_epsilon=plan.epsilon,
        target_delta=plan.delta,
        spent=cost,
        crosscheck=verify(plan.events, cost),
        events=ran,
        level=level.name,
        use_case=level.use_case,
        budget_epsilon=status.epsilon,
        budget_left=status.left,
        reservation_id=next(r.reservation_id for r in reversed(status.releases) if r.run_id == charge.run_id),
        ledger_head=status.ledger_head,
        steps=sum(e.count for e in ran),
        epsilon_lower_bound=empirical.epsilon_lower,
        empirical=empirical,
        non_dp_inputs=tuple(plan.non_dp_inputs),
        notes=tuple(notes),
        seconds=round(seconds, 3),
    )
