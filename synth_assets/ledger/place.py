"""Which database holds the ledgers of a home: one, for good. A home whose ledgers are in PostgreSQL has a mark that says so.

What belongs here: refusing to begin, or to go on with, a second ledger beside the one that knows what was spent. What does not: moving
it (api/restoring.py). Without the mark, a process that was started without SYNTH_ASSETS_POSTGRES_URL would spend every budget again.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from synth_assets.config.runtime import Settings
from synth_assets.errors import ConfigError
from synth_assets.ledger.backends import LedgerStore, open_ledger_store
from synth_assets.ledger.snapshot import filled
from synth_assets.storage import atomic

MARK = "in_postgresql.json"
VARIABLE = "SYNTH_ASSETS_POSTGRES_URL"
_ENTRIES = ("budget_log", "chain_entries")


def open_store_of(settings: Settings) -> LedgerStore:
    """The database of a home's ledgers, made on first use.

    Raises:
        ConfigError: the ledgers of this home are in another place.
        ServiceUnavailableError: the database does not answer.
    """
    refuse_elsewhere(settings)
    store = open_ledger_store(settings.ledger_location)
    if settings.postgres_url is not None:
        _compare(settings, store)
    return store


def refuse_elsewhere(settings: Settings) -> None:
    """Refuse a home whose ledgers are in PostgreSQL to a process that would use SQLite.

    Raises:
        ConfigError: they are.
    """
    mark = _read(settings)
    if settings.postgres_url is None and mark is not None:
        raise ConfigError(
            f"the ledgers of this home are in {mark['database']} since {mark['since']}, and {VARIABLE} is not set: budgets that are "
            "spent would begin anew in a file.",
            file=str(settings.home), key=VARIABLE, remedy=f"Set {VARIABLE} as for the other processes of this home.",
        )  # fmt: skip


def _compare(settings: Settings, store: LedgerStore) -> None:
    """The database against the mark; the first process that finds ledgers in it leaves the mark."""
    mark, begun = _read(settings), filled(store, _ENTRIES)
    if mark is not None:
        if not begun:
            raise ConfigError(
                f"the ledgers of this home are in {mark['database']} since {mark['since']}, and {store.name} holds none: budgets that "
                "are spent would begin anew.",
                file=str(settings.home), key=VARIABLE,
                remedy=f"Set {VARIABLE} to the database that holds them, or bring them back: synth-assets restore.",
            )  # fmt: skip
    elif _holds_entries(file := settings.var / "ledger" / "budget.db"):
        raise ConfigError(
            f"{VARIABLE} is set, and the ledgers of this home are in a file.", file=str(file), key=VARIABLE,
            remedy="Move them: unset it, synth-assets backup; set it, synth-assets restore --replace (docs/howto/postgresql.md).",
        )  # fmt: skip
    if begun and (mark is None or mark["database"] != store.name):
        said = {"database": store.name, "since": datetime.now(UTC).isoformat(timespec="seconds")}
        with contextlib.suppress(OSError):  # who cannot write here cannot begin a ledger here, either
            atomic.private_folder(_place(settings).parent)
            atomic.write_text(_place(settings), json.dumps(said, indent=1))


def _place(settings: Settings) -> Path:
    return settings.var / "ledger" / MARK


def _read(settings: Settings) -> dict[str, Any] | None:
    try:
        said: dict[str, Any] = json.loads(_place(settings).read_text())
    except FileNotFoundError:
        return None
    return said


def _holds_entries(file: Path) -> bool:
    if not file.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as ledger:
            tables = {str(name) for (name,) in ledger.execute("SELECT name FROM sqlite_master")}
            return any(ledger.execute(f"SELECT 1 FROM {t} LIMIT 1").fetchone() for t in _ENTRIES if t in tables)
    except sqlite3.Error:  # what cannot be read may hold what was spent
        return True
