"""Writing the audit ledger: what an event may hold, one chain under a signed head, once and for all, and refusals behind a false end."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from synth_assets.errors import CheckFailedError, ConfigError, InputError, ServiceUnavailableError
from synth_assets.ledger import audit, heads
from synth_assets.ledger.actors import process_user
from synth_assets.ledger.audit import Action, AuditEvent, AuditLedger, Head, Outcome, identifier
from synth_assets.ledger.chain import Stored
from synth_assets.ledger.signing import Signer, is_signed
from synth_assets.storage.secrets import SecretKey
from synth_assets_tests.unit.ledger.conftest import KEY, tamper

Opened = Callable[..., AuditLedger]
OTHER = SecretKey(bytes(32))


def signed_by(head: Head, chain: str, public: str) -> bool:
    return is_signed(public, heads.message(chain, head.position, head.hash), head.signature)


def event(n: int = 0, **more: object) -> AuditEvent:
    return AuditEvent(Action.MATERIALISED, f"people/raw_{n}", dataset="people", details={"rows": n}, **more)  # type: ignore[arg-type]


def rows_of(ledger: AuditLedger) -> list[Stored]:
    with ledger.store.reading() as connection:
        return list(ledger.chain.rows(connection))


def records_of(ledger: AuditLedger) -> list[dict[str, object]]:
    return [dict(row.entry.record) for row in rows_of(ledger)]


def test_an_entry_says_what_the_requirement_asks_for_and_who_did_it_by_a_random_name(opened: Opened) -> None:
    ledger = opened()
    said = {"run_id": "r1", "config_hash": "ab" * 32, "client": "10.1.2.3", "outcome": Outcome.DENIED}
    head = ledger.record(event(3, **said))
    start, record = records_of(ledger)
    who = str(record.pop("actor"))
    assert re.fullmatch(r"a_[0-9a-f]{16}", who)
    assert record == {
        "action": "materialise", "resource": "people/raw_3", "outcome": "denied", "project": "clinic", "dataset": "people",
        "run_id": "r1", "config_hash": "ab" * 32, "client": "10.1.2.3", "details": {"rows": 3},
    }  # fmt: skip
    assert start["action"] == "ledger.start"
    row = rows_of(ledger)[-1]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", row.at)
    assert (head.position, head.hash) == (2, row.hash)
    (known,) = ledger.actors.known()
    assert (known.actor, known.identity) == (who, process_user())
    assert process_user().split()[0] not in str(records_of(ledger))


def test_the_head_is_signed_by_the_key_that_the_first_entry_names_and_is_replaced_by_every_entry(
    opened: Opened,
) -> None:
    ledger = opened()
    given = [ledger.record(event(n)) for n in range(3)]
    public = Signer(KEY).public
    assert records_of(ledger)[0]["details"] == {"key": "ledger", "public": public}
    assert ledger.head() == given[-1]
    assert all(signed_by(head, "audit", public) for head in given)
    forged = Head(given[0].position + 1, given[0].hash, given[0].key_id, given[0].signature)
    assert not signed_by(forged, "audit", public)
    assert not signed_by(given[0], "another", public)
    assert not signed_by(given[0], "audit", Signer(OTHER).public)


def test_every_thousandth_head_is_kept(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    assert heads.KEPT_EVERY == 1_000
    monkeypatch.setattr(heads, "KEPT_EVERY", 4)
    ledger = opened()
    ledger.record_all(event(n) for n in range(9))
    with ledger.store.reading() as connection:
        kept = list(heads.kept(connection, ledger.chain))
    assert [(slot, head.position) for slot, head in kept] == [(4, 4), (8, 8)]
    assert all(
        h.hash == rows_of(ledger)[h.position - 1].hash and signed_by(h, "audit", Signer(KEY).public) for _, h in kept
    )


@pytest.mark.parametrize(
    "said",
    [
        {"resource": "a b"},
        {"resource": "ann@hospital.example"},
        {"dataset": "people; DROP"},
        {"client": "proxy.example"},
        {"run_id": ""},
        {"once": "x" * 65},
        {"details": {"note": "Ann Miller"}},
        {"details": {"mail": "ann@hospital.example"}},
        {"details": {"Ann": 1}},
        {"details": {"share": float("nan")}},
        {"details": {"nested": {"a": 1}}},
        {"details": {"some": ("ok", "not ok")}},
    ],
)
def test_a_text_that_may_be_a_value_or_name_somebody_is_refused_and_not_repeated(said: dict[str, object]) -> None:
    with pytest.raises(InputError, match="numbers, booleans and identifiers only") as caught:
        AuditEvent(**{"action": Action.READ, "resource": "a", **said})  # type: ignore[arg-type]
    assert "ann" not in str(caught.value).lower()


def test_a_name_that_a_person_chose_becomes_a_hash_unless_it_is_an_identifier() -> None:
    assert identifier("people/raw_a") == "people/raw_a"
    for name in ("Ann Miller", "ann@hospital.example", "https://host/x", "ümlaut", ""):
        assert re.fullmatch(r"h_[0-9a-f]{16}", identifier(name))


def test_an_event_of_a_transaction_is_there_if_the_transaction_is(opened: Opened) -> None:
    ledger = opened()
    with pytest.raises(KeyError), ledger.store.writing("population") as connection:
        ledger.record(event(1), connection)
        raise KeyError
    with ledger.store.writing("population") as connection:
        ledger.record(event(2), connection)
    assert [r["resource"] for r in records_of(ledger)] == ["key/ledger", "people/raw_2"]


def test_what_is_to_be_recorded_once_is_recorded_once(opened: Opened) -> None:
    ledger = opened()
    first = ledger.record(event(1, once="key-1"))
    assert opened().record(event(1, once="key-1")) == first
    assert opened().record(event(1, once="key-2")).position == first.position + 1


def test_an_index_that_names_another_entry_suppresses_nothing(opened: Opened) -> None:
    """Who writes an index row beforehand cannot keep an event out of the ledger."""
    ledger = opened()
    ledger.record(event(1))
    tamper(ledger.store, "INSERT INTO chain_index VALUES ('audit', 'once key-1', 2)")
    assert ledger.record(event(1, once="key-1")).position == 3


def test_a_state_is_recorded_when_it_differs_from_the_last_one(opened: Opened) -> None:
    def changed(config_hash: str) -> AuditEvent:
        return AuditEvent(Action.CONFIG_CHANGED, "people", config_hash=config_hash * 64, run_id="r")

    ledger = opened()
    for config_hash in "aabbba":
        ledger.record_changes([changed(config_hash)])
    assert [str(r.get("config_hash"))[0] for r in records_of(ledger)[1:]] == ["a", "b", "a"]


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM chain_entries WHERE position = 4",
        "DELETE FROM chain_entries",
        "DELETE FROM chain_heads",
        "UPDATE chain_heads SET position = 3",
        "UPDATE chain_heads SET signature = '00'",
        "UPDATE chain_entries SET hash = 'x' WHERE position = 4",
    ],
)
def test_nothing_is_written_behind_an_end_that_was_not_signed(opened: Opened, change: str) -> None:
    """Else the next entry would sign what somebody made of the ledger."""
    ledger = opened()
    ledger.record_all(event(n) for n in range(3))
    tamper(ledger.store, change)
    before = len(rows_of(ledger))
    with pytest.raises(CheckFailedError, match="is not what was signed"):
        ledger.record(event(9))
    assert len(rows_of(ledger)) == before


def test_the_ledger_cannot_be_changed_by_accident(opened: Opened) -> None:
    ledger = opened()
    ledger.record(event())
    for statement in ("UPDATE chain_entries SET at = ''", "DELETE FROM chain_entries"):
        with pytest.raises(ServiceUnavailableError), ledger.store.writing("x") as connection:
            connection.execute(text(statement))


def test_another_key_is_refused_until_it_is_rotated_and_the_old_key_consents(opened: Opened) -> None:
    opened().record(event(1))
    with pytest.raises(ConfigError, match="signed with the key"):
        opened(OTHER).record(event(2))
    head = opened().rotate(Signer(OTHER), Signer(KEY))
    assert signed_by(head, "audit", Signer(OTHER).public)
    assert opened(OTHER).record(event(2)).position == head.position + 1
    with pytest.raises(ConfigError, match="signed with the key"):
        opened().record(event(3))
    details = records_of(opened())[2]["details"]
    assert isinstance(details, dict)
    assert (details["public"], details["replaces"]) == (Signer(OTHER).public, Signer(KEY).key_id)


def test_who_is_behind_a_name_can_be_forgotten_and_the_ledger_stays_as_it_is(opened: Opened, tmp_path: Path) -> None:
    ledger = opened()
    who = ledger.actors.id_of("ann on ward7")
    digest = ledger.actors.keep_text(who, "a complaint")
    ledger.record(event(1, actor=who))
    assert ledger.actors.texts() == {digest: "a complaint"}
    before = rows_of(ledger)
    assert ledger.actors.forget(who)
    assert not ledger.actors.forget(who)
    assert rows_of(ledger) == before
    assert "ann on ward7" not in [k.identity for k in ledger.actors.known()]
    assert ledger.actors.texts() == {}
    assert ledger.actors.id_of("ann on ward7") != who
    for file in tmp_path.rglob("*.db"):
        assert b"a complaint" not in file.read_bytes()


def test_writers_at_once_make_one_chain(opened: Opened) -> None:
    opened().record(event())

    def write(start: int) -> None:
        mine = opened()
        for n in range(5):
            mine.record(event(start + n))

    threads = [threading.Thread(target=write, args=(start,)) for start in (10, 20, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = rows_of(opened())
    assert [row.position for row in rows] == list(range(1, 18))
    assert all(row.is_intact("audit") for row in rows)
    assert all(later.previous == row.hash for row, later in itertools.pairwise(rows))


def test_every_budget_ledger_of_the_package_tells_the_audit_ledger() -> None:
    """The one place that opens it gives it the audit ledger; without, it would keep no record."""
    package = Path(audit.__file__).parents[1]
    found = {
        file.relative_to(package).as_posix(): line.strip()
        for file in package.rglob("*.py")
        for line in file.read_text().splitlines()
        if re.search(r"\bBudgetLedger\(", line) and not line.startswith("class ")
    }
    assert found == {
        "privacy/opening.py": "return BudgetLedger(store, open_audit_ledger(settings, store))",
        "privacy/budget.py": "return BudgetLedger(self._store, self._audit, guard=guard)",
    }
