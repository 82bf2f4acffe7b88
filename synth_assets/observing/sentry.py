"""Failures as Sentry events. The SDK makes them; what leaves is rebuilt from a list of our own fields, and nothing else goes along."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from synth_assets import __version__
from synth_assets.errors import ServiceUnavailableError
from synth_assets.observing.records import Failure
from synth_assets.observing.sending import post

NAME = "Sentry"
FIELDS = frozenset(
    {
        "event_id",
        "timestamp",
        "level",
        "platform",
        "logger",
        "release",
        "environment",
        "tags",
        "fingerprint",
        "exception",
    }
)
TAGS = frozenset({"code", "at", "dataset", "asset", "run_id"})
_PROBE = b'{}\n{"type":"client_report"}\n{"discarded_events":[]}\n'  # Sentry keeps no event of it


def send_failure(dsn: str, project: str, failure: Failure) -> None:
    """Send one event.

    Args:
        dsn: Address of the project in Sentry.
        project: Name of this installation.
        failure: What failed.

    Raises:
        ServiceUnavailableError: Sentry does not answer.
        InputError: Sentry refuses.
    """
    import sentry_sdk
    from sentry_sdk.transport import Transport

    made: list[bytes] = []

    class Direct(Transport):  # type: ignore[misc]  # optional; the SDK's own sends later, and tells nobody whether it arrived
        def capture_envelope(self, envelope: Any) -> None:
            made.extend(item.get_bytes() for item in envelope.items if item.type == "event")

    client = sentry_sdk.Client(
        dsn=dsn, transport=Direct, before_send=allowed, release=_release(), environment=project, server_name="", dist="",
        default_integrations=False, auto_enabling_integrations=False, integrations=[], include_local_variables=False,
        include_source_context=False, attach_stacktrace=False, max_breadcrumbs=0, send_default_pii=False, traces_sample_rate=None,
        profiles_sample_rate=None, sample_rate=1.0, auto_session_tracking=False, send_client_reports=False, spotlight=False,
        debug=False, enable_backpressure_handling=False, enable_logs=False, max_value_length=None,
    )  # fmt: skip
    client.capture_event(_event(failure))
    if not made:
        raise ServiceUnavailableError("the SDK of Sentry made no event.", remedy="Check its version: constraints.txt.")
    for event in made:
        _post(dsn, _envelope(event))


def probe(dsn: str) -> None:
    """Ask Sentry whether it takes what this address sends; no event is made.

    Raises:
        ServiceUnavailableError: it does not answer.
        InputError: it refuses.
    """
    _post(dsn, _PROBE)


def allowed(event: dict[str, Any], _hint: Any = None) -> dict[str, Any]:
    """An event with our own fields alone; `before_send` of the SDK."""
    kept = {name: value for name, value in event.items() if name in FIELDS}
    kept["tags"] = {name: value for name, value in event.get("tags", {}).items() if name in TAGS}
    first = event["exception"]["values"][0]
    kept["exception"] = {"values": [{"type": first["type"], "value": first["value"]}]}
    return kept


def _event(failure: Failure) -> dict[str, Any]:
    tags = {name: getattr(failure, name) for name in sorted(TAGS)}
    return {
        "level": "error", "platform": "other", "logger": "synth_assets",
        "tags": {name: value for name, value in tags.items() if value},
        "fingerprint": [failure.code, failure.at],
        "exception": {"values": [{"type": failure.kind, "value": failure.text}]},
    }  # fmt: skip


def _release() -> str:
    return f"synth-assets@{__version__}"


def _envelope(event: bytes) -> bytes:
    """The envelope around an event; the SDK's own has a header more."""
    header = json.dumps({"event_id": json.loads(event)["event_id"]})
    item = json.dumps({"type": "event", "content_type": "application/json", "length": len(event)})
    return b"\n".join((header.encode(), item.encode(), event, b""))


def _post(dsn: str, body: bytes) -> None:
    parts = urlsplit(dsn)
    place, _, project = parts.path.rpartition("/")
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{place}/api/{project}/envelope/"
    keys = f"sentry_key={parts.username}" + (f", sentry_secret={parts.password}" if parts.password else "")
    headers = {
        "Content-Type": "application/x-sentry-envelope",
        "X-Sentry-Auth": f"Sentry {keys}, sentry_version=7, sentry_client=synth-assets/{__version__}",
        "User-Agent": f"synth-assets/{__version__}",
    }
    post(address, body, headers, receiver=NAME)
