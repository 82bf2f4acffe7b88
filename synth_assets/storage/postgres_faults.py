"""Why a PostgreSQL server refuses, in our own words: login, database, right, TLS, host.

What belongs here: telling these apart. What does not: the server's text, which may quote a password or a value. It is looked at and
never kept, since the driver gives no SQLSTATE for a connection that was not made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


_DEEPEST = 10  # exceptions around the driver's


class Refusal(NamedTuple):
    """Why, and what to do.

    Attributes:
        what: About the server, a sentence without its subject: "refuses the login of user 'synth'".
        remedy: What to do.
    """

    what: str
    remedy: str


_STATES = {  # SQLSTATE, or the beginning of one
    "28": "login", "3D000": "database", "42501": "right", "53300": "crowded", "53100": "full", "25006": "read_only",
    "57P": "away", "08": "away", "55P03": "locked", "40": "locked",
}  # fmt: skip
_OF_LIBPQ = {  # its own words, which are English in every locale of the server
    "no password supplied": "login", "does not support SSL": "plain", "certificate": "certificate", "SSL error": "certificate",
    "could not translate host name": "name", "timeout expired": "silent",
}  # fmt: skip
_OF_SERVER = {  # after FATAL; a server of another language is told by the names that it quotes
    "no encryption": "encryption", "SSL off": "encryption", "pg_hba.conf": "rule", "permission denied": "right",
    "too many": "crowded", "connection slots": "crowded", "starting up": "away", "shutting down": "away",
    "authentication failed": "login", "not permitted to log in": "login", "role": "login",
}  # fmt: skip


def refusal(error: BaseException, url: URL, *, names: bool = True) -> Refusal:
    """Why a server refused.

    Args:
        error: Of the driver, or of SQLAlchemy or Dagster around it.
        url: Where the connection led.
        names: Whether user, host, port and database may be named; a password never is.
    """
    from sqlalchemy.engine import make_url

    driver = _of_driver(error)
    state = getattr(driver, "pgcode", None)
    kind = _by_state(state) if state else _by_text(str(driver), url)
    code = f"SQLSTATE {state}" if state else type(getattr(error, "orig", None) or error).__name__
    return _words(kind, url, code) if names else _words(kind, make_url(f"{url.drivername}://"), code)


def _of_driver(error: BaseException) -> BaseException:
    """The driver's own exception inside of the ones around it."""
    found: BaseException | None = error
    for _ in range(_DEEPEST):
        if found is None:
            break
        if type(found).__module__.partition(".")[0] == "psycopg2":
            return found
        found = getattr(found, "orig", None) or found.__cause__ or found.__context__
    return error


def _by_state(state: str) -> str:
    return next((kind for start, kind in _STATES.items() if state.startswith(start)), "statement")


def _by_text(text: str, url: URL) -> str:
    _, fatal, said = text.rpartition("FATAL")
    if not fatal:
        return next((kind for words, kind in _OF_LIBPQ.items() if words in text), "unreachable")
    if "database" in said and "does not exist" in said:
        return "database"
    found = next((kind for words, kind in _OF_SERVER.items() if words in said), None)
    if found is not None:
        return found
    user, database = (name is not None and name in said for name in (url.username, url.database))
    return {(True, False): "login", (False, True): "database", (True, True): "rule"}.get((user, database), "other")


def _words(kind: str, url: URL, code: str) -> Refusal:
    login = "the login" if url.username is None else f"the login of user {url.username!r}"
    database = "the database" if url.database is None else f"the database {url.database!r}"
    place = "" if url.host is None else f" at {url.host}:{url.port or 5432}"
    known = {
        "login": (f"refuses {login}", "Check user and password in the URL (or PGPASSWORD, .pgpass), with psql."),
        "rule": (
            f"refuses {login} from this machine",
            "Allow it in the server's pg_hba.conf, or check user and database in the URL.",
        ),
        "encryption": (
            f"refuses {login} without TLS",
            "Add ?sslmode=verify-full (or verify-ca, require) to the URL, or allow it in the server's pg_hba.conf.",
        ),
        "plain": (f"has no TLS{place}, which the URL demands", "Turn `ssl` on at the server."),
        "certificate": (
            f"has no certificate{place} that this machine trusts",
            "Name its authority with sslrootcert= in the URL, and the host as the certificate has it.",
        ),
        "database": (
            f"does not have {database}, or closes it to this login",
            "Check the name in the URL, or make it with createdb; tables are made on first use.",
        ),
        "right": (
            f"does not give {login} the right to do this in {database}",
            "Give it CONNECT on the database, and USAGE and CREATE on its schema, or make it the owner.",
        ),
        "crowded": ("has no connection left", "Raise its max_connections, or end other connections; then run again."),
        "full": ("has no room left on its disk", "Make room there; then run again."),
        "read_only": ("only reads: it is a standby", "Name the primary server in the URL."),
        "locked": ("does not answer: somebody else holds what is asked for", "Run again when the other program has ended."),
        "statement": ("refused a statement", "The server's log says why."),
        "away": ("does not answer: it starts, stops, or was cut off", "Run again: what was finished is used again."),
        "name": (f"does not answer{place}: no such host", "Check the host in the URL, and the name server."),
        "silent": (f"does not answer{place} in time", "Check host and port in the URL, and firewalls between."),
        "unreachable": (f"does not answer{place}", "Check that it runs, and host and port in the URL."),
    }  # fmt: skip
    what, remedy = known.get(
        kind, ("does not answer as expected", "Check login, database and rights with psql; the server's log says more.")
    )
    return Refusal(f"{what} ({code})", remedy)
