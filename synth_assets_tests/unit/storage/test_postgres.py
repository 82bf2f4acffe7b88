"""URLs of PostgreSQL servers: TLS to other machines, clear errors, no password in any of them."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError

from synth_assets.config.runtime import Settings
from synth_assets.errors import ConfigError, ServiceUnavailableError
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.storage import postgres
from synth_assets.storage.postgres import connected, postgres_url

REMOTE = "postgresql://user:hunter2@db.example.org:5432/clinic"


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_server_elsewhere_is_reached_with_tls(mode):
    url = postgres_url(f"{REMOTE}?sslmode={mode}", "X")
    assert url.drivername == "postgresql+psycopg2" and url.password == "hunter2"


@pytest.mark.parametrize("query", ["", "?sslmode=disable", "?sslmode=allow", "?sslmode=prefer"])
def test_a_server_elsewhere_without_tls_is_refused(query):
    with pytest.raises(ConfigError, match=r"X leads to another machine \(db.example.org\) without TLS") as raised:
        postgres_url(REMOTE + query, "X")
    assert "sslmode=verify-full" in str(raised.value) and "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@/d?host=127.0.0.1,db.example.org",
        "postgresql://u@/d?hostaddr=10.0.0.3",
        "postgresql://u@[2001:db8::1]:5432/d",
    ],
)
def test_no_way_of_naming_another_machine_is_overlooked(url):
    with pytest.raises(ConfigError, match="another machine"):
        postgres_url(url, "X")


def test_a_server_that_libpq_takes_from_the_environment_counts_too(monkeypatch):
    monkeypatch.setenv("PGHOST", "db.example.org")
    with pytest.raises(ConfigError, match="another machine"):
        postgres_url("postgresql://u@/d", "X")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert postgres_url("postgresql://u@/d", "X").database == "d"


@pytest.mark.parametrize(
    "place",
    ["localhost/d", "127.0.0.1:5433/d", "127.8.8.8/d", "[::1]:5432/d", "/d", "/d?host=/run/postgresql", "LOCALHOST/d"],
)
def test_this_machine_needs_no_tls(place):
    assert postgres_url(f"postgres://u:p@{place}", "X").drivername == "postgresql+psycopg2"


def test_a_host_that_is_allowed_by_name_needs_no_tls(monkeypatch):
    monkeypatch.setenv("SYNTH_ASSETS_PLAINTEXT_HOSTS", "postgres,db.example.org")
    assert postgres_url(REMOTE, "X").host == "db.example.org"


@pytest.mark.parametrize("variable", ["SYNTH_ASSETS_POSTGRES_URL", "SYNTH_ASSETS_VAULT_URL"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (REMOTE, "without TLS"),
        ("mysql://u:hunter2@localhost/d", "is not the URL of a PostgreSQL server"),
        ("hunter2", "is no database URL"),
        ("postgresql://u:hunter2@localhost:port/d", "is no database URL"),
    ],
)
def test_a_malformed_variable_fails_when_settings_are_read(tmp_path, monkeypatch, variable, value, message):
    monkeypatch.setenv(variable, value)
    with pytest.raises(
        ConfigError, match=f"the environment variable {variable} {message}|{variable} leads.*{message}"
    ) as raised:
        Settings.from_environment(tmp_path)
    assert "hunter2" not in str(raised.value)


def test_a_ledger_elsewhere_without_tls_is_refused_before_any_connection():
    with pytest.raises(ConfigError, match="without TLS"):
        open_ledger_store(REMOTE)


def test_a_connection_that_breaks_off_is_opened_once_more(monkeypatch):
    monkeypatch.setattr(postgres, "_RETRY_SECONDS", 0)
    tried = []

    def connect(failures):
        tried.append(1)
        if len(tried) <= failures:
            raise OperationalError("", None, Exception())
        return "connection"

    assert connected(lambda: connect(1), (OperationalError,)) == "connection"
    tried.clear()
    with pytest.raises(OperationalError):
        connected(lambda: connect(2), (OperationalError,))
    assert len(tried) == 2


@pytest.mark.postgres
def test_a_server_that_ends_a_connection_is_exit_code_5_and_the_next_transaction_works(postgres_url):
    from sqlalchemy import text

    store = open_ledger_store(postgres_url)
    with pytest.raises(ServiceUnavailableError, match="does not answer") as raised, store.writing("x") as connection:
        connection.execute(text("CREATE TABLE half (a INT)"))
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert raised.value.exit_code == 5
    with store.writing("x") as connection:
        assert connection.execute(text("SELECT to_regclass('half')")).scalar() is None
