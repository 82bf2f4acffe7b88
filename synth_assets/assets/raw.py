"""Stage 1: a source becomes canonical Parquet with a recorded schema; the contract's expectations are its asset checks."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.stage import CheckOutcome, Event, Job, Stage
from synth_assets.assets.wiring import Wiring
from synth_assets.checks.contract import contract_words
from synth_assets.config.dataset import ExpectationConfig, SourceConfig
from synth_assets.resources import EngineResource, StoreResource
from synth_assets.storage.artifacts import ArtifactRef, Zone
from synth_assets.storage.hashing import hash_parts
from synth_assets.storage.rooms import standing_for
from synth_assets.tables.contracts import ExpectationOutcome, check_names, full_contract, quality_score, run_contract
from synth_assets.tables.schema import TableSchema

VERSION = "1"


def section_of(wiring: Wiring, table: str) -> dict[str, Any]:
    """The part of the YAML that this table's content depends on; its contract is a gate."""
    unread = {"columns", "max_per_unit", "sequence_order", "description", "contract"}
    config = wiring.config.tables[table].model_dump(mode="json", exclude=unread)
    seed = wiring.config.seed if wiring.config.tables[table].source.generate else None
    return {
        **config,
        "columns": wiring.declared(table, ("kind", "categories")),
        "null_values": sorted(_nulls(wiring, table)),
        "timezone": wiring.config.timezone,
        "seed": seed,
    }


def build_raw(wiring: Wiring, table: str) -> dg.AssetsDefinition:
    """The asset `<dataset>/raw_<table>` with one check per expectation."""
    asset, section = wiring.keys.raw(table), section_of(wiring, table)
    expectations = full_contract(wiring.config.tables[table])
    gates = [e.model_dump(mode="json") for e in expectations]
    spec = wiring.spec(
        asset,
        stage="raw",
        zone=Zone.RESTRICTED,
        section=section,
        gates=gates,
        version=VERSION,
        kinds={"parquet", "duckdb"},
        description=f"Table `{table}` of dataset `{wiring.config.name}` in canonical Parquet, as the source has it.",
    )
    checks = [
        wiring.check(asset, name, contract_words(e), blocking=e.severity == "error")
        for name, e in zip(check_names(expectations), expectations, strict=True)
    ]

    def describe(ref: ArtifactRef) -> dict[str, Any]:
        from synth_assets.tables.sources import require_columns

        schema = schema_of(ref)
        require_columns(
            schema.names, _named_elsewhere(wiring, table), source=table
        )  # also where the table is used again
        quality = {"data_quality": ref.info["data_quality"], "columns": len(schema.columns)}
        return {**metadata.table(schema, schema.row_count), **quality}

    @dg.multi_asset(name=f"{wiring.config.name}__{asset}", pool=wiring.config.name, specs=[spec], check_specs=checks)
    def raw(context: dg.AssetExecutionContext, store: StoreResource, engine: EngineResource) -> Iterator[Event]:
        with stage_boundary(f"{wiring.config.name}/{asset}"):
            stage = Stage(context, store, wiring.config)
            events = stage.deliver(_job(wiring, table, section, expectations, gates, stage, engine), describe)
        yield from events

    return raw


def schema_of(ref: ArtifactRef) -> TableSchema:
    """The schema of a raw table, from the record of its artifact."""
    return TableSchema.model_validate(ref.info["schema"])


def _job(
    wiring: Wiring,
    table: str,
    section: Any,
    expectations: Sequence[ExpectationConfig],
    gates: Any,
    stage: Stage,
    engine: EngineResource,
) -> Job:
    from synth_assets.tables.sources import ingest, require_columns

    config = wiring.config.tables[table]
    base = wiring.dataset.folder

    def build(folder: Path) -> dict[str, Any]:
        stands_for = f"{wiring.config.name}/{wiring.keys.raw(table)}" if wiring.upload is None else wiring.upload.name
        with stage.store.staging(wiring.config.name) as scratch, standing_for(scratch, stands_for):
            schema = ingest(
                _source(wiring, table, scratch), name=table, base_dir=base, out=folder, engine=engine.open(), table=config,
                null_values=_nulls(wiring, table), timezone=wiring.config.timezone,
            )  # fmt: skip
        require_columns(schema.names, _named_elsewhere(wiring, table), source=table)
        return {"schema": json.loads(schema.model_dump_json()), "row_count": schema.row_count}

    def check(folder: Path, info: dict[str, Any]) -> Sequence[CheckOutcome]:
        schema = TableSchema.model_validate(info["schema"])
        outcomes = run_contract(folder, schema, expectations, engine.open())
        info["data_quality"] = quality_score(outcomes)
        return [_outcome(o.public()) for o in outcomes]

    return Job(
        Zone.RESTRICTED, wiring.keys.raw(table), {"source": _fingerprint(wiring, table)}, section, VERSION, build, check,
        reusable=config.source.url is None, gates=gates,
    )  # fmt: skip


def _named_elsewhere(wiring: Wiring, table: str) -> dict[str, str]:
    """Columns of this table that the dataset names elsewhere, with the key that does."""
    config = wiring.config
    named = {
        "unit": config.unit,
        "target": config.target,
        **{f"protected.{i}": p for i, p in enumerate(config.protected)},
    }
    places = {key: config.locate(value, key) for key, value in named.items() if value is not None}
    return {column: key for key, (owner, column) in places.items() if owner == table}


def _outcome(found: ExpectationOutcome) -> CheckOutcome:
    counts = {"checked_rows": found.checked_rows, "unexpected_rows": found.unexpected_count}
    shown = {k: v for k, v in counts.items() if v is not None}
    return CheckOutcome(found.name, found.success, found.message, blocking=found.severity == "error", metadata=shown)


def _nulls(wiring: Wiring, table: str) -> tuple[str, ...]:
    return (*wiring.config.null_values, *wiring.config.tables[table].null_values)


def _source(wiring: Wiring, table: str, scratch: Path) -> SourceConfig:
    """Where the rows are: a dropped file and generated tables lie in the scratch folder."""
    source = wiring.config.tables[table].source
    if wiring.upload is not None:
        return SourceConfig(path=str(wiring.upload.fetch(scratch).resolve()))
    if source.generate:
        return _generated(source, wiring.dataset.folder, table, wiring.config.seed, scratch)
    return source


def _fingerprint(wiring: Wiring, table: str) -> str:
    """Of the content of the source, or of what it is made from."""
    from synth_assets.tables.sources import source_fingerprint

    source, base = wiring.config.tables[table].source, wiring.dataset.folder
    if wiring.upload is not None:
        return wiring.upload.fingerprint
    return hash_parts((base / source.generate).read_bytes()) if source.generate else source_fingerprint(source, base)


def _generated(source: SourceConfig, base: Path, table: str, seed: int, scratch: Path) -> SourceConfig:
    """Make the tables of a generator schema and point at the one that is asked for."""
    from synth_assets.generation.stream import generate, load_schema

    files = generate(
        load_schema(base / str(source.generate)), scratch, seed=seed, rows=source.rows, fmt="csv", tables=[table]
    )
    return SourceConfig(path=str(files[table].resolve()))
