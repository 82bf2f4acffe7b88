"""`people`: identities of people who do not exist, as a file. One call of the library."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from synth_assets.cli.options import JsonOption, OutOption, known_locale
from synth_assets.cli.output import emit_json, path_line, show, steps
from synth_assets.config.base import LocaleName


def people(
    n: Annotated[int, typer.Argument(metavar="N", help="How many.", min=1)],
    out: OutOption,
    locale: Annotated[
        str, typer.Option(metavar="LOCALE", help=f"Country and language: {', '.join(get_args(LocaleName))}.")
    ] = "en_US",
    seed: Annotated[int, typer.Option(metavar="S", help="Same seed, same people.", min=0)] = 7,
    as_json: JsonOption = False,
) -> int:
    """Make identities of people who do not exist."""
    from synth_assets import api

    place = known_locale(locale)
    with steps(quiet=as_json) as progress:
        file = api.people(n, out.absolute(), locale=place, seed=seed, progress=progress)
    if as_json:
        emit_json({"out": str(file), "rows": n, "locale": locale, "seed": seed})
        return 0
    show(path_line("people", str(file)))
    return 0


COMMANDS = (people,)
