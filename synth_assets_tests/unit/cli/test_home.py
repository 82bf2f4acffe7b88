"""The home folder: found, made, private; drafts, budgets, reports."""

from __future__ import annotations

import socket
import threading
import urllib.request
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from synth_assets.cli.options import home_of, telling_of_first_key
from synth_assets.cli.serve import _Handler
from synth_assets.config.runtime import Settings
from synth_assets.config.stores import store_of
from synth_assets.storage.artifacts import Zone
from synth_assets.storage.atomic import write_text
from synth_assets.storage.secrets import master_key
from synth_assets_tests.unit.cli.conftest import Command


def test_the_nearest_folder_with_a_dagster_yaml_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster.yaml").touch()
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert home_of(None) == tmp_path
    assert not (tmp_path / ".gitignore").exists()


def test_without_one_a_private_home_is_made_that_no_repository_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = home_of(None)
    assert home == tmp_path / ".synth_assets"
    assert home.stat().st_mode & 0o077 == 0
    assert (home / ".gitignore").read_text() == "*\n"


def test_a_named_home_is_made_and_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert home_of(Path("x/y")) == tmp_path / "x" / "y"
    assert (tmp_path / "x" / "y").is_dir()


def test_no_key_no_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with telling_of_first_key(tmp_path):
        pass
    master_key(tmp_path / "var" / "keys")
    with telling_of_first_key(tmp_path):
        master_key(tmp_path / "var" / "keys")
    assert capsys.readouterr().err == ""


def test_budget_of_an_empty_home_says_so_and_makes_nothing(cli: Command, tmp_path: Path) -> None:
    answer = cli("budget")
    assert answer.code == 0
    assert "No budget has been declared" in answer.out
    assert cli("budget", "--json").json == []
    assert not list(tmp_path.iterdir())


def test_budget_shows_what_is_spent_and_left(cli: Command, tmp_path: Path) -> None:
    from synth_assets.api import open_budget

    open_budget(tmp_path).declare("people", "row", 10.0, 1e-5)
    status = cli("budget", "people", "--home", tmp_path, "--json").json
    assert (status["epsilon"], status["spent"], status["left"], status["releases"]) == (10.0, 0.0, 10.0, [])
    assert [s["population"] for s in cli("budget", "--home", tmp_path, "--json").json] == ["people"]
    assert "unit of privacy row" in cli("budget", "--home", tmp_path).out
    told = cli("budget", "people_", "--home", tmp_path, "--json")
    assert told.error["remedy"] == "Known: people."


def cut(home: Path) -> None:
    """Remove the last row and the note of it, as somebody does who may do everything."""
    import sqlite3

    with sqlite3.connect(home / "var" / "ledger" / "budget.db") as ledger:
        ledger.execute("DROP TRIGGER budget_log_no_delete")
        last = ledger.execute("SELECT MAX(position) FROM budget_log").fetchone()[0]
        ledger.execute("DELETE FROM budget_log WHERE position = ?", (last,))
        ledger.execute(
            "UPDATE budget_head SET position = position - 1, "
            "hash = (SELECT hash FROM budget_log ORDER BY position DESC LIMIT 1)"
        )
    ledger.close()


def test_budget_verify_says_that_nothing_was_changed_and_that_the_end_may_be_missing(
    cli: Command, tmp_path: Path
) -> None:
    from synth_assets.api import open_budget

    assert "No budget has been declared" in cli("budget", "--verify").out
    for epsilon in (1.0, 2.0):
        open_budget(tmp_path).declare("people", "row", epsilon, 1e-5)
    head = cli("budget", "people", "--home", tmp_path, "--json").json["ledger_head"]
    answer = cli("budget", "--verify", "--home", tmp_path)
    assert answer.code == 0
    assert head in answer.out
    assert "is not excluded" in answer.out
    told = cli("budget", "--verify", "--head", head, "--home", tmp_path, "--json")
    assert (told.code, told.json["whole"], told.json["rows"], told.json["heads_found"]) == (0, True, 2, 1)
    assert "is not excluded" not in cli("budget", "--verify", "--head", head, "--home", tmp_path).out
    assert cli("budget", "--head", head, "--json").error["key"] == "--head"


def test_budget_verify_finds_a_ledger_that_was_cut_off_by_the_head_in_a_privacy_report(
    cli: Command, tmp_path: Path
) -> None:
    from synth_assets.api import open_budget

    for epsilon in (1.0, 2.0):
        open_budget(tmp_path).declare("people", "row", epsilon, 1e-5)
    head = open_budget(tmp_path).status("people").ledger_head
    store = store_of(Settings(home=tmp_path))
    with store.writing(Zone.RELEASE, "people", "dp_measurements") as out:
        write_text(out.folder / "privacy.json", f'{{"ledger_head": "{head}"}}')
    assert cli("budget", "--verify", "--home", tmp_path, "--json").json["heads_found"] == 1
    cut(tmp_path)
    assert (
        cli("budget", "people", "--home", tmp_path, "--json").json["epsilon"] == 1.0
    )  # it looks like an honest ledger
    answer = cli("budget", "--verify", "--home", tmp_path, "--json")
    assert (answer.code, answer.json["broken"], answer.json["heads_missing"]) == (3, None, [head])
    assert "NOT what was written" in cli("budget", "--verify", "--home", tmp_path).out
    (tmp_path / "var" / "ledger" / "budget.db").unlink()
    assert cli("budget", "--verify", "--home", tmp_path, "--json").error["key"] == "budget"


def test_budget_verify_names_the_first_broken_row(cli: Command, tmp_path: Path) -> None:
    import sqlite3

    from synth_assets.api import open_budget

    for epsilon in (1.0, 2.0, 3.0):
        open_budget(tmp_path).declare("people", "row", epsilon, 1e-5, per_release=0.5)
    with sqlite3.connect(tmp_path / "var" / "ledger" / "budget.db") as ledger:
        ledger.execute("DROP TRIGGER budget_log_no_update")
        ledger.execute("UPDATE budget_log SET record = replace(record, '2.0', '9.0') WHERE position = 2")
    ledger.close()
    answer = cli("budget", "--verify", "--home", tmp_path)
    assert answer.code == 3
    assert "2 (declare of 20" in answer.out
    assert "its content is not what was written" in answer.out
    assert "one release 0.5" in cli("budget", "--home", tmp_path).out


def test_init_drafts_a_config_beside_the_file(cli: Command, people: Path, tmp_path: Path) -> None:
    from synth_assets.config.load import load_dataset

    answer = cli("init", "people.csv")
    assert answer.code == 0
    assert f"synth-assets run {tmp_path / 'people.yaml'}" in answer.out
    config = load_dataset(tmp_path / "people.yaml")
    assert config.name == "people"
    assert config.tables["people"].primary_key == ("person_id",)
    told = cli("init", "people.csv", "-o", "sub/mine.yaml", "--name", "mine", "--json")
    assert told.json == {"draft": str(tmp_path / "sub" / "mine.yaml")}
    assert load_dataset(tmp_path / "sub" / "mine.yaml").tables["mine"].source.path == "../people.csv"


@pytest.fixture
def server(tmp_path: Path) -> str:
    settings = Settings(home=tmp_path)
    store = store_of(settings)
    with store.writing(Zone.RELEASE, "people", "report") as out:
        write_text(out.folder / "report.html", "<h1>Report</h1>")
    (settings.var / "keys").mkdir(parents=True)
    (settings.var / "keys" / "master.key").write_text("secret")
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, settings=settings))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    http.server_close()


def test_the_report_server_serves_reports_and_nothing_else(server: str) -> None:
    def get(path: str) -> str:
        with urllib.request.urlopen(server + path, timeout=10) as response:  # noqa: S310  our own server
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            return response.read().decode()

    assert 'href="/people"' in get("/")
    assert get("/people") == "<h1>Report</h1>"
    for path in ("/keys/master.key", "/../keys/master.key", "/people/../../keys/master.key", "/nope"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(path)
        assert caught.value.code == 404
        caught.value.close()


def test_the_ui_replaces_this_process_by_dagster_on_loopback(
    cli: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("synth_assets.cli.home.os.execv", lambda _, command: started.append(command))
    monkeypatch.setenv("DAGSTER_HOME", "somewhere else")
    cli("ui", "--port", "3456", "--home", "h")
    assert started[0][1:5] == ["-m", "dagster", "dev", "-w"]
    assert "location_name: synth_assets\n" in Path(started[0][5]).read_text()  # as the command line's runs say
    assert started[0][-4:] == ["-h", "127.0.0.1", "-p", "3456"]
    import os

    assert os.environ["DAGSTER_HOME"] == str(tmp_path / "h")
    assert (tmp_path / "h" / "dagster.yaml").is_file()


@pytest.mark.parametrize("command", ["ui", "reports"])
def test_a_taken_port_is_one_error_before_anything_is_started(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("something was started"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        answer = cli(command, "--home", tmp_path, "--port", port)
    assert (answer.code, answer.out) == (2, "")
    assert f"key '--port': another program listens on 127.0.0.1, port {port}. End that program, or name" in answer.err
    assert not (tmp_path / "var").exists()


def test_a_second_ui_waits_for_no_webserver_to_open_the_port(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, arguments: started.append(arguments))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with socket.socket(socket.AF_UNIX) as first:
        first.bind(f"\0synth_assets/ui/{port}")
        answer = cli("ui", "--home", tmp_path, "--port", str(port))
    assert answer.code == 2 and "another `synth-assets ui` starts" in answer.err and not started
    assert cli("ui", "--home", tmp_path, "--port", str(port)).code != 2
    assert started[0][-1] == str(port)
    assert cli("ui", "--home", tmp_path, "--port", str(port)).code == 2
