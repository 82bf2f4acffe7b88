"""The command that deletes what runs made: clean."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from synth_assets.cli.options import HomeOption, JsonOption, nearest_home
from synth_assets.cli.output import emit_json, show
from synth_assets.config.runtime import Settings
from synth_assets.errors import InputError


def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it nothing is deleted.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Delete what runs made, but never ledgers, keys and vault."""
    from synth_assets.api import cleaning

    where = nearest_home(home)
    if not yes:
        raise InputError("all artifacts of this home would be deleted.", file=str(where), remedy="Add --yes.")
    done = cleaning.clean(Settings.from_environment(where))
    if as_json:
        emit_json(asdict(done))
        return 0
    show(f"{done.files:,} files deleted. Kept: var/ledger, var/keys and var/vault.")
    return 0


COMMANDS = (clean,)
