"""Opens the audit ledger of a home: in the database of the budgets, so that both can be written in one transaction."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from synth_assets.config.runtime import Settings
from synth_assets.errors import ConfigError
from synth_assets.ledger.actors import Actors
from synth_assets.ledger.audit import AuditLedger
from synth_assets.ledger.backends import LedgerStore
from synth_assets.ledger.began import NOTE, Beginning
from synth_assets.ledger.heads import Head
from synth_assets.ledger.place import open_store_of
from synth_assets.ledger.signing import Signer
from synth_assets.storage.atomic import fsync_folder
from synth_assets.storage.secrets import EARLIER_VARIABLE, SIGNING_PLACES, earlier_signing_key, make_key, signing_key

NEXT = "ledger.key.next"


def open_audit_ledger(settings: Settings, store: LedgerStore | None = None) -> AuditLedger:
    """The audit ledger of a home, made on first use.

    Args:
        settings: Of the home.
        store: The opened database of its ledgers; opened here when None.

    Raises:
        ServiceUnavailableError: the database does not answer.
        ConfigError: a newer version of the package wrote it.
    """
    opened = store or open_store_of(settings)
    actors = Actors(settings.actors_location)
    return AuditLedger(opened, key_of(settings.keys_folder), actors, settings.project, beginning_of(settings))


def beginning_of(settings: Settings) -> Beginning:
    """Where the first entry of a home's ledger is noted."""
    return Beginning(settings.var / "ledger" / NOTE)


def key_of(folder: Path) -> Callable[[str | None], Signer]:
    """What gives the signing key; it is read again where the ledger was signed with another one since."""
    read: dict[str, Signer] = {}

    def signer(last: str | None) -> Signer:
        """The key; made where the ledger is new."""
        if "key" not in read or last not in {None, read["key"].key_id}:
            _finish_rotation(folder, last)
            read["key"] = Signer(signing_key(folder, make=last is None))
        return read["key"]

    return signer


def rotate_key(settings: Settings, *, lost: bool = False) -> Head:
    """Sign with a new key from here on: a fresh one in `var/keys`, or the one that the environment holds now.

    Args:
        settings: Of the home.
        lost: Whether the earlier key is gone; every later check tells that it did not consent.

    Raises:
        ConfigError: the earlier key is not here.
        CheckFailedError: the end of the ledger is not the one that was signed.
    """
    folder, ledger = settings.keys_folder, open_audit_ledger(settings)
    if any(os.environ.get(place) is not None for place in SIGNING_PLACES):
        key = None if lost else earlier_signing_key()
        if key is None and not lost:
            raise ConfigError(
                "the environment holds the new key of the audit ledger, and not the one that signed before.",
                key=EARLIER_VARIABLE,
                remedy="Set it to the earlier key for this command, or say --lost-key.",
            )
        return ledger.rotate(Signer(signing_key(folder, make=False)), None if key is None else Signer(key))
    before = None if lost else Signer(signing_key(folder, make=False))
    coming = folder / NEXT
    coming.unlink(missing_ok=True)
    make_key(coming)
    new = Signer(signing_key(folder, own=NEXT))
    head = ledger.rotate(new, before)
    _finish_rotation(folder, new.key_id)
    return head


def _finish_rotation(folder: Path, last: str | None) -> None:
    """Put the next key in its place where the ledger is signed with it; a crash may have come between the two."""
    coming = folder / NEXT
    if last is not None and coming.is_file() and Signer(signing_key(folder, own=NEXT)).key_id == last:
        coming.replace(folder / "ledger.key")
        fsync_folder(folder)
