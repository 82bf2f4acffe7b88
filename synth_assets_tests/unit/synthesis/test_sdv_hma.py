"""HMA behind the protocol: every reference finds its row, children resemble their parents, and SDV's limits are told before it works."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.config.dataset import SynthesizerConfig
from synth_assets.config.plain import families, tables_fault
from synth_assets.errors import InputError
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.sdv_options import plain_synthesizer
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, TableSchema

pytest.importorskip("sdv", reason="the optional package SDV is not installed")


def number(name, dtype="int64"):
    return ColumnSchema(name=name, kind=ColumnKind.NUMBER, dtype=dtype)


def text(name, kind=ColumnKind.CATEGORY):
    return ColumnSchema(name=name, kind=kind, dtype="string")


def reference(column, table, parent):
    return ForeignKey(columns=(column,), parent_table=table, parent_columns=(parent,))


SCHEMAS = {
    "visit": TableSchema(  # a child before its parent, a second parent, and a name with SDV's own separator
        name="visit",
        columns=(number("vid"), text("pid", ColumnKind.ID), number("doctor"), number("cost__usd"), number("start"), number("end"), text("kind")),
        primary_key=("vid",),
        foreign_keys=(reference("pid", "person", "pid"), reference("doctor", "doctor", "did")),
    ),
    "person": TableSchema(
        name="person", columns=(text("pid", ColumnKind.ID), number("age"), text("sex"), text("boss", ColumnKind.ID)),
        primary_key=("pid",), foreign_keys=(reference("boss", "person", "pid"),),
    ),
    "doctor": TableSchema(name="doctor", columns=(number("did"), text("grade")), primary_key=("did",)),
}  # fmt: skip
MODELLED = {"person": ("age", "sex"), "visit": ("cost__usd", "start", "end", "kind"), "doctor": ("grade",)}
ORDERS = {"visit": (("start", "end"),)}
PEOPLE = 80


@pytest.fixture(scope="module")
def real():
    rng = np.random.default_rng(3)
    pid = [f"P{i}" for i in range(PEOPLE)]
    old = rng.random(PEOPLE) < 0.5
    person = pd.DataFrame(
        {
            "pid": pid,
            "age": np.where(old, 80, 20) + rng.integers(0, 9, PEOPLE),
            "sex": rng.choice(["F", "M"], PEOPLE),
            "boss": pid,
        }
    )
    counts = np.where(old, 4, 1) * (np.arange(PEOPLE) % 8 != 0)  # every eighth has no visit
    owner = np.repeat(np.arange(PEOPLE), counts)
    visits = len(owner)
    start = rng.integers(0, 300, visits)
    visit = pd.DataFrame({
        "vid": range(visits), "pid": np.array(pid)[owner], "doctor": rng.integers(0, 5, visits),
        "cost__usd": np.where(old[owner], 900, 100) + rng.integers(0, 50, visits),
        "start": start, "end": start + rng.integers(0, 20, visits), "kind": rng.choice(["call", "stay"], visits),
    })  # fmt: skip
    doctor = pd.DataFrame({"did": range(5), "grade": list("abcab")})
    return {"visit": visit, "person": person, "doctor": doctor}


@pytest.fixture(scope="module")
def spec(real, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    tables = []
    for name, frame in real.items():
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / f"{name}.parquet")
        tables.append(
            TableSpec(
                table=SCHEMAS[name], path=folder / f"{name}.parquet", columns=MODELLED[name], unit_column=None, orders=ORDERS.get(name, ()),
            )
        )  # fmt: skip
    return ReleaseSpec(tables=tuple(tables))


@pytest.fixture(scope="module")
def hma():
    return plain_synthesizer(SynthesizerConfig(name="hma"))


@pytest.fixture(scope="module")
def model(hma, spec):
    return hma.fit(spec, seed=5)


@pytest.fixture(scope="module")
def made(model, tmp_path_factory):
    folders = model.sample(rows=None, seed=1, out=tmp_path_factory.mktemp("synthetic"))
    return {name: pd.read_parquet(folder) for name, folder in folders.items()}


def test_every_column_is_there_in_its_type(made):
    for name, frame in made.items():
        assert list(frame.columns) == list(SCHEMAS[name].names)
        for column in SCHEMAS[name].columns:
            assert pd.api.types.is_integer_dtype(frame[column.name]) == (column.dtype == "int64")


def test_all_references_find_their_row_and_keys_are_unique_and_new(made):
    assert set(made["visit"].pid) <= set(made["person"].pid)
    assert set(made["visit"].doctor) <= set(made["doctor"].did)
    assert set(made["person"].boss) <= set(made["person"].pid)
    for name, frame in made.items():
        assert frame[SCHEMAS[name].primary_key[0]].is_unique
    assert not set(made["person"].pid) & {f"P{i}" for i in range(PEOPLE)}


def test_parents_have_as_many_children_and_of_the_kind_of_theirs(real, made):
    assert len(made["person"]) == PEOPLE
    assert len(made["visit"]) == pytest.approx(len(real["visit"]), rel=0.25)
    joined = made["visit"].merge(made["person"], on="pid")
    old, young = joined[joined.age > 60], joined[joined.age < 40]
    assert old["cost__usd"].mean() > young["cost__usd"].mean() + 200


def test_children_of_two_parents_are_no_copies_of_each_other(made):
    assert made["visit"]["start"].nunique() > 30


def test_a_declared_order_holds_in_every_row(made):
    assert (made["visit"]["start"] <= made["visit"]["end"]).all()


def test_rows_are_of_the_root_tables(model, tmp_path):
    folders = model.sample(rows=20, seed=1, out=tmp_path)
    assert len(pd.read_parquet(folders["person"])) == 20
    assert 5 < len(pd.read_parquet(folders["visit"])) < 120


def test_a_stored_model_samples_the_same_rows_and_holds_no_row(hma, model, made, tmp_path):
    from safetensors.numpy import load_file

    model.save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"model.json", "state.json", "state.safetensors"}
    again = hma.load(tmp_path).sample(rows=None, seed=1, out=tmp_path / "out")
    for name, folder in again.items():
        pd.testing.assert_frame_equal(pd.read_parquet(folder), made[name])
    assert not [
        n for n, a in load_file(tmp_path / "state.safetensors").items() if a.size in {PEOPLE, len(made["visit"])}
    ]
    text = (tmp_path / "state.json").read_text() + json.dumps(json.loads((tmp_path / "model.json").read_text()))
    assert "P17" not in text


def test_another_seed_gives_other_rows(model, made, tmp_path):
    other = model.sample(rows=None, seed=2, out=tmp_path)
    assert not pd.read_parquet(other["person"]).equals(made["person"])


def test_the_report_hears_how_far_it_is(hma, spec):
    heard = []
    hma.fit(spec, seed=5, report=lambda what, fraction: heard.append(what))
    assert heard[0].startswith("training hma: part 1 of ")


def test_of_more_parents_than_can_be_learned_a_choice_is_with_all_their_children(hma, spec, monkeypatch, tmp_path):
    from synth_assets.synthesis import sdv_hma

    monkeypatch.setattr(sdv_hma, "MOST_ROOTS", 25)
    folders = hma.fit(spec, seed=1).sample(rows=None, seed=1, out=tmp_path)
    assert len(pd.read_parquet(folders["person"])) == PEOPLE
    assert len(pd.read_parquet(folders["visit"])) > PEOPLE


def test_a_child_table_without_a_column_of_its_own_is_counted(hma, spec, tmp_path):
    bare = spec.table("visit").model_copy(update={"columns": (), "orders": ()})
    tables = tuple(bare if t.name == "visit" else t for t in spec.tables)
    folders = hma.fit(ReleaseSpec(tables=tables), seed=1).sample(rows=None, seed=1, out=tmp_path)
    visit = pd.read_parquet(folders["visit"])
    assert set(visit.columns) == {"vid", "pid", "doctor"}
    assert set(visit.pid) <= set(pd.read_parquet(folders["person"]).pid)


def test_no_row_with_a_parent_is_a_clear_error(hma, spec, real, tmp_path):
    pq.write_table(
        pa.Table.from_pandas(real["visit"].assign(pid="nobody"), preserve_index=False), tmp_path / "v.parquet"
    )
    lost = spec.table("visit").model_copy(update={"path": tmp_path / "v.parquet"})
    with pytest.raises(InputError, match="'visit' has no row with a parent"):
        hma.fit(ReleaseSpec(tables=tuple(lost if t.name == "visit" else t for t in spec.tables)), seed=1)


def test_more_columns_than_sdv_can_take_are_a_clear_error(hma, tmp_path):
    parent = TableSchema(name="a", columns=(number("i"),), primary_key=("i",))
    names = [f"x{i}" for i in range(45)]
    child = TableSchema(name="b", columns=(number("i"), *map(number, names)), foreign_keys=(reference("i", "a", "i"),))
    rng = np.random.default_rng(0)
    pq.write_table(pa.table({"i": list(range(3))}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"i": [0, 1, 2], **{n: rng.integers(0, 9, 3) for n in names}}), tmp_path / "b.parquet")
    tables = (
        TableSpec(table=parent, path=tmp_path / "a.parquet", columns=(), unit_column=None),
        TableSpec(table=child, path=tmp_path / "b.parquet", columns=tuple(names), unit_column=None),
    )
    with pytest.raises(InputError, match=r"more than 1,000 columns for table 'a'.*gaussian_copula"):
        hma.fit(ReleaseSpec(tables=tables), seed=1)


def test_tables_hang_together_by_their_first_reference():
    parents = {"claim": ["visit"], "visit": ["person", "doctor"], "person": [], "doctor": [], "note": ["person"]}
    assert set(map(frozenset, families(parents))) == {
        frozenset({"person", "visit", "note", "claim"}),
        frozenset({"doctor"}),
    }
    family = next(f for f in families(parents) if "person" in f)
    assert family.index("person") < family.index("visit") < family.index("claim")
    assert families({"a": ["b"], "b": ["a"]}) == ()


def test_sdvs_limits_are_told_with_a_remedy():
    assert "no table here refers to another" in tables_fault("hma", {"a": [], "b": []})
    deep = tables_fault("hma", {"a": [], "b": ["a"], "c": ["b"]})
    assert "limits hma to 2 levels" in deep
    assert "'c' is a child of a child" in deep
    assert "dp_marginals" in deep
    assert "limits hma to 5 tables" in tables_fault("hma", {"a": [], **{n: ["a"] for n in "bcdef"}})
    assert tables_fault("hma", {"a": [], **{n: ["a"] for n in "bcde"}, "z": []}) is None


def test_the_limits_are_those_of_the_library():
    """Where a later SDV takes more, ours should too."""
    from sdv.errors import SynthesizerInputError
    from sdv.metadata import Metadata
    from sdv.multi_table import HMASynthesizer

    def metadata(parents):
        key = {"sdtype": "id"}
        tables = {
            t: {"primary_key": "i", "columns": {"i": key, **({"p": key} if p else {})}} for t, p in parents.items()
        }
        links = [
            {"parent_table_name": p[0], "parent_primary_key": "i", "child_table_name": t, "child_foreign_key": "p"}
            for t, p in parents.items() if p
        ]  # fmt: skip
        return Metadata.load_from_dict({"tables": tables, "relationships": links})

    HMASynthesizer(metadata({"a": [], **{n: ["a"] for n in "bcde"}}), verbose=False)
    for beyond in ({"a": [], "b": ["a"], "c": ["b"]}, {"a": [], **{n: ["a"] for n in "bcdef"}}):
        with pytest.raises(SynthesizerInputError):
            HMASynthesizer(metadata(beyond), verbose=False)
