"""One small resource per power. An asset that gets no `KeyResource` cannot mask, one without `LedgerResource` cannot spend.

Settings are read from the environment of the process that runs the step, so no secret is part of a resource's configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from synth_assets.config.runtime import Settings
from synth_assets.config.stores import leases_of, store_of
from synth_assets.errors import withhold_values
from synth_assets.ledger.audit import AuditLedger
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.storage.artifacts import ArtifactStore
from synth_assets.storage.lease import WriterLease
from synth_assets.storage.secrets import SecretKey, master_key
from synth_assets.uploads.inbox import Inbox
from synth_assets.uploads.opening import open_inbox

if TYPE_CHECKING:
    from synth_assets.masking.vault import TokenVault
    from synth_assets.privacy.budget import BudgetLedger
    from synth_assets.privacy.budget_view import BudgetView
    from synth_assets.privacy.public_forms import PublicForms
    from synth_assets.tables.engine import Engine


class _HomeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    home: str

    def settings(self) -> Settings:
        """Settings of this home, with the environment of this process."""
        return Settings.from_environment(Path(self.home))


class StoreResource(_HomeResource):
    """The artifact store and the writer leases."""

    def open(self) -> ArtifactStore:
        """The store."""
        settings = self.settings()
        return store_of(settings)

    def lease(self) -> WriterLease:
        """The leases."""
        return WriterLease(leases_of(self.settings()))


class InboxResource(_HomeResource):
    """The inbox: the power to take and to move what people drop."""

    def open(self) -> Inbox:
        """The folder, made when absent below the home, or the prefix in S3."""
        return open_inbox(self.settings())

    def ledger(self) -> AuditLedger:
        """The audit ledger, for what was taken, refused and deleted."""
        return open_audit_ledger(self.settings())


class EngineResource(_HomeResource):
    """The table engine: the power to read rows."""

    def open(self) -> Engine:
        """The engine that the settings name."""
        from synth_assets.tables.engine import engine_of

        return engine_of(self.settings())


class LedgerResource(_HomeResource):
    """The budget ledger: the power to spend epsilon."""

    def open(self) -> BudgetLedger:
        """The ledger, made on first use."""
        with withhold_values("opening the budget ledger"):
            from synth_assets.privacy.opening import open_budget_ledger

            return open_budget_ledger(self.settings())


class FormsResource(_HomeResource):
    """The count of public forms of audits, by hold-out."""

    def open(self) -> PublicForms:
        """The count, made on first use."""
        with withhold_values("opening the count of public forms"):
            from synth_assets.privacy.public_forms import open_public_forms

            return open_public_forms(self.settings())


class BudgetViewResource(_HomeResource):
    """The budget ledger, to look at: no power to spend."""

    def open(self) -> BudgetView:
        """The ledger; an older format is brought to the newest."""
        with withhold_values("opening the budget ledger"):
            from synth_assets.ledger.place import open_store_of
            from synth_assets.privacy.budget_view import BudgetView

            return BudgetView(open_store_of(self.settings()))


class KeyResource(_HomeResource):
    """The master key: the power to make pseudonyms."""

    def open(self) -> SecretKey:
        """The key; never shown, logged or stored in an artifact."""
        return master_key(self.settings().keys_folder)


class VaultResource(_HomeResource):
    """The vault: the power to make tokens that lead back."""

    def open(self) -> TokenVault:
        """The vault, made when a column is tokenised for the first time."""
        from synth_assets.masking.vault import TokenVault

        return TokenVault(self.settings().vault_location)
