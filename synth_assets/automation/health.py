"""Whether a home works: each part is tried, none is believed. What `synth-assets health` does.

What belongs here: one function for each part, which raises or says what is worth a warning. Texts of libraries stay inside.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import dagster as dg

from synth_assets.automation.ledgers import look_at_ledgers
from synth_assets.automation.opening import open_instance
from synth_assets.automation.runner import prepare_home
from synth_assets.config.hooks import Hooks
from synth_assets.config.runtime import Settings, check_engine, load_datasets
from synth_assets.config.stores import protection_of, store_of
from synth_assets.errors import InputError, ServiceUnavailableError, SynthAssetsError, withhold_values
from synth_assets.storage import atomic, rooms
from synth_assets.storage.artifacts import Zone
from synth_assets.storage.encrypted import SealedBackend
from synth_assets.storage.secrets import master_key
from synth_assets.storage.unwritable import naming_place
from synth_assets.uploads.opening import inbox_words

Build = Callable[[Settings], dg.Definitions]
State = Literal["ok", "warning", "failed"]
PROBE = "_health"  # no dataset has this name
LEAST_FREE = 200 << 20
LITTLE_FREE = 5 << 30


@dataclass(frozen=True)
class Part:
    """One part of a home.

    Args:
        name: Which.
        state: Whether it works.
        message: What was found.
        seconds: How long it took.
    """

    name: str
    state: State
    message: str
    seconds: float


@dataclass(frozen=True)
class Health:
    """All parts, in the order in which they were tried."""

    parts: tuple[Part, ...]

    @property
    def ok(self) -> bool:
        """Whether no part has failed."""
        return all(part.state != "failed" for part in self.parts)


class _Warning(Exception):  # noqa: N818  it is no error
    """What works, and is worth a word."""


def health(settings: Settings, build: Build, *, service: bool = False) -> Health:
    """Try every part of a home.

    Args:
        settings: Of the home; the process stands in it afterwards.
        build: Builds the code location.
        service: Whether this is a machine that serves: then the daemon must be running.
    """
    prepare_home(settings.home)
    probes: list[tuple[str, Callable[[], str]]] = [
        ("run_storage", lambda: _run_storage(settings)),
        ("ledger", lambda: look_at_ledgers(settings)),
        ("key", lambda: _key(settings)),
        *((f"store_{zone.value}", lambda zone=zone: _store(settings, zone)) for zone in Zone),
        ("inbox", lambda: inbox_words(settings)),
        ("work_folder", lambda: _work_folder(settings)),
        ("engine", lambda: _engine(settings)),
        ("code_location", lambda: _code_location(settings, build)),
        ("daemon", lambda: _daemon(settings, service=service)),
        ("disk", lambda: _disk(settings)),
        *_hooks(settings.hooks),
    ]
    return Health(tuple(_tried(name, probe) for name, probe in probes))


def _tried(name: str, probe: Callable[[], str]) -> Part:
    started, state = time.monotonic(), "ok"
    try:
        with withhold_values(name):
            try:
                message = probe()
            except _Warning as found:
                state, message = "warning", str(found)
    except SynthAssetsError as error:
        state, message = "failed", str(error)
    return Part(name, state, message, round(time.monotonic() - started, 3))  # type: ignore[arg-type]


def _run_storage(settings: Settings) -> str:
    with naming_place(settings.var), open_instance() as instance:
        return f"answers; runs: {instance.get_runs_count():,}."


def _key(settings: Settings) -> str:
    if not settings.encryption and not (settings.keys_folder / "master.key").exists():
        return "not needed yet."
    key = master_key(settings.keys_folder)
    if key.development:
        raise _Warning("a development key lies beside the data: set SYNTH_ASSETS_MASTER_KEY_FILE or ..._SECRET.")
    return f"from the environment, {key.fingerprint}."


def _store(settings: Settings, zone: Zone) -> str:
    """Write, read and delete a small artifact."""
    store, said = store_of(settings), uuid.uuid4().hex
    backend, key = store.backend(zone), f"{PROBE}/probe/{hashlib.sha256(said.encode()).hexdigest()}"
    with store.staging(PROBE) as folder:
        atomic.write_text(folder / "files" / "probe.txt", said)
        backend.commit(folder / "files", key)
    try:
        found = backend.local(key)
        if found is None or (found / "probe.txt").read_text() != said:
            raise ServiceUnavailableError("what was written was not read back.", remedy="Check the disk or the bucket.")
    finally:
        backend.remove(key)
    if backend.raw(key) is not None:
        raise ServiceUnavailableError("what was deleted is still there.", remedy="Check the rights to delete.")
    if isinstance(backend, SealedBackend) and not backend.marked:
        raise _Warning(
            "plain files from before encryption are still read in this zone: synth-assets encrypt encrypts them, and ends that."
        )
    return f"written, read and deleted in {backend.location('')}."


def _work_folder(settings: Settings) -> str:
    if not settings.encryption:
        raise _Warning("the restricted zone is not encrypted by us (SYNTH_ASSETS_ENCRYPTION=off).")
    base = protection_of(settings).base
    atomic.private_folder(base)
    free = shutil.disk_usage(base).free / 2**30
    if not rooms.in_memory(base) and settings.work_folder is None:
        raise _Warning(
            f"plain files of a run lie on a disk ({base}): /dev/shm is absent or too small. Make it larger, or name an encrypted "
            "disk with SYNTH_ASSETS_WORK_FOLDER."
        )
    return f"{base}, {free:.1f} GiB free."


def _engine(settings: Settings) -> str:
    import ibis

    from synth_assets.tables.engine import engine_of

    check_engine(settings, load_datasets(settings))
    engine = engine_of(settings)
    with engine.session() as session:
        if session.arrow(ibis.literal(20) + 22).as_py() != 42:
            raise ServiceUnavailableError("the table engine gives wrong answers.", remedy="Install the package again.")
    return f"{engine.name} answers."


def _code_location(settings: Settings, build: Build) -> str:
    graph = build(settings).resolve_asset_graph()
    return f"{len(load_datasets(settings))} datasets, {len(graph.get_all_asset_keys())} assets."


def _daemon(settings: Settings, *, service: bool) -> str:
    with naming_place(settings.var), open_instance() as instance:
        beats = {k: s for k, s in instance.get_daemon_statuses().items() if s.last_heartbeat is not None}
        behind = sorted(k for k, s in beats.items() if not s.healthy)
    if beats and not behind:
        return f"{len(beats)} daemons are running."
    message = (
        f"not running: {', '.join(behind)}." if behind else "never ran here: no schedules, sensors or queued runs."
    )
    if service:
        raise ServiceUnavailableError(message, remedy="Start it: dagster-daemon run.")
    raise _Warning(message)


def _disk(settings: Settings) -> str:
    place = next(p for p in (settings.var, *settings.var.parents) if p.exists())
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        raise ServiceUnavailableError(
            "the home cannot be written.", file=str(place), remedy="Check its owner and mode."
        )
    if free < LEAST_FREE:
        raise ServiceUnavailableError(f"the disk is full: {free >> 20} MiB free.", file=str(place), remedy="Make room.")
    if free < LITTLE_FREE:
        raise _Warning(f"little room: {free / 2**30:.1f} GiB free.")
    return f"{free / 2**30:.1f} GiB free."


def _hooks(hooks: Hooks) -> Iterator[tuple[str, Callable[[], str]]]:
    """A part for each hook that is configured. A receiver that is away is a warning: the home works, and nobody hears of it."""
    from synth_assets.observing import otlp, sentry

    if (dsn := hooks.sentry_dsn) is not None:
        yield "sentry", lambda: _told(lambda: sentry.probe(dsn))
    if (endpoint := hooks.otlp_endpoint) is not None:
        yield "otlp", lambda: _told(lambda: otlp.probe(endpoint, hooks.otlp_headers))


def _told(probe: Callable[[], None]) -> str:
    try:
        probe()
    except (ServiceUnavailableError, InputError) as error:
        raise _Warning(f"{error} What fails here is not told to it.") from None
    return "answers."


def storage_bytes(settings: Settings) -> dict[str, int]:
    """Bytes of each zone on the local disk, its cache included."""
    return {
        zone.value: sum(_size(settings.var / base) for base in (zone.value, f"cache/{zone.value}")) for zone in Zone
    }


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else 0
