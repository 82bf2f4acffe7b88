"""Variants: further tables of a dataset under conditions, balanced, or behind real rows, which never leave the restricted zone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from synth_assets import api
from synth_assets.assets.variants import exportable, proven_variant
from synth_assets.assets.wiring import Wiring
from synth_assets.errors import InputError, MissingArtifactError, ReleaseRefusedError
from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain

STAGES = ("raw", "pii_classification", "split", "dp_measurements", "model", "synthetic", "variant")
VARIANTS = {
    "women": {"where": {"sex": "F", "age": "40.."}, "rows": 150},
    "even": {"balance": "ill", "rows": 200},
    "enriched": {"balance": "ill", "augment": True},
}


def config(**more: object) -> dict:
    return {
        "name": "ward",
        "owners": ["team:privacy"],
        "source": {"path": "../ward.csv"},
        "primary_key": "id",
        "target": "ill",
        "columns": {
            "sex": {"categories": ["F", "M"]},
            "age": {"lower": 18, "upper": 90},
            "ill": {"kind": "category", "categories": ["yes", "no"]},
        },
        "synthesizers": [{"name": "dp_marginals", "epsilon": 5, "delta": 1e-6}],
        "variants": VARIANTS,
        "exports": ["csv"],
        "thresholds": {"privacy_risk": None},
        **more,
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a finished chain of one table with three variants."""
    home = tmp_path_factory.mktemp("variants") / "home"
    (home / "configs").mkdir(parents=True)
    rng = np.random.default_rng(3)
    sick = rng.random(600) < 0.15
    rows = [
        f"{1000 + i},{'FM'[rng.integers(2)]},{int(np.clip(rng.normal(62 if s else 45, 12), 18, 90))},{'yes' if s else 'no'}"
        for i, s in enumerate(sick)
    ]
    (home / "configs" / "ward.csv").write_text("id,sex,age,ill\n" + "\n".join(rows) + "\n")
    chain.write_dataset(home, config())
    done = chain.run(home, "ward")
    assert done.exit_code == 0, (done.error, done.failed_checks)
    return home


def frame(home: Path, asset: str, zone: Zone = Zone.RESTRICTED) -> pd.DataFrame:
    store = chain.store(home)
    return pd.read_parquet(min(store.path(store.current(zone, "ward", asset)).glob("part-*.parquet")))


def test_variants_hold_what_the_yaml_asks_for_and_spend_nothing(made: Path) -> None:
    women, even = frame(made, "variant_women_ward"), frame(made, "variant_even_ward")
    assert len(women) == 150
    assert (women["sex"] == "F").all()
    assert women["age"].between(40, 90).all()
    assert even["ill"].value_counts().to_dict() == {"yes": 100, "no": 100}
    assert even["id"].is_unique
    assert len(api.open_budget(made).status("ward").releases) == 1


def test_an_augmented_table_is_the_training_rows_and_marked_synthetic_ones(made: Path) -> None:
    store = chain.store(made)
    train = pd.read_parquet(store.path(store.current(Zone.RESTRICTED, "ward", "split")) / "ward" / "train")
    whole = frame(made, "variant_enriched_ward")
    real = whole[~whole["is_synthetic"]].drop(columns="is_synthetic")
    pd.testing.assert_frame_equal(real.reset_index(drop=True), train[list(real)].reset_index(drop=True))
    assert whole["ill"].value_counts().nunique() == 1
    assert whole["id"].is_unique
    info = store.current(Zone.RESTRICTED, "ward", "variant_enriched_ward").info
    assert info["real_rows"] == len(train)


def test_no_export_has_real_rows_among_its_parents_and_none_is_written(made: Path) -> None:
    graph = chain.definitions(made).resolve_asset_graph()
    parents = {k.path[-1] for k in graph.get(dg.AssetKey(["ward", "export_csv"])).parent_keys}
    assert {p for p in parents if p.startswith("variant_")} == {"variant_women_ward", "variant_even_ward"}
    enriched = next(k for k in graph.get_all_asset_keys() if k.path[-1] == "variant_enriched_ward")
    assert graph.get(enriched).tags["zone"] == "restricted"
    assert not graph.get(enriched).child_keys
    store = chain.store(made)
    folder = store.path(store.current(Zone.RELEASE, "ward", "export_csv"))
    assert {p.parent.name for p in folder.rglob("*.csv")} == {"dp_marginals", "variant_women", "variant_even"}
    told = json.loads((folder / "variant_women" / "ward.csv-metadata.json").read_text())["provenance"]
    assert told["where"] == {"sex": ["F"], "age": ["40.."]}
    assert told["differentially_private"] is True
    assert not [p for p in (made / "var" / "release").rglob("*") if p.is_file() and b"is_synthetic" in p.read_bytes()]


def test_an_export_refuses_real_rows_and_tables_of_another_model(made: Path) -> None:
    wiring, store = Wiring(chain.loaded(made, "ward")), chain.store(made)
    audited = {"ward": store.current(Zone.RESTRICTED, "ward", "synthetic_dp_marginals_ward")}
    stage = SimpleNamespace(read=lambda zone, asset: store.current(zone, "ward", asset))
    assert exportable(wiring.config) == ("women", "even")
    assert proven_variant(stage, wiring, "even", audited)
    with pytest.raises(ReleaseRefusedError, match="real rows"):
        proven_variant(stage, wiring, "enriched", audited)
    other = {"ward": replace(audited["ward"], info={**audited["ward"].info, "model": "0" * 64})}
    with pytest.raises(ReleaseRefusedError, match="another model"):
        proven_variant(stage, wiring, "even", other)


def test_a_stored_model_is_sampled_again_by_the_name_of_its_dataset(made: Path, tmp_path: Path) -> None:
    before = api.open_budget(made).status("ward")
    first = api.sample("ward", tmp_path / "a.csv", where={"ill": "yes"}, rows=80, seed=3, home=made)
    again = api.sample("ward", tmp_path / "b.csv", where={"ill": "yes"}, rows=80, seed=3, home=made)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert first.rows == again.rows == {"ward": 80}
    assert first.classes[""] * first.model_rows == pytest.approx(0.15 * 480, rel=0.5)
    assert set(pd.read_csv(tmp_path / "a.csv")["ill"]) == {"yes"}
    assert api.open_budget(made).status("ward") == before


def test_rows_that_the_source_lacks_are_made_alone_or_behind_it(made: Path, tmp_path: Path) -> None:
    alone = api.sample("ward", balance="ill", top_up=True, home=made)
    table = alone.tables["ward"]
    assert isinstance(table, pd.DataFrame)
    assert set(table["ill"]) == {"yes"}
    assert alone.real_rows == 0
    source = made / "configs" / "ward.csv"
    told = api.sample("ward", tmp_path / "more.csv", balance="ill", augment=source, home=made)
    more = pd.read_csv(tmp_path / "more.csv")
    assert told.real_rows == 600 == (~more["is_synthetic"]).sum()
    assert more["ill"].value_counts().nunique() == 1
    provenance = json.loads((tmp_path / "more.csv-metadata.json").read_text())["provenance"]
    assert provenance["contains_real_rows"] is True
    assert provenance["differentially_private"] is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"top_up": True}, "needs the column"),
        ({"augment": "x.csv"}, "needs the column"),
        ({"balance": "ill", "top_up": True, "rows": 5}, "shares decide"),
        ({"balance": "ill", "augment": "x.csv", "where": {"sex": "F"}}, "class shares alone"),
        ({"rows": 0}, "at least 1"),
        ({"where": {"id": "1001"}}, "not modelled"),
    ],
)
def test_options_that_clash_are_one_clear_error(made: Path, options: dict, words: str) -> None:
    given = dict(options)
    balance, where = given.pop("balance", None), given.pop("where", None)
    with pytest.raises(InputError, match=words):
        api.sample("ward", balance=balance, where=where, home=made, **given)


def test_a_model_that_is_not_there_is_one_clear_error(made: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingArtifactError, match="not been materialised"):
        api.sample("nobody", home=made)
    with pytest.raises(InputError, match="holds no dp_marginals model"):
        api.sample(tmp_path, home=made)


def test_a_model_that_failed_its_check_is_not_sampled(made: Path, tmp_path: Path) -> None:
    home = chain.copy_home(made, tmp_path / "home")
    store = chain.store(home)
    ref = store.current(Zone.RELEASE, "ward", "model_dp_marginals")
    file = home / "var" / "release" / "ward" / "model_dp_marginals" / "verdict.json"
    verdict = json.loads(file.read_text())
    assert (verdict["content_hash"], verdict["passed"]) == (ref.content_hash, True)
    file.write_text(json.dumps({**verdict, "passed": False, "failed": ["scan"]}))
    with pytest.raises(ReleaseRefusedError, match="scan"):
        api.sample("ward", home=home)
