"""The budget ledger among processes: races, kills and restarts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from synth_assets.errors import BudgetExceededError
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.privacy.accounting import adaptive_epsilon
from synth_assets.privacy.budget import BudgetLedger
from synth_assets.privacy.records import GaussianEvent

DELTA = 1e-5
EVENTS = (GaussianEvent(sigma=4.0),)  # epsilon 0.929; two of them 1.35, three 1.69

HOLDER = """
import sys, time
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.privacy.budget import BudgetLedger
from synth_assets.privacy.records import GaussianEvent
ledger = BudgetLedger(open_ledger_store(sys.argv[1]))
held = ledger.reserve("clinic", events=[GaussianEvent(sigma=4.0)], label="x", measurement_key="d" * 64, run_id="run-1", attempt=0)
if sys.argv[2] == "reading":
    ledger.begin_reading(held)
sys.stdout.write("held\\n"); sys.stdout.flush()
time.sleep(120)
"""


def compete(location: str, number: int, folder: Path) -> bool:
    """Try to reserve when everybody is ready; whether it was granted."""
    ledger = BudgetLedger(open_ledger_store(location))
    (folder / f"ready-{number}").touch()
    while len(list(folder.glob("ready-*"))) < 3:
        time.sleep(0.001)
    try:
        ledger.reserve(
            "clinic", events=EVENTS, label="x", measurement_key=f"{number:064x}", run_id=f"run-{number}", attempt=0
        )
    except BudgetExceededError:
        return False
    return True


def test_of_the_processes_that_compete_for_the_last_of_a_budget_exactly_one_wins(location: str, tmp_path: Path) -> None:
    ledger = BudgetLedger(open_ledger_store(location))
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        for round_, epsilon in enumerate((1.2, 1.5, 1.8)):  # each time there is room for one more
            ledger.declare("clinic", "row", epsilon, DELTA)
            folder = tmp_path / f"round-{round_}"
            folder.mkdir()
            jobs = [pool.submit(compete, location, 10 * round_ + number, folder) for number in range(3)]
            assert sorted(job.result(timeout=60) for job in jobs) == [False, False, True]
            assert len(ledger.status("clinic").releases) == round_ + 1


CROWD = 20


def spend(location: str, number: int, folder: Path) -> int:
    """Release again and again until the budget is gone, beside everybody else; how many releases were granted."""
    ledger = BudgetLedger(open_ledger_store(location))
    (folder / f"ready-{number}").touch()
    while len(list(folder.glob("ready-*"))) < CROWD:
        time.sleep(0.01)
    for turn in range(10):
        key = f"{100 * number + turn:064x}"
        try:
            held = ledger.reserve(
                "clinic", events=EVENTS, label="x", measurement_key=key, run_id=f"run-{number}", attempt=turn
            )
        except BudgetExceededError:
            return turn
        if number % 4:  # every fourth process "dies" with an open reservation each time
            ledger.settle(ledger.begin_reading(held), EVENTS, "failed" if number % 4 == 1 else "done")
    return 10


def test_twenty_processes_at_once_never_overspend_and_leave_a_whole_ledger(location: str, tmp_path: Path) -> None:
    room = next(n for n in range(1, 99) if adaptive_epsilon([EVENTS] * (n + 1), DELTA) > 4.0)
    ledger = BudgetLedger(open_ledger_store(location))
    ledger.declare("clinic", "row", 4.0, DELTA)
    ledger.declare("shop", "row", 4.0, DELTA)
    context: ForkServerContext = get_context("forkserver")
    context.set_forkserver_preload([__name__, "scipy.special", "sqlalchemy.dialects.postgresql.psycopg2"])
    with ProcessPoolExecutor(CROWD, mp_context=context) as pool:
        jobs = [pool.submit(spend, location, number, tmp_path) for number in range(CROWD)]
        granted = sum(job.result(timeout=300) for job in jobs)
    status = ledger.status("clinic")
    assert granted == len(status.releases) == room
    assert status.spent + status.reserved <= 4.0
    assert not status.overspent
    with pytest.raises(BudgetExceededError):
        ledger.reserve("clinic", events=EVENTS, label="x", measurement_key="f" * 64, run_id="late", attempt=0)
    assert ledger.verify().whole


@pytest.mark.parametrize("state", ["reserved", "reading"])
def test_a_killed_run_stays_counted_in_full(location: str, state: str) -> None:
    ledger = BudgetLedger(open_ledger_store(location))
    ledger.declare("clinic", "row", 1.2, DELTA)
    process = subprocess.Popen([sys.executable, "-c", HOLDER, location, state], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    restarted = BudgetLedger(open_ledger_store(location))
    status = restarted.status("clinic")
    assert [release.state for release in status.releases] == [state]
    assert status.reserved == pytest.approx(0.929, abs=0.001)
    with pytest.raises(BudgetExceededError):
        restarted.reserve("clinic", events=EVENTS, label="x", measurement_key="e" * 64, run_id="run-2", attempt=0)
    assert len(restarted.supersede("clinic", "x", run_id="run-2", attempt=0)) == 1
    after = restarted.status("clinic")
    assert [(r.state, r.outcome) for r in after.releases] == [
        ("released", None) if state == "reserved" else ("settled", "failed")
    ]
    assert after.spent == (0 if state == "reserved" else status.reserved)
    assert restarted.verify().whole
