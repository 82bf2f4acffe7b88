"""Public forms are counted per hold-out, once each, durably, also by several processes, and each is an event of the audit ledger."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from synth_assets.config.runtime import Settings
from synth_assets.errors import ServiceUnavailableError
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.privacy.public_forms import PublicForm, PublicForms, open_public_forms


def form(holdout: str, content: str) -> PublicForm:
    return PublicForm(holdout, content, "clinic/audit_copula", "clinic", "run-1")


@pytest.fixture
def forms(tmp_path: Path) -> PublicForms:
    return open_public_forms(Settings(home=tmp_path))


def test_forms_are_numbered_per_hold_out_and_a_known_one_keeps_its_number(forms: PublicForms) -> None:
    assert [forms.issue(form("a", c)) for c in ("1", "2", "1", "3")] == [1, 2, 1, 3]
    assert forms.issue(form("b", "1")) == 1
    assert (forms.count("a"), forms.count("b"), forms.count("c")) == (3, 1, 0)


def test_the_count_outlives_the_process_and_the_folder_of_artifacts(forms: PublicForms, tmp_path: Path) -> None:
    forms.issue(form("a", "1"))
    again = open_public_forms(Settings(home=tmp_path))
    assert again.issue(form("a", "2")) == 2
    assert {p.parent.name for p in (tmp_path / "var").rglob("*.db")} == {"ledger"}


def test_each_new_form_is_one_event_of_the_audit_ledger(forms: PublicForms, tmp_path: Path) -> None:
    for content in ("1", "1", "2"):
        forms.issue(form("a", content))
    ledger = open_audit_ledger(Settings(home=tmp_path))
    with ledger.store.reading() as connection:
        told = [row.entry.record for row in ledger.chain.rows(connection)]
    audits = [record for record in told if record["action"] == "audit"]
    assert [record["details"]["number"] for record in audits] == [1, 2]
    assert {record["resource"] for record in audits} == {"clinic/audit_copula"}


def test_forms_that_come_at_once_get_a_number_each(tmp_path: Path) -> None:
    open_public_forms(Settings(home=tmp_path))

    def issue(content: int) -> int:
        return open_public_forms(Settings(home=tmp_path)).issue(form("a", str(content)))

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(issue, range(8))) == list(range(1, 9))


def test_a_count_that_cannot_be_written_is_an_error_and_no_form(
    forms: PublicForms, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ServiceUnavailableError("the ledger does not answer.")

    monkeypatch.setattr(forms._ledger, "record", refuse)  # noqa: SLF001  the event and the count are one transaction
    with pytest.raises(ServiceUnavailableError):
        forms.issue(form("a", "1"))
    assert forms.count("a") == 0
