"""Commands that make synthetic tables: synthesize a file. Each is one call of the library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synth_assets.cli.options import (
    DelimiterOption,
    EncodingOption,
    FileArgument,
    HomeOption,
    JsonOption,
    NullValueOption,
    OutOption,
    SheetOption,
    home_of,
    table_of,
)
from synth_assets.cli.output import emit_json, note, path_line, show, steps

if TYPE_CHECKING:
    from synth_assets.api import Synthesis

METHODS = "dp_marginals, dp_tvae, dp_ctgan, or, not private, gaussian_copula, ctgan, tvae, copulagan."


def synthesize(
    file: FileArgument,
    out: OutOption,
    synthesizer: Annotated[str, typer.Option(metavar="NAME", help=METHODS)] = "dp_marginals",
    epsilon: Annotated[float, typer.Option(metavar="E", help="Total epsilon of this release.")] = 1.0,
    delta: Annotated[float, typer.Option(metavar="D", help="Its delta.")] = 1e-6,
    rows: Annotated[
        int | None, typer.Option(metavar="N", help="Rows to make (default: about as many as the source).", min=1)
    ] = None,
    domain: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Public bounds and categories: a YAML with `columns:`, or a schema.json."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="COL", help="Column to serve first (default: the domain's target).")
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="S", help="Seed of weights and sampling; never of the noise.", min=0)
    ] = 7,
    population: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose budget pays (default: the file's stem).")
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Networks: from random weights, without a warm start.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure and pay again although the same measurement is stored.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Epochs of ctgan, tvae and copulagan (default: 300).", min=1)
    ] = None,
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
    null_value: NullValueOption = None,
    sheet: SheetOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Train on a file and write a synthetic table."""
    from synth_assets import api

    source = table_of(file, encoding, delimiter, null_value, sheet)
    base = home_of(home)
    with steps(quiet=as_json) as progress:
        made = api.synthesize(
            source, out.absolute(), synthesizer=synthesizer, epsilon=epsilon, delta=delta, rows=rows,
            domain=None if domain is None else domain.absolute(), target=target, seed=seed, population=population,
            from_scratch=from_scratch, fresh=fresh, epochs=epochs, home=base, progress=progress,
        )  # fmt: skip
    if as_json:
        told = {"out": str(made.table), "rows": made.rows, "epsilon_spent": made.spent, "privacy": made.privacy}
        emit_json({**told, "warnings": made.warnings})
        return 0
    show(path_line("synthetic", f"{made.table} ({made.rows:,} rows)"))
    _print_privacy(made, base)
    return 0


def _print_privacy(made: Synthesis, home: Path) -> None:
    """What was claimed, who paid, and what the claim does not cover."""
    for warning in made.warnings:
        note(warning)
    privacy = made.privacy
    if privacy is None:
        show("Privacy: none. This synthesizer is not differentially private: treat its table as personal data.")
        return
    show(
        f"Privacy: epsilon {privacy.spent.epsilon:.4g} at delta {privacy.spent.delta:.2g} ({privacy.level}); "
        f"unit of privacy: one {privacy.unit}."
    )
    if privacy.empirical is not None:
        from synth_assets.privacy.empirical.words import bound_words

        show(f"Empirical check: epsilon is {bound_words(privacy.empirical)}.")
    paid = f"{made.spent:.4g} charged" if made.spent else "nothing charged, the stored measurement was used again"
    show(
        f"Budget: {paid}; population {privacy.population} has {privacy.budget_left:.4g} of {privacy.budget_epsilon:.4g} left ({home})."
    )
    if privacy.non_dp_inputs:
        show(
            f"Taken from the data without noise, {len(privacy.non_dp_inputs)} facts: kinds and roles that nobody declared "
            "(listed by --json; a --domain file declares them)."
        )


COMMANDS = (synthesize,)
