"""Keys are made once, kept closed, never shown, and refused when somebody else can read them."""

import multiprocessing

import pytest

from synth_assets.errors import ConfigError
from synth_assets.storage.secrets import ENVIRONMENT_VARIABLE, SecretKey, master_key


@pytest.fixture(autouse=True)
def no_key_in_environment(monkeypatch):
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)


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
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, text)
    with pytest.raises(ConfigError, match="64 hex digits") as caught:
        master_key(tmp_path)
    assert not text or text not in str(caught.value)


def test_the_environment_wins_and_is_no_development_key(tmp_path, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "ab" * 32)
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
