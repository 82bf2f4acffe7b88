"""The command `audit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from synth_assets.cli.options import JsonOption
from synth_assets.cli.output import emit_json, show, steps, table

if TYPE_CHECKING:
    from synth_assets.audit.records import AuditResult
    from synth_assets.config.thresholds import Level


def audit(
    synthetic: Annotated[str, typer.Option(metavar="FILE", help="The synthetic table: a path or https:// address.")],
    real: Annotated[str | None, typer.Option(metavar="FILE", help="What the synthesizer was trained on.")] = None,
    holdout: Annotated[
        str | None, typer.Option(metavar="FILE", help="Real rows that it never saw: the control group.")
    ] = None,
    protected: Annotated[
        list[str] | None, typer.Option(metavar="COL", help="A column whose groups are compared; may be repeated.")
    ] = None,
    target: Annotated[str | None, typer.Option(metavar="COL", help="Outcome column.")] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Seed of samples and models.", min=0)] = 7,
    full: Annotated[
        bool, typer.Option("--full", help="Exact figures and all details, for the restricted zone only.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Audit a table: fidelity, utility, privacy and fairness."""
    from synth_assets import api

    with steps(quiet=as_json) as progress:
        result = api.audit(
            synthetic, real, holdout, protected=tuple(protected or ()), target=target, seed=seed, progress=progress
        )
    shown = result if full else result.public()
    if as_json:
        emit_json(shown)
    else:
        _print_audit(shown)
    return 0


def _print_audit(result: AuditResult) -> None:
    scores = {"overall": result.overall_score, **result.module_scores.model_dump()}
    reasons = {"overall": result.reasons.get("overall_score", "")} | dict(result.reasons)
    levels: dict[str, Level | None] = {name: found.risk_level for name, found in result.detailed_findings.items()}
    rows = [[n, v, levels.get(n), reasons.get(n, "")] for n, v in scores.items()]
    show(table("Scores (1 is best)", ["module", "score", "risk", "note"], rows), "")
    found = [
        [module, finding.risk_level, finding.message]
        for module, findings in result.detailed_findings.items()
        for finding in findings.findings
        if finding.decides and finding.column is None
    ]
    if found:
        show(table("Findings", ["module", "risk", "what it means"], found), "")
    others = len(result.findings()) - len(found)
    if others:
        show(f"{others} more findings (per column, or for information only): --json")
    for note in result.inputs.notes:
        show(f"Note: {note}")


COMMANDS = (audit,)
