"""Whom a home tells of steps and failures besides Dagster: Sentry and an OTLP collector. Both are off unless a variable names them.

What belongs here: what the environment says, and whether the package is there. What does not: what is told, and sending (observing).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from synth_assets.config.secret_file import read_secret_file
from synth_assets.errors import ConfigError
from synth_assets.storage.transport import check_endpoint

SENTRY = "SYNTH_ASSETS_SENTRY_DSN"
SENTRY_FILE = "SYNTH_ASSETS_SENTRY_DSN_FILE"
OTLP = "SYNTH_ASSETS_OTLP_ENDPOINT"
HEADERS = "SYNTH_ASSETS_OTLP_HEADERS"
HEADERS_FILE = "SYNTH_ASSETS_OTLP_HEADERS_FILE"
PACKAGES = {"sentry": ("sentry_sdk",), "otlp": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.common")}
_NAME, _VALUE = re.compile(r"[A-Za-z0-9-]+"), re.compile(r"[\x20-\x7e]+")


@dataclass(frozen=True)
class Hooks:
    """Who is told.

    Args:
        sentry_dsn: Address of a Sentry project with its key; None tells no Sentry.
        otlp_endpoint: Base address of an OTLP collector over HTTP; None tells none.
        otlp_headers: Sent with every request to the collector, such as its token.
    """

    sentry_dsn: str | None = field(default=None, repr=False)
    otlp_endpoint: str | None = None
    otlp_headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def any_hook() -> bool:
    """Whether a variable names one; cheap, for what asks at every step."""
    return any(os.environ.get(name) is not None for name in (SENTRY, SENTRY_FILE, OTLP))


def hooks_of_environment() -> Hooks:
    """What the variables say.

    Raises:
        ConfigError: one is malformed, leads to another machine without TLS, or its package is not installed.
    """
    dsn, endpoint = _dsn(), check_endpoint(os.environ.get(OTLP), OTLP)
    if dsn is not None:
        _installed("sentry", SENTRY)
    if endpoint is None:
        if lost := [name for name in (HEADERS, HEADERS_FILE) if os.environ.get(name) is not None]:
            raise ConfigError(
                f"{lost[0]} is set, and {OTLP} is not: nobody would be told.", key=OTLP, remedy="Set both or none."
            )
        return Hooks(dsn)
    _installed("otlp", OTLP)
    return Hooks(dsn, endpoint, _headers())


def _installed(extra: str, variable: str) -> None:
    """The package of a hook, or the one error that names its extra."""
    for name in PACKAGES[extra]:
        try:
            found = find_spec(name)
        except ModuleNotFoundError:  # of the package around it
            found = None
        if found is None:
            raise ConfigError(
                f"{variable} is set, and the package for it is not installed.",
                key=variable,
                remedy=f"Install the extra: pip install 'synth-assets[{extra}]', or unset the variable.",
            )


def _dsn() -> str | None:
    text = _secret(SENTRY, SENTRY_FILE)
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        place, _, project = parts.path.rpartition("/")
        good = bool(parts.username and parts.hostname and project.isdecimal() and project.isascii())
        good = good and not (parts.query or parts.fragment) and parts.scheme in {"http", "https"}
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        good = False
    if not good:
        raise ConfigError(
            f"{SENTRY} is no address of the form https://key@host/project.",
            key=SENTRY,
            remedy="Copy it from the settings of the project in Sentry (Client Keys).",
        )
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    check_endpoint(f"{parts.scheme}://{host}{port}{place}", SENTRY)
    return text


def _headers() -> dict[str, str]:
    """`name=value, name=value`, values with %-signs for what is special, as OpenTelemetry writes them."""
    found: dict[str, str] = {}
    for pair in (_secret(HEADERS, HEADERS_FILE) or "").split(","):
        name, equals, value = (part.strip() for part in pair.partition("="))
        value = unquote(value)
        if not pair.strip():
            continue
        if not equals or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ConfigError(f"{HEADERS} is not of the form name=value, name=value.", key=HEADERS)
        found[name] = value
    return found


def _secret(variable: str, file_variable: str) -> str | None:
    """A secret from the variable that holds it, or from the file with mode 0600 that a variable names."""
    value, file = os.environ.get(variable), os.environ.get(file_variable)
    if value is not None and file is not None:
        raise ConfigError(f"{variable} and {file_variable} are set; it has one place.", remedy="Unset one of them.")
    return value if file is None else read_secret_file(Path(file).expanduser(), file_variable)
