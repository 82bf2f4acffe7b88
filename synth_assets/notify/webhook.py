"""One POST to a webhook: JSON, signed with HMAC-SHA256 over timestamp and body, with an idempotency key. Redirects are not followed."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import urllib.error
import urllib.request
from collections.abc import Collection
from typing import Any

from synth_assets.errors import InputError, PrivateAddressError, ServiceUnavailableError
from synth_assets.tables.readers.addresses import Guarded

TIMEOUT_SECONDS = 10.0
_TRY_LATER = frozenset({408, 425, 429})


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        """A signed body goes where the configuration says and nowhere else."""
        del req, fp, code, msg, headers, newurl


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """`v1=` and the hex digits of HMAC-SHA256 over `<timestamp>.<body>`; a receiver compares in constant time and refuses old ones."""
    return "v1=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def post(address: str, secret: str, body: bytes, *, key: str, timestamp: int, private_hosts: Collection[str]) -> None:
    """Post one notification.

    Args:
        address: The webhook.
        secret: Signs.
        body: JSON.
        key: Idempotency key; the same at every attempt.
        timestamp: Seconds since the epoch.
        private_hosts: Hosts and networks of one's own that may be reached.

    Raises:
        InputError: the receiver refuses the message, or the address leads to a private host; trying again does not help.
        ServiceUnavailableError: the receiver does not answer; try again later.
    """
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        "X-Synth-Assets-Timestamp": str(timestamp),
        "X-Synth-Assets-Signature": signature(secret, timestamp, body),
    }
    request = urllib.request.Request(address, body, headers, method="POST")  # noqa: S310  checked by the configuration
    opener = urllib.request.build_opener(_NoRedirects, Guarded(private_hosts, "the webhook"))
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS):
            return
    except PrivateAddressError as error:
        raise error from None
    except urllib.error.HTTPError as error:
        code = error.code
        error.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ServiceUnavailableError(f"the webhook does not answer ({type(error).__name__}).") from None
    if code >= 500 or code in _TRY_LATER:
        raise ServiceUnavailableError(f"the webhook answers with an error (HTTP {code}).")
    raise InputError(f"the webhook refuses the message (HTTP {code}).", remedy="Check its address and its secret.")
