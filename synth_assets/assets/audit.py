"""Stage 9: the audit of each synthesizer's tables and the leaderboard. Thresholds of the YAML are checks, blocking or warning."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.holdout import numbering
from synth_assets.assets.models import zone_of
from synth_assets.assets.release_spec import DOMAIN_KEYS
from synth_assets.assets.split import roles_of
from synth_assets.assets.stage import Event, Job, Stage
from synth_assets.assets.synthetic import table_schema
from synth_assets.assets.wiring import Wiring
from synth_assets.audit.gates import gate_texts
from synth_assets.audit.records import AuditResult, read_result
from synth_assets.checks.thresholds import threshold_outcomes
from synth_assets.config.audited import sequence_of
from synth_assets.config.dataset import DatasetConfig, SynthesizerConfig
from synth_assets.config.plain import shadow_fault
from synth_assets.resources import EngineResource, FormsResource, StoreResource
from synth_assets.seeds import child_seed
from synth_assets.storage.artifacts import ArtifactRef, ArtifactStore, Zone
from synth_assets.storage.atomic import write_bytes, write_text
from synth_assets.storage.hashing import hash_json
from synth_assets.tables.schema import TableSchema

if TYPE_CHECKING:
    from synth_assets.audit.privacy.shadows import ShadowModels

VERSION = "7"
DISTRIBUTIONS, PICTURES, PICTURE = "distributions.json", "pictures.json", "pictures.png"
LEADERBOARD_VERSION = "6"
SHOWN = (
    "rank", "synthesizer", "failed_gates", "overall_score", "privacy_level", "privacy", "utility", "utility_interval", "fidelity",
    "fairness", "risk_interval", "epsilon", "fit_seconds", "sample_seconds", "peak_bytes",
)  # fmt: skip
RULE_KEYS = {"impossible", "contract", "sequence_order"}


def build_audit(wiring: Wiring, synthesizer: SynthesizerConfig) -> dg.AssetsDefinition:
    """The asset `<dataset>/audit_<synthesizer>` with one check per threshold, blocking unless it only warns."""
    config, keys = wiring.config, wiring.keys
    asset = keys.audit(synthesizer.name)
    section = {
        "target": config.target,
        "protected": sorted(config.protected),
        "seed": config.seed,
        "audit": config.audit.model_dump(mode="json"),
        "declared": {t: wiring.declared(t, DOMAIN_KEYS) for t in config.tables},
        "rules": {t: table.model_dump(mode="json", include=RULE_KEYS) for t, table in config.tables.items()},
    }
    gates = config.thresholds.model_dump(mode="json")
    tables = {t: keys.synthetic(synthesizer.name, t) for t in config.tables}
    spec = wiring.spec(
        asset,
        stage="audit",
        zone=Zone.RESTRICTED,
        section=section,
        gates=gates,
        version=VERSION,
        kinds={"scikitlearn", "duckdb"},
        description=f"Fidelity, utility, privacy (with a control group) and fairness of {synthesizer.name}.",
        deps=[*tables.values(), keys.split],
    )
    checks = [
        wiring.check(asset, name, text, blocking=severity == "error")
        for name, (text, severity) in gate_texts(config.thresholds).items()
    ]

    @dg.multi_asset(name=f"{config.name}__{asset}", pool=config.name, specs=[spec], check_specs=checks)
    def audit(
        context: dg.AssetExecutionContext, store: StoreResource, engine: EngineResource, forms: FormsResource
    ) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            split = stage.read(Zone.RESTRICTED, keys.split)
            made_tables = {t: stage.read(Zone.RESTRICTED, name) for t, name in tables.items()}
            inputs = {t: r.content_hash for t, r in made_tables.items()} | {"split": split.content_hash}
            job = Job(
                Zone.RESTRICTED, asset, inputs, section, VERSION,
                lambda folder: _audit(
                    wiring, synthesizer, stage.store, made_tables, split, engine, folder, numbering(stage, split, asset, forms)
                ),
                lambda folder, _: threshold_outcomes(config.thresholds, read_audit(folder)),
                publish_failed=True,
                gates=gates,
            )  # fmt: skip
            events = stage.deliver(job, lambda ref: _describe(stage.store.path(ref), ref))
        yield from events

    return audit


def read_audit(folder: Path) -> AuditResult:
    """The full result; restricted."""
    return read_result(folder / "result.json")


def _audit(
    wiring: Wiring,
    synthesizer: SynthesizerConfig,
    store: ArtifactStore,
    made: Mapping[str, ArtifactRef],
    split: ArtifactRef,
    engine: EngineResource,
    folder: Path,
    number: Callable[[AuditResult], AuditResult],
) -> dict[str, Any]:
    from synth_assets.audit.dataset import TableInput, audit_dataset
    from synth_assets.audit.pictures.counts import count_distributions
    from synth_assets.reports.gallery import small_picture, small_picture_words

    config, roles, source = wiring.config, roles_of(split), store.path(split)
    tables = [
        TableInput(
            name=name,
            synthetic=store.path(made[name]),
            train=source / name / "train",
            holdout=source / name / "holdout",
            schema=table_schema(made[name]),
            columns=roles[name].modelled,
            declared=config.tables[name].columns,
            impossible=config.tables[name].impossible,
            contract=config.tables[name].contract,
            order=sequence_of(config, name)[0],
            units=sequence_of(config, name)[1],
            shadows=_shadows(config, synthesizer, table_schema(made[name])),
        )
        for name in config.tables
    ]
    target = config.locate(config.target, "target") if config.target else None
    result = audit_dataset(
        tables,
        engine=engine.open(),
        target=target,
        protected=tuple(config.locate(p, "protected") for p in config.protected),
        levels=config.audit.levels,
        weights=config.audit.weights,
        limits=config.audit.limits,
        seed=child_seed(config.seed, "audit"),
    )
    fault = shadow_fault(synthesizer.name, len(config.tables)) if config.audit.shadow_models else None
    if fault is not None:
        result = result.model_copy(update={"reasons": {**result.reasons, "privacy.shadow_models": fault}})
    result = number(result)  # counted before anything is stored that a person may see
    write_text(folder / "result.json", result.model_dump_json(indent=1))
    write_text(folder / "public.json", result.public().model_dump_json(indent=1))
    counts = count_distributions(
        tables, engine=engine.open(), target=target, limits=config.audit.limits, seed=child_seed(config.seed, "audit")
    )
    shown = counts.public()
    write_text(folder / DISTRIBUTIONS, counts.model_dump_json())
    write_text(folder / PICTURES, shown.model_dump_json(indent=1))
    write_bytes(folder / PICTURE, small_picture(shown))
    return {"synthetic": {t: r.content_hash for t, r in made.items()}, "words": small_picture_words(shown)}


def _shadows(config: DatasetConfig, synthesizer: SynthesizerConfig, schema: TableSchema) -> "ShadowModels | None":
    """How shadow models are trained, where the YAML asks for them and the synthesizer can be trained for an attack."""
    from synth_assets.audit.privacy.shadows import ShadowModels
    from synth_assets.synthesis.shadowing import resynthesizer

    if not config.audit.shadow_models or shadow_fault(synthesizer.name, len(config.tables)) is not None:
        return None
    train = resynthesizer(synthesizer, schema, config.tables[schema.name].columns)
    return ShadowModels(train, config.audit.shadow_models)


def _describe(folder: Path, ref: ArtifactRef) -> dict[str, Any]:
    """The few stable numbers that plot over time, the findings that decide, and the distributions that are least alike."""
    public = read_audit(folder).public()
    figures, scores = public.figures, public.module_scores
    numbers = {
        "overall_score": public.overall_score,
        "privacy_score": scores.privacy,
        "fidelity_score": scores.fidelity,
        "utility_score": scores.utility,
        "fairness_score": scores.fairness,
        "privacy_risk": figures.privacy_risk,
        "utility_gap": figures.utility_gap,
        "fairness_gap": figures.fairness_gap,
        "quality_score": figures.quality_score,
        "holdout_forms": public.inputs.holdout_forms,
    }
    shown = [
        {"module": m, "level": f.risk_level, "message": f.message, "table": f.table or ""}
        for m, found in public.detailed_findings.items()
        for f in found.findings
        if f.decides and f.column is None
    ]
    blocked = any(c["blocking"] and not c["passed"] for c in ref.info["checks"])  # then no table names these groups
    drawn = None if blocked else metadata.picture((folder / PICTURE).read_bytes(), ref.info["words"])
    told = {k: v for k, v in numbers.items() if v is not None}
    return {**told, "findings": metadata.rows(shown), **({"distributions": drawn} if drawn is not None else {})}


def build_leaderboard(wiring: Wiring) -> dg.AssetsDefinition:
    """The asset `<dataset>/leaderboard`."""
    config, keys, asset = wiring.config, wiring.keys, wiring.keys.leaderboard
    section = {"synthesizers": [s.model_dump(mode="json") for s in config.synthesizers]}
    spec = wiring.spec(
        asset,
        stage="leaderboard",
        zone=Zone.RESTRICTED,
        section=section,
        version=LEADERBOARD_VERSION,
        kinds={"python"},
        description="The dataset's synthesizers side by side, and which one is recommended, with reasons.",
        deps=[*(keys.audit(s.name) for s in config.synthesizers), *(keys.model(s.name) for s in config.synthesizers)],
    )

    @dg.multi_asset(name=f"{config.name}__{asset}", pool=config.name, specs=[spec])
    def leaderboard(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            audits: dict[str, ArtifactRef] = {}
            failed: dict[str, tuple[str, ...]] = {}
            for s in config.synthesizers:
                audits[s.name], failed[s.name] = stage.read_judged(Zone.RESTRICTED, keys.audit(s.name))
            models: dict[str, ArtifactRef] = {
                s.name: stage.read(zone_of(s), keys.model(s.name)) for s in config.synthesizers
            }
            inputs = {n: r.content_hash for n, r in audits.items()}
            inputs |= {f"failed gates of {n}": hash_json(gates) for n, gates in failed.items() if gates}
            job = Job(
                Zone.RESTRICTED, asset, inputs, section, LEADERBOARD_VERSION,
                lambda folder: _rank(wiring, stage.store, audits, failed, models, folder),
            )  # fmt: skip
            events = stage.deliver(job, lambda ref: _board(stage.store.path(ref), ref))
        yield from events

    return leaderboard


def _board(folder: Path, ref: ArtifactRef) -> dict[str, Any]:
    """The table without nested cells, and utility against risk as a picture."""
    board = ref.info["board"]
    shown = [{column: _cell(column, row.get(column)) for column in SHOWN} for row in board["rows"]]
    drawn = metadata.picture((folder / PICTURE).read_bytes(), ref.info["words"])
    told = {"recommended": board["recommended"] or "none", "board": metadata.rows(shown)}
    return {**told, **({"utility_and_risk": drawn} if drawn is not None else {})}


def _cell(column: str, value: Any) -> str | int | float | bool:
    if value is None:
        return ""
    if isinstance(value, list):
        return (" to " if column.endswith("_interval") else ", ").join(map(str, value))
    return metadata.epsilon(value) if column == "epsilon" else cast("str | int | float | bool", value)


def _rank(
    wiring: Wiring,
    store: ArtifactStore,
    audits: Mapping[str, ArtifactRef],
    failed: Mapping[str, tuple[str, ...]],
    models: Mapping[str, ArtifactRef],
    folder: Path,
) -> dict[str, Any]:
    from synth_assets.audit.leaderboard import FitCost, rank
    from synth_assets.reports.gallery import board_png, board_words

    results = {name: read_audit(store.path(ref)) for name, ref in audits.items()}
    costs: dict[str, FitCost] = {}
    for synthesizer in wiring.config.synthesizers:
        model = models[synthesizer.name].info
        sampled = [
            store.find(Zone.RESTRICTED, wiring.config.name, wiring.keys.synthetic(synthesizer.name, t))
            for t in wiring.config.tables
        ]
        costs[synthesizer.name] = FitCost(
            fit_seconds=model["seconds"] + model.get("measure_seconds", 0.0),
            sample_seconds=sum(ref.info["seconds"] for ref in sampled if ref is not None),
            peak_bytes=model["peak_bytes"],
            epsilon=model.get("spent", {}).get("epsilon"),
        )
    board = rank(results, costs, failed)
    write_text(folder / "result.json", board.model_dump_json(indent=1))
    write_text(folder / "public.json", board.public().model_dump_json(indent=1))
    public = board.public()
    write_bytes(folder / PICTURE, board_png(public, next(iter(results.values())).levels.membership))
    told = {"recommended": public.recommended, "rows": [r.model_dump(mode="json") for r in public.rows]}
    return {"board": told, "words": board_words(public)}
