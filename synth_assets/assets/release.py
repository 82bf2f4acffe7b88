"""Stages 10 and 11: the report and the exports, the only assets that write tables into the release zone.

An export proves what it releases: the tables have a passing audit that speaks of exactly this content. The report is made of public
forms only.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.audit import PICTURES
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.stage import Event, Job, Stage
from synth_assets.assets.synthetic import table_schema
from synth_assets.assets.variants import exportable, proven_variant
from synth_assets.assets.wiring import Wiring
from synth_assets.config.dataset import SynthesizerConfig
from synth_assets.errors import ReleaseRefusedError
from synth_assets.resources import EngineResource, KeyResource, StoreResource
from synth_assets.storage.artifacts import ArtifactRef, ArtifactStore, Zone
from synth_assets.storage.atomic import write_text
from synth_assets.storage.hashing import hash_json

VERSION = "1"
REPORT_VERSION = "4"
REPORT_FILE = "report.html"


def build_report(wiring: Wiring) -> dg.AssetsDefinition:
    """The asset `<dataset>/report`: one HTML file that opens offline."""
    config, asset = wiring.config, wiring.keys.report
    parents = _report_parents(wiring)
    section = {
        "description": config.description,
        "policy": config.policy,
        "unit": config.unit,
        "population": config.population,
    }
    spec = wiring.spec(
        asset,
        stage="report",
        zone=Zone.RELEASE,
        section=section,
        version=REPORT_VERSION,
        kinds={"html"},
        description="Data card, model cards, privacy report and audit in plain words; public forms only.",
        deps=list(parents),
    )

    @dg.multi_asset(name=f"{config.name}__{asset}", pool=config.name, specs=[spec])
    def report(context: dg.AssetExecutionContext, store: StoreResource, key: KeyResource) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            audits = {wiring.keys.audit(s.name) for s in config.synthesizers}
            refs = {name: stage.read(zone, name) for name, zone in parents.items() if name not in audits}
            refs |= {name: stage.read_judged(Zone.RESTRICTED, name)[0] for name in audits}  # a reader needs to know why
            development = key.open().development
            inputs = {n: r.content_hash for n, r in refs.items()} | {"development_key": str(development)}
            inputs |= {f"checks of {n}": hash_json(r.info["checks"]) for n, r in refs.items()}
            job = Job(
                Zone.RELEASE, asset, inputs, section, REPORT_VERSION,
                lambda folder: _render(wiring, stage, refs, folder, development=development),
            )  # fmt: skip
            events = stage.deliver(job, lambda ref: _describe_report(stage.store.location(ref), ref))
        yield from events

    return report


def _describe_report(location: str, ref: ArtifactRef) -> dict[str, Any]:
    return {"report": dg.MetadataValue.path(f"{location}/{REPORT_FILE}"), "report_bytes": ref.info["bytes"]}


def _report_parents(wiring: Wiring) -> dict[str, Zone]:
    """Everything the report tells about, with the zone it lives in."""
    config, keys = wiring.config, wiring.keys
    parents = {keys.raw(t): Zone.RESTRICTED for t in config.tables}
    parents |= {keys.profile: Zone.RESTRICTED, keys.classification: Zone.RESTRICTED}
    parents |= {keys.masked(t): Zone.MASKED for t in config.tables} | {keys.masked_audit: Zone.RESTRICTED}
    parents |= dict.fromkeys(keys.charged, Zone.RELEASE)
    parents |= {keys.model(s.name): Zone.RELEASE for s in config.synthesizers if s.differentially_private}
    parents |= {keys.audit(s.name): Zone.RESTRICTED for s in config.synthesizers}
    return {**parents, keys.leaderboard: Zone.RESTRICTED}


def _render(
    wiring: Wiring, stage: Stage, refs: Mapping[str, ArtifactRef], folder: Path, *, development: bool
) -> dict[str, Any]:
    from synth_assets.reports.dataset_report import ReportInput, render

    config, keys, store = wiring.config, wiring.keys, stage.store
    head = stage.records.ledger.head()

    def read(name: str, file: str = "public.json") -> Any:
        return json.loads((store.path(refs[name]) / file).read_text())

    data = ReportInput.model_validate(
        {
            "dataset": config.name,
            "description": config.description,
            "policy": config.policy,
            "unit": config.unit,
            "population": config.population,
            "target": config.target,
            "protected": list(config.protected),
            "development_key": development,
            "contracts": {t: refs[keys.raw(t)].info["checks"] for t in config.tables},
            "profiles": read(keys.profile),
            "verdicts": read(keys.classification),
            "masks": {t: read(keys.masked(t), "summary.json") for t in config.tables},
            "mask_checks": {t: refs[keys.masked(t)].info["checks"] for t in config.tables},
            "mask_audit": read(keys.masked_audit),
            "privacy": [read(asset, "privacy.json") for asset in keys.charged],
            "audits": {s.name: read(keys.audit(s.name)) for s in config.synthesizers},
            "gates": {
                s.name: [
                    *(refs[keys.model(s.name)].info["checks"] if s.differentially_private else ()),
                    *refs[keys.audit(s.name)].info["checks"],
                ]
                for s in config.synthesizers
            },
            "leaderboard": read(keys.leaderboard),
            "pictures": {name: read(keys.audit(name), PICTURES) for name in _drawn(wiring, refs)},
            "lineage": _lineage(wiring, refs),
            "audit_entries": None if head is None else head.position,
            "audit_head": None if head is None else head.hash,
        }
    )
    html = render(data)
    write_text(folder / REPORT_FILE, html)
    return {"bytes": len(html.encode())}


def _drawn(wiring: Wiring, refs: Mapping[str, ArtifactRef]) -> list[str]:
    """Synthesizers whose tables may be released: only beside these may a picture name groups of real people (docs/adr/0011)."""
    blocked = {
        s.name
        for s in wiring.config.synthesizers
        for asset in (wiring.keys.audit(s.name), *((wiring.keys.model(s.name),) if s.differentially_private else ()))
        if any(c["blocking"] and not c["passed"] for c in refs[asset].info["checks"])
    }
    return [s.name for s in wiring.config.synthesizers if s.name not in blocked]


def _lineage(wiring: Wiring, refs: Mapping[str, ArtifactRef]) -> list[dict[str, Any]]:
    """The artifacts behind the report, each with what it was made from."""
    config, keys = wiring.config, wiring.keys
    raws = [keys.raw(t) for t in config.tables]
    parents: dict[str, list[str]] = {keys.classification: raws, keys.profile: [*raws, keys.classification]}
    parents |= {keys.masked(t): [keys.raw(t), keys.classification] for t in config.tables}
    parents[keys.masked_audit] = [*raws, *(keys.masked(t) for t in config.tables)]
    parents[keys.measurements] = [keys.split]
    for s in config.synthesizers:
        measured = s.differentially_private and not s.trained_on_rows
        parents[keys.model(s.name)] = [keys.measurements if measured else keys.split]
        parents[keys.audit(s.name)] = [*(keys.synthetic(s.name, t) for t in config.tables), keys.split]
    parents[keys.leaderboard] = [keys.audit(s.name) for s in config.synthesizers]
    order = [*raws, *parents]
    return [
        {"asset": n, "zone": r.zone.value, "version": r.content_hash[:12], "made_from": parents.get(n, [])}
        for n, r in sorted(refs.items(), key=lambda item: order.index(item[0]))
    ]


def build_export(wiring: Wiring, fmt: str) -> dg.AssetsDefinition:
    """The asset `<dataset>/export_<format>`: the synthetic tables that passed their audit, in one file format."""
    config, keys, asset = wiring.config, wiring.keys, wiring.keys.export(fmt)
    section = {"format": fmt, "synthesizers": [s.name for s in config.synthesizers]}
    variants = exportable(config)
    section |= {"variants": list(variants)} if variants else {}
    audits = [keys.audit(s.name) for s in config.synthesizers]
    tables = [keys.synthetic(s.name, t) for s in config.synthesizers for t in config.tables]
    tables += [keys.variant(v, t) for v in variants for t in config.tables]
    spec = wiring.spec(
        asset,
        stage="export",
        zone=Zone.RELEASE,
        section=section,
        version=VERSION,
        kinds={"parquet" if fmt == "parquet" else "file"},
        description=f"The synthetic tables that passed their audit, as {fmt}.",
        deps=[*tables, *audits, keys.leaderboard],
    )

    @dg.multi_asset(name=f"{config.name}__{asset}", pool=config.name, specs=[spec])
    def export(
        context: dg.AssetExecutionContext, store: StoreResource, engine: EngineResource, key: KeyResource
    ) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            released: dict[str, Mapping[str, ArtifactRef]] = {
                s.name: proven_tables(stage, wiring, s) for s in config.synthesizers
            }
            released |= {f"variant_{v}": proven_variant(stage, wiring, v, released["dp_marginals"]) for v in variants}
            development = key.open().development
            inputs = {f"{s}/{t}": ref.content_hash for s, made in released.items() for t, ref in made.items()}
            job = Job(
                Zone.RELEASE, asset, inputs | {"development_key": str(development)}, section, VERSION,
                lambda folder: _export(wiring, stage.store, released, fmt, engine, folder, development=development),
            )  # fmt: skip
            events = stage.deliver(job, lambda ref: _describe(wiring, released, ref))
        yield from events

    return export


def proven_tables(stage: Stage, wiring: Wiring, synthesizer: SynthesizerConfig) -> dict[str, ArtifactRef]:
    """The tables of one synthesizer, if a passing audit speaks of exactly this content.

    Raises:
        ReleaseRefusedError: the audit is of other tables.
    """
    audit = stage.read(Zone.RESTRICTED, wiring.keys.audit(synthesizer.name))
    tables = {t: stage.read(Zone.RESTRICTED, wiring.keys.synthetic(synthesizer.name, t)) for t in wiring.config.tables}
    if audit.info["synthetic"] != {t: r.content_hash for t, r in tables.items()}:
        raise ReleaseRefusedError(
            f"the audit of {synthesizer.name} is of other tables than the ones to be released.",
            remedy=f"Materialise {wiring.config.name}/{wiring.keys.audit(synthesizer.name)} again.",
        )
    return tables


def _export(
    wiring: Wiring,
    store: ArtifactStore,
    released: Mapping[str, Mapping[str, ArtifactRef]],
    fmt: str,
    engine: EngineResource,
    folder: Path,
    *,
    development: bool,
) -> dict[str, Any]:
    from synth_assets.exports.formats import write_table

    private: dict[str, bool] = {s.name: s.differentially_private for s in wiring.config.synthesizers}
    rows = 0
    for name, tables in released.items():
        variant = wiring.config.variants.get(name.removeprefix("variant_")) if name not in private else None
        asked = {} if variant is None else variant.model_dump(mode="json", exclude_defaults=True)
        for table, ref in tables.items():
            provenance = {
                "synthetic": True,
                "dataset": wiring.config.name,
                "table": table,
                "synthesizer": name if variant is None else "dp_marginals",
                "differentially_private": private[name] if variant is None else True,
                **asked,
                "content_hash": ref.content_hash,
                "development_key": development,
            }
            out = folder / name / f"{table}.{fmt}"
            write_table(store.path(ref), out, schema=table_schema(ref), engine=engine.open(), provenance=provenance)
            rows += int(ref.info["row_count"])
    return {
        "row_count": rows,
        "files": sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()),
    }


def _describe(wiring: Wiring, released: Mapping[str, Mapping[str, ArtifactRef]], ref: ArtifactRef) -> dict[str, Any]:
    columns, sources = [], {}
    for synthesizer, tables in released.items():
        for table, made in tables.items():
            for column in table_schema(made).columns:
                name = f"{synthesizer}.{table}.{column.name}"
                columns.append(dg.TableColumn(name, type=column.dtype))
                sources[name] = [(wiring.keys.key(made.asset), column.name)]
    return {
        "dagster/row_count": ref.info["row_count"],
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "files": metadata.rows([{"file": f} for f in ref.info["files"]]),
        **metadata.lineage(sources),
    }
