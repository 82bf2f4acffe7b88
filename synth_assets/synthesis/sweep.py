"""Trials of dp_marginals over epsilon: all of them are planned, attacked and reserved before the first one reads.

What belongs here: the order of these steps. What does not: one trial's road to the data (charged.py), scores (audit/sweep.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from synth_assets.privacy.budget import BudgetLedger
from synth_assets.privacy.empirical.noise import REPETITIONS
from synth_assets.privacy.mechanisms import NoiseSource, SystemNoise
from synth_assets.privacy.records import Event, Reservation
from synth_assets.privacy.report import PrivacyReport
from synth_assets.storage.hashing import hash_json
from synth_assets.synthesis.charged import (
    MECHANISM,
    Charge,
    Prepared,
    key_of,
    open_account,
    prepare,
    privacy_report,
    require_passed,
    require_small_delta,
)
from synth_assets.synthesis.protocol import ReleaseSpec
from synth_assets.synthesis.release import ReleaseMeasurements, measure_release
from synth_assets.synthesis.reserved import read_under
from synth_assets.tables.engine import Engine


@dataclass(frozen=True)
class Measured:
    """One trial whose noisy tables are there.

    Attributes:
        epsilon: That was asked for.
        release: Number of the trial at this epsilon, from 1.
        tables: The noisy tables.
        report: Its privacy report.
        planned: What was charged for it.
    """

    epsilon: float
    release: int
    tables: ReleaseMeasurements
    report: PrivacyReport
    planned: tuple[Event, ...]


def sweep_charged(
    spec: ReleaseSpec,
    *,
    epsilons: Sequence[float],
    releases: int,
    delta: float,
    charge: Charge,
    ledger: BudgetLedger,
    engine: Engine,
    out: Path,
    noise: NoiseSource | None = None,
    repetitions: int = REPETITIONS,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Measured]:
    """Measure every trial, one after the other. The budget is set aside for all of them before the first read, or for none.

    A trial that is never reached (a fault in an earlier one, a caller who stops) is given back; one that has read is counted in full.

    Args:
        spec: Tables, unit and target.
        epsilons: Of the trials.
        releases: Trials of each.
        delta: Of every trial.
        charge: Who pays.
        ledger: The budget ledger.
        engine: The table engine.
        out: Folder; one sub-folder per trial.
        noise: Source of the noise; the operating system's when None.
        repetitions: Of the attack on the noise of each epsilon.
        progress: Called with the name of each step as it begins.

    Raises:
        BudgetExceededError: the budget does not hold all trials. No data was read.
        CheckFailedError: the second accountant contradicts the first, or an attack contradicts a claim. No data was read.
    """
    noise = noise or SystemNoise()
    prepared: dict[float, Prepared] = {}
    for epsilon in epsilons:
        progress(f"attacking the plan of epsilon {epsilon:g}")
        prepared[epsilon] = prepare(spec, epsilon=epsilon, delta=delta, noise=noise, repetitions=repetitions)
        require_passed(prepared[epsilon].empirical)
    open_account(charge, ledger)
    trials = {
        hash_json([key_of(spec, charge, epsilon=e, delta=delta), "sweep", i]): (e, i)
        for e in epsilons
        for i in range(1, releases + 1)
    }
    held = ledger.reserve_sweep(
        charge.population,
        trials={key: prepared[e].plan.events for key, (e, _) in trials.items()},
        label=charge.label,
        run_id=charge.run_id,
        attempt=charge.attempt,
    )
    left = list(zip(held, trials.values(), strict=True))
    try:
        while left:
            reservation, (epsilon, release) = left.pop(0)
            progress(f"measuring epsilon {epsilon:g}, trial {release} of {releases}")
            folder = out / f"{len(left):04d}"
            yield _measured(
                spec, prepared[epsilon], reservation, (epsilon, release), charge, ledger, engine, folder, noise
            )
    finally:
        for reservation, _ in left:
            ledger.release_unread(reservation)


def _measured(
    spec: ReleaseSpec,
    prepared: Prepared,
    reservation: Reservation,
    trial: tuple[float, int],
    charge: Charge,
    ledger: BudgetLedger,
    engine: Engine,
    folder: Path,
    noise: NoiseSource,
) -> Measured:
    started, plan = time.perf_counter(), prepared.plan
    tables = read_under(
        reservation, ledger, plan.events, delta=plan.delta, out=folder,
        run=lambda gate: measure_release(plan, engine=engine, noise=noise, gate=gate),
    )  # fmt: skip
    require_small_delta(tables, plan.delta)
    report = privacy_report(
        MECHANISM, spec, plan, tables.events, prepared.empirical, charge, ledger, notes=plan.notes,
        seconds=time.perf_counter() - started,
    )  # fmt: skip
    named = report.model_copy(update={"reservation_id": reservation.reservation_id})
    return Measured(*trial, tables, named, tuple(plan.events))
