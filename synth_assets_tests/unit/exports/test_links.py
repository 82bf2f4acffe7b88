"""Links lead to released files only, end when they should, and are signed for nothing that was refused."""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from synth_assets.errors import ConfigError, InputError, MissingArtifactError, ReleaseRefusedError
from synth_assets.exports.links import delivery_links, export_links, link_hours
from synth_assets.exports.places import POINTER, put_files
from synth_assets.storage.artifacts import ArtifactStore, Zone
from synth_assets.storage.objects import ObjectFolder
from synth_assets.storage.opening import Protection, open_store
from synth_assets.storage.s3_options import S3Options
from synth_assets.storage.verdicts import VERDICT


@pytest.fixture
def place(s3_bucket: Any) -> ObjectFolder:
    return ObjectFolder(f"s3://{s3_bucket.name}/release", S3Options.from_environment())


@pytest.fixture
def store(place: ObjectFolder, tmp_path: Path) -> ArtifactStore:
    return open_store(Protection(tmp_path / "var", encrypted=False), {"release": place})


def export(store: ArtifactStore, *, passed: bool = True) -> None:
    with store.writing(Zone.RELEASE, "clinic", "export_csv") as out:
        (out.folder / "dp").mkdir()
        (out.folder / "dp" / "t.csv").write_text("id\n1\n")
        out.info["files"] = ["dp/t.csv"]
    note = {"content_hash": out.done().content_hash, "passed": passed, "failed": [] if passed else ["x"]}
    store.write_note(Zone.RELEASE, "clinic", "export_csv", VERDICT, note | {"run_id": "r"})


def test_an_export_gets_a_link_for_each_file_that_ends_in_time(store: ArtifactStore, place: ObjectFolder) -> None:
    export(store)
    (link,) = export_links(store, place, "clinic", "export_csv", hours=3)
    assert link.file == "dp/t.csv"
    assert abs(link.expires_at - datetime.now(UTC) - timedelta(hours=3)) < timedelta(minutes=1)
    assert parse_qs(urlsplit(link.url).query)["X-Amz-Expires"] == ["10800"]
    with urllib.request.urlopen(link.url) as answer:  # noqa: S310  our own server
        assert answer.read() == b"id\n1\n"


def test_an_export_that_failed_or_was_never_made_gets_none(store: ArtifactStore, place: ObjectFolder) -> None:
    with pytest.raises((ReleaseRefusedError, MissingArtifactError)):
        export_links(store, place, "clinic", "export_csv", hours=1)
    export(store, passed=False)
    with pytest.raises(ReleaseRefusedError):
        export_links(store, place, "clinic", "export_csv", hours=1)


def test_a_release_zone_on_the_disk_has_no_links(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="on this machine's disk"):
        export_links(open_store(Protection(tmp_path, encrypted=False)), None, "clinic", "export_csv", hours=1)


def test_a_delivery_is_current_when_its_pointer_is_and_is_not_uploaded_twice(
    place: ObjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingArtifactError, match="nothing was delivered"):
        delivery_links(place, hours=1)
    (tmp_path / "t.csv").write_text("id\n1\n")
    assert put_files(tmp_path, place, content="a", about={"synthetic": True})
    assert not put_files(tmp_path, place, content="a", about={"synthetic": True})
    assert put_files(tmp_path, place, content="a", about={"synthetic": True}, again=True)
    place.delete("a/t.csv")
    assert put_files(tmp_path, place, content="a", about={"synthetic": True})  # somebody removed it
    (tmp_path / "t.csv").write_text("id\n2\n")

    def cut(self: Any, path: Path, key: str) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched, pytest.raises(ConnectionError):
        patched.setattr(ObjectFolder, "upload", cut)
        put_files(tmp_path, place, content="b", about={"synthetic": True})
    assert json.loads(place.read(POINTER) or b"")["files"] == {"t.csv": "a/t.csv"}
    (link,) = delivery_links(place, hours=1)
    with urllib.request.urlopen(link.url) as answer:  # noqa: S310  our own server
        assert answer.read() == b"id\n1\n"


def test_the_lifetime_is_what_is_asked_else_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (link_hours(), link_hours(7)) == (24, 7)
    monkeypatch.setenv("SYNTH_ASSETS_LINK_HOURS", "2")
    assert (link_hours(), link_hours(7)) == (2, 7)
    for wrong in ("0", "169", "1.5", "", "²"):
        monkeypatch.setenv("SYNTH_ASSETS_LINK_HOURS", wrong)
        with pytest.raises(ConfigError, match="SYNTH_ASSETS_LINK_HOURS is no whole number"):
            link_hours()
    with pytest.raises(InputError, match="from 1 to 168"):
        link_hours(169)
