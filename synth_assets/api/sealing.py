"""Encryption of the restricted zone by hand: bring all of it to the key of today, or hand one artifact out in plain."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from synth_assets.config.runtime import Settings
from synth_assets.config.stores import leases_of, protection_of, store_of
from synth_assets.errors import ConfigError, InputError
from synth_assets.ledger.events import Action, AuditEvent
from synth_assets.storage import atomic
from synth_assets.storage.artifacts import Zone
from synth_assets.storage.at_rest import Sealing
from synth_assets.storage.encrypted import SealedBackend
from synth_assets.storage.lease import WriterLease
from synth_assets.storage.opening import SCRATCH
from synth_assets.storage.secrets import key_of_file

_PARTS_OF_NOTE = 3


@dataclass(frozen=True)
class Sealed:
    """What `encrypt` did.

    Args:
        artifacts: Artifacts that were encrypted, or whose keys were wrapped again.
        notes: The same of pointers and notes.
        unchanged: Artifacts and notes that were under the key of today already.
        key_id: Fingerprint of that key.
    """

    artifacts: int
    notes: int
    unchanged: int
    key_id: str


def encrypt(settings: Settings, *, old_key: Path | None = None) -> Sealed:
    """Encrypt what lies plain in the restricted zone, and wrap the keys of what was encrypted with an earlier master key again.

    It may be stopped at any time and done again. Once it has come to its end, nothing plain in the zone is read any more.

    Args:
        settings: Of the home.
        old_key: File with the earlier master key.

    Raises:
        ConfigError: encryption is off, or something was encrypted with a key that is neither today's nor the earlier one.
        ServiceUnavailableError: a run is writing one of the datasets.
    """
    backend = store_of(settings).backend(Zone.RESTRICTED)
    if not isinstance(backend, SealedBackend):
        raise ConfigError("encryption is off.", key="SYNTH_ASSETS_ENCRYPTION", remedy="Unset it, or set it to on.")
    seals = protection_of(settings).sealing()
    seals.make()
    old = None
    if old_key is not None:
        earlier = key_of_file(old_key)
        old = Sealing(lambda: earlier, lambda: earlier)
    names = [name for name in backend.names() if not name.startswith(".")]
    lease = WriterLease(leases_of(settings))
    done = {"artifacts": 0, "notes": 0, "unchanged": 0}
    for dataset in sorted({name.partition("/")[0] for name in names}):
        lease.acquire(dataset, "encrypt")
        try:
            own = [name for name in names if name.startswith(f"{dataset}/")]
            for key in _artifacts(own):
                done["artifacts" if backend.seal_again(key, old) else "unchanged"] += 1
            for key in _notes(own):
                done["notes" if backend.seal_note_again(key, old) else "unchanged"] += 1
            shutil.rmtree(settings.var / Zone.RESTRICTED / SCRATCH / dataset, ignore_errors=True)  # of plain days
        finally:
            lease.release(dataset)
    backend.mark()
    found = Sealed(**done, key_id=seals.key_id())
    from synth_assets.ledger.opening import open_audit_ledger  # with SQLAlchemy, which the audit alone does without

    event = AuditEvent(
        Action.KEY_ROTATED, "key/at_rest", details={**done, "key": found.key_id, "earlier": old is not None}
    )
    open_audit_ledger(settings).record(event)
    return found


def decrypt(settings: Settings, asset: str, out: Path) -> Path:
    """Write a plain copy of an asset's current artifact of the restricted zone; who asked is recorded first.

    Args:
        settings: Of the home.
        asset: dataset/asset.
        out: Folder to make.

    Raises:
        InputError: the name is not of this form, or the folder exists.
        MissingArtifactError: it was never made.
        ConfigError: the key is missing, or another one.
    """
    from synth_assets.ledger.opening import open_audit_ledger

    dataset, slash, name = asset.partition("/")
    if not slash or "/" in name or not dataset or not name:
        raise InputError("an asset is named dataset/asset.", key="ASSET", remedy="See `synth-assets ui` for the names.")
    if out.exists():
        raise InputError("this exists already.", file=str(out), remedy="Name another folder with -o.")
    store = store_of(settings)
    ref = store.current(Zone.RESTRICTED, dataset, name)
    plain = store.path(ref)
    event = AuditEvent(Action.READ, ref.key, dataset=dataset, details={"zone": Zone.RESTRICTED.value})
    open_audit_ledger(settings).record(event)
    atomic.private_folder(out.parent)
    with atomic.staging_folder(out.parent) as folder:
        atomic.commit_folder(shutil.copytree(plain, folder / "files"), out)
    for path in (out, *out.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return out


def _artifacts(names: Iterable[str]) -> Iterator[str]:
    """dataset/asset/hash of every artifact, each once."""
    yield from sorted({"/".join(n.split("/")[:_PARTS_OF_NOTE]) for n in names if n.count("/") >= _PARTS_OF_NOTE})


def _notes(names: Iterable[str]) -> Iterator[str]:
    yield from (n for n in names if n.count("/") == _PARTS_OF_NOTE - 1)
