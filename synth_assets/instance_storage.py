"""Dagster's storage and logs: SQLite and files below the home folder, or PostgreSQL and S3 where the environment names them.

Every Dagster process imports this module, so it imports nothing heavy at the top. Relative paths of dagster.yaml mean the home folder,
wherever a process was started: Dagster itself would take the current folder, and begin an empty history there (docs/adr/0003).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.compute_log_manager import ComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from synth_assets.errors import ServiceUnavailableError
from synth_assets.storage.objects import ObjectFolder, folder_of
from synth_assets.storage.postgres import url_of

URL_VARIABLE = "SYNTH_ASSETS_POSTGRES_URL"
LOGS_VARIABLE = "SYNTH_ASSETS_S3_LOGS"
_UPLOAD_SECONDS = 30
_BEGINNING = 0x5A_DA65_7E12  # of this purpose alone, among the advisory locks of the database


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
        """The storage that the environment asks for.

        Raises:
            ConfigError: SYNTH_ASSETS_POSTGRES_URL cannot be used.
        """
        if (url := url_of(URL_VARIABLE)) is not None:
            from dagster_postgres.storage import DagsterPostgresStorage

            with _alone_on_server(url):
                return DagsterPostgresStorage(url, should_autocreate_tables=True, inst_data=inst_data)
        from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

        folder = _in_home(config_value["base_dir"])
        with _alone_in_folder(folder):
            return DagsterSqliteStorage.from_local(base_dir=folder, inst_data=inst_data)


@contextmanager
def _alone_in_folder(folder: str) -> Iterator[None]:
    """One process at a time: two that begin a history together break it (a table twice, or two heads of its version)."""
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103  no pathlib in each process
    handle = os.open(os.path.join(folder, ".begin.lock"), os.O_RDWR | os.O_CREAT, 0o600)  # noqa: PTH118
    try:
        with suppress(OSError):  # a disk without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _alone_on_server(url: str) -> Iterator[None]:
    """One process at a time on a database. Where it does not answer nothing is begun, and Dagster says so."""
    import psycopg2
    from sqlalchemy.engine import make_url

    try:
        plain = make_url(url).set(drivername="postgresql")  # as libpq reads it
        connection = psycopg2.connect(plain.render_as_string(hide_password=False))
    except psycopg2.Error:
        yield
        return
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", (_BEGINNING,))
        yield
    finally:
        connection.close()  # which gives the lock back


class EnvironmentLogs(ComputeLogManager, ConfigurableClass):
    """Chooses where the output of steps is kept; it is never instantiated itself."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """`base_dir`: folder of the files; with S3, of those that are still written."""
        return {"base_dir": str}

    @classmethod
    def from_config_value(  # type: ignore[override]  # the class of the place, as with the storage above
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> ComputeLogManager:
        """The place that the environment asks for.

        Raises:
            ConfigError: SYNTH_ASSETS_S3_LOGS, or a variable about S3, cannot be used.
        """
        if (place := folder_of(LOGS_VARIABLE)) is not None:
            return _s3_logs(place, _in_home(config_value["base_dir"]), inst_data)
        from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

        return LocalComputeLogManager(base_dir=_in_home(config_value["base_dir"]), inst_data=inst_data)


class EnvironmentArtifacts(LocalArtifactStorage):
    """What Dagster itself keeps in files, such as the logs of sensors, below the home folder."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> EnvironmentArtifacts:
        """The folder."""
        return cls(inst_data=inst_data, base_dir=_in_home(config_value["base_dir"]))


def _in_home(folder: str) -> str:
    """A folder of dagster.yaml; a relative one is below DAGSTER_HOME where that is set, else below the current folder."""
    home = os.path.expanduser(os.environ.get("DAGSTER_HOME", ""))  # noqa: PTH111
    return os.path.join(home or os.getcwd(), folder)  # noqa: PTH118, PTH109  no pathlib in each process


def _s3_logs(place: ObjectFolder, local: str, inst_data: ConfigurableClassData | None) -> ComputeLogManager:
    from dagster_aws.s3.compute_log_manager import S3ComputeLogManager

    logs = S3ComputeLogManager(
        bucket=place.bucket,
        prefix=place.prefix,
        local_dir=local,
        inst_data=inst_data,
        skip_empty_files=False,  # the UI shows an empty log, not a missing one
        upload_interval=_UPLOAD_SECONDS,
        upload_extra_args=place.options.upload_arguments,
        region="us-east-1",  # only for links into AWS's console, which are off
    )
    logs._s3_session = place.options.client()  # noqa: SLF001  our endpoint, profile, signatures and retries; it takes no client
    return logs


@contextmanager
def storage_answers() -> Iterator[None]:
    """Say in words that Dagster's PostgreSQL server is gone, wherever Dagster noticed it.

    Raises:
        ServiceUnavailableError: in place of what Dagster and the driver raise.
    """
    if not os.environ.get(URL_VARIABLE):
        yield
        return
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.exc import TimeoutError as PoolTimeoutError

    try:
        yield
    except (DagsterPostgresException, DBAPIError, PoolTimeoutError) as error:
        from sqlalchemy.engine import make_url

        from synth_assets.storage.postgres_faults import refusal

        why = refusal(error, make_url(os.environ[URL_VARIABLE]))
        raise ServiceUnavailableError(
            f"Dagster's PostgreSQL server {why.what}.", key=URL_VARIABLE, remedy=why.remedy
        ) from None
