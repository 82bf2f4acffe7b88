"""The commands `audit` and `schema`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from synth_assets.cli.options import HomeOption, JsonOption, home_of, nearest_home
from synth_assets.cli.output import emit_json, line, show, steps, table
from synth_assets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synth_assets.audit.gates import GateOutcome
    from synth_assets.audit.records import AuditResult
    from synth_assets.config.audited import AuditPlan
    from synth_assets.config.dataset import SynthesizerConfig
    from synth_assets.config.thresholds import Level

BLOCKED = 3
UnitOption = Annotated[
    str | None, typer.Option(metavar="COL", help="Column that says whose a row is: attacks count people, not rows.")
]
KeyOption = Annotated[
    list[str] | None,
    typer.Option(metavar="COL", help="A column that numbers the rows: never compared; may be repeated."),
]
ShadowOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Synthesizer that made the table: attack with shadow models of it, which is slow."
    ),
]
OrderOption = Annotated[
    str | None, typer.Option(metavar="COL", help="Column that orders the rows of one unit in time.")
]


def audit(
    synthetic: Annotated[str, typer.Option(metavar="FILE", help="The synthetic table: a path or an address.")],
    real: Annotated[str | None, typer.Option(metavar="FILE", help="What the synthesizer was trained on.")] = None,
    holdout: Annotated[
        str | None, typer.Option(metavar="FILE", help="Real rows that it never saw: the control group.")
    ] = None,
    protected: Annotated[
        list[str] | None,
        typer.Option(
            "--protected",
            "--protected-attributes",
            metavar="COL",
            help="A column whose groups are compared; may be repeated.",
        ),
    ] = None,
    target: Annotated[str | None, typer.Option(metavar="COL", help="Outcome column.")] = None,
    unit: UnitOption = None,
    primary_key: KeyOption = None,
    sequence_order: OrderOption = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="YAML of a dataset, from which all is taken; or levels, weights, limits, thresholds."
        ),
    ] = None,
    dataset_table: Annotated[
        str | None, typer.Option("--table", metavar="NAME", help="Which table of that dataset, where it has several.")
    ] = None,
    shadow: ShadowOption = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Seed of samples and models.", min=0)] = 7,
    full: Annotated[
        bool, typer.Option("--full", help="Exact figures and all details, for the restricted zone only.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Audit a table: fidelity, utility, privacy and fairness."""
    from synth_assets import api
    from synth_assets.audit.gates import gate_outcomes

    plan = _plan(config, dataset_table)
    own: dict[str, Any] = {"unit": unit, "primary_key": tuple(primary_key or ()), "sequence_order": sequence_order}
    said = {key: value for key, value in own.items() if value}
    with steps(quiet=as_json) as progress:
        result = api.audit(
            synthetic, real, holdout, dataset=plan, declared=plan.table.model_copy(update=said) if said else None,
            protected=protected or None, target=target, shadow=_shadow(shadow), seed=seed, home=_counting(home), progress=progress,
        )  # fmt: skip
    thresholds = plan.judge.thresholds
    gates = () if thresholds is None else gate_outcomes(thresholds, result)
    shown = result if full else result.public()
    if as_json:
        emit_json({**shown.model_dump(mode="json"), **({"gates": [_gate(g) for g in gates]} if gates else {})})
    else:
        _print_audit(shown)
        _print_gates(gates)
    return BLOCKED if any(g.blocks for g in gates) else 0


def _shadow(name: str | None) -> SynthesizerConfig | None:
    """The synthesizer whose shadow models are trained.

    Raises:
        InputError: there is none of this name.
    """
    from synth_assets.config.dataset import SynthesizerConfig

    known = get_args(SynthesizerConfig.model_fields["name"].annotation)
    if name is not None and name not in known:
        raise InputError(f"there is no synthesizer {name!r}.", key="--shadow", remedy=f"Use {' or '.join(known)}.")
    return None if name is None else SynthesizerConfig.model_validate({"name": name})


def _counting(home: Path | None) -> Path | None:
    """The home that counts public forms: the named one, or the nearest one where there is any; an audit makes none."""
    found = nearest_home(home)
    return home_of(home) if home is not None or found.exists() else None


def _plan(config: Path | None, dataset_table: str | None) -> AuditPlan:
    """What the file of `--config` says."""
    from synth_assets.config.audited import AuditPlan, read_plan

    if config is not None:
        return read_plan(config, dataset_table)
    if dataset_table is not None:
        raise InputError("a table is named, and no dataset.", key="--table", remedy="Give its YAML with --config.")
    return AuditPlan()


def schema(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="audit, audit-public, audit-request, mask-request, mask-reply ...")
    ],
) -> int:
    """Print the JSON Schema of a request or a result."""
    from synth_assets.api import schemas

    emit_json(schemas.schema(name))
    return 0


def _gate(gate: GateOutcome) -> dict[str, Any]:
    value = None if gate.value is None else round(gate.value, 2)
    return {
        "name": gate.name, "passed": gate.passed, "severity": gate.severity, "message": gate.message, "value": value
    }  # fmt: skip


def _print_gates(gates: Sequence[GateOutcome]) -> None:
    if gates:
        show(f"Gates: {sum(g.passed for g in gates)} of {len(gates)} passed.")
    for gate in gates:
        if not gate.passed:
            word, style = ("blocked", "bold red") if gate.blocks else ("warning", "yellow")
            line(word, f"{gate.name}: {gate.message}", style=style)


def _print_audit(result: AuditResult) -> None:
    """Scores, the verdict of each module, and the other findings that decide and are not low."""
    scores = {"overall": result.overall_score, **result.module_scores.model_dump()}
    reasons = {"overall": result.reasons.get("overall_score", "")} | dict(result.reasons)
    levels: dict[str, Level | None] = {name: found.risk_level for name, found in result.detailed_findings.items()}
    rows = [[n, v, levels.get(n), reasons.get(n, "")] for n, v in scores.items()]
    show(table("Scores (1 is best)", ["module", "score", "risk", "note"], rows), "")
    verdicts = {name: found for name, found in result.detailed_findings.items() if found.risk_level is not None}
    told = [[name, found.risk_level, found.message] for name, found in verdicts.items()]
    worse = [
        [name, finding.risk_level, finding.message]
        for name, found in verdicts.items()
        for finding in found.findings
        if finding.decides and finding.risk_level != "low" and not found.message.startswith(finding.message)
    ]
    columns = ["module", "risk", "what it means"]
    for title, lines in (("Verdicts", told), ("Other findings that decide and are not low", worse)):
        if lines:
            show(table(title, columns, lines), "")
    others = len(result.findings()) - len(told) - len(worse)
    if others > 0:
        show(f"{others} more findings: --json")
    for note in result.inputs.notes:
        show(f"Note: {note}")


COMMANDS = (audit, schema)
