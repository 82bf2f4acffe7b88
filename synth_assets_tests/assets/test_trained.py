"""dp_tvae and dp_ctgan in the chain: charged by their own assets, reported, used again for nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest

from synth_assets.api import open_budget
from synth_assets.errors import ConfigError
from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain

ROWS = 700
METHODS = ("dp_tvae", "dp_ctgan")
MODELS = tuple(f"model_{method}" for method in METHODS)


def people(home: Path, **changes: Any) -> Path:
    """A dataset of one table of made-up people with a declared domain."""
    rng = np.random.default_rng(1)
    ages = rng.integers(18, 90, ROWS)
    lines = [f"{i},{a},{'FM'[rng.integers(2)]},{int(rng.random() < a / 90)}" for i, a in enumerate(ages.tolist())]
    folder = home / "configs" / "datasets"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "people.csv").write_text("\n".join(["person_id,age,sex,ill", *lines, ""]))
    training = {"warm_start": False, "steps": 6}
    config = {
        "name": "people",
        "source": {"path": "people.csv"},
        "primary_key": "person_id",
        "columns": {
            "age": {"kind": "number", "lower": 0, "upper": 120},
            "sex": {"kind": "category", "categories": ["F", "M"]},
            "ill": {"kind": "category", "categories": ["0", "1"]},
        },
        "target": "ill",
        "holdout": 0.4,
        "thresholds": {"privacy_risk": "high"},
        "budget": {"epsilon": 6, "delta": 1e-5},
        "synthesizers": [{"name": "dp_tvae", "epsilon": 2, "training": training}],
        "exports": ["csv"],
    }
    chain.write_dataset(home, config | changes)
    return home


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a finished chain with both networks."""
    training = {"warm_start": False, "steps": 6}
    both = [{"name": method, "epsilon": 2, "training": training} for method in METHODS]
    home = people(tmp_path_factory.mktemp("trained") / "home", synthesizers=both)
    done = chain.run(home, "people")
    assert done.exit_code == 0, (done.error, done.failed_checks)
    return home


def test_the_network_reads_the_split_and_is_the_only_asset_that_can_spend(trained: Path) -> None:
    graph = chain.definitions(trained).resolve_asset_graph()
    for model in MODELS:
        key = dg.AssetKey(["people", model])
        assert {k.path[-1] for k in graph.get(key).parent_keys} == {"split"}
        assert graph.get(key).tags["zone"] == "release"
    names = {k.path[-1] for k in graph.get_all_asset_keys() if k.path[0] == "people"}
    assert "dp_measurements" not in names
    assert {
        n for n in names if "ledger" in graph.get(dg.AssetKey(["people", n])).assets_def.op.required_resource_keys
    } == set(MODELS)
    checks = {(c.asset_key.path[-1], c.name) for a in graph.assets_defs for c in a.check_specs if c.blocking}
    names_of_checks = ("budget", "accountant", "empirical", "canaries", "scan")
    assert {(model, name) for model in MODELS for name in names_of_checks} <= checks
    assert {k.path[-1] for k in graph.get(dg.AssetKey(["people", "privacy_budget"])).parent_keys} == set(MODELS)


def test_the_training_is_charged_once_and_reported(trained: Path) -> None:
    status = open_budget(trained).status("people")
    assert sorted((r.label, r.outcome) for r in status.releases) == sorted((f"people/{m}", "done") for m in MODELS)
    store = chain.store(trained)
    for method, model in zip(METHODS, MODELS, strict=True):
        folder = store.path(store.current(Zone.RELEASE, "people", model))
        privacy = json.loads((folder / "privacy.json").read_text())
        assert privacy["mechanism"] == method
        assert 1.98 < privacy["spent"]["epsilon"] <= 2
        assert {e["kind"] for e in privacy["events"]} == {"gaussian", "sampled_gaussian"}
        assert [a["scored_on"] for a in privacy["canaries"]] == ["noisy gradients", "sample"]
    report = store.path(store.current(Zone.RELEASE, "people", "report"))
    html = next(report.glob("*.html")).read_text()
    for method in METHODS:
        assert f"{method} was trained from noisy counts and noisy gradients alone" in html
    assert "Opacus, privacy random variables" in html
    again = chain.run(trained, "people", stages=["model", "synthetic"])
    assert again.exit_code == 0
    assert all(again.assets[model].reused for model in MODELS)
    assert len(open_budget(trained).status("people").releases) == 2


@pytest.mark.parametrize("method", METHODS)
def test_the_synthetic_table_is_whole(trained: Path, method: str) -> None:
    store = chain.store(trained)
    folder = store.path(store.current(Zone.RESTRICTED, "people", f"synthetic_{method}_people"))
    made = pq.read_table(sorted(folder.glob("part-*.parquet")))
    assert made.column_names == ["person_id", "age", "sex", "ill"]
    assert 300 < made.num_rows < 560  # about 0.6 of the rows
    assert made["person_id"].null_count == 0
    assert len(set(made["person_id"].to_pylist())) == made.num_rows


def test_several_tables_or_training_numbers_of_another_method_are_no_configuration(tmp_path: Path) -> None:
    two = {"a": {"source": {"path": "people.csv"}}, "b": {"source": {"path": "people.csv"}}}
    home = people(tmp_path / "home")
    for changes, words in (
        ({"tables": two, "source": None, "primary_key": [], "columns": {}, "target": None}, "models one table"),
        ({"synthesizers": [{"name": "dp_marginals", "training": {"steps": 5}}]}, "`training` is not for dp_marginals"),
    ):
        people(home, **changes)
        with pytest.raises(ConfigError, match=words):
            chain.loaded(home, "people")
