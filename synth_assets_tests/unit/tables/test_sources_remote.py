"""Addresses: https (http on this machine), and S3; bounded, and with no secret of a signed link in a message."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from synth_assets.config.dataset import SourceConfig
from synth_assets.errors import (
    AccessRefusedError,
    ConfigError,
    LinkExpiredError,
    PrivateAddressError,
    ServiceUnavailableError,
    SourceError,
    TooLargeError,
)
from synth_assets.tables.readers import addresses
from synth_assets.tables.readers.fetch import safe_label
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.readers.web import is_over
from synth_assets.tables.sources import source_fingerprint

FILES = {
    "/t.csv": b"id,x\n1,00\n2,b\n",
    "/t.csv.gz": gzip.compress(b"id,x\n1,00\n2,b\n"),
    "/download": b'{"id":1,"x":"00"}\n{"id":2,"x":"b"}\n',
    "/large.csv": b"a,b\n" + b"1,2\n" * 2_000,
    "/page": b"<!DOCTYPE html><html>sign in</html>",
}
SECRET = "signature-canary"
EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"


@pytest.fixture(autouse=True)
def _this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test server is on this machine, which addresses may not lead to unless it is named."""
    monkeypatch.setenv("SYNTH_ASSETS_PRIVATE_HOSTS", "127.0.0.1")


class _Handler(BaseHTTPRequestHandler):
    """Files, status codes by path, redirects, and a body that breaks off."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/status/"):
            self.send_error(int(path.rsplit("/", 1)[1]))
        elif path == "/away":
            self._head(302, {"Location": f"http://files.example/t.csv?sig={SECRET}"})
        elif path == "/inside":
            self._head(302, {"Location": f"http://127.0.0.1:{self.server.server_address[1]}/t.csv?sig={SECRET}"})
        elif path == "/expired.csv":
            self._head(403, {"Content-Length": str(len(EXPIRED))})
            self.wfile.write(EXPIRED)
        elif path == "/moved":
            self._head(302, {"Location": "/t.csv"})
        elif path == "/broken.csv":
            self._head(200, {"Content-Length": "1000"})
            self.wfile.write(b"a,b\n1,2\n")
            self.close_connection = True
        elif path == "/unannounced.csv":
            self._head(200, {"Connection": "close"})
            self.wfile.write(FILES["/large.csv"])
            self.close_connection = True
        else:
            body = FILES.get(path)
            if body is None:
                self.send_error(404)
                return
            self._head(200, {"Content-Length": str(len(body)), "ETag": f'"{len(body)}"'})
            self.wfile.write(b"" if self.command == "HEAD" else body)

    do_HEAD = do_GET  # noqa: N815  the name that the library calls

    def _head(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": "0", **headers}.items():
            if not (name == "Content-Length" and headers.get("Connection")):
                self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["/t.csv", "/t.csv?sig=1", "/t.csv.gz", "/download", "/moved"])
def test_a_file_behind_an_address_is_read(read: Any, server: str, path: str) -> None:
    assert read.source(SourceConfig(path=server + path)).rows == [(1, "00"), (2, "b")]


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("/status/403", AccessRefusedError, "refuses the file .HTTP 403.*expired"),
        ("/expired.csv", LinkExpiredError, "link has expired .HTTP 403.*fresh link"),
        ("/status/404", SourceError, "no such file"),
        ("/status/410", SourceError, "no such file"),
        ("/status/500", ServiceUnavailableError, "HTTP 500"),
        ("/status/429", ServiceUnavailableError, "HTTP 429"),
        ("/large.csv", TooLargeError, "larger than"),
        ("/unannounced.csv", TooLargeError, "larger than"),
        ("/broken.csv", ServiceUnavailableError, "broke off"),
        ("/page", SourceError, "HTML page"),
        ("/away", ConfigError, "must start with https"),
    ],
)
def test_what_cannot_be_fetched_is_one_clear_error_without_the_links_secret(
    read: Any, server: str, small_limits: Limits, path: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        read.source(SourceConfig(path=f"{server}{path}?sig={SECRET}"), limits=small_limits)
    assert SECRET not in str(caught.value)
    assert not list((read.base / "out").iterdir())


def test_plain_http_is_refused_except_on_this_machine(read: Any) -> None:
    with pytest.raises(ConfigError, match="must start with https"):
        read.source(SourceConfig(path=f"http://files.example/t.csv?sig={SECRET}"))


def test_a_server_that_does_not_answer_is_unavailable(read: Any) -> None:
    with pytest.raises(ServiceUnavailableError, match="does not answer"):
        read.source(
            SourceConfig(path="http://127.0.0.1:9/t.csv"),
            limits=Limits(timeout_seconds=1, private_hosts=frozenset({"127.0.0.1"})),
        )


@pytest.mark.parametrize(
    "address",
    [
        "https://10.1.2.3/t.csv",
        "https://192.168.0.9/t.csv",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/t.csv",
        "https://0.0.0.0/t.csv",
        "https://224.0.0.1/t.csv",
        "https://2130706433/t.csv",
        "https://localhost/t.csv",
        "https://[::1]/t.csv",
        "https://[fd00::1]/t.csv",
        "https://[fe80::1]/t.csv",
        "https://[::ffff:10.0.0.1]/t.csv",
        "https://[64:ff9b::a00:1]/t.csv",
        "https://[2002:a00:1::]/t.csv",
        "http://127.0.0.1:9/t.csv",
    ],
)
def test_an_address_of_this_machine_or_a_private_network_is_refused(read: Any, address: str) -> None:
    with pytest.raises(PrivateAddressError, match="private network.*SYNTH_ASSETS_PRIVATE_HOSTS") as caught:
        read.source(SourceConfig(path=f"{address}?sig={SECRET}"), limits=Limits(timeout_seconds=3))
    assert SECRET not in str(caught.value)


def test_a_redirect_into_a_private_network_is_refused(read: Any, server: str) -> None:
    by_name = server.replace("127.0.0.1", "localhost")
    limits = Limits(timeout_seconds=3, private_hosts=frozenset({"localhost"}))
    assert read.source(SourceConfig(path=f"{by_name}/moved"), limits=limits).rows == [(1, "00"), (2, "b")]
    with pytest.raises(PrivateAddressError) as caught:
        read.source(SourceConfig(path=f"{by_name}/inside"), limits=limits)
    assert SECRET not in str(caught.value)


def test_private_hosts_are_allowed_by_name_and_by_network(
    read: Any, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for named in ("127.0.0.0/8", "files.example, LOCALHOST"):
        monkeypatch.setenv("SYNTH_ASSETS_PRIVATE_HOSTS", named)
        address = server.replace("127.0.0.1", "localhost") if "LOCAL" in named else server
        assert len(read.source(SourceConfig(path=f"{address}/t.csv")).rows) == 2
    monkeypatch.setenv("SYNTH_ASSETS_PRIVATE_HOSTS", "10.0.0.0/8")
    with pytest.raises(PrivateAddressError):
        source_fingerprint(SourceConfig(path=f"{server}/t.csv"), read.base)


def _answers(*hosts: str) -> list[tuple[Any, ...]]:
    return [(addresses.socket.AF_INET, addresses.socket.SOCK_STREAM, 6, "", (host, 443)) for host in hosts]


def test_a_name_is_resolved_once_and_the_checked_address_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, called = [], []

    class Socket:
        def __init__(self, *_: Any) -> None: ...
        def settimeout(self, _: float) -> None: ...
        def setsockopt(self, *_: int) -> None: ...
        def connect(self, where: tuple[str, int]) -> None:
            called.append(where)

    def resolve(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        asked.append(host)
        return _answers("93.184.216.34" if len(asked) == 1 else "127.0.0.1")

    monkeypatch.setattr(addresses.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(addresses.socket, "socket", Socket)
    addresses.guarded_connection(("rebinding.example", 443), 3.0, allowed=(), label="x")
    assert (asked, called) == (["rebinding.example"], [("93.184.216.34", 443)])
    with pytest.raises(PrivateAddressError):
        addresses.guarded_connection(("rebinding.example", 443), 3.0, allowed=(), label="x")
    assert len(called) == 1


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: _answers("93.184.216.34", "10.0.0.1"))
    with pytest.raises(PrivateAddressError):
        addresses.guarded_connection(("both.example", 443), allowed=(), label="x")


def test_a_proxy_of_the_environment_is_used_although_it_is_private(
    read: Any, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_PRIVATE_HOSTS", "")
    monkeypatch.setenv("http_proxy", server)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(SourceError, match="no such file"):  # the proxy answers: it knows no such path
        read.source(SourceConfig(path="http://localhost:1/t.csv"))


def _certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A server's context with a certificate for a name, which `folder/ca.pem` vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


@pytest.mark.parametrize(("name", "trusted"), [("localhost", True), ("localhost", False), ("other.example", True)])
def test_tls_is_checked_against_the_name_although_the_checked_address_is_called(
    read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, trusted: bool
) -> None:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.socket = _certificate(tmp_path, name).wrap_socket(httpd.socket, server_side=True)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    monkeypatch.setenv("SYNTH_ASSETS_PRIVATE_HOSTS", "localhost")
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    source = SourceConfig(path=f"https://localhost:{httpd.server_address[1]}/t.csv?sig={SECRET}")
    try:
        if name == "localhost" and trusted:
            assert read.source(source).rows == [(1, "00"), (2, "b")]
        else:
            with pytest.raises(ServiceUnavailableError, match="SSLCertVerificationError") as caught:
                read.source(source)
            assert SECRET not in str(caught.value)
    finally:
        httpd.shutdown()
        httpd.server_close()


@pytest.mark.parametrize(
    ("query", "over"),
    [
        ("X-Amz-Date=20260101T000000Z&X-Amz-Expires=3600", True),
        ("X-Amz-Date=20260101T000000Z&X-Amz-Expires=604800", False),
        ("X-Goog-Date=20260101T000000Z&X-Goog-Expires=60", True),
        ("Expires=1767225600", True),
        ("se=2026-01-01T01:00:00Z&sig=a", True),
        ("se=2027-01-01&sig=a", False),
        ("X-Amz-Date=yesterday&X-Amz-Expires=x", False),
        ("", False),
    ],
)
def test_a_signed_link_says_when_it_is_over(query: str, over: bool) -> None:
    assert is_over(f"https://h.example/t.csv?{query}", datetime(2026, 1, 2, tzinfo=UTC)) is over


@pytest.mark.parametrize(("told", "size"), [("500MB", 500 * 1024**2), ("2 gb", 2 * 1024**3)])
def test_the_limit_on_downloads_is_of_the_environment(monkeypatch: pytest.MonkeyPatch, told: str, size: int) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_DOWNLOAD_LIMIT", told)
    assert Limits.from_environment().download_bytes == size
    assert Limits.from_environment().expanded_bytes == 2.5 * size


@pytest.mark.parametrize("told", ["much", "0MB", "5", "-1GB"])
def test_a_limit_that_is_no_size_is_refused(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv("SYNTH_ASSETS_DOWNLOAD_LIMIT", told)
    with pytest.raises(ConfigError, match="SYNTH_ASSETS_DOWNLOAD_LIMIT"):
        Limits.from_environment()


def test_a_label_of_an_address_keeps_host_and_path_only() -> None:
    assert (
        safe_label(f"https://user:{SECRET}@h.example:444/a%20b.csv?X={SECRET}#{SECRET}")
        == "https://h.example:444/a%20b.csv"
    )


def test_the_fingerprint_of_an_address_is_what_the_server_says(server: str, read: Any) -> None:
    first = source_fingerprint(SourceConfig(path=f"{server}/t.csv?sig=1"), read.base)
    assert source_fingerprint(SourceConfig(path=f"{server}/t.csv?sig=2"), read.base) == first
    assert source_fingerprint(SourceConfig(path=f"{server}/t.csv.gz"), read.base) != first


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    moto = pytest.importorskip("moto", reason="moto is not installed")
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with moto.mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="clinic")
        yield client


def test_s3_objects_and_prefixes_are_read(read: Any, bucket: Any) -> None:
    bucket.put_object(Bucket="clinic", Key="in/a.csv", Body=b"id,x\n1,00\n")
    bucket.put_object(Bucket="clinic", Key="in/b.csv", Body=b"id,x\n2,b\n")
    bucket.put_object(Bucket="clinic", Key="in/_SUCCESS", Body=b"")
    assert read.source(SourceConfig(path="s3://clinic/in/a.csv")).rows == [(1, "00")]
    assert read.source(SourceConfig(path="s3://clinic/in/")).rows == [(1, "00"), (2, "b")]
    first = source_fingerprint(SourceConfig(path="s3://clinic/in/"), read.base)
    bucket.put_object(Bucket="clinic", Key="in/b.csv", Body=b"id,x\n2,c\n")
    assert source_fingerprint(SourceConfig(path="s3://clinic/in/"), read.base) != first


def test_s3_patterns_and_long_listings_are_read(read: Any, bucket: Any) -> None:
    for number in range(1_005):
        bucket.put_object(Bucket="clinic", Key=f"in/{number:04d}.txt", Body=b"")
    bucket.put_object(Bucket="clinic", Key="in/z/9.csv", Body=b"id,x\n9,z\n")
    bucket.put_object(Bucket="clinic", Key="in/z1.csv", Body=b"id,x\n1,00\n")
    bucket.put_object(Bucket="clinic", Key="in/z2.csv", Body=b"id,x\n2,b\n")
    assert read.source(SourceConfig(path="s3://clinic/in/z*.csv")).rows == [(1, "00"), (2, "b")]
    with pytest.raises(SourceError, match="folders of their own"):
        read.source(SourceConfig(path="s3://clinic/in/"))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("s3://clinic/gone.csv", "no such object"),
        ("s3://nobody/x.csv", "no such object"),
        ("s3://clinic/empty/", "no object"),
    ],
)
def test_s3_addresses_without_an_object_are_refused(read: Any, bucket: Any, path: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read.source(SourceConfig(path=path))


def test_an_s3_object_beyond_the_limit_is_not_downloaded(read: Any, bucket: Any, small_limits: Limits) -> None:
    bucket.put_object(Bucket="clinic", Key="a.csv", Body=FILES["/large.csv"])
    with pytest.raises(SourceError, match="larger than"):
        read.source(SourceConfig(path="s3://clinic/a.csv"), limits=small_limits)


def test_s3_without_credentials_is_unavailable(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(read.base / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(read.base / "none"))
    with pytest.raises(ServiceUnavailableError, match="cannot be reached"):
        read.source(SourceConfig(path="s3://clinic/a.csv"), limits=Limits(timeout_seconds=1))
