"""Runs and sensors of a real home tell Sentry and a collector how they ended, and end the same where nobody listens."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from synth_assets_tests import chain
from synth_assets_tests.guards import canaries
from synth_assets_tests.receivers import Receiver, attributes, configure, receiving

pytest.importorskip("sentry_sdk", reason="the extra sentry is not installed")
pytest.importorskip("opentelemetry.exporter.otlp.proto.common", reason="the extra otlp is not installed")

CANARY = canaries.person(4)["email"]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as told:
        configure(monkeypatch, told)
        yield told


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """A home of one small dataset."""
    home = tmp_path / "home"
    home.mkdir()
    chain.people(home, "ward", epsilon=1, budget=2)
    return home


def told(receiver: Receiver) -> dict[str, dict]:
    """What the spans say, by name; seconds apart, since they differ."""
    found = {s.name: attributes(s.attributes) for s in receiver.spans}
    assert all(0 <= f.pop("synth_assets.seconds") < 300 for f in found.values())
    return found


def fail_with_a_canary(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object, **__: object) -> None:
        value = f"a local variable with {CANARY}"
        logging.getLogger("pandas").error(value)
        try:
            float(value)
        except ValueError as error:
            raise RuntimeError(value) from error

    monkeypatch.setattr("synth_assets.tables.sources.ingest", faulty)


def test_steps_that_were_done_are_spans_of_one_trace(ward: Path, receiver: Receiver) -> None:
    done = chain.run(ward, "ward", stages=["raw", "pii_classification"])
    assert done.exit_code == 0
    common = {"synth_assets.run_id": done.run_id, "synth_assets.dataset": "ward", "synth_assets.outcome": "done"}
    assert told(receiver) == {
        "ward/raw_ward": common | {"synth_assets.asset": "raw_ward", "synth_assets.stage": "raw"},
        "ward/pii_classification": common
        | {"synth_assets.asset": "pii_classification", "synth_assets.stage": "pii_classification"},
    }
    assert {s.trace_id.hex() for s in receiver.spans} == {done.run_id.replace("-", "")}
    assert receiver.events == []


def test_a_step_that_failed_is_told_in_our_words_alone(ward: Path, receiver: Receiver, monkeypatch) -> None:
    fail_with_a_canary(monkeypatch)
    done = chain.run(ward, "ward", stages=["raw"])
    assert done.exit_code == 1
    (span,), (event,) = receiver.spans, receiver.events
    assert told(receiver)["ward/raw_ward"]["synth_assets.outcome"] == "failed"
    assert event["tags"] == {
        "code": "unexpected", "at": "ward/raw_ward", "dataset": "ward", "asset": "raw_ward", "run_id": done.run_id
    }  # fmt: skip
    words = event["exception"]["values"][0]["value"]
    assert words.startswith("RuntimeError in ward/raw_ward at synth_assets/")
    assert words == span.status.message
    assert done.error["message"] in words
    assert CANARY.encode() not in receiver.every_byte
    assert canaries.leaks(ward, [CANARY]) == {}


def test_a_step_of_materialize_whose_blocking_check_failed_is_blocked(ward: Path, receiver: Receiver) -> None:
    rule = {"expect": "column_values_to_be_between", "column": "age", "min_value": 200}
    chain.edit(ward, lambda c: c.update(contract=[rule]), "ward")
    with chain.instance(ward) as instance:
        defs = chain.definitions(ward)
        raw = next(a for a in defs.assets if dg.AssetKey(["ward", "raw_ward"]) in a.keys)
        done = dg.materialize([raw], resources=defs.resources, instance=instance, raise_on_error=False)
    assert not done.success
    assert told(receiver)["ward/raw_ward"]["synth_assets.outcome"] == "blocked"
    (event,) = receiver.events
    assert event["tags"]["code"] == "check_failed"
    failed = [e.check_name for e in done.get_asset_check_evaluations() if not e.passed]
    assert event["exception"]["values"][0] == {
        "type": "CheckFailedError", "value": f"blocking checks have failed: {', '.join(failed)}."
    }  # fmt: skip
    assert failed


def test_a_run_ends_the_same_where_nobody_listens_and_says_so_in_its_log(ward: Path, receiver: Receiver) -> None:
    receiver.code = 503
    done = chain.run(ward, "ward", stages=["raw", "pii_classification"])
    assert done.exit_code == 0
    assert len(receiver.got) == 1  # one receiver is tried once a minute
    with chain.instance(ward) as instance:
        lines = [e.user_message for e in instance.all_logs(done.run_id) if e.level == logging.WARNING]
    assert [line for line in lines if "HTTP 503" in line] == [
        "not told: the OTLP collector answers with an error (HTTP 503). It is left alone for a minute; synth-assets health says how it is."
    ]


def test_a_sensor_that_cannot_look_is_told(ward: Path, receiver: Receiver, monkeypatch) -> None:
    (ward / "configs" / "datasets" / "ward.csv").unlink()
    sensors = chain.definitions(ward).get_repository_def()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr("synth_assets.privacy.budget_view.BudgetView.populations", broken)
    for name in ("ward_source", "ward_source", "budget_spent"):  # the same failure is told once
        with chain.instance(ward) as instance, dg.build_sensor_context(instance=instance) as context:
            sensors.get_sensor_def(name)(context)
    source, budget = receiver.events
    assert source["tags"] == {"at": "ward_source", "code": "source", "dataset": "ward"}
    assert budget["tags"] == {"at": "budget_spent", "code": "unexpected"}
    assert "withheld" in budget["exception"]["values"][0]["value"]
    assert CANARY.encode() not in receiver.every_byte
