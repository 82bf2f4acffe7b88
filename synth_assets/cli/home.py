"""Commands about a home folder and its datasets: init, budget, ui, reports."""

from __future__ import annotations

import os
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synth_assets.cli.options import HomeOption, JsonOption, home_of, nearest_home
from synth_assets.cli.output import console, emit_json, path_line, show, table
from synth_assets.config.runtime import Settings
from synth_assets.errors import ConfigError, InputError

if TYPE_CHECKING:
    from synth_assets.privacy.records import BudgetStatus

LOOPBACK = "127.0.0.1"


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A data file, or a folder of files of one table.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="YAML", help="YAML to write (default: FILE with .yaml).")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the dataset (default: from the file's name).")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Draft a dataset's YAML from a file, for a person to review."""
    from synth_assets.exports.destination import check_folder
    from synth_assets.storage.atomic import write_text
    from synth_assets.tables.draft import draft_config

    source = file.absolute()
    if not source.exists():
        raise InputError("the file does not exist.", file=str(source), remedy="Check its name.")
    target = (out or source.with_suffix(".yaml")).absolute()
    if target.exists():
        raise InputError(
            "this exists already; a draft never replaces a file.", file=str(target), remedy="Name another file with -o."
        )
    check_folder(target.parent)
    write_text(target, draft_config(source, name=name, yaml_folder=target.parent), mode=0o644)
    if as_json:
        emit_json({"draft": str(target)})
        return 0
    show(path_line("draft", target), f"Review what is marked `inferred`, then: synth-assets run {target}")
    return 0


def budget(
    population: Annotated[
        str | None, typer.Argument(metavar="POPULATION", help="One population (default: all of them).")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show what is spent, reserved and left of each privacy budget."""
    found = _budgets(population, nearest_home(home))
    if as_json:
        emit_json(found[0] if population else found)
        return 0
    if not found:
        show("No budget has been declared in this home yet.", path_line("home", nearest_home(home)))
    for status in found:
        over = ", OVERSPENT" if status.overspent else ""
        head = f"Population {status.population}: unit of privacy {status.unit}, level {status.level}{over}"
        numbers = [[status.epsilon, status.spent, status.reserved, status.left, status.delta]]
        show(table(head, ["epsilon budget", "spent", "reserved", "left", "at delta"], numbers), "")
        releases = [
            [
                r.label,
                r.state if r.outcome in {None, "done"} else f"{r.state}, {r.outcome}",
                r.epsilon,
                r.reserved_at[:19],
            ]
            for r in status.releases
        ]
        if releases:
            show(table("Releases", ["label", "state", "epsilon alone", "reserved at (UTC)"], releases), "")
    return 0


def _budgets(population: str | None, home: Path) -> list[BudgetStatus]:
    """One population or all; a home without a ledger is left as it is."""
    from synth_assets.api.spending import has_ledger, open_budget

    ledger = open_budget(home) if has_ledger(home) else None
    known = () if ledger is None else ledger.populations()
    if population is not None and population not in known:
        listed = f"Known: {', '.join(known)}." if known else f"No population has one in {home}."
        raise ConfigError(f"population {population!r} has no privacy budget.", key="POPULATION", remedy=listed)
    wanted = known if population is None else (population,)
    return [] if ledger is None else [ledger.status(name) for name in wanted]


def ui(
    port: Annotated[int, typer.Option(metavar="PORT", help=f"Port on {LOOPBACK}.", min=1, max=65535)] = 3000,
    home: HomeOption = None,
) -> int:
    """Open the Dagster UI on the same history (Ctrl-C ends it)."""
    from synth_assets.automation.runner import prepare_home

    base = home_of(home)
    prepare_home(base)
    show(path_line("Dagster UI", f"http://{LOOPBACK}:{port}  (home {base}; Ctrl-C ends it)"))
    console.file.flush()
    workspace = str(
        files("synth_assets") / "data" / "workspace.yaml"
    )  # it names the location as the command line's runs do
    where = ["-w", workspace, "-h", LOOPBACK, "-p", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", "dagster", "dev", *where])  # noqa: S606  our own interpreter, no shell


def reports(
    port: Annotated[int, typer.Option(metavar="PORT", help=f"Port on {LOOPBACK}.", min=1, max=65535)] = 3001,
    home: HomeOption = None,
) -> int:
    """Serve the HTML reports on this machine only (Ctrl-C ends it)."""
    from synth_assets.cli.serve import serve_reports

    settings = Settings.from_environment(nearest_home(home))
    show(path_line("Reports", f"http://{LOOPBACK}:{port}  (Ctrl-C ends it)"))
    console.file.flush()
    serve_reports(settings, port)
    return 0


COMMANDS = (init, budget, ui, reports)
