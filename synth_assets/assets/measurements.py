"""Stage 6: noisy counts, the only asset between the data and the marginal model. Budget is reserved before the first read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.release_spec import release_spec, section_of
from synth_assets.assets.split import modelled_columns, roles_of
from synth_assets.assets.stage import CheckOutcome, Event, Job, Stage
from synth_assets.assets.wiring import Wiring
from synth_assets.checks.budget import budget_outcomes, refused_outcomes, scan_outcome
from synth_assets.config.dataset import SynthesizerConfig
from synth_assets.privacy.empirical.records import EmpiricalCheck
from synth_assets.privacy.report import PrivacyReport
from synth_assets.resources import EngineResource, LedgerResource, StoreResource
from synth_assets.storage.artifacts import ArtifactRef, Zone
from synth_assets.storage.atomic import write_text

if TYPE_CHECKING:
    from synth_assets.privacy.budget import BudgetLedger
    from synth_assets.synthesis.charged import Charge
    from synth_assets.synthesis.protocol import ReleaseSpec

VERSION = "1"
PRIVACY_FILE = "privacy.json"
REFUSED_FILE = "refused.json"  # in place of measurements, where the attacks broke the claim; never published
GATES = "empirical"


def build_measurements(wiring: Wiring, synthesizer: SynthesizerConfig) -> dg.AssetsDefinition:
    """The asset `<dataset>/dp_measurements`."""
    config, keys, asset = wiring.config, wiring.keys, wiring.keys.measurements
    section = section_of(wiring, synthesizer) | {"population": config.population}
    spec = wiring.spec(
        asset,
        stage="dp_measurements",
        zone=Zone.RELEASE,
        section=section,
        version=VERSION,
        kinds={"duckdb", "python"},
        description=(
            f"Noisy marginal counts under differential privacy: epsilon {synthesizer.epsilon:g}, delta {synthesizer.delta:g}, charged "
            f"to population `{config.population}`. The only asset between the data and the model."
        ),
        deps=[keys.split],
        gates=GATES,
    )
    checks = [
        wiring.check(
            asset, "budget", "What was spent is within what was asked for and within the population's budget."
        ),
        wiring.check(asset, "accountant", "A second, independent accountant agrees with the claimed epsilon."),
        wiring.check(
            asset, "scan", "What is stored is the public domain, the plan and noisy counts, and nothing else."
        ),
        wiring.check(
            asset, "empirical", "Attacks on the mechanism, before it reads, give no lower bound above the claim."
        ),
    ]

    @dg.multi_asset(name=f"{config.name}__{asset}", specs=[spec], check_specs=checks)
    def dp_measurements(
        context: dg.AssetExecutionContext, store: StoreResource, engine: EngineResource, ledger: LedgerResource
    ) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            split = stage.read(Zone.RESTRICTED, keys.split)
            budget = ledger.open()
            same_history(stage, budget, asset)
            job = Job(
                Zone.RELEASE, asset, {"split": split.content_hash}, section, VERSION,
                lambda folder: _measure(wiring, synthesizer, stage, split, budget, engine, folder),
                lambda folder, _: _outcomes(folder, release_spec(wiring, split, stage.store.path(split)), synthesizer), gates=GATES,
            )  # fmt: skip
            events = stage.deliver(
                job, lambda ref: describe_privacy(wiring, read_privacy(stage.store.path(ref)), ref, budget)
            )
        yield from events

    return dp_measurements


def read_privacy(folder: Path) -> PrivacyReport:
    """The privacy report of a release."""
    return PrivacyReport.model_validate_json((folder / PRIVACY_FILE).read_text())


def _outcomes(folder: Path, spec: "ReleaseSpec", synthesizer: SynthesizerConfig) -> tuple[CheckOutcome, ...]:
    from synth_assets.synthesis.release import plan_release
    from synth_assets.synthesis.scan import scan_measurements

    refused = folder / REFUSED_FILE
    if refused.is_file():
        return refused_outcomes(EmpiricalCheck.model_validate_json(refused.read_text()))
    plan = plan_release(spec, epsilon=synthesizer.epsilon, delta=synthesizer.delta)
    holds = "every byte is accounted for: public domain, plan and noisy counts"
    return (*budget_outcomes(read_privacy(folder)), scan_outcome(scan_measurements(folder, plan), holds))


def same_history(stage: Stage, budget: "BudgetLedger", asset: str) -> None:
    """Refuse to go on where a release of this asset exists and the ledger does not know of having paid for them.

    Raises:
        ReleaseRefusedError: the ledger is new, another one, or older than the release.
    """
    from synth_assets.errors import ReleaseRefusedError

    name = f"{stage.config.name}/{asset}"
    released = stage.store.find(Zone.RELEASE, stage.config.name, asset)
    if released is None:
        return
    population = str(released.info["population"])
    known = budget.status(population).releases if population in budget.populations() else ()
    if not any(r.label == name and r.run_id == released.info["run_id"] and r.outcome == "done" for r in known):
        raise ReleaseRefusedError(
            f"{name} was released before, but the budget ledger knows nothing of it.",
            remedy="Bring back the ledger (var/ledger or the database) from a backup; it is never started afresh beside releases.",
        )


def charge_of(wiring: Wiring, stage: Stage, asset: str, data_version: str) -> "Charge":
    """Who pays for what an asset's step reads."""
    from synth_assets.synthesis.charged import Charge

    config = wiring.config
    return Charge(
        population=config.population,
        unit=config.unit or "row",
        budget_epsilon=config.budget.epsilon,
        budget_delta=config.budget.delta,
        per_release=config.budget.per_release,
        per_dataset=config.budget.per_dataset,
        label=f"{config.name}/{asset}",
        run_id=stage.context.run_id,
        attempt=stage.context.retry_number,
        data_version=data_version,
    )


def _measure(
    wiring: Wiring,
    synthesizer: SynthesizerConfig,
    stage: Stage,
    split: ArtifactRef,
    budget: "BudgetLedger",
    engine: EngineResource,
    folder: Path,
) -> dict[str, Any]:
    from synth_assets.synthesis.charged import measure_charged, prepare

    config = wiring.config
    spec = release_spec(wiring, split, stage.store.path(split))
    charge = charge_of(wiring, stage, wiring.keys.measurements, split.content_hash)
    epsilon, delta = synthesizer.epsilon, synthesizer.delta
    prepared = prepare(spec, epsilon=epsilon, delta=delta, repetitions=engine.settings().audit_repetitions)
    if not prepared.empirical.passed:
        write_text(folder / REFUSED_FILE, prepared.empirical.model_dump_json(indent=1))
        return {}
    report = measure_charged(
        spec, epsilon=epsilon, delta=delta, charge=charge, ledger=budget, engine=engine.open(), out=folder,
        prepared=prepared,
    )  # fmt: skip
    write_text(folder / PRIVACY_FILE, report.model_dump_json(indent=1))
    columns = modelled_columns(roles_of(split))
    return {
        "population": config.population,
        "run_id": stage.context.run_id,
        "columns": columns,
        "spent": json.loads(report.spent.model_dump_json()),
        "measure_seconds": report.seconds,
    }


def describe_privacy(wiring: Wiring, report: PrivacyReport, ref: ArtifactRef, budget: "BudgetLedger") -> dict[str, Any]:
    """What a release under differential privacy shows in Dagster."""
    status = budget.status(report.population)
    return {
        "epsilon_spent": metadata.epsilon(report.spent.epsilon),
        "epsilon_zcdp": metadata.epsilon(report.spent.epsilon_simple),
        **({} if report.empirical is None else {"epsilon_lower_bound": report.empirical.epsilon_lower}),
        "delta": report.spent.delta,
        "privacy_level": report.level,
        "unit_of_privacy": report.unit,
        "budget_left": metadata.left(status.left),
        "budget": status.epsilon,
        "budget_ledger_rows": status.ledger_rows,
        "budget_ledger_head": status.ledger_head,
        "non_dp_inputs": metadata.rows([{"input": i} for i in report.non_dp_inputs]),
        **metadata.columns_from(ref.info["columns"], wiring.keys.key(wiring.keys.split)),
    }
