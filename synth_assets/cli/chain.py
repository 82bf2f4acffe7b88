"""Commands that materialise the chain of a dataset: demo and run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth_assets.cli.live import LiveChain
from synth_assets.cli.options import HomeOption, JsonOption, home_of, nearest_home, telling_of_first_key
from synth_assets.cli.output import emit_json, facts, line, path_line, show, table
from synth_assets.config.runtime import LoadedDataset, Settings
from synth_assets.config.runtime import register as register_dataset
from synth_assets.errors import ConfigError, InputError

if TYPE_CHECKING:
    from synth_assets.automation.runner import ChainRun

SCORES = {
    "overall_score": "overall",
    "privacy_score": "privacy",
    "fidelity_score": "fidelity",
    "utility_score": "utility",
    "fairness_score": "fairness",
    "privacy_risk": "privacy risk",
}


def demo(
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Compute everything again; the DP release spends anew.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run the whole chain of the demo, a small clinic."""
    base = nearest_home(home)
    config = base / "configs" / "datasets" / "clinic.yaml"
    if not config.is_file():
        raise ConfigError(
            "the demo dataset is not in this home.",
            file=str(config),
            remedy="Run it in a checkout of the project, or name one with --home.",
        )
    return _run_config(config, home, None, fresh=fresh, as_json=as_json)


def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The dataset's YAML; `init` drafts one.")],
    select: Annotated[
        str | None,
        typer.Option("--select", metavar="STAGES", help="Only these stages, separated by commas, such as raw,profile."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute everything again; a DP release spends anew.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run the chain of a dataset, from its source to its exports."""
    stages = None if select is None else [s.strip() for s in select.split(",") if s.strip()]
    return _run_config(config.absolute(), home, stages, fresh=fresh, as_json=as_json)


def _run_config(config: Path, home: Path | None, stages: list[str] | None, *, fresh: bool, as_json: bool) -> int:
    from synth_assets.config.load import load_dataset

    _check_stages(stages)  # before a home is made
    started = time.perf_counter()
    result = materialise(
        LoadedDataset(load_dataset(config), config), home_of(home), stages, fresh=fresh, as_json=as_json
    )
    if as_json:
        emit_json(summary(result))
    else:
        _print_closing(result, time.perf_counter() - started)
    return result.exit_code


def materialise(
    dataset: LoadedDataset, base: Path, stages: list[str] | None, *, fresh: bool, as_json: bool
) -> ChainRun:
    """Run the chain of a dataset, or some stages of it, with progress in the terminal.

    Args:
        dataset: The dataset and its file.
        base: The home folder.
        stages: All of them when None.
        fresh: Compute everything again.
        as_json: Show no progress.
    """
    config = dataset.file
    settings = Settings.from_environment(base)
    from synth_assets.exports.variables import check_variables

    with _naming(config):
        check_variables(dataset.config, stages)
    from synth_assets.automation.runner import prepare_home, run_chain
    from synth_assets.definitions import build_defs

    prepare_home(base)
    with _naming(config):
        defs = build_defs(settings, datasets=[dataset])
    register_dataset(settings, config)
    with telling_of_first_key(base):
        if as_json:
            result = run_chain(defs, dataset.config.name, stages=stages, fresh=fresh)
        else:
            with LiveChain() as live:
                result = run_chain(defs, dataset.config.name, stages=stages, fresh=fresh, progress=live.show)
    if result.error is not None and result.error.get("code") == ConfigError.code and result.error.get("file") is None:
        result.error["file"] = str(config)
    return result


@contextmanager
def _naming(config: Path) -> Iterator[None]:
    """Errors about the configuration name its file."""
    try:
        yield
    except ConfigError as error:
        if error.file is not None:
            raise
        raise ConfigError(
            error.message, file=str(config), row=error.row, column=error.column, key=error.key, remedy=error.remedy
        ) from None


def _check_stages(stages: list[str] | None) -> None:
    """Refuse before the home is touched."""
    from synth_assets.asset_keys import STAGES

    unknown = [s for s in stages or () if s not in STAGES]
    if unknown or stages == []:
        what = f"{unknown[0]!r} is not a stage." if unknown else "no stage is named."
        raise InputError(what, key="--select", remedy=f"Stages: {', '.join(STAGES)}.")


def summary(result: ChainRun) -> dict[str, Any]:
    """The run as one JSON value; `error` is null where it succeeded."""
    scores = {
        name.removeprefix("audit_"): {k: a.metadata[k] for k in SCORES if k in a.metadata}
        for name, a in result.assets.items()
        if name.startswith("audit_") and a.state == "done"
    }
    charged = [a for a in result.assets.values() if "epsilon_spent" in a.metadata and "budget_left" in a.metadata]
    report = result.assets.get("report")
    return {
        "run_id": result.run_id,
        "dataset": result.dataset,
        "succeeded": result.exit_code == 0,
        "exit_code": result.exit_code,
        "assets": [
            {"name": a.name, "state": a.state, "rows": a.rows, "reused": a.reused, "path": a.metadata.get("path")}
            for a in result.assets.values()
        ],
        "scores": scores,
        "epsilon_spent": sum(0.0 if a.reused else a.metadata["epsilon_spent"] for a in charged) if charged else None,
        "epsilon_of_release": sum(a.metadata["epsilon_spent"] for a in charged) if charged else None,
        "budget_left": min((a.metadata["budget_left"] for a in charged), default=None),
        "report": None if report is None else report.metadata.get("report"),
        "failed_checks": [c.__dict__ for c in result.failed_checks],
        "error": error_of(result),
    }


def error_of(result: ChainRun) -> dict[str, Any] | None:
    """Why the run failed, in the form of every error; None where it did not."""
    if result.exit_code == 0:
        return None
    if result.error is not None:
        return result.error
    blocking = [c for c in result.failed_checks if c.blocking]
    if blocking:
        first = blocking[0]
        message = f"a blocking check failed: {first.asset}.{first.check}: {first.description}"
        more = f" ({len(blocking) - 1} more)" if len(blocking) > 1 else ""
        remedy = "What stands behind it was not published."
        return {"code": "check_failed", "message": message + more, **dict.fromkeys(_PLACES), "remedy": remedy}
    return {
        "code": "unexpected",
        "message": result.fault or "the run failed, and no step of it did.",
        **dict.fromkeys(_PLACES),
        "remedy": f"`synth-assets runs show {result.run_id[:8]}` tells what was made; the UI has the log of the run.",
    }


_PLACES = ("file", "row", "column", "key")


def _print_closing(result: ChainRun, seconds: float) -> None:
    told = summary(result)
    show("")
    scores = [[name, *(v.get(k) for k in SCORES)] for name, v in told["scores"].items()]
    if scores:
        show(table("Scores (1 is best; privacy risk: 0 is best)", ["synthesizer", *SCORES.values()], scores), "")
    show(facts("Run", _run_facts(result, told, seconds)))
    exported = [(a.name, a.metadata.get("path")) for a in result.assets.values() if a.name.startswith("export_")]
    exported += [(a.name, a.metadata.get("target")) for a in result.assets.values() if a.name.startswith("delivery_")]
    for name, path in (*exported, ("report", told["report"])):
        if path:
            show(path_line(name, path))
    error = error_of(result)
    for check in result.failed_checks:
        word, style = ("blocked", "bold red") if check.blocking else ("warning", "yellow")
        text = f"{check.asset}.{check.check}: {check.description}"
        if error is None or text not in error["message"]:
            line(word, text, style=style)
    if error is not None:
        line("error", error_line(error), style="bold red")


def _run_facts(result: ChainRun, told: dict[str, Any], seconds: float) -> list[tuple[str, Any]]:
    states = [a.state for a in result.assets.values()]
    done = f"{states.count('done')} of {len(states)}"
    unrun = states.count("skipped") + states.count("waiting")
    counts = {"failed": states.count("failed"), "not run": unrun}
    others = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    rows: list[tuple[str, Any]] = [
        ("dataset", result.dataset),
        ("assets", done + (f" ({others})" if others else "")),
        ("rows written", sum(a.rows or 0 for a in result.assets.values() if a.state == "done" and not a.reused)),
    ]
    if told["epsilon_of_release"] is not None:
        left = "" if told["budget_left"] is None else f"; {told['budget_left']:.3g} of the budget is left"
        spent = f"{told['epsilon_spent']:.3g} in this run, {told['epsilon_of_release']:.3g} by the release"
        rows.append(("epsilon spent", spent + left))
    return [*rows, ("time", f"{seconds:.0f} s")]


def error_line(error: dict[str, Any]) -> str:
    """The error's fields as one line."""
    fields = {k: error.get(k) for k in ("file", "row", "column", "key", "remedy")}
    return str(InputError(str(error["message"]), **fields))


COMMANDS = (demo, run)
