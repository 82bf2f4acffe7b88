"""The home folder: found, made, private; drafts, budgets, reports."""

from __future__ import annotations

import threading
import urllib.request
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from synth_assets.cli.options import home_of, telling_of_first_key
from synth_assets.cli.serve import _Handler
from synth_assets.config.runtime import Settings
from synth_assets.storage.artifacts import Zone
from synth_assets.storage.atomic import write_text
from synth_assets.storage.opening import open_store
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
    store = open_store(settings.var)
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
