"""The client: each request is one job of the service. Rows travel sealed through the exchange area, never in run config."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.api.file_requests import (
    ClassifyRequest,
    FileRequest,
    GenerateRequest,
    MaskRequest,
    ProfileRequest,
    SynthesizeRequest,
)
from synth_assets.client.graphql import GraphQL
from synth_assets.client.jobs import Job
from synth_assets.errors import ConfigError, InputError
from synth_assets.storage.exchange import new_request, published_key, reference
from synth_assets.storage.exchange_opening import open_area
from synth_assets.storage.rooms import temporary
from synth_assets.storage.s3_options import S3Options
from synth_assets.storage.sealing import PrivateKey, seal

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.api.requests import AuditRequest

    Table = str | Path | pd.DataFrame | Sequence[Mapping[str, Any]]

TOKEN_VARIABLE = "SYNTH_ASSETS_CLIENT_TOKEN"  # noqa: S105  the name of a variable


class Client:
    """A running service.

    A table that is a `str` is a place that the service may read: a path below its home, or an address. A `Path`, a frame or a
    list of records is this program's own and is sent sealed through the exchange area.

    Args:
        url: Address of the Dagster webserver.
        exchange: Folder that the service sees as well, or s3://bucket/prefix; needed for own tables and to fetch results.
        service_key: The service's public key, from `synth-assets exchange`; read from the exchange area when None, which trusts
            whoever can write there.
        headers: Sent with every request. `SYNTH_ASSETS_CLIENT_TOKEN`, where it is set, is sent as a bearer token.
        plain_http: Allow http:// to another machine.
        s3: How S3 is reached; from the environment when None.

    Raises:
        ConfigError: an address has a wrong form, or would send requests in clear.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:3000",
        *,
        exchange: str | Path | None = None,
        service_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        plain_http: bool = False,
        s3: S3Options | None = None,
    ) -> None:
        token = os.environ.get(TOKEN_VARIABLE)
        sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        self._service = GraphQL(url, sent, plain_http=plain_http)
        self._area = None if exchange is None else open_area(str(exchange), s3)
        self._service_key = service_key

    def profile(self, table: Table) -> Job:
        """Statistics of every column of a table, in the public form."""
        with temporary() as folder:
            return self._start(ProfileRequest(file=self._place(table, folder)))

    def classify(self, table: Table) -> Job:
        """What each column of a table holds about people, in the public form."""
        with temporary() as folder:
            return self._start(ClassifyRequest(file=self._place(table, folder)))

    def mask(self, table: Table, *, policy: str = "hipaa_safe_harbor", out: str | None = None, fmt: str = "csv") -> Job:
        """A masked copy of a table.

        Args:
            table: The table.
            policy: Name of a policy of the service.
            out: A file on the service; through the exchange area when None.
            fmt: csv, tsv, json, jsonl or parquet, where `out` is None.
        """
        with temporary() as folder:
            return self._start(
                MaskRequest(file=self._place(table, folder), out=out or self._out(f"masked.{fmt}"), policy=policy)
            )

    def generate(
        self,
        schema: str | Path | Mapping[str, Any],
        *,
        rows: int | None = None,
        seed: int = 7,
        fmt: str = "csv",
        out: str | None = None,
    ) -> Job:
        """Tables from a generator schema.

        Args:
            schema: A place that the service can read, a file of this program, or the schema itself.
            rows: Rows of the first root table; as the schema says when None.
            seed: Same schema, seed and rows: same bytes.
            fmt: csv, parquet or jsonl.
            out: A folder on the service; through the exchange area when None.
        """
        with temporary() as folder:
            place = schema if isinstance(schema, str) else self._send_schema(schema, folder)
            return self._start(
                GenerateRequest(table_schema=place, out=out or self._out("tables"), rows=rows, seed=seed, format=fmt)
            )

    def synthesize(self, table: Table, *, out: str | None = None, fmt: str = "csv", **options: Any) -> Job:
        """A synthetic copy of a table, charged to a budget.

        Args:
            table: The table.
            out: A file on the service; through the exchange area when None.
            fmt: csv, tsv, json, jsonl or parquet, where `out` is None.
            options: As of `SynthesizeRequest`: synthesizer, epsilon, delta, rows, domain, target, seed, population.

        Raises:
            InputError: a table that is sent needs `population`: nothing else tells whose budget is charged.
        """
        if not isinstance(table, str) and options.get("population") is None:
            raise InputError(
                "a table that is sent has no name that could tell whose budget is charged.",
                key="population",
                remedy="Give the same name for all tables about the same people.",
            )
        with temporary() as folder:
            return self._start(
                SynthesizeRequest(file=self._place(table, folder), out=out or self._out(f"synthetic.{fmt}"), **options)
            )

    def audit(self, request: AuditRequest | Mapping[str, Any]) -> Job:
        """The audit of a synthetic table; `Outcome.values["result"]` is the public form.

        Args:
            request: An `AuditRequest`, or its keys: synthetic_data_url, real_data_url, holdout_data_url, target and so on. In place of
                an address each of these three may be a table of this program's own.
        """
        from synth_assets.api.requests import TABLES, read_request

        if isinstance(request, Mapping):
            with temporary() as folder:
                tables = {key: request[key] for key in TABLES if key in request}
                given = read_request({**request, **self._places(tables, folder)})
        else:
            given = request
        config = given.model_dump(mode="json", exclude_unset=True)
        run_id = self._service.launch("audit_request", {"ops": {"audit_request_op": {"config": config}}}, {})
        return Job(self._service, run_id, "audit_request")

    def run(self, dataset: str) -> Job:
        """The whole chain of a dataset of the service."""
        return Job(self._service, self._service.launch(f"{dataset}_chain", {}, {}), f"{dataset}_chain")

    def resume(self, ticket: str) -> Job:
        """Go on with a job that another process has started.

        Raises:
            InputError: it is no ticket.
        """
        try:
            told = json.loads(base64.urlsafe_b64decode(ticket))
            key = None if told["key"] is None else PrivateKey(bytes.fromhex(told["key"]))
            return Job(self._service, told["run_id"], told["name"], self._area, key)
        except (ValueError, KeyError, TypeError):
            raise InputError("this is no ticket of a job.", key="ticket") from None

    def _start(self, request: FileRequest) -> Job:
        key = PrivateKey.fresh()
        asked = request.model_copy(update={"reply_key": key.public}).model_dump(mode="json", exclude_none=True)
        run_id = self._service.launch(request.job, {"ops": {f"{request.job}_op": {"config": asked}}}, {})
        return Job(self._service, run_id, request.job, self._area, key)

    def _place(self, table: Table, scratch: Path) -> str:
        """A place as it is, or a sealed file in the exchange area."""
        import pandas as pd

        if isinstance(table, str):
            return table
        if isinstance(table, Path):
            suffixes = "".join(s.lower() for s in table.suffixes[-2:])
            return self._send(table, f"table{suffixes}")
        if isinstance(table, pd.DataFrame):
            file = scratch / "table.parquet"
            table.to_parquet(file, index=False)
            return self._send(file, file.name)
        file = scratch / "table.jsonl"
        try:
            file.write_text("".join(f"{json.dumps(dict(row))}\n" for row in table))
        except (TypeError, ValueError):
            raise InputError(
                "a record holds something that JSON cannot.", remedy="Give texts, numbers and booleans."
            ) from None
        return self._send(file, file.name)

    def _places(self, tables: Mapping[str, Table | None], scratch: Path) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for key, table in tables.items():
            (scratch / key).mkdir()
            found[key] = None if table is None else self._place(table, scratch / key)
        return found

    def _send_schema(self, schema: Path | Mapping[str, Any], scratch: Path) -> str:
        if isinstance(schema, Path):
            return self._send(schema, "schema.yaml")
        import yaml

        file = scratch / "schema.yaml"
        try:
            file.write_text(yaml.safe_dump(dict(schema)))  # JSON is not quite YAML: 1e-06 would be a text
        except yaml.YAMLError:
            raise InputError(
                "the schema holds something that YAML cannot.", remedy="Give texts, numbers, lists and mappings."
            ) from None
        return self._send(file, file.name)

    def _send(self, file: Path, name: str) -> str:
        if self._area is None:
            raise ConfigError(
                "own tables go through the exchange area, and none is named.",
                key="exchange",
                remedy="Name a folder or s3://bucket/prefix that the service sees too, or a place that it can read.",
            )
        if not file.is_file():
            raise InputError("the file does not exist.", file=str(file), remedy="Check its name.")
        place = reference(new_request(), name)
        with temporary() as folder:
            key = self._service_key or published_key(self._area, folder)
            sealed = folder / "sealed"
            seal(file, sealed, key, place)
            self._area.put(sealed, place.removeprefix("exchange:"))
        return place

    def _out(self, name: str) -> str:
        if self._area is None:
            raise ConfigError(
                "results come back through the exchange area, and none is named.",
                key="exchange",
                remedy="Name one, or name a file on the service with `out`.",
            )
        return reference(new_request(), name)
