"""Audit of a synthetic table: fidelity, utility, privacy, fairness. It sees tables, never the model that made them.

The public face is loaded when it is first used, so that importing the records stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth_assets.audit.dataset import TableInput, audit_dataset, combine
    from synth_assets.audit.leaderboard import FitCost, Leaderboard, rank
    from synth_assets.audit.masked import MaskedInput, audit_masked
    from synth_assets.audit.records import AuditResult
    from synth_assets.audit.tables import audit_frames, audit_tables

__all__ = [
    "AuditResult",
    "FitCost",
    "Leaderboard",
    "MaskedInput",
    "TableInput",
    "audit_dataset",
    "audit_frames",
    "audit_masked",
    "audit_tables",
    "combine",
    "rank",
]

_HOMES = {
    "AuditResult": "records",
    "FitCost": "leaderboard",
    "Leaderboard": "leaderboard",
    "MaskedInput": "masked",
    "TableInput": "dataset",
    "audit_dataset": "dataset",
    "audit_frames": "tables",
    "audit_masked": "masked",
    "audit_tables": "tables",
    "combine": "dataset",
    "rank": "leaderboard",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
