"""Stage 12: the tables of one synthesizer that passed its audit, in a database or at a place in S3.

The artifact is a receipt. The target is looked at in every run, since somebody else may have changed it; what is there already is not
written again. URLs and credentials come from the environment of the step and never into the receipt or Dagster's metadata.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.release import proven_tables
from synth_assets.assets.stage import Event, Job, Stage
from synth_assets.assets.synthetic import table_schema
from synth_assets.assets.wiring import Wiring
from synth_assets.config.dataset import SynthesizerConfig
from synth_assets.config.deliveries import DeliveryConfig
from synth_assets.errors import ConfigError
from synth_assets.resources import EngineResource, KeyResource, StoreResource
from synth_assets.storage.artifacts import ArtifactRef, ArtifactStore, Zone
from synth_assets.storage.atomic import write_text
from synth_assets.storage.hashing import hash_json

if TYPE_CHECKING:
    from synth_assets.tables.engine import Engine

VERSION = "1"
RECEIPT = "result.json"


def build_delivery(wiring: Wiring, name: str) -> dg.AssetsDefinition:
    """The asset `<dataset>/delivery_<name>`."""
    config, keys, asset = wiring.config, wiring.keys, wiring.keys.delivery(name)
    delivery, synthesizer = config.deliveries[name], delivered_synthesizer(wiring, name)
    section = delivery.model_dump(mode="json") | {"synthesizer": synthesizer.name}
    place = (
        f"schema {delivery.schema_name} of the database in {delivery.database}" if delivery.database else delivery.s3
    )
    spec = wiring.spec(
        asset,
        stage="delivery",
        zone=Zone.RELEASE,
        section=section,
        version=VERSION,
        kinds={"postgres" if delivery.database else "s3"},
        description=f"The tables of {synthesizer.name} that passed their audit, in {place}.",
        deps=[
            *(keys.synthetic(synthesizer.name, t) for t in config.tables),
            keys.audit(synthesizer.name),
            keys.leaderboard,
        ],
    )

    @dg.multi_asset(name=f"{config.name}__{asset}", specs=[spec])
    def deliver(
        context: dg.AssetExecutionContext, store: StoreResource, engine: EngineResource, key: KeyResource
    ) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            tables = proven_tables(stage, wiring, synthesizer)
            step = _Delivering(wiring, delivery, synthesizer, stage.store, tables, development=key.open().development)

            def build(folder: Path) -> dict[str, Any]:
                stage.records.leaving(asset, step.content)
                return step.deliver(folder, engine.open(), again=stage.fresh)

            inputs = {t: ref.content_hash for t, ref in tables.items()} | {"development_key": str(step.development)}
            job = Job(Zone.RELEASE, asset, inputs, section, VERSION, build, reusable=False)
            events = stage.deliver(job, lambda ref: _describe(wiring, tables, ref))
        yield from events

    return deliver


def delivered_synthesizer(wiring: Wiring, name: str) -> SynthesizerConfig:
    """Whose tables a delivery takes."""
    wanted = wiring.config.deliveries[name].synthesizer
    for synthesizer in wiring.config.synthesizers:
        if wanted in {None, synthesizer.name}:
            return synthesizer
    raise ConfigError(
        f"{wanted} is not installed, and its tables are to be delivered.", key=f"deliveries.{name}.synthesizer"
    )


class _Delivering:
    """One delivery on its way."""

    def __init__(
        self,
        wiring: Wiring,
        delivery: DeliveryConfig,
        synthesizer: SynthesizerConfig,
        store: ArtifactStore,
        tables: Mapping[str, ArtifactRef],
        *,
        development: bool,
    ) -> None:
        self.delivery, self.store, self.tables, self.development = delivery, store, tables, development
        self.provenance = {
            "synthetic": True,
            "dataset": wiring.config.name,
            "synthesizer": synthesizer.name,
            "differentially_private": synthesizer.differentially_private,
            "development_key": development,
        }
        hashes = {t: ref.content_hash for t, ref in tables.items()}
        self.content = hash_json({"tables": hashes, "format": delivery.format, "provenance": self.provenance})

    def deliver(self, folder: Path, engine: "Engine", *, again: bool) -> dict[str, Any]:
        """Bring the tables there and leave a receipt in the folder."""
        send = self._to_database if self.delivery.database else self._to_s3
        target, rows, unchanged = send(engine, again=again)
        receipt = {"target": target, "rows": dict(rows), "content": self.content, **self.provenance}
        write_text(folder / RECEIPT, json.dumps(receipt, indent=1, sort_keys=True))
        return {"target": target, "rows": dict(rows), "unchanged": unchanged}

    def _to_database(self, engine: "Engine", *, again: bool) -> tuple[str, Mapping[str, int], bool]:
        from synth_assets.exports.database import DatabaseTables, write_database
        from synth_assets.storage.postgres import required_url

        variable = str(self.delivery.database)
        tables = DatabaseTables(
            paths={t: self.store.path(ref) for t, ref in self.tables.items()},
            schemas={t: table_schema(ref) for t, ref in self.tables.items()},
            provenance=self.provenance,
            content=self.content,
        )
        done = write_database(
            tables, required_url(variable), schema=self.delivery.schema_name, engine=engine,
            replace=self.delivery.replace, again=again,
        )  # fmt: skip
        return f"{variable}/{self.delivery.schema_name}", done.rows, done.unchanged

    def _to_s3(self, engine: "Engine", *, again: bool) -> tuple[str, Mapping[str, int], bool]:
        from synth_assets.exports.formats import write_table
        from synth_assets.exports.places import put_files

        objects = self.delivery.folder()
        with self.store.staging(str(self.provenance["dataset"])) as files:
            for table, ref in self.tables.items():
                told = {**self.provenance, "table": table, "content_hash": ref.content_hash}
                out = files / f"{table}.{self.delivery.format}"
                write_table(self.store.path(ref), out, schema=table_schema(ref), engine=engine, provenance=told)
            written = put_files(files, objects, content=self.content[:16], about=self.provenance, again=again)
        rows = {t: int(ref.info["row_count"]) for t, ref in self.tables.items()}
        return str(self.delivery.s3), rows, not written


def _describe(wiring: Wiring, tables: Mapping[str, ArtifactRef], ref: ArtifactRef) -> dict[str, Any]:
    columns, sources = [], {}
    for table, made in tables.items():
        for column in table_schema(made).columns:
            name = f"{table}.{column.name}"
            columns.append(dg.TableColumn(name, type=column.dtype))
            sources[name] = [(wiring.keys.key(made.asset), column.name)]
    return {
        "dagster/row_count": sum(ref.info["rows"].values()),
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "target": ref.info["target"],
        "unchanged": ref.info["unchanged"],
        "tables": metadata.rows([{"table": t, "rows": n} for t, n in ref.info["rows"].items()]),
        **metadata.lineage(sources),
    }
