"""The budget ledger for those who only look: where populations stand, how they came there, and whether the log is whole.

What belongs here: reading. What does not: reserving and settling (budget.py), which is the power to spend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from synth_assets.errors import ConfigError
from synth_assets.ledger.backends import LedgerStore
from synth_assets.privacy import budget_rows as rows
from synth_assets.privacy.budget_audit import audited
from synth_assets.privacy.budget_checked import contradicted
from synth_assets.privacy.budget_formats import MIGRATIONS
from synth_assets.privacy.budget_rules import counted, preview, settlement_of, status_of, together
from synth_assets.privacy.records import (
    BudgetPoint,
    BudgetPreview,
    BudgetStatus,
    Event,
    LedgerVerdict,
    ReleaseVerdict,
    Settlement,
)
from synth_assets.privacy.report import PrivacyReport


class BudgetView:
    """Budgets of all populations in one durable store, to look at.

    Args:
        store: Where the ledger lives; an older format is brought to the newest.
    """

    def __init__(self, store: LedgerStore) -> None:
        self._store = store
        store.prepare("budget", MIGRATIONS)

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever declared here; artifacts without their ledger are an error, never a fresh start."""
        with self._store.reading() as connection:
            return not rows.populations(connection)

    def find(self, measurement_key: str) -> Settlement | None:
        """The newest finished measurement with this key: it is used again, and nothing is spent."""
        with self._store.reading() as connection:
            done = [r for r in rows.by_key(connection, measurement_key) if r.state == "settled" and r.outcome == "done"]
            return settlement_of(done[-1]) if done else None

    def populations(self) -> tuple[str, ...]:
        """Every population with a budget, by name."""
        with self._store.reading() as connection:
            return rows.populations(connection)

    def status(self, population: str) -> BudgetStatus:
        """Budget, what is spent and reserved, what is left, and every release.

        Raises:
            ConfigError: the population has no budget.
        """
        with self._store.reading() as connection:
            budget = declared(connection, population)
            found = rows.reservations(connection, population)
            head = rows.head(connection)
        return status_of(population, budget, found, head)

    def history(self, population: str) -> tuple[BudgetPoint, ...]:
        """What was counted after each reservation, in order of time; what was given back counts nothing.

        Raises:
            ConfigError: the population has no budget.
        """
        with self._store.reading() as connection:
            budget = declared(connection, population)
            found = [h for h in rows.reservations(connection, population) if h.state != "released"]
        groups = counted(found)
        return tuple(
            BudgetPoint(
                at=held.reserved_at, label=held.label, state=held.state, counted=together(groups[: i + 1], budget.delta)
            )
            for i, held in enumerate(found)
        )

    def preview(
        self, population: str, budget: rows.Declaration, releases: Mapping[str, tuple[Event, ...]]
    ) -> BudgetPreview:
        """What releases would do to a budget if all of them were made now; nothing is written.

        Args:
            population: Whose budget; it need not be declared yet.
            budget: As the configuration declares it.
            releases: `dataset/asset` -> events.
        """
        with self._store.reading() as connection:
            found = rows.reservations(connection, population)
        return preview(population, budget, found, releases)

    def verify(self, heads: Iterable[str] = ()) -> LedgerVerdict:
        """Whether the ledger is what was written, as far as it can tell by itself and by heads that were kept elsewhere.

        Args:
            heads: Hashes that `status` or an earlier verdict gave, from reports, from Dagster, from paper.

        Returns:
            The first broken row, if there is one, and the heads that the ledger does not know.
        """
        kept = sorted(set(heads))
        with self._store.reading() as connection:
            fault = rows.broken(connection) or contradicted(connection)
            head = rows.head(connection)
            known = rows.hashes(connection, kept)
        missing = tuple(h for h in kept if h not in known)
        return LedgerVerdict(
            ledger=self._store.name,
            whole=fault is None and not missing,
            rows=head.position,
            head=head.hash,
            broken=fault,
            heads_found=len(kept) - len(missing),
            heads_missing=missing,
        )

    def row_hashes(self) -> dict[int, str]:
        """Number and hash of every row, as the log has them."""
        with self._store.reading() as connection:
            return rows.hashes_by_row(connection)

    def told_rows(self) -> tuple[int, ...]:
        """Numbers of the rows that the audit ledger must tell of."""
        with self._store.reading() as connection:
            return rows.told_rows(connection)

    def audit(self, reports: Mapping[str, PrivacyReport]) -> tuple[ReleaseVerdict, ...]:
        """Every counted release again, from its recorded events, by both accountants and beside its report's claim.

        Args:
            reports: Name of a release to its privacy report.
        """
        with self._store.reading() as connection:
            return audited(connection, reports)


def declared(connection: Connection, population: str) -> rows.Declaration:
    """The budget that holds.

    Raises:
        ConfigError: the population has none.
    """
    found = rows.last_declaration(connection, population)
    if found is None:
        raise ConfigError(
            f"population {population!r} has no privacy budget.",
            key="budget",
            remedy="Declare `budget: {epsilon, delta}` in its dataset.",
        )
    return found
