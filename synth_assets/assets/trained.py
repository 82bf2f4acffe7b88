"""Stage 7, networks: a model trained on the split by DP-SGD. Budget is reserved before the first read; its checks block."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.measurements import (
    PRIVACY_FILE,
    REFUSED_FILE,
    charge_of,
    describe_privacy,
    read_privacy,
    same_history,
)
from synth_assets.assets.release_spec import release_spec, section_of
from synth_assets.assets.split import modelled_columns, roles_of
from synth_assets.assets.stage import CheckOutcome, Event, Job, Stage
from synth_assets.assets.wiring import Wiring
from synth_assets.checks.budget import budget_outcomes, canary_outcome, refused_outcomes, scan_outcome
from synth_assets.config.dataset import SynthesizerConfig
from synth_assets.privacy.empirical.records import EmpiricalCheck
from synth_assets.resources import EngineResource, LedgerResource, StoreResource
from synth_assets.seeds import child_seed
from synth_assets.storage.artifacts import ArtifactRef, Zone
from synth_assets.storage.atomic import write_text

if TYPE_CHECKING:
    from synth_assets.privacy.budget import BudgetLedger
    from synth_assets.synthesis.charged_training import TrainingJob

VERSION = "1"
TRAINED_GATES = "empirical, canaries"


def build_trained(wiring: Wiring, synthesizer: SynthesizerConfig) -> dg.AssetsDefinition:
    """The asset `<dataset>/model_<synthesizer>` of a network."""
    asset, config, keys = wiring.keys.model(synthesizer.name), wiring.config, wiring.keys
    section = section_of(wiring, synthesizer) | {"population": config.population}
    spec = wiring.spec(
        asset,
        stage="model",
        zone=Zone.RELEASE,
        section=section,
        version=VERSION,
        kinds={"pytorch", "python"},
        description=(
            f"Network trained by DP-SGD on the split: epsilon {synthesizer.epsilon:g}, delta {synthesizer.delta:g}, charged to "
            f"population `{config.population}`. It reads rows, but nothing leaves the training without noise."
        ),
        deps=[keys.split],
        gates=TRAINED_GATES,
    )
    checks = [
        wiring.check(
            asset, "budget", "What was spent is within what was asked for and within the population's budget."
        ),
        wiring.check(asset, "accountant", "A second, independent accountant agrees with the claimed epsilon."),
        wiring.check(
            asset, "empirical", "Attacks on the mechanism, before it reads, give no lower bound above the claim."
        ),
        wiring.check(
            asset, "canaries", "Canaries in the training show no epsilon above the claim in its noisy gradients."
        ),
        wiring.check(asset, "scan", "The stored network is weights, noisy shares and public cells, and nothing else."),
    ]

    @dg.multi_asset(name=f"{config.name}__{asset}", specs=[spec], check_specs=checks)
    def model(
        context: dg.AssetExecutionContext, store: StoreResource, engine: EngineResource, ledger: LedgerResource
    ) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            split = stage.read(Zone.RESTRICTED, keys.split)
            budget = ledger.open()
            same_history(stage, budget, asset)
            job = Job(
                Zone.RELEASE, asset, {"split": split.content_hash}, section, VERSION,
                lambda folder: _train(wiring, synthesizer, stage, split, budget, engine, folder),
                lambda folder, _: _outcomes(folder, _job(wiring, synthesizer, stage, split)), gates=TRAINED_GATES,
            )  # fmt: skip
            events = stage.deliver(
                job, lambda ref: describe_privacy(wiring, read_privacy(stage.store.path(ref)), ref, budget)
            )
        yield from events

    return model


def _job(wiring: Wiring, synthesizer: SynthesizerConfig, stage: Stage, split: ArtifactRef) -> "TrainingJob":
    from synth_assets.synthesis.charged_training import TrainingJob
    from synth_assets.synthesis.dpsgd.options import method_of, training_options

    method = method_of(synthesizer.name)
    return TrainingJob(
        method=method,
        spec=release_spec(wiring, split, stage.store.path(split)),
        epsilon=synthesizer.epsilon,
        delta=synthesizer.delta,
        options=training_options(method, synthesizer.training),
        seed=child_seed(wiring.config.seed, wiring.keys.model(synthesizer.name)),
    )


def _outcomes(folder: Path, job: "TrainingJob") -> tuple[CheckOutcome, ...]:
    """The checks of what was charged, or of what the attacks refused."""
    from synth_assets.synthesis.charged_training import planned
    from synth_assets.synthesis.scan_training import scan_trained

    refused = folder / REFUSED_FILE
    if refused.is_file():
        check = EmpiricalCheck.model_validate_json(refused.read_text())
        return (*refused_outcomes(check), canary_outcome((), "nothing was trained"))
    holds = "every byte is accounted for: public cells, noisy shares, and weights of the planned shapes"
    report = read_privacy(folder)
    canaries = canary_outcome(report.canaries, "was trained by an earlier version, without canaries")
    return (*budget_outcomes(report), canaries, scan_outcome(scan_trained(folder, planned(job)), holds))


def _train(
    wiring: Wiring,
    synthesizer: SynthesizerConfig,
    stage: Stage,
    split: ArtifactRef,
    budget: "BudgetLedger",
    engine: EngineResource,
    folder: Path,
) -> dict[str, Any]:
    from synth_assets.synthesis.charged_training import prepare_training, train_charged

    asset = wiring.keys.model(synthesizer.name)
    job = _job(wiring, synthesizer, stage, split)
    prepared = prepare_training(job, repetitions=engine.settings().audit_repetitions)
    if not prepared.empirical.passed:
        write_text(folder / REFUSED_FILE, prepared.empirical.model_dump_json(indent=1))
        return {}
    report = train_charged(
        job,
        prepared=prepared,
        charge=charge_of(wiring, stage, asset, split.content_hash),
        ledger=budget,
        engine=engine.open(),
        out=folder,
        progress=lambda what, fraction: stage.context.log.info("%s (%.0f %%)", what, 100 * fraction),
    )
    write_text(folder / PRIVACY_FILE, report.model_dump_json(indent=1))
    return {
        "population": wiring.config.population,
        "run_id": stage.context.run_id,
        "columns": modelled_columns(roles_of(split)),
        "spent": json.loads(report.spent.model_dump_json()),
    }
