"""The Gaussian copula behind the protocol: keys join, references that a parent shares agree, sampling repeats, own references hold."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.errors import InputError
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, TableSchema

pytest.importorskip("sdv", reason="the optional package SDV is not installed")


def number(name):
    return ColumnSchema(name=name, kind=ColumnKind.NUMBER, dtype="int64")


def text(name, kind=ColumnKind.CATEGORY):
    return ColumnSchema(name=name, kind=kind, dtype="string")


def reference(column, table, parent):
    return ForeignKey(columns=(column,), parent_table=table, parent_columns=(parent,))


SCHEMAS = {
    "person": TableSchema(
        name="person", columns=(text("pid", ColumnKind.ID), number("age"), text("sex"), text("boss", ColumnKind.ID)),
        primary_key=("pid",), foreign_keys=(reference("boss", "person", "pid"),),
    ),
    "visit": TableSchema(
        name="visit", columns=(number("vid"), text("pid", ColumnKind.ID), number("cost")), primary_key=("vid",),
        foreign_keys=(reference("pid", "person", "pid"),),
    ),
    "claim": TableSchema(
        name="claim", columns=(number("cid"), number("vid"), text("pid", ColumnKind.ID), number("paid")), primary_key=("cid",),
        foreign_keys=(reference("vid", "visit", "vid"), reference("pid", "person", "pid")),
    ),
}  # fmt: skip
MODELLED = {"person": ("age", "sex"), "visit": ("cost",), "claim": ("paid",)}


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    rng = np.random.default_rng(3)
    people, visits, claims = 120, 300, 400
    pid = [f"P{i}" for i in range(people)]
    person = pd.DataFrame(
        {"pid": pid, "age": rng.integers(0, 90, people), "sex": rng.choice(["F", "M"], people), "boss": pid}
    )
    visit = pd.DataFrame({"vid": range(visits), "pid": rng.choice(pid, visits), "cost": rng.integers(1, 900, visits)})
    claim = pd.DataFrame(
        {"cid": range(claims), "vid": rng.integers(0, visits, claims), "paid": rng.integers(1, 99, claims)}
    )
    claim["pid"] = visit.pid.to_numpy()[claim.vid]
    tables = []
    for name, frame in {"person": person, "visit": visit, "claim": claim}.items():
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / f"{name}.parquet")
        tables.append(
            TableSpec(table=SCHEMAS[name], path=folder / f"{name}.parquet", columns=MODELLED[name], unit_column=None)
        )
    return ReleaseSpec(tables=tuple(tables))


@pytest.fixture(scope="module")
def model(spec):
    from synth_assets.synthesis.sdv_models import GaussianCopula

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return GaussianCopula().fit(spec, seed=5)


@pytest.fixture(scope="module")
def sampled(model, tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folders = model.sample(rows=None, seed=1, out=tmp_path_factory.mktemp("synthetic"))
    return {name: pd.read_parquet(folder) for name, folder in folders.items()}


def test_every_column_of_the_schema_that_is_modelled_or_a_key_is_there_in_its_type(sampled):
    for name, frame in sampled.items():
        assert list(frame.columns) == list(SCHEMAS[name].names)
        for column in SCHEMAS[name].columns:
            assert pd.api.types.is_integer_dtype(frame[column.name]) == (column.dtype == "int64")


def test_all_foreign_keys_find_a_parent(sampled):
    assert set(sampled["person"].boss) <= set(sampled["person"].pid)
    assert set(sampled["visit"].pid) <= set(sampled["person"].pid)
    assert set(sampled["claim"].vid) <= set(sampled["visit"].vid)


def test_a_reference_that_the_parent_shares_agrees_with_it(sampled):
    joined = sampled["claim"].merge(sampled["visit"], on="vid", suffixes=("", "_of_visit"))
    assert (joined.pid == joined.pid_of_visit).all()


def test_primary_keys_are_unique_and_new(sampled):
    for name, frame in sampled.items():
        assert frame[SCHEMAS[name].primary_key[0]].is_unique
    assert not set(sampled["person"].pid) & {f"P{i}" for i in range(120)}


def test_a_saved_model_samples_the_same_rows(model, sampled, tmp_path):
    from synth_assets.synthesis.sdv_models import GaussianCopula

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(tmp_path)
        again = GaussianCopula().load(tmp_path).sample(rows=None, seed=1, out=tmp_path / "out")
    for name, folder in again.items():
        pd.testing.assert_frame_equal(pd.read_parquet(folder), sampled[name])


def test_a_table_without_rows_is_a_clear_error(spec, tmp_path):
    from synth_assets.synthesis.sdv_models import GaussianCopula

    empty = pq.read_table(spec.table("person").path).slice(0, 0)
    pq.write_table(empty, tmp_path / "empty.parquet")
    table = spec.table("person").model_copy(update={"path": tmp_path / "empty.parquet"})
    with pytest.raises(InputError, match="no row to learn from"):
        GaussianCopula().fit(ReleaseSpec(tables=(table,)), seed=5)
