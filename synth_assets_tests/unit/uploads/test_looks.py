"""When a file is complete."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.storage.secrets import SecretKey
from synth_assets.uploads.inbox import Entry, unfinished
from synth_assets.uploads.looks import EMPTY_SECONDS, Looks, Seen, look, name_digest

DIGEST = name_digest(SecretKey(bytes(32)))


def names(entries: list[Entry], before: dict[str, Seen], now: float, **more) -> tuple[list[str], dict[str, Seen]]:
    options = {"settle": 5.0, "marker_required": False, **more}
    complete, after = look(entries, before, now=now, digest=DIGEST, **options)
    return [e.name for e in complete], after


def test_a_file_is_complete_when_a_second_look_finds_it_unchanged_and_long_enough() -> None:
    file = [Entry("a.csv", 10, "1")]
    found, seen = names(file, {}, 100.0)
    assert found == []
    assert names(file, seen, 104.9)[0] == []
    assert names(file, seen, 105.0)[0] == ["a.csv"]


def test_one_look_is_never_enough_even_without_a_time_to_settle() -> None:
    file = [Entry("a.csv", 10, "1")]
    found, seen = names(file, {}, 100.0, settle=0.0)
    assert found == []
    assert names(file, seen, 100.1, settle=0.0)[0] == ["a.csv"]


@pytest.mark.parametrize("grown", [Entry("a.csv", 11, "1"), Entry("a.csv", 10, "2")], ids=["size", "time of change"])
def test_a_change_starts_the_waiting_anew(grown: Entry) -> None:
    _, seen = names([Entry("a.csv", 10, "1")], {}, 100.0)
    found, seen = names([grown], seen, 105.0)
    assert found == []
    assert names([grown], seen, 109.0)[0] == []
    assert names([grown], seen, 110.0)[0] == ["a.csv"]


def test_a_marker_makes_a_file_complete_at_once() -> None:
    entries = [Entry("a.csv", 10, "1"), Entry("a.csv.done", 0, "1"), Entry("b.csv", 10, "1")]
    assert names(entries, {}, 100.0)[0] == ["a.csv"]


def test_where_a_marker_is_required_nothing_else_completes_a_file() -> None:
    files = [Entry("a.csv", 10, "1")]
    _, seen = names(files, {}, 100.0, marker_required=True)
    assert names(files, seen, 10_000.0, marker_required=True)[0] == []
    marked = [*files, Entry("a.csv.done", 0, "1")]
    assert names(marked, seen, 10_001.0, marker_required=True)[0] == ["a.csv"]


def test_an_empty_file_waits_a_minute_since_its_writer_may_have_only_begun() -> None:
    file = [Entry("a.csv", 0, "1")]
    _, seen = names(file, {}, 100.0)
    assert names(file, seen, 100.0 + EMPTY_SECONDS - 1)[0] == []
    assert names(file, seen, 100.0 + EMPTY_SECONDS)[0] == ["a.csv"]


def test_a_clock_that_is_set_back_makes_no_file_complete_early() -> None:
    file = [Entry("a.csv", 10, "1")]
    _, seen = names(file, {}, 1000.0)
    found, seen = names(file, seen, 100.0)
    assert found == []
    assert names(file, seen, 104.0)[0] == []
    assert names(file, seen, 105.0)[0] == ["a.csv"]


@pytest.mark.parametrize(
    "name",
    [".hidden.csv", "~$book.xlsx", "a.csv~", "#a.csv#", "a.csv.tmp", "a.csv.part", "a.PARTIAL", "a.crdownload", "a.filepart", "a.done"],
)  # fmt: skip
def test_names_of_files_in_the_making_are_never_complete(name: str) -> None:
    assert unfinished(name)
    _, seen = names([Entry(name, 10, "1")], {}, 100.0)
    assert names([Entry(name, 10, "1")], seen, 10_000.0)[0] == []


@pytest.mark.parametrize("name", ["a.csv", "party.csv", "template.tmp.csv", "done.csv", "données.csv", "a"])
def test_other_names_are_not(name: str) -> None:
    assert not unfinished(name)


def test_a_cursor_tells_no_name_and_reads_back() -> None:
    _, seen = names([Entry("Jane Roe 1961.csv", 10, "1")], {}, 100.0)
    cursor = Looks(seen).cursor()
    assert "Jane" not in cursor
    assert Looks.of_cursor(cursor).files == seen
    assert DIGEST("Jane Roe 1961.csv") != name_digest(SecretKey(bytes([1]) * 32))("Jane Roe 1961.csv")


def test_a_cursor_of_another_format_is_as_good_as_none() -> None:
    assert Looks.of_cursor(json.dumps({"format": 99, "files": {"a": 1}})).files == {}
    assert Looks.of_cursor(None).files == {}


changes = st.lists(st.tuples(st.floats(0.1, 20.0), st.integers(0, 2)), min_size=1, max_size=12)


@given(changes)
def test_a_complete_file_has_not_changed_for_the_whole_time_to_settle(steps: list[tuple[float, int]]) -> None:
    """Whatever the rhythm of looks and writes: what is called complete was equal at all looks of the last five seconds."""
    now, seen, history = 0.0, {}, []
    for wait, size in steps:
        now += wait
        entry = Entry("a.csv", size + 1, str(size))
        found, seen = names([entry], seen, now)
        history.append((now, size))
        if found:
            equal = [at for at, s in history if now - at < 5.0]
            assert all(s == size for at, s in history if at in equal)
            assert any(s == size and now - at >= 5.0 for at, s in history)
            changed = [at for at, s in history if s != size]
            assert not changed or now - max(changed) >= 5.0
