"""Commands about datasets and their chain: demo, run, ui, reports, budget, init."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from synth_assets.cli.output import console, emit_json, path_line, table
from synth_assets.config.runtime import LoadedDataset, Settings, find_home
from synth_assets.config.runtime import register as register_dataset
from synth_assets.errors import ConfigError, InputError

if TYPE_CHECKING:
    from synth_assets.automation.runner import ChainRun

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Folder with dagster.yaml and var/ (default: the nearest one).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]
MARKS = {"done": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("-", "dim"), "waiting": ("·", "dim")}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(demo)
    app.command()(run)
    app.command()(ui)
    app.command()(reports)
    app.command()(budget)
    app.command()(init)


def home_of(home: Path | None) -> Path:
    """The home folder, absolute; made when it is the private one."""
    found = (home or find_home(Path.cwd())).resolve()
    found.mkdir(parents=True, exist_ok=True)
    return found


def demo(home: HomeOption = None, as_json: JsonOption = False) -> int:
    """Materialise the whole chain of the demo dataset: a small clinic of three related tables."""
    base = home_of(home)
    config = base / "configs" / "datasets" / "clinic.yaml"
    if not config.is_file():
        raise ConfigError(
            "the demo dataset is not in this home.", file=str(config), remedy="Run it in a checkout of the project."
        )
    return _run_config(config, base, None, fresh=False, as_json=as_json)


def run(
    config: Annotated[Path, typer.Argument(help="The dataset's YAML.")],
    select: Annotated[
        str | None, typer.Option("--select", help="Stages, separated by commas, such as raw,profile.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute everything again; a DP release spends anew.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Materialise the chain of one dataset."""
    stages = None if select is None else [s.strip() for s in select.split(",") if s.strip()]
    return _run_config(config.absolute(), home_of(home), stages, fresh=fresh, as_json=as_json)


def _run_config(config: Path, home: Path, stages: list[str] | None, *, fresh: bool, as_json: bool) -> int:
    from synth_assets.config.load import load_dataset

    dataset = LoadedDataset(load_dataset(config), config)
    settings = Settings.from_environment(home)
    from synth_assets.automation.runner import prepare_home, run_chain

    prepare_home(home)
    from synth_assets.definitions import build_defs

    defs = build_defs(settings, datasets=[dataset])
    register_dataset(settings, config)
    started = time.perf_counter()
    if as_json:
        result = run_chain(defs, dataset.config.name, stages=stages, fresh=fresh)
        emit_json(summary(result))
    else:
        with _LiveProgress() as live:
            result = run_chain(defs, dataset.config.name, stages=stages, fresh=fresh, progress=live.show)
        _print_closing(result, time.perf_counter() - started)
    return result.exit_code


class _LiveProgress:
    """The list of assets with their state, redrawn while the run goes on."""

    def __init__(self) -> None:
        self.started: dict[str, float] = {}
        self.seconds: dict[str, float] = {}
        self.last: ChainRun | None = None
        self.printed: set[str] = set()
        self.live = Live(console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self.live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.live.__exit__(None, None, None)

    def show(self, run_state: ChainRun) -> None:
        """Take the new state; finished assets are printed once, running ones stay in the moving part."""
        now = time.perf_counter()
        for asset in run_state.assets.values():
            if asset.state == "running":
                self.started.setdefault(asset.name, now)
            elif asset.name in self.started and asset.name not in self.seconds:
                self.seconds[asset.name] = now - self.started[asset.name]
            if asset.state in {"done", "failed", "skipped"} and asset.name not in self.printed:
                self.printed.add(asset.name)
                console.print(_line(asset, self.seconds.get(asset.name)))
        self.live.update(_moving(run_state))


def _moving(run_state: ChainRun) -> Table:
    done = sum(a.state in {"done", "failed", "skipped"} for a in run_state.assets.values())
    running = [a.name for a in run_state.assets.values() if a.state == "running"]
    grid = Table.grid(padding=(0, 1))
    text = Text(
        f"{done} of {len(run_state.assets)} assets" + (f", now {', '.join(running)}" if running else ""), style="cyan"
    )
    grid.add_row(Spinner("dots", style="cyan"), text)
    return grid


def _line(asset: Any, seconds: float | None) -> Text:
    mark, style = MARKS[asset.state]
    text = Text(f" {mark} ", style=style) + Text(f"{asset.name:<42}")
    if asset.rows is not None:
        text += Text(f"{asset.rows:>10,} rows")
    else:
        text += Text(" " * 15)
    note = "unchanged, reused" if asset.reused else "" if seconds is None else f"{seconds:.1f} s"
    return text + Text(f"  {note}", style="dim")


def summary(result: ChainRun) -> dict[str, Any]:
    """The run as one JSON value."""
    synthesizers = {
        name.removeprefix("audit_"): {
            k: a.metadata[k]
            for k in (
                "overall_score",
                "privacy_score",
                "fidelity_score",
                "utility_score",
                "fairness_score",
                "privacy_risk",
            )
            if k in a.metadata
        }
        for name, a in result.assets.items()
        if name.startswith("audit_") and a.state == "done"
    }
    spent = result.assets.get("dp_measurements")
    report = result.assets.get("report")
    return {
        "run_id": result.run_id,
        "dataset": result.dataset,
        "succeeded": result.exit_code == 0,
        "exit_code": result.exit_code,
        "assets": [
            {"name": a.name, "state": a.state, "rows": a.rows, "reused": a.reused} for a in result.assets.values()
        ],
        "scores": synthesizers,
        "epsilon_spent": None if spent is None else (0.0 if spent.reused else spent.metadata.get("epsilon_spent")),
        "epsilon_of_release": None if spent is None else spent.metadata.get("epsilon_spent"),
        "budget_left": None if spent is None else spent.metadata.get("budget_left"),
        "report": None if report is None else report.metadata.get("report"),
        "failed_checks": [c.__dict__ for c in result.failed_checks],
        "error": result.error,
    }


def _print_closing(result: ChainRun, seconds: float) -> None:
    told = summary(result)
    rows = [[a.name, a.state, a.rows, "reused" if a.reused else ""] for a in result.assets.values()]
    console.print()
    done = sum(a.state == "done" for a in result.assets.values())
    total_rows = sum(a.rows or 0 for a in result.assets.values() if a.state == "done")
    if result.exit_code and not result.error:
        console.print(table("Assets", ["asset", "state", "rows", ""], rows))
    scores = [[name, *(v.get(k) for k in _SCORES)] for name, v in told["scores"].items()]
    if scores:
        console.print(
            table("Scores (1 is best; privacy risk: 0 is best)", ["synthesizer", *(_SCORES.values())], scores)
        )
        console.print()
    facts = [
        ["dataset", result.dataset],
        ["assets", f"{done} of {len(result.assets)}"],
        ["rows written", f"{total_rows:,}"],
    ]
    if told["epsilon_of_release"] is not None:
        left = "" if told["budget_left"] is None else f" (budget left: {told['budget_left']:.3g})"
        facts.append(
            [
                "epsilon spent",
                f"{told['epsilon_spent']:.3g} in this run, {told['epsilon_of_release']:.3g} by the release{left}",
            ]
        )
    facts.append(["time", f"{seconds:.0f} s"])
    console.print(table("Run", ["", ""], facts))
    if told["report"]:
        console.print(path_line("report", told["report"]), soft_wrap=True)
    for check in result.failed_checks:
        style = "bold red" if check.blocking else "yellow"
        word = "blocking check failed" if check.blocking else "warning"
        console.print(
            Text(f"{word}: ", style=style) + Text(f"{check.asset}.{check.check}: {check.description}"), soft_wrap=True
        )
    if result.error:
        from synth_assets.cli.output import errors

        errors.print(Text("error: ", style="bold red") + Text(error_line(result.error)), soft_wrap=True)


_SCORES = {
    "overall_score": "overall",
    "privacy_score": "privacy",
    "fidelity_score": "fidelity",
    "utility_score": "utility",
    "fairness_score": "fairness",
    "privacy_risk": "privacy risk",
}


def error_line(error: dict[str, Any]) -> str:
    """The error's fields as one line."""
    fields = {k: error.get(k) for k in ("file", "row", "column", "key", "remedy")}
    return str(InputError(str(error["message"]), **fields))


def ui(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000,
    home: HomeOption = None,
) -> int:
    """Open the Dagster UI on the same history (Ctrl-C ends it)."""
    from synth_assets.automation.runner import prepare_home

    base = home_of(home)
    prepare_home(base)
    console.print(path_line("Dagster UI", f"http://127.0.0.1:{port}  (home {base})"))
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-m",
        "synth_assets.definitions",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    os.execv(sys.executable, command)  # noqa: S606  our own interpreter, no shell


def reports(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3001,
    home: HomeOption = None,
) -> int:
    """Serve the HTML reports of the release zone on 127.0.0.1 (Ctrl-C ends it)."""
    from synth_assets.cli.serve import serve_reports

    settings = Settings.from_environment(home_of(home))
    console.print(path_line("Reports", f"http://127.0.0.1:{port}"))
    serve_reports(settings, port)
    return 0


def budget(
    population: Annotated[str | None, typer.Argument(help="One population; all of them when absent.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show the privacy budget of the populations: what was spent, what is reserved, what is left."""
    from synth_assets.api import open_budget

    ledger = open_budget(home_of(home))
    names = [population] if population else list(ledger.populations())
    found = [ledger.status(name) for name in names]
    if as_json:
        values = [s.model_dump(mode="json") for s in found]
        emit_json(values[0] if population else values)
        return 0
    if not found:
        console.print("No budget has been declared in this home yet.")
    for status in found:
        head = f"Population {status.population} (unit {status.unit}), level {status.level}"
        facts = [[status.epsilon, status.delta, status.spent, status.reserved, status.left]]
        console.print(table(head, ["budget", "delta", "spent", "reserved", "left"], facts))
        releases = [[r.label, r.state, r.epsilon, r.reserved_at] for r in status.releases]
        console.print(table("Releases", ["label", "state", "epsilon alone", "reserved at"], releases))
        console.print()
    return 0


def init(
    file: Annotated[Path, typer.Argument(help="A data file.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="YAML to write (default: <name>.yaml beside the file).")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the dataset.")] = None,
) -> int:
    """Draft the YAML of a dataset from a file, for a person to review."""
    from synth_assets.storage.atomic import write_text
    from synth_assets.tables.draft import draft_config

    source = file.absolute()
    target = (out or source.with_suffix(".yaml")).absolute()
    if target.exists():
        raise InputError(
            "the file exists already; a draft never replaces it.", file=str(target), remedy="Give another name with -o."
        )
    text = draft_config(source, name=name, yaml_folder=target.parent)
    write_text(target, text, mode=0o644)
    console.print(path_line("draft", target), soft_wrap=True)
    console.print("Review what is marked `inferred`, then: " + f"synth-assets run {target}", soft_wrap=True)
    return 0
