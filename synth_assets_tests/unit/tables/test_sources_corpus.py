"""Every file of the public corpus of malformed tables: read with the right shape, or refused with one clear error."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from synth_assets.config.dataset import SourceConfig
from synth_assets.errors import SourceError
from synth_assets.tables.engine import Engine
from synth_assets.tables.readers.delimited import read_delimited
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.sources import ingest, read_notes

pytestmark = pytest.mark.shared_data

READ_WHERE_AN_ERROR_IS_EXPECTED = {  # the note of the manifest accepts a correct read
    "own_utf16le_nobom.csv": (3, 3),
    "own_utf16be_nobom.csv": (3, 3),
    "own_utf32_bom.csv": (3, 3),
}
REFUSED_WHERE_A_READ_IS_EXPECTED = {  # the note accepts an error that names the line or the encoding option
    "duckdb_dirty_line.csv": "line 2",
    "duckdb_encodings_shift_jis.csv": "`encoding:`",
    "own_shift_jis.csv": "`encoding:`",
    "own_ragged_short.csv": "line 3",
    "own_truncated_last_row.csv": "line 4",
}
OTHER_SHAPE = {"own_trailing_delimiter_all.csv": (2, 4)}  # "a fourth all-missing column also passes"
EXPECTED_IN_MESSAGE = {
    "own_one_bad_row_in_5000.csv": "line 3778",
    "own_git_lfs_pointer.csv": "Git LFS pointer",
    "own_quote_never_closed.csv": "line 2",
    "own_one_bad_utf8_byte.csv": "line 5",
    "own_ragged_long.csv": "line 3",
    "csvkit_bad.csv": "line 2",
    "own_single_quotes.csv": "apostrophes",
    "frictionless_defective-rows.csv": "line 2",
}
EXPECTED_IN_NOTES = {
    "csvkit_no_header_row3.csv": "no header",
    "own_no_header_text.csv": "no header",
    "duckdb_hits_problematic.csv": "no header",
    "own_latin1.csv": "cp1252",
    "own_duplicate_headers.csv": "more than once",
    "own_lookalike_headers.csv": "look alike",
    "own_ctrl_z.csv": "0x1A",
    "own_comment_lines.csv": "comment",
    "own_bom_mid_file.csv": "BOM",
    "own_sep_line.csv": "before the header",
    "frictionless_matrix-with-comment.csv": "before the header",
    "frictionless_skip-rows.csv": "before the header",
}
DIALECTS: dict[
    str, dict[str, Any]
] = {  # how the csv module has to be told to read a file; a plain comma and UTF-8 elsewhere
    "csvkit_test_latin1.csv": {"encoding": "latin-1"},
    "csvkit_test_utf16_big.csv": {"encoding": "utf-16"},
    "duckdb_encodings_utf16.csv": {"encoding": "utf-16"},
    "own_utf16le_bom.csv": {"encoding": "utf-16"},
    "own_utf16le_nobom.csv": {"encoding": "utf-16-le"},
    "own_utf16be_nobom.csv": {"encoding": "utf-16-be"},
    "own_utf32_bom.csv": {"encoding": "utf-32"},
    "own_latin1.csv": {"encoding": "latin-1"},
    "own_cp1252.csv": {"encoding": "cp1252"},
    "duckdb_decimal_separators_decimal_separators.csv": {"delimiter": ";"},
    "own_semicolon_decimal_comma.csv": {"delimiter": ";"},
    "own_pipe.csv": {"delimiter": "|"},
    "own_tab_in_csv.csv": {"delimiter": "\t"},
    "clevercsv_milk.csv": {"delimiter": "\t"},
    "own_sep_line.csv": {"delimiter": ";", "skip": 1},
    "duckdb_empty_space_start_value.csv": {"skipinitialspace": True},
    "frictionless_matrix-with-comment.csv": {"skip": 1},
    "frictionless_skip-rows.csv": {"comments": True},
    "qsv_inputcommenttest.csv": {"comments": True},
    "own_comment_lines.csv": {"comments": True},
    "own_ctrl_z.csv": {"drop": "\x1a"},
    "own_bom_mid_file.csv": {"drop": "\ufeff"},
    "own_trailing_delimiter_rows.csv": {"cut": 3},
    "csvkit_test_empty_columns.csv": {"cut": 5},
}
TYPED: dict[str, dict[str, list[Any]]] = {  # what the typed table has to hold, read off the file by eye
    "own_quoted_numbers.csv": {"id": [1, 2], "x": [2.5, 1000.0], "y": [-3, 4]},
    "own_thousands_separators.csv": {"amount": [1234.5, 12000.0, 1000000.01, 7.0]},
    "own_decimal_comma_quoted.csv": {"betrag": [1234.5, 0.99, 12000.0]},
    "own_semicolon_decimal_comma.csv": {
        "bedrag": [1234.5, 99.95],
        "datum": [date(2023, 12, 31), date(2024, 2, 1)],
    },
    "duckdb_big_number.csv": {"bignumber": ["82544000000000707.52"]},
    "own_huge_integers.csv": {
        "n": [
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775809",
            "123456789012345678901234567890",
            "9007199254740993",
        ]
    },
    "own_leading_zeros.csv": {"zip": ["02134", "00501", "08123"]},
    "own_scientific_ids.csv": {"sku": ["1E5", "2D10", "00123E4", "7e0", "12E-3"]},
    "own_null_surname.csv": {"surname": ["Null", "None", "True", "Nan", "Inf"]},
    "own_bom_mid_file.csv": {"id": [1, 2, 3, 4]},
    "own_comment_lines.csv": {"v": ["#5", "b"]},
    "own_trailing_delimiter_rows.csv": {"a": [1, 4], "b": [2, 5], "c": [3, 6]},
    "csvkit_test_latin1.csv": {"c": ["3", "\xa9"]},
    "csvkit_test_locale.csv": {"a": [1.7], "b": [200000000.0], "c": [None]},
    "own_all_null_column.csv": {"empty": [None, None, None]},
    "own_numeric_headers.csv": {"2019": [1, 4], "2021": [3, 6]},
    "frictionless_duplicate-headers.csv": {"id": [1101, 1102], "id_2": [0, 0], "id_3": ["001101", "001102"]},
    "own_utf8_bom_quoted_header.csv": {"na,me": ["x", "y"]},
    "qsv_FCOServices_TransparencySpend_May2011.csv": {
        "Amount (excluding VAT)": [47072.02, 25235.07, 30699.44, 78389.21]
    },
}


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    shape: tuple[int, int] | None
    message: str
    notes: str
    columns: dict[str, list[Any]]


@pytest.fixture(scope="module")
def corpus(shared_data: Path) -> Path:
    return shared_data / "malformed"


@pytest.fixture(scope="module")
def manifest(corpus: Path) -> list[dict[str, str]]:
    with (corpus / "manifest.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def outcomes(
    corpus: Path, manifest: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    base = tmp_path_factory.mktemp("corpus")
    found = {}
    for number, row in enumerate(manifest):
        out = base / str(number) / "table"
        source = SourceConfig(path=row["file"])
        try:
            schema = ingest(source, name="t", base_dir=corpus, out=out, engine=Engine(threads=1))
        except SourceError as error:
            found[row["file"]] = Outcome(None, str(error), "", {})
            assert not list(out.parent.iterdir()), row["file"]
        else:
            shape = (schema.row_count, len(schema.columns))
            columns = pq.read_table(out / "part-00000.parquet").to_pydict() if row["file"] in TYPED else {}
            found[row["file"]] = Outcome(shape, "", "\n".join(read_notes(out)), columns)
    return found


def _accepted(row: dict[str, str]) -> tuple[int, int] | None:
    name = row["file"]
    if name in REFUSED_WHERE_A_READ_IS_EXPECTED:
        return None
    declared = (int(row["rows"]), int(row["columns"])) if row["expected"] == "readable" else None
    return OTHER_SHAPE.get(name) or READ_WHERE_AN_ERROR_IS_EXPECTED.get(name) or declared


def test_every_file_of_the_corpus_has_an_accepted_outcome(
    outcomes: dict[str, Outcome], manifest: list[dict[str, str]]
) -> None:
    assert len(manifest) == len(outcomes) >= 169
    wrong = {r["file"]: outcomes[r["file"]] for r in manifest if outcomes[r["file"]].shape != _accepted(r)}
    assert wrong == {}


def test_every_exception_of_this_test_is_allowed_by_the_note_of_the_manifest(manifest: list[dict[str, str]]) -> None:
    notes = {r["file"]: r["note"] for r in manifest}
    for name in (*READ_WHERE_AN_ERROR_IS_EXPECTED, *REFUSED_WHERE_A_READ_IS_EXPECTED, *OTHER_SHAPE):
        assert "also passes" in notes[name]


def test_every_refusal_names_the_file_and_what_to_do(outcomes: dict[str, Outcome], corpus: Path) -> None:
    refused = {name: o.message for name, o in outcomes.items() if o.shape is None}
    assert len(refused) > 50
    for name, message in refused.items():
        assert message.startswith(str(corpus / name))
        assert re.search(
            r"(Give|Rename|Write|Repair|Name|Unpack|Delete|Quote|Export|Save|Fetch|Download|Read|Inside|An empty) ?",
            message,
        )
        assert "Error" not in message
        assert "Traceback" not in message
        assert len(message) < 700


@pytest.mark.parametrize("name", [*EXPECTED_IN_MESSAGE, *REFUSED_WHERE_A_READ_IS_EXPECTED])
def test_the_message_names_the_line_or_the_cause(name: str, outcomes: dict[str, Outcome]) -> None:
    assert {**EXPECTED_IN_MESSAGE, **REFUSED_WHERE_A_READ_IS_EXPECTED}[name] in outcomes[name].message


@pytest.mark.parametrize("name", EXPECTED_IN_NOTES)
def test_an_odd_file_that_is_read_says_so(name: str, outcomes: dict[str, Outcome]) -> None:
    assert EXPECTED_IN_NOTES[name] in outcomes[name].notes


def _by_csv_module(path: Path) -> list[list[str]]:
    """An independent reading: every record that is not an empty line, header included."""
    options = dict(DIALECTS.get(path.name, {}))
    encoding, skip = options.pop("encoding", "utf-8-sig"), options.pop("skip", 0)
    comments, drop, cut = options.pop("comments", False), options.pop("drop", ""), options.pop("cut", None)
    with path.open(encoding=encoding, newline="") as handle:
        lines = [line.replace(drop, "") if drop else line for line in handle][skip:]
    if comments:
        lines = [line for line in lines if not line.startswith("#")]
    records = [r[:cut] for r in csv.reader(lines, **options) if r]
    return [r + [""] * (cut - len(r)) for r in records] if cut else records


def test_every_cell_of_a_file_that_is_read_is_the_one_that_the_csv_module_reads(
    outcomes: dict[str, Outcome], corpus: Path, tmp_path: Path
) -> None:
    csv.field_size_limit(2**31 - 1)
    differ, compared = [], 0
    for number, name in enumerate(n for n, o in outcomes.items() if o.shape is not None):
        workspace = tmp_path / str(number)
        workspace.mkdir()
        staged = read_delimited(
            corpus / name, delimiter=None, encoding=None, known=(), workspace=workspace, limits=Limits(), label=name
        )
        table = pq.read_table(staged.parts[0].path)
        ours = [
            ["" if v is None else v for v in row] for row in zip(*(c.to_pylist() for c in table.columns), strict=True)
        ]
        header = [list(staged.names)] if staged.header_found else []
        if header + ours != _by_csv_module(corpus / name):
            differ.append(name)
        compared += table.num_rows
    assert differ == []
    assert compared > 20_000


@pytest.mark.parametrize("name", TYPED)
def test_cells_have_the_type_and_value_that_a_person_reads(name: str, outcomes: dict[str, Outcome]) -> None:
    columns = outcomes[name].columns
    assert {column: columns[column] for column in TYPED[name]} == TYPED[name]


def test_no_message_quotes_a_cell(outcomes: dict[str, Outcome], corpus: Path) -> None:
    for name, outcome in outcomes.items():
        told = outcome.message.replace(str(corpus / name), "") + outcome.notes
        cells = set(
            re.findall(r"[^\W\d_]{5,}", (corpus / name).read_bytes().decode("utf-8", "ignore").partition("\n")[2])
        )
        quoted = {c for c in cells if re.search(rf"['\"]{re.escape(c)}", told)}
        assert not quoted - _header_words(corpus / name), name


def _header_words(path: Path) -> set[str]:
    """Words of the first lines, which may be names."""
    return set(re.findall(r"[^\W\d_]{5,}", " ".join(path.read_bytes().decode("utf-8", "ignore").splitlines()[:2])))
