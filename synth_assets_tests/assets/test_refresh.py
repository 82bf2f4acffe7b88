"""Declarative automation: what a dataset's YAML lets Dagster make anew, and that nothing is spent without its word."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from synth_assets.config.runtime import LoadedDataset
from synth_assets_tests import chain

VERSION = "dagster/data_version"
FREE = {
    "raw_people", "profile", "pii_classification", "masked_people", "audit_masked", "split",
    "model_gaussian_copula", "synthetic_gaussian_copula_people", "audit_gaussian_copula",
}  # fmt: skip
BELOW = {
    "model_dp_marginals", "synthetic_dp_marginals_people", "audit_dp_marginals", "privacy_budget", "leaderboard", "report", "export_csv",
}  # fmt: skip
SPENDS, DELIVERS = {"dp_measurements", "privacy_sweep"}, {"delivery_warehouse"}
PEOPLE: dict[str, Any] = {
    "name": "people", "source": {"path": "people.csv"}, "primary_key": "person_id", "exports": ["csv"], "sweep": [1, 2],
    "deliveries": {"warehouse": {"database": "WAREHOUSE_URL"}},
}  # fmt: skip


class Watched:
    """A dataset's assets as the daemon sees them, on a history of its own."""

    def __init__(self, home: Path, **config: Any) -> None:
        chain.write_dataset(home, PEOPLE | config)
        self.dataset: LoadedDataset = chain.loaded(home, "people")
        self.defs = chain.definitions(home, "people")
        self.graph = self.defs.resolve_asset_graph()
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: Any = None

    def tick(self) -> set[str]:
        """What one look asks for."""
        found = dg.evaluate_automation_conditions(
            self.defs, self.instance, asset_selection=dg.AssetSelection.groups("people"), cursor=self.cursor
        )
        self.cursor = found.cursor
        return {r.key.path[-1] for r in found.results if isinstance(r.key, dg.AssetKey) and not r.true_subset.is_empty}

    def make(self, names: Iterable[str], version: str, *, passed: bool = True) -> None:
        """Report assets as made, with their checks."""
        for name in names:
            key = dg.AssetKey(["people", name])
            self.instance.report_runless_asset_event(dg.AssetMaterialization(key, tags={VERSION: version}))
            made = self.instance.get_latest_materialization_event(key)
            assert made is not None
            for check in self.graph.get_check_keys_for_assets({key}):
                self.instance.report_runless_asset_event(
                    dg.AssetCheckEvaluation(key, check.name, passed, {}, blocking=True)
                )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def test_a_dataset_that_does_not_ask_has_no_condition_and_no_sensor(home: Path) -> None:
    watched = Watched(home)
    assert all(watched.graph.get(k).automation_condition is None for k in watched.graph.get_all_asset_keys())
    names = {s.name for s in watched.defs.get_repository_def().sensor_defs}
    assert not {n for n in names if n.endswith("_refresh") or "automation" in n}


@pytest.mark.parametrize("refresh", ["free", "all"])
def test_the_sensor_is_off_until_a_person_turns_it_on(home: Path, refresh: str) -> None:
    repository = Watched(home, refresh=refresh).defs.get_repository_def()
    sensor = repository.get_sensor_def("people_refresh")
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    assert ("SPENDS" in str(sensor.description)) == (refresh == "all")
    assert not [s.name for s in repository.sensor_defs if s.name.startswith("default_")]


def test_what_spends_or_delivers_has_no_condition_unless_the_yaml_says_all(home: Path) -> None:
    free, everything = Watched(home, refresh="free").graph, Watched(home, refresh="all").graph
    without = {
        k.path[-1]
        for k in free.get_all_asset_keys()
        if k.path[0] == "people" and free.get(k).automation_condition is None
    }
    assert without == SPENDS | DELIVERS
    assert all(everything.get(k).automation_condition for k in everything.get_all_asset_keys() if k.path[0] == "people")


def test_missing_assets_are_asked_for_once_and_what_spends_is_not_among_them(home: Path) -> None:
    watched = Watched(home, refresh="free")
    assert watched.tick() == FREE
    assert watched.tick() == set()  # the run has failed, or has not begun: a person looks


def test_new_data_renew_what_is_free_and_leave_what_stands_below_a_release(home: Path) -> None:
    watched = Watched(home, refresh="free")
    watched.make([*FREE, *BELOW, *SPENDS, *DELIVERS], "1")
    assert watched.tick() == set()
    watched.make(["raw_people"], "1")
    assert watched.tick() == set()  # made again, and the same
    watched.make(["raw_people"], "2")
    assert watched.tick() == FREE - {"raw_people"} | {"leaderboard", "report", "export_csv"}
    assert watched.tick() == set()


def test_a_release_that_a_person_has_made_is_followed_by_what_stands_below_it(home: Path) -> None:
    watched = Watched(home, refresh="free")
    watched.make([*FREE, *BELOW, *SPENDS, *DELIVERS], "1")
    watched.tick()
    watched.make(["dp_measurements"], "2")
    assert watched.tick() == BELOW


def test_new_data_renew_everything_where_the_yaml_says_all(home: Path) -> None:
    watched = Watched(home, refresh="all")
    watched.make([*FREE, *BELOW, *SPENDS, *DELIVERS], "1")
    watched.tick()
    watched.make(["raw_people"], "2")
    assert watched.tick() == (FREE | BELOW | SPENDS | DELIVERS) - {"raw_people"}


def test_nothing_is_made_below_a_blocking_check_that_failed(home: Path) -> None:
    watched = Watched(home, refresh="free")
    watched.make([*FREE, *BELOW, *SPENDS, *DELIVERS], "1")
    watched.tick()
    watched.make(["raw_people"], "2", passed=False)
    assert watched.tick() == set()
    watched.make(["raw_people"], "3")
    assert "profile" in watched.tick()


def test_the_source_sensor_of_a_free_dataset_asks_for_its_tables_alone(home: Path) -> None:
    for refresh, asked in (("free", [dg.AssetKey(["people", "raw_people"])]), ("all", None), (None, None)):
        watched = Watched(home, refresh=refresh)
        (home / "configs" / "datasets" / "people.csv").write_text("person_id\n1\n")
        sensor = watched.defs.get_repository_def().get_sensor_def("people_source")
        with dg.build_sensor_context(instance=watched.instance) as context:
            found = sensor(context)
        assert isinstance(found, dg.SensorResult)
        (request,) = found.run_requests
        assert request.asset_selection == asked
