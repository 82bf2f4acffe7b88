"""Generation as a whole: integrity, ranges, the same bytes, whole files or none."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.config.generation import GenerationSchema
from synth_assets.errors import ConfigError, InputError
from synth_assets.generation import generate, make_tables, stream
from synth_assets.storage.hashing import hash_file

EVERY_TYPE = {
    "id": {"type": "sequence", "prefix": "N", "width": 6}, "seq": {"type": "sequence", "start": 10}, "u": {"type": "uuid"},
    "badge": {"type": "pattern", "pattern": "B-####-??", "unique": True}, "tag": {"type": "pattern", "pattern": "#"},
    "sex": {"type": "enum", "values": ["F", "M"]}, "level": {"type": "enum", "values": [1, 2, 3], "weights": [1, 1, 8]},
    "first": {"type": "first_name"}, "last": {"type": "last_name"}, "full": {"type": "full_name"},
    "email": {"type": "email", "unique": True}, "user": {"type": "username"}, "page": {"type": "url"},
    "street": {"type": "street_address", "unique": True}, "city": {"type": "city"}, "state": {"type": "state"}, "zip": {"type": "zip"},
    "phone": {"type": "phone", "unique": True}, "fax": {"type": "fax"}, "job": {"type": "job"}, "firm": {"type": "company"},
    "whole": {"type": "number", "minimum": -3, "maximum": 9},
    "part": {"type": "number", "distribution": "normal", "mean": 0, "std": 2, "minimum": -3, "maximum": 3, "decimals": 2},
    "amount": {"type": "amount", "median": 20, "sigma": 1, "maximum": 500}, "flag": {"type": "boolean", "probability": 0.3},
    "day": {"type": "date", "start": "2024-02-28", "end": "2024-03-01"}, "time": {"type": "datetime", "start": "day", "end": "day + 1"},
    "later": {"type": "formula", "formula": "day + whole + 3"}, "double": {"type": "formula", "formula": "2 * whole", "decimals": 0},
    "dx": {"type": "icd10", "sex": "sex", "age": "whole"}, "dept": {"type": "lookup", "code": "dx", "field": "department"},
    "px": {"type": "procedure"}, "price": {"type": "lookup", "code": "px", "field": "price"},
    "ssn": {"type": "ssn"}, "npi": {"type": "npi", "pool": 5}, "card": {"type": "card_number", "unique": False},
    "note": {"type": "text", "templates": ["{full} paid {amount} on {day}", {"text": "{whole} only", "condition": "whole > 0"}]},
    "gap": {"type": "number", "minimum": 0, "maximum": 1, "decimals": 3, "missing": 0.5}, "secret": {"type": "uuid", "hidden": True},
    "kids": {"type": "rollup", "table": "children"},
    "oldest": {"type": "rollup", "table": "children", "column": "age", "function": "max"},
    "sum": {"type": "rollup", "table": "children", "column": "age", "function": "sum"},
}  # fmt: skip


def family(rows: int = 200, mean: float | str = 2, **extra: object) -> GenerationSchema:
    tables = {
        "parents": {"rows": rows, "primary_key": "id", "columns": EVERY_TYPE},
        "children": {
            "parent": "parents", "children": {"distribution": "poisson", "mean": mean, "maximum": 30}, "primary_key": "cid",
            "columns": {
                "cid": {"type": "sequence"}, "pid": {"type": "foreign_key", "references": "parents.id"},
                "age": {"type": "number", "minimum": 0, "maximum": "10 + parents.level"},
                "shop": {"type": "foreign_key", "references": "shops.id", "distribution": "zipf"},
                "line": {"type": "text", "templates": ["{age} of {parents.full}"]},
            },
        },
        "grandchildren": {
            "parent": "children", "children": {"distribution": "uniform", "minimum": 0, "maximum": "min(age, 3)"},
            "columns": {
                "pid": {"type": "foreign_key", "references": "parents.id"},
                "cid": {"type": "foreign_key", "references": "children.cid"},
            },
        },
        "shops": {"rows": 7, "columns": {"id": {"type": "uuid"}}},
    }  # fmt: skip
    return GenerationSchema.model_validate({"name": "family", "tables": {**tables, **extra}})


def values(table: pa.Table, column: str) -> list[object]:
    return list(table[column].to_pylist())


@given(st.integers(0, 2**40), st.integers(1, 120))
@settings(max_examples=12)
def test_every_child_has_its_parent_and_every_rule_holds(seed: int, rows: int) -> None:
    made = make_tables(family(), seed=seed, rows=rows)
    parents, children, grand = (made[t].to_pandas() for t in ("parents", "children", "grandchildren"))
    assert len(parents) == rows
    assert set(children["pid"]) <= set(parents["id"])
    assert set(children["shop"]) <= set(made["shops"]["id"].to_pylist())
    by_child = dict(zip(children["cid"], children["pid"], strict=True))
    assert [by_child[c] for c in grand["cid"]] == grand["pid"].tolist()  # the grandparent is the parent's parent
    for column in ("id", "seq", "u", "badge", "email", "street", "phone", "ssn"):
        assert parents[column].is_unique
    assert parents["whole"].between(-3, 9).all()
    assert parents["part"].between(-3, 3).all()
    assert (parents["later"] == parents["day"] + np.array([dt.timedelta(int(w) + 3) for w in parents["whole"]])).all()
    assert (parents["double"] == 2 * parents["whole"]).all()
    assert (parents["full"] == parents["first"] + " " + parents["last"]).all()
    sizes = children.groupby("pid")["age"].agg(["size", "max", "sum"]).reindex(parents["id"]).fillna(0)
    assert (sizes.to_numpy() == parents[["kids", "oldest", "sum"]].to_numpy()).all()
    assert "secret" not in parents


def test_every_type_has_its_form() -> None:
    table = make_tables(family(), seed=3, rows=400)["parents"]
    assert {str(f.type) for f in table.schema} <= {"int64", "double", "string", "bool", "date32[day]", "timestamp[us]"}
    forms = {
        "id": r"N\d{6}", "badge": r"B-\d{4}-[A-Z]{2}", "tag": r"\d", "email": r"[a-z._]+\d+@example\.(com|org|net)", "zip": r"\d{5}",
        "phone": r"\d{3}-555-\d{4}", "ssn": r"9\d\d-[0-4]\d-\d{4}", "page": r"https://www\.example\.org/[a-z._]+\d+", "npi": r"2\d{9}",
        "street": r"\d+ [A-Z][A-Za-z ]+( (Apt|Unit) \d+)?",
    }  # fmt: skip
    for column, form in forms.items():
        assert all(re.fullmatch(form, v) for v in table[column].to_pylist()), column
    assert values(table, "seq") == list(range(10, 410))
    assert set(values(table, "npi")).__len__() <= 5
    assert set(values(table, "level")) == {1, 2, 3}
    assert 0.6 < np.mean(np.array(values(table, "level")) == 3) < 0.95
    assert {str(d) for d in values(table, "day")} == {"2024-02-28", "2024-02-29", "2024-03-01"}
    days = zip(values(table, "day"), values(table, "time"), strict=True)
    assert all(dt.timedelta(0) <= t - dt.datetime.combine(d, dt.time()) < dt.timedelta(2) for d, t in days)  # type: ignore[operator,arg-type]
    assert 0.4 < table["gap"].null_count / 400 < 0.6
    assert sum(table[c].null_count for c in table.column_names if c != "gap") == 0
    for full, whole, note in zip(values(table, "full"), values(table, "whole"), values(table, "note"), strict=True):
        assert str(note).startswith(str(full)) or (note == f"{whole} only" and int(str(whole)) > 0)


def test_chunks_change_nothing_in_keys_and_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHUNK_ROWS", 13)
    made = make_tables(family(), seed=5, rows=100)
    parents, children = made["parents"], made["children"]
    assert values(parents, "seq") == list(range(10, 110))
    assert values(children, "cid") == list(range(1, children.num_rows + 1))
    for column in ("id", "u", "badge", "email", "street", "phone", "ssn"):
        assert len(pc.unique(parents[column])) == 100
    assert len(pc.unique(parents["npi"])) <= 5  # one pool for all chunks
    assert len(pc.unique(parents["first"])) > 20  # chunks have different seeds
    assert set(values(children, "pid")) <= set(values(parents, "id"))


def test_a_table_without_rows_still_has_its_columns() -> None:
    made = make_tables(family(mean=0), seed=1, rows=3)
    full = make_tables(family(), seed=1, rows=50)
    assert made["children"].num_rows == made["grandchildren"].num_rows == 0
    assert made["children"].schema == full["children"].schema
    assert made["grandchildren"].schema == full["grandchildren"].schema


def test_a_table_is_the_same_with_and_without_the_others(tmp_path: Path) -> None:
    alone = generate(family(), tmp_path / "a", seed=9, rows=60, tables=["children"])
    whole = generate(family(), tmp_path / "b", seed=9, rows=60)
    assert list(alone) == ["children"]
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["children.parquet"]
    assert hash_file(alone["children"]) == hash_file(whole["children"])


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(family().model_dump_json(), encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from synth_assets.generation import generate;"
        "from synth_assets.config.generation import GenerationSchema;"
        "s = GenerationSchema.model_validate_json(Path(sys.argv[1]).read_text());"
        "[generate(s, Path(sys.argv[2]), seed=4, rows=70, fmt=f) for f in ('parquet', 'csv', 'jsonl')]"
    )
    for name, hash_seed in (("a", "1"), ("b", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "s.json"), str(tmp_path / name)], check=True, env=environment
        )
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    tables = ("children", "grandchildren", "parents", "shops")
    assert files == [f"{t}.{fmt}" for t in tables for fmt in ("csv", "jsonl", "parquet")]
    assert [hash_file(tmp_path / "a" / f) for f in files] == [hash_file(tmp_path / "b" / f) for f in files]


def test_another_seed_gives_other_values() -> None:
    one, two = (make_tables(family(), seed=s, rows=50)["parents"] for s in (1, 2))
    assert values(one, "ssn") != values(two, "ssn")
    assert values(one, "first") != values(two, "first")


def test_the_three_formats_hold_the_same_table(tmp_path: Path) -> None:
    text = {"type": "text", "templates": ['{a} said: "no, never"\nand left\\', "x,y", " blank "]}
    columns = {
        "a": {"type": "sequence"},
        "t": {**text, "missing": 0.2},
        "f": {"type": "boolean", "missing": 0.2},
        "d": {"type": "date", "start": "2024-01-01"},
    }
    schema = GenerationSchema.model_validate({"name": "odd", "tables": {"odd": {"rows": 90, "columns": columns}}})
    paths = {fmt: generate(schema, tmp_path, seed=2, fmt=fmt)["odd"] for fmt in ("parquet", "csv", "jsonl")}  # type: ignore[arg-type]
    table = pq.read_table(paths["parquet"])
    assert table["t"].null_count > 5
    options = pa.csv.ConvertOptions(strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=False)
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    assert pa.csv.read_csv(paths["csv"], convert_options=options, parse_options=parse).equals(table)
    lines = [json.loads(line) for line in paths["jsonl"].read_text(encoding="utf-8").splitlines()]
    assert lines == [{**row, "d": row["d"].isoformat()} for row in table.to_pylist()]


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHUNK_ROWS", 10)
    columns = {"a": {"type": "sequence"}, "b": {"type": "formula", "formula": "1 / (a - 25)"}}
    bad = GenerationSchema.model_validate({"name": "bad", "tables": {"t": {"rows": 40, "columns": columns}}})
    (tmp_path / "t.csv").write_text("old", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        generate(bad, tmp_path, seed=1, fmt="csv")
    assert caught.value.key == "tables.t.columns.b.formula"
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize(
    ("column", "key"),
    [
        ({"type": "boolean", "probability": "a / 2"}, "probability"),
        ({"type": "enum", "values": {"x": "a - 3", "y": 1}}, "values"),
        ({"type": "enum", "values": ["x", "y"], "weights": ["a - 1", 0]}, "weights"),
        ({"type": "date", "start": "date('2024-01-05') + a", "end": "2024-01-07"}, ""),
        ({"type": "date", "start": "a"}, "start"),
        ({"type": "number", "minimum": "a", "maximum": 3}, ""),
        ({"type": "number", "distribution": "lognormal", "median": 1, "sigma": 60}, ""),
        ({"type": "icd10", "kind": "a"}, "kind"),
        ({"type": "number", "minimum": "'x'", "maximum": 3}, "minimum"),
        ({"type": "formula", "formula": "'x' + a"}, "formula"),
    ],
)
def test_a_rule_that_fails_in_some_row_names_its_key(column: dict[str, object], key: str) -> None:
    tables = {"t": {"rows": 50, "columns": {"a": {"type": "sequence"}, "b": column}}}
    with pytest.raises(ConfigError) as caught:
        make_tables(GenerationSchema.model_validate({"name": "bad", "tables": tables}), seed=1)
    assert caught.value.key == "tables.t.columns.b" + (f".{key}" if key else "")


def test_a_bad_request_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    schema = family()
    for arguments, key in (
        ({"rows": 0}, "rows"), ({"rows": {"children": 5}}, "rows"), ({"rows": {"nobody": 5}}, "rows"),
        ({"tables": ["nobody"]}, "tables"), ({"fmt": "xml"}, "format"), ({"seed": -1}, "seed"),
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            generate(schema, tmp_path, **{"seed": 1, **arguments})  # type: ignore[arg-type]
        assert caught.value.key == key
    assert list(tmp_path.iterdir()) == []


def test_more_unique_values_than_exist_is_an_error() -> None:
    columns = {"a": {"type": "pattern", "pattern": "##", "unique": True}}
    schema = GenerationSchema.model_validate({"name": "small", "tables": {"t": {"rows": 51, "columns": columns}}})
    assert make_tables(schema, seed=1, rows=50)["t"].num_rows == 50  # half of the hundred numbers
    with pytest.raises(InputError) as caught:
        make_tables(schema, seed=1)
    assert caught.value.column == "a"


def test_rows_are_asked_for_by_table_and_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    paths = generate(
        family(), tmp_path, seed=1, rows={"parents": 30, "shops": 4}, progress=lambda t, n: told.append((t, n))
    )
    assert pq.read_metadata(paths["parents"]).num_rows == 30
    assert pq.read_metadata(paths["shops"]).num_rows == 4
    assert ("parents", 30) in told


def test_the_package_is_light_until_it_is_used() -> None:
    code = (
        "import sys, synth_assets.generation as g, synth_assets.config.generation;"
        "print({'numpy', 'pyarrow', 'pandas'} & set(sys.modules), g.people.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split("\n")[0] == "set() people"
