"""Fixtures and settings that every suite shares."""

from __future__ import annotations

import functools
import logging
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("TZ", "UTC")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers of a run would wait for each other's threads
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault(
    "SYNTH_ASSETS_AUDIT_REPETITIONS", "10000"
)  # a release takes a million; the attack has its own tests

MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30  # noqa: S108  pytest makes folders of mode 0700 in it
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))  # a sync of the disk waits for other work on it

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # below a shell in the background; Dagster copies it to SIGTERM,
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and then nothing that a test starts could be ended

settings.register_profile(
    "ci", derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("nightly", deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


STARTED_IN = Path.cwd()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """No file of tests leaves the process in another folder: a command changes into its home."""
    try:
        return (yield)
    finally:
        if nextitem is None or nextitem.path != item.path:
            os.chdir(STARTED_IN)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are no names: compressed ones hold the time, and parallel workers must collect the same tests."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the public tables for tests and benchmarks; a test that asks for it skips where it is not there."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SYNTH_ASSETS_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("the public test tables are not on this machine (SYNTH_ASSETS_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a throw-away PostgreSQL server of this test session; skips where there is no server binary to start."""
    initdb, pg_ctl = _postgres_binary("initdb"), _postgres_binary("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("no PostgreSQL server binaries on this machine (initdb, pg_ctl)")
    as_postgres: list[str] = []
    folder = tmp_path_factory.mktemp("postgres")
    if os.geteuid() == 0:  # the server refuses to run as root
        if shutil.which("runuser") is None or not _has_user("postgres"):
            pytest.skip("PostgreSQL refuses to run as root, and there is no user `postgres` to run it as")
        as_postgres = ["runuser", "-u", "postgres", "--"]
        folder = Path(
            tempfile.mkdtemp(prefix="synth_assets_postgres_")
        )  # pytest's own folders are closed to other users
        shutil.chown(folder, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, log = folder / "data", folder / "log"
    run = functools.partial(subprocess.run, check=True, capture_output=True, cwd="/", timeout=120)
    run([*as_postgres, initdb, "-D", str(data), "-U", "tester", "--auth=trust", "--no-sync", "-E", "UTF8"])
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run([*as_postgres, pg_ctl, "-D", str(data), "-l", str(log), "-w", "-o", options, "start"], stdin=subprocess.DEVNULL)
    try:
        yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    finally:
        run([*as_postgres, pg_ctl, "-D", str(data), "-m", "immediate", "stop"])
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of an empty database of its own on the throw-away server."""
    import sqlalchemy

    name = f"test_{uuid.uuid4().hex[:12]}"
    server = postgres_server.replace("postgresql://", "postgresql+psycopg2://")
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name} STRATEGY FILE_COPY"))
    yield postgres_server.rsplit("/", 1)[0] + "/" + name
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of an S3 service over HTTP on this machine, in this process (moto)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from moto.server import ThreadedMotoServer
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bucket of its own on that service, which the environment names; a client is `s3_bucket.client`, its name `s3_bucket.name`."""
    from types import SimpleNamespace

    from synth_assets.storage.s3_options import S3Options

    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-of-the-secret-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("SYNTH_ASSETS_S3_ENDPOINT", s3_server)
    made = SimpleNamespace(name=f"test-{uuid.uuid4().hex[:12]}", client=S3Options.from_environment().client())
    made.client.create_bucket(Bucket=made.name)
    return made


def _postgres_binary(name: str) -> str | None:
    """On the path, else where Debian puts the newest version."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
