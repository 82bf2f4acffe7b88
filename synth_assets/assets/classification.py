"""Stage 3: one verdict per column, with evidence and the recommended action; a person's overrides win and are recorded."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.raw import schema_of
from synth_assets.assets.stage import Event, Job, Stage
from synth_assets.assets.wiring import Wiring
from synth_assets.pii.records import ColumnVerdict, table_level
from synth_assets.resources import EngineResource, StoreResource
from synth_assets.storage.artifacts import ArtifactRef, ArtifactStore, Zone
from synth_assets.storage.atomic import write_text
from synth_assets.tables.schema import TableSchema

VERSION = "2"
SCHEMAS_FILE = "schemas.json"
OVERRIDE_KEYS = ("entity_type", "identifier_class", "description")


def section_of(wiring: Wiring) -> dict[str, Any]:
    """What the classification takes from the YAML: overrides, descriptions and the detector of free text."""
    tables = {
        name: {
            "description": table.description,
            "columns": wiring.declared(name, OVERRIDE_KEYS),
            "unit": _naming_unit(wiring, name),
        }
        for name, table in wiring.config.tables.items()
    }
    return {"text_detector": wiring.config.text_detector, "tables": tables}


def _naming_unit(wiring: Wiring, table: str) -> str | None:
    """The column that names the unit of privacy; None where a person gave the list of its values, which is public then."""
    unit, columns = wiring.config.unit_of(table), wiring.config.tables[table].columns
    return None if unit in columns and columns[unit].has_public_values else unit


def build_classification(wiring: Wiring) -> dg.AssetsDefinition:
    """The asset `<dataset>/pii_classification`."""
    asset, section = wiring.keys.classification, section_of(wiring)
    spec = wiring.spec(
        asset,
        stage="pii_classification",
        zone=Zone.RESTRICTED,
        section=section,
        version=VERSION,
        kinds={"python", "duckdb"},
        description="What each column holds about people: entity type, identifier class, confidence, evidence, recommended action.",
        deps=[wiring.keys.raw(t) for t in wiring.config.tables],
    )

    @dg.multi_asset(name=f"{wiring.config.name}__{asset}", pool=wiring.config.name, specs=[spec])
    def pii_classification(
        context: dg.AssetExecutionContext, store: StoreResource, engine: EngineResource
    ) -> Iterator[Event]:
        with stage_boundary(f"{wiring.config.name}/{asset}"):
            stage = Stage(context, store, wiring.config)
            raws = {t: stage.read(Zone.RESTRICTED, wiring.keys.raw(t)) for t in wiring.config.tables}
            job = Job(
                Zone.RESTRICTED, asset, {t: r.content_hash for t, r in raws.items()}, section, VERSION,
                lambda folder: _classify(wiring, stage.store, raws, engine, folder),
            )  # fmt: skip
            events = stage.deliver(job, lambda ref: _describe(wiring, stage.store, ref))
        yield from events

    return pii_classification


def read_verdicts(store: ArtifactStore, ref: ArtifactRef) -> dict[str, tuple[ColumnVerdict, ...]]:
    """The verdicts of every table, by table."""
    record = json.loads((store.path(ref) / "result.json").read_text())
    return {t: tuple(ColumnVerdict.model_validate(v) for v in verdicts) for t, verdicts in record.items()}


def read_schemas(store: ArtifactStore, ref: ArtifactRef) -> dict[str, TableSchema]:
    """What is public about every table: names, kinds, types and keys; no row count, no digits after the point and no form of dates."""
    record = json.loads((store.path(ref) / SCHEMAS_FILE).read_text())
    return {t: TableSchema.model_validate(s) for t, s in record.items()}


def public_schema(schema: TableSchema) -> TableSchema:
    """A schema without what was counted in the data."""
    columns = tuple(c.model_copy(update={"decimals": None, "date_form": None}) for c in schema.columns)
    return schema.model_copy(update={"row_count": 0, "columns": columns})


def _classify(
    wiring: Wiring, store: ArtifactStore, raws: Mapping[str, ArtifactRef], engine: EngineResource, folder: Path
) -> dict[str, Any]:
    from synth_assets.pii.classify import classify_table

    verdicts = {
        name: classify_table(
            store.path(raws[name]), schema_of(raws[name]), engine.open(), table_name=name,
            description=table.description or "", overrides=table.columns, text_detector=wiring.config.text_detector,
            unit=_naming_unit(wiring, name),
        )
        for name, table in wiring.config.tables.items()
    }  # fmt: skip
    full = {t: [v.model_dump(mode="json") for v in found] for t, found in verdicts.items()}
    public = {t: [v.public().model_dump(mode="json") for v in found] for t, found in verdicts.items()}
    write_text(folder / "result.json", json.dumps(full, indent=1))
    write_text(folder / "public.json", json.dumps(public, indent=1))
    schemas = {t: public_schema(schema_of(r)).model_dump(mode="json") for t, r in raws.items()}
    write_text(folder / SCHEMAS_FILE, json.dumps(schemas, indent=1))
    return {"columns": sum(len(v) for v in verdicts.values())}


def _describe(wiring: Wiring, store: ArtifactStore, ref: ArtifactRef) -> dict[str, Any]:
    """Columns of all tables as `table.column` with a tag, their lineage, and the verdicts as a table."""
    schemas = read_schemas(store, ref)
    verdicts = read_verdicts(store, ref)
    public = [(t, v.public()) for t, found in verdicts.items() for v in found]
    columns = [
        dg.TableColumn(
            f"{t}.{v.column}", type=schemas[t].column(v.column).dtype, description=v.entity_type, tags={"pii": v.identifier_class}
        )
        for t, v in public
    ]  # fmt: skip
    sources = {f"{t}.{v.column}": [(wiring.keys.key(wiring.keys.raw(t)), v.column)] for t, v in public}
    counts = {c: sum(v.identifier_class == c for _, v in public) for c in ("direct", "quasi", "sensitive")}
    shown = [
        {
            "table": t, "column": v.column, "entity_type": v.entity_type, "class": v.identifier_class, "confidence": v.confidence,
            "level": v.level, "action": v.recommended_action, "HIPAA": v.hipaa_identifier or "", "GDPR": v.gdpr_category or "",
            "override": "yes" if v.overridden else "", "why": "; ".join(v.evidence[:2]),
        }
        for t, v in public
    ]  # fmt: skip
    return {
        "direct_identifiers": counts["direct"],
        "quasi_identifiers": counts["quasi"],
        "sensitive_columns": counts["sensitive"],
        "table_levels": metadata.rows([{"table": t, "level": table_level(found)} for t, found in verdicts.items()]),
        "verdicts": metadata.rows(shown),
        "dagster/column_schema": dg.TableSchema(columns=columns),
        **metadata.lineage(sources),
    }
