"""What is known of an upload: the note beside its raw table, in the restricted zone. File names stand here and nowhere else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from synth_assets.storage.artifacts import ArtifactStore, Zone

ASSET, NOTE = "raw_upload", "upload"


class State(StrEnum):
    """Where the file of an upload is."""

    WAITING = "waiting"  # in the inbox, until its raw table is stored
    TAKEN = "taken"  # its raw table is stored
    QUARANTINED = "quarantined"  # it could not be read


@dataclass(frozen=True)
class UploadNote:
    """The file of an upload.

    Attributes:
        name: Its path below the inbox; may tell of a person.
        size: In bytes.
        state: Where it is.
        attempt: How often its content was dropped to be tried, from 0.
        taken_at: When it was first found complete; ISO 8601, UTC.
    """

    name: str
    size: int
    state: State
    attempt: int
    taken_at: str


def read_note(store: ArtifactStore, upload: str) -> UploadNote | None:
    """The note of an upload, or None."""
    record: dict[str, Any] | None = store.read_note(Zone.RESTRICTED, upload, ASSET, NOTE)
    return None if record is None else UploadNote(**{**record, "state": State(record["state"])})


def write_note(store: ArtifactStore, upload: str, note: UploadNote) -> None:
    """Replace the note of an upload."""
    store.write_note(Zone.RESTRICTED, upload, ASSET, NOTE, asdict(note))
