"""Keys are made once, kept closed, never shown, and refused when somebody else can read them."""

import multiprocessing

import pytest

from synth_assets.errors import ConfigError
from synth_assets.storage.secrets import FILE_VARIABLE, KEY_VARIABLE, PLACES, SecretKey, key_fingerprint, master_key


@pytest.fixture(autouse=True)
def no_key_in_environment(monkeypatch):
    for name in PLACES:
        monkeypatch.delenv(name, raising=False)


def test_the_first_use_makes_a_closed_file_and_later_uses_read_it(tmp_path):
    first, second = master_key(tmp_path / "keys"), master_key(tmp_path / "keys")
    assert first == second
    assert first.development
    assert (tmp_path / "keys" / "master.key").stat().st_mode & 0o777 == 0o600


def _make(folder):
    return master_key(folder).value.hex()


def test_processes_that_race_for_the_first_key_get_the_same(tmp_path):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert len(set(pool.map(_make, [tmp_path / "keys"] * 8))) == 1


def test_a_key_file_that_others_can_read_is_refused(tmp_path):
    master_key(tmp_path)
    (tmp_path / "master.key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        master_key(tmp_path)


@pytest.mark.parametrize("text", ["", "zz" * 32, "ab" * 31])
def test_a_malformed_key_is_refused_without_showing_it(tmp_path, monkeypatch, text):
    monkeypatch.setenv(KEY_VARIABLE, text)
    with pytest.raises(ConfigError, match="64 hex digits") as caught:
        master_key(tmp_path)
    assert not text or text not in str(caught.value)


def test_the_environment_wins_and_is_no_development_key(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "ab" * 32)
    key = master_key(tmp_path)
    assert key.value == bytes.fromhex("ab" * 32)
    assert not key.development
    assert not (tmp_path / "master.key").exists()


def test_no_form_of_a_key_shows_it():
    key = SecretKey(bytes(range(32)))
    assert key.value.hex() not in f"{key!r} {key} {key.fingerprint}"


def test_purposes_get_keys_of_their_own():
    key = SecretKey(bytes(32))
    assert key.derive("a") == key.derive("a") != key.derive("b")


@pytest.fixture
def key_file(tmp_path, monkeypatch):
    """A key file that the environment names."""
    path = tmp_path / "secret" / "our.key"
    path.parent.mkdir()
    path.write_text("cd" * 32 + "\n")
    path.chmod(0o600)
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_file_of_ones_own_is_no_development_key(tmp_path, key_file, mode):
    key_file.chmod(mode)
    key = master_key(tmp_path / "keys")
    assert key.value == bytes.fromhex("cd" * 32)
    assert not key.development
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o644])
def test_a_key_file_wider_than_0600_is_refused(tmp_path, key_file, mode):
    key_file.chmod(mode)
    with pytest.raises(ConfigError, match="can be read by others") as caught:
        master_key(tmp_path)
    assert (caught.value.file, "cdcd" in str(caught.value)) == (str(key_file), False)


@pytest.mark.parametrize("content", ["", "hunter2", "zz" * 32, "cd" * 31, "cd" * 5000])
def test_a_key_file_without_a_key_is_refused_without_its_text(tmp_path, key_file, content):
    key_file.write_text(content)
    with pytest.raises(ConfigError, match="64 hex digits") as caught:
        master_key(tmp_path)
    assert not content or content not in str(caught.value)


def test_a_key_file_that_is_not_there_or_is_a_folder_is_refused_and_none_is_made(tmp_path, key_file):
    key_file.unlink()
    with pytest.raises(ConfigError, match="cannot be opened"):
        master_key(tmp_path)
    key_file.mkdir(mode=0o700)
    with pytest.raises(ConfigError, match="no key file"):
        master_key(tmp_path)
    assert not (tmp_path / "master.key").exists()


def test_two_places_for_one_key_are_refused(tmp_path, key_file, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "ab" * 32)
    with pytest.raises(ConfigError, match="has one place"):
        master_key(tmp_path)


def test_the_fingerprint_follows_the_key_and_is_remembered_when_the_key_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "ab" * 32)
    before = key_fingerprint(tmp_path)
    assert before == master_key(tmp_path).fingerprint
    monkeypatch.setenv(KEY_VARIABLE, "no key")
    assert key_fingerprint(tmp_path) == before
    monkeypatch.setenv(KEY_VARIABLE, "cd" * 32)
    assert key_fingerprint(tmp_path) != before
