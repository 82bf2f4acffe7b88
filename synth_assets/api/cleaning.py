"""Deletes what runs made, and can make again; ledgers, keys, vault, exchange and inbox stay."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from synth_assets.config.runtime import Settings
from synth_assets.config.stores import leases_of
from synth_assets.errors import InputError
from synth_assets.ledger.events import Action, AuditEvent, Detail
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.storage.artifacts import Zone
from synth_assets.storage.lease import writers
from synth_assets.storage.lease_files import FilePlace

MADE = (*(zone.value for zone in Zone), "scratch", "leases", "dagster")  # below var/
OF_DAGSTER = ("logs", ".logs_queue")  # beside it


@dataclass(frozen=True)
class Cleaned:
    """What was deleted.

    Args:
        folders: Their names.
        files: How many files they held.
        size_bytes: How large those were.
    """

    folders: tuple[str, ...]
    files: int
    size_bytes: int


def clean(settings: Settings) -> Cleaned:
    """Delete the artifacts of all zones on this disk and Dagster's own files, after it was recorded; not what lies in S3 or PostgreSQL.

    Args:
        settings: Of the home.

    Raises:
        InputError: a run is writing.
        CheckFailedError: the audit ledger is not what was signed; nothing is deleted then.
    """
    if busy := (*writers(leases_of(settings)), *writers(FilePlace(settings.var / "leases"))):
        raise InputError(
            f"a run is writing {', '.join(busy)}.",
            remedy="Stop the daemon and every run first.",
            file=str(settings.home),
        )
    places = [settings.var / name for name in MADE] + [settings.home / name for name in OF_DAGSTER]
    there = [place for place in places if place.is_dir()]
    files = [f for place in there for f in place.rglob("*") if f.is_file()]
    found = Cleaned(_names(there), len(files), sum(f.stat().st_size for f in files))
    if files:
        details: dict[str, Detail] = {"folders": found.folders, "files": found.files, "size_bytes": found.size_bytes}
        open_audit_ledger(settings).record(AuditEvent(Action.DELETED, "home", details=details))
    for place in there:
        shutil.rmtree(place)
    return found


def _names(places: list[Path]) -> tuple[str, ...]:
    return tuple(place.name.lstrip(".") for place in places)
