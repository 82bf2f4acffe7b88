"""Bad input gives one clear error with place and remedy, shows no cell, and leaves what was there."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.config.dataset import ExpectationConfig, SourceConfig, TableConfig
from synth_assets.errors import SourceError
from synth_assets.tables.engine import Engine
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.sources import ingest, missing_columns, require_columns, source_fingerprint, source_label

CANARY = "canary@example.org"


@pytest.mark.parametrize(
    ("content", "message", "row"),
    [
        (f"a,b\n1,2\n3,4,{CANARY}\n", "the row has 3 cells, the header has 2", 3),
        (f"a,b,c\n1,2,3\n4,{CANARY}\n", "the row has 2 cells, the header has 3", 3),
        (f'a,b\n1,"{CANARY}\n2,x\n', "a quote opens here and never closes", 2),
        (f'a,b\n1,"x"{CANARY}\n', "text stands behind a closing quote", 2),
        (f"a,b\n1,{CANARY}\x00\n", "NUL", 2),
        (f"a,b\n1,{CANARY}\n\xe9,\xfc\xfc\xfc\xfc\n".encode("latin-1"), "encoding cannot be told", 3),
        (f"\u00e9,b\n1,{CANARY}\n".encode() + b"\xff,2\n", "damaged bytes", 3),
        ("a,b\n", "a header and no rows", None),
        ("a,b\n\n\n", "a header and no rows", None),
        ("", "is empty", None),
        ("\n\n", "no cell with a value", None),
        (",,\n,,\n", "no cell with a value", None),
        (f"Report {CANARY}\na,b\n1,2\n3,4\n", "title lines", 2),
        (f"{CANARY},,\n,,\na,b,c\n1,2,3\n", "title lines", 3),
        (f"a||b\n1||{CANARY}\n2||x\n", "two characters", None),
        (f"id   name\n1    {CANARY}\n", "fixed-width", None),
        ("a,b,c,d,e,f\n1,2,3,4,5,6\n", "6 columns; at most 5", None),
        (f"<html><body>{CANARY}</body></html>", "HTML page", None),
        (f'{{"a": "{CANARY}"}}', "JSON", None),
    ],
)
def test_text_that_is_no_table_gives_one_clear_error(
    read: Any, small_limits: Limits, content: str | bytes, message: str, row: int | None
) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        read.text(content, limits=small_limits)
    assert caught.value.file == str(read.base / "t.csv")
    assert caught.value.row == row
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert not (read.base / "out" / "table").exists()
    assert not list((read.base / "out").iterdir())


def test_a_missing_file_and_a_folder_without_files_are_named(read: Any) -> None:
    with pytest.raises(SourceError, match="does not exist") as caught:
        read.source(SourceConfig(path="nowhere.csv"))
    assert caught.value.file == str(read.base / "nowhere.csv")
    (read.base / "nothing").mkdir()
    with pytest.raises(SourceError, match="no data file"):
        read.source(SourceConfig(path="nothing"))


def test_a_file_that_may_not_be_read_is_named(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = read.write("a,b\n1,2\n")

    opened = Path.open

    def refuse(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self == path:
            raise PermissionError(13, CANARY)
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SourceError, match="PermissionError") as caught:
        read.source(SourceConfig(path="t.csv"))
    assert caught.value.file == str(path)


@pytest.mark.parametrize("key", ["primary_key", "foreign_keys", "columns", "contract"])
def test_a_column_that_is_configured_but_missing_is_named_with_the_columns_that_are_there(read: Any, key: str) -> None:
    source = SourceConfig(path="t.csv")
    settings: dict[str, Any] = {
        "primary_key": {"primary_key": "persn_id"},
        "foreign_keys": {"foreign_keys": {"persn_id": "people.id"}},
        "columns": {"columns": {"persn_id": {"kind": "id"}}},
        "contract": {"contract": (ExpectationConfig(expect="column_values_to_not_be_null", column="persn_id"),)},
    }[key]
    read.write("person_id,age\n1,2\n")
    with pytest.raises(SourceError) as caught:
        read.source(source, table=TableConfig(source=source, **settings))
    assert (caught.value.column, caught.value.key) == ("persn_id", key)
    assert "'person_id', 'age'" in str(caught.value)
    assert "Did you mean 'person_id'?" in str(caught.value)


def test_a_configured_name_that_stands_for_two_columns_is_refused(read: Any) -> None:
    assert read.text("a,b,a\n1,2,3\n").schema.names == ("a", "b", "a_2")
    with pytest.raises(SourceError, match="more than one column"):
        read.text("a,b,a\n1,2,3\n", primary_key="a")


def test_names_are_made_unique_without_regard_to_case(read: Any) -> None:
    table = read.text(" Id ,ID,id,,a_2,a,a\n1,2,3,4,5,6,7\n")
    assert table.schema.names == ("Id", "ID_2", "id_3", "column_4", "a_2", "a", "a_3")
    assert table.rows == [(1, 2, 3, 4, 5, 6, 7)]


def test_long_lists_of_columns_are_cut_in_messages() -> None:
    with pytest.raises(SourceError) as caught:
        require_columns(["x" * 500, *(f"c{i}" for i in range(200))], {"target": "target"}, source="t.csv")
    assert len(str(caught.value)) < 700
    assert "and 161 more" in str(caught.value)
    assert missing_columns(["a"], ["a", "b", "c", "b"]) == ("b", "c")


def test_a_failed_read_leaves_the_earlier_table_as_it_was(read: Any) -> None:
    read.text("a,b\n1,2\n")
    before = {p.name: p.read_bytes() for p in read.out.iterdir()}
    with pytest.raises(SourceError):
        read.text("a,b\n1,2\n3\n")
    assert {p.name: p.read_bytes() for p in read.out.iterdir()} == before
    assert [p.name for p in read.out.parent.iterdir()] == ["table"]


def test_a_second_read_replaces_the_table_and_an_empty_folder_is_filled(read: Any) -> None:
    read.out.mkdir(parents=True)
    read.text("a,b\n1,2\n")
    table = read.text("c\nx\n")
    assert (table.schema.names, [p.name for p in read.out.parent.iterdir()]) == (("c",), ["table"])
    assert sorted(p.name for p in read.out.iterdir()) == ["part-00000.parquet", "reading.json", "schema.json"]
    assert all(p.stat().st_mode & 0o077 == 0 for p in read.out.iterdir())


def test_equal_content_gives_equal_bytes(read: Any) -> None:
    first = {p.name: p.read_bytes() for p in read.text("a,b\n1,x\n2,y\n").folder.iterdir()}
    assert {p.name: p.read_bytes() for p in read.text("a,b\n1,x\n2,y\n").folder.iterdir()} == first


def test_what_is_odd_is_logged_without_a_cell(read: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="synth_assets.tables.sources"):
        read.text(f"1,{CANARY}\n2,x\n3,y\n")
    assert "no header" in caplog.text
    assert CANARY not in caplog.text


def test_a_fingerprint_follows_the_content(read: Any) -> None:
    source = SourceConfig(path="t.csv")
    read.write("a\n1\n")
    first = source_fingerprint(source, read.base)
    os.utime(read.base / "t.csv", (1, 1))
    assert source_fingerprint(source, read.base) == first
    read.write("a\n2\n")
    assert source_fingerprint(source, read.base) != first
    with pytest.raises(SourceError, match="does not exist"):
        source_fingerprint(SourceConfig(path="gone.csv"), read.base)


def test_the_fingerprint_of_a_folder_follows_names_and_content(read: Any) -> None:
    folder = read.base / "parts"
    folder.mkdir()
    (folder / "a.csv").write_text("x\n1\n")
    source = SourceConfig(path="parts")
    first = source_fingerprint(source, read.base)
    (folder / "a.csv").rename(folder / "b.csv")
    assert source_fingerprint(source, read.base) != first


def test_labels_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "p@ss/word")
    assert (
        source_label(SourceConfig(path="https://u:secret@host.example/a/b.csv?sig=secret#x"))
        == "https://host.example/a/b.csv"
    )
    url = "postgresql://user:${DB_PASSWORD}@host.example:5432/clinic?sslpassword=secret"
    assert source_label(SourceConfig(url=url, table="t")) == "postgresql://host.example/clinic"


@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_never_shown(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("bytes")
    (base / "t.csv").write_bytes(content)
    try:
        schema = ingest(
            SourceConfig(path="t.csv"), name="t", base_dir=base, out=base / "o" / "t", engine=Engine(threads=1)
        )
    except SourceError:
        assert not list((base / "o").iterdir())
    else:
        assert schema.row_count >= 1


@given(text=st.text(st.sampled_from('a1,;"\n\r# \t|\ufeff.é-'), max_size=60))
def test_any_text_is_read_or_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.mktemp("text")
    (base / "t.csv").write_text(text, newline="")
    try:
        ingest(SourceConfig(path="t.csv"), name="t", base_dir=base, out=base / "o" / "t", engine=Engine(threads=1))
    except SourceError as error:
        assert error.remedy or error.row  # noqa: PT017  reading is allowed as well
