"""Every file of the public corpus of malformed tables: read with the right shape, or refused with one clear error."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from synth_assets.config.dataset import SourceConfig
from synth_assets.errors import SourceError
from synth_assets.tables.engine import Engine
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
}


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    shape: tuple[int, int] | None
    message: str
    notes: str


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
            found[row["file"]] = Outcome(None, str(error), "")
            assert not list(out.parent.iterdir()), row["file"]
        else:
            found[row["file"]] = Outcome((schema.row_count, len(schema.columns)), "", "\n".join(read_notes(out)))
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
