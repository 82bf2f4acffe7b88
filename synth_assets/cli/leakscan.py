"""The command that searches a home for values of persons."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from synth_assets.cli.options import HomeOption, JsonOption, nearest_home
from synth_assets.cli.output import emit_json, show, table
from synth_assets.config.runtime import Settings

FOUND = 3


def leakscan(
    dataset: Annotated[
        str | None,
        typer.Argument(
            metavar="DATASET", help="Dataset or upload whose direct identifiers are looked for (default: all of them)."
        ),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Search var/ for values of persons."""
    from synth_assets.automation.leakscan import leakscan as search
    from synth_assets.automation.leakscan import tell
    from synth_assets.notify.opening import open_notifier

    settings = Settings.from_environment(nearest_home(home))
    notifier = open_notifier(settings)  # before the search: a configuration that is wrong is told at once
    found = search(settings, dataset)
    tell(notifier, dataset or "", found)
    if as_json:
        emit_json({"columns": dict(found.columns), "files": found.files, "leaks": [asdict(k) for k in found.leaks]})
        return FOUND if found.leaks else 0
    if found.leaks:
        heads = ["file", "column", "forms", "values", "places"]
        rows = [[k.file, k.label, ", ".join(k.forms), k.values, k.places] for k in found.leaks]
        show(table("Values of persons", heads, rows), "")
    wanted = sum(found.columns.values())
    show(
        f"{wanted:,} values of {len(found.columns)} columns looked for in {found.files:,} files: {len(found.leaks)} findings."
    )
    return FOUND if found.leaks else 0


COMMANDS = (leakscan,)
