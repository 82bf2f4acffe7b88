"""The vault: one token per value for ever, nothing in clear on disk, no way back with another key or without the vault."""

from __future__ import annotations

import multiprocessing
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from synth_assets.errors import ConfigError, InputError, ServiceUnavailableError
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.masking.keyring import release_key
from synth_assets.masking.vault import TOKEN_FORM, Shelf, TokenVault, shelf_of
from synth_assets.storage.secrets import SecretKey
from synth_assets_tests.unit.masking.conftest import KEY

OTHER = SecretKey(bytes(range(1, 33)))
VALUES = [(f"{i:032x}", f"Wendelin Quorx {i}") for i in range(50)]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'vault' / 'vault.db'}"
    return str(request.getfixturevalue("postgres_url"))


def shelf(domain: str = "ssn", release_domain: str = "r", key: SecretKey = KEY) -> Shelf:
    return shelf_of(release_key(key, release_domain), release_domain, domain)


def test_a_value_has_one_token_in_every_run_and_the_token_leads_back(location: str) -> None:
    first = TokenVault(location).tokens(shelf(), VALUES)
    again = TokenVault(location).tokens(shelf(), [*VALUES[::-1], ("f" * 32, "new")])
    assert again[:-1] == first[::-1]
    assert all(re.fullmatch(TOKEN_FORM, t) for t in again)
    assert len(set(again)) == 51
    assert TokenVault(location).values(first, KEY) == dict(zip(first, (v for _, v in VALUES), strict=True))


def test_domains_and_recipients_get_tokens_of_their_own(location: str) -> None:
    vault = TokenVault(location)
    made = [vault.tokens(shelf(d, r), VALUES[:1])[0] for d, r in (("ssn", "a"), ("ssn", "b"), ("mrn", "a"))]
    assert len(set(made)) == 3
    assert set(vault.values(made, KEY).values()) == {VALUES[0][1]}


def test_many_values_are_asked_for_in_pieces(location: str) -> None:
    many = [(f"{i:032x}", str(i)) for i in range(11_000)]
    made = TokenVault(location).tokens(shelf(), many)
    assert TokenVault(location).tokens(shelf(), many) == made
    assert TokenVault(location).values(made, KEY)[made[-1]] == "10999"


def test_no_value_is_on_disk_and_the_file_is_closed(tmp_path: Path) -> None:
    vault = TokenVault(f"sqlite:///{tmp_path / 'vault' / 'vault.db'}")
    assert not vault.exists
    vault.tokens(shelf(), VALUES)
    assert vault.exists
    file = tmp_path / "vault" / "vault.db"
    written = b"".join(p.read_bytes() for p in file.parent.iterdir())
    assert b"tok_" in written  # the search would find what is in clear
    for _, value in VALUES:
        assert value.encode() not in written
        assert value[:8].encode() not in written
        assert value.encode("utf-16-le") not in written
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_rows_tell_nothing_by_their_length_below_32_bytes(location: str) -> None:
    vault = TokenVault(location)
    vault.tokens(shelf(), [("a" * 32, ""), ("b" * 32, "x" * 31), ("c" * 32, "x" * 32)])
    with open_ledger_store(location).reading() as connection:
        sizes = {r.lookup[0]: len(bytes(r.sealed)) for r in connection.execute(text("SELECT * FROM vault_tokens"))}
    assert sizes["a"] == sizes["b"] == sizes["c"] - 32


def test_another_key_gets_one_clear_error_and_other_tokens(location: str) -> None:
    vault = TokenVault(location)
    made = vault.tokens(shelf(), VALUES)
    with pytest.raises(ConfigError, match="not the master key that the tokens were made with") as caught:
        vault.values(made, OTHER)
    assert "Quorx" not in str(caught.value)
    rotated = vault.tokens(shelf(key=OTHER), [("e" * 32, VALUES[0][1])])
    assert not set(rotated) & set(made)
    assert vault.values(made[:1], KEY) == {made[0]: VALUES[0][1]}  # the earlier key still opens the earlier ones


@pytest.mark.parametrize("column", ["sealed", "token", "domain"])
def test_a_row_that_was_changed_or_swapped_is_refused(location: str, column: str) -> None:
    vault = TokenVault(location)
    one, other = vault.tokens(shelf(), VALUES[:2])
    third = vault.tokens(shelf("mrn"), VALUES[:1])[0]
    changes = {
        "sealed": f"UPDATE vault_tokens SET sealed = (SELECT sealed FROM vault_tokens WHERE token = '{other}') WHERE token = '{one}'",
        "token": f"DELETE FROM vault_tokens WHERE token = '{third}'",
        "domain": f"UPDATE vault_tokens SET domain = 'mrn' WHERE token = '{one}'",
    }
    with open_ledger_store(location).writing("tampering") as connection:
        connection.execute(text(changes[column]))
    if column == "token":
        assert vault.values([one, third], KEY) == {one: VALUES[0][1]}
        return
    with pytest.raises((InputError, ConfigError)) as caught:
        vault.values([one], KEY)
    assert "Quorx" not in str(caught.value)


def test_a_deleted_vault_leaves_nothing_that_leads_back_and_makes_new_tokens(tmp_path: Path) -> None:
    location = f"sqlite:///{tmp_path / 'vault.db'}"
    made = TokenVault(location).tokens(shelf(), VALUES)
    (tmp_path / "vault.db").unlink()
    assert TokenVault(location).values(made, KEY) == {}
    assert not set(TokenVault(location).tokens(shelf(), VALUES)) & set(made)


def _tokens(location: str) -> list[str]:
    return TokenVault(location).tokens(shelf(), [(f"{i:032x}", str(i)) for i in range(3000)])


def test_processes_that_race_get_the_same_tokens(location: str) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(_tokens, [location, location])
    assert first == second
    assert len(TokenVault(location).values(first, KEY)) == 3000


@given(st.text(max_size=200).filter(lambda v: not any(0xD800 <= ord(c) < 0xE000 for c in v)))
def test_what_is_sealed_opens_again_for_its_own_token_only(value: str) -> None:
    sealed = shelf().seal("tok_a", value)
    assert shelf().open("tok_a", sealed) == value
    assert shelf().seal("tok_a", value) != sealed
    for wrong in (shelf("mrn"), shelf(release_domain="s"), shelf(key=OTHER)):
        with pytest.raises(InputError, match="not what was written"):
            wrong.open("tok_a", sealed)
    with pytest.raises(InputError, match="not what was written"):
        shelf().open("tok_b", sealed)


def test_a_vault_that_cannot_be_reached_is_called_a_vault() -> None:
    with pytest.raises(ServiceUnavailableError, match="the vault"):
        TokenVault("postgresql://nobody:secret@127.0.0.1:1/none").tokens(shelf(), VALUES)
    with pytest.raises(ConfigError, match="the vault can live in"):
        TokenVault("mysql://x/y").tokens(shelf(), VALUES)
