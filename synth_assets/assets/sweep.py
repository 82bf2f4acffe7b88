"""Stage 6c: trials of dp_marginals over epsilon, all charged before the first one reads. Their scores are of real rows: restricted."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.charged import charge_of
from synth_assets.assets.holdout import numbering
from synth_assets.assets.release_spec import DOMAIN_KEYS, release_spec, section_of
from synth_assets.assets.split import roles_of, schemas_of
from synth_assets.assets.stage import Event, Job, Stage
from synth_assets.assets.wiring import Wiring
from synth_assets.config.audited import sequence_of
from synth_assets.config.dataset import SynthesizerConfig
from synth_assets.config.sweep import SweepConfig
from synth_assets.resources import EngineResource, FormsResource, LedgerResource, StoreResource
from synth_assets.seeds import child_seed
from synth_assets.storage.artifacts import ArtifactRef, Zone
from synth_assets.storage.atomic import write_bytes, write_text

if TYPE_CHECKING:
    from synth_assets.audit.records import AuditResult
    from synth_assets.privacy.budget import BudgetLedger
    from synth_assets.privacy.records import Event as ChargedEvent
    from synth_assets.synthesis.sweep import Measured

VERSION = "1"
RESULT, PICTURE, PAGE = "result.json", "sweep.png", "sweep.html"


def build_sweep(wiring: Wiring, sweep: SweepConfig) -> dg.AssetsDefinition:
    """The asset `<dataset>/privacy_sweep`."""
    config, keys, asset = wiring.config, wiring.keys, wiring.keys.sweep
    method = next((s for s in config.synthesizers if s.name == "dp_marginals"), SynthesizerConfig(name="dp_marginals"))
    # without `audit:`, by which it is judged: another one would measure every trial again, and charge it
    section = section_of(wiring, method) | {
        "population": config.population,
        "sweep": sweep.model_dump(mode="json"),
        "seed": config.seed,
        "protected": sorted(config.protected),
        "declared": {t: wiring.declared(t, DOMAIN_KEYS) for t in config.tables},
    }
    trials = len(sweep.epsilons) * sweep.releases
    spec = wiring.spec(
        asset,
        stage="privacy_sweep",
        zone=Zone.RESTRICTED,
        section=section,
        version=VERSION,
        kinds={"duckdb", "scikitlearn"},
        description=(
            f"Fidelity, utility and attack over epsilon ({', '.join(f'{e:g}' for e in sweep.epsilons)}): {trials} trials of "
            f"dp_marginals, all charged to population `{config.population}` before the first one reads."
        ),
        deps=[keys.split],
    )

    @dg.multi_asset(name=f"{config.name}__{asset}", pool=config.name, specs=[spec])
    def privacy_sweep(
        context: dg.AssetExecutionContext,
        store: StoreResource,
        engine: EngineResource,
        ledger: LedgerResource,
        forms: FormsResource,
    ) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            split = stage.read(Zone.RESTRICTED, keys.split)
            job = Job(
                Zone.RESTRICTED, asset, {"split": split.content_hash}, section, VERSION,
                lambda folder: _sweep(
                    wiring, sweep, method.delta, stage, split, ledger.open().fenced(stage.hold.require), engine, folder,
                    numbering(stage, split, asset, forms),
                ),
            )  # fmt: skip
            events = stage.deliver(job, lambda ref: _describe(stage.store.path(ref), ref, stage.store.location(ref)))
        yield from events

    return privacy_sweep


def _sweep(
    wiring: Wiring,
    sweep: SweepConfig,
    delta: float,
    stage: Stage,
    split: ArtifactRef,
    budget: "BudgetLedger",
    engine: EngineResource,
    folder: Path,
    number: Callable[["AuditResult"], "AuditResult"],
) -> dict[str, Any]:
    """Reserve, measure, fit, sample and audit every trial; write figures, picture and page."""
    from synth_assets.audit.sweep import SweepResult, SweepTrial, scored
    from synth_assets.privacy.budget_rules import together
    from synth_assets.reports.sweep_plot import sweep_over_epsilon, sweep_page, sweep_words
    from synth_assets.synthesis.sweep import sweep_charged

    config = wiring.config
    trials: list[SweepTrial] = []
    charged: list[tuple[ChargedEvent, ...]] = []
    looks: int | None = None
    spec = release_spec(wiring, split, stage.store.path(split))
    charge = charge_of(wiring, stage, wiring.keys.sweep, split.content_hash)
    with stage.store.staging(config.name) as scratch:
        for trial in sweep_charged(
            spec, epsilons=sweep.epsilons, releases=sweep.releases, delta=delta, charge=charge, ledger=budget,
            engine=engine.open(), out=scratch / "measured", repetitions=engine.settings().audit_repetitions,
            progress=stage.context.log.info,
        ):  # fmt: skip
            audit = _judged(wiring, trial, split, stage.store.path(split), engine, scratch / f"trial-{len(trials)}")
            looks = number(audit).inputs.holdout_forms  # each trial's scores are a look at the hold-out
            trials.append(scored(audit, epsilon=trial.epsilon, release=trial.release, spent=trial.report.spent.epsilon))
            charged.append(trial.planned)
    result = SweepResult(
        dataset=config.name, delta=delta, population=config.population, charged=together(charged, config.budget.delta),
        trials=tuple(trials),
    )  # fmt: skip
    picture = sweep_over_epsilon(result)
    write_text(folder / RESULT, result.model_dump_json(indent=1))
    write_bytes(folder / PICTURE, picture)
    write_text(folder / PAGE, sweep_page(result, picture))
    return {"charged": result.charged, "trials": len(trials), "holdout_forms": looks, "words": sweep_words(result)}


def _judged(
    wiring: Wiring, trial: "Measured", split: ArtifactRef, source: Path, engine: EngineResource, scratch: Path
) -> "AuditResult":
    """The audit of one trial's sample, as the chain audits its releases."""
    from synth_assets.audit.dataset import TableInput, audit_dataset
    from synth_assets.synthesis.release import fit_release

    config, roles, schemas = wiring.config, roles_of(split), schemas_of(split)
    seed = child_seed(config.seed, "sweep", f"{trial.epsilon:g}", str(trial.release))
    model = fit_release(trial.tables, seed=child_seed(seed, "fit"))
    sampled = model.sample(rows=None, seed=child_seed(seed, "sample"), out=scratch)
    tables = []
    for name in config.tables:
        kept = tuple(c for c in schemas[name].columns if c.name in {*roles[name].keys, *roles[name].modelled})
        tables.append(
            TableInput(
                name=name,
                synthetic=sampled[name],
                train=source / name / "train",
                holdout=source / name / "holdout",
                schema=schemas[name].model_copy(update={"columns": kept}),
                columns=roles[name].modelled,
                declared=config.tables[name].columns,
                impossible=config.tables[name].impossible,
                contract=config.tables[name].contract,
                order=sequence_of(config, name)[0],
                units=sequence_of(config, name)[1],
            )
        )
    return audit_dataset(
        tables,
        engine=engine.open(),
        target=config.locate(config.target, "target") if config.target else None,
        protected=tuple(config.locate(p, "protected") for p in config.protected),
        levels=config.audit.levels,
        weights=config.audit.weights,
        limits=config.audit.limits,
        seed=child_seed(config.seed, "audit"),
    )


def _describe(folder: Path, ref: ArtifactRef, location: str) -> dict[str, Any]:
    """Rounded figures, and the picture with its words."""
    from synth_assets.audit.sweep import SweepResult

    result = SweepResult.model_validate_json((folder / RESULT).read_text())
    shown = metadata.picture((folder / PICTURE).read_bytes(), ref.info["words"])
    rows = [
        {"epsilon": f"{t.epsilon:g}", "trial": str(t.release)}
        | {
            k: "" if v is None else f"{v:.2f}"
            for k, v in (("fidelity", t.fidelity), ("utility", t.utility), ("attack", t.attack))
        }
        for t in result.trials
    ]
    return {
        "epsilon_of_sweep": metadata.epsilon(ref.info["charged"]),
        "trials": ref.info["trials"],
        **({"holdout_forms": ref.info["holdout_forms"]} if "holdout_forms" in ref.info else {}),
        "scores": metadata.rows(rows),
        "page": dg.MetadataValue.path(f"{location}/{PAGE}"),
        **({"over_epsilon": shown} if shown is not None else {}),
    }
