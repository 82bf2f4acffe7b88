"""PAR behind the protocol: rows of one entity in time order, what does not change about it, and keys that join."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from synth_assets.config.dataset import SynthesizerConfig
from synth_assets.config.plain import tables_fault
from synth_assets.errors import InputError
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.sdv_options import NetworkOptions, plain_synthesizer
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, TableSchema

pytest.importorskip("sdv", reason="the optional package SDV is not installed")

PEOPLE = 40


def number(name):
    return ColumnSchema(name=name, kind=ColumnKind.NUMBER, dtype="int64")


def text(name, kind=ColumnKind.CATEGORY):
    return ColumnSchema(name=name, kind=kind, dtype="string")


DAY = ColumnSchema(name="day", kind=ColumnKind.DATE, dtype="date32[day]")
END = ColumnSchema(name="end", kind=ColumnKind.DATE, dtype="date32[day]")
OWN = (text("person", ColumnKind.ID), DAY, END, number("score"), text("mood"), text("sex"), number("blank"))
ALONE = TableSchema(name="diary", columns=(number("entry"), *OWN), primary_key=("entry",))
BELOW = ALONE.model_copy(
    update={"foreign_keys": (ForeignKey(columns=("person",), parent_table="people", parent_columns=("pid",)),)}
)
ABOVE = TableSchema(
    name="people", columns=(text("pid", ColumnKind.ID), number("age"), text("sex")), primary_key=("pid",)
)
MODELLED = ("day", "end", "score", "mood", "sex", "blank")


def real():
    rng = np.random.default_rng(4)
    sexes = rng.choice(["F", "M"], PEOPLE)
    owner = np.repeat(np.arange(PEOPLE), 2 + np.arange(PEOPLE) % 4)
    rows = len(owner)
    first = np.array([dt.date(2024, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 200, PEOPLE)])
    step = np.concatenate([np.arange(n) for n in np.unique(owner, return_counts=True)[1]])
    day = [first[o] + dt.timedelta(days=7 * int(s)) for o, s in zip(owner, step, strict=True)]
    frame = pd.DataFrame({
        "entry": range(rows), "person": [f"P{o}" for o in owner], "_unit": [f"u{o}" for o in owner], "day": day,
        "end": [d + dt.timedelta(days=int(n)) for d, n in zip(day, rng.integers(0, 5, rows), strict=True)],
        "score": rng.integers(0, 50, rows), "mood": rng.choice(np.array(["good", "bad", None], dtype=object), rows), "sex": sexes[owner],
        "blank": pd.array([None] * rows, dtype="Int64"),
    }).sample(frac=1, random_state=1)  # fmt: skip
    people = pd.DataFrame(
        {
            "pid": [f"P{i}" for i in range(PEOPLE + 10)],
            "age": rng.integers(0, 90, PEOPLE + 10),
            "sex": rng.choice(["F", "M"], PEOPLE + 10),
        }
    )
    return frame, people


def table_of(frame, schema):
    types = {"int64": pa.int64(), "string": pa.string(), "date32[day]": pa.date32()}
    arrays = {c.name: pa.Array.from_pandas(frame[c.name], type=types[c.dtype]) for c in schema.columns}
    return pa.table(arrays | ({"_unit": pa.array(frame["_unit"])} if "_unit" in frame else {}))


def spec_of(folder, schema, frame, **more):
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table_of(frame, schema), folder / "part-00000.parquet")
    given = (
        {"columns": MODELLED, "sequence_order": "day", "orders": (("day", "end"),)} if schema.name == "diary" else {}
    )
    return TableSpec(**{"table": schema, "path": folder, "columns": ("age", "sex"), **given, **more})


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    table = spec_of(tmp_path_factory.mktemp("alone"), ALONE, real()[0])
    return ReleaseSpec(tables=(table,), unit=("diary", "person"))


@pytest.fixture(scope="module")
def related(tmp_path_factory):
    folder = tmp_path_factory.mktemp("related")
    frame, people = real()
    return ReleaseSpec(
        tables=(spec_of(folder / "d", BELOW, frame), spec_of(folder / "p", ABOVE, people)), unit=("people", "pid")
    )


@pytest.fixture(scope="module")
def par():
    return plain_synthesizer(SynthesizerConfig(name="par", network={"epochs": 12}))


@pytest.fixture(scope="module")
def models(par, alone, related):
    return {"alone": par.fit(alone, seed=5), "related": par.fit(related, seed=5)}


@pytest.fixture(scope="module")
def made(models, tmp_path_factory):
    out = tmp_path_factory.mktemp("synthetic")
    return {
        kind: {n: pq.read_table(f) for n, f in model.sample(rows=None, seed=1, out=out / kind).items()}
        for kind, model in models.items()
    }


@pytest.mark.parametrize("kind", ["alone", "related"])
def test_every_column_comes_back_in_its_type_and_place(made, kind):
    expected = table_of(real()[0], ALONE).drop_columns(["_unit"]).schema
    assert made[kind]["diary"].schema.names == expected.names
    assert made[kind]["diary"].schema.types == expected.types


@pytest.mark.parametrize("kind", ["alone", "related"])
def test_rows_of_one_entity_stand_together_in_the_order_of_time(made, kind):
    frame = made[kind]["diary"].to_pandas()
    groups = frame.groupby("person", sort=False)
    assert (groups["day"].apply(lambda d: d.is_monotonic_increasing)).all()
    assert (frame["person"] != frame["person"].shift()).sum() == frame["person"].nunique()
    assert groups.size().between(2, 5).all()
    assert groups.size().nunique() > 1


@pytest.mark.parametrize("kind", ["alone", "related"])
def test_declared_orders_categories_bounds_and_missing_values_hold(made, kind):
    frame, (original, _) = made[kind]["diary"].to_pandas(), real()
    assert (frame.day <= frame.end).all()
    assert set(frame.mood.dropna()) <= {"good", "bad"}
    assert frame.mood.isna().any()
    assert frame.score.between(original.score.min(), original.score.max()).all()
    assert frame.blank.isna().all()


def test_what_does_not_change_within_a_unit_does_not_change_in_the_sample(made):
    frame = made["alone"]["diary"].to_pandas()
    assert (frame.groupby("person")["sex"].nunique() == 1).all()
    assert frame.person.nunique() == PEOPLE
    assert not set(frame.person) & {f"P{i}" for i in range(PEOPLE)}


def test_all_rows_find_their_parent_and_some_parents_have_none(made):
    people, diary = made["related"]["people"].to_pandas(), made["related"]["diary"].to_pandas()
    assert len(people) == PEOPLE + 10
    assert people.pid.is_unique
    assert diary.entry.is_unique
    assert set(diary.person) < set(people.pid)


def test_rows_are_of_the_root_table(models, tmp_path):
    alone = models["alone"].sample(rows=57, seed=1, out=tmp_path / "a")
    assert pq.read_table(alone["diary"]).num_rows == 57
    related = models["related"].sample(rows=7, seed=1, out=tmp_path / "r")
    assert pq.read_table(related["people"]).num_rows == 7


@pytest.mark.parametrize("kind", ["alone", "related"])
def test_the_same_seed_gives_the_same_rows_after_storing_and_another_one_others(par, models, made, tmp_path, kind):
    models[kind].save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"model.json", "state.json", "state.safetensors"}
    loaded = par.load(tmp_path)
    for name, folder in loaded.sample(rows=None, seed=1, out=tmp_path / "same").items():
        assert pq.read_table(folder).equals(made[kind][name])
    other = loaded.sample(rows=None, seed=2, out=tmp_path / "other")
    assert not pq.read_table(other["diary"]).equals(made[kind]["diary"])


def test_training_again_with_the_same_seed_gives_the_same_model(par, alone, made, tmp_path):
    again = par.fit(alone, seed=5).sample(rows=None, seed=1, out=tmp_path)
    assert pq.read_table(again["diary"]).equals(made["alone"]["diary"])


def test_of_more_entities_than_can_be_learned_a_choice_is(par, alone, monkeypatch, tmp_path):
    from synth_assets.synthesis import sdv_par

    monkeypatch.setattr(sdv_par, "MOST_ENTITIES", 5)
    frame = pq.read_table(par.fit(alone, seed=1).sample(rows=None, seed=1, out=tmp_path)["diary"]).to_pandas()
    assert frame.person.nunique() == PEOPLE


def test_the_report_hears_epochs(par, alone):
    heard = []
    par.fit(alone, seed=1, report=lambda what, fraction: heard.append((what, fraction)))
    assert heard[-1] == ("training par: epoch 12 of 12, 0 s left", 1.0)


def _with_infinity(folder):
    frame = table_of(real()[0], ALONE)
    scores = pa.array([float("inf"), *frame["score"].to_pylist()[1:]], pa.float64())
    pq.write_table(frame.set_column(frame.schema.get_field_index("score"), "score", scores), folder / "part-0.parquet")
    return folder


def test_what_it_cannot_learn_is_a_clear_error(par, alone, tmp_path):
    table = alone.tables[0]
    for update, words in (
        ({"sequence_order": "entry"}, "is not modelled"),
        ({"sequence_order": "mood"}, "neither numbers nor dates nor times"),
        ({"path": _with_infinity(tmp_path)}, "infinite numbers"),
        ({"sequence_order": "blank"}, "no row with a parent and a time"),
        ({"sequence_order": None}, "`sequence_order` of exactly one table"),
    ):
        with pytest.raises(InputError, match=words):
            par.fit(ReleaseSpec(tables=(table.model_copy(update=update),), unit=alone.unit), seed=1)


def test_the_tables_that_it_can_take_are_told_with_a_remedy():
    assert "exactly one table" in tables_fault("par", {"a": []}, sequences=[], unit_table="a")
    assert "exactly one table" in tables_fault("par", {"a": [], "b": ["a"]}, sequences=["a", "b"])
    assert "one table and its parent" in tables_fault("par", {"a": [], "b": ["a"], "c": ["a"]}, sequences=["b"])
    assert "one table and its parent" in tables_fault("par", {"a": [], "b": ["a"]}, sequences=["a"])
    assert "`unit: a.COLUMN`" in tables_fault("par", {"a": []}, sequences=["a"])
    assert tables_fault("par", {"a": []}, sequences=["a"], unit_table="a") is None
    assert tables_fault("par", {"a": [], "b": ["a"]}, sequences=["b"], unit_table=None) is None


def test_numbers_of_training_are_epochs_alone():
    assert NetworkOptions.of("par").epochs == 128
    with pytest.raises(ValidationError, match="leave `batch_size` out"):
        SynthesizerConfig(name="par", network={"batch_size": 100})
