"""CTGAN, TVAE and CopulaGAN behind the protocol: exact types, declared orders, missing values, seeds, silence, and storage without pickle."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from synth_assets.config.dataset import SynthesizerConfig
from synth_assets.errors import InputError, UnexpectedError
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.sdv_options import NetworkOptions, plain_synthesizer
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

pytest.importorskip("sdv", reason="the optional package SDV is not installed")

NAMES = ("ctgan", "tvae", "copulagan")
ROWS = 211
SCHEMA = TableSchema(
    name="stay",
    columns=(
        ColumnSchema(name="stay_id", kind=ColumnKind.ID, dtype="string"),
        ColumnSchema(name="age", kind=ColumnKind.NUMBER, dtype="int64"),
        ColumnSchema(name="cost", kind=ColumnKind.NUMBER, dtype="double", decimals=2),
        ColumnSchema(name="sex", kind=ColumnKind.CATEGORY, dtype="string"),
        ColumnSchema(name="ward", kind=ColumnKind.CATEGORY, dtype="int64"),
        ColumnSchema(name="urgent", kind=ColumnKind.BOOLEAN, dtype="bool"),
        ColumnSchema(name="admitted", kind=ColumnKind.DATE, dtype="date32[day]"),
        ColumnSchema(name="discharged", kind=ColumnKind.DATE, dtype="date32[day]"),
        ColumnSchema(name="seen", kind=ColumnKind.DATETIME, dtype="timestamp[us]"),
    ),
    primary_key=("stay_id",),
)
MODELLED = SCHEMA.names[1:]
ORDERS = (("admitted", "discharged"),)


def real_rows(rows=ROWS):
    rng = np.random.default_rng(5)
    admitted = [dt.date(2024, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 300, rows)]
    frame = {
        "stay_id": [f"S{i}" for i in range(rows)],
        "age": [None if i % 9 == 0 else int(a) for i, a in enumerate(rng.integers(0, 90, rows))],
        "cost": rng.gamma(2.0, 500.0, rows).round(2),
        "sex": rng.choice(np.array(["F", "M", None], dtype=object), rows),
        "ward": rng.integers(1, 4, rows) * 10,
        "urgent": [None if i % 20 == 0 else bool(b) for i, b in enumerate(rng.integers(0, 2, rows))],
        "admitted": [None if i % 30 == 0 else d for i, d in enumerate(admitted)],
        "discharged": [d + dt.timedelta(days=int(n)) for d, n in zip(admitted, rng.integers(0, 20, rows), strict=True)],
        "seen": [dt.datetime(2024, 1, 1) + dt.timedelta(minutes=int(m)) for m in rng.integers(0, 9999, rows)],
    }
    types = {"int64": pa.int64(), "double": pa.float64(), "string": pa.string(), "bool": pa.bool_()}
    types |= {"date32[day]": pa.date32(), "timestamp[us]": pa.timestamp("us")}
    return pa.table({c.name: pa.array(list(frame[c.name]), types[c.dtype]) for c in SCHEMA.columns})


def spec_of(table, folder, *, schema=SCHEMA, orders=ORDERS):
    pq.write_table(table, folder / "part-00000.parquet")
    columns = tuple(n for n in schema.names if n not in schema.primary_key)
    return ReleaseSpec(tables=(TableSpec(table=schema, path=folder, columns=columns, unit_column=None, orders=orders),))


def synthesizer(name, epochs=2):
    return plain_synthesizer(SynthesizerConfig(name=name, network={"epochs": epochs, "batch_size": 50}))


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return spec_of(real_rows(), tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def models(spec):
    return {name: synthesizer(name).fit(spec, seed=5) for name in NAMES}


@pytest.fixture(scope="module")
def tables(models, tmp_path_factory):
    out = tmp_path_factory.mktemp("synthetic")
    return {
        name: pq.read_table(model.sample(rows=400, seed=1, out=out / name)["stay"]) for name, model in models.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_column_comes_back_in_the_type_of_the_schema(tables, name):
    expected = dict(zip(real_rows(1).schema.names, real_rows(1).schema.types, strict=True))
    assert dict(zip(tables[name].schema.names, tables[name].schema.types, strict=True)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_values_are_of_the_real_categories_and_within_the_real_bounds(tables, name):
    real, made = real_rows().to_pandas(), tables[name].to_pandas()
    for column in ("sex", "ward", "urgent"):
        assert set(made[column].dropna()) <= set(real[column].dropna())
    for column in ("age", "cost", "seen"):
        assert made[column].min() >= real[column].min()
        assert made[column].max() <= real[column].max()
    assert (made.cost * 100).round(6).mod(1).eq(0).all()


@pytest.mark.parametrize("name", NAMES)
def test_missing_values_are_made_where_there_are_some_and_only_there(tables, name):
    missing = {n: tables[name][n].null_count for n in MODELLED}
    assert missing["cost"] == missing["ward"] == missing["seen"] == 0
    assert missing["age"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_declared_order_holds_in_every_row(tables, name):
    made = tables[name].to_pandas().dropna(subset=["admitted", "discharged"])
    assert len(made) > 100
    assert (made.admitted <= made.discharged).all()


@pytest.mark.parametrize("name", NAMES)
def test_rows_can_be_asked_for_and_keys_are_new(models, tables, tmp_path, name):
    assert tables[name].num_rows == 400
    assert pq.read_table(models[name].sample(rows=None, seed=1, out=tmp_path)["stay"]).num_rows == ROWS
    keys = set(tables[name]["stay_id"].to_pylist())
    assert len(keys) == 400
    assert not keys & {f"S{i}" for i in range(ROWS)}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_rows_and_another_one_others(spec, models, tables, tmp_path, name):
    again = synthesizer(name).fit(spec, seed=5)
    other = synthesizer(name).fit(spec, seed=6)
    drawn = [
        pq.read_table(m.sample(rows=400, seed=1, out=tmp_path / n)["stay"]) for m, n in ((again, "a"), (other, "b"))
    ]
    assert drawn[0].equals(tables[name])
    assert not drawn[1].equals(tables[name])
    assert not pq.read_table(models[name].sample(rows=400, seed=2, out=tmp_path / "c")["stay"]).equals(tables[name])


def test_the_random_states_of_the_process_are_left_alone(spec, models, tmp_path):
    import torch

    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002  the state that is at stake
    synthesizer("tvae", epochs=1).fit(spec, seed=1)
    models["ctgan"].sample(rows=5, seed=3, out=tmp_path)
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before  # noqa: NPY002


def test_nothing_is_printed_warned_or_logged_and_the_report_hears_epochs_without_a_loss(spec, capfd, caplog):
    heard = []
    with warnings.catch_warnings(), caplog.at_level("DEBUG"):
        warnings.simplefilter("error")
        synthesizer("ctgan", epochs=4).fit(spec, seed=1, report=lambda what, fraction: heard.append((what, fraction)))
    assert capfd.readouterr() == ("", "")
    assert not [r for r in caplog.records if not r.name.startswith("synth_assets")]
    assert [round(f, 2) for _, f in heard] == [0.25, 0.5, 0.75, 1.0]
    assert heard[-1][0] == "training ctgan: epoch 4 of 4, 0 s left"
    assert not [what for what, _ in heard if "loss" in what]


SECRET = "mary.poppins@example.org"


def test_an_error_of_the_library_that_quotes_a_value_is_withheld(spec, monkeypatch):
    from sdv.single_table import CTGANSynthesizer

    def fail(*_):
        raise ValueError(f"cannot convert {SECRET}")

    monkeypatch.setattr(CTGANSynthesizer, "fit", fail)
    with pytest.raises(UnexpectedError, match="ValueError in training ctgan") as caught:
        synthesizer("ctgan").fit(spec, seed=1)
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_model_has_no_pickle_no_row_and_no_row_number(models, tmp_path, name):
    from safetensors.numpy import load_file

    models[name].save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"model.json", "state.json", "state.safetensors"}
    arrays = load_file(tmp_path / "state.safetensors")
    assert not [
        n for n, a in arrays.items() if a.dtype.kind in "iu" and a.size > 60
    ]  # weights are floats, row numbers are not
    assert not [n for n, a in arrays.items() if a.size in {ROWS, ROWS * len(MODELLED)}]
    state = json.loads((tmp_path / "state.json").read_text())
    assert not [n for n in _lengths(state) if n >= ROWS]
    assert "_rid_by_cat_cols" not in json.dumps(state) or _attribute(state, "_rid_by_cat_cols")["v"] == []


def _lengths(value):
    if isinstance(value, dict):
        for v in value.values():
            yield from _lengths(v)
    elif isinstance(value, list):
        yield len(value)
        for v in value:
            yield from _lengths(v)


def _attribute(value, name):
    if isinstance(value, list):
        if len(value) == 2 and value[0] == name:
            return value[1]
        value = dict(enumerate(value))
    if isinstance(value, dict):
        return next((f for v in value.values() if (f := _attribute(v, name)) is not None), None)
    return None


LOADING = """
import sys
from pathlib import Path
from synth_assets.config.dataset import SynthesizerConfig
from synth_assets.synthesis.sdv_options import plain_synthesizer
for name in sys.argv[2:]:
    folder = Path(sys.argv[1]) / name
    plain_synthesizer(SynthesizerConfig(name=name)).load(folder).sample(rows=400, seed=1, out=folder / "out")
"""


def test_a_fresh_process_draws_the_same_rows_and_leaves_nothing_in_the_home_folder(models, tables, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    for name in NAMES:
        models[name].save(tmp_path / name)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(tmp_path), *NAMES],
        env={**kept, "HOME": str(home), "OMP_NUM_THREADS": "2"},  # the number of threads must not matter
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for name in NAMES:
        assert pq.read_table(tmp_path / name / "out" / "stay").equals(tables[name])
    assert not [p for p in home.rglob("*") if "sdv" in p.name]


@pytest.fixture
def saved(models, tmp_path):
    models["tvae"].save(tmp_path)
    return tmp_path


@pytest.mark.parametrize("file", ["state.json", "state.safetensors"])
def test_a_changed_file_is_refused(saved, file):
    content = bytearray((saved / file).read_bytes())
    content[-2] = (content[-2] + 1) % 256
    (saved / file).write_bytes(bytes(content))
    with pytest.raises(InputError, match="a hash differs"):
        synthesizer("tvae").load(saved)


def test_a_model_of_other_library_versions_is_refused(saved):
    record = json.loads((saved / "model.json").read_text())
    record["libraries"]["rdt"] = "0.0.1"
    (saved / "model.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"other versions.*Train the model again"):
        synthesizer("tvae").load(saved)


def test_a_file_that_names_a_foreign_class_makes_nothing(saved):
    from synth_assets.storage.hashing import hash_file

    state = (saved / "state.json").read_text()
    (saved / "state.json").write_text(state.replace("sdv.single_table.ctgan:TVAESynthesizer", "subprocess:Popen"))
    record = json.loads((saved / "model.json").read_text())
    record["sha256"]["state.json"] = hash_file(saved / "state.json")
    (saved / "model.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="a class that no model has"):
        synthesizer("tvae").load(saved)


def test_a_method_that_an_object_does_not_have_is_refused():
    from synth_assets.synthesis.sdv_state import _Reader

    with pytest.raises(InputError, match="a method that its object does not have"):
        _Reader({}).read({"t": "method", "of": {"n": 0, "t": "dict", "v": []}, "v": "__class__"})


def test_of_more_rows_than_are_learned_a_choice_is(monkeypatch, spec, tmp_path):
    from synth_assets.synthesis import sdv_models

    monkeypatch.setattr(sdv_models, "MAX_FIT_ROWS", 20)
    made = synthesizer("tvae", epochs=1).fit(spec, seed=1).sample(rows=None, seed=1, out=tmp_path)
    assert pq.read_table(made["stay"]).num_rows == ROWS


def test_an_object_that_only_pickle_could_store_is_refused(tmp_path):
    from synth_assets.synthesis.sdv_state import save_state

    with pytest.raises(UnexpectedError, match="cannot be stored without pickle"):
        save_state(tmp_path, {"a": ROWS.to_bytes}, {})
    with pytest.raises(UnexpectedError, match="cannot be stored without pickle"):
        save_state(tmp_path, {"a": subprocess.Popen.__new__(subprocess.Popen)}, {})


def test_more_categories_than_a_network_can_take_are_a_clear_error(tmp_path):
    schema = TableSchema(name="t", columns=(ColumnSchema(name="code", kind=ColumnKind.CATEGORY, dtype="string"),))
    spec = spec_of(pa.table({"code": [f"c{i}" for i in range(2001)]}), tmp_path, schema=schema, orders=())
    with pytest.raises(InputError, match=r"column 'code'.*more than 2,000.*gaussian_copula"):
        synthesizer("ctgan").fit(spec, seed=1)


def test_what_no_network_can_learn_is_a_clear_error(tmp_path):
    schema = TableSchema(name="t", columns=(ColumnSchema(name="x", kind=ColumnKind.NUMBER, dtype="double"),))
    for values, words in (([1.0], "a single row"), ([1.0, float("inf"), 2.0], r"column 'x'.*infinite numbers")):
        with pytest.raises(InputError, match=words):
            synthesizer("tvae").fit(spec_of(pa.table({"x": values}), tmp_path, schema=schema, orders=()), seed=1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["all missing", "constant", "year 9999", "huge"])
def test_odd_columns_come_back_as_they_are(tmp_path, name, case):
    kind, dtype = {"year 9999": (ColumnKind.DATE, "date32[day]")}.get(case, (ColumnKind.NUMBER, "int64"))
    value = {"all missing": None, "constant": 7, "year 9999": dt.date(9999, 12, 31), "huge": 2**52}[case]
    schema = TableSchema(name="t", columns=(ColumnSchema(name="x", kind=kind, dtype=dtype),))
    values = pa.array([value] * 20, pa.date32() if kind == ColumnKind.DATE else pa.int64())
    model = synthesizer(name, epochs=1).fit(
        spec_of(pa.table({"x": values}), tmp_path, schema=schema, orders=()), seed=1
    )
    assert set(pq.read_table(model.sample(rows=9, seed=1, out=tmp_path / "out")["t"])["x"].to_pylist()) == {value}


def test_a_table_smaller_than_a_step_is_learned_all_the_same(tmp_path):
    spec = spec_of(real_rows(12), tmp_path)
    for name in NAMES:
        made = plain_synthesizer(SynthesizerConfig(name=name, network={"epochs": 1})).fit(spec, seed=1)
        assert pq.read_table(made.sample(rows=7, seed=1, out=tmp_path / name)["stay"]).num_rows == 7


def test_numbers_of_training_have_defaults_of_their_own():
    assert NetworkOptions.of("ctgan") == NetworkOptions(epochs=300, batch_size=500)
    assert NetworkOptions.of("ctgan", SynthesizerConfig(name="ctgan", network={"epochs": 7}).network).epochs == 7
    with pytest.raises(ValidationError, match="multiple of 10"):
        SynthesizerConfig(name="ctgan", network={"batch_size": 55})
    with pytest.raises(ValidationError, match="`network` is not for dp_marginals"):
        SynthesizerConfig(name="dp_marginals", network={"epochs": 7})
