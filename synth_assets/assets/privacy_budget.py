"""Stage 6b: where the population's budget stands after the release, over time, and whether the ledger is what was written."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.stage import CheckOutcome, Event, Job, Stage
from synth_assets.assets.wiring import Wiring
from synth_assets.privacy.records import LedgerVerdict
from synth_assets.resources import BudgetViewResource, StoreResource
from synth_assets.storage.artifacts import ArtifactRef, Zone
from synth_assets.storage.atomic import write_bytes, write_text

if TYPE_CHECKING:
    from synth_assets.privacy.budget_view import BudgetView

VERSION = "1"
PICTURE = "budget.png"


def build_privacy_budget(wiring: Wiring) -> dg.AssetsDefinition:
    """The asset `<dataset>/privacy_budget`."""
    config, keys, asset = wiring.config, wiring.keys, wiring.keys.budget
    section = {"population": config.population}
    spec = wiring.spec(
        asset,
        stage="privacy_budget",
        zone=Zone.RESTRICTED,
        section=section,
        version=VERSION,
        kinds={"python"},
        description=(
            f"What is spent, reserved and left of the privacy budget of population `{config.population}`, over all of its releases and "
            "over time. Reads the ledger, no data."
        ),
        deps=[*keys.charged, *([keys.sweep] if config.sweep is not None else [])],  # after all that spends
    )
    checks = [
        wiring.check(
            asset,
            "ledger",
            "No row of the budget ledger was changed, removed or put in, and it knows the heads of the releases.",
        ),
        wiring.check(asset, "within", "What is counted is within the budget."),
    ]

    @dg.multi_asset(name=f"{config.name}__{asset}", pool=config.name, specs=[spec], check_specs=checks)
    def privacy_budget(
        context: dg.AssetExecutionContext, store: StoreResource, budget_view: BudgetViewResource
    ) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            released = {name: stage.read(Zone.RELEASE, name) for name in keys.charged}
            heads = [_head(stage, ref) for ref in released.values()]
            view = budget_view.open()
            verdict = view.verify([h for h in heads if h])
            inputs = {name: ref.content_hash for name, ref in released.items()}
            job = Job(
                Zone.RESTRICTED, asset, inputs | {"ledger": verdict.head}, section, VERSION,
                lambda folder: _look(config.population, view, folder),
                lambda _, info: _outcomes(info, verdict),
                gates=verdict.model_dump(mode="json", exclude={"ledger"}),  # a changed ledger is judged again
            )  # fmt: skip
            events = stage.deliver(job, lambda ref: _describe(stage.store.path(ref), ref))
        yield from events

    return privacy_budget


def _head(stage: Stage, ref: ArtifactRef) -> str | None:
    """The head of the ledger after a release, as its privacy report tells it."""
    head: str | None = json.loads((stage.store.path(ref) / "privacy.json").read_text()).get("ledger_head")
    return head


def _look(population: str, view: "BudgetView", folder: Path) -> dict[str, Any]:
    """Write status, history and picture; the numbers are recorded."""
    from synth_assets.reports.budget_plot import budget_over_time

    status, history = view.status(population), view.history(population)
    write_text(folder / "result.json", status.model_dump_json(indent=1))
    write_text(folder / "history.json", json.dumps([p.model_dump() for p in history], indent=1))
    write_bytes(folder / PICTURE, budget_over_time(status, history))
    return {"status": json.loads(status.model_dump_json(exclude={"releases"})), "releases": len(history)}


def _outcomes(info: dict[str, Any], verdict: LedgerVerdict) -> tuple[CheckOutcome, ...]:
    status = info["status"]
    if verdict.broken is not None:
        words = f"row {verdict.broken.position} is broken: {verdict.broken.reason}"
    else:
        words = f"{verdict.rows} rows follow on each other, {len(verdict.heads_missing)} known heads are missing"
    counted = status["spent"] + status["reserved"]
    return (
        CheckOutcome("ledger", verdict.whole, words, metadata={"ledger_rows": verdict.rows}),
        CheckOutcome("within", not status["overspent"], f"epsilon {counted:.4f} of {status['epsilon']:g} is counted"),
    )


def _describe(folder: Path, ref: ArtifactRef) -> dict[str, Any]:
    status = ref.info["status"]
    shown = metadata.picture((folder / PICTURE).read_bytes(), f"budget of {status['population']}")
    return {
        "budget": status["epsilon"],
        "budget_spent": metadata.epsilon(status["spent"]),
        "budget_reserved": metadata.epsilon(status["reserved"]),
        "budget_left": metadata.left(status["left"]),
        "releases": ref.info["releases"],
        "noisy_steps": status["events"],
        "ledger_rows": status["ledger_rows"],
        "ledger_head": status["ledger_head"],
        "privacy_level": status["level"],
        **({"over_time": shown} if shown is not None else {}),
    }
