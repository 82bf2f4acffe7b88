"""`notify`: its exit code tells of a test message alone, of what waits, and once of what was given up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth_assets_tests.unit.cli.conftest import Command
from synth_assets_tests.unit.notify.conftest import Hook, web_server

hook = pytest.fixture(web_server)


@pytest.fixture
def team(hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hook:
    """A home with two receivers, of which one is a port at which nobody listens for long."""
    folder = tmp_path / ".synth_assets" / "configs"
    folder.mkdir(parents=True)
    receivers = {"team": {"webhook": f"{hook.address}/in", "secret_env": "HOOK_SECRET"}}
    receivers["gone"] = {"webhook": "http://127.0.0.1:9/in", "secret_env": "HOOK_SECRET"}
    (folder / "notifications.yaml").write_text(json.dumps({"receivers": receivers}))
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    monkeypatch.setenv("SYNTH_ASSETS_PRIVATE_HOSTS", "127.0.0.1")
    return hook


def test_a_test_message_ends_well_where_it_was_delivered_whatever_else_was_given_up(cli: Command, team: Hook) -> None:
    team.codes = [404, 200]
    failed = cli("notify", "--test", "team", "--json")
    assert (failed.code, [m["state"] for m in failed.json["messages"]]) == (5, ["failed"])
    good = cli("notify", "--test", "team")
    assert good.code == 0
    assert "1 delivered" in good.out
    assert "HTTP 404" not in good.out
    assert "1 other messages wait or were given up" in good.out
    assert cli("notify", "--test", "gone").code == 5, "it waits"


def test_what_was_given_up_fails_one_command_and_is_shown_until_it_is_cleared(cli: Command, team: Hook) -> None:
    team.codes = [404, 404, 200]
    assert [cli("notify", "--test", "team").code for _ in range(2)] == [5, 5]
    assert cli("notify").code == 0, "both were shown before"
    told = cli("notify", "--json")
    assert (told.code, told.json["failed"], len(told.json["messages"])) == (0, 2, 2)
    assert "--clear" in cli("notify").out
    assert "2 that were given up are put away" in cli("notify", "--clear").out
    assert cli("notify", "--json").json == {"sent": 0, "waiting": 0, "failed": 0, "cleared": 0, "messages": []}


def test_what_the_daemon_gave_up_fails_the_command_that_shows_it_first(
    cli: Command, team: Hook, tmp_path: Path
) -> None:
    team.codes = [404]
    cli("notify", "--test", "team")
    (file,) = (tmp_path / ".synth_assets" / "var" / "outbox").glob("*.json")
    file.write_text(
        json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "shown"})
    )  # as it was written before
    assert [cli("notify").code for _ in range(2)] == [5, 0]


def test_a_test_and_a_clearing_are_two_commands(cli: Command, team: Hook) -> None:
    assert cli("notify", "--test", "team", "--clear").code == 2
    assert team.got == []
