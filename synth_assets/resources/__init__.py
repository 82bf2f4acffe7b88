"""Dagster resources: the store, the engine, the ledger and the keys, each opened by the assets that need it and no others."""

from synth_assets.resources.home import (
    BudgetViewResource,
    EngineResource,
    FormsResource,
    InboxResource,
    KeyResource,
    LedgerResource,
    StoreResource,
    VaultResource,
)

__all__ = [
    "BudgetViewResource",
    "EngineResource",
    "FormsResource",
    "InboxResource",
    "KeyResource",
    "LedgerResource",
    "StoreResource",
    "VaultResource",
]
