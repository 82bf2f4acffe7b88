"""The audit of the masked tables: risk, k, l, t, information loss, before and after. It informs; the checks of the tables block."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.classification import read_verdicts
from synth_assets.assets.masked import summary_of
from synth_assets.assets.raw import schema_of
from synth_assets.assets.stage import Event, Job, Stage
from synth_assets.assets.wiring import Wiring
from synth_assets.audit.records import read_result
from synth_assets.config.thresholds import AuditConfig
from synth_assets.masking.records import MaskingPlan
from synth_assets.resources import EngineResource, StoreResource
from synth_assets.storage.artifacts import ArtifactRef, ArtifactStore, Zone
from synth_assets.storage.atomic import write_text

VERSION = "1"


def build_masked_audit(wiring: Wiring) -> dg.AssetsDefinition:
    """The asset `<dataset>/audit_masked`."""
    config, keys, asset = wiring.config, wiring.keys, wiring.keys.masked_audit
    section = config.audit.model_dump(mode="json", include={"levels", "weights"})
    spec = wiring.spec(
        asset,
        stage="audit",
        zone=Zone.RESTRICTED,
        section=section,
        version=VERSION,
        kinds={"duckdb"},
        description="What the masked tables still tell of persons (prosecutor, journalist, marketer risk, k, l, t) and what they lost.",
        deps=[*(keys.raw(t) for t in config.tables), keys.classification, *(keys.masked(t) for t in config.tables)],
    )

    @dg.multi_asset(name=f"{config.name}__{asset}", pool=config.name, specs=[spec])
    def audit_masked(
        context: dg.AssetExecutionContext, store: StoreResource, engine: EngineResource
    ) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            raws = {t: stage.read(Zone.RESTRICTED, keys.raw(t)) for t in config.tables}
            masks = {t: stage.read(Zone.MASKED, keys.masked(t)) for t in config.tables}
            verdicts = stage.read(Zone.RESTRICTED, keys.classification)
            inputs = {f"raw_{t}": r.content_hash for t, r in raws.items()} | {"classification": verdicts.content_hash}
            inputs |= {f"masked_{t}": r.content_hash for t, r in masks.items()}
            job = Job(
                Zone.RESTRICTED, asset, inputs, section, VERSION,
                lambda folder: _audit(config.audit, stage.store, raws, masks, verdicts, engine, folder),
            )  # fmt: skip
            events = stage.deliver(job, lambda ref: _describe(stage.store.path(ref)))
        yield from events

    return audit_masked


def _audit(
    settings: AuditConfig,
    store: ArtifactStore,
    raws: Mapping[str, ArtifactRef],
    masks: Mapping[str, ArtifactRef],
    classification: ArtifactRef,
    engine: EngineResource,
    folder: Path,
) -> dict[str, Any]:
    from synth_assets.audit.masked import MaskedInput, audit_masked
    from synth_assets.masking.anonymity.verify import persons_of

    verdicts = read_verdicts(store, classification)
    tables = []
    for name, raw in raws.items():
        summary = summary_of(masks[name])
        plan = MaskingPlan.model_validate(masks[name].info["plan"])
        made = MaskedInput(
            raw=store.path(raw), masked=store.path(masks[name]), schema=schema_of(raw), summary=summary,
            verdicts=verdicts[name], persons=persons_of(plan, summary),
        )  # fmt: skip
        tables.append(made)
    result = audit_masked(tables, engine=engine.open(), levels=settings.levels, weights=settings.weights)
    write_text(folder / "result.json", result.model_dump_json(indent=1))
    write_text(folder / "public.json", result.public().model_dump_json(indent=1))
    return {"tables": len(tables)}


def _describe(folder: Path) -> dict[str, Any]:
    """The scores, and per table its risks before and after; public form, no value of the data."""
    public = read_result(folder / "public.json")
    scores = public.module_scores
    numbers = {
        "overall_score": public.overall_score,
        "privacy_score": scores.privacy,
        "fidelity_score": scores.fidelity,
        "utility_score": scores.utility,
    }
    shown = [
        {
            "table": f.table or "", "figure": f.metric, "column": f.column or "", "raw": "" if f.baseline is None else f.baseline,
            "masked": "" if f.value is None else f.value, "level": f.risk_level,
        }
        for f in public.findings("privacy")
    ]  # fmt: skip
    highest = max((f.value or 0.0 for f in public.findings("privacy", "prosecutor_risk")), default=0.0)
    told = {k: v for k, v in numbers.items() if v is not None}
    return {**told, "reidentification_risk": highest, "risks": metadata.rows(shown)}
