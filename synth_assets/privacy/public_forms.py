"""How many public forms were made against a hold-out: counted durably, since each one tells a little more of the held-out people.

What belongs here: the count. What does not: how many are too many (a gate of the audit), and what a form says. A form is known by its
content: made again, or read again, it is the same form and counts once.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from synth_assets.config.runtime import Settings
from synth_assets.ledger.audit import Action, AuditEvent, AuditLedger, identifier
from synth_assets.ledger.backends import LedgerStore
from synth_assets.ledger.chain import now
from synth_assets.ledger.events import Detail
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.ledger.place import open_store_of
from synth_assets.ledger.snapshot import present

LEDGER = "public_forms"
_FORMAT_1 = """CREATE TABLE public_forms (
    holdout VARCHAR(64) NOT NULL, form VARCHAR(64) NOT NULL, number INTEGER NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (holdout, form))"""


def _format_1(connection: Connection) -> None:
    connection.execute(text(_FORMAT_1))


MIGRATIONS = (_format_1,)


@dataclass(frozen=True)
class PublicForm:
    """One public form of an audit, or of one trial of a sweep.

    Args:
        holdout: Which hold-out it was made against, as a hash.
        form: Its content, as a hash.
        resource: What was audited: `dataset/asset`, or a name for tables outside the chain.
        dataset: The dataset, where there is one.
        run_id: The run, where there is one.
    """

    holdout: str
    form: str
    resource: str
    dataset: str | None = None
    run_id: str | None = None


def open_public_forms(settings: Settings) -> PublicForms:
    """The count of a home, made on first use.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    store = open_store_of(settings)
    return PublicForms(store, open_audit_ledger(settings, store))


def counted_forms(store: LedgerStore) -> frozenset[tuple[str, str]]:
    """Hold-out and form of everything that was counted; each is in an entry of the audit ledger, written in the same transaction."""
    with store.reading() as connection:
        if not present(connection, [LEDGER]):
            return frozenset()
        found = connection.execute(text("SELECT holdout, form FROM public_forms"))
        return frozenset((str(row.holdout), str(row.form)) for row in found)


class PublicForms:
    """The count of one installation.

    Args:
        store: Database of its ledgers.
        ledger: The audit ledger in the same database; every new form is an event of it.
    """

    def __init__(self, store: LedgerStore, ledger: AuditLedger) -> None:
        self._store, self._ledger = store, ledger
        store.prepare(LEDGER, MIGRATIONS)

    def issue(self, form: PublicForm) -> int:
        """Count a form before it is shown to anybody.

        Args:
            form: The form.

        Returns:
            Its number among the forms that were made against this hold-out, from 1; a known form keeps its number.

        Raises:
            ServiceUnavailableError: the database does not answer; the form must not be shown then.
        """
        key = {"holdout": form.holdout, "form": form.form}
        with self._store.writing(f"public forms {form.holdout}") as connection:
            known = connection.execute(
                text("SELECT number FROM public_forms WHERE holdout = :holdout AND form = :form"), key
            ).scalar()
            if known is not None:
                return int(known)
            number = self._count(connection, form.holdout) + 1
            connection.execute(
                text("INSERT INTO public_forms VALUES (:holdout, :form, :number, :at)"),
                {**key, "number": number, "at": now()},
            )
            details: dict[str, Detail] = {"holdout": form.holdout, "form": form.form, "number": number}
            event = AuditEvent(
                Action.AUDITED, identifier(form.resource), dataset=form.dataset, run_id=form.run_id, details=details
            )
            self._ledger.record(event, connection)
            return number

    def count(self, holdout: str) -> int:
        """Forms that were made against a hold-out so far."""
        with self._store.reading() as connection:
            return self._count(connection, holdout)

    @staticmethod
    def _count(connection: Connection, holdout: str) -> int:
        found = connection.execute(
            text("SELECT COUNT(*) FROM public_forms WHERE holdout = :holdout"), {"holdout": holdout}
        )
        return int(found.scalar() or 0)
