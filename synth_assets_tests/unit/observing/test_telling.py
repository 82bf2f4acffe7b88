"""What both hooks tell, byte by byte; what they never tell; and what happens where nobody listens."""

from __future__ import annotations

import logging
import socket
import sys
import time
import warnings
from pathlib import Path

import pytest

from synth_assets import __version__
from synth_assets.assets.boundary import stage_boundary
from synth_assets.automation.health import health
from synth_assets.config.runtime import Settings
from synth_assets.definitions import build_defs
from synth_assets.errors import BudgetExceededError, ConfigError, InputError, ServiceUnavailableError
from synth_assets.observing import otlp, sending, sentry, telling
from synth_assets.observing.records import Step, failure_of_command, failure_of_sensor, failure_of_step
from synth_assets_tests import chain
from synth_assets_tests.receivers import Receiver, attributes, forget

sentry_sdk = pytest.importorskip("sentry_sdk", reason="the extra sentry is not installed")
pytest.importorskip("opentelemetry.exporter.otlp.proto.common", reason="the extra otlp is not installed")

RUN = "0f0e0d0c-0b0a-4908-8706-050403020100"
CANARY = "zofielle@quillvex.org"
OURS = "the budget of 'town' does not suffice."


def a_step(*, failed: bool = True) -> Step:
    failure = failure_of_step(BudgetExceededError(OURS, remedy="Ask."), "clinic/split", RUN) if failed else None
    began = 1_700_000_000_000_000_000
    return Step("clinic/split", "split", RUN, "failed" if failed else "done", began, began + 2_500_000_000, failure)


def test_an_event_has_these_fields_and_no_other(receiver: Receiver) -> None:
    assert telling.tell_step(a_step()) == []
    (event,) = receiver.events
    assert set(event) == sentry.FIELDS
    assert len(event.pop("event_id")) == 32
    assert event.pop("timestamp").startswith("20")
    assert event == {
        "level": "error", "platform": "other", "logger": "synth_assets", "release": f"synth-assets@{__version__}", "environment": "ward-7",
        "tags": {"code": "budget", "at": "clinic/split", "dataset": "clinic", "asset": "split", "run_id": RUN},
        "fingerprint": ["budget", "clinic/split"],
        "exception": {"values": [{"type": "BudgetExceededError", "value": f"{OURS} Ask."}]},
    }  # fmt: skip
    path, headers, _ = next(g for g in receiver.got if "envelope" in g[0])
    assert path == "/api/42/envelope/"
    assert (
        headers["X-Sentry-Auth"]
        == f"Sentry sentry_key=publickey, sentry_version=7, sentry_client=synth-assets/{__version__}"
    )


def test_a_span_has_these_fields_and_no_other(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_OTLP_HEADERS", "Authorization=Bearer%20token")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", f"host.name={CANARY}")
    monkeypatch.setenv("OTEL_SERVICE_NAME", CANARY)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-other={CANARY}")
    assert telling.tell_step(a_step()) == telling.tell_step(a_step(failed=False)) == []
    first, second = receiver.spans
    told = {
        "synth_assets.run_id": RUN,
        "synth_assets.dataset": "clinic",
        "synth_assets.asset": "split",
        "synth_assets.stage": "split",
    }
    assert attributes(first.attributes) == told | {
        "synth_assets.outcome": "failed", "synth_assets.seconds": 2.5, "synth_assets.error_code": "budget"
    }  # fmt: skip
    assert attributes(second.attributes) == told | {"synth_assets.outcome": "done", "synth_assets.seconds": 2.5}
    assert (first.name, first.status.code, first.status.message) == ("clinic/split", 2, f"{OURS} Ask.")
    assert (second.status.code, second.status.message) == (1, "")
    assert first.trace_id.hex() == second.trace_id.hex() == RUN.replace("-", "")  # one trace for a run
    assert first.span_id != second.span_id
    assert first.end_time_unix_nano - first.start_time_unix_nano == 2_500_000_000
    (resource,) = receiver.requests[0].resource_spans
    assert attributes(resource.resource.attributes) == {
        "service.name": "synth-assets", "service.version": __version__, "deployment.environment.name": "ward-7"
    }  # fmt: skip
    named = {field.name for field, _ in first.ListFields()}
    assert not named & {"events", "links", "parent_span_id", "trace_state"}
    assert next(h for p, h, _ in receiver.got if p == "/v1/traces")["Authorization"] == "Bearer token"
    assert CANARY.encode() not in receiver.every_byte


def careless() -> None:
    """What a library does: quotes a value in all that it says."""
    value = f"{CANARY} in a local variable"
    sys.stdout.write(value)
    sys.stderr.write(value)
    warnings.warn(value, stacklevel=1)
    logging.getLogger("pandas").error(value)
    logging.getLogger().critical(value)
    sentry_sdk.add_breadcrumb(message=value)
    try:
        float(value)
    except ValueError as error:
        raise RuntimeError(value) from error


def fail_in_a_step() -> None:
    from dagster import Failure

    with pytest.raises(Failure), stage_boundary("clinic/split"):
        careless()


def test_nothing_of_a_library_and_nothing_of_the_person_is_sent(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_ENVIRONMENT", CANARY)
    monkeypatch.setenv("SENTRY_RELEASE", CANARY)
    monkeypatch.setattr(sys, "argv", ["synth-assets", CANARY])
    scope = sentry_sdk.get_global_scope()
    scope.set_user({"email": CANARY})
    scope.set_tag("note", CANARY)
    scope.set_extra("note", CANARY)
    try:
        fail_in_a_step()
    finally:
        scope.clear()
    assert len(receiver.events) == len(receiver.spans) == 1
    text = receiver.events[0]["exception"]["values"][0]["value"]
    assert text.startswith("RuntimeError in clinic/split")
    assert text == receiver.spans[0].status.message
    assert CANARY.encode() not in receiver.every_byte
    assert socket.gethostname().encode() not in receiver.every_byte
    assert str(Path.home()).encode() not in receiver.every_byte


def test_what_the_sdk_of_sentry_adds_falls_away(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sentry._event

    def fuller(failure):
        event = real(failure)
        event["exception"]["values"][0]["stacktrace"] = {"frames": [{"function": "f", "vars": {"cell": CANARY}}]}
        event["tags"]["cell"] = CANARY
        return {
            **event,
            "breadcrumbs": {"values": [{"message": CANARY}]},
            "user": {"id": CANARY},
            "modules": {CANARY: "1"},
        }

    monkeypatch.setattr(sentry, "_event", fuller)
    telling.tell_step(a_step())
    assert set(receiver.events[0]) == sentry.FIELDS
    assert CANARY.encode() not in receiver.every_byte
    monkeypatch.setattr(sentry, "allowed", lambda event, _hint: event)  # without the list all of it would go along
    telling.tell_step(a_step())
    assert CANARY.encode() in receiver.every_byte
    assert set(receiver.events[1]) > sentry.FIELDS | {"sdk", "breadcrumbs"}


def test_the_home_of_a_person_is_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/zofielle")
    error = ConfigError("wrong.", file="/home/zofielle/clinic/configs/a.yaml")
    assert failure_of_step(error, "a/b", "").text == "~/clinic/configs/a.yaml: wrong."


def test_what_was_typed_stays_at_the_terminal() -> None:
    assert CANARY not in str(
        failure_of_command(InputError(f"{CANARY!r} is no table.", file=CANARY), "synth-assets mask")
    )
    told = failure_of_command(ServiceUnavailableError("the store does not answer."), "synth-assets run")
    assert (told.at, told.text, told.code) == ("synth-assets run", "the store does not answer.", "unavailable")


def test_a_failed_command_is_told_and_a_wrong_command_line_is_not(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from synth_assets.cli.app import run

    monkeypatch.chdir(tmp_path)
    assert run(["profile", "--no-such-option"]) == run(["no-such-command"]) == 2
    assert receiver.got == []
    assert run(["profile", f"{CANARY}.csv"]) == 2
    (event,) = receiver.events
    assert event["tags"]["at"] == "synth-assets profile"
    assert "withheld" in event["exception"]["values"][0]["value"]
    assert CANARY.encode() not in receiver.every_byte
    assert CANARY in capsys.readouterr().err


def test_a_sensor_that_fails_again_and_again_is_told_once_an_hour(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = failure_of_sensor(ServiceUnavailableError("the bucket does not answer."), "clinic_source", "clinic")
    now = [1000.0]
    monkeypatch.setattr(telling.time, "monotonic", lambda: now[0])
    for after in (0, 60, 3599, 3600):
        now[0] = 1000.0 + after
        assert telling.tell_failure(failure, once=True) == []
    assert [e["tags"] for e in receiver.events] == 2 * [
        {"code": "unavailable", "at": "clinic_source", "dataset": "clinic"}
    ]


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_who_listens_fails_or_holds_up_a_step(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_SENTRY_DSN", f"http://key@127.0.0.1:{unused_port()}/1")
    monkeypatch.setenv("SYNTH_ASSETS_OTLP_ENDPOINT", f"http://127.0.0.1:{unused_port()}")
    faults = telling.tell_step(a_step())
    assert len(faults) == 2
    assert all("does not answer (URLError)" in fault for fault in faults)
    assert telling.tell_step(a_step()) == []  # both rest for a minute
    telling._rests.clear()
    fail_in_a_step()
    with stage_boundary("clinic/split"):
        pass


def test_a_receiver_that_stalls_is_given_up_after_the_limit(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LIMIT_SECONDS", 0.2)
    receiver.stall = 60.0
    assert ["within 0.2 seconds" in fault or "TimeoutError" in fault for fault in telling.tell_step(a_step())] == [
        True,
        True,
    ]
    assert len(receiver.got) == 2
    assert telling.tell_step(a_step()) == []
    assert len(receiver.got) == 2


def test_a_name_that_never_resolves_is_given_up_after_the_limit(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LIMIT_SECONDS", 0.2)
    monkeypatch.setattr(sending, "_answer", lambda *_: time.sleep(60))  # a thread that never comes back
    assert all("within 0.2 seconds" in fault for fault in telling.tell_step(a_step()))


@pytest.mark.parametrize(("code", "words"), [(302, "refuses"), (401, "refuses"), (429, "error"), (503, "error")])
def test_an_answer_that_is_no_success_is_told_in_our_words(receiver: Receiver, code: int, words: str) -> None:
    receiver.code, receiver.body = code, CANARY.encode()
    faults = telling.tell_step(a_step())
    assert len(faults) == 2
    assert all(f"HTTP {code}" in fault and words in fault and CANARY not in fault for fault in faults)
    assert {path for path, _, _ in receiver.got} == {"/api/42/envelope/", "/v1/traces"}  # no redirect was followed


def test_spans_that_a_collector_takes_and_rejects_are_noticed(receiver: Receiver) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 1
    receiver.body = answer.SerializeToString()
    (fault,) = telling.tell_step(a_step(failed=False))
    assert "rejects" in fault


def test_a_foreign_error_of_a_hook_is_withheld(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object) -> None:
        raise ValueError(CANARY)

    monkeypatch.setattr(otlp, "_span", faulty)
    (fault,) = telling.tell_step(a_step(failed=False))
    assert "ValueError" in fault
    assert CANARY not in fault


def test_settings_that_went_wrong_meanwhile_are_said_and_fail_no_step(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_OTLP_ENDPOINT", "nowhere")
    (fault,) = telling.tell_step(a_step())
    assert fault.startswith("nobody was told: the environment variable SYNTH_ASSETS_OTLP_ENDPOINT")
    with stage_boundary("clinic/split"):
        pass


def test_health_tries_each_hook_that_is_configured(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parts() -> dict[str, tuple[str, str]]:
        with chain.standing_in(tmp_path):
            found = health(Settings.from_environment(tmp_path), build_defs)
        assert found.ok or {p.name for p in found.parts if p.state == "failed"} <= {"work_folder", "disk"}
        return {p.name: (p.state, p.message) for p in found.parts if p.name in {"sentry", "otlp"}}

    assert parts() == {"sentry": ("ok", "answers."), "otlp": ("ok", "answers.")}
    assert receiver.events == []  # trying makes no event
    assert receiver.spans == []
    receiver.code = 401
    assert {state for state, _ in parts().values()} == {"warning"}
    assert "HTTP 401" in parts()["sentry"][1]
    monkeypatch.delenv("SYNTH_ASSETS_SENTRY_DSN")
    assert set(parts()) == {"otlp"}
    forget(monkeypatch)
    assert parts() == {}
