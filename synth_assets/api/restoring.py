"""`restore`: put a backup back, never over a live home unless asked, and never one that forgets what was spent unless told why.

What belongs here: what is refused, the order of steps, the check at the end. What does not: what a backup holds (backup.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from synth_assets.api.backup import (
    KEY_FILE,
    MANIFEST,
    Manifest,
    Place,
    audit_of,
    key_files,
    places,
    read_manifest,
    working,
)
from synth_assets.config.runtime import Settings
from synth_assets.config.stores import leases_of
from synth_assets.errors import CheckFailedError, ConfigError, DamagedBackupError, InputError
from synth_assets.ledger import actors, chain, snapshot
from synth_assets.ledger.backends import LedgerStore, Migration, open_ledger_store
from synth_assets.ledger.events import Action, AuditEvent
from synth_assets.ledger.place import refuse_elsewhere
from synth_assets.storage import atomic, secrets
from synth_assets.storage.lease import writers
from synth_assets.storage.lease_files import FilePlace
from synth_assets.storage.sealed import unsealing

FOLDERS = ("ledger", "keys", "vault")
_MOST_MANIFEST = 2**20


@dataclass(frozen=True)
class Restored:
    """What a restore has done.

    Args:
        manifest: Of the backup.
        aside: Where the things are that were there before, or None.
        forgotten: Heads that the present home knew and the backup does not; empty unless it was told why.
    """

    manifest: Manifest
    aside: Path | None
    forgotten: tuple[str, ...]


def restore_backup(
    settings: Settings, file: Path, passphrase: str, *, replace: bool = False, forget_because: str | None = None
) -> Restored:
    """Put a backup back into a home. Nothing is changed before everything in it was checked.

    Args:
        settings: Of the home.
        file: The backup.
        passphrase: Its passphrase.
        replace: Move ledgers, keys and vault that are there aside.
        forget_because: Accept a ledger that is older than the present one or than its releases; why. Kept with what was moved aside,
            and, as a hash, in the audit ledger.

    Raises:
        DamagedBackupError: the backup was changed, cut off, or is of another passphrase.
        InputError: the home is not empty, a run is writing, or the backup is older than what is there.
        ConfigError: another kind of database than the backup's or the home's, another master key, or a newer version made the backup.
        CheckFailedError: the ledger in the backup is broken.
    """
    refuse_elsewhere(settings)
    if busy := (*writers(leases_of(settings)), *writers(FilePlace(settings.var / "leases"))):
        raise InputError(
            f"a run is writing {', '.join(busy)}.",
            remedy="Stop the daemon and every run, then restore.",
            file=str(settings.home),
        )
    with working(settings) as folder:
        manifest = _unpack(file, passphrase, folder)
        there = tuple(places(settings))
        _refuse_other_kind(manifest, there, file)
        _refuse_newer(manifest, folder)
        filled = [place for place in (*there, *_left_behind(settings, there)) if _is_filled(place)]
        keys = key_files(settings)
        if (filled or keys) and not replace:
            raise InputError(
                "this home has ledgers, keys or a vault already.", file=str(settings.home),
                remedy="Name an empty home, or add --replace: what is there is moved aside, not deleted.",
            )  # fmt: skip
        forgotten = _forgotten(settings, folder / "databases" / "ledger.db", filled)
        if forgotten and not forget_because:
            raise InputError(
                f"the backup is older than what is there: {len(forgotten)} heads of the ledger are not in it. It would forget what was "
                "spent since.",
                file=str(file), key="--forget-because",
                remedy="Take a newer backup; or give the reason with --forget-because, and lower the budgets by hand.",
            )  # fmt: skip
        _refuse_other_key(manifest, folder, settings)
        aside = _swap(settings, manifest, folder, there, bool(filled or keys))
        if aside is not None:
            told = {"backup": manifest.model_dump(mode="json"), "forgotten": forgotten, "because": forget_because}
            atomic.write_text(aside / "restore.json", json.dumps(told, indent=1))
    _verify(settings, manifest)
    _record(settings, manifest, forgotten, forget_because)
    return Restored(manifest, aside, forgotten)


def _unpack(file: Path, passphrase: str, folder: Path) -> Manifest:
    """Every file of a backup into a private folder, each checked against the manifest."""
    if not file.is_file():
        raise InputError("the file does not exist.", file=str(file), remedy="Check its name.")
    wrong = DamagedBackupError("the content of the backup is not what its manifest says.", file=str(file))
    with unsealing(file, passphrase) as plain:
        try:
            with tarfile.open(fileobj=plain, mode="r|") as archive:
                first = archive.next()
                data = None if first is None or first.name != MANIFEST else archive.extractfile(first)
                if data is None:
                    raise wrong
                manifest = read_manifest(data.read(_MOST_MANIFEST), str(file))
                known = {stored.name: stored for stored in manifest.files}
                while (entry := archive.next()) is not None:
                    stored = known.pop(entry.name, None)
                    content = archive.extractfile(entry)
                    if stored is None or content is None or not _is_ours(stored.name):
                        raise wrong
                    atomic.private_folder((folder / stored.name).parent)
                    if _write(folder / stored.name, content) != (stored.size, stored.sha256):
                        raise wrong
            while plain.read(2**20):  # to the end, where the file says that it is the end
                pass
        except (tarfile.TarError, EOFError):
            raise wrong from None
    if known:
        raise wrong
    return manifest


def _is_ours(name: str) -> bool:
    databases = {f"databases/{database}.db" for database in ("ledger", "actors", "access", "vault")}
    return name in databases or KEY_FILE.fullmatch(name) is not None


def _write(path: Path, content: object) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        while block := content.read(2**20):  # type: ignore[attr-defined]  # a stream of tarfile
            digest.update(block)
            size += out.write(block)
        out.flush()
        os.fsync(out.fileno())
    return size, digest.hexdigest()


def _refuse_other_kind(manifest: Manifest, there: Iterable[Place], file: Path) -> None:
    """From SQLite into PostgreSQL is a way to move; nothing leads back."""
    kinds = {place.name: place.kind for place in there}
    for name, kind in manifest.kinds.items():
        if kind == "postgresql" and kinds.get(name) != kind:
            raise ConfigError(
                f"the backup's {name} was in {kind}; this home keeps it elsewhere.", file=str(file),
                remedy="Set SYNTH_ASSETS_POSTGRES_URL and SYNTH_ASSETS_VAULT_URL as they were when it was made.",
            )  # fmt: skip


def _refuse_newer(manifest: Manifest, folder: Path) -> None:
    """Of formats that this version cannot read nothing is put anywhere."""
    copies = {name: folder / "databases" / f"{name}.db" for name in manifest.kinds}
    known = migrations(open_ledger_store(f"sqlite:///{copies['ledger']}", forgetting=True))
    for copy in copies.values():
        snapshot.refuse_newer(copy, known)


def _left_behind(settings: Settings, there: Iterable[Place]) -> tuple[Place, ...]:
    """The ledger in a file of a home that has been told to use PostgreSQL: a backup must not be older than it, either."""
    file = settings.var / "ledger" / "budget.db"
    moved = any(place.name == "ledger" and place.path is None for place in there)
    return (Place("ledger", f"sqlite:///{file}", file),) if moved else ()


def _is_filled(place: Place) -> bool:
    if place.path is not None:
        return place.path.is_file()
    return snapshot.filled(place.open(), [t for t in place.tables if t not in {"ledger_formats", "budget_head"}])


def _forgotten(settings: Settings, copy: Path, filled: Iterable[Place]) -> tuple[str, ...]:
    """Heads that the present ledgers or releases know and the backup's ledger does not."""
    from synth_assets.api.spending import reports_of_releases
    from synth_assets.privacy import budget_rows as rows
    from synth_assets.privacy.budget_view import BudgetView

    backed_up = open_ledger_store(f"sqlite:///{copy}", forgetting=True)
    verdict = BudgetView(backed_up).verify()
    if verdict.broken is not None:
        raise CheckFailedError(
            f"row {verdict.broken.position} of the ledger in the backup is broken: {verdict.broken.reason}.",
            remedy="Take another backup.",
        )
    needed = set(reports_of_releases(settings.home).heads)
    entries: set[str] = set()
    for place in filled:
        if place.name == "ledger":
            with place.open().reading() as connection:
                if snapshot.present(connection, ["budget_log"]):
                    needed.add(rows.head(connection).hash)
            entries |= _last_entries(place.open())
    with backed_up.reading() as connection:
        known = rows.hashes(connection, sorted(needed))
    return tuple(sorted((needed - known) | (entries - _all_entries(backed_up, entries))))


def _last_entries(store: LedgerStore) -> set[str]:
    """Hash of the last entry of every chained log."""
    statement = "SELECT e.hash FROM chain_entries e WHERE e.position = (SELECT MAX(position) FROM chain_entries WHERE chain = e.chain)"
    with store.reading() as connection:
        if not snapshot.present(connection, ["chain_entries"]):
            return set()
        return set(connection.execute(text(statement)).scalars())


def _all_entries(store: LedgerStore, wanted: set[str]) -> set[str]:
    with store.reading() as connection:
        if not wanted or not snapshot.present(connection, ["chain_entries"]):
            return set()
        return {h for h in connection.execute(text("SELECT hash FROM chain_entries")).scalars() if h in wanted}


def _refuse_other_key(manifest: Manifest, folder: Path, settings: Settings) -> None:
    """With another master key all pseudonyms would be others, and no token would lead back."""
    if not manifest.key_fingerprint:
        return
    elsewhere = any(os.environ.get(place) is not None for place in secrets.PLACES)
    keys = settings.keys_folder if elsewhere else folder / "keys"
    if secrets.master_key(keys, make=False).fingerprint != manifest.key_fingerprint:
        raise ConfigError(
            "the master key of the environment is another one than when the backup was made.",
            remedy=f"Set the earlier key ({', '.join(secrets.PLACES)}), or unset it where the backup holds the key.",
        )


def _swap(settings: Settings, manifest: Manifest, folder: Path, there: Sequence[Place], used: bool) -> Path | None:
    """Move aside what is there, then put the backup in its place; PostgreSQL first, since it can fail for other reasons."""
    stamp = datetime.now(UTC).strftime("%Y%m%dt%H%M%S%f")
    aside = settings.var / f"before_restore_{stamp}" if used else None
    for place in there:
        if place.path is None and (copies := _copies_of(place, manifest, there)):
            store = place.open()
            snapshot.move_aside(store, place.tables, f"before_restore_{stamp}_{place.name}")
            for name in copies:
                snapshot.put(store, folder / "databases" / f"{name}.db", migrations(store))
    if aside is not None:
        atomic.private_folder(aside)
    for name in FOLDERS:
        if aside is not None and (settings.var / name).is_dir():
            (settings.var / name).rename(aside / name)
    for place in there:
        if place.path is not None and place.name in manifest.kinds:
            _move(folder / "databases" / f"{place.name}.db", place.path)
    for path in sorted((folder / "keys").glob("*")):
        _move(path, settings.keys_folder / path.name)
    return aside


def _copies_of(place: Place, manifest: Manifest, there: Iterable[Place]) -> tuple[str, ...]:
    """The databases of a backup that go into one database: beside its own those that have none of their own here."""
    known = {p.name for p in there}
    return tuple(n for n in manifest.kinds if n == place.name or (place.name == "ledger" and n not in known))


def migrations(store: LedgerStore) -> dict[str, tuple[Migration, ...]]:
    """The formats of every ledger, by the name under which each notes its version."""
    from synth_assets.masking.vault import migrations as vault_formats
    from synth_assets.privacy import public_forms
    from synth_assets.privacy.budget_formats import MIGRATIONS as BUDGET

    return {
        "budget": BUDGET, "chain": chain.MIGRATIONS, "actors": actors.MIGRATIONS, "vault": vault_formats(store),
        public_forms.LEDGER: public_forms.MIGRATIONS,
    }  # fmt: skip


def _move(source: Path, target: Path) -> None:
    atomic.private_folder(target.parent)
    source.rename(target)
    atomic.fsync_folder(target.parent)


def _verify(settings: Settings, manifest: Manifest) -> None:
    """What is in place now is what was backed up."""
    from synth_assets.api.spending import open_budget

    verdict = open_budget(settings.home).verify([manifest.ledger_head])
    if not verdict.whole:
        raise CheckFailedError(
            "the ledger that was put back is not the one of the backup.", remedy="Restore again with --replace."
        )


def _record(settings: Settings, manifest: Manifest, forgotten: tuple[str, ...], because: str | None) -> None:
    ledger, details = audit_of(settings), {"ledger_rows": manifest.ledger_rows, "forgotten": len(forgotten)}
    known = actors.Actors(settings.actors_location)
    told = {"reason": known.keep_text(known.id_of(actors.process_user()), because)} if because else {}
    ledger.record(AuditEvent(Action.RESTORED, "home", details={**details, **told}))
