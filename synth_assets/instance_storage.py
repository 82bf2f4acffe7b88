"""Dagster's storage: SQLite below the home folder, or PostgreSQL where SYNTH_ASSETS_POSTGRES_URL is set.

Every Dagster process imports this module, so it imports nothing heavy at the top. Relative paths of dagster.yaml resolve against
the current folder of each process: everything is started in the home folder (docs/adr/0003).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dagster._core.storage.base_storage import DagsterStorage
from dagster._serdes import ConfigurableClassData

URL_VARIABLE = "SYNTH_ASSETS_POSTGRES_URL"


class EnvironmentStorage(DagsterStorage):
    """Chooses the storage class when an instance is made; it is never instantiated itself."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """`base_dir`: folder of the SQLite files."""
        return {"base_dir": str}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> DagsterStorage:
        """The storage that the environment asks for."""
        if url := os.environ.get(URL_VARIABLE):
            from dagster_postgres.storage import DagsterPostgresStorage

            return DagsterPostgresStorage(psycopg2_url(url), should_autocreate_tables=True, inst_data=inst_data)
        from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

        return DagsterSqliteStorage.from_local(base_dir=config_value["base_dir"], inst_data=inst_data)


def psycopg2_url(url: str) -> str:
    """SQLAlchemy 2.1 reads `postgresql://` as psycopg 3, which Dagster does not install: name the driver."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return f"postgresql+psycopg2://{url.removeprefix(prefix)}"
    return url
