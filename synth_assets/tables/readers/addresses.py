"""Where an address may lead: a request must not reach what only this machine can (server-side request forgery).

The host is resolved once, every address that it has is checked, and the connection goes to a checked one. So a name that answers
differently the second time, or a redirect, leads nowhere else.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import urllib.request
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from synth_assets.errors import PrivateAddressError

ALLOWED_VARIABLE = "SYNTH_ASSETS_PRIVATE_HOSTS"
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet; one inside an IPv6 address (mapped, 6to4, Teredo, NAT64) counts too."""
    inner = _embedded(address)
    return address.is_global and not address.is_multicast if inner is None else is_public(inner)


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def is_allowed(host: str, address: Address, allowed: Collection[str]) -> bool:
    """Whether a connection may be made: to a public address, to an allowed host, or into an allowed network."""
    return is_public(address) or host.lower() in allowed or any(address in network for network in _networks(allowed))


def _networks(allowed: Collection[str]) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for entry in allowed:
        try:
            yield ipaddress.ip_network(entry, strict=False)
        except ValueError:
            continue  # a name


def guarded_connection(
    place: tuple[str, int], timeout: float | None = None, source: Any = None, *, allowed: Collection[str], label: str
) -> socket.socket:
    """Connect as `socket.create_connection` does, but to checked addresses only.

    Args:
        place: Host and port.
        timeout: Seconds.
        source: Own address and port to connect from.
        allowed: Host names and networks that may be private.
        label: How messages name the address.

    Raises:
        PrivateAddressError: one of the host's addresses is not public, and the host is not allowed.
        OSError: the host is not known or does not answer.
    """
    host, port = place
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not all(is_allowed(host, _address(where), allowed) for *_, where in found):
        raise PrivateAddressError(
            "the address leads to this machine or into a private network.",
            file=label,
            remedy=f"Give a public address. Where this one is meant, name its host in {ALLOWED_VARIABLE}.",
        )
    for family, kind, protocol, _, where in found:
        try:
            return _connected(socket.socket(family, kind, protocol), where, timeout, source)
        except OSError as error:
            failed = error
    raise failed


def _address(where: tuple[Any, ...]) -> Address:
    return ipaddress.ip_address(str(where[0]).partition("%")[0])  # without the zone of a link-local address


def _connected(made: socket.socket, where: Any, timeout: float | None, source: Any) -> socket.socket:
    try:
        made.settimeout(timeout)
        if source:
            made.bind(source)
        made.connect(where)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        made.close()
        raise
    return made


class _Plain(http.client.HTTPConnection):
    """A connection whose host is checked."""

    def __init__(self, host: str, *, dial: Any, **options: Any) -> None:
        super().__init__(host, **options)
        self._create_connection = dial


class _Tls(http.client.HTTPSConnection):
    """The same over TLS; the certificate is that of the host's name."""

    def __init__(self, host: str, *, dial: Any, **options: Any) -> None:
        super().__init__(host, **options)
        self._create_connection = dial


class Guarded(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Opens http and https addresses through `guarded_connection`, also behind redirects.

    A proxy that the environment names resolves hosts itself: what may be reached through it, it decides.

    Args:
        allowed: Host names and networks that may be private.
        label: How messages name the address that was asked for.
    """

    def __init__(self, allowed: Collection[str], label: str) -> None:
        self._tls = ssl.create_default_context()
        super().__init__(context=self._tls)
        self._dial = partial(guarded_connection, allowed=allowed, label=label)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open an http address."""
        if _by_proxy(req):
            return self.do_open(http.client.HTTPConnection, req)
        return self.do_open(partial(_Plain, dial=self._dial), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open an https address."""
        if _by_proxy(req):
            return self.do_open(http.client.HTTPSConnection, req, context=self._tls)
        return self.do_open(partial(_Tls, dial=self._dial), req, context=self._tls)


def _by_proxy(request: urllib.request.Request) -> bool:
    return bool(request.host != urlsplit(request.full_url).netloc)
