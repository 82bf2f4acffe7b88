"""Connections to other machines are encrypted, or allowed by name not to be. What counts as this machine is decided here."""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

from synth_assets.errors import ConfigError

PLAINTEXT_VARIABLE = "SYNTH_ASSETS_PLAINTEXT_HOSTS"


def may_be_plain(host: str | None) -> bool:
    """Whether a connection without TLS is in order: to this machine, or to a host that `SYNTH_ASSETS_PLAINTEXT_HOSTS` names.

    Args:
        host: Name, address, or folder of a Unix socket; None for the socket's default folder.
    """
    if not host or host.startswith("/"):
        return True
    name = host.lower().rstrip(".")
    if name == "localhost" or name in plaintext_hosts():
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def plaintext_hosts() -> frozenset[str]:
    """Names and addresses that the operator allows to be reached without TLS."""
    return frozenset(h.strip().lower() for h in os.environ.get(PLAINTEXT_VARIABLE, "").split(",") if h.strip())


def check_endpoint(url: str | None, variable: str) -> str | None:
    """An http or https address of a service, or None where none is set.

    Args:
        url: The value of the variable.
        variable: Its name, for messages.

    Raises:
        ConfigError: it is no address, holds a password, or leads to another machine without TLS.
    """
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and not (parts.port is not None and parts.port < 1)
    except ValueError:
        good = None
    if not good or parts.username or parts.password or parts.query:
        raise ConfigError(
            f"the environment variable {variable} is no address of the form https://host:port.",
            remedy="Credentials do not belong into it: give the process a role, or AWS_* variables.",
        )
    if parts.scheme == "http" and not may_be_plain(parts.hostname):
        raise ConfigError(
            f"{variable} leads to another machine without TLS.",
            remedy=f"Use https://. Where this is meant, name the host in {PLAINTEXT_VARIABLE}.",
        )
    return url.rstrip("/")
