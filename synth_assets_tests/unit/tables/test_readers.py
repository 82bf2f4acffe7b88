"""Parts of the readers on their own: quotes, encodings, dialects, formats."""

from __future__ import annotations

import csv
import io
import mmap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.errors import SourceError
from synth_assets.tables.readers import quotes, sniff
from synth_assets.tables.readers.encoding import as_utf8, line_at
from synth_assets.tables.readers.formats import format_of
from synth_assets.tables.readers.naming import column_names
from synth_assets.tables.readers.quotes import QuoteFacts, check_quotes

Walk = Callable[[bytes], QuoteFacts | None]


def _facts(folder: Path, data: bytes, *, vectorised: bool) -> QuoteFacts | str | None:
    path = folder / "q.csv"
    path.write_bytes(data or b"\n")
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        if vectorised:
            return quotes._scan(mapped, 0, ord(","))
        try:
            return quotes._walk(path, mapped, 0, ",", "q.csv")
        except SourceError as error:
            return error.message


@given(
    rows=st.lists(
        st.lists(st.text(st.sampled_from('a,"\n\r '), max_size=6), min_size=2, max_size=3), min_size=1, max_size=5
    ),
    block=st.integers(1, 9),
)
def test_both_ways_to_check_quotes_accept_what_a_writer_writes(
    rows: list[list[str]], block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    folder = tmp_path_factory.mktemp("quotes")
    data = buffer.getvalue().encode()
    inside = any("\n" in cell or "\r" in cell for row in rows for cell in row)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quotes, "BLOCK_BYTES", block)
        fast = _facts(folder, data, vectorised=True)
    slow = _facts(folder, data, vectorised=False)
    assert fast == QuoteFacts(b'"' in data, inside)
    assert isinstance(slow, QuoteFacts)
    assert slow.line_ends_inside == inside


@given(data=st.text(st.sampled_from('a,"\n'), max_size=30), block=st.integers(1, 9))
def test_what_the_fast_check_accepts_the_exact_check_accepts_too(
    data: str, block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("quotes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quotes, "BLOCK_BYTES", block)
        fast = _facts(folder, data.encode(), vectorised=True)
    if isinstance(fast, QuoteFacts):
        slow = _facts(folder, data.encode(), vectorised=False)
        assert isinstance(slow, QuoteFacts)
        assert slow.line_ends_inside == fast.line_ends_inside


@pytest.mark.parametrize(
    ("text", "line"),
    [('a,b\n1,"x\ny\n', 2), ('a,b\n"x""",1\n2,"y"z\n', 3), ('"a\n', 1)],
)
def test_a_fault_in_the_quotes_is_placed(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(SourceError) as caught:
        check_quotes(path, start=0, delimiter=",", label="t.csv")
    assert caught.value.row == line


def test_inch_signs_inside_unquoted_cells_are_characters(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,b\n5" pipe,"x, y"\n6"')
    assert check_quotes(path, start=0, delimiter=",", label="t.csv") == QuoteFacts(True, False)


@pytest.mark.parametrize(
    ("data", "offset", "line"), [(b"a\nb\nc", 4, 3), (b"a\r\nb\r\nc", 6, 3), (b"a\rb\rc", 4, 3), (b"a\r\n\nb", 4, 3)]
)
def test_lines_end_in_every_way(
    tmp_path: Path, data: bytes, offset: int, line: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(data)
    for block in (1, 2, 3, 100):
        monkeypatch.setattr("synth_assets.tables.readers.encoding.BLOCK_BYTES", block)
        assert line_at(path, offset) == line


@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufeff\ufffd"), min_size=1, max_size=40),
    block=st.integers(1, 7),
)
def test_utf_text_in_blocks_of_any_size_comes_back(
    text: str, block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("utf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("synth_assets.tables.readers.encoding.BLOCK_BYTES", block)
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
            path = folder / encoding
            path.write_bytes(text.encode(encoding))
            found = as_utf8(path, declared=None, workspace=folder, label="t")
            assert found.path.read_bytes()[found.start :].decode() == text


@pytest.mark.parametrize(
    ("text", "names", "delimiter"),
    [
        ("id,name,2019,2020\n1,a,5,6\n2,b,7,8\n", ("id", "name", "2019", "2020"), ","),
        ("2019,2020\n1,2\n", ("2019", "2020"), ","),
        ("0,1,2\n1.5,2.5,3.5\n", ("0", "1", "2"), ","),
        ("1,2,3\n4,5,6\n", (), ","),
        ("Anna,34\nBen,41\n", (), ","),
        ("2020-01-01,x\n2020-01-02,y\n", (), ","),
        ("a;b\n1,5;2,5\n3,5;4,5\n", ("a", "b"), ";"),
        ("text\nno delimiter\nat all\n", ("text",), ","),
        ("# comment, with comma, twice\na,b\n1,2\n", ("a", "b"), ","),
        ("#a,b\n1,2\n3,4\n", ("#a", "b"), ","),
    ],
)
def test_header_and_delimiter_are_told_from_a_sample(text: str, names: tuple[str, ...], delimiter: str) -> None:
    dialect = sniff.sniff(text, False, delimiter=None, known=(), label="t")
    assert (dialect.names, dialect.delimiter) == (names, delimiter)
    assert text.encode()[dialect.data_offset :].startswith(
        text.encode().splitlines(keepends=True)[dialect.data_line - 1]
    )


def test_a_header_cut_by_the_sample_does_not_count_the_last_line() -> None:
    dialect = sniff.sniff("a,b\n1,2\n3,4\n5", True, delimiter=None, known=(), label="t")
    assert (dialect.width, dialect.names) == (2, ("a", "b"))


@pytest.mark.parametrize(
    ("data", "declared", "message"),
    [
        (b"PAR1abc", "csv", "a Parquet file"),
        (b"\x1f\x8b\x08", None, "gzip data"),
        (b"%PDF-1.4", None, "a PDF document"),
        (b"SQLite format 3\x00", None, "a SQLite database"),
        (b"Obj\x01", None, "an Avro file"),
        (b"version https://git-lfs.github.com/spec/v1\n", None, "Git LFS pointer"),
        (b"\xd0\xcf\x11\xe0", "excel", "old Excel workbook"),
        (b"a,b\n1,2\n", "excel", "no Excel workbook"),
        (b"PK\x03\x04garbage", None, "zip archive"),
    ],
)
def test_a_file_that_is_something_else_is_named_for_what_it_is(
    tmp_path: Path, data: bytes, declared: str | None, message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=message):
        format_of(path, declared)  # type: ignore[arg-type]  # the literals are what is tested


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a,b\n1, "x"\n', True),
        ('a,b\n"x, ",1\n', False),
        ('a,b\n"he said, ""yes""",1\n', False),
        ('a\tb\nhe said, "yes"\t1\n', False),
        ("a,b\n x, y\n", False),
    ],
)
def test_blanks_are_cut_only_where_they_stand_before_a_quote(text: str, expected: bool) -> None:
    assert sniff.sniff(text, False, delimiter=None, known=(), label="t").blanks_before_quotes is expected


def test_names_that_look_alike_are_noted() -> None:
    assert not column_names(["name", "title"]).notes
    assert "look alike" in column_names(["name", "n\u0430me"]).notes[0]
    assert "look alike" in column_names(["name", "na\u200bme"]).notes[0]
