"""Each content is taken once; what cannot be taken is refused with the reason beside it; no file is lost."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.config.uploads import UploadsConfig
from synth_assets.errors import AccessRefusedError, MissingArtifactError, ServiceUnavailableError
from synth_assets.ledger.audit import Action
from synth_assets.storage.opening import Protection, open_store
from synth_assets.uploads.inbox import FolderInbox
from synth_assets.uploads.notes import State, read_note
from synth_assets_tests.unit.uploads.conftest import Desk


def drop(folder: Path, name: str, content: str = "a,b\n1,2\n") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)


def below(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_complete_file_becomes_one_upload_named_by_its_content(desk: Desk, folder: Path) -> None:
    drop(folder, "Jane Roe.csv")
    found = desk.settled()
    (request,) = found.requests
    assert request.upload == "upload_492d5ea496056f1a6a6592241032fab7"  # the first 128 bits of SHA-256
    assert request.run_key == f"{request.upload}:0"
    assert "Jane" not in request.run_key + found.cursor + str(desk.events)


def test_two_hundred_files_at_once_become_two_hundred_uploads(desk: Desk, folder: Path) -> None:
    for i in range(200):
        drop(folder, f"file {i}.csv", f"a,b\n1,{i}\n")
    found = desk.settled()
    assert len(found.requests) == 200
    assert len({r.upload for r in found.requests}) == 200
    again = desk.look()
    assert again.requests == []
    assert again.waiting == 200


def test_the_same_content_under_two_names_is_one_upload(desk: Desk, folder: Path) -> None:
    drop(folder, "a.csv")
    drop(folder, "b.csv")
    found = desk.settled()
    assert (len(found.requests), found.doubles) == (1, 1)
    assert below(folder) == ["a.csv", f"taken/{found.requests[0].upload}/b.csv"]


def test_the_same_name_with_new_content_is_a_new_upload(desk: Desk, folder: Path) -> None:
    drop(folder, "a.csv")
    first = desk.settled().requests[0].upload
    desk.upload(first).stored()
    drop(folder, "a.csv", "a,b\n3,4\n")
    second = desk.settled().requests[0].upload
    assert first != second


def test_a_file_stays_until_its_raw_table_is_stored_and_is_kept_then(desk: Desk, folder: Path) -> None:
    drop(folder, "a.csv")
    (folder / "a.csv.done").touch()
    upload = desk.look().requests[0].upload
    assert below(folder) == ["a.csv", "a.csv.done"]
    desk.upload(upload).stored()
    assert below(folder) == [f"taken/{upload}/a.csv"]
    assert read_note(desk.store, upload).state is State.TAKEN
    desk.upload(upload).stored()  # a second run of the same step
    assert below(folder) == [f"taken/{upload}/a.csv"]


def test_a_stored_file_is_deleted_where_the_configuration_says_so(desk: Desk, folder: Path) -> None:
    desk.config = UploadsConfig(after="delete")
    drop(folder, "a.csv")
    upload = desk.settled().requests[0].upload
    desk.upload(upload).stored()
    assert below(folder) == []
    assert [e.action for e in desk.events] == [Action.UPLOADED, Action.DELETED]
    assert desk.events[1].details == {"size_bytes": 8}


def test_content_that_was_stored_is_not_taken_again(desk: Desk, folder: Path) -> None:
    drop(folder, "a.csv")
    upload = desk.settled().requests[0].upload
    desk.upload(upload).stored()
    drop(folder, "again.csv")
    found = desk.settled()
    assert (found.requests, found.doubles) == ([], 1)
    assert below(folder) == [f"taken/{upload}/a.csv", f"taken/{upload}/again.csv"]


def test_a_lost_cursor_takes_nothing_twice(desk: Desk, folder: Path) -> None:
    drop(folder, "a.csv")
    assert len(desk.settled().requests) == 1
    desk.cursor = ""
    found = desk.settled()
    assert (found.requests, found.waiting) == ([], 1)
    assert below(folder) == ["a.csv"]


def test_a_tick_that_dagster_never_heard_of_is_repeated_with_the_same_run_key(desk: Desk, folder: Path) -> None:
    drop(folder, "a.csv")
    first = desk.settled().requests
    desk.known, desk.cursor = set(), ""
    assert desk.settled().requests == first


def test_a_larger_file_is_refused_with_its_size_and_the_limit(desk: Desk, folder: Path) -> None:
    desk.config = UploadsConfig(max_upload_mb=0.001)
    drop(folder, "big secret@example.org.csv", "a,b\n" + "secret@example.org,2\n" * 100)
    drop(folder, "small.csv")
    found = desk.settled()
    assert (len(found.requests), found.refused) == (1, 1)
    reason = json.loads((folder / "quarantine" / "big secret@example.org.csv.reason.json").read_text())
    assert reason["code"] == "too_large"
    assert "0.0 MB; max_upload_mb is 0.001" in reason["message"]
    assert reason["size_bytes"] == 2104
    assert "secret" not in json.dumps(reason)


def test_a_file_of_exactly_the_limit_is_taken(desk: Desk, folder: Path) -> None:
    desk.config = UploadsConfig(max_upload_mb=0.000008)
    drop(folder, "a.csv")
    assert len(desk.settled().requests) == 1


def test_what_cannot_be_read_goes_into_quarantine_without_a_cell(desk: Desk, folder: Path) -> None:
    drop(folder, "a.csv", "secret@example.org")
    upload = desk.settled().requests[0].upload
    error = {"code": "source", "message": "line has 3 fields.", "row": 7, "column": None, "remedy": "Mend it."}
    desk.upload(upload).refuse(error | {"file": "/somewhere/upload.csv"})
    assert below(folder) == ["quarantine/a.csv", "quarantine/a.csv.reason.json"]
    reason = json.loads((folder / "quarantine" / "a.csv.reason.json").read_text())
    assert reason["message"] == "line 7: line has 3 fields. Mend it."
    assert reason["upload"] == upload
    assert "secret" not in json.dumps(reason)


@pytest.mark.parametrize("code", ["unavailable", "unexpected", "missing_artifact", "budget"])
def test_a_fault_that_is_not_the_files_leaves_it_where_it_is(desk: Desk, folder: Path, code: str) -> None:
    drop(folder, "a.csv")
    upload = desk.settled().requests[0].upload
    desk.upload(upload).refuse({"code": code, "message": "no.", "row": None, "column": None, "remedy": None})
    assert below(folder) == ["a.csv"]


def test_content_from_quarantine_that_is_dropped_again_is_tried_again(desk: Desk, folder: Path) -> None:
    drop(folder, "a.csv")
    (first,) = desk.settled().requests
    desk.upload(first.upload).refuse({"code": "source", "message": "no.", "row": None, "column": None, "remedy": None})
    drop(folder, "b.csv")
    (second,) = desk.settled().requests
    assert (second.upload, second.attempt) == (first.upload, 1)
    assert second.run_key != first.run_key


def test_content_whose_file_went_away_is_taken_from_the_next_file_that_holds_it(desk: Desk, folder: Path) -> None:
    drop(folder, "a.csv")
    (first,) = desk.settled().requests
    (folder / "a.csv").unlink()
    drop(folder, "b.csv")
    (second,) = desk.settled().requests
    assert (second.upload, second.attempt) == (first.upload, 1)


def test_two_files_of_one_name_in_quarantine_keep_both(desk: Desk, folder: Path) -> None:
    desk.config = UploadsConfig(max_upload_mb=0.000001)
    for content in ("a,b\n1,2\n", "a,b\n3,4\n"):
        drop(folder, "a.csv", content)
        desk.settled()
    assert below(folder / "quarantine") == ["a.csv", "a.csv.2", "a.csv.2.reason.json", "a.csv.reason.json"]


def test_a_copy_of_the_file_is_proven_to_hold_what_was_taken(desk: Desk, folder: Path, tmp_path: Path) -> None:
    drop(folder, "a.CSV.gz", "one")
    upload = desk.settled().requests[0].upload
    copy = desk.upload(upload).fetch(tmp_path)
    assert (copy.name, copy.read_text()) == ("upload.CSV.gz", "one")
    drop(folder, "a.CSV.gz", "two")
    with pytest.raises(MissingArtifactError, match="no file of the inbox holds the content"):
        desk.upload(upload).fetch(tmp_path)


def test_a_copy_is_made_of_the_file_that_was_filed_away(desk: Desk, folder: Path, tmp_path: Path) -> None:
    drop(folder, "a.csv")
    upload = desk.settled().requests[0].upload
    desk.upload(upload).stored()
    assert desk.upload(upload).fetch(tmp_path).read_text() == "a,b\n1,2\n"


def test_a_file_that_was_overwritten_meanwhile_is_neither_moved_nor_deleted(desk: Desk, folder: Path) -> None:
    desk.config = UploadsConfig(after="delete")
    drop(folder, "a.csv")
    upload = desk.settled().requests[0].upload
    drop(folder, "a.csv", "other content")
    desk.upload(upload).stored()
    assert (folder / "a.csv").read_text() == "other content"
    assert len(desk.settled().requests) == 1


def test_links_and_folders_are_left_alone(desk: Desk, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("secret")
    folder.mkdir(exist_ok=True)
    (folder / "link.csv").symlink_to(outside)
    (folder / "sub").mkdir()
    (folder / "sub" / "a.csv").write_text("a")
    found = desk.settled()
    assert found.requests == []
    assert found.words() == "the inbox is empty"
    assert outside.read_text() == "secret"


def test_a_file_that_may_not_be_read_goes_into_quarantine(desk: Desk, folder: Path) -> None:
    class Closed(FolderInbox):
        def reading(self, name: str) -> AbstractContextManager[BinaryIO]:
            raise AccessRefusedError("the file cannot be opened (PermissionError).")

    drop(folder, "a.csv")
    desk.inbox = Closed(folder)
    assert desk.settled().refused == 1
    assert json.loads((folder / "quarantine" / "a.csv.reason.json").read_text())["code"] == "access_refused"


def test_one_file_that_cannot_be_moved_does_not_stop_the_others(desk: Desk, folder: Path) -> None:
    class Stiff(FolderInbox):
        def move(self, name: str, to: str) -> str:
            raise ServiceUnavailableError("the inbox refuses an access.")

    desk.config = UploadsConfig(max_upload_mb=0.00001)
    drop(folder, "a.csv", "x" * 100)
    drop(folder, "b.csv")
    desk.inbox = Stiff(folder)
    found = desk.settled()
    assert (len(found.requests), found.stuck) == (1, 1)
    assert below(folder) == ["a.csv", "b.csv"]


def test_hashing_stops_at_its_time_and_goes_on_at_the_next_look(desk: Desk, folder: Path) -> None:
    drop(folder, "a.csv")
    desk.look()
    desk.now += 60
    found = desk.look(seconds=0.0)
    assert (found.requests, found.incomplete) == ([], 1)
    assert len(desk.look().requests) == 1


def test_the_inbox_is_made_for_its_owner_alone(desk: Desk, folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700


steps = st.lists(
    st.one_of(
        st.tuples(st.just("drop"), st.integers(0, 2), st.integers(0, 3)),
        st.tuples(st.just("look"), st.sampled_from([1, 6, 70]), st.just(0)),
        st.tuples(st.just("stored"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("forget"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(steps)
def test_no_history_of_drops_takes_a_content_twice_or_loses_one(history: list[tuple[str, int, int]]) -> None:
    """Drops, looks, runs that end and lost cursors in any order: at most one run per content, and its bytes are still there."""
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "inbox"
        desk = Desk(FolderInbox(folder), open_store(Protection(Path(base) / "var", encrypted=False)))
        asked: list[str] = []
        runs: Counter[str] = Counter()
        lasting: set[str] = set()
        for what, one, two in history:
            if what == "drop":
                name = folder / f"{one}.csv"
                if not name.exists():  # an overwritten file is gone by the person's own hand
                    drop(folder, name.name, f"content {two}")
                    lasting.add(f"content {two}")
            elif what == "look":
                desk.now += one
                found = desk.look()
                asked += [r.upload for r in found.requests]
                runs.update(r.upload for r in found.requests)
            elif what == "stored" and one < len(asked):
                desk.upload(asked[one]).stored()
            elif what == "forget":
                desk.cursor = ""
        assert all(n == 1 for n in runs.values()), runs
        kept = {p.read_text() for p in folder.rglob("*.csv*") if p.is_file()}
        assert kept == lasting
