"""Stage 5: the raw tables without direct identifiers, divided into train and holdout by a keyed hash of the entity."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.classification import public_schema, read_verdicts
from synth_assets.assets.raw import schema_of
from synth_assets.assets.stage import Event, Job, Stage
from synth_assets.assets.wiring import Wiring
from synth_assets.pii.records import ColumnVerdict
from synth_assets.pii.roles import ColumnRoles, column_roles
from synth_assets.resources import EngineResource, KeyResource, StoreResource
from synth_assets.storage.artifacts import ArtifactRef, Zone
from synth_assets.storage.atomic import write_text
from synth_assets.storage.hashing import hash_parts
from synth_assets.storage.secrets import SecretKey
from synth_assets.tables.schema import TableSchema

VERSION = "3"
TABLES_FILE = "tables.json"
HOLDOUT = "holdout"  # key of the hash that says who is held out
DECLARING_KEYS = ("categories", "lower", "upper")


def section_of(wiring: Wiring) -> dict[str, Any]:
    """What the split takes from the YAML: the unit, the fraction, and the declared domains (they make a column modelled)."""
    links = wiring.config.sequence_link
    return {
        **({"sequence_link": list(links)} if links else {}),
        "unit": wiring.config.unit,
        "holdout": wiring.config.holdout,
        "declared": {t: sorted(wiring.declared(t, DECLARING_KEYS)) for t in wiring.config.tables},
    }


def build_split(wiring: Wiring) -> dg.AssetsDefinition:
    """The asset `<dataset>/split`."""
    asset, section, config = wiring.keys.split, section_of(wiring), wiring.config
    spec = wiring.spec(
        asset,
        stage="split",
        zone=Zone.RESTRICTED,
        section=section,
        version=VERSION,
        keyed=True,
        kinds={"parquet", "duckdb"},
        description=f"Raw tables without direct identifiers; {config.holdout:.0%} of the units are held out from every model.",
        deps=[*(wiring.keys.raw(t) for t in config.tables), wiring.keys.classification],
    )

    @dg.multi_asset(name=f"{config.name}__{asset}", pool=config.name, specs=[spec])
    def split(
        context: dg.AssetExecutionContext, store: StoreResource, engine: EngineResource, key: KeyResource
    ) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            raws = {t: stage.read(Zone.RESTRICTED, wiring.keys.raw(t)) for t in config.tables}
            verdict_ref = stage.read(Zone.RESTRICTED, wiring.keys.classification)
            verdicts, secret = read_verdicts(stage.store, verdict_ref), key.open().derive(f"split/{config.name}")
            paths = {t: stage.store.path(r) for t, r in raws.items()}
            inputs = {t: r.content_hash for t, r in raws.items()}
            inputs |= {"classification": verdict_ref.content_hash, "key": secret.fingerprint}
            job = Job(
                Zone.RESTRICTED, asset, inputs, section, VERSION,
                lambda folder: _split(wiring, raws, paths, verdicts, secret, engine, folder),
            )  # fmt: skip
            events = stage.deliver(job, lambda ref: _describe(wiring, ref))
        yield from events

    return split


def roles_from(
    wiring: Wiring, schemas: Mapping[str, TableSchema], verdicts: Mapping[str, tuple[ColumnVerdict, ...]]
) -> dict[str, ColumnRoles]:
    """The roles of every table's columns, from the verdicts and what the YAML declares."""
    links, config = wiring.config.sequence_link, wiring.config
    return {
        t: column_roles(
            schemas[t],
            verdicts[t],
            config.tables[t].columns,
            links=[links[1]] if links and links[0] == t else [],
            unit=config.unit_of(t),
        )
        for t in schemas
    }


def modelled_columns(roles: Mapping[str, ColumnRoles]) -> list[str]:
    """Keys and modelled columns of all tables, as `table.column`, sorted."""
    return sorted(f"{t}.{c}" for t, r in roles.items() for c in (*r.keys, *r.modelled))


def roles_of(ref: ArtifactRef) -> dict[str, ColumnRoles]:
    """The roles of every table's columns, as the split recorded them."""
    return {t: ColumnRoles.model_validate(r) for t, r in ref.info["roles"].items()}


def schemas_of(ref: ArtifactRef) -> dict[str, TableSchema]:
    """The schemas of the raw tables, as the split recorded them."""
    return {t: TableSchema.model_validate(s) for t, s in ref.info["schemas"].items()}


def _split(
    wiring: Wiring,
    raws: Mapping[str, ArtifactRef],
    paths: Mapping[str, Path],
    verdicts: Mapping[str, tuple[ColumnVerdict, ...]],
    secret: SecretKey,
    engine: EngineResource,
    folder: Path,
) -> dict[str, Any]:
    from synth_assets.tables.split import SplitTable, split_tables

    config = wiring.config
    schemas = {t: schema_of(r) for t, r in raws.items()}
    roles = roles_from(wiring, schemas, verdicts)
    tables = {
        t: SplitTable(
            paths[t], schemas[t], tuple(n for n in schemas[t].names if n in {*roles[t].keys, *roles[t].modelled})
        )
        for t in raws
    }
    unit = config.locate(config.unit, "unit") if config.unit else None
    fixed = {
        t: {"schema": public_schema(schemas[t]).model_dump(mode="json"), "modelled": r.modelled}
        for t, r in roles.items()
    }
    write_text(folder / TABLES_FILE, json.dumps(fixed, indent=1))  # part of the content: what is modelled, and as what
    counts = split_tables(tables, folder, unit=unit, holdout=config.holdout, key=secret, engine=engine.open())
    return {
        HOLDOUT: hash_parts("holdout", secret.fingerprint, config.unit or "")[
            :32
        ],  # who is held out, however many rows there are
        "roles": {t: json.loads(r.model_dump_json()) for t, r in roles.items()},
        "schemas": {t: json.loads(s.model_dump_json()) for t, s in schemas.items()},
        "rows": {c.table: {"train": c.train_rows, "holdout": c.holdout_rows} for c in counts},
    }


def _describe(wiring: Wiring, ref: ArtifactRef) -> dict[str, Any]:
    """Columns of all tables as `table.column`, their lineage, rows per side."""
    roles, schemas = roles_of(ref), schemas_of(ref)
    columns, sources = [], {}
    for table, role in roles.items():
        for name in (*role.keys, *role.modelled):
            columns.append(dg.TableColumn(f"{table}.{name}", type=schemas[table].column(name).dtype))
            sources[f"{table}.{name}"] = [(wiring.keys.key(wiring.keys.raw(table)), name)]
    rows = ref.info["rows"]
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/row_count": sum(r["train"] + r["holdout"] for r in rows.values()),
        "train_rows": sum(r["train"] for r in rows.values()),
        "holdout_rows": sum(r["holdout"] for r in rows.values()),
        "modelled_columns": sum(len(r.modelled) for r in roles.values()),
        "made_anew": sum(len(r.identifiers) for r in roles.values()),
        **metadata.lineage(sources),
    }
