"""Signed heads of the audit ledger: how many entries there are, and the hash of the last.

What belongs here: the form of a head, its text, and the rows that keep heads. What does not: keys (signing.py) and the check of a whole
ledger (verifying.py). One head is replaced by every entry, and every 1,000th is kept (docs/adr/0013).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, text

from synth_assets.ledger.chain import HashChain
from synth_assets.ledger.signing import Signer

KEPT_EVERY = 1_000
CURRENT = 0
_COLUMNS = "position, hash, key_id, signature"
_CURRENT = text(f"SELECT {_COLUMNS} FROM chain_heads WHERE chain = :chain AND slot = :slot")
_REPLACE = text(
    f"INSERT INTO chain_heads (chain, slot, {_COLUMNS}) VALUES (:chain, :slot, :position, :hash, :key_id, :signature) "
    "ON CONFLICT (chain, slot) DO UPDATE SET position = excluded.position, hash = excluded.hash, "
    "key_id = excluded.key_id, signature = excluded.signature"
)


@dataclass(frozen=True)
class Head:
    """Where the ledger stood.

    Args:
        position: Number of entries.
        hash: Hash of the last one.
        key_id: Name of the key that signed.
        signature: Ed25519 signature over the above, as hex digits.
    """

    position: int
    hash: str
    key_id: str
    signature: str

    def text(self) -> str:
        """One line of JSON, to be kept outside the ledger."""
        return json.dumps(asdict(self))


def message(chain: str, position: Any, hashed: Any) -> bytes:
    """What is signed under a head."""
    return b"synth_assets ledger head\n" + json.dumps([chain, position, hashed]).encode()


def signed(chain: str, position: int, hashed: str, signer: Signer) -> Head:
    """A head with a signature."""
    return Head(position, hashed, signer.key_id, signer.sign(message(chain, position, hashed)))


def current(connection: Connection, chain: HashChain) -> Head | None:
    """The head of the last entry, as somebody left it."""
    row = connection.execute(_CURRENT, {"chain": chain.name, "slot": CURRENT}).one_or_none()
    return None if row is None else Head(*row)


def kept(connection: Connection, chain: HashChain) -> Iterator[tuple[int, Head]]:
    """Slot and head of every head that is kept, in order."""
    statement = f"SELECT slot, {_COLUMNS} FROM chain_heads WHERE chain = :chain AND slot <> :slot ORDER BY slot"
    for row in connection.execute(text(statement), {"chain": chain.name, "slot": CURRENT}):
        yield row[0], Head(*row[1:])


def write(connection: Connection, chain: HashChain, head: Head) -> None:
    """Replace the current head; keep it as well where it is one of those."""
    for slot in (CURRENT, head.position) if head.position % KEPT_EVERY == 0 else (CURRENT,):
        connection.execute(_REPLACE, {"chain": chain.name, "slot": slot, **head.__dict__})
