"""Commands about what cannot be made again: backup, restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synth_assets.cli.options import HomeOption, JsonOption, home_of, nearest_home
from synth_assets.cli.output import emit_json, facts, path_line, show
from synth_assets.config.backup import backup_passphrase
from synth_assets.config.runtime import Settings


def backup(
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="File to write; replaced where it is there.")
    ],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write ledgers, keys and vault into one encrypted file."""
    from synth_assets.api.backup import make_backup
    from synth_assets.exports.destination import check_folder

    target = out.absolute()
    check_folder(target.parent)
    made = make_backup(Settings.from_environment(nearest_home(home)), target, backup_passphrase())
    if as_json:
        emit_json({"backup": str(target), **made.model_dump(mode="json")})
        return 0
    lines = [
        ("ledger rows", made.ledger_rows),
        ("ledger head", made.ledger_head),
        *((f.name, f.size) for f in made.files),
    ]
    show(
        facts("Backup", lines),
        path_line("backup", target),
        "Keep the passphrase apart from it: without it nobody can read it.",
    )
    return 0


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup` has written.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Move ledgers, keys and vault that are there aside.")
    ] = False,
    forget_because: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="Accept a ledger that is older than the present one, for this reason; it is recorded.",
        ),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Put ledgers, keys and vault of a backup back, and verify them."""
    from synth_assets.api.restoring import restore_backup

    source = file.absolute()
    base = home_of(home)
    done = restore_backup(
        Settings.from_environment(base), source, backup_passphrase(), replace=replace, forget_because=forget_because
    )
    if as_json:
        told = {"aside": None if done.aside is None else str(done.aside), "forgotten": done.forgotten}
        emit_json({"home": str(base), **told, **done.manifest.model_dump(mode="json")})
        return 0
    show(
        facts("Restored", [("made at", done.manifest.made_at), ("ledger rows", done.manifest.ledger_rows)]),
        path_line("home", base),
    )
    if done.aside is not None:
        show(path_line("what was there before", done.aside))
    if done.forgotten:
        show("The ledger is older than what was there: lower the budgets by hand for what was spent since.")
    return 0


COMMANDS = (backup, restore)
