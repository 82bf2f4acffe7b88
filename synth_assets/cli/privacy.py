"""Commands about differential privacy: plan and levels read no data and spend nothing; a sweep charges all its trials first."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth_assets.cli.options import HomeOption, JsonOption, home_of, nearest_home
from synth_assets.cli.output import emit_json, facts, line, path_line, show, table
from synth_assets.errors import InputError

if TYPE_CHECKING:
    from synth_assets.api.planning import PrivacyPlan
    from synth_assets.audit.sweep import SweepResult
    from synth_assets.config.sweep import SweepConfig
    from synth_assets.privacy.records import BudgetPreview
    from synth_assets.synthesis.planning import ReleaseForecast

INVALID, OVER_BUDGET = 2, 4
SWEEP_STAGES = ("raw", "pii_classification", "split", "privacy_sweep")
COLUMNS_UNKNOWN = (
    "only columns that the YAML names are planned for. Run `synth-assets run CONFIG --select raw,pii_classification,split` once: "
    "the plan then takes all columns from the record of the split."
)


def plan(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The dataset's YAML.")],
    units: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Public number of units of privacy, people or rows (default: the YAML's unit_count)."
        ),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show what the DP releases of a dataset would cost, their noise and expected error, and what would be left of the budget."""
    from synth_assets.api.planning import plan_privacy

    told = plan_privacy(config.absolute(), home=nearest_home(home), units=units)
    if as_json:
        emit_json(told)
    else:
        _show(told)
    if not all(r.validation.valid for r in told.releases):
        return INVALID
    return 0 if told.budget.fits else OVER_BUDGET


def sweep(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The dataset's YAML.")],
    epsilon: Annotated[
        str | None,
        typer.Option(metavar="E,E", help="Epsilons to try, separated by commas (default: the YAML's sweep)."),
    ] = None,
    releases: Annotated[
        int | None, typer.Option(metavar="N", help="Trials of each epsilon (default: the YAML's, else 1).", min=1)
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Try again, and pay again, although the same was tried.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Try dp_marginals at several epsilons: fidelity, utility and attack over epsilon; all trials are charged first."""
    from synth_assets.audit.sweep import SweepResult
    from synth_assets.cli.chain import error_of, materialise
    from synth_assets.config.load import load_dataset
    from synth_assets.config.runtime import LoadedDataset, Settings
    from synth_assets.config.stores import store_of
    from synth_assets.storage.artifacts import Zone

    dataset = load_dataset(config.absolute())
    asked = dataset.model_copy(update={"sweep": _sweep(dataset.sweep, epsilon, releases)})
    result = materialise(
        LoadedDataset(asked, config.absolute()), home_of(home), list(SWEEP_STAGES), fresh=fresh, as_json=as_json
    )
    error = error_of(result)
    if error is not None:
        if as_json:
            emit_json({"error": error})
        else:
            line("error", str(error["message"]), style="bold red")
        return result.exit_code
    made = result.assets["privacy_sweep"]
    store, asset = store_of(Settings.from_environment(home_of(home))), f"{dataset.name}/privacy_sweep"
    found = store.path(store.current(Zone.RESTRICTED, *asset.split("/")))
    told = SweepResult.model_validate_json((found / "result.json").read_text())
    if as_json:
        where = {"asset": asset, "folder": str(made.metadata["path"])}
        emit_json({**told.model_dump(mode="json"), "reused": made.reused, **where})
        return 0
    _show_sweep(told, reused=made.reused)
    show(
        path_line("encrypted in", str(made.metadata["path"])),
        f"For result, picture and page: synth-assets decrypt {asset} -o FOLDER",
    )
    return 0


def _sweep(declared: SweepConfig | None, epsilon: str | None, releases: int | None) -> SweepConfig:
    """What the command line asks for, over what the YAML says.

    Raises:
        InputError: no epsilon is named, or not a list of numbers above 0.
    """
    from pydantic import ValidationError

    from synth_assets.config.sweep import SweepConfig

    given: dict[str, Any] = declared.model_dump() if declared is not None else {}
    given |= {} if epsilon is None else {"epsilons": [e.strip() for e in epsilon.split(",") if e.strip()]}
    given |= {} if releases is None else {"releases": releases}
    try:
        return SweepConfig.model_validate(given)
    except ValidationError:
        raise InputError(
            "the sweep needs epsilons above 0 and up to 100, each once.", key="--epsilon",
            remedy="Write --epsilon 0.5,1,3, or `sweep: [0.5, 1, 3]` in the YAML.",
        ) from None  # fmt: skip


def _show_sweep(told: SweepResult, *, reused: bool) -> None:
    rows = [[t.epsilon, t.release, t.spent, t.fidelity, t.utility, t.attack] for t in told.trials]
    heads = ["epsilon", "trial", "spent", "fidelity", "utility", "worst attack, at most"]
    show(table(f"{told.dataset}: {len(told.trials)} trials at delta {told.delta:g}", heads, rows), "")
    paid = "was charged before, and nothing now" if reused else "is charged"
    show(f"Epsilon {told.charged:.4g} for all trials together {paid}; population {told.population}.")
    show("Restricted: these figures are of real rows without noise. The release itself is charged on its own.")


def levels(as_json: JsonOption = False) -> int:
    """Show the privacy levels: which epsilon is called what, and what such releases are commonly used for."""
    from synth_assets.privacy.levels import LEVELS

    if as_json:
        emit_json([level._asdict() for level in LEVELS])
        return 0
    rows = [
        [level.name, f"[{level.lower:g}, {'inf' if math.isinf(level.upper) else f'{level.upper:g}'})", level.use_case]
        for level in LEVELS
    ]
    show(table("Privacy levels (a reading aid, never a gate)", ["level", "epsilon", "commonly used for"], rows))
    return 0


def _show(told: PrivacyPlan) -> None:
    for release in told.releases:
        _show_release(release, told)
    show(facts("Budget", _budget_facts(told.budget)), "")
    show("Nothing was read, trained or spent.")
    for release in told.releases:
        for finding in (*release.validation.errors, *release.validation.warnings):
            style = "bold red" if finding.severity == "error" else "yellow"
            line(finding.severity, f"{release.synthesizer}, {finding.key}: {finding.message}", style=style)
        asked = {"epsilon": release.epsilon, "delta": release.delta}
        better = {k: v for k, v in release.validation.recommended.items() if asked.get(k) != v}
        if better:
            advice = ", ".join(f"{k} {v:g}" for k, v in better.items())
            line("recommended", f"{release.synthesizer}: {advice}", style="green")
    if told.columns_from == "configuration":
        line("warning", COLUMNS_UNKNOWN, style="yellow")
    if told.budget.refusal:
        line("error", told.budget.refusal, style="bold red")


def _show_release(release: ReleaseForecast, told: PrivacyPlan) -> None:
    cost, check = release.spent, release.crosscheck
    rows: list[tuple[str, object]] = [
        ("target", f"epsilon {release.epsilon:g}, delta {release.delta:g}"),
        ("level", release.validation.level),
        ("columns from", f"the {told.columns_from}"),
        ("rows of one unit that are read", ", ".join(f"{t} {n}" for t, n in release.contribution_bounds.items())),
        ("noisy steps", release.steps),
        ("sampling rate", release.sampling_rate),
    ]
    if cost is not None:
        simple = f"{cost.epsilon_simple:.4g} by the simple bound"
        rows.insert(1, ("cost of the plan", f"epsilon {cost.epsilon:.4g} ({cost.accountant}); {simple}"))
    if check is not None:
        rows.insert(
            2, ("second accountant", f"{check.epsilon_lower:.4g} to {check.epsilon_upper:.4g} ({check.accountant})")
        )
    show(facts(f"{told.dataset}, {release.synthesizer}", rows), "")
    heads = ["table", "step", "mechanism", "scale", "of", "sensitivity", "count"]
    steps = [[s.table, s.what, s.mechanism, s.scale, s.unit, s.sensitivity, s.count] for s in release.noise]
    show(table("Noise", heads, steps), "")
    heads = ["table", "columns", "tables", "rows per cell", "95 % within", "cells", "TVD"]
    errors = [[e.table, e.ways, e.count, e.rows_per_cell, e.rows_per_cell_95, e.cells, e.tvd] for e in release.errors]
    show(table("Expected error of measured tables, by noise alone", heads, errors), "")


def _budget_facts(budget: BudgetPreview) -> list[tuple[str, object]]:
    return [
        ("population", f"{budget.population}, unit of privacy {budget.unit}"),
        ("budget", f"epsilon {budget.epsilon:g} at delta {budget.delta:g}"),
        ("counted so far", budget.counted),
        ("this chain alone", budget.chain),
        ("together afterwards", budget.after),
        ("left now", budget.left),
        ("left afterwards", budget.left_after),
        ("fits", "yes" if budget.fits else "NO"),
    ]


COMMANDS = (plan, sweep, levels)
