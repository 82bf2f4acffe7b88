"""Commands about one file: profile, classify, mask, generate, synthesize, audit. Each is one call of the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth_assets.cli.chain import HomeOption, JsonOption, home_of
from synth_assets.cli.output import console, emit_json, path_line, table

if TYPE_CHECKING:
    from synth_assets.audit.records import AuditResult
    from synth_assets.privacy.report import PrivacyReport

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="CSV, TSV, Parquet, JSON, JSONL or Excel file.")]
OutOption = Annotated[Path, typer.Option("-o", "--out", help="File to write; its suffix sets the format.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (profile, classify, mask, generate, synthesize, audit):
        app.command()(command)


def profile(file: FileArgument, as_json: JsonOption = False) -> int:
    """Statistics of every column; raw values of identifying columns are suppressed."""
    from synth_assets import api

    found = api.profile(file)
    if as_json:
        emit_json(found.model_dump(mode="json"))
        return 0
    rows = [
        [
            c.name,
            c.kind.value,
            c.count,
            c.missing,
            c.distinct,
            *(_number(c, k) for k in ("minimum", "median", "mean", "maximum")),
        ]
        for c in found.columns
    ]
    title = f"{found.name}: {found.row_count:,} rows, {len(found.columns)} columns"
    console.print(
        table(title, ["column", "kind", "count", "missing", "distinct", "min", "median", "mean", "max"], rows)
    )
    return 0


def _number(column: Any, name: str) -> Any:
    return None if column.number is None else getattr(column.number, name)


def classify(file: FileArgument, as_json: JsonOption = False) -> int:
    """What each column holds about people, with confidence and evidence."""
    from synth_assets import api

    verdicts = api.classify(file)
    if as_json:
        emit_json([json.loads(v.model_dump_json()) for v in verdicts])
        return 0
    rows = [
        [
            v.column,
            v.entity_type,
            v.identifier_class,
            round(v.confidence, 2),
            v.recommended_action,
            v.hipaa_identifier,
            "; ".join(v.evidence[:2]),
        ]
        for v in verdicts
    ]
    console.print(table("Columns", ["column", "entity type", "class", "confidence", "action", "HIPAA", "why"], rows))
    return 0


def mask(
    file: FileArgument,
    out: OutOption,
    policy: Annotated[
        str, typer.Option(help="Policy: a name (hipaa_safe_harbor, dev_test) or a file.")
    ] = "hipaa_safe_harbor",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Mask a file by a policy. Nothing is written unless the leak check passes."""
    from synth_assets import api

    path, summary = api.mask(file, out.absolute(), policy=policy, home=home_of(home))
    if as_json:
        emit_json({"out": str(path), "summary": json.loads(summary.model_dump_json())})
        return 0
    rows = [[c.column, c.action, c.reason, round(c.information_loss, 2)] for c in summary.columns]
    console.print(
        table(
            f"{summary.rows:,} rows, policy {summary.policy}", ["column", "action", "reason", "information loss"], rows
        )
    )
    console.print(path_line("masked", str(path)), soft_wrap=True)
    return 0


def generate(
    schema: Annotated[Path, typer.Argument(help="YAML of the schema, such as configs/schemas/clinic.yaml.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write.")],
    rows: Annotated[int | None, typer.Option(help="Rows of the root table.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 7,
    fmt: Annotated[str, typer.Option("--format", help="csv, parquet or jsonl.")] = "csv",
    as_json: JsonOption = False,
) -> int:
    """Make tables from a schema alone, without any source data."""
    from synth_assets import api

    files = api.generate(schema.absolute(), out.absolute(), rows=rows, seed=seed, fmt=fmt)
    if as_json:
        emit_json({"files": {name: str(path) for name, path in files.items()}, "seed": seed})
        return 0
    for name, path in files.items():
        console.print(path_line(name, path), soft_wrap=True)
    return 0


def synthesize(
    file: FileArgument,
    out: OutOption,
    synthesizer: Annotated[str, typer.Option(help="dp_marginals or gaussian_copula (not private).")] = "dp_marginals",
    epsilon: Annotated[float, typer.Option(help="Total epsilon of this release.")] = 1.0,
    delta: Annotated[float, typer.Option(help="Its delta.")] = 1e-6,
    rows: Annotated[
        int | None, typer.Option(help="Rows to make (default: about as many as the source).", min=1)
    ] = None,
    domain: Annotated[
        Path | None, typer.Option(help="Public domain: a YAML with `columns:`, or a schema.json.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Column that the model serves first.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights and sampling; never of the noise.")] = 7,
    population: Annotated[str | None, typer.Option(help="Whose budget pays (default: the file's stem).")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure and pay again although the same measurement is stored.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Train on one file and sample a synthetic table; direct identifiers are made anew."""
    from synth_assets import api

    made = api.synthesize(
        file, out.absolute(), synthesizer=synthesizer, epsilon=epsilon, delta=delta, rows=rows,
        domain=None if domain is None else domain.absolute(), target=target, seed=seed, population=population,
        fresh=fresh, home=home_of(home),
    )  # fmt: skip
    if as_json:
        privacy = None if made.privacy is None else json.loads(made.privacy.model_dump_json())
        emit_json({"out": str(made.table), "rows": made.rows, "privacy": privacy})
        return 0
    console.print(path_line("synthetic", f"{made.table} ({made.rows:,} rows)"), soft_wrap=True)
    console.print(_privacy_text(made.privacy), soft_wrap=True)
    return 0


def _privacy_text(privacy: PrivacyReport | None) -> str:
    if privacy is None:
        return "This synthesizer is not differentially private: treat its output as personal data until an audit says otherwise."
    return (
        f"Privacy: epsilon {privacy.spent.epsilon:.4g} at delta {privacy.spent.delta:.2g} ({privacy.level}), "
        f"unit of privacy: {privacy.unit}; "
        f"charged to population {privacy.population}, {privacy.budget_left:.4g} of {privacy.budget_epsilon:.4g} is left."
    )


def audit(
    synthetic: Annotated[str, typer.Option(help="The synthetic table.")],
    real: Annotated[str | None, typer.Option(help="What the synthesizer was trained on.")] = None,
    holdout: Annotated[str | None, typer.Option(help="Real rows that it never saw: the control group.")] = None,
    protected: Annotated[
        list[str] | None, typer.Option(help="A column whose groups are compared; may be repeated.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Outcome column.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of samples and models.")] = 7,
    full: Annotated[bool, typer.Option("--full", help="The full form, which belongs in the restricted zone.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Audit a synthetic table: fidelity, utility, privacy with a control group, fairness."""
    from synth_assets import api

    result = api.audit(synthetic, real, holdout, protected=tuple(protected or ()), target=target, seed=seed)
    shown = result if full else result.public()
    if as_json:
        emit_json(json.loads(shown.model_dump_json()))
        return 0
    _print_audit(shown)
    return 0


def _print_audit(result: AuditResult) -> None:
    scores = {"overall": result.overall_score, **result.module_scores.model_dump()}
    rows = [[n, v, getattr(result.module_levels, n, None), result.reasons.get(n, "")] for n, v in scores.items()]
    console.print(table("Scores (1 is best)", ["module", "score", "level", "reason"], rows))
    console.print()
    found = [
        [m, f.risk_level, f.message]
        for m, fs in result.detailed_findings.items()
        for f in fs
        if f.decides and f.column is None
    ]
    console.print(table("Findings", ["module", "level", "what it means"], found))
