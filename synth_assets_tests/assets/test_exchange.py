"""File jobs whose tables come sealed from a client and go back sealed to it: nothing in clear, in the area, the run or its events."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from synth_assets.api.ledgers import Filter, entries
from synth_assets.automation.exchanged import area_of, service_key
from synth_assets.client import Client
from synth_assets.client.graphql import GraphQL
from synth_assets.config.runtime import Settings
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.storage.exchange import FolderArea, new_request, reference
from synth_assets.storage.hashing import hash_file, hash_parts
from synth_assets.storage.sealing import PrivateKey, seal, unseal
from synth_assets_tests import chain
from synth_assets_tests.assets.test_automation import people_csv, run_job, told

CANARY = "p7@example.org"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    people_csv(tmp_path / "clients_own" / "people.csv")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def send(home: Path, file: Path, name: str, key: PrivateKey | None = None) -> str:
    """What a client does."""
    settings = Settings.from_environment(home)
    place = reference(new_request(), name)
    sealed = file.parent / "sealed"
    seal(file, sealed, (key or service_key(settings)).public, place)
    area_of(settings).put(sealed, place.removeprefix("exchange:"))
    sealed.unlink()
    return place


def everything(home: Path) -> bytes:
    return b"".join(p.read_bytes() for p in home.rglob("*") if p.is_file())


def error_of(result: dg.ExecuteInProcessResult) -> dict:
    (failure,) = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    return failure.step_failure_data.user_failure_data.metadata["error"].value


def test_a_sealed_table_is_masked_and_only_the_client_can_open_the_result(home: Path) -> None:
    key, out = PrivateKey.fresh(), reference(new_request(), "masked.csv")
    place = send(home, home.parent / "clients_own" / "people.csv", "table.csv")
    area = FolderArea(home / "var" / "exchange")
    assert CANARY.encode() not in everything(home)
    config = {"file": place, "out": out, "policy": "dev_test", "reply_key": key.public}
    found = told(run_job(home, "mask_file", config), "mask_file")
    assert found == {"row_count": 300, "path": out, "policy": "dev_test"}
    sealed = home.parent / "sealed"
    assert not area.get(place.removeprefix("exchange:"), sealed), "what was sent is deleted when the job is done"
    assert area.get(out.removeprefix("exchange:"), sealed)
    unseal(sealed, home.parent / "masked.csv", key, out)
    lines = (home.parent / "masked.csv").read_text().splitlines()
    assert len(lines) == 301
    assert CANARY not in "".join(lines)
    assert lines[1].encode() not in everything(home)
    assert CANARY.encode() not in everything(home)


def test_tables_from_a_sealed_schema_come_back_one_by_one(home: Path) -> None:
    key, out = PrivateKey.fresh(), reference(new_request(), "tables")
    schema = home.parent / "clients_own" / "schema.yaml"
    schema.write_bytes((chain.ROOT / "configs" / "schemas" / "clinic.yaml").read_bytes())
    config = {"table_schema": send(home, schema, "schema.yaml"), "out": out, "rows": 20, "reply_key": key.public}
    found = told(run_job(home, "generate_tables", config), "generate_tables")["tables"]
    assert set(found) >= {"patients", "encounters", "claims"}
    area = FolderArea(home / "var" / "exchange")
    for place in found.values():
        assert area.get(place.removeprefix("exchange:"), home.parent / "sealed")
        unseal(home.parent / "sealed", home.parent / "table", key, place)
        assert len((home.parent / "table").read_text().splitlines()) >= 20


def test_what_was_sent_is_deleted_when_the_job_fails_too(home: Path) -> None:
    bad = home.parent / "clients_own" / "bad.csv"
    bad.write_text(f"a,b\n1,2\n3,4,{CANARY}\n")
    place = send(home, bad, "table.csv")
    result = run_job(home, "profile_file", {"file": place})
    error = error_of(result)
    assert "line 3" in error["message"] or error["row"] == 3
    assert error["file"] == place, "the folder in which it was opened is gone"
    assert [r for r, _ in FolderArea(home / "var" / "exchange").requests()] == []
    assert CANARY.encode() not in everything(home)


def test_a_table_sealed_for_another_service_is_refused_in_words(home: Path) -> None:
    place = send(home, home.parent / "clients_own" / "people.csv", "table.csv", PrivateKey.fresh())
    error = error_of(run_job(home, "classify_file", {"file": place}))
    assert "sealed for another key" in error["message"]
    assert error["code"] == "bad_input"


def test_a_result_without_a_key_to_seal_it_for_is_refused_before_any_work(home: Path) -> None:
    place = send(home, home.parent / "clients_own" / "people.csv", "table.csv")
    config = {"file": place, "out": reference(new_request(), "masked.csv")}
    error = error_of(run_job(home, "mask_file", config))
    assert error["key"] == "reply_key"


def test_what_is_not_there_any_more_is_told(home: Path) -> None:
    error = error_of(run_job(home, "profile_file", {"file": reference(new_request(), "table.csv")}))
    assert "no such file in the exchange area" in error["message"]


def test_an_audit_of_own_tables_opens_them_and_deletes_them(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, launched = home.parent / "clients_own", []
    for name, seed in (("real", 3), ("holdout", 4), ("synthetic", 5)):
        people_csv(own / f"{name}.csv", seed=seed)
    client = Client(exchange=home / "var" / "exchange", service_key=service_key(Settings.from_environment(home)).public)
    monkeypatch.setattr(GraphQL, "launch", lambda _, job, config, __: launched.append((job, config)) or "run")
    client.audit(
        {
            "synthetic_data_url": pd.read_csv(own / "synthetic.csv"),
            "real_data_url": own / "real.csv",
            "holdout_data_url": pd.read_csv(own / "holdout.csv").to_dict("records"),
            "primary_key": ["person_id"],
        }
    )
    ((job, config),) = launched
    asked = config["ops"][f"{job}_op"]["config"]
    assert len(list(FolderArea(home / "var" / "exchange").requests())) == 3
    shown = told(run_job(home, "audit_request", asked), job)
    assert shown["result"]["form"] == "public"
    assert 0 <= shown["privacy_score"] <= 1
    assert list(FolderArea(home / "var" / "exchange").requests()) == []
    assert CANARY.encode() not in everything(home)


def test_what_comes_in_and_goes_out_and_is_deleted_is_on_record_with_its_run(home: Path) -> None:
    key, out = PrivateKey.fresh(), reference(new_request(), "masked.csv")
    file = home.parent / "clients_own" / "people.csv"
    place = send(home, file, "table.csv")
    asked = {"file": place, "out": out, "policy": "dev_test", "reply_key": key.public}
    done = run_job(home, "mask_file", asked)
    told_of = {
        (e["action"], e["resource"]): e for e in entries(open_audit_ledger(Settings.from_environment(home)), Filter())
    }
    came, went = (place_of.removeprefix("exchange:").partition("/")[0] for place_of in (place, out))
    assert told_of["upload", f"exchange/{came}"]["details"]["sha256"] == hash_file(file)
    assert ("delete", f"exchange/{came}") in told_of
    assert told_of["export", f"exchange/{went}"]["details"]["sealed_for"] == hash_parts(key.public)[:16]
    assert {e["run_id"] for (action, _), e in told_of.items() if action != "ledger.start"} == {done.run_id}
