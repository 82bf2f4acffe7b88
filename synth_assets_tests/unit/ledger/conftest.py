"""A store of the audit ledger, in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from synth_assets.ledger.actors import Actors
from synth_assets.ledger.audit import AuditLedger
from synth_assets.ledger.backends import LedgerStore, open_ledger_store
from synth_assets.ledger.signing import Signer
from synth_assets.storage.secrets import SecretKey

KEY = SecretKey(bytes(range(32)))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger' / 'budget.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def opened(location: str) -> Callable[..., AuditLedger]:
    def open_it(key: SecretKey = KEY) -> AuditLedger:
        actors = location.replace("budget.db", "actors.db")
        return AuditLedger(open_ledger_store(location), lambda _: Signer(key), Actors(actors), "clinic")

    return open_it


def tamper(store: LedgerStore, *statements: str) -> None:
    """Change the database as somebody with all rights on it would, past the guards against accidents."""
    with store.writing("tampering") as connection:
        if connection.dialect.name == "sqlite":
            for verb in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS chain_entries_no_{verb}"))
        else:
            connection.execute(text("DROP TRIGGER IF EXISTS chain_entries_no_change ON chain_entries"))
        for statement in statements:
            connection.execute(text(statement))
