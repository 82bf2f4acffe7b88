"""The command that leads from tokens back to values."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synth_assets.cli.options import HomeOption, JsonOption, nearest_home
from synth_assets.cli.output import emit_json, path_line, show, table
from synth_assets.errors import InputError

if TYPE_CHECKING:
    from synth_assets.ledger.heads import Head


def detokenise(
    tokens: Annotated[list[str] | None, typer.Argument(metavar="TOKEN", help="Tokens.")] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What for; required, and kept in the record.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE", help="A table with a column of tokens, in place of TOKEN.")
    ] = None,
    column: Annotated[str | None, typer.Option(metavar="COL", help="The column of tokens of --file.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="OUT", help="File to write; with --file.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show the values behind tokens; who asked is recorded first."""
    from synth_assets import api

    if not reason:
        raise InputError("a reason is required.", key="--reason", remedy="Say what for; the record keeps it.")
    base = nearest_home(home)
    if file is None:
        if column or out:
            raise InputError("--column and --out need --file.", key="--file")
        found = api.detokenise(tokens or [], reason=reason, home=base)
        if as_json:
            emit_json({"values": found.texts, "record": _record(found.head)})
            return 0
        show(table("", ["token", "value"], [[t, v] for t, v in found.texts.items()]), "")
        show(_said(found.head))
        return 0
    if tokens or not column or out is None:
        raise InputError("--file needs --column and --out, and no TOKEN.", key="--file")
    made, head = api.detokenise_column(file, column, out.absolute(), reason=reason, home=base)
    if as_json:
        emit_json({"out": str(made), "record": _record(head)})
        return 0
    show(path_line("values", str(made)))
    show(_said(head))
    return 0


def _record(head: Head) -> dict[str, object]:
    return asdict(head)


def _said(head: Head) -> str:
    """Where it is recorded; the hash, held elsewhere, shows later that nothing was cut off."""
    return f"Recorded with your name and the reason: entry {head.position} of the audit ledger, hash {head.hash}."


COMMANDS = (detokenise,)
