"""Every command that opens Dagster's instance says the same of what stands in its way: one error, with file and key, and no value."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from synth_assets.errors import ConfigError
from synth_assets_tests import chain
from synth_assets_tests.unit.cli.conftest import Command

SHIPPED = (chain.ROOT / "dagster.yaml").read_text()
OPENING = [("runs", "list"), ("ui",)]


def told(cli: Command, *command: str) -> tuple[int, str]:
    answer = cli(*command, "--home", ".")
    assert "Traceback" not in answer.err
    return answer.code, answer.err


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("max_retries: 1", "max_retrie: hunter2", "key 'run_retries.max_retrie': Dagster knows no such key."),
        ("enabled: false\nnux", "enabled: hunter2\nnux", "key 'telemetry.enabled': the value is not what Dagster"),
        ("base_dir: var/dagster\nlocal", "base_dirr: hunter2\nlocal", "key 'storage.custom.config."),
        ("class: EnvironmentStorage", "class: hunter2", "dagster.yaml: Dagster cannot start with it"),
        ("telemetry:", "hunter2: [\ntelemetry:", "line 20: this is no YAML."),
        (SHIPPED, "storage: {postgres: {postgres_url: {env: HUNTER_2}}}", "key 'storage.postgres"),
    ],
)
def test_a_wrong_key_of_dagster_yaml_is_one_error_without_a_value(
    cli: Command, tmp_path: Path, old: str, new: str, place: str
) -> None:
    assert old in SHIPPED
    (tmp_path / "dagster.yaml").write_text(SHIPPED.replace(old, new, 1))
    code, err = told(cli, "runs", "list")
    assert code == ConfigError.exit_code
    assert str(tmp_path / "dagster.yaml") in err and place in err
    assert len(err.splitlines()) == 1
    assert "hunter2" not in err and "Keys: https://docs.dagster.io" in err


@pytest.mark.parametrize("command", OPENING, ids=" ".join)
def test_every_command_names_the_wrong_key(cli: Command, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "dagster.yaml").write_text(SHIPPED.replace("max_retries", "max_retrie"))
    code, err = told(cli, *command)
    assert code == ConfigError.exit_code and "key 'run_retries.max_retrie'" in err


@pytest.mark.parametrize("command", OPENING, ids=" ".join)
def test_without_its_postgresql_every_command_ends_with_5(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    (tmp_path / "dagster.yaml").write_text(SHIPPED)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"postgresql://u:hunter2@127.0.0.1:{closed.getsockname()[1]}/d"
        monkeypatch.setenv("SYNTH_ASSETS_POSTGRES_URL", address)
        code, err = told(cli, *command)
    assert code == 5 and "hunter2" not in err and "withheld" not in err


def test_nothing_else_opens_the_instance() -> None:
    opening = re.compile(r"DagsterInstance\.(get|from_\w+)\(")
    found = [p.name for p in (chain.ROOT / "synth_assets").rglob("*.py") if opening.search(p.read_text())]
    assert found == ["opening.py"]
