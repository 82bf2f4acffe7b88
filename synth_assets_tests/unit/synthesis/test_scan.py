"""The scan of stored releases: it passes honest folders, and finds every place in which a row, an id or a value could hide."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from synth_assets.config.dataset import ColumnConfig
from synth_assets.privacy.mechanisms import SystemNoise
from synth_assets.synthesis.marginals.measurements import read_arrays, write_arrays
from synth_assets.synthesis.marginals.options import MarginalOptions
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.release import ReleaseMeasurements, fit_release, measure_release, plan_release
from synth_assets.synthesis.release_plan import ReleasePlan
from synth_assets.synthesis.scan import scan_measurements, scan_model
from synth_assets.tables.engine import Engine

ENGINE = Engine(threads=1)
SECRET = "canary@example.org"


def stored(spec: ReleaseSpec, options: MarginalOptions, folder: Path) -> tuple[ReleasePlan, ReleaseMeasurements]:
    plan = plan_release(spec, epsilon=20, delta=1e-6, options=options)
    measured = measure_release(plan, engine=ENGINE, noise=SystemNoise(), gate=lambda: None, device="cpu")
    measured.save(folder / "measured")
    fit_release(measured, seed=1, device="cpu").save(folder / "model")
    return plan, measured


@pytest.fixture
def one(make_spec: Any, people: pa.Table, people_configs: dict[str, ColumnConfig]) -> ReleaseSpec:
    """One table; `group` is declared, the rest of its domain is measured."""
    configs = {"group": people_configs["group"]}
    return ReleaseSpec(tables=(make_spec("people", people, configs=configs),), target=("people", "outcome"))


@pytest.fixture
def folders(one: ReleaseSpec, quick: MarginalOptions, tmp_path: Path) -> tuple[ReleasePlan, ReleaseMeasurements, Path]:
    return *stored(one, quick, tmp_path), tmp_path


@pytest.mark.parametrize("which", ["one", "related", "undeclared dates", "no columns"])
def test_an_honest_release_passes(
    which: str, one: ReleaseSpec, family: list[TableSpec], make_spec: Any, quick: MarginalOptions, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    start = np.datetime64("2015-01-01") + rng.integers(0, 2000, 800)
    dates = pa.table(
        {
            "in": pa.array(start, pa.date32()),
            "out": pa.array(start + rng.integers(0, 40, 800), pa.date32()),
            "at": pa.array(
                start.astype("datetime64[us]") + rng.integers(0, 86_400, 800) * np.timedelta64(1, "s"),
                pa.timestamp("us"),
            ),
            "pay": pa.array(np.round(rng.normal(0, 4000, 800), 2), pa.float64()),
            "kind": pa.array(rng.choice(["x", "y"], 800).tolist(), pa.string()),
        }
    )
    spec = {
        "one": one,
        "related": ReleaseSpec(tables=tuple(family), unit=("patients", "id"), target=("patients", "sick")),
        "undeclared dates": ReleaseSpec(
            tables=(make_spec("stays", dates, orders=[("in", "out")], configs={"pay": ColumnConfig(lower=-12_345.5)}),)
        ),
        "no columns": ReleaseSpec(tables=(make_spec("ids", pa.table({"id": [1, 2]}), primary_key=("id",)),)),
    }[which]
    plan, measured = stored(spec, quick, tmp_path)
    assert scan_measurements(tmp_path / "measured", plan) == ()
    assert scan_model(tmp_path / "model", measured) == ()


def edit_json(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    record = json.loads(file.read_text())
    change(record)
    file.write_text(json.dumps(record, indent=1, sort_keys=True))


def edit_arrays(file: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    arrays = read_arrays(file)
    change(arrays)
    write_arrays(file, arrays)


def with_metadata(file: Path) -> None:
    from safetensors.numpy import load, save

    file.write_bytes(save(load(file.read_bytes()), metadata={"note": SECRET}))


def a_pickle(folder: Path) -> None:
    (folder / "extra.pkl").write_bytes(b"\x80\x04]" + SECRET.encode())


def a_link(folder: Path) -> None:
    (folder / "table-000" / "rows").symlink_to("/etc/hostname")


def record_of(folder: Path) -> Path:
    return next(p for p in (folder / "table-000").iterdir() if p.suffix == ".json")


def arrays_of(folder: Path) -> Path:
    return next(p for p in (folder / "table-000").iterdir() if p.suffix == ".safetensors")


def column(record: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in record["columns"] if c["name"] == name)
    return found


def rare_category(record: dict[str, Any]) -> None:
    column(record, "group")["categories"][0] = SECRET


def exact_maximum(record: dict[str, Any]) -> None:
    """The last cell ends where the largest value of the data is."""
    cells = column(record, "score")
    cells["edges"][-1] = cells["edges"][-1] - 1


EVERYWHERE: dict[str, Callable[[Path], None]] = {
    "a pickle": a_pickle,
    "a link": a_link,
    "ids in the record": lambda f: edit_json(record_of(f), lambda r: r.update(row_ids=[17, 4])),
    "an array of n values": lambda f: edit_arrays(arrays_of(f), lambda a: a.update(rows=np.arange(2000))),
    "a text in the arrays' header": lambda f: with_metadata(arrays_of(f)),
    "bytes after the end": lambda f: arrays_of(f).write_bytes(arrays_of(f).read_bytes() + SECRET.encode()),
    "spaces that spell": lambda f: record_of(f).write_text(record_of(f).read_text() + " \t "),
    "a category of the data": lambda f: edit_json(record_of(f), rare_category),
    "a maximum of the data": lambda f: edit_json(record_of(f), exact_maximum),
    "the number of rows": lambda f: edit_json(
        f / "release.json", lambda r: r["links"]["tables"][0]["table"].update(row_count=2000)
    ),
    "digits after the point": lambda f: edit_json(
        f / "release.json", lambda r: r["links"]["tables"][0]["table"]["columns"][2].update(decimals=2)
    ),
    "a damaged file": lambda f: arrays_of(f).write_bytes(b"no arrays"),
}


@pytest.mark.parametrize("where", EVERYWHERE)
def test_what_is_hidden_in_measurements_is_found(
    where: str, folders: tuple[ReleasePlan, ReleaseMeasurements, Path]
) -> None:
    plan, _, base = folders
    EVERYWHERE[where](base / "measured")
    found = scan_measurements(base / "measured", plan)
    assert found
    assert SECRET not in str(found)


@pytest.mark.parametrize("where", EVERYWHERE)
def test_what_is_hidden_in_a_model_is_found(where: str, folders: tuple[ReleasePlan, ReleaseMeasurements, Path]) -> None:
    _, measured, base = folders
    EVERYWHERE[where](base / "model")
    found = scan_model(base / "model", measured)
    assert found
    assert SECRET not in str(found)


IN_MEASUREMENTS: dict[str, Callable[[Path], None]] = {
    "a note that quotes": lambda f: edit_json(f / "release.json", lambda r: r["notes"].append(SECRET)),
    "more events": lambda f: edit_json(f / "release.json", lambda r: r["events"].extend(r["events"])),
    "floats in place of counts": lambda f: edit_arrays(arrays_of(f), lambda a: a.update({"one/0": a["one/0"][:2]})),
    "a longer table of bins": lambda f: edit_arrays(arrays_of(f), lambda a: a.update({"group/1": np.arange(2000)})),
    "an open column": lambda f: edit_json(record_of(f), lambda r: column(r, "outcome").update(open=True)),
    "rows as a table of pairs": lambda f: edit_arrays(
        arrays_of(f), lambda a: a.update({"pair/0": np.arange(2000).reshape(1, 2000, 1)})
    ),
}


@pytest.mark.parametrize("where", IN_MEASUREMENTS)
def test_what_only_measurements_have_is_checked(
    where: str, folders: tuple[ReleasePlan, ReleaseMeasurements, Path]
) -> None:
    plan, _, base = folders
    IN_MEASUREMENTS[where](base / "measured")
    assert scan_measurements(base / "measured", plan)


IN_MODELS: dict[str, Callable[[Path], None]] = {
    "values as probabilities": lambda f: edit_arrays(
        arrays_of(f), lambda a: a.update({"inside/1": np.arange(a["inside/1"].size, dtype=np.float64)})
    ),
    "a row per component": lambda f: edit_arrays(
        arrays_of(f), lambda a: a.update(weights=np.full(2000, 1 / 2000, np.float32))
    ),
    "other bins": lambda f: edit_arrays(arrays_of(f), lambda a: a.update({"group/1": a["group/1"] * 0})),
    "the exact number of rows": lambda f: edit_json(record_of(f), lambda r: r.update(rows=r["rows"] + 1)),
    "rows as effects on the target": lambda f: edit_arrays(
        arrays_of(f), lambda a: a.update({"target/effect/0": np.zeros((1, 2000), np.float32)})
    ),
    "an effect that is no number": lambda f: edit_arrays(
        arrays_of(f), lambda a: a.update({"target/effect/0": a["target/effect/0"] * np.float32(np.nan)})
    ),
    "a pair that was not measured": lambda f: edit_arrays(
        arrays_of(f),
        lambda a: a.update({"target/pairs": np.array([[0, 0]]), "target/pair/0": np.zeros((1, 2, 2), np.float32)}),
    ),
    "shares beyond 1": lambda f: edit_arrays(arrays_of(f), lambda a: a.update({"target/share": a["target/share"] + 1})),
}


@pytest.mark.parametrize("where", IN_MODELS)
def test_what_only_a_model_has_is_checked(where: str, folders: tuple[ReleasePlan, ReleaseMeasurements, Path]) -> None:
    _, measured, base = folders
    IN_MODELS[where](base / "model")
    assert scan_model(base / "model", measured)


def test_a_model_of_another_kind_is_no_dp_model(
    folders: tuple[ReleasePlan, ReleaseMeasurements, Path], tmp_path: Path
) -> None:
    """Negative control: a pickled library model, which holds rows."""
    _, measured, _ = folders
    (tmp_path / "copula").mkdir()
    (tmp_path / "copula" / "model.pkl").write_bytes(b"\x80\x04}" + SECRET.encode())
    assert scan_model(tmp_path / "copula", measured) == ("the folder cannot be read as a model.",)


def test_what_passes_the_scan_holds_no_raw_value(folders: tuple[ReleasePlan, ReleaseMeasurements, Path]) -> None:
    """A search for every rare value, beside the proof; `a`, `b` and `c` are declared."""
    plan, _, base = folders
    import pyarrow.parquet as pq

    amounts = {f"{v:.2f}" for v in pq.read_table(plan.spec.tables[0].path).column("amount").drop_null().to_pylist()}
    written = b"".join(p.read_bytes() for p in base.rglob("*.json") if p.is_file())
    assert not [a for a in amounts if len(a) > 5 and f'"{a}"'.encode() in written]


@pytest.mark.parametrize("where", ["a file", "a key", "an array"])
def test_what_the_storing_code_itself_hides_is_found(
    where: str, folders: tuple[ReleasePlan, ReleaseMeasurements, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `save` that adds the same thing every time gives the same bytes when it is called again."""
    from synth_assets.synthesis.release import ReleaseModel

    _, measured, base = folders
    real = ReleaseModel.save

    def hoarding(self: ReleaseModel, folder: Path) -> None:
        real(self, folder)
        if where == "a file":
            (folder / "rows.json").write_text("[17, 4]")
        elif where == "a key":
            edit_json(record_of(folder), lambda r: r.update(row_ids=[17, 4]))
        else:
            edit_arrays(arrays_of(folder), lambda a: a.update(rows=np.arange(2000)))

    monkeypatch.setattr(ReleaseModel, "save", hoarding)
    fit_release(measured, seed=1, device="cpu").save(base / "hoard")
    assert scan_model(base / "hoard", measured)
