"""A network trained by DP-SGD, charged: plan, second opinion, reserve, measure and train, settle, report.

What belongs here: the order of these. What does not: the training (dpsgd/), and reservations (charged.py). The plan is verified by the
second accountant and reserved before the first read, and a crash in between leaves the reservation counted in full, and no model.
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
from synth_assets.privacy.mechanisms import StepNoise, SystemNoise
from synth_assets.privacy.report import PrivacyReport
from synth_assets.synthesis.canaries_training import attack_sample, judge_run
from synth_assets.synthesis.charged import (
    Charge,
    privacy_report,
    require_passed,
    require_small_delta,
    spec_hash,
    spend,
)
from synth_assets.synthesis.dpsgd.options import Method, TrainingOptions
from synth_assets.synthesis.dpsgd.plan import TrainingPlan, plan_training
from synth_assets.synthesis.dpsgd.train import train
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
        The privacy report of the model, with the attacks on its canaries: a caller releases nothing where one of them did not pass.

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
    done = spend(
        charge, ledger, plan.events, delta=job.delta, key=training_key(job, charge), out=out,
        run=lambda gate: train(plan, engine=engine, noise=noise, gate=gate, seed=job.seed, progress=progress),
    )  # fmt: skip
    require_small_delta(done.measured, job.delta)
    canaries = (judge_run(done.canaries, plan), attack_sample(done.model, plan, seed=job.seed, noise=noise))
    report = privacy_report(
        job.method, job.spec, plan, done.events, prepared.empirical, charge, ledger, notes=plan.notes,
        seconds=time.perf_counter() - started,
    )  # fmt: skip
    return report.model_copy(
        update={"sampling_rate": plan.steps.sampling_rate, "clipping": plan.options.clip, "canaries": canaries}
    )


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
