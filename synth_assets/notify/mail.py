"""One e-mail by SMTP, over TLS unless the server is on this machine or allowed by name to be reached without."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Collection
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from functools import partial
from typing import Any

from synth_assets.config.notifications import SmtpConfig
from synth_assets.errors import InputError, PrivateAddressError, ServiceUnavailableError
from synth_assets.tables.readers.addresses import guarded_connection

TIMEOUT_SECONDS = 15.0


def send(
    smtp: SmtpConfig,
    to: str,
    subject: str,
    text: str,
    *,
    key: str,
    at: datetime,
    login: tuple[str, str] | None,
    private_hosts: Collection[str],
) -> None:
    """Send one message.

    Args:
        smtp: The server.
        to: Address of the receiver.
        subject: One line.
        text: Plain text.
        key: Part of the Message-ID, so that a mail program shows two attempts as one.
        at: When the message was posted; the same at every attempt, like its Message-ID.
        login: User and password.
        private_hosts: Hosts and networks of one's own that may be reached.

    Raises:
        InputError: the server refuses the login or the receiver for good, or has no TLS; trying again does not help.
        ServiceUnavailableError: it does not answer; try again later.
    """
    message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))  # not every server takes 8-bit
    message["Subject"], message["From"], message["To"] = subject, smtp.sender, to
    message["Date"], message["Auto-Submitted"] = at, "auto-generated"  # RFC 5322, RFC 3834
    message["Message-ID"] = f"<{key}@{smtp.sender.rpartition('@')[2]}>"
    message.set_content(text)
    try:
        with _connected(smtp, private_hosts) as server:
            if smtp.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if login is not None:
                server.login(*login)
            server.send_message(message)
    except PrivateAddressError as error:
        raise error from None
    except (smtplib.SMTPNotSupportedError, ssl.SSLError) as error:
        raise InputError(
            f"the mail server offers no valid TLS ({type(error).__name__}).",
            remedy="Check `smtp.security` and its certificate.",
        ) from None
    except (smtplib.SMTPException, OSError) as error:
        raise _fault(error) from None


def _connected(smtp: SmtpConfig, private_hosts: Collection[str]) -> smtplib.SMTP:
    """A connection that leads to a checked address only."""
    dial = partial(guarded_connection, allowed=private_hosts, label="the mail server")

    class Plain(smtplib.SMTP):
        def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # smtplib's own place for it
            return dial((host, port), timeout)

    class Tls(smtplib.SMTP_SSL):
        def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
            return ssl.create_default_context().wrap_socket(dial((host, port), timeout), server_hostname=host)

    kind: Any = Tls if smtp.security == "tls" else Plain
    return kind(smtp.host, smtp.port, timeout=TIMEOUT_SECONDS)  # type: ignore[no-any-return]


def _fault(error: Exception) -> InputError | ServiceUnavailableError:
    codes = [error.smtp_code] if isinstance(error, smtplib.SMTPResponseException) else []
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
    if codes and all(code >= 500 for code in codes):
        return InputError(
            f"the mail server refuses the message ({codes[0]}).", remedy="Check receiver, sender and login."
        )
    return ServiceUnavailableError(f"the mail server does not answer as expected ({type(error).__name__}).")
