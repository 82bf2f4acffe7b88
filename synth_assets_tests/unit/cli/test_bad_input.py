"""Bad input: one clear line with file, key or column and what to do; the right exit code; everything earlier as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from synth_assets_tests.unit.cli.conftest import Command

OLD = "what was there before\n"


@pytest.fixture
def folder(tmp_path: Path, people: Path) -> Path:
    """Files that are wrong in one way each, and an earlier output."""
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("a,b\n")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    (tmp_path / "binary.csv").write_bytes(b"PK\x03\x04" + bytes(range(256)) * 20)
    (tmp_path / "bad.json").write_text("{nope")
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "unknown.json").write_text('{"columns": {"age": {"kind": "num", "lowr": 3}}}')
    (tmp_path / "crossed.json").write_text('{"columns": {"age": {"kind": "num", "lower": 9, "upper": 3}}}')
    (tmp_path / "other.json").write_text('{"columns": {"height": {"kind": "num", "lower": 0, "upper": 3}}}')
    (tmp_path / "policy.yaml").write_text(
        "name: mine\nclasses: {direct: keep, quasi: keep, sensitive: keep, none: keep}\n"
    )
    (tmp_path / "out.csv").write_text(OLD)
    (tmp_path / "apart.csv").write_text("height,weight\n1,2\n3,4\n")
    (tmp_path / "upside.yaml").write_text("levels: {tvd: {medium: 0.4, high: 0.2}}\n")
    (tmp_path / "drop").mkdir()
    return tmp_path


SYNTHESIZE = ["synthesize", "people.csv", "-o", "out.csv"]
CASES = [
    # arguments, exit code, in the message, file's name, key, column
    (["profile", "nope.csv"], 2, "does not exist", "nope.csv", None, None),
    (["profile", "empty.csv"], 2, "empty (0 bytes)", "empty.csv", None, None),
    (["classify", "header.csv"], 2, "no rows", "header.csv", None, None),
    (["classify", "ragged.csv"], 2, "the row has 3 cells", "ragged.csv", None, None),
    (["profile", "binary.csv"], 2, "zip archive", "binary.csv", None, None),
    (["profile", "drop"], 2, "no data file", "drop", None, None),
    (["profile", "people.csv", "--delimiter", ";;"], 2, "one sign", None, "--delimiter", None),
    (["profile", "people.csv", "--encoding", "klingon"], 2, "encoding", None, "source.encoding", None),
    (["mask", "nope.csv", "-o", "out.csv"], 2, "does not exist", "nope.csv", None, None),
    (["mask", "people.csv", "-o", "out.csv", "--policy", "nope"], 2, "no policy 'nope'", None, "policy", None),
    (["mask", "people.csv", "-o", "out.csv", "--policy", "nope.yaml"], 2, "does not exist", "nope.yaml", None, None),
    (["mask", "people.csv", "-o", "out.csv", "--policy", "policy.yaml"], 2, "passes direct", "policy.yaml", None, None),
    (["mask", "people.csv", "-o", "out.xlsx"], 2, "no known format", "out.xlsx", None, None),
    (["mask", "people.csv", "-o", "drop"], 2, "this is a folder", "drop", "--out", None),
    (["mask", "people.csv", "-o", "people.csv"], 2, "the file that is read", "people.csv", "--out", None),
    (["mask", "people.csv", "-o", "out.csv/a.csv"], 2, "a file and not a folder", "out.csv", "--out", None),
    (["generate", "nope.yaml", "-o", "drop"], 2, "does not exist", "nope.yaml", None, None),
    (["generate", "policy.yaml", "-o", "drop"], 2, "key is missing", "policy.yaml", "tables", None),
    (["generate", "policy.yaml", "-o", "out.csv"], 2, "a file and not a folder", "out.csv", "--out", None),
    (["generate", "policy.yaml", "-o", "drop", "--format", "xls"], 2, "'xls' is no format", None, "--format", None),
    ([*SYNTHESIZE, "--epsilon", "0"], 2, "greater than 0", None, "epsilon", None),
    ([*SYNTHESIZE, "--epsilon", "-1"], 2, "greater than 0", None, "epsilon", None),
    ([*SYNTHESIZE, "--epsilon", "nan"], 2, "greater than 0", None, "epsilon", None),
    ([*SYNTHESIZE, "--epsilon", "1000"], 2, "at most 100", None, "epsilon", None),
    ([*SYNTHESIZE, "--delta", "0"], 2, "between 0 and 1", None, "delta", None),
    ([*SYNTHESIZE, "--delta", "1"], 2, "between 0 and 1", None, "delta", None),
    ([*SYNTHESIZE, "--delta", "0.01"], 2, "below 0.01", None, "delta", None),
    ([*SYNTHESIZE, "--synthesizer", "magic"], 2, "no synthesizer 'magic'", None, "synthesizer", None),
    ([*SYNTHESIZE, "--target", "height"], 2, "no such column", None, None, "height"),
    ([*SYNTHESIZE, "--target", "email"], 2, "never modelled", None, "target", "email"),
    ([*SYNTHESIZE, "--domain", "nope.json"], 2, "domain file does not exist", "nope.json", None, None),
    ([*SYNTHESIZE, "--domain", "bad.json"], 2, "not valid YAML", "bad.json", None, None),
    ([*SYNTHESIZE, "--domain", "list.json"], 2, "no mapping", "list.json", None, None),
    ([*SYNTHESIZE, "--domain", "unknown.json"], 2, "not known", "unknown.json", "columns.age.lowr", None),
    ([*SYNTHESIZE, "--domain", "crossed.json"], 2, "not below", "crossed.json", None, None),
    ([*SYNTHESIZE, "--domain", "other.json"], 2, "no such column", "people.csv", "columns", "height"),
    ([*SYNTHESIZE, "--epsilon", "50"], 4, "No data was read", None, "budget.epsilon", None),
    (["audit", "--synthetic", "nope.csv"], 2, "does not exist", "nope.csv", None, None),
    (["audit", "--synthetic", "people.csv", "--real", "empty.csv"], 2, "empty", "empty.csv", None, None),
    (["audit", "--synthetic", "people.csv", "--real", "header.csv"], 2, "no rows", "header.csv", None, None),
    (["audit", "--synthetic", "binary.csv"], 2, "zip archive", "binary.csv", None, None),
    (["audit", "--synthetic", "people.csv", "--real", "apart.csv"], 2, "no column in common", None, None, None),
    (["audit", "--synthetic", "people.csv", "--holdout", "people.csv"], 2, "control group", None, "holdout", None),
    (["audit", "--synthetic", "people.csv", "--config", "nope.yaml"], 2, "does not exist", "nope.yaml", None, None),
    (["audit", "--synthetic", "people.csv", "--config", "policy.yaml"], 2, "not known", "policy.yaml", "classes", None),
    (["audit", "--synthetic", "people.csv", "--config", "upside.yaml"], 2, "larger", "upside.yaml", "levels.tvd", None),
    (["audit"], 2, "Missing option", None, "--synthetic", None),
    (["audit", "--synthetic", "people.csv", "--target", "height"], 2, "no such column", None, None, "height"),
    (["audit", "--synthetic", "people.csv", "--protected", "height"], 2, "no such column", None, None, "height"),
    (["audit", "--synthetic", "https://nowhere.invalid/a.csv?sig=CANARY"], 5, "does not answer", "a.csv", None, None),
    (["audit", "--synthetic", "https://127.0.0.1:9/a.csv?sig=CANARY"], 2, "private network", "a.csv", None, None),
    (
        ["audit", "--synthetic", "people.csv", "--real", "https://10.0.0.1/r.csv?sig=CANARY"],
        2,
        "PRIVATE_HOSTS",
        "r.csv",
        None,
        None,
    ),
    (["audit", "--synthetic", "http://example.org/a.csv?sig=CANARY"], 2, "https://", "a.csv", "source.path", None),
    (["budget", "nobody"], 2, "no privacy budget", None, "POPULATION", None),
    (["init", "nope.csv"], 2, "does not exist", "nope.csv", None, None),
    (["init", "empty.csv", "-o", "draft.yaml"], 2, "empty", "empty.csv", None, None),
    (["init", "people.csv", "-o", "policy.yaml"], 2, "never replaces", "policy.yaml", None, None),
    (["init", "people.csv", "--name", "No Name"], 2, "no dataset name", None, "name", None),
    (["demo"], 2, "not in this home", "clinic.yaml", None, None),
    (["run", "nope.yaml"], 2, "does not exist", "nope.yaml", None, None),
    (["run", "drop"], 2, "cannot be read", "drop", None, None),
]


@pytest.mark.parametrize(
    ("arguments", "code", "words", "file", "key", "column"), CASES, ids=[" ".join(c[0]) for c in CASES]
)
def test_bad_input_is_one_clear_line(
    cli: Command,
    folder: Path,
    arguments: list[str],
    code: int,
    words: str,
    file: str | None,
    key: str | None,
    column: str | None,
) -> None:
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}

    answer = cli(*arguments)
    told = cli(*arguments, "--json")

    assert (answer.code, told.code) == (code, code)
    assert answer.out == ""
    assert answer.err.count("\n") == 1
    assert answer.err.startswith("error: ")
    assert words in answer.err
    assert "CANARY" not in answer.err + told.out
    assert told.err == ""
    assert set(told.error) == {"code", "message", "file", "row", "column", "key", "remedy"}
    assert words in f"{told.error['message']} {told.error['remedy']}"
    assert Path(told.error["file"] or "").name == (file or "")
    assert told.error["column"] == column
    if key is not None:
        assert told.error["key"] == key
    after = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    assert after == before


CONFIG = "name: people\nsource: {path: people.csv}\nprimary_key: person_id\n"
CONFIGS = [
    # what is added, or the whole file; exit code; words; line; key
    ("primary_kee: person_id\n", 2, "Did you mean `primary_key`", 4, "primary_kee"),
    ("synthesizers: [{name: dp_marginals, epsilon: 0}]\n", 2, "greater than 0", 4, "synthesizers.0.epsilon"),
    ("timezone: Mars/Base\n", 2, "no IANA time zone", 4, "timezone"),
    ("policy: nope\n", 2, "no policy 'nope'", None, "policy"),
    ("columns: {sex: {categories: [yes, no]}}\n", 2, "booleans", 4, "tables.people.columns.sex.categories"),
    ("domain: nope.json\n", 2, "does not exist", None, None),
    ("columns: {sex: [\n", 2, "not valid YAML", 5, None),
]


@pytest.mark.parametrize(("added", "code", "words", "row", "key"), CONFIGS, ids=[c[2] for c in CONFIGS])
def test_a_wrong_config_names_its_line_before_anything_runs(
    cli: Command, folder: Path, added: str, code: int, words: str, row: int | None, key: str | None
) -> None:
    (folder / "people.yaml").write_text(CONFIG + added)
    told = cli("run", "people.yaml", "--home", "home", "--json")
    assert told.code == code
    assert told.err == ""
    assert words in f"{told.error['message']} {told.error['remedy']}"
    assert told.error["file"].endswith((".yaml", "nope.json"))
    assert (told.error["row"], told.error["key"]) == (row, key)
    assert not list(folder.glob("home/var/restricted"))


def test_an_unknown_stage_is_refused_before_a_home_is_made(cli: Command, folder: Path) -> None:
    (folder / "people.yaml").write_text(CONFIG)
    told = cli("run", "people.yaml", "--home", "home", "--select", "raw,magic", "--json")
    assert (told.code, told.error["key"]) == (2, "--select")
    assert "raw, profile" in told.error["remedy"]
    assert not (folder / "home").exists()
    assert cli("run", "people.yaml", "--select", ",").code == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told_before_any_work(cli: Command, folder: Path) -> None:
    (folder / "drop").chmod(0o500)
    told = cli("mask", "people.csv", "-o", "drop/out.csv", "--json")
    assert (told.code, told.error["key"]) == (2, "--out")


def test_a_home_that_is_a_file_is_refused(cli: Command, folder: Path) -> None:
    told = cli("mask", "people.csv", "-o", "masked.csv", "--home", "out.csv", "--json")
    assert (told.code, told.error["key"]) == (2, "--home")
    assert not (folder / "masked.csv").exists()


def test_a_command_that_cannot_run_makes_no_home(cli: Command, folder: Path) -> None:
    for arguments in (
        ["mask", "people.csv", "-o", "o.csv", "--policy", "nope"],
        ["profile", "people.csv"],
        ["budget"],
        ["demo"],
    ):
        cli(*arguments)
    assert not (folder / ".synth_assets").exists()
