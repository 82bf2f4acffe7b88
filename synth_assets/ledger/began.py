"""That an audit ledger has begun in a home: its first entry, noted in a file beside the database.

What belongs here: the note, and whether the ledger still has that entry. What does not: the check of the entries (verifying.py).
Without the note a ledger of which everything was deleted would look like one that never began.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from sqlalchemy import Connection

from synth_assets.ledger.backends import LedgerStore
from synth_assets.ledger.chain import HashChain
from synth_assets.storage import atomic

NOTE = "audit_began.json"
FIRST = 1


class Beginning:
    """The note of one home.

    Args:
        file: Where it lies.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._noted = False

    @property
    def is_noted(self) -> bool:
        """Whether a ledger has begun here."""
        return self._file.is_file()

    def note(self, store: LedgerStore, chain: HashChain) -> None:
        """Keep the first entry, once it is durable; a note that is there stays as it is."""
        if self._noted:
            return
        self._noted = self.is_noted
        if not self._noted:
            with store.reading() as connection:
                first = chain.at(connection, FIRST)
            if first is not None:
                with contextlib.suppress(OSError):  # who only looks may have no right to write
                    atomic.private_folder(self._file.parent)
                    atomic.write_text(self._file, json.dumps({"at": first.at, "hash": first.hash}))
                self._noted = True

    def lost(self, connection: Connection, chain: HashChain) -> str | None:
        """What became of the ledger that began here, where it is not the present one."""
        if not self.is_noted:
            return None
        try:
            said = json.loads(self._file.read_bytes())
            at, hashed = str(said["at"])[:19], said["hash"]
        except (ValueError, KeyError, TypeError):
            return f"the note of its first entry ({NOTE}) cannot be read: it is not what was written"
        first = chain.at(connection, FIRST)
        if first is None:
            return f"the ledger began {at}, and its first entry is gone: entries were deleted"
        return (
            None if first.hash == hashed else f"it is not the ledger that began {at}: that one was replaced by another"
        )
