"""Opens the notifier of a home."""

from __future__ import annotations

from synth_assets.config.notifications import load_notifications
from synth_assets.config.runtime import Settings
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.notify.notifier import Notifier
from synth_assets.notify.outbox import Outbox
from synth_assets.tables.readers.limits import Limits


def open_notifier(settings: Settings) -> Notifier:
    """The notifier; with `configs/notifications.yaml` absent nobody is told anything.

    Raises:
        ConfigError: that file does not fit its model.
    """
    return Notifier(
        load_notifications(settings.configs_folder),
        Outbox(settings.var / "outbox"),
        private_hosts=Limits.from_environment().private_hosts,
        record=lambda event: open_audit_ledger(settings).record(event),
    )
