"""Files behind https:// addresses: downloaded under a limit; redirects are followed, but never to plain http or a private host."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from synth_assets.errors import (
    AccessRefusedError,
    ConfigError,
    LinkExpiredError,
    ServiceUnavailableError,
    SourceError,
    SynthAssetsError,
    is_full,
)
from synth_assets.tables.readers.addresses import Guarded
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.readers.transfer import LocalFile, copy_blocks, file_name, refuse_large, safe_label

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_EXPIRED = re.compile(rb"has expired|ExpiredToken|not valid in the specified time frame", re.IGNORECASE)
_ANSWER_BYTES = 4_096
_STAMPS = ("%Y%m%dT%H%M%SZ", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d")


class _SameSafety(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        try:
            _require_safe(newurl)
        except ConfigError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_safe(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return
    raise ConfigError(
        "the address must start with https://.",
        file=safe_label(address),
        key="source.path",
        remedy="Use https, or download the file.",
    )


def _open(address: str, limits: Limits, method: str = "GET") -> Any:
    """An open response.

    Raises:
        SourceError: the server says that there is nothing to read, or the address leads to a private host.
        ServiceUnavailableError: it does not answer.
    """
    _require_safe(address)
    label = safe_label(address)
    request = urllib.request.Request(address, method=method)  # noqa: S310  the scheme was checked
    opener = urllib.request.build_opener(_SameSafety, Guarded(limits.private_hosts, label))
    try:
        return opener.open(request, timeout=limits.timeout_seconds)
    except SynthAssetsError:
        raise
    except urllib.error.HTTPError as error:
        code, answer = error.code, _start(error)
    except (OSError, ValueError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", error)
        raise ServiceUnavailableError(
            f"the server does not answer ({type(cause if isinstance(cause, Exception) else error).__name__}).",
            file=label,
            remedy="Check the address and the network.",
        ) from None
    raise _refusal(code, expired=_EXPIRED.search(answer) is not None or is_over(address), label=label)


def _start(error: urllib.error.HTTPError) -> bytes:
    """The first bytes of an answer that is an error; only looked through, never shown."""
    try:
        return error.read(_ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return b""
    finally:
        error.close()


def _refusal(code: int, *, expired: bool, label: str) -> SynthAssetsError:
    if code >= 500 or code == 429:
        return ServiceUnavailableError(
            f"the server answers with an error (HTTP {code}).", file=label, remedy="Try again later."
        )
    if expired and code in {400, 401, 403, 410}:
        return LinkExpiredError(f"the link has expired (HTTP {code}).", file=label, remedy="Make a fresh link.")
    if code in {401, 403}:
        return AccessRefusedError(
            f"the server refuses the file (HTTP {code}).",
            file=label,
            remedy="Check who may read it, and that the link is whole; it may have expired: then make a fresh one.",
        )
    return SourceError(f"the server has no such file (HTTP {code}).", file=label, remedy="Check the address.")


def is_over(address: str, now: datetime | None = None) -> bool:
    """Whether a signed link says of itself that its time is over (AWS, Google and Azure write it into the query)."""
    query = {name.lower(): values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    end = _stamp(query.get("se"))
    for maker in ("x-amz", "x-goog"):
        start, seconds = _stamp(query.get(f"{maker}-date")), query.get(f"{maker}-expires", "")
        if start is not None and seconds.isdigit():
            end = start + timedelta(seconds=min(int(seconds), 10**9))
    if (epoch := query.get("expires", "")).isdigit():
        end = datetime.fromtimestamp(min(int(epoch), 10**11), UTC)
    return end is not None and end < (now or datetime.now(UTC))


def _stamp(text: str | None) -> datetime | None:
    for form in _STAMPS:
        try:
            return datetime.strptime(text or "", form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def from_web(address: str, workspace: Path, limits: Limits) -> LocalFile:
    """Download the file behind an address.

    Raises:
        SourceError: the server has no such file, refuses it, or it is too large.
        ServiceUnavailableError: the server does not answer, or the download breaks off.
    """
    label = safe_label(address)
    name = PurePosixPath(unquote(urlsplit(address).path)).name or "download"
    target = workspace / f"download-{file_name(name)}"
    with _open(address, limits) as response:
        announced = int(response.headers.get("Content-Length") or 0)
        refuse_large(announced, limits, label)
        try:
            with target.open("wb") as out:
                received = copy_blocks(response, out, lambda n: refuse_large(n, limits, label))
        except (OSError, http.client.HTTPException) as error:
            if is_full(error):
                raise
            received = -1
    if received < announced:
        raise ServiceUnavailableError("the download broke off.", file=label, remedy="Try again.")
    return LocalFile(target, name, label)


def web_version(address: str, limits: Limits) -> str | None:
    """What a server says about the version of a file (ETag, date, size), or None where it says nothing."""
    with _open(address, limits, "HEAD") as response:
        told = [response.headers.get(name) for name in ("ETag", "Last-Modified", "Content-Length")]
    return "\n".join(str(t) for t in told) if told[0] or told[1] else None
