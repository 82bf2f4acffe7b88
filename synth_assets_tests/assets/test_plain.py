"""HMA, PAR and CTGAN in the chain: restricted zone, no pickle, keys that join, progress without a loss, the audit's gates as for every synthesizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest

from synth_assets.assets.release_spec import section_of
from synth_assets.assets.wiring import Wiring
from synth_assets.config.audited import sequence_of
from synth_assets.config.dataset import DatasetConfig, SynthesizerConfig
from synth_assets.errors import ConfigError
from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain

pytest.importorskip("sdv", reason="the optional package SDV is not installed")

PEOPLE = 340
UNTIL_SAMPLED = ["raw", "pii_classification", "split", "model", "synthetic"]


def town(home: Path, **changes: Any) -> Path:
    """Two related tables of made-up people."""
    rng = np.random.default_rng(1)
    folder = home / "configs" / "datasets"
    folder.mkdir(parents=True, exist_ok=True)
    ages = rng.integers(18, 90, PEOPLE)
    people = [f"{i},{a},{'FM'[rng.integers(2)]},{int(rng.random() < a / 90)}" for i, a in enumerate(ages.tolist())]
    (folder / "people.csv").write_text("\n".join(["person_id,age,sex,ill", *people, ""]))
    owners = np.repeat(np.arange(PEOPLE), rng.integers(0, 3, PEOPLE)).tolist()
    visits = [f"{v},{p},{rng.integers(20, 900)},{('call', 'stay')[rng.integers(2)]}" for v, p in enumerate(owners)]
    (folder / "visits.csv").write_text("\n".join(["visit_id,person_id,cost,kind", *visits, ""]))
    config = {
        "name": "town",
        "unit": "people.person_id",
        "tables": {
            "people": {"source": {"path": "people.csv"}, "primary_key": "person_id"},
            "visits": {
                "source": {"path": "visits.csv"},
                "primary_key": "visit_id",
                "foreign_keys": {"person_id": "people.person_id"},
            },
        },
        "target": "people.ill",
        "holdout": 0.45,
        "thresholds": {"privacy_risk": "high"},
        "synthesizers": [{"name": "hma"}],
        "exports": ["csv"],
    }
    chain.write_dataset(home, config | changes)
    return home


def one_table(home: Path, **synthesizer: Any) -> Path:
    """The people alone, with a network of few epochs."""
    town(home)
    config = {
        "name": "town",
        "source": {"path": "people.csv"},
        "primary_key": "person_id",
        "target": "ill",
        "synthesizers": [{"name": "ctgan", "network": {"epochs": 2, "batch_size": 50}, "rows": 33} | synthesizer],
    }
    chain.write_dataset(home, config)
    return home


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a finished chain with HMA."""
    home = town(tmp_path_factory.mktemp("plain") / "home")
    done = chain.run(home, "town")
    assert done.exit_code == 0, (done.error, done.failed_checks)
    return home


def table(home: Path, asset: str) -> Any:
    store = chain.store(home)
    return pq.read_table(store.path(store.current(Zone.RESTRICTED, "town", asset))).to_pandas()


def test_a_model_that_is_not_private_reads_the_split_and_stays_in_the_restricted_zone(finished: Path) -> None:
    graph, key = chain.definitions(finished).resolve_asset_graph(), dg.AssetKey(["town", "model_hma"])
    assert {k.path[-1] for k in graph.get(key).parent_keys} == {"split"}
    assert graph.get(key).tags["zone"] == "restricted"
    assert "ledger" not in graph.get(key).assets_def.op.required_resource_keys
    store = chain.store(finished)
    assert store.find(Zone.RELEASE, "town", "model_hma") is None
    folder = store.path(store.current(Zone.RESTRICTED, "town", "model_hma"))
    assert {"model.json", "state.json", "state.safetensors"} == {
        p.name for p in folder.iterdir() if p.name not in {"result.json", "artifact.json"}
    }


def test_its_synthetic_tables_join_completely(finished: Path) -> None:
    people, visits = table(finished, "synthetic_hma_people"), table(finished, "synthetic_hma_visits")
    assert people.person_id.is_unique
    assert visits.visit_id.is_unique
    assert len(visits)
    assert set(visits.person_id) <= set(people.person_id)
    assert set(people.columns) == {"person_id", "age", "sex", "ill"}


def test_it_is_audited_and_exported_as_every_synthesizer(finished: Path) -> None:
    store = chain.store(finished)
    assert store.find(Zone.RESTRICTED, "town", "audit_hma") is not None
    with chain.instance(finished) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["town", "audit_hma"]))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["fidelity_score"].value > 0.5


def test_a_network_tells_its_epochs_in_dagsters_log_and_no_loss(tmp_path: Path) -> None:
    home = one_table(tmp_path / "home")
    done = chain.run(home, "town", stages=UNTIL_SAMPLED)
    assert done.exit_code == 0, done.error
    with chain.instance(home) as instance:
        lines = [str(event.user_message) for event in instance.all_logs(done.run_id)]
    assert "training ctgan: epoch 2 of 2, 0 s left (100 %)" in lines
    assert not [line for line in lines if "loss" in line.lower()]
    assert len(table(home, "synthetic_ctgan_town")) == 33


def test_numbers_of_training_are_part_of_a_networks_identity_and_of_no_other(tmp_path: Path) -> None:
    home = one_table(tmp_path / "home")
    wiring = Wiring(chain.loaded(home, "town"), None, "")

    def section(**given: Any) -> dict[str, Any]:
        return section_of(wiring, SynthesizerConfig.model_validate(given))

    assert section(name="tvae", network={"epochs": 1}) != section(name="tvae", network={"epochs": 2})
    assert "network" not in section(name="dp_marginals")["synthesizer"]


def diary(home: Path, *, related: bool) -> Path:
    """Visits on days, of people in a table of their own or in none."""
    town(home)
    rng = np.random.default_rng(2)
    owners = np.repeat(np.arange(PEOPLE), rng.integers(1, 4, PEOPLE)).tolist()
    days = [str(np.datetime64("2024-01-01") + int(d)) for d in rng.integers(0, 300, len(owners))]
    lines = [f"{v},P-{p:06d},{d},{rng.integers(20, 900)}" for v, (p, d) in enumerate(zip(owners, days, strict=True))]
    folder = home / "configs" / "datasets"
    (folder / "visits.csv").write_text("\n".join(["visit_id,person_id,day,cost", *lines, ""]))
    people = (folder / "people.csv").read_text().splitlines()
    numbered = [people[0], *(f"P-{int(i):06d},{rest}" for i, rest in (line.split(",", 1) for line in people[1:]))]
    (folder / "people.csv").write_text("\n".join([*numbered, ""]))
    visits: dict[str, Any] = {"source": {"path": "visits.csv"}, "primary_key": "visit_id", "sequence_order": "day"}
    tables: dict[str, Any] = {"visits": visits}
    if related:
        visits["foreign_keys"] = {"person_id": "people.person_id"}
        tables["people"] = {"source": {"path": "people.csv"}, "primary_key": "person_id"}
    unit = "people.person_id" if related else "visits.person_id"
    par = {"name": "par", "network": {"epochs": 3}}
    chain.write_dataset(home, {"name": "town", "unit": unit, "tables": tables, "synthesizers": [par]})
    return home


@pytest.mark.parametrize("related", [True, False], ids=["below people", "of a unit"])
def test_par_makes_sequences_of_one_person_in_the_order_of_time(tmp_path: Path, related: bool) -> None:
    home = diary(tmp_path / "home", related=related)
    done = chain.run(home, "town", stages=UNTIL_SAMPLED)
    assert done.exit_code == 0, done.error
    visits = table(home, "synthetic_par_visits")
    assert list(visits.columns) == ["visit_id", "person_id", "day", "cost"]
    assert visits.visit_id.is_unique
    assert 1 < visits.groupby("person_id").size().mean() < 3.5
    assert visits.groupby("person_id")["day"].apply(lambda d: d.is_monotonic_increasing).all()
    if related:
        assert set(visits.person_id) <= set(table(home, "synthetic_par_people").person_id)


@pytest.mark.parametrize(
    ("visits", "unit", "expected"),
    [
        ({"sequence_order": "day", "foreign_keys": {"person_id": "people.person_id"}}, "people.person_id", ("day", ("person_id",))),
        ({"sequence_order": "day", "foreign_keys": {"ward": "wards.id", "person_id": "people.person_id"}}, "people.person_id", ("day", ("person_id",))),
        ({"sequence_order": "day"}, "visits.person_id", ("day", ("person_id",))),
        ({"sequence_order": "day", "primary_key": "person_id"}, "visits.person_id", (None, ())),
        ({"foreign_keys": {"person_id": "people.person_id"}}, "people.person_id", (None, ("person_id",))),
        ({"foreign_keys": {"ward": "wards.id"}}, "people.person_id", (None, ())),
        ({"sequence_order": "day"}, None, (None, ())),
    ],
)  # fmt: skip
def test_the_audit_knows_whose_rows_follow_each_other(visits: dict[str, Any], unit: str | None, expected: Any) -> None:
    source = {"source": {"path": "x.csv"}}
    tables = {
        "visits": {"primary_key": "visit_id", **source, **visits},
        "people": {"primary_key": "person_id", **source},
        "wards": {"primary_key": "id", **source},
    }
    config = DatasetConfig.model_validate({"name": "town", "tables": tables, "unit": unit})
    assert sequence_of(config, "visits") == expected


def test_hma_of_one_table_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no table here refers to another; use gaussian_copula"):
        chain.definitions(one_table(tmp_path / "home", name="hma", network=None))
