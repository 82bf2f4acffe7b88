"""Opens the budget ledger of a home, which tells the audit ledger of the same database whatever it writes."""

from __future__ import annotations

from synth_assets.config.runtime import Settings
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.ledger.place import open_store_of
from synth_assets.privacy.budget import BudgetLedger


def open_budget_ledger(settings: Settings) -> BudgetLedger:
    """The budget ledger of a home, made on first use.

    Raises:
        ServiceUnavailableError: the database does not answer.
        ConfigError: a newer version of the package wrote it.
    """
    store = open_store_of(settings)
    return BudgetLedger(store, open_audit_ledger(settings, store))
