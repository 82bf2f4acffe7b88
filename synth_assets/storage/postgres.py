"""URLs of PostgreSQL servers: checked once, with the driver that is installed, and with TLS to other machines.

What belongs here: what is true of every connection (ledgers, vault, Dagster, sources, targets). What does not: what is stored.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from synth_assets.errors import ConfigError
from synth_assets.storage.transport import PLAINTEXT_VARIABLE, may_be_plain

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

DRIVER = "postgresql+psycopg2"  # SQLAlchemy 2.1 reads `postgresql://` as psycopg 3, which Dagster does not install
SAFE_MODES = frozenset({"require", "verify-ca", "verify-full"})
CONNECT_SECONDS = 10
_RETRY_SECONDS = 0.5
Connected = TypeVar("Connected")


def postgres_url(text: str, name: str) -> URL:
    """A checked URL of a PostgreSQL server.

    Args:
        text: postgresql://user:password@host:port/database?sslmode=verify-full
        name: What holds it (a variable, a key of the YAML), for messages; they never quote the URL.

    Raises:
        ConfigError: it is malformed, of another database, or leads to another machine without TLS.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigError(
            f"{name} is no database URL.", remedy="Write postgresql://user:password@host:5432/database."
        ) from None
    if url.drivername.partition("+")[0] not in {"postgresql", "postgres"}:
        raise ConfigError(
            f"{name} is not the URL of a PostgreSQL server.", remedy="Write postgresql://user:password@host/database."
        )
    require_tls(url, name)
    return url.set(drivername=DRIVER)


def require_tls(url: URL, name: str) -> None:
    """Refuse a URL by which data could travel to another machine in clear; without `sslmode`, libpq falls back to that silently.

    Raises:
        ConfigError: TLS is neither asked for nor waived by name.
    """
    if str(_option(url, "sslmode") or os.environ.get("PGSSLMODE")) in SAFE_MODES:
        return
    named = url.host or _option(url, "host") or _option(url, "hostaddr") or os.environ.get("PGHOST") or ""
    plain = [host for host in named.split(",") if not may_be_plain(host.partition(":")[0] if "]" not in host else host)]
    if plain:
        raise ConfigError(
            f"{name} leads to another machine ({plain[0]}) without TLS.",
            remedy="Add ?sslmode=verify-full (or verify-ca, require) to the URL. "
            f"Where clear text is meant, name the host in {PLAINTEXT_VARIABLE}.",
        )


def url_of(variable: str) -> str | None:
    """The URL in an environment variable, checked, or None where it is not set.

    Raises:
        ConfigError: it cannot be used; names the variable.
    """
    text = os.environ.get(variable)
    if text is None:
        return None
    return postgres_url(text, f"the environment variable {variable}").render_as_string(hide_password=False)


def required_url(variable: str) -> URL:
    """The URL in an environment variable that a configuration names.

    Raises:
        ConfigError: the variable is not set, or cannot be used; names it.
    """
    if (text := os.environ.get(variable)) is None:
        raise ConfigError(
            f"the environment variable {variable} is not set.",
            remedy=f"Set it: export {variable}=postgresql://user:password@host:5432/database",
        )
    return postgres_url(text, f"the environment variable {variable}")


def connected(connect: Callable[[], Connected], faults: tuple[type[Exception], ...]) -> Connected:
    """Open a connection; where that fails, once more after half a second: nothing was done yet, so trying again is safe.

    Args:
        connect: Opens it.
        faults: What it raises where the server does not answer.
    """
    try:
        return connect()
    except faults:
        time.sleep(_RETRY_SECONDS)
        return connect()


def _option(url: URL, name: str) -> str | None:
    found = url.query.get(name)
    return found[-1] if isinstance(found, tuple) else found
