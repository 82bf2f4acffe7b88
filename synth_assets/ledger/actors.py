"""Who is behind the names of the audit ledger: kept apart from it, and deletable, so that the ledger names nobody.

What belongs here: the mapping of a random name to a person, and the free texts (reasons) of which the ledger holds salted hashes. What
does not: what was done (audit.py). Deleting a mapping changes no entry of the ledger.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from synth_assets.ledger.backends import LedgerStore, open_ledger_store
from synth_assets.ledger.chain import now

_FORMAT_1 = (
    "CREATE TABLE audit_actors (actor VARCHAR(40) PRIMARY KEY, identity TEXT NOT NULL UNIQUE, since TEXT NOT NULL)",
    """CREATE TABLE audit_texts (
    digest VARCHAR(64) PRIMARY KEY, actor VARCHAR(40) NOT NULL, salt TEXT NOT NULL, content TEXT NOT NULL)""",
)


def _format_1(connection: Connection) -> None:
    for statement in _FORMAT_1:
        connection.execute(text(statement))


MIGRATIONS = (_format_1,)


@dataclass(frozen=True)
class Known:
    """Who is behind a name.

    Args:
        actor: The name in the ledger.
        identity: The person or account.
        since: When the name was given.
    """

    actor: str
    identity: str
    since: str


class Actors:
    """The mapping, opened when it is first needed.

    Args:
        location: SQLAlchemy URL.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._opened: LedgerStore | None = None
        self._ids: dict[str, str] = {}

    def id_of(self, identity: str) -> str:
        """The name of a person or account in the ledger: random, made on first use."""
        if identity not in self._ids:
            self._ids[identity] = self._found(identity) or self._made(identity)
        return self._ids[identity]

    def known(self) -> tuple[Known, ...]:
        """Every name whose person is known."""
        statement = text("SELECT actor, identity, since FROM audit_actors ORDER BY since, actor")
        with self._store.reading() as connection:
            return tuple(Known(*row) for row in connection.execute(statement))

    @property
    def exist(self) -> bool:
        """Whether any name was ever given and not forgotten; nothing is made to find out."""
        url = make_url(self._location)
        if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
            return False
        return bool(self.known())

    def keep_text(self, actor: str, content: str) -> str:
        """Keep a free text apart; its salted hash, which the ledger holds, says nothing once it is deleted here."""
        salt = secrets.token_hex(16)
        values = {"digest": commitment(salt, content), "actor": actor, "salt": salt, "content": content}
        with self._store.writing("audit texts") as connection:
            connection.execute(text("INSERT INTO audit_texts VALUES (:digest, :actor, :salt, :content)"), values)
        return values["digest"]

    def texts(self) -> dict[str, str]:
        """Hash in the ledger -> text, of the texts that are still what was written."""
        with self._store.reading() as connection:
            rows = connection.execute(text("SELECT digest, salt, content FROM audit_texts")).all()
        return {row.digest: row.content for row in rows if commitment(row.salt, row.content) == row.digest}

    def forget(self, actor: str) -> bool:
        """Delete who is behind a name, and all that the person wrote; whether there was something to delete."""
        self._ids = {i: a for i, a in self._ids.items() if a != actor}
        with self._store.writing("audit actors") as connection:
            gone = [
                connection.execute(text(f"DELETE FROM {table} WHERE actor = :actor"), {"actor": actor}).rowcount
                for table in ("audit_actors", "audit_texts")
            ]
        return any(gone)

    @property
    def _store(self) -> LedgerStore:
        if self._opened is None:
            self._opened = open_ledger_store(self._location, noun="list of actors", forgetting=True)
            self._opened.prepare("actors", MIGRATIONS)
        return self._opened

    def _found(self, identity: str) -> str | None:
        statement = text("SELECT actor FROM audit_actors WHERE identity = :identity")
        with self._store.reading() as connection:
            found = connection.execute(statement, {"identity": identity}).scalar()
            return None if found is None else str(found)

    def _made(self, identity: str) -> str:
        values = {"actor": f"a_{secrets.token_hex(8)}", "identity": identity, "since": now()}
        statement = "INSERT INTO audit_actors VALUES (:actor, :identity, :since) ON CONFLICT (identity) DO NOTHING"
        with self._store.writing("audit actors") as connection:
            connection.execute(text(statement), values)
        return self._found(identity) or values["actor"]  # somebody may have been faster


def commitment(salt: str, content: str) -> str:
    """The salted hash of a text."""
    return hashlib.sha256(f"{salt} {content}".encode()).hexdigest()


def process_user() -> str:
    """Who runs this process: the login name of its user id, who became it by sudo, and the machine."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    before = os.environ.get("SUDO_USER")
    return f"{name}{f' (sudo by {before})' if before else ''} on {socket.gethostname()}"


def login_of(identity: str) -> str:
    """The login name of who `process_user` named, without the machine and who became it; what a proxy named as it is."""
    return identity.partition(" on ")[0].partition(" (sudo by ")[0]
