"""The report of a dataset: data card, masking, privacy, model cards, audit and leaderboard in one HTML file that opens offline.

What belongs here: the report's input and its rendering. What does not: computing any figure. Words such as "compliant" or "anonymous" are
not ours to say; a test rejects them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from synth_assets.audit.leaderboard import Leaderboard
from synth_assets.audit.records import AuditResult
from synth_assets.masking.records import MaskSummary
from synth_assets.pii.records import ColumnVerdict
from synth_assets.privacy.report import PrivacyReport
from synth_assets.profiling.records import ColumnProfile, TableProfile
from synth_assets.reports.glossary import GLOSSARY, METRICS
from synth_assets.reports.svg import bars, gauge, score_bar

SYNTHESIZERS = {
    "dp_marginals": "Mixture of product distributions fitted to noisy marginal counts (differential privacy)",
    "gaussian_copula": "SDV Gaussian copula (not differentially private)",
}
MODULES = ("privacy", "fidelity", "utility", "fairness")


class ContractLine(BaseModel):
    """One expectation of the contract and its outcome."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    name: str
    passed: bool
    description: str
    blocking: bool


class ReportInput(BaseModel):
    """Everything the report tells, in public form.

    Attributes:
        dataset: Name.
        description: From the YAML.
        policy: Masking policy.
        unit: Declared unit of privacy, or None.
        population: Whose budget is charged.
        target: Outcome column.
        protected: Protected columns.
        development_key: The masking key was made on first use, not given by a secret manager.
        contracts: Outcomes per table.
        profiles: Profile per table.
        verdicts: Classification per table.
        masks: What masking did, per table.
        privacy: The DP release, or None.
        audits: Audit per synthesizer.
        leaderboard: Synthesizers side by side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    dataset: str
    description: str | None
    policy: str
    unit: str | None
    population: str
    target: str | None
    protected: tuple[str, ...]
    development_key: bool
    contracts: Mapping[str, tuple[ContractLine, ...]]
    profiles: Mapping[str, TableProfile]
    verdicts: Mapping[str, tuple[ColumnVerdict, ...]]
    masks: Mapping[str, MaskSummary]
    privacy: PrivacyReport | None
    audits: Mapping[str, AuditResult]
    leaderboard: Leaderboard


def render(data: ReportInput, *, today: dt.date | None = None) -> str:
    """The report as one HTML document.

    Args:
        data: Public forms only.
        today: Date on the report; today (UTC) when None.
    """
    shown = (today or dt.datetime.now(dt.UTC).date()).isoformat()
    template = _environment().get_template("report.html.j2")
    text: str = template.render(
        data=data,
        today=shown,
        summary=_summary(data),
        tiles=_tiles(data),
        tables=[_table(data, name) for name in data.profiles],
        mechanisms=_mechanisms(data.privacy),
        synthesizers=SYNTHESIZERS,
        modules=MODULES,
        glossary=GLOSSARY,
        metric_text=METRICS,
    )
    return text


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("synth_assets.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": _score, "count": _count}
    environment.globals |= {"bars": bars, "gauge": gauge, "score_bar": score_bar}
    return environment


def _score(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _count(value: float | None) -> str:
    return "fewer than 11" if value is None else f"{value:,.0f}"


def _summary(data: ReportInput) -> list[str]:
    """The narrative: what was done, what came out, what it does not promise."""
    tables = len(data.profiles)
    direct = sum(v.identifier_class == "direct" for vs in data.verdicts.values() for v in vs)
    lines = [
        f"The dataset has {tables} table{'s' if tables != 1 else ''} with {sum(len(p.columns) for p in data.profiles.values())} columns, "
        f"{direct} of which identify a person directly. Direct identifiers are never modelled: in the synthetic tables they are made anew."
    ]
    if data.privacy is not None:
        p = data.privacy
        unit = f"all rows of one {p.unit}" if p.unit_is_declared else "one single row (no unit of privacy is declared)"
        lines.append(
            f"The release by {p.mechanism} is differentially private with epsilon {p.spent.epsilon:.3g} and delta {p.spent.delta:.2g}: adding "
            f"or removing {unit} changes the probability of any outcome by at most that much. The level is {p.level}."
        )
    best = data.leaderboard.recommended
    if best is not None:
        lines.append(
            f"Of {len(data.audits)} synthesizer{'s' if len(data.audits) != 1 else ''}, {best} is recommended. "
            + " ".join(data.leaderboard.reasons)
        )
    else:
        lines.append("No synthesizer is recommended. " + " ".join(data.leaderboard.reasons))
    return lines


def _tiles(data: ReportInput) -> list[tuple[str, str, str]]:
    """Label, figure, note."""
    tiles = []
    best = data.leaderboard.recommended
    if best is not None:
        audit = data.audits[best]
        tiles.append(("Recommended", best, "see the leaderboard"))
        tiles.append(("Overall score", _score(audit.overall_score), "privacy, fairness, fidelity; never a gate"))
        risk = audit.figures.privacy_risk_level
        tiles.append(
            ("Privacy risk", risk or "not measured", f"worst membership attack {_score(audit.figures.privacy_risk)}")
        )
    if data.privacy is not None:
        p = data.privacy
        tiles.append(("Epsilon spent", f"{p.spent.epsilon:.3g}", f"level {p.level}, delta {p.spent.delta:.1g}"))
        tiles.append(
            ("Budget left", f"{p.budget_left:.3g}", f"of {p.budget_epsilon:.3g} for population {p.population}")
        )
    return tiles


def _table(data: ReportInput, name: str) -> dict[str, Any]:
    """One table's data card."""
    profile = data.profiles[name]
    verdicts = {v.column: v for v in data.verdicts[name]}
    actions = {c.column: c for c in data.masks[name].columns}
    contract = data.contracts[name]
    return {
        "name": name,
        "rows": profile.row_count,
        "columns": [
            {"profile": c, "verdict": verdicts.get(c.name), "mask": actions.get(c.name), "picture": _picture(c)}
            for c in profile.columns
        ],
        "contract": contract,
        "contract_failed": sum(not line.passed for line in contract),
        "loss": sum(c.information_loss for c in data.masks[name].columns) / max(len(data.masks[name].columns), 1),
    }


def _picture(column: ColumnProfile) -> str:
    """A small picture of the public distribution, or nothing."""
    if column.histogram is not None:
        return bars([n or 0 for n in column.histogram.counts], label=f"distribution of {column.name}")
    if column.top_values:
        return bars([v.rows for v in column.top_values], label=f"commonest values of {column.name}")
    return ""


def _mechanisms(privacy: PrivacyReport | None) -> Sequence[dict[str, str]]:
    """The noisy steps in words."""
    if privacy is None:
        return ()
    rows = []
    for event in privacy.events:
        if event.kind == "gaussian":
            rows.append(
                {
                    "what": "discrete Gaussian noise on counts",
                    "noise": f"sigma {event.sigma:.3g}, sensitivity {event.l2_sensitivity:g}",
                    "calls": str(event.count),
                }
            )
        elif event.kind == "exponential":
            rows.append(
                {
                    "what": "choice by the exponential mechanism",
                    "noise": f"epsilon {event.epsilon:.3g} per call",
                    "calls": str(event.count),
                }
            )
        else:
            rows.append(
                {
                    "what": "categories shown only above a noisy threshold",
                    "noise": f"delta {event.delta:.2g} per call",
                    "calls": str(event.count),
                }
            )
    return rows
