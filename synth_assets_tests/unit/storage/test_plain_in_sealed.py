"""Whoever can write the disk cannot put a plain artifact in the place of an encrypted one; homes from before encryption go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from synth_assets import api
from synth_assets.config.runtime import Settings
from synth_assets.config.stores import store_of
from synth_assets.errors import ConfigError, DamagedArtifactError
from synth_assets.storage.artifacts import ArtifactRef, ArtifactStore, Zone
from synth_assets.storage.at_rest import KEY_FILE
from synth_assets.storage.encrypted import MARK
from synth_assets.storage.hashing import hash_folder

RESTRICTED = Zone.RESTRICTED


def opened(home: Path, **options: bool) -> ArtifactStore:
    return store_of(Settings(home=home, work_folder=home / "rooms", **options))  # type: ignore[arg-type]


def put(store: ArtifactStore, data: str = "what was written") -> ArtifactRef:
    with store.writing(RESTRICTED, "ds", "raw_t") as out:
        (out.folder / "rows").write_text(data)
    store.write_note(RESTRICTED, "ds", "raw_t", "verdict", {"passed": False})
    return out.done()


def zone(home: Path) -> Path:
    return home / "var" / "restricted"


def forge(home: Path, data: str, name: str | None = None) -> str:
    """A plain artifact as somebody with the disk, and without the key, can make it; its content hash."""
    folder = home / "forged"
    folder.mkdir()
    (folder / "rows").write_text(data)
    made = name or hash_folder(folder)
    shutil.rmtree(zone(home) / "ds" / "raw_t" / made, ignore_errors=True)
    folder.rename(zone(home) / "ds" / "raw_t" / made)
    return made


def note(home: Path, name: str, value: dict[str, object]) -> None:
    (zone(home) / "ds" / "raw_t" / f"{name}.json").write_text(json.dumps(value))


@pytest.fixture(params=["began encrypted", "encrypted later"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A home whose restricted zone is encrypted throughout."""
    put(opened(tmp_path, encryption=request.param == "began encrypted"))
    if request.param == "encrypted later":
        assert not (zone(tmp_path) / MARK).exists()
        api.encrypt(Settings(home=tmp_path, work_folder=tmp_path / "rooms"))
    return tmp_path


def test_a_plain_artifact_in_the_place_of_an_encrypted_one_is_refused(home: Path) -> None:
    ref = opened(home).current(RESTRICTED, "ds", "raw_t")
    forge(home, "what was written", ref.content_hash)  # even with the very content
    with pytest.raises(DamagedArtifactError, match="is plain, and everything in this zone was encrypted") as refused:
        opened(home).path(ref)
    assert "synth-assets encrypt" in str(refused.value.remedy)
    assert refused.value.exit_code == 2


def test_encrypted_files_without_their_key_are_no_plain_artifact(home: Path) -> None:
    ref = opened(home).current(RESTRICTED, "ds", "raw_t")
    (zone(home) / ref.key / KEY_FILE).unlink()
    with pytest.raises(DamagedArtifactError):
        opened(home).path(ref)


def test_a_plain_pointer_to_a_plain_artifact_is_refused(home: Path) -> None:
    note(home, "current", {"content_hash": forge(home, "poison"), "info": {}})
    with pytest.raises(DamagedArtifactError, match="is plain"):
        opened(home).current(RESTRICTED, "ds", "raw_t")


def test_a_plain_verdict_is_refused(home: Path) -> None:
    note(home, "verdict", {"passed": True})
    with pytest.raises(DamagedArtifactError, match="is plain"):
        opened(home).read_note(RESTRICTED, "ds", "raw_t", "verdict")


def test_what_a_home_wrote_itself_while_encryption_was_off_is_read_after_the_command(home: Path) -> None:
    with pytest.raises(ConfigError, match="is encrypted, and encryption is off"):
        put(opened(home, encryption=False), "later")  # it cannot read the pointer that it would replace
    shutil.rmtree(zone(home) / "ds")
    ref = put(opened(home, encryption=False), "later")
    with pytest.raises(DamagedArtifactError, match="is plain"):
        opened(home).current(RESTRICTED, "ds", "raw_t")
    api.encrypt(Settings(home=home, work_folder=home / "rooms"))
    store = opened(home)
    assert (store.path(ref) / "rows").read_text() == "later"


def test_what_was_refused_is_made_again_in_its_place(home: Path) -> None:
    ref = opened(home).current(RESTRICTED, "ds", "raw_t")
    forge(home, "poison", ref.content_hash)
    assert put(opened(home)) == ref
    store = opened(home)
    assert (store.path(ref) / "rows").read_text() == "what was written"


def test_a_home_from_before_encryption_is_read_but_not_what_was_changed_in_it(tmp_path: Path) -> None:
    ref = put(opened(tmp_path, encryption=False))
    store = opened(tmp_path)
    assert (store.path(ref) / "rows").read_text() == "what was written"
    assert store.read_note(RESTRICTED, "ds", "raw_t", "verdict") == {"passed": False}
    put(store, "new")  # in part encrypted now: it has no mark
    assert not (zone(tmp_path) / MARK).exists()
    store = opened(tmp_path)
    assert (store.path(ref) / "rows").read_text() == "what was written"
    forge(tmp_path, "poison", ref.content_hash)
    with pytest.raises(DamagedArtifactError, match="is plain, and not what was written"):
        opened(tmp_path).path(ref)


def test_where_encryption_is_required_a_zone_that_lost_its_mark_reads_nothing_plain(home: Path) -> None:
    (zone(home) / MARK).unlink()
    note(home, "current", {"content_hash": forge(home, "poison"), "info": {}})
    assert opened(home).current(RESTRICTED, "ds", "raw_t")  # nothing says any more that it must be encrypted
    with pytest.raises(DamagedArtifactError, match="is plain"):
        opened(home, encryption_required=True).current(RESTRICTED, "ds", "raw_t")


@pytest.mark.parametrize(
    ("said", "means"), [("on", (True, False)), ("required", (True, True)), ("off", (False, False))]
)
def test_the_environment_says_whether_the_zone_is_encrypted_and_whether_that_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, means: tuple[bool, bool]
) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_ENCRYPTION", said)
    found = Settings.from_environment(tmp_path)
    assert (found.encryption, found.encryption_required) == means


def test_another_word_for_encryption_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_ENCRYPTION", "yes")
    with pytest.raises(ConfigError, match="neither on, required nor off"):
        Settings.from_environment(tmp_path)


def test_a_mark_that_is_plain_or_broken_still_counts(home: Path) -> None:
    (zone(home) / MARK).write_text("{}")
    note(home, "verdict", {"passed": True})
    with pytest.raises(DamagedArtifactError, match="is plain"):
        opened(home).read_note(RESTRICTED, "ds", "raw_t", "verdict")
