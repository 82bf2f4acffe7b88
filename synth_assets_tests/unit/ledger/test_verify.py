"""The check of the audit ledger: whatever somebody does to it is found and named, in the database and in an export."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.ledger import audit, chain, heads, signing, verify
from synth_assets.ledger.actors import Actors
from synth_assets.ledger.audit import Action, AuditEvent, AuditLedger, Head
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.ledger.signing import Signer
from synth_assets.ledger.verify import ChainCheck, Row, heads_in, is_signed
from synth_assets.ledger.verifying import check_ledger, check_newest
from synth_assets.storage.secrets import SecretKey
from synth_assets_tests.unit.ledger.conftest import KEY, tamper

Opened = Callable[..., AuditLedger]
PUBLIC = Signer(KEY).public
OTHER = SecretKey(bytes(32))


def filled(opened: Opened, count: int = 8) -> tuple[AuditLedger, Head]:
    ledger = opened()
    return ledger, ledger.record_all(AuditEvent(Action.CHECKED, f"people/raw/{n}") for n in range(count))


def faults(
    ledger: AuditLedger, outside: Sequence[tuple[int | None, str]] = (), public: str | None = PUBLIC
) -> list[tuple[int, str]]:
    return [(f.position, f.reason) for f in check_ledger(ledger, outside, public).faults]


def test_a_ledger_as_it_was_written_is_whole_also_against_a_head_that_was_kept(opened: Opened) -> None:
    ledger, head = filled(opened)
    later = ledger.record(AuditEvent(Action.READ, "people/split"))
    for outside in ([], [(head.position, head.hash)], [(None, later.hash), (None, head.hash)]):
        assert faults(ledger, outside) == []


SWAP = (
    "UPDATE chain_entries SET position = 99 WHERE position = 5",
    "UPDATE chain_entries SET position = 5 WHERE position = 6",
    "UPDATE chain_entries SET position = 6 WHERE position = 99",
)


@pytest.mark.parametrize(
    ("changes", "position", "words"),
    [
        (["UPDATE chain_entries SET record = replace(record, 'raw/3', 'raw/4') WHERE position = 5"], 5, "not what was written"),
        (["UPDATE chain_entries SET at = '2020' WHERE position = 1"], 1, "not what was written"),
        (["UPDATE chain_entries SET hash = previous WHERE position = 3"], 3, "not what was written"),
        (["UPDATE chain_entries SET previous = hash WHERE position = 3"], 3, "not what was written"),
        (["DELETE FROM chain_entries WHERE position = 1"], 1, "entry 1 is missing"),
        (["DELETE FROM chain_entries WHERE position IN (4, 5)"], 4, "entries 4 to 5 are missing"),
        (["DELETE FROM chain_entries WHERE position > 7"], 8, "entries 8 to 9 are missing at the end"),
        (["DELETE FROM chain_entries"], 1, "entries 1 to 9 are missing at the end"),
        (SWAP, 5, "it is entry 6, moved or copied"),
        (SWAP, 6, "it is entry 5, moved or copied"),
        (
            ["INSERT INTO chain_entries SELECT chain, 10, at, record, previous, hash FROM chain_entries WHERE position = 4"],
            10, "it is entry 4, moved or copied",
        ),
        (["DELETE FROM chain_heads"], 9, "signed head of the ledger is missing"),
        (["UPDATE chain_heads SET signature = replace(signature, 'a', 'b')"], 9, "signature under the head of the ledger"),
        (["UPDATE chain_heads SET key_id = 'x'"], 9, "signature under the head of the ledger"),
        (["UPDATE chain_heads SET hash = 'x'"], 9, "another hash than the entry"),
        (["UPDATE chain_heads SET position = 4"], 9, "behind 4 were put in"),
    ],
)  # fmt: skip
def test_what_was_changed_is_named(opened: Opened, changes: list[str], position: int, words: str) -> None:
    ledger, _ = filled(opened)
    tamper(ledger.store, *changes)
    found = faults(ledger)
    assert any(p == position and words in reason for p, reason in found), found


def rewritten(ledger: AuditLedger, last: int) -> None:
    """Write the ledger anew up to an entry, with another content and right hashes, as somebody without the key can."""
    with ledger.store.reading() as connection:
        rows = list(ledger.chain.rows(connection))[:last]
    previous, statements = chain.START, [f"DELETE FROM chain_entries WHERE position > {last}"]
    for row in rows:
        record = row.record.replace("raw/3", "raw/9")
        own = chain.digest("audit", row.position, row.at, record, previous)
        statements.append(
            f"UPDATE chain_entries SET record = '{record}', previous = '{previous}', hash = '{own}' WHERE position = {row.position}"
        )
        previous = own
    tamper(ledger.store, *statements)


def test_a_ledger_written_anew_with_right_hashes_lacks_the_signature(opened: Opened) -> None:
    ledger, _ = filled(opened)
    rewritten(ledger, 9)
    assert faults(ledger) == [(9, "the head of the ledger has another hash than the entry")]


def test_a_kept_head_names_where_the_ledger_was_written_anew(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (heads, verify):
        monkeypatch.setattr(module, "KEPT_EVERY", 4)
    ledger, _ = filled(opened)
    assert faults(ledger) == []
    rewritten(ledger, 9)
    assert [p for p, _ in faults(ledger)] == [8, 9]  # the change is behind entry 4
    tamper(ledger.store, "DELETE FROM chain_heads WHERE slot = 4")
    assert (4, "the head that was kept here is missing") in faults(ledger)


def test_an_end_that_was_cut_off_together_with_its_head_is_found_by_a_head_kept_outside_only(opened: Opened) -> None:
    ledger, before = filled(opened)
    after = ledger.record(AuditEvent(Action.READ, "people/split"))
    put_back = ", ".join(f"{k} = '{v}'" for k, v in asdict(before).items())
    tamper(
        ledger.store,
        "DELETE FROM chain_entries WHERE position = 10",
        f"UPDATE chain_heads SET {put_back} WHERE slot = 0",
    )
    assert faults(ledger) == []  # this is why `verify` says that it cannot exclude it
    for outside in ((after.position, after.hash), (None, after.hash)):
        ((position, reason),) = faults(ledger, [outside])
        assert position == 10
        assert "cut off or written anew" in reason


def test_a_ledger_signed_anew_by_another_key_is_not_that_of_this_installation(opened: Opened) -> None:
    ledger, _ = filled(opened)
    tamper(ledger.store, "DELETE FROM chain_entries", "DELETE FROM chain_heads")
    filled(lambda: opened(OTHER))
    assert [p for p, _ in faults(ledger)] == [1]
    assert "not the key of this installation" in faults(ledger)[0][1]
    assert faults(ledger, public=None) == []


def test_after_a_rotation_old_and_new_heads_are_checked_with_their_own_keys(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (heads, verify):
        monkeypatch.setattr(module, "KEPT_EVERY", 3)
    ledger, _ = filled(opened, 3)
    ledger.rotate(Signer(OTHER), Signer(KEY))
    filled(lambda: opened(OTHER), 5)
    new = Signer(OTHER).public
    check = check_ledger(ledger, public=new)
    assert (check.faults, check.remarks, [p for p, _ in check.keys]) == ([], [], [1, 5])
    tamper(
        ledger.store,
        "UPDATE chain_heads SET signature = (SELECT signature FROM chain_heads WHERE slot = 6) WHERE slot = 3",
    )
    assert faults(ledger, public=new) == [(3, "the signature under the head that was kept here is not valid")]


def test_a_lost_key_is_told_by_every_later_check_and_a_forged_consent_is_a_fault(opened: Opened) -> None:
    ledger, _ = filled(opened)
    ledger.rotate(Signer(OTHER), None)
    check = check_ledger(ledger, public=Signer(OTHER).public)
    assert check.faults == []
    assert ["without the earlier one" in r for r in check.remarks] == [True]
    third = SecretKey(b"3" * 32)

    class Liar(Signer):
        def sign(self, message: bytes) -> str:
            consents = message.startswith(b"synth_assets ledger key")
            return Signer(third).sign(message) if consents else super().sign(message)

    ledger.rotate(Signer(third), Liar(OTHER))
    assert faults(ledger, public=None) == [(11, "the earlier key did not consent to the new one")]


def test_heads_are_found_in_texts_that_people_keep() -> None:
    head = Head(7, "ab" * 32, "k", "cd" * 64)
    assert heads_in(f"note\n{head.text()}\n") == [(7, "ab" * 32)]
    assert heads_in(f"head {'ef' * 32} of Monday") == [(None, "ef" * 32)]
    assert heads_in("no head") == []


# the exported form, and any sequence of edits


def export_of(ledger: AuditLedger) -> dict[str, Any]:
    with ledger.store.reading() as connection:
        current = heads.current(connection, ledger.chain)
        kept = [{"slot": slot, **asdict(h)} for slot, h in heads.kept(connection, ledger.chain)]
        entries = [asdict(row) for row in ledger.chain.rows(connection)]
    assert current is not None
    return {"ledger": "audit", "heads": [{"slot": 0, **asdict(current)}, *kept], "entries": entries}


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("export")
    actors = Actors(f"sqlite:///{folder / 'actors.db'}")
    ledger = AuditLedger(open_ledger_store(f"sqlite:///{folder / 'budget.db'}"), lambda _: Signer(KEY), actors)
    ledger.record_all(AuditEvent(Action.CHECKED, f"people/raw/{n}", details={"n": n}) for n in range(12))
    return export_of(ledger)


PLACE = st.integers(min_value=0, max_value=12)
EDIT = st.one_of(
    st.tuples(st.just("flip"), PLACE, st.sampled_from(["at", "record", "previous", "hash"]), st.integers(0, 10_000)),
    st.tuples(st.just("delete"), PLACE),
    st.tuples(st.just("swap"), PLACE, PLACE),
    st.tuples(st.just("copy"), PLACE, PLACE),
    st.tuples(st.just("cut"), PLACE),
    st.tuples(st.just("renumber"), PLACE, st.integers(-3, 30)),
    st.tuples(st.just("rehash"), PLACE),
    st.tuples(st.just("head"), st.sampled_from(["position", "hash", "key_id", "signature"]), st.integers(0, 10_000)),
)


def flipped(text: str, bit: int) -> str:
    data = bytearray(text.encode())
    data[bit // 7 % len(data)] ^= 1 << bit % 7
    return data.decode()


def edit(export: dict[str, Any], change: tuple[Any, ...]) -> None:
    entries, (kind, *rest) = export["entries"], change
    place = rest[0] % len(entries) if entries and kind != "head" else 0
    if kind == "head":
        field, bit = rest
        old = export["heads"][0][field]
        export["heads"][0][field] = old + bit + 1 if field == "position" else flipped(old, bit)
    elif not entries:
        return
    elif kind == "flip":
        entries[place][rest[1]] = flipped(entries[place][rest[1]], rest[2])
    elif kind == "delete":
        del entries[place]
    elif kind == "cut":
        del entries[place:]
    elif kind == "swap":
        other = rest[1] % len(entries)
        entries[place], entries[other] = entries[other], entries[place]
    elif kind == "copy":
        entries.insert(rest[1] % (len(entries) + 1), dict(entries[place]))
    elif kind == "renumber":
        entries[place]["position"] = rest[1]
    else:  # new hashes from here on, as somebody makes them who has read the code
        entries[place]["record"] = entries[place]["record"].replace("people", "others")
        for i in range(place, len(entries)):
            entries[i]["previous"] = entries[i - 1]["hash"] if i else chain.START
            entries[i]["hash"] = Row(**entries[i]).digest("audit", entries[i]["position"])


@given(changes=st.lists(EDIT, min_size=1, max_size=4))
def test_any_sequence_of_edits_is_found(export: dict[str, Any], changes: list[tuple[Any, ...]]) -> None:
    made = json.loads(json.dumps(export))
    for change in changes:
        edit(made, change)
    check = verify.check_export(json.dumps(made), key=PUBLIC)
    assert bool(check.faults) == (made != export)


def test_the_check_of_an_export_needs_the_standard_library_only(export: dict[str, Any], tmp_path: Path) -> None:
    """Run as a file of its own, without site packages and without this package."""
    program = tmp_path / "verify.py"
    program.write_text(Path(verify.__file__).read_text())
    (tmp_path / "ledger.json").write_text(json.dumps(export))
    head = Head(**{k: v for k, v in export["heads"][0].items() if k != "slot"})
    (tmp_path / "head.txt").write_text(head.text())

    def ran(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(program), "ledger.json", *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        return done.returncode, done.stdout + done.stderr

    assert ran("--head", "head.txt", "--key", PUBLIC) == (
        0,
        f"13 entries, 0 kept heads: whole. Last hash {head.hash}\n",
    )
    assert "cannot be excluded" in ran()[1]
    assert ran("--head", "00" * 32)[0] == 3
    made = json.loads(json.dumps(export))
    del made["entries"][4]
    (tmp_path / "ledger.json").write_text(json.dumps(made))
    code, told = ran()
    assert code == 3
    assert "entry 5: entry 5 is missing" in told


# RFC 8032, section 7.1: public key, message, signature
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_the_signatures_of_the_standard_are_accepted_and_no_others(public: str, message: str, signature: str) -> None:
    text = bytes.fromhex(message)
    for accepts in (is_signed, signing.is_signed):
        assert accepts(public, text, signature)
        assert not accepts(public, text + b"x", signature)
        assert not accepts(VECTORS[0][0] if public != VECTORS[0][0] else VECTORS[1][0], text, signature)
        assert not accepts(public, text, signature[:-2])
        assert not accepts("zz", text, signature)
        assert not accepts(public, text, signature.upper())  # a flipped byte that leaves the number as it is
        s = int.from_bytes(bytes.fromhex(signature)[32:], "little") + 2**252 + 27742317777372353535851937790883648493
        assert not accepts(
            public, text, signature[:64] + s.to_bytes(32, "little").hex()
        )  # the same number, written another way


def test_both_checks_of_a_signature_agree() -> None:
    for i in range(6):
        signer = Signer(SecretKey(secrets.token_bytes(32)))
        signature = flipped(signer.sign(b"m"), 0) if i % 2 else signer.sign(b"m")
        assert (
            is_signed(signer.public, b"m", signature)
            == signing.is_signed(signer.public, b"m", signature)
            == (i % 2 == 0)
        )


def test_both_modules_agree_on_what_is_hashed_and_signed() -> None:
    row = Row(3, "2026", '{"a":"ü"}', "00", "11")
    assert row.digest("audit", 3) == chain.digest("audit", 3, "2026", '{"a":"ü"}', "00")
    assert verify.KEPT_EVERY == heads.KEPT_EVERY
    assert verify.START == chain.START
    assert verify.key_id(PUBLIC) == signing.key_id(PUBLIC)
    assert ChainCheck(audit.AUDIT, is_signed).last == chain.START


def test_a_look_at_the_newest_entries_finds_what_is_wrong_among_them_and_believes_what_stands_before(
    opened: Opened,
) -> None:
    ledger, _ = filled(opened, 2_300)  # and the entry that names the key
    ledger.rotate(Signer(OTHER), Signer(KEY))
    newest = opened(OTHER)
    newest.record_all(AuditEvent(Action.CHECKED, f"people/raw/{n}") for n in range(900))
    check, start = check_newest(newest, 1_000)
    assert (start, check.entries, check.faults) == (2_000, 3_202, [])
    assert [at for at, _ in check.keys] == [1, 2_302]
    tamper(newest.store, "UPDATE chain_entries SET record = '{}' WHERE position = 1999")
    assert check_newest(newest, 1_000)[0].faults == []
    tamper(newest.store, "UPDATE chain_entries SET record = '{}' WHERE position = 2500")
    assert [f.position for f in check_newest(newest, 1_000)[0].faults] == [2_500]
    assert [f.position for f in check_newest(newest, 10_000)[0].faults] == [1_999, 2_500]


def test_a_look_at_the_newest_entries_finds_that_the_end_or_the_head_is_gone(opened: Opened) -> None:
    ledger, _ = filled(opened, 2_300)
    tamper(ledger.store, "DELETE FROM chain_entries WHERE position > 2200")
    assert "missing at the end" in check_newest(ledger, 100)[0].faults[0].reason
    tamper(ledger.store, "DELETE FROM chain_heads WHERE slot = 0")
    assert "the signed head of the ledger is missing" in check_newest(ledger, 100)[0].faults[0].reason
