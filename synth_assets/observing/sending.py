"""One POST within a time limit. Redirects are not followed: a token goes where the configuration says and nowhere else."""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping

from synth_assets.errors import InputError, ServiceUnavailableError, SynthAssetsError, withhold_values

LIMIT_SECONDS = 3.0
_MOST_BYTES = 1 << 16


def post(address: str, body: bytes, headers: Mapping[str, str], *, receiver: str) -> bytes:
    """Post and wait for the answer, at most `LIMIT_SECONDS` in all: a name that does not resolve and a slow answer count.

    Args:
        address: Where to; checked by the configuration.
        body: What.
        headers: With what.
        receiver: Its name, for messages.

    Returns:
        The beginning of the answer.

    Raises:
        ServiceUnavailableError: it does not answer in time, or answers with an error of its own.
        InputError: it refuses.
    """
    request = urllib.request.Request(address, body, dict(headers), method="POST")  # noqa: S310  checked by the configuration
    ended: list[bytes | SynthAssetsError] = []

    def work() -> None:
        try:
            with withhold_values(f"the request to {receiver}"):
                ended.append(_answer(request, receiver))
        except SynthAssetsError as error:
            ended.append(error)

    thread = threading.Thread(target=work, name=f"synth_assets {receiver}", daemon=True)
    thread.start()
    thread.join(LIMIT_SECONDS)
    if not ended:
        raise ServiceUnavailableError(f"{receiver} does not answer within {LIMIT_SECONDS:g} seconds.")
    if isinstance(ended[0], SynthAssetsError):
        raise ended[0]
    return ended[0]


def _answer(request: urllib.request.Request, receiver: str) -> bytes:
    try:
        with _opener().open(request, timeout=LIMIT_SECONDS) as answer:
            return bytes(answer.read(_MOST_BYTES))
    except urllib.error.HTTPError as error:
        code = error.code
        error.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ServiceUnavailableError(f"{receiver} does not answer ({type(error).__name__}).") from None
    if code >= 500 or code in {408, 429}:
        raise ServiceUnavailableError(f"{receiver} answers with an error (HTTP {code}).")
    raise InputError(f"{receiver} refuses what it is told (HTTP {code}).", remedy="Check its address and its key.")


def _opener() -> urllib.request.OpenerDirector:
    """The proxies of the environment and TLS, and no handler of redirects."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
