"""Files for others: what is in them, what a spreadsheet may not run, and that our own reader takes them back."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from synth_assets.api.reading import ingested
from synth_assets.config.dataset import SourceConfig, TableConfig
from synth_assets.errors import InputError
from synth_assets.exports.destination import check_file, check_folder
from synth_assets.exports.formats import write_table
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema
from synth_assets_tests.unit.exports.conftest import COLUMNS, NOTES

NAMES = [c[0] for c in COLUMNS]


def test_csv_keeps_order_and_spelling_and_disarms_formulas(
    table: Path, schema: TableSchema, engine: Engine, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    write_table(table, out, schema=schema, engine=engine, provenance={"synthetic": True})
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == NAMES
    assert [r["cost"] for r in rows] == ["1.50", "-2.00", "1234.50", "0.10", "", "7.00", "8.25", "9.00"]
    assert [r["note"] for r in rows] == [
        "'=1+1", "-5", "'+49 30", "'@SUM(A1)", 'say "hi", twice', "two\nlines", "plain", "",
    ]  # fmt: skip
    assert (rows[0]["on"], rows[0]["at"], rows[0]["ok"]) == ("2024-01-02", "2024-01-02 03:04:05", "true")
    told = json.loads((tmp_path / "out.csv-metadata.json").read_text())
    assert told["escaped_formula_cells"] == 3
    assert told["provenance"] == {"synthetic": True}
    assert [c["name"] for c in told["tableSchema"]["columns"]] == NAMES
    assert told["tableSchema"]["primaryKey"] == ["id"]


def test_names_of_columns_are_disarmed_in_csv_as_well(tmp_path: Path, engine: Engine) -> None:
    import pyarrow as pa

    names = ["=cmd|' /C calc'!A0", "-1", "ok"]
    folder = tmp_path / "t"
    folder.mkdir()
    pq.write_table(pa.table({n: ["x"] for n in names}), folder / "part-00000.parquet")
    columns = tuple(ColumnSchema(name=n, kind=ColumnKind.CATEGORY, dtype="string") for n in names)
    write_table(folder, tmp_path / "o.csv", schema=TableSchema(name="t", columns=columns), engine=engine)
    with (tmp_path / "o.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["'=cmd|' /C calc'!A0", "-1", "ok"]


def test_tsv_has_tabs_and_the_same_protection(table: Path, schema: TableSchema, engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "out.TSV"
    write_table(table, out, schema=schema, engine=engine)
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert rows[0]["note"] == "'=1+1"


def test_json_holds_schema_provenance_and_every_value_as_it_is(
    table: Path, schema: TableSchema, engine: Engine, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    write_table(table, out, schema=schema, engine=engine, provenance={"epsilon": 1.0})
    told = json.loads(out.read_text(encoding="utf-8"))
    assert told["provenance"] == {"epsilon": 1.0}
    assert [f["type"] for f in told["schema"]["fields"]] == [
        "integer",
        "number",
        "string",
        "date",
        "datetime",
        "boolean",
    ]
    assert [r["note"] for r in told["data"]] == NOTES
    assert told["data"][0] == {
        "id": 0, "cost": 1.5, "note": "=1+1", "on": "2024-01-02", "at": "2024-01-02T03:04:05", "ok": True,
    }  # fmt: skip


def test_json_lines_are_rows_and_nothing_else(table: Path, schema: TableSchema, engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    write_table(table, out, schema=schema, engine=engine, provenance={"x": 1})
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [r["note"] for r in rows] == NOTES
    assert list(rows[0]) == NAMES


def test_parquet_has_the_provenance_in_its_footer(
    table: Path, schema: TableSchema, engine: Engine, tmp_path: Path
) -> None:
    write_table(table, tmp_path / "out.parquet", schema=schema, engine=engine, provenance={"b": 1, "a": "x"})
    stored = pq.read_table(tmp_path / "out.parquet")
    assert stored.column_names == NAMES
    assert json.loads(stored.schema.metadata[b"synth_assets"]) == {"a": "x", "b": 1}
    assert stored["note"].to_pylist() == NOTES
    write_table(table, tmp_path / "bare.parquet", schema=schema, engine=engine)
    assert pq.read_table(tmp_path / "bare.parquet").equals(stored.replace_schema_metadata(None))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_our_own_reader_takes_every_format_back(
    table: Path, schema: TableSchema, engine: Engine, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"out.{suffix}"
    write_table(table, out, schema=schema, engine=engine, provenance={"synthetic": True})
    with ingested(TableConfig(source=SourceConfig(path=str(out)))) as back:
        assert list(back.schema.names) == NAMES
        assert back.schema.row_count == len(NOTES)


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+1+1", "'+1+1"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("\nx", "'\nx"),
        ("\uff1d1", "'\uff1d1"),
        ("\uff201", "'\uff201"),
        ("-5", "-5"),
        ("+1,234.50", "+1,234.50"),
        ("-3e-7", "-3e-7"),
        ("+49 (30) 123-456", "+49 (30) 123-456"),
        ("a=1", "a=1"),
        ("'=1", "'=1"),
    ],
)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(cell: str, shown: str, engine: Engine, tmp_path: Path) -> None:
    import pyarrow as pa

    pq.write_table(pa.table({"c": [cell]}), tmp_path / "part-00000.parquet")
    schema = TableSchema(name="t", columns=(ColumnSchema(name="c", kind=ColumnKind.TEXT, dtype="string"),))
    write_table(tmp_path / "part-00000.parquet", tmp_path / "o.csv", schema=schema, engine=engine)
    with (tmp_path / "o.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["c"], [shown]]


def test_a_failing_write_leaves_the_earlier_file(
    table: Path, schema: TableSchema, engine: Engine, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old")
    wrong = schema.model_copy(
        update={"columns": (*schema.columns, ColumnSchema(name="z", kind=ColumnKind.TEXT, dtype="string"))}
    )
    with pytest.raises(Exception):  # noqa: B017, PT011  whatever the engine says
        write_table(table, out, schema=wrong, engine=engine)
    assert out.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.csv", "visits"]


def test_a_place_that_cannot_be_written_is_an_error_with_its_name(
    table: Path, schema: TableSchema, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written") as caught:
        write_table(table, tmp_path / "file" / "out.csv", schema=schema, engine=engine)
    assert caught.value.file == str(tmp_path / "file" / "out.csv")


def test_destinations_are_judged_before_any_work(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.touch()
    check_file(tmp_path / "new" / "deep" / "out.csv", sources=[source])
    check_folder(tmp_path / "new")
    (tmp_path / "link.csv").symlink_to(source)
    for path, words in (
        (tmp_path, "this is a folder"),
        (tmp_path / "out.doc", "no known format"),
        (source / "out.csv", "a file and not a folder"),
        (source, "the file that is read"),
        (tmp_path / "link.csv", "the file that is read"),
    ):
        with pytest.raises(InputError, match=words):
            check_file(path, sources=[source])
    with pytest.raises(InputError, match="a file and not a folder"):
        check_folder(source)


def test_the_check_of_a_place_leaves_nothing_behind(tmp_path: Path) -> None:
    check_file(tmp_path / "new" / "out.csv")
    assert not list(tmp_path.iterdir())
