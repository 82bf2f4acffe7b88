"""What every asset has in common that a DP release charges: the gates, the ledger, and what it shows in Dagster.

What belongs here: the frame around a step that reads for a charge. What does not: what such a step measures or trains.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.release_spec import release_spec, section_of
from synth_assets.assets.split import modelled_columns, roles_of
from synth_assets.assets.stage import CheckOutcome, Event, Job, Stage
from synth_assets.assets.wiring import Wiring
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

PRIVACY_FILE = "privacy.json"
REFUSED_FILE = "refused.json"  # in place of the artifact, where the attacks broke the claim; never published
CHECKS = {
    "budget": "What was spent is within what was asked for and within the population's budget.",
    "accountant": "A second, independent accountant agrees with the claimed epsilon.",
    "empirical": "Attacks on the mechanism, before it reads, give no lower bound above the claim.",
}


@dataclass(frozen=True)
class Reading:
    """One run of a charged step: what it may read, who pays, and with what.

    Attributes:
        wiring: The dataset.
        synthesizer: Whose step it is.
        asset: Name of the asset.
        stage: The run.
        split: The split that it reads.
    """

    wiring: Wiring
    synthesizer: SynthesizerConfig
    asset: str
    stage: Stage
    split: ArtifactRef

    def spec(self) -> "ReleaseSpec":
        """What is released of the split."""
        return release_spec(self.wiring, self.split, self.stage.store.path(self.split))

    def charge(self) -> "Charge":
        """Who pays for what the step reads."""
        return charge_of(self.wiring, self.stage, self.asset, self.split.content_hash)


@dataclass(frozen=True)
class ChargedStep:
    """What differs between charged steps.

    Attributes:
        asset: Name of the asset.
        stage: Its stage.
        version: Of its code.
        kinds: Of Dagster.
        description: Of the asset.
        checks: Name to description of the checks beyond those of `CHECKS`.
        gates: Names of the gates whose rules may change without a new release.
        release: Attacks, charges, reads and writes into a folder; the report, or the check that refused.
        outcomes: The outcomes of the checks of a folder.
    """

    asset: str
    stage: str
    version: str
    kinds: frozenset[str]
    description: str
    checks: Mapping[str, str]
    gates: str
    release: Callable[["Reading", "BudgetLedger", EngineResource, Path], PrivacyReport | EmpiricalCheck]
    outcomes: Callable[["Reading", Path], tuple[CheckOutcome, ...]]


def build_charged(wiring: Wiring, synthesizer: SynthesizerConfig, step: ChargedStep) -> dg.AssetsDefinition:
    """The asset of a charged step, with its blocking checks; the budget is reserved before the first read."""
    config, keys, asset = wiring.config, wiring.keys, step.asset
    section = section_of(wiring, synthesizer) | {"population": config.population}
    spec = wiring.spec(
        asset,
        stage=step.stage,
        zone=Zone.RELEASE,
        section=section,
        version=step.version,
        kinds=set(step.kinds),
        description=step.description,
        deps=[keys.split],
        gates=step.gates,
    )
    checks = [wiring.check(asset, name, text) for name, text in {**CHECKS, **step.checks}.items()]

    @dg.multi_asset(name=f"{config.name}__{asset}", pool=config.name, specs=[spec], check_specs=checks)
    def charged(
        context: dg.AssetExecutionContext, store: StoreResource, engine: EngineResource, ledger: LedgerResource
    ) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            split = stage.read(Zone.RESTRICTED, keys.split)
            budget = ledger.open().fenced(stage.hold.require)
            _same_history(stage, budget, asset)
            reading = Reading(wiring, synthesizer, asset, stage, split)
            job = Job(
                Zone.RELEASE, asset, {"split": split.content_hash}, section, step.version,
                lambda folder: _released(step, reading, budget, engine, folder),
                lambda folder, _: step.outcomes(reading, folder), gates=step.gates,
            )  # fmt: skip
            events = stage.deliver(
                job, lambda ref: _describe_privacy(wiring, read_privacy(stage.store.path(ref)), ref, budget)
            )
        yield from events

    return charged


def _released(
    step: ChargedStep, reading: Reading, budget: "BudgetLedger", engine: EngineResource, folder: Path
) -> dict[str, Any]:
    """Run the step and write its report, or what refused it."""
    made = step.release(reading, budget, engine, folder)
    if isinstance(made, EmpiricalCheck):
        write_text(folder / REFUSED_FILE, made.model_dump_json(indent=1))
        return {}
    write_text(folder / PRIVACY_FILE, made.model_dump_json(indent=1))
    return {
        "population": reading.wiring.config.population,
        "run_id": reading.stage.context.run_id,
        "columns": modelled_columns(roles_of(reading.split)),
        "spent": json.loads(made.spent.model_dump_json()),
    }


def read_privacy(folder: Path) -> PrivacyReport:
    """The privacy report of a release."""
    return PrivacyReport.model_validate_json((folder / PRIVACY_FILE).read_text())


def refused(folder: Path) -> EmpiricalCheck | None:
    """The check that refused the release, where one did."""
    path = folder / REFUSED_FILE
    return EmpiricalCheck.model_validate_json(path.read_text()) if path.is_file() else None


def _same_history(stage: Stage, budget: "BudgetLedger", asset: str) -> None:
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
        alone=True,
    )


def _describe_privacy(
    wiring: Wiring, report: PrivacyReport, ref: ArtifactRef, budget: "BudgetLedger"
) -> dict[str, Any]:
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
