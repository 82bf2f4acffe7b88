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

_NAMING_KEYS = ('"ledger.start"', '"key.rotate"')
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


def check_newest(ledger: AuditLedger, entries: int) -> tuple[ChainCheck, int]:
    """Look at the newest entries, the heads that are kept among them, and the signed head; what stands before them is believed.

    Args:
        ledger: The ledger.
        entries: How many at least; up to a thousand more, since a look begins behind a kept head.

    Returns:
        The check, and the entry that it believes.
    """
    with ledger.store.reading() as connection:
        chain = ledger.chain
        check, last = ChainCheck(chain.name, is_signed), chain.last(connection)
        start = 0 if last is None else max(0, (last.position - entries) // heads.KEPT_EVERY * heads.KEPT_EVERY)
        before = chain.at(connection, start) if start else None
        if before is not None:
            named = chain.rows_with(connection, _NAMING_KEYS, up_to=start)
            check.begin(_row(before), [_row(row) for row in named if row.is_intact(chain.name)])
        for row in chain.rows(connection, after=start if before is not None else None):
            check.look(_row(row))
        head = heads.current(connection, chain)
        kept = {slot: asdict(h) for slot, h in heads.kept(connection, chain) if before is None or slot > start}
        check.end(None if head is None else asdict(head), kept, lambda _: None)
    return check, start if before is not None else 0


def _row(row: Stored) -> Row:
    return Row(row.position, row.at, row.record, row.previous, row.hash)


def check_access(store: LedgerStore) -> ChainCheck:
    """Look at every entry of the older record of access; it has no signed heads, so its end vouches for nothing."""
    chain = HashChain(store, ACCESS)
    with store.reading() as connection:
        return _looked(connection, chain, ChainCheck(ACCESS, is_signed), lambda _: None)


def _looked(connection: Connection, chain: HashChain, check: ChainCheck, visit: Callable[[Stored], None]) -> ChainCheck:
    for row in chain.rows(connection):
        if check.look(_row(row)):
            visit(row)
    return check
