"""One look at the inbox: which files are complete, new, known, too large; each new content becomes one upload, once.

What belongs here: the decision and its notes. What does not: starting runs (automation/inbox.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from synth_assets.config.uploads import UploadsConfig
from synth_assets.errors import AccessRefusedError, MissingArtifactError, ServiceUnavailableError
from synth_assets.ledger.audit import AuditEvent
from synth_assets.storage.artifacts import ArtifactStore
from synth_assets.uploads import recording
from synth_assets.uploads.filing import file_away, hash_stream, quarantine, upload_of
from synth_assets.uploads.inbox import Entry, Inbox
from synth_assets.uploads.looks import Looks, look
from synth_assets.uploads.notes import State, UploadNote, read_note, write_note

SECONDS = 20.0  # of hashing in one look; what is left is hashed at the next (a sensor has a minute)


@dataclass(frozen=True)
class Request:
    """An upload that wants a run."""

    upload: str
    attempt: int

    @property
    def run_key(self) -> str:
        """Dagster starts one run per key."""
        return f"{self.upload}:{self.attempt}"


@dataclass
class Scan:
    """What one look found."""

    requests: list[Request] = field(default_factory=list)
    cursor: str = ""
    incomplete: int = 0
    waiting: int = 0  # taken, and the run has not stored them yet
    doubles: int = 0  # content that was taken before
    refused: int = 0
    stuck: int = 0  # could not be moved
    events: list[AuditEvent] = field(default_factory=list)  # for the audit ledger

    def words(self) -> str:
        """What there is to say where nothing is new."""
        told = {
            "not complete yet": self.incomplete, "waiting for their run": self.waiting, "taken before": self.doubles,
            "refused": self.refused, "not to be moved": self.stuck,
        }  # fmt: skip
        return "; ".join(f"{n} {what}" for what, n in told.items() if n) or "the inbox is empty"


class Taker:
    """Takes files of the inbox.

    Args:
        inbox: The inbox.
        store: The artifact store, which keeps the notes.
        config: What is taken.
        known: Uploads that Dagster knows.
        digest: Of file names.
    """

    def __init__(
        self,
        inbox: Inbox,
        store: ArtifactStore,
        config: UploadsConfig,
        *,
        known: Collection[str],
        digest: Callable[[str], str],
    ) -> None:
        self.inbox, self.store, self.config = inbox, store, config
        self.known, self.digest = set(known), digest

    def scan(self, cursor: str | None, *, now: float, seconds: float = SECONDS) -> Scan:
        """Look once.

        Args:
            cursor: What the look before has left.
            now: Seconds since the epoch.
            seconds: Longest time of hashing.
        """
        entries = self.inbox.entries()
        complete, seen = look(
            entries, Looks.of_cursor(cursor).files, now=now, settle=self.config.settle_seconds,
            marker_required=self.config.marker == "required", digest=self.digest,
        )  # fmt: skip
        found, names = Scan(incomplete=len(seen) - len(complete)), {e.name for e in entries}
        end = time.monotonic() + seconds
        for entry in complete:
            digest = self.digest(entry.name)
            if seen[digest].upload:
                found.waiting += 1
            elif time.monotonic() >= end:
                found.incomplete += 1
            else:
                upload = self._guarded(entry, names, found, now)
                seen[digest] = replace(seen[digest], upload=upload)
        found.cursor = Looks(seen).cursor()
        return found

    def _guarded(self, entry: Entry, names: Collection[str], found: Scan, now: float) -> str:
        """Take one file; a fault of one file never stops the others. Its upload, where it stays in the inbox for its run."""
        try:
            return self._take(entry, names, found, now)
        except MissingArtifactError:
            return ""  # taken away by whoever dropped it
        except ServiceUnavailableError:
            found.stuck += 1
            return ""

    def _take(self, entry: Entry, names: Collection[str], found: Scan, now: float) -> str:
        limit = self.config.max_bytes
        if entry.size > limit:
            told = (
                f"the file has {entry.size / 1e6:.1f} MB; max_upload_mb is {self.config.max_upload_mb:g}. Raise it in "
                "configs/uploads.yaml, or make the file a dataset of its own."
            )
            return self._refuse(entry, found, "too_large", told, limit)
        try:
            with self.inbox.reading(entry.name) as source:
                content, size = hash_stream(source)
        except AccessRefusedError as error:
            return self._refuse(entry, found, error.code, str(error), limit)
        if size != entry.size:
            found.incomplete += 1  # it grew while it was read
            return ""
        return self._decide(entry, upload_of(content), names, found, now)

    def _decide(self, entry: Entry, upload: str, names: Collection[str], found: Scan, now: float) -> str:
        note = read_note(self.store, upload)
        if upload not in self.known:
            return self._request(entry, upload, note.attempt if note else 0, note, found)
        if note is None:  # the artifacts were removed, Dagster's history was not
            return self._request(entry, upload, int(now), note, found)
        if note.state is State.WAITING and note.name == entry.name:
            found.waiting += 1
            return upload
        if note.state is State.QUARANTINED or (note.state is State.WAITING and note.name not in names):
            return self._request(entry, upload, note.attempt + 1, note, found)
        file_away(self.inbox, self.config, entry.name, upload)
        found.doubles += 1
        found.events.append(recording.double(upload, entry.size))
        return ""

    def _request(self, entry: Entry, upload: str, attempt: int, note: UploadNote | None, found: Scan) -> str:
        at = note.taken_at if note else datetime.now(UTC).isoformat(timespec="seconds")
        write_note(self.store, upload, UploadNote(entry.name, entry.size, State.WAITING, attempt, at))
        self.known.add(upload)
        found.requests.append(Request(upload, attempt))
        found.events.append(recording.taken(upload, entry.size, attempt))
        return upload

    def _refuse(self, entry: Entry, found: Scan, code: str, told: str, limit: int) -> str:
        quarantine(self.inbox, entry.name, size=entry.size, code=code, message=told)
        found.refused += 1
        found.events.append(recording.refused(code, entry.size, limit=limit))
        return ""
