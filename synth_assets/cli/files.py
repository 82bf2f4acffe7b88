"""Commands about one file: profile, classify, mask, generate. Each is one call of the library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
from pydantic import ValidationError

from synth_assets.cli.options import (
    DelimiterOption,
    EncodingOption,
    FileArgument,
    HomeOption,
    JsonOption,
    NullValueOption,
    OutOption,
    SheetOption,
    TextDetectorOption,
    home_of,
    known_locale,
    nearest_home,
    table_of,
    telling_of_first_key,
)
from synth_assets.cli.output import emit_json, narrow, path_line, show, steps, table
from synth_assets.config.anonymity import TableAnonymity
from synth_assets.config.dataset import ColumnConfig, TextDetectorName
from synth_assets.config.rules import Action, Rule
from synth_assets.errors import InputError

if TYPE_CHECKING:
    from synth_assets.masking.anonymity.records import AnonymityOutcome
    from synth_assets.masking.records import MaskSummary
    from synth_assets.pii.records import ColumnVerdict
    from synth_assets.profiling.records import ColumnProfile, TableProfile


def profile(
    file: FileArgument,
    public: Annotated[
        bool,
        typer.Option(
            "--public",
            help="The form to share: no extreme, nothing of fewer than 11 rows, no value of a quasi-identifier, counts rounded.",
        ),
    ] = False,
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
    null_value: NullValueOption = None,
    sheet: SheetOption = None,
    as_json: JsonOption = False,
) -> int:
    """Statistics of every column, without identifying values."""
    from synth_assets import api

    source = table_of(file, encoding, delimiter, null_value, sheet)
    with steps(quiet=as_json) as progress:
        found = api.profile(source, progress=progress)
    found = found.public() if public else found
    if as_json:
        emit_json(found)
        return 0
    rows = [[c.name, c.kind.value, c.count, c.missing, c.distinct, *_figures(c)] for c in found.columns]
    total = "fewer than 11" if found.row_count is None else f"{found.row_count:,}"
    title = f"{found.name}: {total} rows, {len(found.columns)} columns"
    heads = ["column", "kind", "filled", "missing", "distinct", *FIGURES, "most frequent"]
    show(table(title, heads, rows, right=FIGURES), "")
    for line in _remarks(found):
        show(line)
    return 0


FIGURES = ("min", "median", "mean", "max")
FEWEST_ROWS = 11  # a value of fewer rows says more about somebody than about the column


def _figures(column: ColumnProfile) -> list[Any]:
    """Smallest, median, mean, largest; and the most frequent value with its share."""
    stats: Any = column.number or column.time
    numbers = [None if stats is None else getattr(stats, n) for n in ("minimum", "median", "mean", "maximum")]
    if not column.top_values or not column.count or column.top_values[0].rows < FEWEST_ROWS:
        return [*numbers, None]
    first = column.top_values[0]
    share = first.rows / column.count
    value = first.value if len(first.value) <= 24 else first.value[:23] + "…"
    return [*numbers, f"{value} ({share:.0%})" if share >= 0.01 else None]


def _remarks(found: TableProfile) -> list[str]:
    """What concerns several columns."""
    sets = () if found.uniqueness is None else found.uniqueness.sets or found.uniqueness.strongest
    lines = [f"{found.duplicates:,} rows repeat an earlier row."] if found.duplicates else []
    lines += [
        f"{one.unique_fraction:.1%} of the rows are alone with their {' + '.join(one.columns)}."
        for one in sets[:3]
        if one.unique_fraction is not None and one.unique_fraction >= 0.001
    ]
    hidden = [c.name for c in found.columns if c.identifies == "alone"]
    if hidden:
        lines.append(f"Values withheld, since they identify people: {', '.join(hidden)}.")
    return lines


def classify(
    file: FileArgument,
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
    null_value: NullValueOption = None,
    sheet: SheetOption = None,
    text_detector: TextDetectorOption = "builtin",
    as_json: JsonOption = False,
) -> int:
    """What each column holds about people, and why we think so."""
    from synth_assets import api

    source = table_of(file, encoding, delimiter, null_value, sheet)
    with steps(quiet=as_json) as progress:
        verdicts = api.classify(source, text_detector=_detector(text_detector), progress=progress)
    if as_json:
        emit_json(verdicts)
        return 0
    reasons = 1 if narrow() else 2
    rows = [
        [
            v.column,
            v.entity_type,
            v.identifier_class,
            f"{v.confidence:.2f}",
            v.recommended_action,
            v.hipaa_identifier,
            "; ".join(_reasons(v)[:reasons]),
        ]
        for v in verdicts
    ]
    show(table("", ["column", "entity type", "class", "conf.", "action", "HIPAA", "why"], rows))
    return 0


def _detector(name: str) -> TextDetectorName:
    if name not in get_args(TextDetectorName):
        known = " or ".join(get_args(TextDetectorName))
        raise InputError(f"{name!r} is no text detector.", remedy=f"Give {known}.")
    return cast("TextDetectorName", name)


def _reasons(verdict: ColumnVerdict) -> list[str]:
    """The evidence, strongest first; plain counts only where there is nothing else."""
    telling = [e for e in verdict.evidence if not e.startswith("counts:")]
    return telling or list(verdict.evidence)


def mask(
    file: FileArgument,
    out: OutOption,
    policy: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Policy: hipaa_safe_harbor, gdpr_pseudonymisation, k_anonymity, dev_test, one of your own, or a YAML file.",
        ),
    ] = "hipaa_safe_harbor",
    action: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COL=ACTION",
            help="What to do with one column, in place of the policy, such as pay=round:digits=-3; may be repeated.",
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(metavar="K", help="Fewest persons who share each combination of quasi-identifiers.", min=2),
    ] = None,
    quasi: Annotated[
        list[str] | None,
        typer.Option(metavar="COL", help="Quasi-identifier, in place of the classification's; may be repeated."),
    ] = None,
    release_domain: Annotated[
        str,
        typer.Option(metavar="NAME", help="Recipient; pseudonyms and tokens of two recipients cannot be joined."),
    ] = "default",
    text_detector: TextDetectorOption = "builtin",
    locale: Annotated[
        str, typer.Option(metavar="LOCALE", help="Country of made-up names, streets and cities, such as de_DE.")
    ] = "en_US",
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
    null_value: NullValueOption = None,
    sheet: SheetOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Mask a file by a policy; written only after the leak check."""
    from synth_assets import api
    from synth_assets.api.reading import destination

    source = table_of(file, encoding, delimiter, null_value, sheet)
    columns = _actions(action or [])
    detector, place = _detector(text_detector), known_locale(locale)
    destination(out, source)
    base = home_of(home) if _policy_exists(policy, home) else nearest_home(home)
    with telling_of_first_key(base), steps(quiet=as_json) as progress:
        path, summary = api.mask(
            source, out.absolute(), policy=policy, columns=columns, home=base, release_domain=release_domain,
            text_detector=detector, locale=place, progress=progress,
            anonymity=TableAnonymity(k=k, quasi_identifiers=tuple(quasi or ())) if k or quasi else None,
        )  # fmt: skip
    if as_json:
        emit_json({"out": str(path), "rows": summary.rows, "summary": summary})
        return 0
    _print_masked(summary)
    show(path_line("masked", str(path)))
    return 0


def _print_masked(summary: MaskSummary) -> None:
    """What was done to each column, and the checks."""
    rows = [[c.column, c.action, f"{c.information_loss:.2f}", c.reason] for c in summary.columns]
    title = f"{summary.rows:,} rows, policy {summary.policy}"
    show(table(title, ["column", "action", "loss", "reason"], rows), "")
    show("Leak check passed: no raw identifier is left. Loss: 0 tells rows apart as before, 1 leaves nothing.")
    if summary.anonymity is not None:
        show(_anonymity_line(summary.anonymity))


def _anonymity_line(done: AnonymityOutcome) -> str:
    """What k-anonymity cost, in one line."""
    share = done.suppressed_rows / max(done.rows, 1)
    return (
        f"k-anonymity: at least {done.k} {done.unit} in each of {done.classes:,} classes over {', '.join(done.quasi)}; "
        f"loss {done.loss:.2f}, {share:.1%} of the rows have their quasi-identifiers blanked ({done.method})."
    )


def _actions(given: list[str]) -> dict[str, ColumnConfig]:
    """Overrides from `column=action` or `column=action:parameter=value,...`; a column's name may hold an equals sign.

    Raises:
        InputError: not of that form, no such action, or a parameter that it does not take.
    """
    found = {}
    for text in given:
        ends = [i for i, sign in enumerate(text) if sign == "=" and i]
        splits = [(text[:i], *text[i + 1 :].partition(":")[::2]) for i in reversed(ends)]
        column, name, more = next((s for s in splits if s[1] in get_args(Action)), ("", "", ""))
        if not column:
            raise InputError(
                f"{text!r} is not of the form COLUMN=ACTION.",
                key="--action",
                remedy=f"Actions: {', '.join(get_args(Action))}.",
            )
        found[column] = ColumnConfig(action=_rule(name, more))
    return found


def _rule(name: str, more: str) -> Rule:
    """An action with its parameters, as `digits=-3,...`."""
    parameters = dict(p.partition("=")[::2] for p in more.split(",")) if more else {}
    try:
        return Rule.model_validate({"action": name, **parameters})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        words = str(first["msg"]).removeprefix("Value error, ")
        raise InputError(
            f"the action `{name}`{f', parameter {place!r}' if place else ''}: {words}.",
            key="--action",
            remedy="Write parameters as COLUMN=ACTION:NAME=VALUE, such as salary=round:digits=-3.",
        ) from None


def _policy_exists(policy: str, home: Path | None) -> bool:
    """Raises where it does not, so that no home is made for a command that cannot run."""
    from synth_assets.config.runtime import Settings
    from synth_assets.masking.policies import load_policy

    return bool(load_policy(policy, Settings(home=nearest_home(home)).configs_folder))


def generate(
    schema: Annotated[Path, typer.Argument(metavar="SCHEMA", help="YAML of the schema, see configs/schemas.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Folder to write.")],
    rows: Annotated[
        int | None, typer.Option(metavar="N", help="Rows of the first table (default: the schema's).", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Same seed, same bytes.", min=0)] = 7,
    fmt: Annotated[str, typer.Option("--format", metavar="FORMAT", help="csv, parquet or jsonl.")] = "csv",
    as_json: JsonOption = False,
) -> int:
    """Make tables from a schema alone, without source data."""
    from synth_assets import api

    with steps(quiet=as_json) as progress:
        files = api.generate(
            schema.absolute(), out.absolute(), rows=rows, seed=seed, fmt=fmt.lower(), progress=progress
        )
    if as_json:
        emit_json({"files": {name: str(path) for name, path in files.items()}, "seed": seed})
        return 0
    for name, path in files.items():
        show(path_line(name, path))
    return 0


COMMANDS = (profile, classify, mask, generate)
