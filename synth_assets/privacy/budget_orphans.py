"""Reservations of runs that are over: closed at their full amount. Nothing is ever given back here."""

from __future__ import annotations

from collections.abc import Callable

from synth_assets.privacy import budget_rows as rows
from synth_assets.privacy.budget import BudgetLedger


class OrphanSettler(BudgetLedger):
    """Settles what a dead run has left open; the dead run, should a process of it live on, is refused from then on."""

    def settle_orphans(self, is_over: Callable[[str], bool], *, settler: str) -> tuple[str, ...]:
        """Take over every open reservation of a run that is over, and settle it as failed, with all that was planned.

        Args:
            is_over: Whether a run has ended, long enough ago; False for a run that nobody knows.
            settler: Who holds the reservation while it is closed, in place of a run.

        Returns:
            The reservations that were settled.
        """
        settled: list[str] = []
        for population in self.populations():
            with self._store.reading() as connection:
                found = rows.reservations(connection, population)
            if not any(h.state in rows.OPEN and is_over(h.run_id) for h in found):
                continue
            with self._writing(population) as connection:
                for held in rows.reservations(connection, population):
                    if held.state not in rows.OPEN or not is_over(held.run_id):
                        continue
                    fence = held.fence + 1
                    taken = self._move(connection, "take_over", held, run_id=settler, attempt=0, fence=fence)
                    if taken.state == "reserved":
                        taken = self._move(connection, "read", taken, state="reading")
                    said = {"state": "settled", "actual": taken.planned, "outcome": "failed", "reference": None}
                    self._move(connection, "settle", taken, **said)
                    settled.append(held.reservation_id)
        return tuple(settled)
