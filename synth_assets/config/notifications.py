"""`configs/notifications.yaml`: who is told of what. A secret is named by the environment variable that holds it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from synth_assets.config.base import Config
from synth_assets.config.dataset import Names
from synth_assets.config.load import load_model
from synth_assets.storage.transport import may_be_plain

FILE = "notifications.yaml"
Kind = Literal[
    "success", "failure", "blocked", "budget", "drift", "stale", "slow", "storage", "ledger", "leak", "quarantine",
    "reservation", "digest", "summary", "test",
]  # fmt: skip
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_MAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")


def _variable(value: str | None) -> str | None:
    if value is not None and not _VARIABLE.fullmatch(value):
        raise ValueError("this is the name of an environment variable: capital letters, digits and _")
    return value


def _mail(value: str | None) -> str | None:
    if value is not None and not _MAIL.fullmatch(value):
        raise ValueError("this is no e-mail address")
    return value


def check_webhook(address: str) -> str:
    """An address that a notification may be posted to: https, or http on this machine or an allowed host.

    Raises:
        ValueError: it is another one.
    """
    parts = urlsplit(address)
    if (
        not parts.hostname
        or parts.username
        or not (parts.scheme == "https" or (parts.scheme == "http" and may_be_plain(parts.hostname)))
    ):
        raise ValueError("a webhook is an https:// address without a user name")
    return address


class ReceiverConfig(Config):
    """One receiver: a webhook or an e-mail address."""

    webhook: str | None = Field(default=None, description="https:// address that notifications are posted to.")
    webhook_env: str | None = Field(default=None, description="Variable with that address, where it is a secret.")
    secret_env: str | None = Field(
        default=None, description="Variable with the secret that signs; required with a webhook."
    )
    email: str | None = Field(default=None, description="E-mail address.")

    _names = field_validator("webhook_env", "secret_env")(_variable)
    _address = field_validator("email")(_mail)

    @field_validator("webhook")
    @classmethod
    def _safe(cls, value: str | None) -> str | None:
        return None if value is None else check_webhook(value)

    @model_validator(mode="after")
    def _one(self) -> ReceiverConfig:
        if sum(p is not None for p in (self.webhook, self.webhook_env, self.email)) != 1:
            raise ValueError("give exactly one of `webhook`, `webhook_env` and `email`")
        if (self.email is None) == (self.secret_env is None):
            raise ValueError("a webhook needs `secret_env`, an e-mail address has none")
        return self


class SmtpConfig(Config):
    """The mail server."""

    host: str = Field(description="Name of the server.")
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="`none` only to this machine or a host of `SYNTH_ASSETS_PLAINTEXT_HOSTS`."
    )
    sender: str = Field(description="Address of the sender.")
    user_env: str | None = Field(default=None, description="Variable with the user's name.")
    password_env: str | None = Field(default=None, description="Variable with the password.")

    _names = field_validator("user_env", "password_env")(_variable)
    _address = field_validator("sender")(_mail)

    @model_validator(mode="after")
    def _encrypted(self) -> SmtpConfig:
        if self.security == "none" and not may_be_plain(self.host):
            raise ValueError("`security: none` leads to another machine without TLS")
        if (self.user_env is None) != (self.password_env is None):
            raise ValueError("give both `user_env` and `password_env`, or neither")
        return self


class SubscriptionConfig(Config):
    """Who is told of which events, of which datasets."""

    to: str = Field(description="Name of a receiver.")
    events: tuple[Kind, ...] = Field(default=(), description="All of them when empty.")
    datasets: Names = Field(default=(), description="All of them when empty; `uploads` are all dropped files.")


class NotificationsConfig(Config):
    """Receivers and subscriptions of a home."""

    smtp: SmtpConfig | None = Field(
        default=None, description="The mail server; required where a receiver has an e-mail address."
    )
    receivers: dict[str, ReceiverConfig] = Field(default_factory=dict, description="Name to receiver.")
    subscriptions: tuple[SubscriptionConfig, ...] = Field(default=(), description="Who is told of what.")

    @model_validator(mode="after")
    def _known(self) -> NotificationsConfig:
        for subscription in self.subscriptions:
            if subscription.to not in self.receivers:
                raise ValueError(f"a subscription names the receiver {subscription.to!r}, which is not listed")
        if self.smtp is None and any(r.email for r in self.receivers.values()):
            raise ValueError("a receiver has an e-mail address, and `smtp` is missing")
        return self

    def receivers_of(self, kind: Kind, dataset: str) -> tuple[str, ...]:
        """Names of those who are told of an event of a dataset; each once."""
        subject = "uploads" if dataset.startswith("upload_") else dataset
        wanted = [
            s.to
            for s in self.subscriptions
            if (not s.events or kind in s.events) and (not s.datasets or not subject or subject in s.datasets)
        ]
        return tuple(dict.fromkeys(wanted))


def load_notifications(configs_folder: Path) -> NotificationsConfig:
    """The configuration of a home; nobody is told where it has none.

    Raises:
        ConfigError: the file does not fit the model.
    """
    path = configs_folder / FILE
    return load_model(path, NotificationsConfig) if path.is_file() else NotificationsConfig()
