"""The store shows an artifact whole or not at all, on the local disk and in S3."""

from __future__ import annotations

import json

import pytest

from synth_assets.errors import MissingArtifactError, ServiceUnavailableError
from synth_assets.storage.artifacts import Zone
from synth_assets.storage.opening import open_store

BUCKET = "synth-assets-test"


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path, monkeypatch):
    if request.param == "local":
        yield open_store(tmp_path / "var")
        return
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import boto3
        from moto import mock_aws
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield open_store(tmp_path / "var", {z.value: f"s3://{BUCKET}/{z}" for z in Zone})


def write(store, text, zone=Zone.RESTRICTED):
    with store.writing(zone, "ds", "raw_t") as out:
        (out.folder / "sub").mkdir()
        (out.folder / "sub" / "a.txt").write_text(text)
        out.info["rows"] = len(text)
    return out.done()


def test_what_was_written_is_current_and_read_back(store):
    ref = write(store, "abc")
    assert store.current(Zone.RESTRICTED, "ds", "raw_t") == ref
    assert (store.path(ref) / "sub" / "a.txt").read_text() == "abc"
    assert ref.info == {"rows": 3}


def test_the_same_content_has_the_same_hash_and_another_content_another(store):
    first, again, other = write(store, "abc"), write(store, "abc"), write(store, "abd")
    assert first.content_hash == again.content_hash != other.content_hash


def test_a_failed_write_leaves_the_earlier_artifact_and_no_rest(store):
    before = write(store, "abc")
    with pytest.raises(RuntimeError, match="stop"), store.writing(Zone.RESTRICTED, "ds", "raw_t") as out:
        (out.folder / "half.txt").write_text("half")
        raise RuntimeError("stop")
    assert store.current(Zone.RESTRICTED, "ds", "raw_t") == before
    assert [p for p in store.scratch.rglob("*") if p.is_file()] == []


def test_what_is_not_published_is_thrown_away(store):
    before = write(store, "abc", Zone.MASKED)
    with store.writing(Zone.MASKED, "ds", "raw_t") as out:
        (out.folder / "a.txt").write_text("new")
        out.publish = False
    assert store.current(Zone.MASKED, "ds", "raw_t") == before
    with pytest.raises(MissingArtifactError, match="are gone"):
        store.path(out.done())


def test_files_in_the_making_lie_in_the_restricted_zone_and_a_later_run_can_clear_them(tmp_path):
    store = open_store(tmp_path / "var")
    with store.staging("ds") as folder:
        (folder / "half.txt").write_text("half")
        assert folder.is_relative_to(tmp_path / "var" / "restricted")
        store.clear_staging("other")
        assert (folder / "half.txt").is_file()
        store.clear_staging("ds")
        assert not folder.exists()


def test_zones_do_not_see_each_other(store):
    write(store, "abc", Zone.RESTRICTED)
    assert store.find(Zone.RELEASE, "ds", "raw_t") is None
    with pytest.raises(MissingArtifactError, match="not been materialised"):
        store.current(Zone.RELEASE, "ds", "raw_t")


def test_notes_are_kept_beside_the_artifact(store):
    assert store.read_note(Zone.RESTRICTED, "ds", "raw_t", "verdict") is None
    store.write_note(Zone.RESTRICTED, "ds", "raw_t", "verdict", {"passed": True})
    assert store.read_note(Zone.RESTRICTED, "ds", "raw_t", "verdict") == {"passed": True}


def test_a_pointer_without_its_files_is_an_error(tmp_path):
    import shutil

    store = open_store(tmp_path / "var")
    ref = write(store, "abc")
    shutil.rmtree(tmp_path / "var" / "restricted" / ref.key)
    with pytest.raises(MissingArtifactError, match="are gone"):
        store.path(ref)


def test_the_restricted_folders_are_closed_to_others(tmp_path):
    store = open_store(tmp_path / "var")
    ref = write(store, "abc")
    assert store.path(ref).stat().st_mode & 0o077 == 0
    pointer = tmp_path / "var" / "restricted" / "ds" / "raw_t" / "current.json"
    assert pointer.stat().st_mode & 0o077 == 0
    assert json.loads(pointer.read_text())["content_hash"] == ref.content_hash
    folders = [p for p in (tmp_path / "var").rglob("*") if p.is_dir()]
    assert {p.name for p in folders} >= {"restricted", "ds", "raw_t"}
    assert [p for p in folders if p.name != "sub" and p.stat().st_mode & 0o077] == []  # the writer made that one


def test_an_s3_service_that_is_not_there_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    store = open_store(tmp_path / "var", {"release": "s3://nowhere/x"}, "http://127.0.0.1:9")
    with pytest.raises(ServiceUnavailableError, match="nowhere"):
        store.find(Zone.RELEASE, "ds", "raw_t")
