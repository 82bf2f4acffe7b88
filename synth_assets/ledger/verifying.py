"""The check of the audit ledger in its database, and of the older record of access, by the code that checks an export (verify.py).

What belongs here: reading rows and heads for the check. What does not: the check itself, and what of an installation a ledger vouches
for (api/verifying.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict

from sqlalchemy import Connection

from synth_assets.ledger import heads
from synth_assets.ledger.audit import AuditLedger
from synth_assets.ledger.backends import LedgerStore
from synth_assets.ledger.chain import HashChain, Stored
from synth_assets.ledger.signing import is_signed
from synth_assets.ledger.verify import ChainCheck, Row

ACCESS = "detokenise"  # name of the older record of who asked for the values of tokens
Outside = Iterable[tuple[int | None, str]]


def check_ledger(
    ledger: AuditLedger,
    outside: Outside = (),
    public: str | None = None,
    visit: Callable[[Stored], None] = lambda _: None,
) -> ChainCheck:
    """Look at every entry, the signed head and every kept head.

    Args:
        ledger: The ledger.
        outside: Heads that were kept outside: number of entries or None, and hash.
        public: Public key of this installation, where it has one.
        visit: Called with every entry that is what was written.
    """
    kept_outside = list(outside)
    with ledger.store.reading() as connection:
        chain = ledger.chain
        check = _looked(connection, chain, ChainCheck(chain.name, is_signed, {h for _, h in kept_outside}), visit)
        head = heads.current(connection, chain)
        kept = {slot: asdict(h) for slot, h in heads.kept(connection, chain)}

        def find(wanted: str) -> int | None:
            found = chain.with_hash(connection, wanted)
            return None if found is None or type(found.position) is not int else found.position

        check.end(None if head is None else asdict(head), kept, find)
    for position, hashed in kept_outside:
        check.compare(position, hashed)
    check.trust(public)
    return check


def check_access(store: LedgerStore) -> ChainCheck:
    """Look at every entry of the older record of access; it has no signed heads, so its end vouches for nothing."""
    chain = HashChain(store, ACCESS)
    with store.reading() as connection:
        return _looked(connection, chain, ChainCheck(ACCESS, is_signed), lambda _: None)


def _looked(connection: Connection, chain: HashChain, check: ChainCheck, visit: Callable[[Stored], None]) -> ChainCheck:
    for row in chain.rows(connection):
        if check.look(Row(row.position, row.at, row.record, row.previous, row.hash)):
            visit(row)
    return check
