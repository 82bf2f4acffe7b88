"""A step that reads under a reservation: a fault before the first read gives it back, one after it costs all of it, and so does a kill.

What belongs here: the life of a reservation around one reading step. What does not: who pays and the report (charged.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from synth_assets.errors import BudgetExceededError
from synth_assets.privacy.accounting import covers
from synth_assets.privacy.budget import BudgetLedger
from synth_assets.privacy.records import Event, Reservation
from synth_assets.storage.hashing import hash_folder


class Ran(Protocol):
    """What a charged step leaves behind."""

    @property
    def events(self) -> tuple[Event, ...]:
        """The mechanisms that ran."""
        ...

    def save(self, folder: Path) -> None:
        """Write what is released."""
        ...


Made = TypeVar("Made", bound=Ran)


def read_under(
    reservation: Reservation,
    ledger: BudgetLedger,
    events: Sequence[Event],
    *,
    delta: float,
    out: Path,
    run: Callable[[Callable[[], None]], Made],
) -> Made:
    """Run, write and settle under a reservation.

    Args:
        reservation: Not read yet.
        ledger: The budget ledger.
        events: All that may run.
        delta: Of the release.
        out: Folder for what is made.
        run: Reads and makes; calls what it is given before every read.

    Raises:
        BudgetExceededError: more ran than was planned.
    """
    reading = False

    def gate() -> None:
        nonlocal reading
        ledger.begin_reading(reservation)
        reading = True

    try:
        made = run(gate)
        require_planned(events, made.events, delta, reservation.label)
        made.save(out)
    except Exception:
        if reading:
            ledger.settle(reservation, (), "failed")
        else:
            ledger.release_unread(reservation)
        raise
    ledger.settle(reservation, tuple(events), reference=hash_folder(out))
    return made


def require_planned(planned: Sequence[Event], ran: Sequence[Event], delta: float, label: str) -> None:
    """What ran must cost no more than what was reserved.

    Raises:
        BudgetExceededError: it costs more.
    """
    if not covers(planned, ran, delta):
        raise BudgetExceededError(
            f"{label}: more ran than was planned; the result is thrown away.",
            key="budget.epsilon",
            remedy="This is a fault of the mechanism's plan; please report it.",
        )
