"""The restricted zone is encrypted where it lies: nothing opens without the key or after a change, and everything does with it."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.errors import ConfigError, DamagedArtifactError, ServiceUnavailableError
from synth_assets.storage import at_rest, rooms
from synth_assets.storage.artifacts import ArtifactStore, Zone
from synth_assets.storage.at_rest import KEY_FILE, NAMES_FILE
from synth_assets.storage.chunks import CHUNK_BYTES, PREFIX_BYTES
from synth_assets.storage.opening import Protection, open_store
from synth_assets.storage.secrets import SecretKey

CANARY = b"the canary Xylo Prandt-Quillaby"


@pytest.fixture(autouse=True)
def no_key_of_the_machine(monkeypatch):
    for name in ("", "_FILE", "_SECRET"):
        monkeypatch.delenv(f"SYNTH_ASSETS_MASTER_KEY{name}", raising=False)


def protection(home: Path, *, encrypted: bool = True) -> Protection:
    return Protection(home / "var", encrypted=encrypted, named=home / "rooms", keys=home / "keys")


def opened(home: Path, *, encrypted: bool = True) -> ArtifactStore:
    return open_store(protection(home, encrypted=encrypted))


def put(store: ArtifactStore, data: bytes = CANARY, asset: str = "raw_t"):
    with store.writing(Zone.RESTRICTED, "ds", asset) as out:
        (out.folder / "sub").mkdir()
        (out.folder / "sub" / "part-00000.parquet").write_bytes(data)
        (out.folder / "result.json").write_bytes(CANARY)
        out.info["says"] = CANARY.decode()
    store.write_note(Zone.RESTRICTED, "ds", asset, "verdict", {"says": CANARY.decode()})
    return out.done()


def plain_files(home: Path) -> list[Path]:
    return [p for p in (home / "var").rglob("*") if p.is_file() and CANARY in p.read_bytes()]


def folder_of(home: Path, ref) -> Path:
    return home / "var" / "restricted" / ref.key


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_a_file_of_any_length_comes_back_as_it_was(tmp_path, size):
    key, data = SecretKey(os.urandom(32)), os.urandom(size)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a").write_bytes(data)
    at_rest.seal_folder(tmp_path / "plain", tmp_path / "sealed", key)
    at_rest.open_folder(tmp_path / "sealed", tmp_path / "again", key)
    assert (tmp_path / "again" / "a").read_bytes() == data


def test_no_file_pointer_or_note_of_the_zone_holds_a_value_in_plain(tmp_path):
    store = opened(tmp_path)
    ref = put(store)
    assert plain_files(tmp_path) == []
    assert (store.path(ref) / "sub" / "part-00000.parquet").read_bytes() == CANARY
    assert store.current(Zone.RESTRICTED, "ds", "raw_t").info == {"says": CANARY.decode()}
    put(opened(tmp_path / "plain", encrypted=False))
    assert len(plain_files(tmp_path / "plain")) == 4  # the search finds it: two files, the pointer, the note


def test_the_hash_in_the_key_is_that_of_the_plain_content(tmp_path):
    assert put(opened(tmp_path / "a")).content_hash == put(opened(tmp_path / "b", encrypted=False)).content_hash


def test_the_same_content_is_other_bytes_each_time(tmp_path):
    one, two = (folder_of(h, put(opened(h))) / "result.json" for h in (tmp_path / "a", tmp_path / "b"))
    assert one.read_bytes()[len(at_rest.MAGIC) :] != two.read_bytes()[len(at_rest.MAGIC) :]


def test_without_the_key_nothing_opens_and_no_new_key_is_made(tmp_path):
    ref = put(opened(tmp_path))
    shutil.move(tmp_path / "keys", tmp_path / "elsewhere")
    store = opened(tmp_path)
    for act in (
        lambda: store.path(ref),
        lambda: store.current(Zone.RESTRICTED, "ds", "raw_t"),
        lambda: store.read_note(Zone.RESTRICTED, "ds", "raw_t", "verdict"),
    ):
        with pytest.raises(ConfigError, match="no master key") as raised:
            act()
        assert raised.value.exit_code == 2
    assert not (tmp_path / "keys").exists()
    shutil.move(tmp_path / "elsewhere", tmp_path / "keys")
    assert (opened(tmp_path).path(ref) / "result.json").read_bytes() == CANARY


def test_another_key_opens_nothing_and_says_which_it_is(tmp_path, monkeypatch):
    ref = put(opened(tmp_path))
    monkeypatch.setenv("SYNTH_ASSETS_MASTER_KEY", "ab" * 32)
    with pytest.raises(ConfigError, match="another master key") as raised:
        opened(tmp_path).path(ref)
    assert "--old-key" in str(raised.value)
    assert raised.value.exit_code == 2


def test_a_secret_manager_that_does_not_answer_is_code_5(tmp_path, monkeypatch):
    ref = put(opened(tmp_path))
    for name, value in (
        ("SYNTH_ASSETS_MASTER_KEY_SECRET", "x"), ("SYNTH_ASSETS_SECRETS_ENDPOINT", "http://127.0.0.1:9"),
        ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_MAX_ATTEMPTS", "1"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(ServiceUnavailableError) as raised:
        opened(tmp_path).path(ref)
    assert raised.value.exit_code == 5


@settings(max_examples=40, deadline=None)
@given(place=st.integers(0, 10**9), bit=st.integers(0, 7), which=st.integers(0, 3))
def test_a_flipped_bit_anywhere_is_found(tmp_path_factory, place, bit, which):
    home = tmp_path_factory.mktemp("home")
    ref = put(opened(home), os.urandom(3000))
    name = ("sub/part-00000.parquet", "result.json", NAMES_FILE, KEY_FILE)[which]
    file = folder_of(home, ref) / name
    data = bytearray(file.read_bytes())
    data[place % len(data)] ^= 1 << bit
    file.write_bytes(data)
    with pytest.raises((DamagedArtifactError, ConfigError)):
        opened(home).path(ref)


def swap(folder: Path) -> None:
    (folder / "result.json").rename(folder / "x")
    (folder / "sub" / "part-00000.parquet").rename(folder / "result.json")
    (folder / "x").rename(folder / "sub" / "part-00000.parquet")


def cut(folder: Path) -> None:
    file = folder / "sub" / "part-00000.parquet"
    file.write_bytes(file.read_bytes()[: len(at_rest.MAGIC) + 16 + PREFIX_BYTES + CHUNK_BYTES + 16])


def remove(folder: Path) -> None:
    (folder / "result.json").unlink()


def add(folder: Path) -> None:
    (folder / "more.json").write_bytes((folder / "result.json").read_bytes())


def put_plain(folder: Path) -> None:
    (folder / "result.json").write_text("{}")


@pytest.mark.parametrize("change", [swap, cut, remove, add, put_plain])
def test_a_file_that_is_moved_cut_removed_added_or_replaced_is_found(tmp_path, change):
    ref = put(opened(tmp_path), os.urandom(2 * CHUNK_BYTES))
    change(folder_of(tmp_path, ref))
    with pytest.raises(DamagedArtifactError):
        opened(tmp_path).path(ref)


def test_an_artifact_in_the_place_of_another_does_not_open(tmp_path):
    store = opened(tmp_path)
    one, two = put(store), put(store, b"other", asset="raw_u")
    shutil.rmtree(folder_of(tmp_path, two))
    shutil.copytree(folder_of(tmp_path, one), folder_of(tmp_path, two))
    with pytest.raises(DamagedArtifactError):
        opened(tmp_path).path(two)


def test_a_verdict_in_the_place_of_another_does_not_open(tmp_path):
    store = opened(tmp_path)
    one, two = (folder_of(tmp_path, put(store, asset=a)).parent / "verdict.json" for a in ("raw_t", "raw_u"))
    two.write_bytes(one.read_bytes())
    with pytest.raises(DamagedArtifactError):
        opened(tmp_path).read_note(Zone.RESTRICTED, "ds", "raw_u", "verdict")


def test_what_cannot_be_opened_any_more_is_replaced_when_it_is_made_again(tmp_path):
    ref = put(opened(tmp_path))
    remove(folder_of(tmp_path, ref))
    assert put(opened(tmp_path)) == ref
    store = opened(tmp_path)
    assert (store.path(ref) / "result.json").read_bytes() == CANARY


def test_plain_copies_are_private_and_go_with_the_store(tmp_path):
    store = opened(tmp_path)
    folder = store.path(put(store))
    assert folder.is_relative_to(tmp_path / "rooms")
    found = [folder, *folder.rglob("*"), *(p for p in folder.parents if p.is_relative_to(tmp_path / "rooms"))]
    assert [p for p in found if p.stat().st_mode & 0o077] == []
    del store
    gc.collect()
    assert not folder.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from synth_assets.storage.artifacts import Zone
from synth_assets.storage.opening import Protection, open_store
home = Path(sys.argv[1])
store = open_store(Protection(home / "var", named=home / "rooms", keys=home / "keys"))
store.path(store.current(Zone.RESTRICTED, "ds", "raw_t"))
with store.staging("ds") as folder:
    (folder / "half").write_bytes(b"the canary Xylo Prandt-Quillaby")
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("end", ["kill", "finish"])
def test_no_plain_file_is_left_after_the_end_of_a_process_or_by_the_start_of_the_next_after_a_kill(tmp_path, end):
    put(opened(tmp_path))
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), end], check=False, capture_output=True)
    assert done.returncode == (-9 if end == "kill" else 0), done.stderr
    base = protection(tmp_path).base
    own = rooms.Room.of_process(base).folder
    left = [p for p in base.rglob("*") if p.is_file() and not p.is_relative_to(own) and CANARY in p.read_bytes()]
    assert len(left) == (3 if end == "kill" else 0)  # two files of the copy, and the half one
    assert rooms.sweep(base) == (1 if end == "kill" else 0)
    assert [p for p in base.rglob("*") if p.is_file() and not p.is_relative_to(own) and p.suffix != ".lock"] == []


def test_a_process_removes_what_killed_ones_left_of_homes_that_nobody_opens_again(tmp_path, monkeypatch):
    monkeypatch.setattr(rooms, "MEMORY", tmp_path)
    account = tmp_path / "synth-assets-0"
    gone = account / "of another home"
    (gone / "7-dead").mkdir(parents=True, mode=0o700)
    (gone / "7-dead" / "rows").write_bytes(CANARY)
    (gone / "7-dead.lock").touch(mode=0o600)
    account.chmod(0o700)
    rooms.Room.of_process(account / "of this home")
    assert list(gone.iterdir()) == []


def test_a_temporary_folder_is_private_in_the_room_of_the_process_and_gone_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setenv(rooms.VARIABLE, str(tmp_path / "rooms"))
    with pytest.raises(RuntimeError), rooms.temporary() as folder:
        assert folder.is_relative_to(tmp_path / "rooms")
        assert folder.stat().st_mode & 0o077 == 0
        assert list(folder.parent.parent.glob(f"{folder.parent.name}.lock"))
        raise RuntimeError
    assert not folder.exists()
    with rooms.temporary(tmp_path) as folder:
        assert folder.parent == tmp_path
    monkeypatch.delenv(rooms.VARIABLE)
    with rooms.temporary() as folder:
        assert rooms.in_memory(folder)


def test_the_room_of_a_living_process_is_left_alone(tmp_path):
    room = rooms.Room.of_process(tmp_path / "rooms")
    (room.part("x") / "y").write_text("z")
    script = f"from pathlib import Path; from synth_assets.storage.rooms import Room; Room.of_process(Path({str(tmp_path / 'rooms')!r}))"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert (room.folder / "x" / "y").is_file()


def test_a_work_folder_that_others_can_read_is_refused(tmp_path):
    (tmp_path / "rooms").mkdir(mode=0o755)
    (tmp_path / "rooms").chmod(0o755)
    with pytest.raises(ConfigError, match="0700") as raised:
        rooms.Room.of_process(tmp_path / "rooms")
    assert raised.value.key == "SYNTH_ASSETS_WORK_FOLDER"


def test_plain_files_are_in_memory_unless_a_folder_is_named(tmp_path, monkeypatch):
    if not rooms.in_memory(rooms.MEMORY):
        pytest.skip("this machine has no memory file system")
    disk = tmp_path / "disk"
    monkeypatch.setattr(rooms, "LEAST_BYTES", 1)
    assert rooms.work_folder(tmp_path, None, disk).is_relative_to(rooms.MEMORY)
    assert rooms.work_folder(tmp_path, tmp_path / "named", disk).parent == tmp_path / "named"
    monkeypatch.setattr(rooms, "LEAST_BYTES", 1 << 60)
    assert rooms.work_folder(tmp_path, None, disk) == disk
    monkeypatch.setattr(rooms, "MEMORY", tmp_path / "absent")
    assert rooms.work_folder(tmp_path, None, disk) == disk
