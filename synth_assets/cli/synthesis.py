"""Commands that make synthetic tables: synthesize a file, sample a stored model. Each is one call of the library."""

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
    nearest_home,
    table_of,
)
from synth_assets.cli.output import emit_json, note, path_line, show, steps
from synth_assets.config.sampling import asked_of

if TYPE_CHECKING:
    from synth_assets.api import Sample, Synthesis

WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COL=VALUE",
        help="Only such rows: sex=F, age=40..60, race=Black,White, job= for missing; may be repeated.",
    ),
]
BalanceOption = Annotated[
    str | None,
    typer.Option(metavar="COL", help="Equal shares of this column's classes, or given ones: COL=A:0.7,B:0.3."),
]

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
    where: WhereOption = None,
    balance: BalanceOption = None,
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
    asked = asked_of(where or [], balance)
    base = home_of(home)
    with steps(quiet=as_json) as progress:
        made = api.synthesize(
            source, out.absolute(), synthesizer=synthesizer, epsilon=epsilon, delta=delta, rows=rows,
            domain=None if domain is None else domain.absolute(), target=target, seed=seed, population=population,
            from_scratch=from_scratch, fresh=fresh, epochs=epochs, where=asked, home=base, progress=progress,
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
    if privacy.canaries:
        from synth_assets.privacy.empirical.words import canary_words

        show(f"Canaries: {canary_words(privacy.canaries)}.")
    paid = f"{made.spent:.4g} charged" if made.spent else "nothing charged, the stored measurement was used again"
    show(
        f"Budget: {paid}; population {privacy.population} has {privacy.budget_left:.4g} of {privacy.budget_epsilon:.4g} left ({home})."
    )
    if privacy.non_dp_inputs:
        show(
            f"Taken from the data without noise, {len(privacy.non_dp_inputs)} facts: kinds and roles that nobody declared "
            "(listed by --json; a --domain file declares them)."
        )


def sample(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="Dataset whose chain has run in this home, or folder of a dp_marginals model."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="OUT", help="File of the table, or folder for a Parquet file of each table."
        ),
    ],
    rows: Annotated[
        int | None,
        typer.Option(metavar="N", help="Rows of the root table (default: about as many as the source).", min=1),
    ] = None,
    where: WhereOption = None,
    balance: BalanceOption = None,
    top_up: Annotated[
        bool,
        typer.Option(
            "--top-up", help="Only the rows that the source lacks to have these shares, by the model's noisy counts."
        ),
    ] = False,
    augment: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Real table to write with synthetic rows of its rare classes behind it; no release."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Same seed, same bytes.", min=0)] = 7,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """More rows of a stored model, also under conditions; free."""
    from synth_assets import api

    asked = asked_of(where or [], balance)
    with steps(quiet=as_json) as progress:
        made = api.sample(
            model, out.absolute(), rows=rows, where=asked, top_up=top_up, augment=augment, seed=seed,
            home=nearest_home(home), progress=progress,
        )  # fmt: skip
    if as_json:
        told = {"out": {t: str(p) for t, p in made.tables.items()}, "rows": made.rows, "real_rows": made.real_rows}
        emit_json({**told, "epsilon_spent": 0, "classes": made.classes, "model_rows": made.model_rows})
        return 0
    _print_sample(made)
    return 0


def _print_sample(made: Sample) -> None:
    """Where the tables are, and how much the model knows about what was asked for."""
    for name, path in made.tables.items():
        show(path_line("synthetic" if not made.real_rows else "augmented", f"{path} ({made.rows[name]:,} rows)"))
    for label, share in made.classes.items():
        what = f"class {label}" if label else "the conditions"
        show(f"Under the model {what}: {share:.3g} of the rows, about {share * made.model_rows:,.0f} of its source's.")
    if made.real_rows:
        show(
            f"{made.real_rows:,} rows are real (is_synthetic is false): treat the table as personal data. It is no release."
        )
    else:
        show("Privacy: nothing was spent; the model is differentially private, and so is all that is drawn from it.")


def recommend(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The dataset's YAML.")],
    units: Annotated[
        int | None,
        typer.Option(metavar="N", help="Public number of units of privacy, people or rows (default: what is known)."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Which synthesizers fit a dataset, and why; trains nothing."""
    from synth_assets.api.recommending import recommend as advice_on

    told = advice_on(config.absolute(), home=nearest_home(home), units=units)
    if as_json:
        emit_json(told)
        return 0
    known = f"about {told.facts.units:,} units ({told.facts.units_from})" if told.facts.units else "units not known"
    shape = f"{len(told.facts.parents)} tables" if len(told.facts.parents) > 1 else "one table"
    show(
        f"{told.facts.dataset}: {shape}, {told.facts.columns} modelled columns, {known}; epsilon {told.facts.budget_left:.3g} is left."
    )
    for advice in told.advice:
        settings = ", ".join(f"{k} {v:g}" for k, v in advice.settings.items())
        show("", f"{advice.synthesizer}: {advice.fit}{f' ({settings})' if settings else ''}")
        for reason in advice.reasons:
            show(f"  {reason}")
    show("", "Nothing was read, trained or spent. After training, the leaderboard compares what was made.")
    return 0


COMMANDS = (synthesize, sample, recommend)
