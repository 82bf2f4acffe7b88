"""Files behind https:// addresses: downloaded under a limit; redirects are followed, but never to plain http."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from synth_assets.errors import ConfigError, ServiceUnavailableError, SourceError
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.readers.transfer import LocalFile, copy_blocks, file_name, refuse_large, safe_label

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


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
        SourceError: the server says that there is nothing to read.
        ServiceUnavailableError: it does not answer.
    """
    _require_safe(address)
    label = safe_label(address)
    request = urllib.request.Request(address, method=method)  # noqa: S310  the scheme was checked
    opener = urllib.request.build_opener(_SameSafety)
    try:
        return opener.open(request, timeout=limits.timeout_seconds)
    except ConfigError:
        raise
    except urllib.error.HTTPError as error:
        code = error.code
        error.close()
    except (OSError, ValueError) as error:
        raise ServiceUnavailableError(
            f"the server does not answer ({type(error).__name__}).",
            file=label,
            remedy="Check the address and the network.",
        ) from None
    if code >= 500 or code == 429:
        raise ServiceUnavailableError(
            f"the server answers with an error (HTTP {code}).", file=label, remedy="Try again later."
        )
    if code in {401, 403}:
        raise SourceError(
            f"the server refuses the file (HTTP {code}).",
            file=label,
            remedy="The link may have expired; make a fresh one.",
        )
    raise SourceError(f"the server has no such file (HTTP {code}).", file=label, remedy="Check the address.")


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
        except (OSError, http.client.HTTPException):
            received = -1
    if received < announced:
        raise ServiceUnavailableError("the download broke off.", file=label, remedy="Try again.")
    return LocalFile(target, name, label)


def web_version(address: str, limits: Limits) -> str | None:
    """What a server says about the version of a file (ETag, date, size), or None where it says nothing."""
    with _open(address, limits, "HEAD") as response:
        told = [response.headers.get(name) for name in ("ETag", "Last-Modified", "Content-Length")]
    return "\n".join(str(t) for t in told) if told[0] or told[1] else None
