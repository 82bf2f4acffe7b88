"""Commands ask for a role where a home has roles, by groups that the caller cannot give himself, and are refused in doubt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from synth_assets.cli import roles
from synth_assets.cli.app import run
from synth_assets.config.roles import Role, RolesConfig, load_roles, own_groups
from synth_assets.config.runtime import Settings
from synth_assets.errors import ConfigError
from synth_assets.ledger.events import Action, AuditEvent
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets_tests.unit.cli.test_usage import COMMANDS

GROUPS = {"viewer": ["staff"], "operator": ["synth-operators"], "approver": ["synth-approvers"]}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "configs").mkdir()
    write(tmp_path, groups_from="environment")
    return tmp_path


def write(home: Path, **more: str) -> None:
    (home / "configs" / "roles.yaml").write_text(yaml.safe_dump(GROUPS | more))


@pytest.mark.parametrize(
    ("groups", "viewing", "sweeping", "detokenising"),
    [
        ("", 3, 3, 3),
        ("other,staff2", 3, 3, 3),
        ("staff", 2, 3, 3),
        ("other, synth-operators", 2, 2, 3),
        ("staff,synth-approvers", 2, 2, 2),
    ],
)
def test_a_command_runs_for_those_whose_groups_have_its_role(
    home: Path, monkeypatch: pytest.MonkeyPatch, groups: str, viewing: int, sweeping: int, detokenising: int
) -> None:
    """Code 3: refused; code 2: the command itself says what is missing here."""
    monkeypatch.setenv("SYNTH_ASSETS_GROUPS", groups)
    at = ["--home", str(home)]
    assert run(["datasets", "list", *at]) == viewing
    assert run(["privacy", "sweep", str(home / "none.yaml"), *at]) == sweeping
    assert run(["decrypt", "no-asset", "-o", str(home / "out"), *at]) == detokenising


def test_a_refusal_has_a_code_and_stands_in_the_ledger(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_GROUPS", "staff")
    ledger = open_audit_ledger(Settings(home=home))
    ledger.record(AuditEvent(Action.BACKED_UP, "home/all"))
    assert run(["decrypt", "a/b", "-o", str(home / "out"), "--home", str(home), "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "role_refused"
    assert "approver" in error["message"] and "viewer" in error["message"]
    with ledger.store.reading() as connection:
        last = connection.exec_driver_sql("SELECT record FROM chain_entries ORDER BY position DESC").scalar()
    told = json.loads(str(last))
    assert (told["action"], told["resource"], told["outcome"]) == ("command", "command/decrypt", "denied")


def test_a_variable_gives_no_groups_where_the_system_does(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home)
    monkeypatch.setenv("SYNTH_ASSETS_GROUPS", "synth-approvers")
    found = load_roles(home / "configs")
    assert found is not None
    assert "synth-approvers" not in own_groups(found)
    assert len(own_groups(found)) >= 1
    assert run(["datasets", "list", "--home", str(home)]) == 3


@pytest.mark.parametrize(
    "text", ["", "viewer: staff", "viewer: ['']", "viewer: ['a,b']", "owner: [staff]", "viewer: [", "[]"]
)
def test_a_file_that_is_wrong_opens_nothing(home: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_GROUPS", "staff")
    (home / "configs" / "roles.yaml").write_text(text)
    assert run(["datasets", "list", "--home", str(home)]) in {2, 3}


def test_a_link_to_nowhere_is_no_missing_file(home: Path) -> None:
    (home / "configs" / "roles.yaml").unlink()
    assert load_roles(home / "configs") is None
    (home / "configs" / "roles.yaml").symlink_to(home / "gone.yaml")
    with pytest.raises(ConfigError):
        load_roles(home / "configs")


def test_the_highest_role_counts() -> None:
    config = RolesConfig.model_validate(GROUPS)
    assert config.role_of(frozenset({"staff", "synth-operators"})) is Role.OPERATOR
    assert config.role_of(frozenset()) is None


def test_every_command_is_in_one_list_and_an_unknown_one_needs_the_highest_role() -> None:
    lists = (roles.VIEWERS, roles.OPERATORS, roles.APPROVERS)
    assert sum(map(len, lists)) == len(frozenset().union(*lists))
    assert {name.split()[0] for some in lists for name in some} == COMMANDS
    assert roles.needed("anything new") is Role.APPROVER
