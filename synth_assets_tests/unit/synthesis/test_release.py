"""A release of related tables: valid keys, nothing of the data in the files, refusals, fresh processes, one seed one sample."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_assets.config.dataset import ColumnConfig
from synth_assets.config.sampling import checked_asked
from synth_assets.errors import BudgetExceededError, InputError, MissingArtifactError, ReleaseRefusedError
from synth_assets.privacy.accounting import epsilon_spent
from synth_assets.privacy.mechanisms import InsecureNoise, SystemNoise
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.protocol import ReleaseSpec, Synthesizer, SynthesizerModel, TableSpec
from synth_assets.synthesis.release import (
    DpMarginals,
    ReleaseMeasurements,
    ReleaseModel,
    fit_release,
    load_measurements,
    load_release,
    measure_release,
    plan_release,
)
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ForeignKey

ENGINE = Engine(threads=1)
CANARY = "canary@example.org"


def open_gate() -> None:
    """A reservation is open."""


def release(
    spec: ReleaseSpec, options: MarginalOptions, *, epsilon: float = 20.0, noise: Any = None
) -> ReleaseMeasurements:
    plan = plan_release(spec, epsilon=epsilon, delta=1e-6, options=options)
    noise = noise or SystemNoise()
    return measure_release(
        plan, engine=ENGINE, noise=noise, gate=open_gate, device="cpu", allow_insecure=not noise.secure
    )


def sampled(model: ReleaseModel, out: Path, *, rows: int | None = None, seed: int = 1) -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(folder) for name, folder in model.sample(rows=rows, seed=seed, out=out).items()}


@pytest.fixture
def family_spec(family: list[TableSpec]) -> ReleaseSpec:
    return ReleaseSpec(tables=tuple(family), unit=("patients", "id"), target=("patients", "sick"))


@pytest.fixture
def family_model(family_spec: ReleaseSpec, quick: MarginalOptions) -> ReleaseModel:
    return fit_release(release(family_spec, quick), seed=1, device="cpu")


# keys


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.sampled_from([None, 0, 1, 2, 57, 900]), seed=st.integers(0, 100))
def test_every_foreign_key_is_valid_and_every_primary_key_unique(
    family_model: ReleaseModel, tmp_path_factory: pytest.TempPathFactory, rows: int | None, seed: int
) -> None:
    made = sampled(family_model, tmp_path_factory.mktemp("out"), rows=rows, seed=seed)
    patients, visits, bills, doctors = (made[n] for n in ("patients", "visits", "bills", "doctors"))
    if rows is not None:
        assert len(patients) == rows
    assert patients["id"].tolist() == list(range(1, len(patients) + 1))
    assert visits["visit"].is_unique
    assert not bills.duplicated(["visit", "line"]).any()
    assert visits["patient"].isin(patients["id"]).all()
    assert visits["doctor"].isin(doctors["doctor"]).all()
    assert bills["visit"].isin(visits["visit"]).all()
    assert bills["patient"].isin(patients["id"]).all()


def test_a_row_that_names_two_of_its_ancestors_names_consistent_ones(
    family_model: ReleaseModel, tmp_path: Path
) -> None:
    made = sampled(family_model, tmp_path)
    joined = made["bills"].merge(made["visits"], on="visit")
    assert len(joined) == len(made["bills"]) > 100
    assert (joined["patient_x"] == joined["patient_y"]).all()


def test_line_numbers_count_within_their_parent(family_model: ReleaseModel, tmp_path: Path) -> None:
    bills = sampled(family_model, tmp_path)["bills"]
    first = bills.groupby("visit")["line"].agg(["min", "max", "size"])
    assert (first["min"] == 1).all()
    assert (first["max"] == first["size"]).all()


def test_a_self_reference_names_an_earlier_row(family_model: ReleaseModel, tmp_path: Path) -> None:
    patients = sampled(family_model, tmp_path)["patients"]
    named = patients[patients["referred_by"].notna()]
    assert len(named) == len(patients) - 1
    assert (named["referred_by"] < named["id"]).all()


def test_text_keys_are_new_tokens_and_columns_keep_their_order(family_model: ReleaseModel, tmp_path: Path) -> None:
    visits = sampled(family_model, tmp_path)["visits"]
    assert visits.columns.tolist() == ["visit", "patient", "place", "doctor"]
    assert visits["visit"].iloc[0] == "visits-00000001"


def test_children_depend_on_their_parent(family_spec: ReleaseSpec, tmp_path: Path) -> None:
    options = MarginalOptions(components=200, stage_steps=60, final_steps=300)
    made = sampled(fit_release(release(family_spec, options, epsilon=30), seed=1, device="cpu"), tmp_path, rows=3000)
    patients, visits = made["patients"], made["visits"]
    number = visits.groupby("patient").size().reindex(patients["id"], fill_value=0).to_numpy()
    sick = patients["sick"].to_numpy(dtype=bool)
    assert number[sick].mean() == pytest.approx(4.0, abs=0.4)
    assert number[~sick].mean() == pytest.approx(0.5, abs=0.2)
    ward = (
        visits.merge(patients, left_on="patient", right_on="id")
        .groupby("sick")["place"]
        .apply(lambda p: (p == "ward").mean())
    )
    assert ward[True] == pytest.approx(0.9, abs=0.1)
    assert ward[False] == pytest.approx(0.1, abs=0.12)


def test_two_references_may_form_a_primary_key(make_spec: Any, quick: MarginalOptions, tmp_path: Path) -> None:
    songs = make_spec(
        "songs", pa.table({"song": pa.array(range(60), pa.int64()), "genre": ["a", "b"] * 30}), primary_key=("song",)
    )
    lists = make_spec(
        "lists", pa.table({"list": pa.array(range(9), pa.int64()), "open": [True] * 9}), primary_key=("list",)
    )
    pairs = [(i % 9, j) for i in range(9) for j in range(0, 60, 2)]
    table = pa.table({"list": [p[0] for p in pairs], "song": [p[1] for p in pairs]})
    links = make_spec(
        "links", table, primary_key=("list", "song"), foreign_keys={"list": "lists.list", "song": "songs.song"}
    )
    made = sampled(
        fit_release(release(ReleaseSpec(tables=(links, songs, lists)), quick), seed=0, device="cpu"), tmp_path
    )
    assert len(made["links"]) > 100
    assert not made["links"].duplicated(["list", "song"]).any()
    assert made["links"]["song"].isin(made["songs"]["song"]).all()
    assert made["links"]["list"].isin(made["lists"]["list"]).all()


def test_a_composite_reference_names_an_existing_pair(make_spec: Any, quick: MarginalOptions, tmp_path: Path) -> None:
    orders = pa.table({"shop": ["s"] * 50, "number": pa.array(range(50), pa.int64()), "paid": [True, False] * 25})
    items = pa.table(
        {
            "item": pa.array(range(80), pa.int64()),
            "shop": ["s"] * 80,
            "number": pa.array([i % 50 for i in range(80)], pa.int64()),
        }
    )
    parent = make_spec("orders", orders, primary_key=("shop", "number"))
    key = ForeignKey(columns=("shop", "number"), parent_table="orders", parent_columns=("shop", "number"))
    child = make_spec("items", items, primary_key=("item",), foreign_keys=[key], columns=())
    made = sampled(fit_release(release(ReleaseSpec(tables=(child, parent)), quick), seed=0, device="cpu"), tmp_path)
    assert not made["orders"].duplicated(["shop", "number"]).any()
    assert len(made["items"].merge(made["orders"], on=["shop", "number"])) == len(made["items"]) > 20


# privacy


def test_a_release_refuses_repeatable_noise(family_spec: ReleaseSpec) -> None:
    plan = plan_release(family_spec, epsilon=1, delta=1e-6)
    with pytest.raises(ReleaseRefusedError, match="operating system"):
        measure_release(plan, engine=ENGINE, noise=InsecureNoise(0), gate=open_gate)


def test_a_release_stops_before_the_first_read_without_a_reservation(family_spec: ReleaseSpec) -> None:
    gone = tuple(t.model_copy(update={"path": t.path / "nowhere"}) for t in family_spec.tables)
    plan = plan_release(family_spec.model_copy(update={"tables": gone}), epsilon=1, delta=1e-6)

    def closed() -> None:
        raise BudgetExceededError("no reservation is open.")

    with pytest.raises(BudgetExceededError):
        measure_release(plan, engine=ENGINE, noise=SystemNoise(), gate=closed)


@pytest.mark.parametrize("unit", [("patients", "id"), None])
def test_what_ran_never_costs_more_than_the_plan(
    family: list[TableSpec], unit: tuple[str, str] | None, quick: MarginalOptions
) -> None:
    plan = plan_release(ReleaseSpec(tables=tuple(family), unit=unit), epsilon=1, delta=1e-6, options=quick)
    measured = measure_release(plan, engine=ENGINE, noise=SystemNoise(), gate=open_gate, device="cpu")
    assert epsilon_spent(measured.events, 1e-6) <= epsilon_spent(plan.events, 1e-6) <= 1
    for table in plan.tables:
        assert epsilon_spent(measured.tables[table.name].events, 1e-6) <= 1


def all_bytes(folder: Path) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


def test_no_rare_value_and_no_key_of_the_data_is_in_the_files(
    make_spec: Any, quick: MarginalOptions, tmp_path: Path
) -> None:
    rows = 400
    table = pa.table(
        {
            "id": [f"secret-key-{i}" for i in range(rows)],
            "kind": ["common"] * (rows - 1) + [CANARY],
            "note": [f"unique text {i}" for i in range(rows)],
            "amount": pa.array([*range(rows - 1), 987_654_321_012], pa.int64()),
        }
    )
    spec = ReleaseSpec(tables=(make_spec("t", table, primary_key=("id",)),))
    measured = release(spec, quick, epsilon=4)
    model = fit_release(measured, seed=0, device="cpu")
    measured.save(tmp_path / "measured")
    model.save(tmp_path / "model")
    model.sample(rows=None, seed=0, out=tmp_path / "out")
    written = b"".join(all_bytes(tmp_path / f) for f in ("measured", "model"))
    made = pd.read_parquet(tmp_path / "out" / "t").to_csv()
    assert b"common" in written  # the search would find a value
    for value in (CANARY, "secret-key-", "unique text", "987654321012"):
        assert value.encode() not in written
        assert value not in made
    assert b'"row_count": 400' not in written


def test_neighbours_give_equal_measurements_where_the_noise_hides_the_difference(
    make_spec: Any, people: pa.Table, people_configs: dict[str, ColumnConfig], quick: MarginalOptions
) -> None:
    """One row more with a new category, a new maximum and a missing value changes no shape, bin or choice, only single counts by 1."""
    more = pa.table(
        {"group": ["new"], "score": [10**6], "amount": pa.array([None], pa.float64()), "outcome": [None]},
        schema=people.schema,
    )
    results = []
    for table in (people, pa.concat_tables([people, more])):
        spec = ReleaseSpec(tables=(make_spec("people", table, configs=people_configs),))
        results.append(release(spec, quick, epsilon=1, noise=InsecureNoise(3)).tables["people"])
    first, second = results
    assert first.columns == second.columns
    assert first.budget == second.budget
    for name in first.ones:
        difference = second.ones[name] - first.ones[name]
        assert np.abs(difference).sum() == 1


# files, seeds, processes


def test_a_model_loaded_in_a_fresh_process_samples_the_same_bytes(family_model: ReleaseModel, tmp_path: Path) -> None:
    family_model.save(tmp_path / "model")
    family_model.sample(rows=200, seed=5, out=tmp_path / "here")
    code = (
        "from pathlib import Path; from synth_assets.synthesis.release import load_release; "
        f"load_release(Path({str(tmp_path / 'model')!r})).sample(rows=200, seed=5, out=Path({str(tmp_path / 'there')!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert all_bytes(tmp_path / "here") == all_bytes(tmp_path / "there")


def test_stored_measurements_give_the_same_model(
    family_spec: ReleaseSpec, quick: MarginalOptions, tmp_path: Path
) -> None:
    measured = release(family_spec, quick)
    measured.save(tmp_path / "m")
    again = load_measurements(tmp_path / "m")
    assert again.events == measured.events
    assert again.notes == measured.notes
    for i, m in enumerate((measured, again)):
        fit_release(m, seed=3, device="cpu").save(tmp_path / str(i))
    assert all_bytes(tmp_path / "0") == all_bytes(tmp_path / "1")


def test_one_seed_gives_one_sample_and_another_seed_another(family_model: ReleaseModel, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        family_model.sample(rows=50, seed=seed, out=tmp_path / name)
    assert all_bytes(tmp_path / "a") == all_bytes(tmp_path / "b") != all_bytes(tmp_path / "c")


def test_missing_files_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifactError):
        load_release(tmp_path)


def test_fit_and_sample_do_not_know_the_tables() -> None:
    code = (
        "import sys, synth_assets.synthesis.marginals.fit, synth_assets.synthesis.marginals.sample; "
        "wrong = [m for m in sys.modules if m.startswith('synth_assets.tables') or m in ('torch', 'duckdb', 'ibis')]; "
        "assert not wrong, wrong"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_synthesizer_keeps_the_protocol(family_spec: ReleaseSpec, quick: MarginalOptions, tmp_path: Path) -> None:
    synthesizer: Synthesizer[ReleaseMeasurements] = DpMarginals()
    assert synthesizer.differentially_private
    model: SynthesizerModel = synthesizer.fit(release(family_spec, quick), seed=0)
    model.save(tmp_path / "model")
    assert set(synthesizer.load(tmp_path / "model").sample(rows=3, seed=0, out=tmp_path / "out")) == {
        "patients",
        "visits",
        "bills",
        "doctors",
    }


# kinds of columns


def test_types_and_spelling_of_the_schema_are_kept(make_spec: Any, quick: MarginalOptions, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = 800
    start = np.datetime64("2015-01-01")
    admitted = start + rng.integers(0, 900, rows)
    table = pa.table(
        {
            "code": pa.array(rng.choice([1, 2, 7], rows), pa.int64()),
            "zip": pa.array([f"{z:05d}" for z in rng.integers(0, 3, rows)], pa.string()),
            "price": pa.array(np.round(rng.gamma(2, 40, rows), 2), pa.float64()),
            "in": pa.array(admitted, pa.date32()),
            "out": pa.array(admitted + rng.integers(0, 20, rows), pa.date32()),
            "seen": pa.array((admitted + np.timedelta64(9, "h")).astype("datetime64[us]"), pa.timestamp("us")),
        }
    )
    configs = {
        "code": ColumnConfig(categories=("1", "2", "7")),
        "zip": ColumnConfig(categories=("00000", "00001", "00002")),
    }
    spec = make_spec("visits", table, configs=configs, orders=[("in", "out")])
    measured = release(ReleaseSpec(tables=(spec,)), quick, epsilon=20)
    folder = fit_release(measured, seed=0, device="cpu").sample(rows=500, seed=0, out=tmp_path)["visits"]
    made = pq.read_table(folder / "part-00000.parquet")
    assert made.schema.equals(table.schema)
    assert set(made.column("code").drop_null().to_pylist()) <= {1, 2, 7}
    assert set(made.column("zip").drop_null().to_pylist()) <= {"00000", "00001", "00002"}
    prices = np.array(made.column("price").drop_null().to_pylist())
    # the number of digits is measured under noise: a few values may get one more
    assert (np.round(prices, 2) == prices).mean() > 0.9
    both = [
        (a, b) for a, b in zip(made.column("in").to_pylist(), made.column("out").to_pylist(), strict=True) if a and b
    ]
    assert len(both) > 400
    assert all(a <= b for a, b in both)
    hours = {t.hour for t in made.column("seen").drop_null().to_pylist()}
    assert len(hours) > 1  # within a day the hour is not modelled, only how round it is


def test_an_empty_table_and_a_table_of_nulls_are_released(
    make_spec: Any, quick: MarginalOptions, tmp_path: Path
) -> None:
    empty = pa.table({"id": pa.array([], pa.int64()), "x": pa.array([], pa.string())})
    nulls = pa.table({"id": pa.array(range(50), pa.int64()), "y": pa.array([None] * 50, pa.float64())})
    spec = ReleaseSpec(tables=(make_spec("a", empty, primary_key=("id",)), make_spec("b", nulls, primary_key=("id",))))
    made = sampled(fit_release(release(spec, quick), seed=0, device="cpu"), tmp_path, rows=20)
    assert len(made["a"]) == 20
    assert made["a"].columns.tolist() == ["id", "x"]
    assert made["b"]["y"].isna().mean() > 0.7


# conditions


def test_conditions_on_the_unit_hold_and_children_follow_their_parents(
    family_model: ReleaseModel, tmp_path: Path
) -> None:
    strata = family_model.strata(checked_asked({"patients.sick": True}, None), seed=2)
    folders = family_model.sample(rows=400, seed=1, out=tmp_path / "asked", strata=strata)
    made = {name: pd.read_parquet(folder) for name, folder in folders.items()}
    assert made["patients"]["sick"].tolist() == [True] * 400
    assert made["visits"]["patient"].isin(made["patients"]["id"]).all()
    assert made["bills"]["visit"].isin(made["visits"]["visit"]).all()
    plain = sampled(family_model, tmp_path / "plain", rows=2_000)
    sick = plain["patients"].loc[plain["patients"]["sick"], "id"]
    visits = plain["visits"][plain["visits"]["patient"].isin(sick)]
    assert len(made["visits"]) / 400 == pytest.approx(len(visits) / len(sick), rel=0.1)
    assert (made["visits"]["place"] == "ward").mean() == pytest.approx((visits["place"] == "ward").mean(), abs=0.06)


def test_balanced_units_come_in_chunks_with_the_shares_of_the_whole(
    family_model: ReleaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth_assets.synthesis.release_sample.CHUNK_PARENTS", 30)
    strata = family_model.strata(checked_asked(None, "sick"), seed=2)
    folders = family_model.sample(rows=101, seed=1, out=tmp_path, strata=strata)
    assert sorted(pd.read_parquet(folders["patients"])["sick"].value_counts()) == [50, 51]


def test_a_condition_on_a_child_names_the_table_to_ask(family_model: ReleaseModel) -> None:
    for name in ("visits.place", "place"):
        with pytest.raises(InputError, match="follows 'patients'"):
            family_model.strata(checked_asked({name: "ward"}, None), seed=1)
