"""Tells receivers: routes a notice to its subscribers, delivers what is due, and never raises for a receiver that fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from synth_assets.config.notifications import NotificationsConfig, ReceiverConfig, check_webhook
from synth_assets.errors import ConfigError, ServiceUnavailableError, SynthAssetsError, withhold_values
from synth_assets.ledger.audit import Action, AuditEvent, Outcome, identifier
from synth_assets.ledger.events import Detail
from synth_assets.notify import mail, webhook
from synth_assets.notify.notices import Notice, body_of, text_of
from synth_assets.notify.outbox import MOST_ATTEMPTS, Message, Outbox, State, wait_after


@dataclass(frozen=True)
class Delivered:
    """What a round of delivery did, and what is left.

    Attributes:
        sent: Delivered now.
        waiting: To be tried again.
        failed: Given up, now or before, and not cleared; a person has to look.
    """

    sent: int
    waiting: int
    failed: int


class Notifier:
    """The notifications of a home.

    Args:
        config: Receivers and subscriptions.
        outbox: Keeps what is on its way.
        private_hosts: Hosts and networks of one's own that may be reached.
        record: Writes to the audit ledger.
        environment: Where secrets are.
    """

    def __init__(
        self,
        config: NotificationsConfig,
        outbox: Outbox,
        *,
        private_hosts: Collection[str],
        record: Callable[[AuditEvent], object],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.config, self.outbox, self.private_hosts, self.record = config, outbox, private_hosts, record
        self.environment = os.environ if environment is None else environment

    def post(self, notice: Notice, now: float) -> int:
        """Keep a notice for everybody who has subscribed; how many of them had not been told before."""
        told = 0
        for receiver in self.config.receivers_of(notice.kind, notice.dataset):
            told += self._keep(notice, receiver, now)
        return told

    def post_to(self, receiver: str, notice: Notice, now: float) -> str:
        """Keep a notice for one receiver, whatever it has subscribed to.

        Returns:
            The key of the message.

        Raises:
            ConfigError: there is no such receiver.
        """
        if receiver not in self.config.receivers:
            raise ConfigError(
                f"{receiver!r} is no receiver.", key="receivers", remedy="Add it to configs/notifications.yaml."
            )
        self._keep(notice, receiver, now)
        return notice.identity(receiver)

    def shown(self, messages: Iterable[Message]) -> None:
        """Note that a person was shown these messages."""
        for message in messages:
            if message.state == "failed" and not message.shown:
                self.outbox.keep(replace(message, shown=True))

    def clear(self) -> int:
        """Put away what was given up; how many. They stay known for a while, so that the same event is not told after all."""
        given_up = [m for m in self.outbox.messages() if m.state == "failed"]
        for message in given_up:
            self.outbox.keep(replace(message, state="cleared"))
        return len(given_up)

    def _keep(self, notice: Notice, receiver: str, now: float) -> bool:
        return self.outbox.add(Message(notice.identity(receiver), receiver, notice.record(), now, due=now))

    def deliver(self, now: float) -> Delivered:
        """Try every message that is due; a failure is kept with the message and tried again later, ten times."""
        sent = 0
        with self.outbox.delivering() as mine:
            for message in self.outbox.messages() if mine else ():
                if message.state == "pending" and message.due <= now:
                    after = self._tried(message, now)
                    self.outbox.keep(after)
                    sent += after.state == "sent"
                    if after.state != "pending":
                        self._recorded(after)
            self.outbox.forget(now)
        left = [m.state for m in self.outbox.messages()]
        return Delivered(sent, left.count("pending"), left.count("failed"))

    def _tried(self, message: Message, now: float) -> Message:
        attempts = message.attempts + 1
        try:
            with withhold_values("a notification"):
                self._send(message, now)
        except SynthAssetsError as error:
            again = isinstance(error, ServiceUnavailableError) and attempts < MOST_ATTEMPTS
            state: State = "pending" if again else "failed"
            return replace(message, state=state, attempts=attempts, due=now + wait_after(attempts), fault=error.message)
        return replace(message, state="sent", attempts=attempts, fault="")

    def _send(self, message: Message, now: float) -> None:
        receiver = self.config.receivers.get(message.receiver)
        if receiver is None:
            raise ConfigError("the receiver is no longer in configs/notifications.yaml.")
        if receiver.email is not None:
            self._mail(receiver.email, message)
            return
        at = datetime.fromtimestamp(message.at, UTC).isoformat(timespec="seconds")
        webhook.post(
            self._address(receiver), self._secret(receiver.secret_env), body_of(message.record, message.key, at),
            key=message.key, timestamp=int(now), private_hosts=self.private_hosts,
        )  # fmt: skip

    def _mail(self, to: str, message: Message) -> None:
        smtp = self.config.smtp
        if smtp is None:
            raise ConfigError("`smtp` is missing in configs/notifications.yaml.")
        login = (self._secret(smtp.user_env), self._secret(smtp.password_env)) if smtp.user_env else None
        subject, text = text_of(message.record)
        at = datetime.fromtimestamp(message.at, UTC)
        mail.send(smtp, to, subject, text, key=message.key, at=at, login=login, private_hosts=self.private_hosts)

    def _address(self, receiver: ReceiverConfig) -> str:
        if receiver.webhook is not None:
            return receiver.webhook
        try:
            return check_webhook(self._secret(receiver.webhook_env))
        except ValueError:
            raise ConfigError(f"the environment variable {receiver.webhook_env} is no https:// address.") from None

    def _secret(self, name: str | None) -> str:
        value = self.environment.get(name or "")
        if not value:
            raise ConfigError(f"the environment variable {name} is not set.", remedy="Set it where the daemon starts.")
        return value

    def _recorded(self, message: Message) -> None:
        outcome = Outcome.OK if message.state == "sent" else Outcome.FAILED
        details: dict[str, Detail] = {"kind": str(message.record["kind"]), "attempts": message.attempts}
        event = AuditEvent(Action.NOTIFIED, f"receiver/{identifier(message.receiver)}", outcome, details=details)
        self.record(event)
