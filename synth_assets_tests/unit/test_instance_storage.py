"""Dagster's storage and logs follow the environment, and a server that is gone is told in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
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
