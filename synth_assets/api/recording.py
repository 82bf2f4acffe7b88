"""What commands and library calls tell the audit ledger: files and frames that leave a home, and reads of its restricted artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.ledger.events import Action, AuditEvent, identifier
from synth_assets.storage.hashing import hash_file

if TYPE_CHECKING:
    from synth_assets.config.runtime import Settings
    from synth_assets.ledger.events import Detail
    from synth_assets.storage.artifacts import ArtifactRef

FRAME = "frame"


def record_output(
    settings: Settings,
    kind: str,
    file: Path | None,
    details: Mapping[str, Detail],
    *,
    dataset: str | None = None,
    run_id: str | None = None,
) -> None:
    """Record a table that was handed out. A file is named by its content: its name may tell of a person.

    Args:
        settings: Of the home whose keys, budget or model made it.
        kind: What it is: masked, synthetic, sample, values.
        file: The file; None of a frame.
        details: Numbers, booleans, identifiers.
        dataset: The dataset of the home that it comes from.
        run_id: The run that the budget knows.
    """
    from synth_assets.ledger.opening import open_audit_ledger

    content = None if file is None else hash_file(file)
    resource = f"{kind}/{FRAME if content is None else content[:16]}"
    about = {**details} if content is None else {**details, "sha256": content}
    event = AuditEvent(
        Action.EXPORTED,
        resource,
        dataset=None if dataset is None else identifier(dataset),
        run_id=run_id,
        details=about,
    )
    open_audit_ledger(settings).record(event)


def record_read(settings: Settings, ref: ArtifactRef, part: str) -> None:
    """Record that a person's command reads a restricted artifact, before it does.

    Args:
        settings: Of the home.
        ref: The artifact.
        part: Which part of it: a file, or its record.
    """
    from synth_assets.ledger.opening import open_audit_ledger

    details: dict[str, Detail] = {"zone": ref.zone.value, "content_hash": ref.content_hash, "part": part}
    event = AuditEvent(Action.READ, f"{ref.dataset}/{ref.asset}", dataset=ref.dataset, details=details)
    open_audit_ledger(settings).record(event)
