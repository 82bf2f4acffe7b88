"""`backup`: ledgers, keys and vault, everything that cannot be made again, in one encrypted file.

What belongs here: what a backup holds, and writing one. What does not: putting it back (restoring.py) and encryption
(storage/sealed.py).
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal

from sqlalchemy.engine import make_url

from synth_assets.config.runtime import Settings
from synth_assets.config.stores import leases_of
from synth_assets.errors import ConfigError, InputError, MissingArtifactError, SynthAssetsError
from synth_assets.ledger import snapshot
from synth_assets.ledger.audit import AuditLedger
from synth_assets.ledger.backends import LedgerStore, open_ledger_store
from synth_assets.ledger.events import Action, AuditEvent, Outcome
from synth_assets.storage import atomic, secrets
from synth_assets.storage.lease import WriterLease
from synth_assets.storage.sealed import sealing
from synth_assets.tables.schema import Frozen

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
KEY_FILE = re.compile(r"keys/[a-z0-9][a-z0-9_.-]{0,99}")
LEASE = ".backup"  # no dataset has this name
TABLES = {
    "ledger": (
        "ledger_formats", "budget_log", "budget_head", "budget_checked", "chain_entries", "chain_heads", "chain_index",
        "public_forms", "audit_actors", "audit_texts",
    ),
    "vault": ("ledger_formats", "vault_tokens"),
}  # fmt: skip


class StoredFile(Frozen):
    """One file of a backup.

    Attributes:
        name: `databases/<name>.db` or `keys/<name>`.
        sha256: Of its content.
        size: In bytes.
    """

    name: str
    sha256: str
    size: int


class Manifest(Frozen):
    """What a backup holds; encrypted with it.

    Attributes:
        format_version: Of the backup.
        made_at: UTC.
        version: Of the package.
        kinds: Database -> sqlite or postgresql; what was in SQLite may go into PostgreSQL, not the other way round.
        ledger_rows: Rows of the budget ledger.
        ledger_head: Hash of its last row.
        key_fingerprint: Of the master key; eight digits that tell two keys apart.
        files: Everything in it.
    """

    format_version: Literal[1]
    made_at: str
    version: str
    kinds: Mapping[str, Literal["sqlite", "postgresql"]]
    ledger_rows: int
    ledger_head: str
    key_fingerprint: str
    files: tuple[StoredFile, ...]


@dataclass(frozen=True)
class Place:
    """Where a database lives.

    Args:
        name: Its name in a backup.
        location: SQLAlchemy URL.
        path: The file of a SQLite database.
        tables: Its tables in PostgreSQL, where others' tables may stand beside them.
    """

    name: str
    location: str
    path: Path | None
    tables: tuple[str, ...] = ()

    @property
    def kind(self) -> Literal["sqlite", "postgresql"]:
        """What kind of database it is."""
        return "postgresql" if self.path is None else "sqlite"

    def open(self) -> LedgerStore:
        """The database."""
        return open_ledger_store(self.location, forgetting=self.name != "ledger")


def places(settings: Settings) -> tuple[Place, ...]:
    """Every database that a backup covers, the vault first: what a ledger tells of must not be older than the ledger."""
    named = {
        "vault": settings.vault_location, "access": settings.access_location, "actors": settings.actors_location,
        "ledger": settings.ledger_location,
    }  # fmt: skip
    found: dict[str, Place] = {}
    for name, location in named.items():
        url = make_url(location)
        path = Path(str(url.database)) if url.get_backend_name() == "sqlite" else None
        shared = path is None and (name not in TABLES or (name == "vault" and location == settings.ledger_location))
        if not shared:
            found[name] = Place(name, location, path, TABLES.get(name, ()))
    if "vault" not in found:
        found["ledger"] = replace(found["ledger"], tables=(*TABLES["ledger"], "vault_tokens"))
    return tuple(found.values())


def key_files(settings: Settings) -> tuple[Path, ...]:
    """The keys that this home keeps itself, whatever they are for."""
    return tuple(
        p for p in sorted(settings.keys_folder.glob("*")) if p.is_file() and KEY_FILE.fullmatch(f"keys/{p.name}")
    )


def make_backup(settings: Settings, out: Path, passphrase: str) -> Manifest:
    """Write a backup of a home, whole or not at all; runs may go on meanwhile.

    Args:
        settings: Of the home.
        out: The file; replaced where it is there.
        passphrase: At least 12 characters; without it the backup is lost.

    Raises:
        ConfigError: the passphrase is too short.
        MissingArtifactError: there is no ledger, no key and no vault.
        ServiceUnavailableError: a database does not answer, or another backup is being made.
    """
    from synth_assets.api.spending import open_budget

    there = any(place.path is None or place.path.is_file() for place in places(settings))
    if not there and not key_files(settings):
        raise MissingArtifactError(
            "there is nothing to back up.", file=str(settings.home), remedy="Name another home with --home."
        )
    open_budget(settings.home)  # so that even a home that never spent has a ledger to compare with
    with working(settings) as folder:
        record(
            settings, Outcome.OK
        )  # before the copy: a backup that did not know of itself would be older than its home
        try:
            return _write(settings, out, passphrase, folder)
        except SynthAssetsError:
            record(settings, Outcome.FAILED)
            raise


def _write(settings: Settings, out: Path, passphrase: str, folder: Path) -> Manifest:
    """Copy, hash and seal."""
    kinds = {}
    for place in places(settings):
        if place.path is None or place.path.is_file():
            snapshot.take(place.open(), folder / f"{place.name}.db", place.tables)
            kinds[place.name] = place.kind
    files = {f"databases/{name}.db": folder / f"{name}.db" for name in sorted(kinds)}
    files |= {f"keys/{path.name}": path for path in key_files(settings)}
    head = head_of(folder / "ledger.db")
    manifest = Manifest(
        format_version=FORMAT_VERSION, made_at=datetime.now(UTC).isoformat(timespec="seconds"), version=_version(),
        kinds=kinds, ledger_rows=head[0], ledger_head=head[1], key_fingerprint=_fingerprint(settings),
        files=tuple(_stored(name, path) for name, path in files.items()),
    )  # fmt: skip
    with sealing(out, passphrase) as sealed, tarfile.open(fileobj=sealed, mode="w|") as archive:
        _add(archive, MANIFEST, io.BytesIO(manifest.model_dump_json(indent=1).encode()))
        for name, path in files.items():
            with path.open("rb") as file:
                _add(archive, name, file)
    return manifest


def record(settings: Settings, outcome: Outcome) -> None:
    """Write into the audit ledger that a backup was made."""
    audit_of(settings).record(AuditEvent(Action.BACKED_UP, "home", outcome))


def audit_of(settings: Settings) -> AuditLedger:
    """The audit ledger, to record what was done."""
    from synth_assets.ledger.opening import open_audit_ledger

    return open_audit_ledger(settings)


class working:  # noqa: N801  a context manager, used as a function
    """A private folder for a backup in the making; one backup or restore of a home at a time, and a killed one's rest is removed."""

    def __init__(self, settings: Settings) -> None:
        self._lease = WriterLease(leases_of(settings))
        self._folder = settings.var / ".backup"

    def __enter__(self) -> Path:
        self._lease.acquire(LEASE, f"backup {datetime.now(UTC).timestamp()}")
        self._clear()
        atomic.private_folder(self._folder)
        return self._folder

    def __exit__(self, *_: object) -> None:
        self._clear()
        self._lease.release(LEASE)

    def _clear(self) -> None:
        import shutil

        shutil.rmtree(self._folder, ignore_errors=True)


def head_of(copy: Path) -> tuple[int, str]:
    """Number of rows and last hash of the budget ledger in a copy."""
    from synth_assets.privacy import budget_rows as rows

    with open_ledger_store(f"sqlite:///{copy}", forgetting=True).reading() as connection:
        head = rows.head(connection)
    return head.position, head.hash


def _fingerprint(settings: Settings) -> str:
    """Of the master key, wherever it is; "" where there is none yet."""
    try:
        return secrets.master_key(settings.keys_folder, make=False).fingerprint
    except ConfigError:
        if (settings.keys_folder / "master.key").exists():
            raise
        return ""


def _version() -> str:
    from synth_assets import __version__

    return __version__


def _stored(name: str, path: Path) -> StoredFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return StoredFile(name=name, sha256=digest, size=file.tell())


def _add(archive: tarfile.TarFile, name: str, file: BinaryIO) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = file.seek(0, io.SEEK_END), 0o600
    file.seek(0)
    archive.addfile(entry, file)


def read_manifest(data: bytes, file: str) -> Manifest:
    """The manifest of a backup.

    Raises:
        InputError: another version of the package made it.
    """
    from pydantic import ValidationError

    try:
        return Manifest.model_validate_json(data)
    except ValidationError:
        raise InputError(
            "the backup has a form that this version does not know.", file=file, remedy="Use the version that made it."
        ) from None
