"""The whole chain with nothing but keys on this machine: history, ledgers, vault, source and target in PostgreSQL, zones and logs in S3."""

from __future__ import annotations

import csv
import io
import json
import urllib.request
import zlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from synth_assets.api.ledgers import Filter, entries
from synth_assets.cli.app import run as command
from synth_assets.config.runtime import Settings
from synth_assets.ledger.backends import open_ledger_store
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.masking.vault import TokenVault
from synth_assets.privacy.budget_view import BudgetView
from synth_assets.storage.postgres import postgres_url as checked
from synth_assets_tests import chain
from synth_assets_tests.guards import canaries

pytestmark = pytest.mark.postgres

PASSWORD = "canary-of-the-password"
ZONES = ("restricted", "masked", "release")
CONFIG: dict[str, Any] = {
    "name": "town",
    "source": {"url": "${SOURCE_URL}", "table": "people"},
    "primary_key": "person_id",
    "unit": "person_id",
    "holdout": 0.45,
    "target": "ill",
    "columns": {
        "sex": {"kind": "category", "categories": ["F", "M"]},
        "bmi": {"kind": "number", "lower": 10, "upper": 60},
        "ill": {"kind": "category", "categories": ["0", "1"]},
        "mrn": {"action": "tokenise"},
    },
    "synthesizers": [{"name": "dp_marginals", "epsilon": 3}],
    "thresholds": {"privacy_risk": "high"},
    "exports": ["csv"],
    "deliveries": {"warehouse": {"database": "WAREHOUSE_URL", "schema_name": "synthetic"}},
}


@pytest.fixture
def servers(postgres_url: str, s3_bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An environment in which everything that can is on a server, with the canaries in a table of the source."""
    canaries.write_tables(tmp_path / "source")
    engine = sa.create_engine(checked(postgres_url, "X"), poolclass=sa.NullPool)
    with engine.begin() as connection, (tmp_path / "source" / "people.csv").open() as rows:
        head = rows.readline().strip().split(",")
        types = {"birth_date": "DATE", "bmi": "NUMERIC(4,1)", "ill": "INTEGER"}
        columns = [f"{name} {types.get(name, 'TEXT')}" for name in head]
        connection.exec_driver_sql(f"CREATE TABLE people ({', '.join(columns)})")
        connection.connection.cursor().copy_expert("COPY people FROM STDIN WITH (FORMAT csv)", rows)
    url = checked(postgres_url, "X").set(password=PASSWORD).render_as_string(hide_password=False)
    for name in ("SYNTH_ASSETS_POSTGRES_URL", "SYNTH_ASSETS_VAULT_URL", "SOURCE_URL", "WAREHOUSE_URL"):
        monkeypatch.setenv(name, url)
    for zone in (*ZONES, "logs"):
        monkeypatch.setenv(f"SYNTH_ASSETS_S3_{zone.upper()}", f"s3://{s3_bucket.name}/{zone}")
    home = tmp_path / "home"
    chain.write_dataset(
        home, CONFIG | {"deliveries": CONFIG["deliveries"] | {"partner": {"s3": f"s3://{s3_bucket.name}/partner"}}}
    )
    yield SimpleNamespace(home=home, engine=engine, bucket=s3_bucket)
    engine.dispose()


def objects(bucket: Any) -> dict[str, bytes]:
    """Every object of the bucket."""
    found = {}
    for page in bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name):
        for item in page.get("Contents", ()):
            found[item["Key"]] = bucket.client.get_object(Bucket=bucket.name, Key=item["Key"])["Body"].read()
    return found


def database_text(engine: sa.Engine, *, but: tuple[str, ...] = ()) -> str:
    """Every cell of every table of the database, Dagster's compressed ones too."""
    told = []
    with engine.connect() as connection:
        for schema in ("public", "synthetic"):
            for name in sa.inspect(connection).get_table_names(schema=schema):
                if name not in but:
                    for row in connection.exec_driver_sql(f'SELECT * FROM {schema}."{name}"'):
                        told += [inflated(cell) for cell in row]
    return "\n".join(told)


def inflated(cell: object) -> str:
    if not isinstance(cell, bytes | memoryview):
        return str(cell)
    try:
        return zlib.decompress(bytes(cell)).decode(errors="replace")
    except zlib.error:
        return bytes(cell).decode(errors="replace")


def test_the_whole_chain_runs_with_everything_on_servers(servers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    done = chain.run(servers.home, "town")
    assert done.exit_code == 0, (done.error, done.failed_checks)

    # nothing but keys, leases, caches and what Dagster keeps of a run is on this machine
    settings = Settings.from_environment(servers.home)
    assert not list(settings.var.rglob("*.db"))
    assert {p.name for zone in ZONES for p in (settings.var / zone).glob("*")} <= {".cache", ".sealing"}
    found = objects(servers.bucket)
    assert {k.split("/")[0] for k in found} == {*ZONES, "logs", "partner"}
    assert any(k.endswith((".out", ".err")) for k in found if k.startswith("logs/"))

    # ledgers, vault and history are in PostgreSQL
    assert BudgetView(open_ledger_store(settings.ledger_location)).verify().whole
    assert TokenVault(settings.vault_location).exists
    told = [
        (e["resource"], e["details"].get("begun"))
        for e in entries(open_audit_ledger(settings), Filter(action="export"))
    ]
    for delivery in ("town/delivery_warehouse", "town/delivery_partner"):
        assert [begun for resource, begun in told if resource == delivery] == [
            True,
            None,
        ]  # before it leaves, and after
    with servers.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM vault_tokens").scalar() >= canaries.PEOPLE
        assert connection.exec_driver_sql("SELECT count(*) FROM event_logs").scalar() > 50
        assert connection.exec_driver_sql("SELECT status FROM runs").scalars().all() == ["SUCCESS"]

        # the target holds what the export holds, with its types
        exported = next(v for k, v in found.items() if "/export_csv/" in k and k.endswith("town.csv"))
        rows = list(csv.DictReader(io.StringIO(exported.decode())))
        sql = "SELECT person_id, sex, bmi, ill::text, birth_date FROM synthetic.town ORDER BY person_id"
        delivered = [tuple(r) for r in connection.exec_driver_sql(sql)]
        assert [r[:4] for r in delivered] == sorted((r["person_id"], r["sex"], float(r["bmi"]), r["ill"]) for r in rows)
        assert isinstance(delivered[0][4], date)
    delivered_file = next(v for k, v in found.items() if k.startswith("partner/") and k.endswith("town.csv"))
    assert delivered_file == exported

    # a second run computes nothing and writes nothing there
    again = chain.run(servers.home, "town", ["raw", "audit", "delivery"])
    assert again.exit_code == 0 and again.assets["audit_dp_marginals"].reused
    assert (
        again.assets["delivery_warehouse"].metadata["unchanged"]
        and again.assets["delivery_partner"].metadata["unchanged"]
    )

    # links open the files; they and the credentials are nowhere else
    capsys.readouterr()
    assert command(["links", "town", "--of", "partner", "--hours", "1", "--home", str(servers.home), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["links"][0]["file"] == "town.csv"
    with urllib.request.urlopen(told["links"][0]["url"]) as answer:  # noqa: S310  our own server
        assert answer.read() == exported
    secrets = (PASSWORD, "canary-of-the-secret-key", "X-Amz-Signature")
    kept = database_text(servers.engine, but=("people",))
    outside = {k: v.decode(errors="replace") for k, v in objects(servers.bucket).items()}
    local = {str(p): p.read_bytes().decode(errors="replace") for p in servers.home.rglob("*") if p.is_file()}
    assert len(kept) > 100_000
    for secret in secrets:
        assert secret not in kept
        assert [k for k, text in {**outside, **local}.items() if secret in text] == []

    # and no direct identifier has left the restricted zone
    open_zones = {k: v for k, v in outside.items() if not k.startswith("restricted/")}
    open_zones |= {k: v for k, v in local.items() if "/var/restricted/" not in k}
    for canary in canaries.canaries():
        assert canary not in kept, canary
        assert [k for k, text in open_zones.items() if canary in text] == [], canary
