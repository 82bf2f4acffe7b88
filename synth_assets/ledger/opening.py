"""Opens the audit ledger of a home: in the database of the budgets, so that both can be written in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from synth_assets.config.runtime import Settings
from synth_assets.ledger.actors import Actors
from synth_assets.ledger.audit import AuditLedger
from synth_assets.ledger.backends import LedgerStore, open_ledger_store
from synth_assets.ledger.signing import Signer
from synth_assets.storage.secrets import signing_key


def open_audit_ledger(settings: Settings, store: LedgerStore | None = None) -> AuditLedger:
    """The audit ledger of a home, made on first use.

    Args:
        settings: Of the home.
        store: The opened database of its ledgers; opened here when None.

    Raises:
        ServiceUnavailableError: the database does not answer.
        ConfigError: a newer version of the package wrote it.
    """
    opened = store or open_ledger_store(settings.ledger_location)
    return AuditLedger(opened, key_of(settings.keys_folder), Actors(settings.actors_location), settings.project)


def key_of(folder: Path) -> Callable[[str | None], Signer]:
    """What gives the signing key, read once."""
    read: dict[str, Signer] = {}

    def signer(last: str | None) -> Signer:
        """The key; made where the ledger is new."""
        if "key" not in read or last not in {None, read["key"].key_id}:
            read["key"] = Signer(signing_key(folder, make=last is None))
        return read["key"]

    return signer
