"""The environment variables that a dataset's YAML names, looked at before its run begins and not in the middle of it."""

from __future__ import annotations

from collections.abc import Collection

from synth_assets.config.dataset import DatasetConfig
from synth_assets.storage.postgres import required_url
from synth_assets.tables.readers.database import check_url


def check_variables(config: DatasetConfig, stages: Collection[str] | None = None) -> None:
    """Raise where a run would end on a variable.

    Args:
        config: The dataset.
        stages: Those that will run; None for all.

    Raises:
        ConfigError: a variable is not set or malformed, or leads to another machine without TLS; names it.
    """
    if stages is None or "raw" in stages:
        for table in config.tables.values():
            if table.source.url is not None:
                check_url(table.source.url)
    if stages is None or "delivery" in stages:
        for delivery in config.deliveries.values():
            if delivery.database is not None:
                required_url(delivery.database)
            else:
                delivery.folder()
