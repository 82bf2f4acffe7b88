"""Notifications against a real web server and a real mail server: signed, once, tried again, shown where they fail."""

from __future__ import annotations

import email
import email.policy
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from synth_assets.config.notifications import NotificationsConfig, load_notifications
from synth_assets.errors import ConfigError, InputError
from synth_assets.ledger.audit import AuditEvent, Outcome
from synth_assets.notify import mail
from synth_assets.notify.notices import Notice
from synth_assets.notify.notifier import Notifier
from synth_assets.notify.outbox import MOST_ATTEMPTS, Outbox, wait_after
from synth_assets_tests.unit.notify.conftest import Hook, Mailbox

FAILURE = Notice("failure", "run-1", "clinic", "run-1", {"seconds": 12.5, "job": "clinic_chain"})
SECRETS = {"HOOK_SECRET": "s3cret", "SMTP_USER": "user", "SMTP_PASSWORD": "pass"}
HERE = frozenset({"127.0.0.1"})


def notifier(folder: Path, config: dict[str, Any], *, events: list[AuditEvent] | None = None, **more: Any) -> Notifier:
    options: dict[str, Any] = {"private_hosts": HERE, "environment": SECRETS, **more}
    record = (events if events is not None else []).append
    return Notifier(NotificationsConfig.model_validate(config), Outbox(folder / "outbox"), record=record, **options)


def hooked(hook: Hook, **subscription: Any) -> dict[str, Any]:
    receiver = {"webhook": f"{hook.address}/in", "secret_env": "HOOK_SECRET"}
    return {"receivers": {"team": receiver}, "subscriptions": [{"to": "team", **subscription}]}


def mailed(mailbox: Mailbox, security: str = "none", **more: Any) -> dict[str, Any]:
    smtp = {"host": "127.0.0.1", "port": mailbox.port, "security": security, "sender": "synth@example.org", **more}
    return {"smtp": smtp, "receivers": {"dpo": {"email": "dpo@example.org"}}, "subscriptions": [{"to": "dpo"}]}


def test_a_webhook_gets_a_signed_body_with_a_timestamp_and_a_key(hook: Hook, tmp_path: Path) -> None:
    events: list[AuditEvent] = []
    told = notifier(tmp_path, hooked(hook), events=events)
    assert told.post(FAILURE, 1_000_000.0) == 1
    assert told.deliver(1_000_001.0).sent == 1
    ((headers, body),) = hook.got
    assert headers["X-Synth-Assets-Timestamp"] == "1000001"
    expected = hmac.new(b"s3cret", b"1000001." + body, hashlib.sha256).hexdigest()
    assert headers["X-Synth-Assets-Signature"] == f"v1={expected}"
    said = json.loads(body)
    assert said == {
        "id": headers["Idempotency-Key"], "at": "1970-01-12T13:46:40+00:00", "kind": "failure", "sentence": "A run has failed.",
        "dataset": "clinic", "run_id": "run-1", "figures": {"seconds": 12.5, "job": "clinic_chain"},
    }  # fmt: skip
    assert [(e.resource, e.outcome) for e in events] == [("receiver/team", Outcome.OK)]


def test_the_same_event_is_told_once_however_often_it_is_posted(hook: Hook, tmp_path: Path) -> None:
    told = notifier(tmp_path, hooked(hook))
    assert [told.post(FAILURE, 1.0), told.post(FAILURE, 2.0)] == [1, 0]
    told.deliver(10.0)
    assert told.post(FAILURE, 11.0) == 0
    told.deliver(12.0)
    assert len(hook.got) == 1


def test_a_receiver_that_fails_is_tried_again_later_with_the_same_key(hook: Hook, tmp_path: Path) -> None:
    hook.codes = [500, 429, 200]
    told = notifier(tmp_path, hooked(hook))
    told.post(FAILURE, 0.0)
    assert told.deliver(0.0).waiting == 1
    assert told.deliver(wait_after(1) - 1).sent == 0
    assert told.deliver(wait_after(1)).waiting == 1
    assert told.deliver(wait_after(1) + wait_after(2)).sent == 1
    keys = {headers["Idempotency-Key"] for headers, _ in hook.got}
    stamps = {headers["X-Synth-Assets-Timestamp"] for headers, _ in hook.got}
    assert (len(hook.got), len(keys), len(stamps)) == (3, 1, 3)


def test_waits_grow_fourfold_up_to_six_hours() -> None:
    assert [wait_after(n) for n in (1, 2, 3, 9)] == [30.0, 120.0, 480.0, 21_600.0]


def test_a_receiver_that_never_answers_is_given_up_and_shown(tmp_path: Path) -> None:
    events: list[AuditEvent] = []
    config = {
        "receivers": {"team": {"webhook": "http://127.0.0.1:9", "secret_env": "HOOK_SECRET"}},
        "subscriptions": [{"to": "team"}],
    }
    told = notifier(tmp_path, config, events=events)
    told.post(FAILURE, 0.0)
    now = 0.0
    for _ in range(MOST_ATTEMPTS):
        found = told.deliver(now)
        now += 30_000
    assert (found.sent, found.waiting, found.failed) == (0, 0, 1)
    (message,) = told.outbox.messages()
    assert (message.state, message.attempts) == ("failed", MOST_ATTEMPTS)
    assert "does not answer" in message.fault
    assert [e.outcome for e in events] == [Outcome.FAILED]


@pytest.mark.parametrize("code", [400, 401, 404, 302])
def test_a_receiver_that_refuses_is_given_up_at_once(hook: Hook, tmp_path: Path, code: int) -> None:
    hook.codes = [code]
    told = notifier(tmp_path, hooked(hook))
    told.post(FAILURE, 0.0)
    assert told.deliver(0.0).failed == 1
    assert len(hook.got) == 1  # no redirect is followed with a signed body


def test_a_private_address_is_refused_unless_it_is_allowed(hook: Hook, tmp_path: Path) -> None:
    told = notifier(tmp_path, hooked(hook), private_hosts=frozenset())
    told.post(FAILURE, 0.0)
    assert told.deliver(0.0).failed == 1
    assert hook.got == []


def test_a_missing_secret_is_told_by_its_name(hook: Hook, tmp_path: Path) -> None:
    told = notifier(tmp_path, hooked(hook), environment={})
    told.post(FAILURE, 0.0)
    told.deliver(0.0)
    assert told.outbox.messages()[0].fault == "the environment variable HOOK_SECRET is not set."


def test_subscriptions_choose_events_and_datasets(tmp_path: Path) -> None:
    config = NotificationsConfig.model_validate(
        {
            "receivers": {n: {"webhook": "https://a.example/in", "secret_env": "S"} for n in ("all", "some", "files")},
            "subscriptions": [
                {"to": "all"},
                {"to": "some", "events": ["failure"], "datasets": ["clinic"]},
                {"to": "some", "events": ["budget"]},
                {"to": "files", "datasets": ["uploads"]},
            ],
        }
    )
    assert config.receivers_of("failure", "clinic") == ("all", "some")
    assert config.receivers_of("failure", "bank") == ("all",)
    assert config.receivers_of("budget", "bank") == ("all", "some")
    assert config.receivers_of("failure", "upload_5f3c") == ("all", "files")
    assert "files" in config.receivers_of("storage", "")


def test_an_e_mail_is_sent_with_subject_sender_and_figures(mailbox: Mailbox, tmp_path: Path) -> None:
    told = notifier(tmp_path, mailed(mailbox))
    told.post(FAILURE, 0.0)
    assert told.deliver(0.0).sent == 1
    ((secure, text),) = mailbox.got
    assert not secure
    for line in (
        "Subject: synth_assets: failure (clinic)",
        "To: dpo@example.org",
        "A run has failed.",
        "seconds: 12.5",
    ):
        assert line in text
    assert f"Message-ID: <{FAILURE.identity('dpo')}@example.org>" in text


def test_an_e_mail_has_the_headers_that_mail_servers_want_and_the_same_at_each_attempt(
    mailbox: Mailbox, tmp_path: Path
) -> None:
    mailbox.refuse = "450 later"
    told = notifier(tmp_path, mailed(mailbox))
    told.post(FAILURE, 1_795_346_000.0)
    assert told.deliver(1_795_346_000.0).waiting == 1
    mailbox.refuse = ""
    assert told.deliver(1_795_349_600.0).sent == 1
    ((_, text),) = mailbox.got
    parsed = email.message_from_string(text, policy=email.policy.SMTP)
    assert parsed["Date"] == "Sun, 22 Nov 2026 11:13:20 +0000"  # when it was posted
    assert {k: parsed.get_all(k) for k in ("From", "To", "MIME-Version", "Auto-Submitted")} == {
        "From": ["synth@example.org"], "To": ["dpo@example.org"], "MIME-Version": ["1.0"], "Auto-Submitted": ["auto-generated"],
    }  # fmt: skip
    assert parsed.get_content_type() == "text/plain"
    assert parsed.defects == []


def test_a_subject_beyond_ascii_is_encoded_as_mail_wants_it(mailbox: Mailbox) -> None:
    smtp = NotificationsConfig.model_validate(mailed(mailbox)).smtp
    assert smtp is not None
    subject = "Prüfung der Klinik: " + " Größe" * 20
    mail.send(
        smtp, "dpo@example.org", subject, "Größe: 7\n", key="k", at=datetime(2026, 11, 22, tzinfo=UTC), login=None, private_hosts=HERE
    )  # fmt: skip
    ((_, text),) = mailbox.got
    head = text.partition("\r\n\r\n")[0]
    assert text.isascii()
    assert max(map(len, head.splitlines())) <= 78
    parsed = email.message_from_string(text, policy=email.policy.SMTP)
    assert parsed["Subject"] == subject
    assert parsed.get_content().strip() == "Größe: 7"


def test_an_e_mail_goes_over_tls_with_a_login(
    mailbox: Mailbox, tmp_path: Path, certificate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox.tls, trusted = certificate
    mailbox.login = ("user", "pass")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    told = notifier(tmp_path, mailed(mailbox, "starttls", user_env="SMTP_USER", password_env="SMTP_PASSWORD"))
    told.post(FAILURE, 0.0)
    assert told.deliver(0.0).sent == 1, told.outbox.messages()
    assert [secure for secure, _ in mailbox.got] == [True]


def test_a_certificate_that_nobody_vouches_for_ends_the_attempt(
    mailbox: Mailbox, tmp_path: Path, certificate: Any
) -> None:
    mailbox.tls = certificate[0]
    told = notifier(tmp_path, mailed(mailbox, "starttls"))
    told.post(FAILURE, 0.0)
    assert told.deliver(0.0).failed == 1
    assert mailbox.got == []


def test_a_server_without_tls_gets_no_message_where_tls_is_asked_for(mailbox: Mailbox, tmp_path: Path) -> None:
    told = notifier(tmp_path, mailed(mailbox, "starttls"))
    told.post(FAILURE, 0.0)
    assert told.deliver(0.0).failed == 1
    assert mailbox.got == []
    assert "TLS" in told.outbox.messages()[0].fault


@pytest.mark.parametrize(("answer", "state"), [("450 later", "pending"), ("550 unknown", "failed")])
def test_a_refused_receiver_is_tried_again_only_where_the_server_says_later(
    mailbox: Mailbox, tmp_path: Path, answer: str, state: str
) -> None:
    mailbox.refuse = answer
    told = notifier(tmp_path, mailed(mailbox))
    told.post(FAILURE, 0.0)
    told.deliver(0.0)
    assert told.outbox.messages()[0].state == state


@pytest.mark.parametrize(
    "wrong",
    [
        {"figures": {"name": "Jane Roe"}},
        {"figures": {"mail": "jane@example.org"}},
        {"figures": {"share": float("nan")}},
        {"dataset": "a b"},
        {"kind": "gossip"},
    ],
)
def test_a_notice_holds_identifiers_and_numbers_only(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Notice(**{"kind": "failure", "key": "k", **wrong})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("receivers: {a: {webhook: 'http://hooks.example/x', secret_env: S}}", "https://"),
        ("receivers: {a: {webhook: 'https://hooks.example/x'}}", "secret_env"),
        ("receivers: {a: {email: dpo@example.org}}", "smtp"),
        ("receivers: {a: {webhook: 'https://a.example', secret_env: 'not a name'}}", "environment variable"),
        ("subscriptions: [{to: nobody}]", "nobody"),
        ("smtp: {host: mail.example, sender: a@example.org, security: none}", "without TLS"),
    ],
)
def test_a_malformed_configuration_is_told_with_its_file(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "notifications.yaml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_notifications(tmp_path)


def test_without_a_configuration_nobody_is_told(tmp_path: Path) -> None:
    assert load_notifications(tmp_path).receivers_of("failure", "clinic") == ()


def test_the_outbox_is_for_its_owner_alone(hook: Hook, tmp_path: Path) -> None:
    told = notifier(tmp_path, hooked(hook))
    told.post(FAILURE, 0.0)
    (file,) = (tmp_path / "outbox").glob("*.json")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
