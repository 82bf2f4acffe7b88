"""One upload while its chain runs: a verified copy of its file, and where the file goes once its raw table is stored, or cannot be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from synth_assets.config.uploads import SOURCE, UploadsConfig
from synth_assets.errors import AccessRefusedError, LinkExpiredError, MissingArtifactError, SourceError, TooLargeError
from synth_assets.ledger.audit import AuditEvent
from synth_assets.storage.artifacts import ArtifactStore
from synth_assets.storage.hashing import hash_parts
from synth_assets.uploads import recording
from synth_assets.uploads.filing import file_away, hash_stream, quarantine, upload_of
from synth_assets.uploads.inbox import TAKEN, Inbox
from synth_assets.uploads.notes import State, UploadNote, read_note, write_note

UNREADABLE = frozenset(kind.code for kind in (SourceError, TooLargeError, AccessRefusedError, LinkExpiredError))
_SUFFIXES = frozenset(
    [
        ".csv", ".txt", ".dat", ".data", ".psv", ".tsv", ".tab", ".parquet", ".pq", ".json", ".jsonl", ".ndjson", ".avro",
        ".xlsx", ".xlsm", ".gz", ".zst", ".zip",
    ]
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Upload:
    """The file behind one partition.

    Attributes:
        name: Name of the upload.
        store: The artifact store, which keeps its note.
        inbox: Opens the inbox; asked by the first step only.
        config: What becomes of files.
        record: Notes an event in the audit ledger.
    """

    name: str
    store: ArtifactStore
    inbox: Callable[[], Inbox]
    config: UploadsConfig
    record: Callable[[AuditEvent], object]

    @property
    def fingerprint(self) -> str:
        """Of the content, which the name is made of."""
        return hash_parts("upload", self.name)

    def fetch(self, folder: Path) -> Path:
        """Copy the file into a private folder, and prove that it holds the content that was taken.

        Returns:
            The copy; it has a name of its own, and of the file's name only a suffix that says what it is.

        Raises:
            MissingArtifactError: no file with this content is in the inbox any more.
        """
        note, inbox = self._note(), self.inbox()
        plain = PurePosixPath(note.name).name
        suffixes = [s for s in PurePosixPath(plain).suffixes[-2:] if s.lower() in _SUFFIXES]
        copy = folder / (SOURCE + "".join(suffixes))
        for name in dict.fromkeys((note.name, f"{TAKEN}/{self.name}/{plain}")):
            try:
                with inbox.reading(name) as source, copy.open("wb") as out:
                    found, _ = hash_stream(source, out)
            except MissingArtifactError:
                continue
            if upload_of(found) == self.name:
                return copy
        raise MissingArtifactError(
            f"no file of the inbox holds the content of {self.name} any more.",
            remedy="Drop the file into the inbox again.",
        )

    def stored(self) -> None:
        """File the file away: its raw table is stored."""
        note = self._note()
        if note.state is State.TAKEN:
            return
        try:
            place = file_away(self.inbox(), self.config, note.name, self.name)
        except MissingArtifactError:
            place = f"{TAKEN}/{self.name}/{PurePosixPath(note.name).name}"  # an earlier attempt ended in between
        write_note(self.store, self.name, replace(note, state=State.TAKEN, name=place or note.name))
        if self.config.after == "delete":
            self.record(recording.deleted(self.name, note.size))

    def refuse(self, error: Mapping[str, Any]) -> None:
        """Put the file into quarantine, where the error says that it cannot be read; nothing to do for other errors.

        Args:
            error: `code`, `message`, `row`, `column`, `remedy` of the error, none of which quotes a cell.
        """
        note = self._note()
        if error["code"] not in UNREADABLE or note.state is not State.WAITING:
            return
        place = [f"line {error['row']}"] if error.get("row") is not None else []
        place += [f"column {error['column']!r}"] if error.get("column") is not None else []
        told = f"{', '.join(place)}: {error['message']}" if place else str(error["message"])
        message = f"{told} {error['remedy']}" if error.get("remedy") else told
        try:
            moved = quarantine(
                self.inbox(), note.name, size=note.size, code=error["code"], message=message, upload=self.name
            )
        except MissingArtifactError:
            moved = note.name
        write_note(self.store, self.name, replace(note, state=State.QUARANTINED, name=moved or note.name))
        self.record(recording.refused(error["code"], note.size, upload=self.name))

    def _note(self) -> UploadNote:
        note = read_note(self.store, self.name)
        if note is None:
            raise MissingArtifactError(
                f"nothing is known of {self.name}.", remedy="Drop its file into the inbox again; the sensor takes it."
            )
        return note
