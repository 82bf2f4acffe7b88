"""No value of a direct identifier leaves the restricted zone: not in tables, models, reports, metadata, databases or logs."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import sys
import tempfile
import warnings
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.automation.watching import WATCHES
from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain
from synth_assets_tests.guards import canaries


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished home whose sources, outside of it, hold the canaries."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base

    def make(folder: Path) -> None:
        canaries.write_tables(base / "town_source")
        canaries.write_config(folder, base / "town_source")
        scratch = base / "town_scratch"
        scratch.mkdir()
        before, tempfile.tempdir = tempfile.tempdir, str(scratch)
        try:
            done = chain.run(folder, "town")
        finally:
            tempfile.tempdir = before
        assert done.exit_code == 0, (done.error, done.failed_checks)

    return chain.made_once(base / "finished_town", make)


@pytest.fixture
def home(town: Path, tmp_path: Path) -> Path:
    return chain.copy_home(town, tmp_path / "home")


def test_a_finished_chain_leaves_no_canary_outside_the_restricted_zone(town: Path) -> None:
    kinds = {p.suffix for p in canaries.searched_files(town)}
    assert kinds >= {".parquet", ".json", ".html", ".db", ".safetensors", ".csv", ".alive"}
    assert any("compute_logs" in p.parts for p in canaries.searched_files(town))
    assert canaries.leaks(town, canaries.canaries()) == {}


def test_a_finished_chain_leaves_nothing_in_the_temporary_folder(town: Path) -> None:
    scratch = town.parent / "town_scratch"
    assert [p for p in scratch.rglob("*") if p.is_file() and canaries.leaks_in_file(p, canaries.canaries())] == []


def test_the_restricted_zone_holds_the_canaries(town: Path) -> None:
    store = chain.store(town)
    raw = next(store.path(store.current(Zone.RESTRICTED, "town", "raw_people")).glob("part-*.parquet"))
    assert set(pq.read_table(raw)["email"].to_pylist()) >= {canaries.person(i)["email"] for i in range(canaries.MARKED)}


def test_no_value_of_a_quasi_identifier_stands_in_the_public_profile_or_in_dagster(town: Path) -> None:
    store = chain.store(town)
    profile = store.path(store.current(Zone.RESTRICTED, "town", "profile"))
    full, public = profile / "result.json", profile / "public.json"
    assert canaries.leaks_in_file(full, [canaries.QUASI]) == [canaries.QUASI]
    shown = [public, *(p for p in (town / "var" / "dagster").rglob("*") if p.is_file())]
    assert any(p.suffix == ".db" for p in shown)
    assert [p for p in shown if canaries.leaks_in_file(p, [canaries.QUASI])] == []


def plant_parquet(home: Path, canary: str) -> None:
    pq.write_table(pa.table({"note": [f"see {canary}"]}), home / "var" / "masked" / "x.parquet", compression="zstd")


def plant_json(home: Path, canary: str) -> None:
    import json

    (home / "var" / "release" / "x.json").write_text(json.dumps({"top": [canary]}))


def plant_html(home: Path, canary: str) -> None:
    import html

    (home / "var" / "release" / "x.html").write_text(f"<p>{html.escape(canary)}</p>")


def plant_database(home: Path, canary: str) -> None:
    connection = sqlite3.connect(next((home / "var" / "dagster").rglob("index.db")))
    with connection:
        connection.execute("CREATE TABLE planted (cell TEXT)")
        connection.execute("INSERT INTO planted VALUES (?)", [f"{'.' * 5000}{canary}"])
    connection.close()


def plant_compressed(home: Path, canary: str) -> None:
    import zlib

    connection = sqlite3.connect(next((home / "var" / "dagster").rglob("runs.db")))
    with connection:
        connection.execute("CREATE TABLE planted (cell BLOB)")
        connection.execute("INSERT INTO planted VALUES (?)", [zlib.compress(canary.encode())])
    connection.close()


def plant_log(home: Path, canary: str) -> None:
    (home / "var" / "dagster" / "x.err").write_bytes(f"ValueError: could not convert '{canary}'".encode())


def plant_restricted(home: Path, canary: str) -> None:
    (next((home / "var" / "restricted" / "town" / "profile").rglob("public.json"))).write_text(f'{{"top": "{canary}"}}')


PLANTS = (plant_parquet, plant_json, plant_html, plant_database, plant_compressed, plant_log, plant_restricted)


@pytest.mark.parametrize("plant", PLANTS, ids=[p.__name__ for p in PLANTS])
def test_the_search_finds_a_planted_leak(home: Path, plant) -> None:
    for canary in ("O'Vexquill", canaries.person(3)["email"]):
        shutil.rmtree(home / "var" / "dagster" / "planted", ignore_errors=True)
        if plant in {plant_database, plant_compressed} and canary != "O'Vexquill":
            continue
        plant(home, canary)
        assert list(canaries.leaks(home, [canary, canaries.ALIBI])) == [canary]


def test_an_asset_without_the_boundary_leaks_and_the_search_sees_it(tmp_path: Path) -> None:
    canary = canaries.person(2)["email"]

    @dg.asset
    def careless() -> None:
        int(canary)

    (tmp_path / "home").mkdir()
    with chain.instance(tmp_path / "home") as instance:
        assert not dg.materialize([careless], instance=instance, raise_on_error=False).success
    assert canary in canaries.leaks(tmp_path / "home", [canary])


FAULTS = {
    "reading": ("raw", "synth_assets.tables.sources", "ingest"),
    "the contract": ("raw", "synth_assets.assets.raw", "run_contract"),
    "the fingerprint": ("raw", "synth_assets.tables.sources", "source_fingerprint"),
    "the profile": ("profile", "synth_assets.profiling.profile", "profile_table"),
    "the classification": ("pii_classification", "synth_assets.pii.classify", "classify_table"),
    "masking": ("masked", "synth_assets.masking.run", "mask_tables"),
    "the leak check": ("masked", "synth_assets.masking.leakcheck", "check_leaks"),
    "the split": ("split", "synth_assets.tables.split", "split_tables"),
    "measuring": ("dp_measurements", "synth_assets.synthesis.charged", "measure_release"),
    "fitting": ("model", "synth_assets.synthesis.release", "fit_release"),
    "SDV": ("model", "synth_assets.synthesis.sdv_models", "as_stored"),
    "completing": ("synthetic", "synth_assets.synthesis.complete", "complete_release"),
    "the audit": ("audit", "synth_assets.audit.dataset", "audit_dataset"),
    "the report": ("report", "synth_assets.reports.dataset_report", "render"),
    "writing": ("export", "synth_assets.exports.formats", "write_table"),
    "the resource of the store": ("raw", "synth_assets.resources.home", "store_of"),
    "the resource of the engine": ("raw", "synth_assets.tables.engine", "engine_of"),
    "the resource of the budget": ("dp_measurements", "synth_assets.privacy.opening", "open_budget_ledger"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_whose_text_quotes_a_value_leaves_nothing(home: Path, monkeypatch, fault: str) -> None:
    import importlib

    stage, module, name = FAULTS[fault]
    told = f"{canaries.person(4)['email']} and {canaries.person(5)['ssn']}"

    def faulty(*args, **options):
        sys.stdout.write(told)
        sys.stderr.write(told)
        warnings.warn(told, stacklevel=1)
        logging.getLogger("pandas").error(told)
        logging.getLogger().critical(told)
        try:
            float(told)
        except ValueError as error:
            raise RuntimeError(told) from error

    monkeypatch.setattr(importlib.import_module(module), name, faulty)
    done = chain.run(home, "town", stages=[stage], fresh=True)
    assert done.exit_code == 1
    assert done.error["code"] == "unexpected"
    assert "RuntimeError" in done.error["message"]
    assert told not in str(done.error)
    assert canaries.leaks(home, canaries.canaries()) == {}


def real_source(home: Path, tmp_path: Path) -> Path:
    """A source of its own for a test that spoils it."""
    source = tmp_path / "source"
    canaries.write_tables(source)
    canaries.write_config(home, source)
    return source


def test_a_csv_with_a_broken_row_leaves_nothing(home: Path, tmp_path: Path) -> None:
    file = real_source(home, tmp_path) / "people.csv"
    lines = file.read_text().splitlines()
    lines[6] += ",one,more,cells"
    file.write_text("\n".join(lines) + "\n")
    done = chain.run(home, "town", stages=["raw"])
    assert done.exit_code == 2
    assert done.error["row"] == 7
    assert canaries.leaks(home, canaries.canaries()) == {}


@pytest.mark.parametrize("column", ["email", "ssn", "phone", "street_address"])
def test_a_column_that_cannot_be_cast_leaves_nothing(home: Path, column: str) -> None:
    chain.edit(home, lambda c: c["tables"]["people"]["columns"].update({column: {"kind": "number"}}), "town")
    done = chain.run(home, "town", stages=["raw"])
    assert done.exit_code in {2, 3}
    assert canaries.leaks(home, canaries.canaries()) == {}


@pytest.mark.parametrize(
    "expectation",
    [
        {"expect": "column_values_to_be_in_set", "column": "email", "value_set": ["nobody@example.org"]},
        {"expect": "column_values_to_match_regex", "column": "ssn", "regex": "^[A-Z]+$"},
        {"expect": "column_values_to_be_between", "column": "email", "min_value": 0, "max_value": 1},
        {"expect": "column_values_to_be_dateutil_parseable", "column": "phone"},
        {"expect": "column_value_lengths_to_equal", "column": "first_name", "value": 3},
    ],
    ids=lambda e: e["expect"],
)
def test_a_contract_that_the_identifiers_break_leaves_nothing(home: Path, expectation: dict) -> None:
    chain.edit(home, lambda c: c["tables"]["people"].update(contract=[expectation]), "town")
    done = chain.run(home, "town", stages=["raw"])
    assert done.exit_code in {1, 2, 3}
    assert canaries.leaks(home, canaries.canaries()) == {}


def test_a_sensor_that_fails_leaves_nothing(home: Path, monkeypatch) -> None:
    import synth_assets.tables.sources as sources

    def faulty(*args, **options):
        raise ValueError(canaries.person(1)["email"])

    monkeypatch.setattr(sources, "source_fingerprint", faulty)
    with chain.instance(home) as instance:
        repository = chain.definitions(home).get_repository_def()
        sensor = repository.get_sensor_def("town_source")
        skipped = sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(skipped, dg.SkipReason)
    assert canaries.person(1)["email"] not in str(skipped.skip_message)


def test_a_schedule_whose_job_fails_leaves_nothing(home: Path, monkeypatch) -> None:
    import synth_assets.automation.digest as digest

    told = canaries.person(1)["email"]

    def faulty(*args, **options):
        logging.getLogger("pandas").error(told)
        raise ValueError(told)

    monkeypatch.setattr(digest, "figures_of", faulty)
    with chain.instance(home) as instance:
        job = chain.definitions(home).get_repository_def().get_job("weekly_digest")
        done = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not done.success
    assert canaries.leaks(home, canaries.canaries()) == {}


@pytest.mark.parametrize("watch", [w.name for w in WATCHES])
def test_a_watch_that_fails_says_nothing_of_a_value(home: Path, monkeypatch, watch: str) -> None:
    import synth_assets.automation.watching as watching

    told = canaries.person(1)["email"]

    def faulty(*args, **options):
        raise ValueError(told)

    monkeypatch.setattr(watching, "Looking", faulty)
    with chain.instance(home) as instance:
        sensor = chain.definitions(home).get_repository_def().get_sensor_def(watch)
        result = sensor(dg.build_sensor_context(instance=instance))
    assert "ValueError" in str(result.skip_reason)
    assert told not in str(result)


def test_there_are_no_hooks_whose_exceptions_dagster_could_store(town: Path) -> None:
    jobs = chain.definitions(town).get_repository_def().get_all_jobs()
    assert len(jobs) > 5
    assert [job.name for job in jobs if job.hook_defs or any(n.hook_defs for n in job.nodes)] == []
