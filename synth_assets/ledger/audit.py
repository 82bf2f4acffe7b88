"""The audit ledger: append-only, chained by hashes, with an Ed25519-signed head: what happened, when, by whom, with which outcome.

What belongs here: writing. What does not: the form of an event (events.py), who is behind a name (actors.py), the check of the whole
ledger (verifying.py), and where it lives (opening.py). Nothing is written behind an end that is not the one that was signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

from sqlalchemy import Connection, text

from synth_assets.errors import CheckFailedError, ConfigError
from synth_assets.ledger import heads
from synth_assets.ledger.actors import Actors, process_user
from synth_assets.ledger.backends import LedgerStore
from synth_assets.ledger.began import Beginning
from synth_assets.ledger.chain import START, HashChain, Stored
from synth_assets.ledger.events import Action, AuditEvent, Outcome, identifier
from synth_assets.ledger.heads import Head
from synth_assets.ledger.signing import Signer

__all__ = ["Action", "AuditEvent", "AuditLedger", "Head", "Outcome", "identifier"]

AUDIT = "audit"
LOCK = f"chain {AUDIT}"  # taken after all other locks of a transaction
STATE = ("config_hash", "details", "outcome")


class AuditLedger:
    """The ledger of one installation.

    Args:
        store: Where it lives. Events of the same database may be recorded in the transaction of what they tell.
        signer: Gives the signing key; called when something is written, with the name of the key that signed last.
        actors: Who is behind a name.
        project: Name of the installation.
        began: Where its first entry is noted; None keeps no note.
    """

    def __init__(
        self,
        store: LedgerStore,
        signer: Callable[[str | None], Signer],
        actors: Actors,
        project: str = "default",
        began: Beginning | None = None,
    ) -> None:
        self.store, self.actors, self.project = store, actors, project
        self.chain = HashChain(store, AUDIT)
        self._signer = signer
        self._began = began
        self.note_beginning()

    def record(self, event: AuditEvent, connection: Connection | None = None) -> Head:
        """Write one event; it is durable when this returns, or when the given transaction ends.

        Args:
            event: What happened. With `once`, an event that is recorded already is not written again.
            connection: Of a transaction that writes to the same database, so that either both are there or neither.

        Returns:
            The signed head of the ledger; held outside, it shows later that nothing was cut off.

        Raises:
            CheckFailedError: the end of the ledger is not the one that was signed.
            ConfigError: the ledger was signed with another key than this installation has.
            ServiceUnavailableError: the database does not answer.
        """
        return self.record_all([event], connection)

    def record_all(self, events: Iterable[AuditEvent], connection: Connection | None = None) -> Head:
        """Write several events in one transaction: all or none. As `record`."""
        actor = self.actors.id_of(process_user())  # of its own database: before the lock is taken
        with self._transaction(connection) as own:
            head, signer = self._end(own, actor)
            for event in events:
                found = self._found(own, _once(event)) if event.once else None
                if found is None:
                    head = self._append(own, event, actor, signer, head)
        if connection is None:  # else it is not durable yet, and the next one notes it
            self.note_beginning()
        return head

    def record_changes(self, events: Iterable[AuditEvent]) -> None:
        """Write those events that say something else than the last ones of the same action and resource; the first ones as well.

        For states, such as the hash of a configuration. What counts is `config_hash`, `details` and `outcome`.
        """
        told = list(events)
        if self._changed(told):
            actor = self.actors.id_of(process_user())
            with self._transaction(None) as own:
                head, signer = self._end(own, actor)
                for event in told:
                    if self._differs(own, event):
                        head = self._append(own, event, actor, signer, head)
                        self._note(own, _state(event), head.position)

    def head(self) -> Head | None:
        """The signed head now; None of an empty ledger."""
        with self.store.reading() as connection:
            return heads.current(connection, self.chain)

    def lost(self) -> str | None:
        """What became of the ledger that began in this home, where it is not this one."""
        if self._began is None:
            return None
        with self.store.reading() as connection:
            return self._began.lost(connection, self.chain)

    def rotate(self, new: Signer, before: Signer | None) -> Head:
        """Go on with another key. The earlier public keys stay in the ledger, so that earlier heads can be checked.

        Args:
            new: The new key.
            before: The key so far, which signs the new one; None where it is lost, which every later check tells.
        """
        actor = self.actors.id_of(process_user())
        with self._transaction(None) as own:
            end, _ = self._end(own, actor, before or new, lost=before is None)
            consent = "" if before is None else before.sign(rotation(end, new.public))
            details = {"key": "ledger", "public": new.public, "replaces": end.key_id, "consent": consent or None}
            return self._append(own, AuditEvent(Action.KEY_ROTATED, "key/ledger", details=details), actor, new, end)

    def note_beginning(self) -> None:
        """Note the first entry in the home, once it is durable."""
        if self._began is not None:
            self._began.note(self.store, self.chain)

    def _transaction(self, connection: Connection | None) -> AbstractContextManager[Connection]:
        if connection is None:
            return self.store.writing(LOCK)
        self.store.lock(connection, LOCK)
        return nullcontext(connection)

    def _end(
        self, connection: Connection, actor: str, given: Signer | None = None, *, lost: bool = False
    ) -> tuple[Head, Signer]:
        """The signed head and the key to go on with; the first entry names the first key.

        Raises:
            CheckFailedError: the last entry is not the one that was signed.
            ConfigError: another key signed it.
        """
        head, last = heads.current(connection, self.chain), self.chain.last(connection)
        signer = given or self._signer(None if head is None else head.key_id)
        if head is None and last is None:
            if self._began is not None and self._began.is_noted:
                raise _broken(self.store.name)
            first = AuditEvent(Action.LEDGER_STARTED, "key/ledger", details={"key": "ledger", "public": signer.public})
            return self._append(connection, first, actor, signer, None), signer
        if head is None or last is None or (head.position, head.hash) != (last.position, last.hash):
            raise _broken(self.store.name)
        if lost:
            return head, signer
        if head.key_id != signer.key_id:
            raise ConfigError(
                f"the audit ledger {self.store.name} was signed with the key {head.key_id}; this installation has {signer.key_id}.",
                key="SYNTH_ASSETS_LEDGER_KEY",
                remedy="Bring back its key (var/keys/ledger.key or your secret manager), or rotate: synth-assets ledger --rotate-key.",
            )
        again = heads.signed(
            self.chain.name, head.position, head.hash, signer
        )  # the same key signs the same (RFC 8032)
        if again != head:
            raise _broken(self.store.name)
        return head, signer

    def _append(self, connection: Connection, event: AuditEvent, actor: str, signer: Signer, end: Head | None) -> Head:
        position, previous = (1, START) if end is None else (end.position + 1, end.hash)
        entry = self.chain.append(connection, event.record(self.project, actor), position, previous)
        head = heads.signed(self.chain.name, entry.position, entry.hash, signer)
        heads.write(connection, self.chain, head)
        if event.once:
            self._note(connection, _once(event), entry.position)
        return head

    def _changed(self, events: list[AuditEvent]) -> bool:
        with self.store.reading() as connection:
            return any(self._differs(connection, event) for event in events)

    def _differs(self, connection: Connection, event: AuditEvent) -> bool:
        found = self._found(connection, _state(event))
        if found is None:
            return True
        said, now = found.entry.record, event.record(self.project, "")
        return any(said.get(name) != now.get(name) for name in STATE)

    def _found(self, connection: Connection, name: str) -> Stored | None:
        """The entry that the index names, if it is the one that is meant: the index itself is no record."""
        statement = text("SELECT position FROM chain_index WHERE chain = :chain AND name = :name")
        position = connection.execute(statement, {"chain": self.chain.name, "name": name}).scalar()
        found = None if position is None else self.chain.at(connection, int(position))
        if found is None:
            return None
        if not found.is_intact(self.chain.name):
            raise _broken(self.store.name)
        said = found.entry.record
        meant = {f"once {said.get('once')}", _state_name(said.get("action"), said.get("resource"))}
        return found if name in meant else None

    def _note(self, connection: Connection, name: str, position: int) -> None:
        statement = text(
            "INSERT INTO chain_index (chain, name, position) VALUES (:chain, :name, :position) "
            "ON CONFLICT (chain, name) DO UPDATE SET position = excluded.position"
        )
        connection.execute(statement, {"chain": self.chain.name, "name": name, "position": position})


def rotation(end: Head, public: str) -> bytes:
    """What the earlier key signs: that this key goes on after that head."""
    return b"synth_assets ledger key\n" + f"{end.position} {end.hash} {public}".encode()


def _once(event: AuditEvent) -> str:
    return f"once {event.once}"


def _state(event: AuditEvent) -> str:
    return _state_name(event.action.value, event.resource)


def _state_name(action: object, resource: object) -> str:
    from synth_assets.storage.hashing import hash_parts

    return f"state {hash_parts(str(action), str(resource))[:40]}"


def _broken(name: str) -> CheckFailedError:
    return CheckFailedError(
        f"the audit ledger {name} is not what was signed. Nothing is recorded, so nothing may be done.",
        remedy="Find out who changed it (`synth-assets verify`), and bring the ledger back from a backup.",
    )
