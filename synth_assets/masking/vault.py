"""The vault of `tokenise`: which random token stands for which value, encrypted, in a database of its own.

A row holds a token, a keyed hash by which a value is found again, and the value under AES-256-GCM. Keys are derived from the master key
per release domain and pseudonym domain and are never stored, so the database alone says nothing but how many values there are. What
belongs here: the store. What does not: finding the values of tables (tokens.py), and who may see a value (unmasking.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.engine import make_url

from synth_assets.errors import ConfigError, InputError
from synth_assets.ledger.backends import LedgerStore, Migration, open_ledger_store
from synth_assets.masking.keyring import release_key
from synth_assets.storage.secrets import SecretKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN_FORM = r"tok_[0-9a-f]{32}"  # noqa: S105  the form, not a token
_TOKEN_BYTES, _NONCE_BYTES = 16, 12
_BLOCK = 32  # values are padded to whole blocks, so that the length of a row does not tell them apart
_IN_ONE_QUERY = 5_000
_LEDGER = "vault"
_COLUMNS = ("token", "release_domain", "domain", "key_id", "lookup", "sealed")


@dataclass(frozen=True)
class Shelf:
    """The tokens of one pseudonym domain of one release domain, with its key.

    Args:
        release_domain: The recipient.
        domain: The pseudonym domain, such as "ssn".
        key: Key of this shelf (`shelf_of`).
    """

    release_domain: str
    domain: str
    key: SecretKey

    @cached_property
    def key_id(self) -> str:
        """Fingerprint of the key; stored with every row, so that a wrong key is told from a broken row."""
        return self.key.fingerprint

    @cached_property
    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self.key.value)

    def seal(self, token: str, value: str) -> bytes:
        """The value encrypted; bound to its token and shelf, so that no row can be put in another one's place."""
        (sealed,) = self.seal_all([token], [value])
        return sealed

    def seal_all(self, tokens: Sequence[str], values: Sequence[str]) -> list[bytes]:
        """The same for many, each value under a nonce of its own."""
        encrypt, bound = self._cipher.encrypt, self._bound_to("")
        random, made = os.urandom(_NONCE_BYTES * len(tokens)), []
        for i, (token, value) in enumerate(zip(tokens, values, strict=True)):
            plain = value.encode() + b"\x80"
            padded = plain.ljust(-(-len(plain) // _BLOCK) * _BLOCK, b"\x00")
            nonce = random[_NONCE_BYTES * i : _NONCE_BYTES * (i + 1)]
            made.append(nonce + encrypt(nonce, padded, bound + token.encode()))
        return made

    def open(self, token: str, sealed: bytes) -> str:
        """The value of a token.

        Raises:
            InputError: the row was changed.
        """
        from cryptography.exceptions import InvalidTag

        nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            padded = self._cipher.decrypt(nonce, body, self._bound_to(token))
        except InvalidTag:
            raise InputError(
                "a row of the vault is not what was written.", remedy="Restore the vault from a backup."
            ) from None
        return padded.rstrip(b"\x00")[:-1].decode()

    def _bound_to(self, token: str) -> bytes:
        return f"{self.release_domain}\x1f{self.domain}\x1f{token}".encode()


def shelf_of(release: SecretKey, release_domain: str, domain: str) -> Shelf:
    """The shelf of a pseudonym domain.

    Args:
        release: Key of the release domain (`keyring.release_key`).
        release_domain: Its name.
        domain: The pseudonym domain.
    """
    return Shelf(release_domain, domain, release.derive(f"vault/{domain}"))


def migrations(store: LedgerStore) -> tuple[Migration, ...]:
    """The formats of the vault."""

    def format_1(connection: Connection) -> None:
        connection.execute(
            text(f"""CREATE TABLE vault_tokens (
                token TEXT PRIMARY KEY, release_domain TEXT NOT NULL, domain TEXT NOT NULL, key_id TEXT NOT NULL,
                lookup TEXT NOT NULL, sealed {store.binary_type} NOT NULL,
                UNIQUE (release_domain, domain, key_id, lookup))""")
        )

    return (format_1,)


class TokenVault:
    """Tokens and what they stand for. Opened on first use, so that a run without `tokenise` makes no vault.

    Args:
        location: SQLAlchemy URL of a database of its own: a SQLite file or PostgreSQL.
    """

    def __init__(self, location: str) -> None:
        self._location = location

    @cached_property
    def _store(self) -> LedgerStore:
        store = open_ledger_store(self._location, noun="vault", forgetting=True)
        store.prepare(_LEDGER, migrations(store))
        return store

    @property
    def exists(self) -> bool:
        """Whether there is a vault; a server counts as one."""
        url = make_url(self._location)
        return url.get_backend_name() != "sqlite" or os.path.isfile(str(url.database))  # noqa: PTH113  no Path of None

    def tokens(self, shelf: Shelf, values: Sequence[tuple[str, str]]) -> list[str]:
        """The tokens of some values, made where they are new; the same in every run and for every process.

        Args:
            shelf: Where they belong.
            values: Pairs of keyed hash (`tokens.lookup`) and value.

        Returns:
            One token per value, in order.

        Raises:
            ServiceUnavailableError: the database does not answer.
        """
        hashes = [h for h, _ in values]
        with self._store.reading() as connection:
            known = _known(connection, shelf, hashes)
        new = {h: value for h, value in values if h not in known}
        if new:
            tokens = _random_tokens(len(new))
            sealed = shelf.seal_all(tokens, list(new.values()))
            place = (shelf.release_domain, shelf.domain, shelf.key_id)
            rows = [(token, *place, h, body) for token, h, body in zip(tokens, new, sealed, strict=True)]
            with self._store.writing(_LEDGER) as connection:
                inserted = self._store.insert(connection, "vault_tokens", _COLUMNS, rows)
                if inserted == len(rows):
                    known |= dict(zip(new, tokens, strict=True))
                else:  # another process was faster
                    known |= _known(connection, shelf, list(new))
        return [known[h] for h in hashes]

    def values(self, tokens: Iterable[str], master: SecretKey) -> dict[str, str]:
        """What tokens stand for; unknown ones are left out. Whoever calls this has recorded who asks (unmasking.py).

        Args:
            tokens: Tokens; each once is enough.
            master: The master key.

        Raises:
            ConfigError: a token was made with another master key.
            InputError: a row was changed.
        """
        found: dict[str, str] = {}
        shelves: dict[tuple[str, str], Shelf] = {}
        for row in self._rows(tokens):
            place = (row.release_domain, row.domain)
            if place not in shelves:
                shelves[place] = shelf_of(release_key(master, row.release_domain), *place)
            shelf = shelves[place]
            if shelf.key_id != row.key_id:
                raise ConfigError(
                    "this is not the master key that the tokens were made with.",
                    remedy="Set the earlier key (see docs/operations.md, keys), and ask again.",
                )
            found[row.token] = shelf.open(row.token, bytes(row.sealed))
        return found

    def _rows(self, tokens: Iterable[str]) -> Iterator[Any]:
        names = "token, release_domain, domain, key_id, sealed"
        statement = text(f"SELECT {names} FROM vault_tokens WHERE token IN :tokens")
        query = statement.bindparams(bindparam("tokens", expanding=True))
        with self._store.reading() as connection:
            for some in _pieces(dict.fromkeys(tokens)):
                yield from connection.execute(query, {"tokens": some})


def _known(connection: Connection, shelf: Shelf, hashes: Sequence[str]) -> dict[str, str]:
    """Keyed hash -> token, of those that are there."""
    statement = text("""SELECT lookup, token FROM vault_tokens
        WHERE release_domain = :release_domain AND domain = :domain AND key_id = :key_id AND lookup IN :lookups""")
    query = statement.bindparams(bindparam("lookups", expanding=True))
    place = {"release_domain": shelf.release_domain, "domain": shelf.domain, "key_id": shelf.key_id}
    found: dict[str, str] = {}
    for some in _pieces(hashes):
        found |= {str(h): str(token) for h, token in connection.execute(query, {**place, "lookups": some})}
    return found


def _random_tokens(count: int) -> list[str]:
    """New tokens of 128 random bits each."""
    digits, width = os.urandom(_TOKEN_BYTES * count).hex(), 2 * _TOKEN_BYTES
    return [f"tok_{digits[i : i + width]}" for i in range(0, width * count, width)]


def _pieces(items: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(items)
    while some := list(islice(rest, _IN_ONE_QUERY)):
        yield some
