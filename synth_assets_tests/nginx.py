"""The proxy of the deployment folder, run by nginx as it stands: TLS with a certificate of its own, and addresses of this machine."""

from __future__ import annotations

import datetime as dt
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "deploy" / "helm" / "proxy" / "nginx.conf"
COMPOSE_PLACES = ROOT / "deploy" / "places.conf"
MISSING = "nginx is not installed"


@dataclass(frozen=True)
class Proxy:
    """Where it listens, and what its certificate is signed by."""

    port: int
    authority: Path

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def certificate(folder: Path) -> Path:
    """`tls.crt` and `tls.key` of 127.0.0.1, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "proxy of a test")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir()
    (folder / "tls.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "tls.crt"


@contextmanager
def running(folder: Path, places: str, addresses: Mapping[str, int]) -> Iterator[Proxy]:
    """The proxy, with nothing of its file changed but ports and folders.

    Args:
        folder: For its files.
        places: Its places.conf.
        addresses: Address in places.conf -> port on this machine in its place.
    """
    outer, inner = free_port(), free_port()
    rules = RULES.read_text()
    for old, new in (
        (" /tmp/", f" {folder}/"),  # first: the folder may lie below /tmp
        ("listen 8443 ssl", f"listen 127.0.0.1:{outer} ssl"), ("127.0.0.1:8081", f"127.0.0.1:{inner}"),
        ("/run/tls/", f"{folder}/tls/"),
    ):  # fmt: skip
        assert old in rules
        rules = rules.replace(old, new)
    for name, port in addresses.items():
        assert name in places
        places = places.replace(name, f"127.0.0.1:{port}")
    places = "\n".join(line for line in places.splitlines() if not line.startswith("resolver "))  # no Docker here
    (folder / "nginx.conf").write_text(rules)
    (folder / "places.conf").write_text(places)
    authority = certificate(folder / "tls")
    command = [str(NGINX), "-p", str(folder), "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as child:
        try:
            for _ in range(200):
                with socket.socket() as trial:
                    if child.poll() is not None or trial.connect_ex(("127.0.0.1", outer)) == 0:
                        break
                time.sleep(0.05)
            assert child.poll() is None, (folder / "log").read_text()
            yield Proxy(outer, authority)
        finally:
            child.terminate()
