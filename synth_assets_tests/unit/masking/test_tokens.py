"""`tokenise` in tables: one token per value in all tables, joins and texts included, the same in the next run; and the way back on record."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import text

from synth_assets.config.dataset import ColumnConfig
from synth_assets.errors import CheckFailedError, ConfigError, InputError
from synth_assets.ledger.actors import Actors
from synth_assets.ledger.audit import Action, AuditEvent, AuditLedger
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.ledger.signing import Signer
from synth_assets.masking.run import MaskInput, mask_tables
from synth_assets.masking.unmasking import reveal
from synth_assets.masking.vault import TOKEN_FORM, TokenVault
from synth_assets.storage.secrets import SecretKey
from synth_assets_tests.unit.masking.conftest import ENGINE, KEY, House

OVER = {
    "people": {"pid": ColumnConfig(action="tokenise"), "ssn": ColumnConfig(action="tokenise")},
    "visits": {"contact": ColumnConfig(action="tokenise")},
}


def _house(house: House) -> House:
    house.table(
        "people",
        {"pid": [11, 12, 13], "name": ["Ann Lee", "Bo Kim", "Cy Dorn"], "ssn": ["123-45-6789", None, "987-65-4321"]},
        {"pid": "customer_id", "name": "person_name", "ssn": "ssn"},
        key=("pid",),
    )
    house.table(
        "visits",
        {
            "vid": [f"V{i}" for i in range(5)],
            "pid": pa.array([13, 11, 11, 12, None]),
            "contact": ["123-45-6789", "987-65-4321", None, "987-65-4321", "111-22-3333"],
            "note": ["SSN 987-65-4321 checked", "Ann Lee came", "", None, "nothing"],
        },
        {"vid": "none", "pid": "customer_id", "contact": "ssn", "note": "free_text"},
        key=("vid",),
        parents={"pid": "people.pid"},
        texts=("note",),
    )
    return house


def _mask(
    house: House, vault: TokenVault | None, out: str = "masked", *, release_domain: str = "test", key: SecretKey = KEY
):
    plans = house.plans(overrides=OVER)
    inputs = {n: MaskInput(t.path, t.schema, plans[n]) for n, t in house.tables.items()}
    paths = {n: house.folder / out / n for n in house.tables}
    return mask_tables(inputs, paths, key=key, engine=ENGINE, release_domain=release_domain, vault=vault)


@pytest.fixture
def vault(tmp_path: Path) -> TokenVault:
    return TokenVault(f"sqlite:///{tmp_path / 'vault' / 'vault.db'}")


@pytest.fixture
def ledger(tmp_path: Path) -> AuditLedger:
    store = open_ledger_store(f"sqlite:///{tmp_path / 'budget.db'}")
    return AuditLedger(store, lambda _: Signer(KEY), Actors(f"sqlite:///{tmp_path / 'actors.db'}"))


def detokenised(ledger: AuditLedger) -> list[dict[str, Any]]:
    with ledger.store.reading() as connection:
        records = [dict(row.entry.record) for row in ledger.chain.rows(connection)]
    return [r for r in records if r["action"] == "detokenise"]


def test_one_token_per_value_in_all_tables_and_rows_keep_their_order(house: House, vault: TokenVault) -> None:
    summaries = _mask(_house(house), vault)
    people, visits = house.read("people"), house.read("visits")
    assert all(re.fullmatch(TOKEN_FORM, t) for t in people["pid"])
    assert visits["pid"] == [people["pid"][2], people["pid"][0], people["pid"][0], people["pid"][1], None]
    assert visits["contact"][:4] == [people["ssn"][0], people["ssn"][2], None, people["ssn"][2]]
    assert people["ssn"][1] is None
    assert summaries["people"].output_schema.column("pid").dtype == "string"
    assert len({*people["pid"], people["ssn"][0], people["ssn"][2], visits["contact"][4]}) == 6


def test_a_text_tells_the_token_of_its_own_person(house: House, vault: TokenVault) -> None:
    _mask(_house(house), vault)
    assert house.read("visits")["note"][0] == f"SSN {house.read('people')['ssn'][2]} checked"


def test_the_next_run_gives_the_same_tables_and_another_recipient_other_tokens(house: House, vault: TokenVault) -> None:
    _house(house)
    for name, domain in (("one", "a"), ("two", "a"), ("three", "b")):
        _mask(house, vault, name, release_domain=domain)
    assert house.read("visits", "one") == house.read("visits", "two")
    assert not set(house.read("people", "one")["pid"]) & set(house.read("people", "three")["pid"])


def test_a_run_without_tokens_needs_and_makes_no_vault(house: House, tmp_path: Path) -> None:
    house.table("t", {"a": ["x"]}, {"a": "none"})
    house.mask()
    assert not (tmp_path / "vault").exists()


def test_tokens_without_a_vault_are_one_clear_error(house: House) -> None:
    with pytest.raises(ConfigError, match="no vault was given"):
        _mask(_house(house), None)


def test_tokens_lead_back_and_the_record_says_who_asked_but_no_value(
    house: House, vault: TokenVault, ledger: AuditLedger, tmp_path: Path
) -> None:
    _mask(_house(house), vault)
    tokens = [t for t in house.read("visits")["contact"] if t]
    found = reveal(tokens, reason="ticket 4711", actor="ann on pc1", vault=vault, master=KEY, ledger=ledger)
    assert [found.texts[t] for t in tokens] == ["123-45-6789", "987-65-4321", "987-65-4321", "111-22-3333"]
    (record,) = detokenised(ledger)
    details = record["details"]
    assert (details["tokens"], details["named"], record["outcome"]) == (3, sorted(set(tokens)), "ok")
    assert ledger.actors.texts() == {details["reason_sha256"]: "ticket 4711"}
    assert [k.identity for k in ledger.actors.known() if k.actor == record["actor"]] == ["ann on pc1"]
    for name, secrets in (("budget.db", (b"123-45-6789", b"ann on pc1", b"4711")), ("actors.db", (b"123-45-6789",))):
        assert not [s for s in secrets if s in (tmp_path / name).read_bytes()]
    assert "123-45-6789" not in repr(found)


def test_nothing_is_shown_when_the_record_cannot_be_written(
    house: House, vault: TokenVault, ledger: AuditLedger
) -> None:
    _mask(_house(house), vault)
    ledger.record(AuditEvent(Action.READ, "x"))
    with ledger.store.writing("x") as connection:
        connection.execute(text("DELETE FROM chain_heads"))
    with pytest.raises(CheckFailedError, match="Nothing is recorded"):
        reveal(house.read("people")["pid"], reason="why not", actor="ann", vault=vault, master=KEY, ledger=ledger)


def test_a_wrong_key_and_an_unknown_token_are_refused_and_recorded(
    house: House, vault: TokenVault, ledger: AuditLedger
) -> None:
    _mask(_house(house), vault)
    known = house.read("people")["pid"]
    with pytest.raises(ConfigError, match="not the master key"):
        reveal(known, reason="try", actor="eve", vault=vault, master=SecretKey(bytes(32)), ledger=ledger)
    with pytest.raises(InputError, match="1 of 4 tokens are not in this vault"):
        reveal([*known, "tok_" + "0" * 32], reason="try", actor="eve", vault=vault, master=KEY, ledger=ledger)
    told = [(r["outcome"], r["details"]["error"]) for r in detokenised(ledger)]
    assert told == [("denied", "config"), ("denied", "bad_input")]


@pytest.mark.parametrize(
    ("tokens", "reason", "words"),
    [
        ([], "ticket", "no token was given"),
        (["123-45-6789"], "ticket", "1 of 1 are no tokens"),
        (["tok_" + "0" * 32], "", "the reason must have"),
        (["tok_" + "0" * 32], "a\nb\nc", "the reason must have"),
    ],
)
def test_a_question_that_is_none_is_refused(
    vault: TokenVault, ledger: AuditLedger, tokens: list[str], reason: str, words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        reveal(tokens, reason=reason, actor="ann", vault=vault, master=KEY, ledger=ledger)
    assert "123-45-6789" not in str(caught.value)
