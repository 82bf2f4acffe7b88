"""The store shows an artifact whole or not at all, on the local disk and in S3."""

from __future__ import annotations

import json

import pytest

from synth_assets.errors import DamagedArtifactError, MissingArtifactError, ServiceUnavailableError, SupersededError
from synth_assets.storage.artifacts import Zone
from synth_assets.storage.lease import Hold, WriterLease
from synth_assets.storage.objects import ObjectFolder
from synth_assets.storage.opening import Protection, open_store
from synth_assets.storage.s3 import COMPLETE_MARK
from synth_assets.storage.s3_options import S3Options


@pytest.fixture(params=["local", "encrypted", "s3", "encrypted s3"])
def store(request, tmp_path):
    if "s3" not in request.param:
        return open_store(kept(tmp_path, encrypted="encrypted" in request.param))
    bucket = request.getfixturevalue("s3_bucket")
    return s3_store(bucket, tmp_path, encrypted="encrypted" in request.param)


def kept(folder, *, encrypted=False):
    return Protection(folder / "var", encrypted=encrypted, named=folder / "rooms", keys=folder / "keys")


def s3_store(bucket, tmp_path, *, encrypted=False):
    options = S3Options.from_environment()
    return open_store(
        kept(tmp_path, encrypted=encrypted), {z.value: ObjectFolder(f"s3://{bucket.name}/{z}", options) for z in Zone}
    )


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
    store = open_store(kept(tmp_path))
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

    store = open_store(kept(tmp_path))
    ref = write(store, "abc")
    shutil.rmtree(tmp_path / "var" / "restricted" / ref.key)
    with pytest.raises(MissingArtifactError, match="are gone"):
        store.path(ref)


def test_the_restricted_folders_are_closed_to_others(tmp_path):
    store = open_store(kept(tmp_path))
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
    place = ObjectFolder("s3://nowhere/x", S3Options(endpoint="http://127.0.0.1:9"))
    store = open_store(kept(tmp_path), {"release": place})
    with pytest.raises(ServiceUnavailableError, match="nowhere") as raised:
        store.find(Zone.RELEASE, "ds", "raw_t")
    assert raised.value.exit_code == 5


def test_a_second_machine_reads_the_same_artifact_from_s3_and_checks_its_hash(s3_bucket, tmp_path):
    ref = write(s3_store(s3_bucket, tmp_path / "one"), "abc")
    other = s3_store(s3_bucket, tmp_path / "two")
    assert other.current(Zone.RESTRICTED, "ds", "raw_t") == ref
    assert (other.path(ref) / "sub" / "a.txt").read_text() == "abc"
    folders = [p for p in (tmp_path / "two").rglob("*") if p.is_dir()]
    assert folders and [p for p in folders if p.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("change", ["content", "extra", "missing"])
def test_an_object_that_changed_in_the_bucket_is_named_and_not_read(s3_bucket, tmp_path, change):
    ref = write(s3_store(s3_bucket, tmp_path / "one"), "abc")
    key = f"restricted/{ref.key}/sub/a.txt"
    if change == "missing":
        s3_bucket.client.delete_object(Bucket=s3_bucket.name, Key=key)
    else:
        s3_bucket.client.put_object(Bucket=s3_bucket.name, Key=key if change == "content" else key + "2", Body=b"abd")
    other = s3_store(s3_bucket, tmp_path / "two")
    with pytest.raises(DamagedArtifactError, match="have changed") as raised:
        other.path(ref)
    assert ref.key in str(raised.value) and "abd" not in str(raised.value)
    assert [p for p in (tmp_path / "two").rglob("*") if p.is_file()] == []


def test_half_an_upload_is_never_visible_and_the_next_one_completes_it(s3_bucket, tmp_path, monkeypatch):
    store = s3_store(s3_bucket, tmp_path / "one")
    before = write(store, "abc")
    real, calls = ObjectFolder.write, []

    def broken(self, key, data):
        calls.append(key)
        if key.endswith(COMPLETE_MARK):
            raise ServiceUnavailableError("cut")
        real(self, key, data)

    with monkeypatch.context() as cut, pytest.raises(ServiceUnavailableError, match="cut"):
        cut.setattr(ObjectFolder, "write", broken)
        write(store, "abd")
    assert [c.rpartition("/")[2] for c in calls] == [
        "a.txt",
        COMPLETE_MARK,
    ]  # files, then the mark; no pointer was written
    other = s3_store(s3_bucket, tmp_path / "two")
    assert other.current(Zone.RESTRICTED, "ds", "raw_t") == before
    ref = write(store, "abd")
    assert (other.path(ref) / "sub" / "a.txt").read_text() == "abd"


def test_a_removed_artifact_leaves_no_object(s3_bucket, tmp_path):
    store = s3_store(s3_bucket, tmp_path)
    ref = write(store, "abc")
    store._backends[Zone.RESTRICTED].remove(ref.key)
    names = [o["Key"] for o in s3_bucket.client.list_objects_v2(Bucket=s3_bucket.name)["Contents"]]
    assert names == ["restricted/ds/raw_t/current.json"]
    with pytest.raises(MissingArtifactError, match="are gone"):
        store.path(ref)


# ---- fences


def test_an_orphan_publishes_nothing_once_a_newer_run_has_taken_over(store, tmp_path):
    lease = WriterLease(tmp_path / "leases")
    orphan = store.fenced(lease.acquire("ds", "run-a"))
    before = write(orphan, "abc")
    with pytest.raises(SupersededError), orphan.writing(Zone.RESTRICTED, "ds", "raw_t") as out:
        (out.folder / "a.txt").write_text("late")
        newer = store.fenced(lease.acquire("ds", "run-b"))  # takes over in between
    for late in (
        lambda: orphan.point(before),
        lambda: orphan.write_note(Zone.RESTRICTED, "ds", "raw_t", "verdict", {"passed": True}),
    ):
        with pytest.raises(SupersededError, match="run-b"):
            late()
    assert store.current(Zone.RESTRICTED, "ds", "raw_t") == before
    assert store.read_note(Zone.RESTRICTED, "ds", "raw_t", "verdict") is None
    after = write(newer, "new")
    assert store.current(Zone.RESTRICTED, "ds", "raw_t") == after
    lease.release("ds")


def test_a_pointer_of_a_newer_run_is_not_moved_back_by_a_machine_that_knows_nothing_of_its_lease(store, tmp_path):
    """Two machines with leases of their own and one bucket: the numbers in the pointers decide."""
    ours, theirs = WriterLease(tmp_path / "here"), WriterLease(tmp_path / "there")
    older = store.fenced(ours.acquire("ds", "run-a"))
    before = write(older, "abc")
    hold = theirs.acquire("ds", "run-b")
    newer = store.fenced(Hold(hold.place, "ds", "run-b", "", 0, hold.fence))
    after = write(newer, "new")
    newer.write_note(Zone.RESTRICTED, "ds", "raw_t", "verdict", {"passed": False})
    with pytest.raises(SupersededError, match="newer run"):
        older.point(before)
    with pytest.raises(SupersededError, match="newer run"):
        older.write_note(Zone.RESTRICTED, "ds", "raw_t", "verdict", {"passed": True})
    assert store.current(Zone.RESTRICTED, "ds", "raw_t") == after
    for lease in (ours, theirs):
        lease.release("ds")


def test_two_writers_of_one_pointer_do_not_overwrite_what_they_have_not_seen(store):
    backend = store._backends[Zone.RESTRICTED]
    assert backend.write_pointer("ds/a/current.json", b"1", instead_of=None)
    assert not backend.write_pointer("ds/a/current.json", b"2", instead_of=None)
    seen = backend.read_pointer("ds/a/current.json")
    assert backend.write_pointer("ds/a/current.json", b"3", instead_of=seen)
    assert not backend.write_pointer("ds/a/current.json", b"4", instead_of=seen)
    assert backend.read_pointer("ds/a/current.json").data == b"3"


def test_what_a_killed_writer_left_half_written_is_cleared_and_whole_artifacts_stay(store, tmp_path):
    ref = write(store, "abc")
    backend = store.backend(Zone.RESTRICTED)
    backend = getattr(backend, "_inner", backend)  # of an encrypted zone, the one that has the files
    if hasattr(backend, "root"):
        half = [backend.root / "ds" / "raw_t" / ".current.json.0123456789ab.tmp.json"]
        half[0].write_text("{")
    else:
        backend.objects.write("ds/raw_t/0000/part-0.parquet", b"half")
    store.clear_partial("ds")
    assert (store.path(ref) / "sub" / "a.txt").read_text() == "abc"
    assert store.current(Zone.RESTRICTED, "ds", "raw_t") == ref
    if hasattr(backend, "root"):
        assert not half[0].exists()
    else:
        assert list(backend.objects.listing("ds/raw_t/0000")) == []
