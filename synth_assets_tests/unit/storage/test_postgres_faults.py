"""Why a server refuses is told apart: login, right, database, TLS, host; no text of the server and no password is in any message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from synth_assets.cli.app import run
from synth_assets.errors import ServiceUnavailableError
from synth_assets.instance_storage import EnvironmentStorage, storage_answers
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.ledger.chain import HashChain
from synth_assets.storage.lease_postgres import PostgresPlace
from synth_assets.storage.postgres_faults import refusal

SECRET = "hunter2"
RULES = (
    "host all asked 127.0.0.1/32 scram-sha-256",
    "hostnossl all only_tls 127.0.0.1/32 reject",
)


@pytest.fixture
def strict(postgres_url: str) -> Iterator[str]:
    """A server with users that it asks for a password, takes by TLS only, gives no right, or shuts out of a database."""
    engine = sa.create_engine(
        postgres_url.replace("postgresql://", "postgresql+psycopg2://"),
        isolation_level="AUTOCOMMIT",
        poolclass=sa.NullPool,
    )
    database = make_url(postgres_url).database
    with engine.connect() as connection:
        rules = Path(str(connection.exec_driver_sql("SHOW hba_file").scalar()))
        before = rules.read_text()
        rules.write_text("\n".join([*RULES, before]))
        for user in ("asked", "only_tls", "without_rights"):
            connection.exec_driver_sql(f"CREATE ROLE {user} LOGIN PASSWORD '{SECRET}'")
        connection.exec_driver_sql(f"CREATE DATABASE {database}_shut")
        connection.exec_driver_sql(f"REVOKE CONNECT ON DATABASE {database}_shut FROM PUBLIC")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    yield postgres_url
    rules.write_text(before)
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_reload_conf()")
        connection.exec_driver_sql(f"DROP DATABASE {database}_shut WITH (FORCE)")
        for user in ("asked", "only_tls", "without_rights"):
            connection.exec_driver_sql(f"DROP ROLE {user}")


CASES = [
    ("asked", "wrong-" + SECRET, "", "", "refuses the login of user 'asked'", "Check user and password"),
    ("asked", "", "", "", "refuses the login of user 'asked'", "Check user and password"),
    ("nobody", SECRET, "", "", "refuses the login of user 'nobody'", "Check user and password"),
    ("only_tls", SECRET, "", "", "refuses the login of user 'only_tls' without TLS", "sslmode=verify-full"),
    ("tester", SECRET, "", "?sslmode=require", "which the URL demands", "Turn `ssl` on"),
    ("tester", SECRET, "_gone", "", "does not have the database '", "make it with createdb"),
    ("without_rights", SECRET, "_shut", "", "does not give the login of user 'without_rights' the right", "CONNECT"),
]


@pytest.mark.postgres
@pytest.mark.parametrize(("user", "password", "database", "query", "words", "remedy"), CASES)
def test_what_a_server_refuses_is_told_apart(
    strict: str, user: str, password: str, database: str, query: str, words: str, remedy: str
) -> None:
    url = make_url(strict)
    asked = url.set(username=user, password=password or None, database=f"{url.database}{database}")
    location = asked.render_as_string(hide_password=False) + query
    for opening in (lambda: open_ledger_store(location), lambda: PostgresPlace(location).read("people")):
        with pytest.raises(ServiceUnavailableError) as refused:
            opening()
        assert words in refused.value.message
        assert remedy in str(refused.value.remedy)
        assert SECRET not in str(refused.value)
        assert "FATAL" not in str(refused.value)
        assert refused.value.__suppress_context__


@pytest.mark.postgres
def test_a_login_that_may_not_make_tables_is_told_what_it_needs(strict: str) -> None:
    store = open_ledger_store(make_url(strict).set(username="without_rights").render_as_string())
    with pytest.raises(
        ServiceUnavailableError, match=r"the right to do this in the database .* \(SQLSTATE 42501\)"
    ) as refused:
        HashChain(store, "audit")
    assert "CREATE on its schema" in str(refused.value.remedy)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"postgresql://u:{SECRET}@127.0.0.1:1/d", "does not answer at 127.0.0.1:1 (OperationalError)"),
        (
            f"postgresql://u:{SECRET}@nowhere.invalid/d?sslmode=require",
            "does not answer at nowhere.invalid:5432: no such host",
        ),
    ],
)
def test_a_host_that_is_not_there_is_named_with_its_port(url: str, words: str) -> None:
    with pytest.raises(ServiceUnavailableError) as refused:
        open_ledger_store(url)
    assert words in refused.value.message
    assert SECRET not in str(refused.value)


@pytest.mark.postgres
def test_commands_and_the_history_of_runs_say_it_too(
    strict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = make_url(strict).set(username="asked", password="wrong-" + SECRET).render_as_string(hide_password=False)
    monkeypatch.setenv("SYNTH_ASSETS_POSTGRES_URL", wrong)
    assert run(["verify", "--home", str(tmp_path)]) == 5
    said = " ".join(capsys.readouterr().err.split())
    assert "refuses the login of user 'asked'" in said
    assert SECRET not in said
    with pytest.raises(ServiceUnavailableError) as refused, storage_answers():
        EnvironmentStorage.from_config_value(None, {"base_dir": str(tmp_path)}).run_storage.get_runs_count()  # type: ignore[attr-defined]
    assert "Dagster's PostgreSQL server refuses the login of user 'asked'" in str(refused.value)
    assert SECRET not in str(refused.value)


PREFIX = 'connection to server at "db" (10.0.0.1), port 5432 failed: '


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FATAL:  Passwort-Authentifizierung für Benutzer »synth« fehlgeschlagen", "refuses the login of user 'synth'"),
        ("FATAL:  Datenbank »clinic« existiert nicht", "does not have the database 'clinic'"),
        (
            "FATAL:  kein pg_hba.conf-Eintrag für Host »10.0.0.2«, Benutzer »synth«, Datenbank »clinic«",
            "from this machine",
        ),
        ("FATAL:  etwas anderes", "does not answer as expected"),
        ('root certificate file "/root/.postgresql/root.crt" does not exist', "has no certificate at db:5432"),
        ("FATAL:  sorry, too many clients already", "has no connection left"),
        ("FATAL:  the database system is starting up", "does not answer: it starts"),
        ("timeout expired", "does not answer at db:5432 in time"),
    ],
)
def test_a_server_of_another_language_is_told_by_the_names_that_it_quotes(text: str, words: str) -> None:
    url = make_url(f"postgresql://synth:{SECRET}@db/clinic")
    error = OperationalError("", None, psycopg2.OperationalError(PREFIX + text))
    found = refusal(error, url)
    assert words in found.what
    without = refusal(error, url, names=False)
    assert not [name for name in ("synth", "clinic", "db:", SECRET) if name in " ".join(without)]
