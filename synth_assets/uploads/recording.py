"""Uploads in the audit ledger: content hashes, sizes and codes; no name of a file."""

from __future__ import annotations

from synth_assets.ledger.audit import Action, AuditEvent, Outcome
from synth_assets.ledger.events import Detail


def taken(upload: str, size: int, attempt: int) -> AuditEvent:
    """A file was found complete and became an upload."""
    details = {"size_bytes": size, "attempt": attempt}
    return AuditEvent(Action.UPLOADED, f"uploads/{upload}", dataset=upload, details=details, once=f"{upload}:{attempt}")


def double(upload: str, size: int) -> AuditEvent:
    """A file held what was taken before."""
    details: dict[str, Detail] = {"size_bytes": size, "double": True}
    return AuditEvent(Action.UPLOADED, f"uploads/{upload}", Outcome.DENIED, dataset=upload, details=details)


def refused(code: str, size: int, *, upload: str | None = None, limit: int | None = None) -> AuditEvent:
    """A file went into quarantine."""
    details: dict[str, Detail] = {"size_bytes": size, "code": code, "limit_bytes": limit}
    return AuditEvent(
        Action.QUARANTINED, f"uploads/{upload or 'inbox'}", Outcome.DENIED, dataset=upload, details=details
    )


def deleted(upload: str, size: int) -> AuditEvent:
    """A file was deleted, since its raw table is stored."""
    return AuditEvent(Action.DELETED, f"uploads/{upload}", dataset=upload, details={"size_bytes": size})
