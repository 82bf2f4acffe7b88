"""The commands of encryption at rest: encrypt, decrypt."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from synth_assets.cli.options import HomeOption, JsonOption, nearest_home
from synth_assets.cli.output import emit_json, path_line, show
from synth_assets.config.runtime import Settings


def encrypt(
    old_key: Annotated[
        Path | None,
        typer.Option("--old-key", metavar="FILE", help="File with the master key before this one; mode 0600."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Bring the restricted zone to the key of today."""
    from synth_assets import api

    done = api.encrypt(Settings.from_environment(nearest_home(home)), old_key=old_key)
    if as_json:
        emit_json(asdict(done))
        return 0
    show(
        f"{done.artifacts:,} artifacts and {done.notes:,} notes encrypted or wrapped again; {done.unchanged:,} were as they should be."
        f" Key {done.key_id}."
    )
    return 0


def decrypt(
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="DATASET/ASSET of the restricted zone.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="Folder to make, for you alone.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write a plain copy of a restricted artifact."""
    from synth_assets import api

    made = api.decrypt(Settings.from_environment(nearest_home(home)), asset, out.absolute())
    if as_json:
        emit_json({"folder": str(made)})
        return 0
    show(path_line("plain copy", str(made)), "It holds values of persons: delete it when you are done.")
    return 0


COMMANDS = (encrypt, decrypt)
