"""Dagster's storage and logs follow the environment, and a server that is gone is told in words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest

from synth_assets.errors import ConfigError, ServiceUnavailableError
from synth_assets.instance_storage import EnvironmentLogs, EnvironmentStorage, storage_answers
from synth_assets_tests import chain


def test_without_variables_everything_is_in_files(tmp_path: Path) -> None:
    storage = EnvironmentStorage.from_config_value(None, {"base_dir": str(tmp_path)})
    logs = EnvironmentLogs.from_config_value(None, {"base_dir": str(tmp_path)})
    assert (type(storage).__name__, type(logs).__name__) == ("DagsterSqliteStorage", "LocalComputeLogManager")
    storage.dispose()


def test_a_process_that_was_started_elsewhere_has_the_history_of_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (home / "dagster.yaml").write_text((chain.ROOT / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.chdir(elsewhere)
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("uploads", ["one"])
        assert Path(instance.storage_directory()).is_relative_to(home)
    monkeypatch.chdir(home)
    with dg.DagsterInstance.get() as instance:
        assert instance.get_dynamic_partitions("uploads") == ["one"]
    assert list(elsewhere.iterdir()) == []


@pytest.mark.postgres
def test_with_a_url_the_history_is_in_postgresql(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_POSTGRES_URL", postgres_url)
    storage = EnvironmentStorage.from_config_value(None, {"base_dir": str(tmp_path)})
    assert type(storage).__name__ == "DagsterPostgresStorage" and not list(tmp_path.iterdir())
    assert storage.run_storage.get_runs() == []
    for part in (storage.event_log_storage, storage.run_storage, storage.schedule_storage):
        part.dispose()


def begin_together(home: Path, **environment: str) -> None:
    """Four processes that open the history of a new home at the same moment."""
    home.mkdir()
    (home / "dagster.yaml").write_text((chain.ROOT / "dagster.yaml").read_text())
    code = (
        "import os, pathlib, dagster as dg, synth_assets.instance_storage, dagster._core.storage.sqlite_storage\n"
        "print(flush=True); input()\n"
        "with dg.DagsterInstance.get() as instance: assert instance.get_runs() == []"
    )
    settings = {k: v for k, v in os.environ.items() if not k.startswith("SYNTH_ASSETS")}
    settings |= {"DAGSTER_HOME": str(home), **environment}
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen([sys.executable, "-c", code], env=settings, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        for _ in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=100)[1] for process in started]
    assert [p.returncode for p in started] == [0, 0, 0, 0], told


def test_processes_that_begin_a_history_together_make_one(tmp_path: Path) -> None:
    begin_together(tmp_path / "home")
    for file in (tmp_path / "home" / "var" / "dagster").rglob("*.db"):
        with sqlite3.connect(file) as connection:
            assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,), file
        connection.close()


@pytest.mark.postgres
def test_processes_that_begin_a_history_on_a_server_together_make_one(tmp_path: Path, postgres_url: str) -> None:
    begin_together(tmp_path / "home", SYNTH_ASSETS_POSTGRES_URL=postgres_url)
    with contextlib.closing(psycopg2.connect(postgres_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM alembic_version")
        assert cursor.fetchone() == (1,)


def test_logs_go_to_s3_encrypted_as_the_environment_says(
    tmp_path: Path, s3_bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_S3_LOGS", f"s3://{s3_bucket.name}/logs")
    monkeypatch.setenv("SYNTH_ASSETS_S3_ENCRYPTION", "sse-s3")
    logs = EnvironmentLogs.from_config_value(None, {"base_dir": str(tmp_path)})
    key = ["run", "compute_logs", "step"]
    with logs.capture_logs(key):
        pass
    (found,) = [k for k in listed(s3_bucket) if k.endswith(".out")]
    assert found.startswith("logs/storage/run/")
    head = s3_bucket.client.head_object(Bucket=s3_bucket.name, Key=found)
    assert head["ServerSideEncryption"] == "AES256"
    assert logs.get_log_data(key).stdout in {None, b""}
    logs.delete_logs(log_key=key)
    assert listed(s3_bucket) == []
    logs.dispose()


def listed(bucket: Any) -> list[str]:
    return [o["Key"] for o in bucket.client.list_objects_v2(Bucket=bucket.name).get("Contents", ())]


@pytest.mark.parametrize(
    ("variable", "value", "kind"),
    [
        ("SYNTH_ASSETS_POSTGRES_URL", "postgresql://u:hunter2@db.example.org/d", EnvironmentStorage),
        ("SYNTH_ASSETS_S3_LOGS", "https://hunter2", EnvironmentLogs),
    ],
)
def test_a_malformed_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, kind: Any
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=variable) as raised:
        kind.from_config_value(None, {"base_dir": str(tmp_path)})
    assert "hunter2" not in str(raised.value)


def test_a_server_that_is_gone_is_exit_code_5_and_other_faults_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import OperationalError

    def fails(error: Exception) -> None:
        with storage_answers():
            raise error

    with pytest.raises(DagsterPostgresException):
        fails(DagsterPostgresException("x"))  # not on PostgreSQL: not ours to explain
    monkeypatch.setenv("SYNTH_ASSETS_POSTGRES_URL", "postgresql://u:hunter2@localhost/d")
    for error in (DagsterPostgresException("hunter2"), OperationalError("hunter2", None, Exception())):
        with pytest.raises(ServiceUnavailableError, match="PostgreSQL server does not answer") as raised:
            fails(error)
        assert raised.value.exit_code == 5 and "hunter2" not in str(raised.value)
    with pytest.raises(KeyError):
        fails(KeyError("x"))
