"""A network trained by DP-SGD, charged: plan, second opinion, reserve, measure and train, settle, report.

What belongs here: the order of these. What does not: the training (dpsgd/). As in charged.py the plan is verified by the second
accountant and reserved before the first read, and a crash in between leaves the reservation counted in full, and no model.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from synth_assets.privacy.accounting import spent
from synth_assets.privacy.budget import BudgetLedger, measurement_key
from synth_assets.privacy.crosscheck import verify
from synth_assets.privacy.empirical.noise import REPETITIONS
from synth_assets.privacy.empirical.records import EmpiricalCheck
from synth_assets.privacy.levels import level_of
from synth_assets.privacy.mechanisms import StepNoise, SystemNoise
from synth_assets.privacy.records import Reservation
from synth_assets.privacy.report import PrivacyReport
from synth_assets.storage.hashing import hash_folder
from synth_assets.synthesis.charged import (
    Charge,
    open_account,
    require_passed,
    require_planned,
    require_small_delta,
    spec_hash,
)
from synth_assets.synthesis.dpsgd.options import Method, TrainingOptions
from synth_assets.synthesis.dpsgd.plan import TrainingPlan, plan_training
from synth_assets.synthesis.dpsgd.train import Training, train
from synth_assets.synthesis.empirical_training import attack_training
from synth_assets.synthesis.protocol import ReleaseSpec
from synth_assets.tables.engine import Engine

VERSION = "1"


@dataclass(frozen=True)
class TrainingJob:
    """What to train.

    Args:
        method: Name of the synthesizer.
        spec: One table, unit and target.
        epsilon: Total epsilon of this release.
        delta: Its delta.
        options: Numbers of the training.
        seed: Of initial weights and of the warm start.
    """

    method: Method
    spec: ReleaseSpec
    epsilon: float
    delta: float
    options: TrainingOptions
    seed: int


@dataclass(frozen=True)
class PreparedTraining:
    """A plan that the second accountant has accepted, and what attacks on it have shown. No data was read.

    Args:
        plan: What will run.
        empirical: The verdict of the attacks; a release needs one that passed.
    """

    plan: TrainingPlan
    empirical: EmpiricalCheck


def planned(job: TrainingJob) -> TrainingPlan:
    """The plan of a job; the same each time.

    Raises:
        ConfigError: the release has several tables.
    """
    return plan_training(job.spec, method=job.method, epsilon=job.epsilon, delta=job.delta, options=job.options)


def prepare_training(
    job: TrainingJob, *, noise: StepNoise | None = None, repetitions: int = REPETITIONS
) -> PreparedTraining:
    """Plan a training, verify its cost and attack its mechanisms, from public facts alone.

    Args:
        job: What to train.
        noise: Source of the noise; the operating system's when None.
        repetitions: Of the attacks, see `attack_training`.

    Raises:
        CheckFailedError: the second accountant contradicts the first.
        ConfigError: the release has several tables.
        InputError: too few repetitions.
    """
    plan = planned(job)
    verify(plan.events, spent(plan.events, job.delta))
    return PreparedTraining(plan, attack_training(plan, noise or SystemNoise(), repetitions=repetitions))


def train_charged(
    job: TrainingJob,
    *,
    charge: Charge,
    ledger: BudgetLedger,
    engine: Engine,
    out: Path,
    noise: StepNoise | None = None,
    progress: Callable[[str, float], None] | None = None,
    repetitions: int = REPETITIONS,
    prepared: PreparedTraining | None = None,
) -> PrivacyReport:
    """Train under differential privacy and write the model.

    Args:
        job: What to train.
        charge: Who pays.
        ledger: The budget ledger.
        engine: The table engine.
        out: Folder for the model.
        noise: Source of the noise; the operating system's when None.
        progress: Called with what is being done and the fraction done.
        repetitions: See `prepare_training`.
        prepared: What `prepare_training` gave for the same job; made here when None.

    Returns:
        The privacy report of the model.

    Raises:
        BudgetExceededError: the budget does not suffice. No data was read.
        CheckFailedError: the second accountant contradicts the first, or an attack contradicts the claim. No data was read.
        ConfigError: the release has several tables. No data was read.
        InputError: the population's budget counts another unit of privacy; or delta is at or above 1 / the noisy number of units,
            which is known, and charged, only after the measurement.
    """
    started = time.perf_counter()
    noise = noise or SystemNoise()
    prepared = prepared or prepare_training(job, noise=noise, repetitions=repetitions)
    plan = prepared.plan
    require_passed(prepared.empirical)
    open_account(charge, ledger)
    reservation = ledger.reserve(
        charge.population,
        events=plan.events,
        label=charge.label,
        measurement_key=training_key(job, charge),
        run_id=charge.run_id,
        attempt=charge.attempt,
    )
    done = _trained(job, plan, reservation, ledger, engine, noise, out, progress)
    ledger.settle(reservation, plan.events, reference=hash_folder(out))
    require_small_delta(done.measured, job.delta)
    return _report(job, prepared, done, charge, ledger, time.perf_counter() - started)


def training_key(job: TrainingJob, charge: Charge) -> str:
    """Population, data version, domain, method and its numbers. The seed is no part of it: another one is no reason to pay again."""
    return measurement_key(
        population=charge.population,
        data_version=charge.data_version,
        domain=spec_hash(job.spec),
        mechanism=f"{job.method}/{VERSION}",
        parameters={
            "epsilon": job.epsilon,
            "delta": job.delta,
            **job.options.model_dump(mode="json", exclude_none=True),
        },
    )


def _trained(
    job: TrainingJob,
    plan: TrainingPlan,
    reservation: Reservation,
    ledger: BudgetLedger,
    engine: Engine,
    noise: StepNoise,
    out: Path,
    progress: Callable[[str, float], None] | None,
) -> Training:
    """Train under an open reservation. A fault before the first read gives it back, one after it costs all of it."""
    reading = False

    def gate() -> None:
        nonlocal reading
        ledger.begin_reading(reservation)
        reading = True

    try:
        done = train(plan, engine=engine, noise=noise, gate=gate, seed=job.seed, progress=progress)
        require_planned(plan.events, done.events, plan.delta, reservation.label)
        done.model.save(out)
    except Exception:
        if reading:
            ledger.settle(reservation, (), "failed")
        else:
            ledger.release_unread(reservation)
        raise
    return done


def _report(
    job: TrainingJob, prepared: PreparedTraining, done: Training, charge: Charge, ledger: BudgetLedger, seconds: float
) -> PrivacyReport:
    plan = prepared.plan
    cost = spent(plan.events, plan.delta)
    status = ledger.status(charge.population)
    level = level_of(plan.epsilon)
    return PrivacyReport(
        mechanism=job.method,
        population=charge.population,
        unit=charge.unit,
        unit_is_declared=job.spec.unit is not None,
        contribution_bounds=dict(plan.tables.contribution_bounds),
        target_epsilon=plan.epsilon,
        target_delta=plan.delta,
        spent=cost,
        crosscheck=verify(plan.events, cost),
        events=done.events,
        level=level.name,
        use_case=level.use_case,
        budget_epsilon=status.epsilon,
        budget_left=status.left,
        ledger_head=status.ledger_head,
        sampling_rate=plan.steps.sampling_rate,
        clipping=plan.options.clip,
        steps=sum(e.count for e in done.events),
        epsilon_lower_bound=prepared.empirical.epsilon_lower,
        empirical=prepared.empirical,
        non_dp_inputs=tuple(plan.tables.non_dp_inputs),
        notes=plan.notes,
        seconds=round(seconds, 3),
    )
