"""The code location loads fast and light, says clearly what is wrong with a YAML, and the home is set up as the README says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from synth_assets.config.runtime import Settings, register
from synth_assets.errors import ConfigError
from synth_assets_tests import chain

HEAVY = (
    "torch",
    "sdv",
    "opacus",
    "great_expectations",
    "sklearn",
    "matplotlib",
    "scipy",
    "pandas",
    "numpy",
    "ibis",
    "duckdb",
)
PEOPLE = {"name": "people", "source": {"path": "people.csv"}, "primary_key": "person_id"}


def load(home: Path, code: str) -> subprocess.CompletedProcess:
    """Run a line of Python in a fresh interpreter that stands in the home."""
    environment = {**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(chain.ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_code_location_loads_no_heavy_library() -> None:
    code = (
        "import sys; from synth_assets.definitions import defs; defs().resolve_asset_graph();"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = load(chain.ROOT, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_loading_takes_less_than_three_seconds_of_cpu() -> None:
    code = (
        "import resource; from synth_assets.definitions import defs; defs().get_repository_def();"
        "used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_utime + used.ru_stime)"
    )
    done = load(chain.ROOT, code)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 3


def test_the_committed_environment_names_the_home_and_nothing_else() -> None:
    assert (chain.ROOT / ".env").read_text() == "DAGSTER_HOME=${PWD}\n"


@pytest.mark.parametrize("file", ["dagster.yaml", "synth_assets/data/dagster.yaml"])
def test_telemetry_is_off_and_everything_stays_below_var(file: str) -> None:
    config = yaml.safe_load((chain.ROOT / file).read_text())
    assert config["telemetry"] == {"enabled": False}
    assert config["nux"] == {"enabled": False}
    folders = [config[k]["config"]["base_dir"] for k in ("local_artifact_storage", "compute_logs")]
    folders.append(config["storage"]["custom"]["config"]["base_dir"])
    assert all(Path(f).parts[0] == "var" for f in folders)


@pytest.mark.parametrize("file", ["dagster.yaml", "workspace.yaml"])
def test_the_home_of_the_package_is_the_home_of_the_project(file: str) -> None:
    ours, packaged = (yaml.safe_load((chain.ROOT / f).read_text()) for f in (file, f"synth_assets/data/{file}"))
    assert ours == packaged


def test_runs_of_the_command_line_carry_the_name_of_the_location() -> None:
    from synth_assets.automation.located import LOCATION, MODULE

    workspace = yaml.safe_load((chain.ROOT / "workspace.yaml").read_text())
    module = workspace["load_from"][0]["python_module"]
    name = module["location_name"]
    assert module["module_name"] == MODULE
    assert {".dagster/repository": f"__repository__@{name}"} == LOCATION


def test_every_variable_that_the_package_reads_is_listed() -> None:
    listed = (chain.ROOT / ".env.example").read_text()
    found = set()
    for file in (chain.ROOT / "synth_assets").rglob("*.py"):
        found |= {
            w for w in file.read_text().replace('"', " ").replace("`", " ").split() if w.startswith("SYNTH_ASSETS_")
        }
    names = {w.rstrip(".,;:)*") for w in found}
    assert {n for n in names if n.isupper() and n not in listed and not n.endswith("_")} == set()


@pytest.mark.parametrize(
    ("text", "row", "key"),
    [
        ("name: people\nsource: {path: people.csv}\nholdut: 0.2\n", 3, "holdut"),
        (
            "name: people\nsource: {path: people.csv}\nsynthesizers:\n  - {name: dp_marginals, epsilon: 0}\n",
            4,
            "epsilon",
        ),
        ("name: people\nsource: {path: [\n", 3, None),
    ],
)
def test_a_broken_yaml_is_one_clear_error_that_names_file_line_and_key(tmp_path: Path, text, row, key) -> None:
    home = tmp_path / "home"
    (home / "configs" / "datasets").mkdir(parents=True)
    file = home / "configs" / "datasets" / "people.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        chain.definitions(home)
    assert raised.value.file == str(file)
    assert raised.value.row == row
    assert key is None or key in str(raised.value.key)
    assert raised.value.__cause__ is None
    done = load(home, "from synth_assets.definitions import defs; defs()")
    last = done.stderr.strip().splitlines()[-1]
    assert str(file) in last
    assert f"line {row}" in last
    assert "During handling" not in done.stderr
    assert "direct cause" not in done.stderr


def test_tables_whose_asset_names_would_be_equal_are_refused(tmp_path: Path) -> None:
    tables = {n: {"source": {"path": "a.csv"}} for n in ("Sales 2024", "Sales-2024")}
    chain.write_dataset(tmp_path, {"name": "shop", "tables": tables})
    with pytest.raises(ConfigError, match="Sales_2024"):
        chain.definitions(tmp_path)


def test_two_files_with_one_dataset_name_are_refused(tmp_path: Path) -> None:
    folder = chain.write_dataset(tmp_path, PEOPLE).parent
    (folder / "again.yaml").write_text(yaml.safe_dump(PEOPLE))
    with pytest.raises(ConfigError, match="also used by"):
        chain.definitions(tmp_path)


def test_a_dataset_that_was_run_from_elsewhere_shows_up(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    file = elsewhere / "people.yaml"
    file.write_text(yaml.safe_dump(PEOPLE))
    register(Settings.from_environment(home), file)
    groups = {n.group_name for n in chain.definitions(home).resolve_asset_graph().asset_nodes}
    assert groups == {"people", "uploads"}
    file.unlink()
    groups = {n.group_name for n in chain.definitions(home).resolve_asset_graph().asset_nodes}
    assert groups == {"uploads"}


def test_a_second_dataset_of_the_same_name_is_refused_before_it_runs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    chain.write_dataset(home, PEOPLE)
    other = tmp_path / "people.yaml"
    other.write_text(yaml.safe_dump(PEOPLE))
    with pytest.raises(ConfigError, match="also used by"):
        register(Settings.from_environment(home), other)
    assert chain.definitions(home)  # the home still loads


def test_an_empty_home_loads(tmp_path: Path) -> None:
    groups = {n.group_name for n in chain.definitions(tmp_path).resolve_asset_graph().asset_nodes}
    assert groups == {"uploads"}


def test_schedules_and_sensors_are_off_until_somebody_turns_them_on() -> None:
    found = chain.definitions(chain.ROOT)
    repository = found.get_repository_def()
    running = {s.name for s in repository.sensor_defs if s.default_status.value != "STOPPED"}
    assert running == {"blocked_reports", "blocked_uploads", "inbox"}  # each goes on with what a person has asked for
    assert {s.default_status.value for s in repository.schedule_defs} == {"STOPPED"}
    assert {s.name for s in repository.sensor_defs} > {"blocked_reports", "clinic_source", "inbox", "notifications"}
    assert {s.name for s in repository.schedule_defs} == {
        "nightly",
        "weekly_digest_schedule",
        "monthly_summary_schedule",
    }
