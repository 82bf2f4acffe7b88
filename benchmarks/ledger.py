"""CPU milliseconds of a reservation in a budget ledger of many rows, and of its full check. SQLite, a temporary folder.

python benchmarks/ledger.py [--rows 10,10000,100000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path[:] = [
    p for p in sys.path if Path(p or ".").resolve() != Path(__file__).parent
]  # profile.py here is not Python's


def filled(folder: Path, count: int, populations: int):
    """A ledger of so many rows: releases of three rows each, over all populations in turn."""
    from synth_assets.ledger.backends import open_ledger_store
    from synth_assets.privacy import budget_rows as rows
    from synth_assets.privacy.budget import BudgetLedger

    store = open_ledger_store(f"sqlite:///{folder / 'budget.db'}")
    ledger = BudgetLedger(store)
    with store.writing("filling") as connection:
        for i in range(populations):
            rows.append(connection, "declare", f"p{i}", rows.Declaration("row", 1000.0, 1e-3))
        for i in range((count - populations) // 3):
            at = rows.now()
            held = rows.Held(
                uuid.uuid4().hex, f"p{i % populations}", "row", "ds/a", f"{i:064x}", "r", 0, rows.dump(EVENTS()), at, at
            )
            reading = rows.moved(held, state="reading")
            done = rows.moved(reading, state="settled", actual=rows.dump(EVENTS()), outcome="done")
            for step, said in (("reserve", held), ("read", reading), ("settle", done)):
                rows.append(connection, step, held.population, said)
    return ledger


def EVENTS():  # noqa: N802
    """The events of one release."""
    from synth_assets.privacy.records import ExponentialEvent, GaussianEvent

    return (
        GaussianEvent(sigma=200.0, count=40),
        GaussianEvent(sigma=90.0, count=30),
        ExponentialEvent(epsilon=0.02, count=30),
    )


def reserved(ledger) -> float:
    """CPU milliseconds of one reservation, which is given back."""
    start = time.process_time()
    key = uuid.uuid4().hex * 2
    held = ledger.reserve("p0", events=EVENTS(), label="ds/a", measurement_key=key, run_id="r", attempt=0)
    spent = time.process_time() - start
    ledger.release_unread(held)
    return 1000 * spent


def main() -> None:
    """Parse, fill, time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="10,10000,100000")
    for count in map(int, parser.parse_args().rows.split(",")):
        populations = max(1, count // 100)
        with tempfile.TemporaryDirectory() as folder:
            ledger = filled(Path(folder), count, populations)
            first, again = reserved(ledger), [reserved(ledger) for _ in range(4)]
            start = time.process_time()
            assert ledger.verify().whole
            full = time.process_time() - start
        print(
            f"{count:,} rows, {populations:,} populations: reservation {min(again):.1f} ms CPU "
            f"(the first, which checks all: {first:.0f}), full check {full:.2f} s CPU",
            flush=True,
        )


if __name__ == "__main__":
    main()
