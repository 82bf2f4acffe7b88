"""An inbox, a store, and a taker whose clock the test sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from synth_assets.config.uploads import UploadsConfig
from synth_assets.ledger.audit import AuditEvent
from synth_assets.storage.artifacts import ArtifactStore
from synth_assets.storage.opening import Protection, open_store
from synth_assets.storage.secrets import SecretKey
from synth_assets.uploads.inbox import FolderInbox, Inbox
from synth_assets.uploads.looks import name_digest
from synth_assets.uploads.taking import Scan, Taker
from synth_assets.uploads.upload import Upload

KEY = SecretKey(bytes(range(32)))


@dataclass
class Desk:
    """What a sensor has from tick to tick: the cursor, and the uploads that Dagster knows."""

    inbox: Inbox
    store: ArtifactStore
    config: UploadsConfig = field(default_factory=UploadsConfig)
    known: set[str] = field(default_factory=set)
    cursor: str = ""
    now: float = 1_000_000.0
    events: list[AuditEvent] = field(default_factory=list)

    def look(self, seconds: float = 20.0) -> Scan:
        """One look; Dagster hears of what it asks for."""
        taker = Taker(self.inbox, self.store, self.config, known=self.known, digest=name_digest(KEY))

        found = taker.scan(self.cursor, now=self.now, seconds=seconds)
        self.cursor = found.cursor
        self.events += found.events
        self.known |= {r.upload for r in found.requests}
        return found

    def settled(self) -> Scan:
        """The look that finds complete what lies there unchanged: the second one."""
        self.look()
        self.now += self.config.settle_seconds + 60
        return self.look()

    def upload(self, name: str) -> Upload:
        return Upload(name, self.store, lambda: self.inbox, self.config, self.events.append)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def desk(tmp_path: Path, folder: Path) -> Desk:
    return Desk(FolderInbox(folder), open_store(Protection(tmp_path / "var", encrypted=False)))
