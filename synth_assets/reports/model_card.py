"""The card of one synthesizer: method, inputs, gates, scores, and the audit's findings grouped for reading.

What belongs here: choosing and grouping public findings. What does not: computing them, and HTML.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from synth_assets.audit.glossary import MODULES, family, metric
from synth_assets.audit.leaderboard import LeaderboardRow
from synth_assets.audit.records import AuditResult, Finding, Module
from synth_assets.config.thresholds import AuditLevels, Cutoffs, Level
from synth_assets.reports.data_card import listing
from synth_assets.reports.inputs import CheckLine, ReportInput
from synth_assets.reports.svg import interval_strip

ORDER: tuple[Module, ...] = ("privacy", "fidelity", "utility", "fairness")
METHODS = {
    "dp_marginals": "Mixture of product distributions, fitted to noisy counts of combinations of columns",
    "gaussian_copula": "Gaussian copula of the SDV library (BUSL-1.1)",
    "hma": "Hierarchical modelling of related tables by the SDV library (BUSL-1.1)",
    "par": "PAR, a network of sequences of the SDV library (BUSL-1.1)",
    "ctgan": "CTGAN, a generative adversarial network of the SDV library (BUSL-1.1)",
    "tvae": "TVAE, a variational autoencoder of the SDV library (BUSL-1.1)",
    "copulagan": "CopulaGAN, a generative adversarial network of the SDV library (BUSL-1.1)",
}
SHOWN = 6
_RANK: Mapping[Level, int] = {"high": 0, "medium": 1, "low": 2}


@dataclass(frozen=True)
class FindingRow:
    """One finding as a row of a table."""

    finding: Finding
    what: str
    picture: Markup

    @property
    def upper(self) -> float | None:
        """Upper end of the interval above the baseline, which decides the level."""
        return None if self.finding.excess_interval is None else self.finding.excess_interval[1]


@dataclass(frozen=True)
class FindingGroup:
    """Findings of one metric."""

    title: str
    text: str
    decides: bool
    rows: tuple[FindingRow, ...]


@dataclass(frozen=True)
class ColumnGrid:
    """Figures per column, one table for all of them: a row per column, a column per metric."""

    metrics: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Finding | None, ...]], ...]


@dataclass(frozen=True)
class ModuleCard:
    """One module of the audit."""

    name: Module
    title: str
    text: str
    score: float | None
    level: Level | None
    sentence: str
    stands_out: tuple[Finding, ...]
    more: int
    groups: tuple[FindingGroup, ...]
    columns: ColumnGrid | None
    findings: int

    @property
    def has_upper(self) -> bool:
        """Whether a row has an interval above its baseline."""
        return any(r.upper is not None for g in self.groups for r in g.rows)

    @property
    def has_picture(self) -> bool:
        """Whether a row has a picture of it."""
        return any(r.picture for g in self.groups for r in g.rows)


@dataclass(frozen=True)
class ModelCard:
    """One synthesizer."""

    name: str
    method: str
    private: bool
    audit: AuditResult
    row: LeaderboardRow
    gates: tuple[CheckLine, ...]
    modules: tuple[ModuleCard, ...]
    left_out: tuple[tuple[str, str], ...]
    limits: tuple[str, ...]

    @property
    def blocked(self) -> bool:
        """Whether a blocking gate failed, so that its tables are not released."""
        return any(line.blocking and not line.passed for line in self.gates)


def model_card(data: ReportInput, name: str) -> ModelCard:
    """What the report shows of one synthesizer."""
    audit = data.audits[name]
    row = next(r for r in data.leaderboard.rows if r.synthesizer == name)
    by_reason: dict[str, list[str]] = {}
    for column, reason in audit.inputs.left_out.items():
        by_reason.setdefault(reason, []).append(column)
    partial = [f"{_words(key)}: {text}" for key, text in audit.reasons.items() if key not in ORDER]
    return ModelCard(
        name=name,
        method=METHODS.get(name, name),
        private=row.epsilon is not None,
        audit=audit,
        row=row,
        gates=data.gates[name],
        modules=tuple(_module(audit, m, several=len(data.profiles) > 1) for m in ORDER),
        left_out=tuple((reason, ", ".join(columns)) for reason, columns in by_reason.items()),
        limits=(*audit.inputs.notes, *partial),
    )


def _words(key: str) -> str:
    """A key of the audit's reasons, such as privacy.singling_out.visits, as words."""
    return key.replace("_", " ").replace(".", ", ").capitalize()


def _module(audit: AuditResult, name: Module, *, several: bool) -> ModuleCard:
    found = audit.findings(name)
    striking = sorted((f for f in found if f.decides and f.risk_level != "low"), key=lambda f: _RANK[f.risk_level])
    grid = _grid(found) if name == "fidelity" else None
    grouped = [f for f in found if not (name == "fidelity" and f.metric.startswith("column_") and f.column)]
    return ModuleCard(
        name=name,
        title=MODULES[name].title,
        text=MODULES[name].text,
        score=getattr(audit.module_scores, name),
        level=audit.level(name),
        sentence=_sentence(audit, name, found),
        stands_out=tuple(striking[:SHOWN]),
        more=max(len(striking) - SHOWN, 0),
        groups=_groups(grouped, audit.levels, several=several),
        columns=grid,
        findings=len(found),
    )


def _sentence(audit: AuditResult, name: Module, found: Sequence[Finding]) -> str:
    """The module in one or two sentences; the reason where it could not run."""
    score = getattr(audit.module_scores, name)
    if score is None:
        return f"Not computed. {audit.reasons.get(name, 'No reason was recorded.')}"
    counted = Counter(f.risk_level for f in found if f.decides)
    levels: tuple[Level, ...] = ("low", "medium", "high")
    told = [f"{counted[level]} of {level} risk" for level in levels if counted[level]]
    total = sum(counted.values())
    tail = f"Of {total} deciding figures, {listing(told)}." if len(told) > 1 else ""
    if total > 1 and len(told) == 1:
        tail = f"All {total} deciding figures are{told[0].removeprefix(str(total))}."
    return " ".join(t for t in (_HEADS[name](audit, found), tail) if t)


def _privacy_head(audit: AuditResult, _: Sequence[Finding]) -> str:
    risk = audit.figures.privacy_risk
    if risk is None:
        return "No membership attack could be run."
    return (
        f"The strongest membership attack tells members from others with an advantage of at most {risk:.2f} (upper end of the 95 % "
        f"interval; 0 is chance, 1 is certainty): {audit.figures.privacy_risk_level} risk."
    )


def _fidelity_head(_: AuditResult, found: Sequence[Finding]) -> str:
    parts = [
        (f"{f.table}: " if f.table else "")
        + f"{f.value:.2f}"
        + ("" if f.baseline is None else f" (unseen real rows {f.baseline:.2f})")
        for f in found
        if f.decides and f.metric.startswith("tvd_") and f.value is not None
    ]
    return f"Mean total variation distance from the training rows: {'; '.join(parts)}." if parts else ""


def _utility_head(_: AuditResult, found: Sequence[Finding]) -> str:
    return next((f.message for f in found if f.metric == "predictive_score"), "")


def _fairness_head(audit: AuditResult, _: Sequence[Finding]) -> str:
    gap = audit.figures.fairness_gap
    if gap is None:
        return ""
    if gap <= 0:
        return "No difference between groups is larger than in the real table."
    return f"The largest difference between groups exceeds the one of the real table by {gap:.2f}."


_HEADS = {
    "privacy": _privacy_head,
    "fidelity": _fidelity_head,
    "utility": _utility_head,
    "fairness": _fairness_head,
}


def _groups(found: Sequence[Finding], levels: AuditLevels, *, several: bool) -> tuple[FindingGroup, ...]:
    by_family: dict[str, list[Finding]] = {}
    for finding in found:
        by_family.setdefault(family(finding.metric), []).append(finding)
    made = []
    for name, members in by_family.items():
        told = metric(name)
        rows = tuple(FindingRow(f, _what(f, name, several=several), _strip(f, levels)) for f in members)
        made.append(FindingGroup(told.title, told.text, any(f.decides for f in members), rows))
    return tuple(made)


def _what(finding: Finding, name: str, *, several: bool) -> str:
    """What sets a finding apart within its metric: variant, table, column."""
    if finding.metric.startswith("relations."):
        return finding.message.partition(":")[0]
    variant = finding.metric.removeprefix(name).strip(".").replace("_", " ")
    variant = "" if name == finding.metric else variant
    parts = [finding.table if several else None, finding.column, variant]
    return " · ".join(p for p in parts if p) or "all rows"


def _strip(finding: Finding, levels: AuditLevels) -> Markup:
    """The interval of an attack on the scale of its cut-offs; nothing for other figures."""
    if finding.excess_interval is None or not finding.decides or finding.metric == "predictive_score":
        return Markup("")
    cutoffs: Cutoffs = levels.membership if finding.metric.startswith("membership") else levels.disclosure
    low, high = finding.excess_interval
    label = f"95 % interval above the baseline: {low:.2f} to {high:.2f}"
    return interval_strip(low, high, medium=cutoffs.medium, worst=cutoffs.high, label=label)


def _grid(found: Sequence[Finding]) -> ColumnGrid | None:
    """Per-column figures as one table: rows are columns, the worst first within a table."""
    mine = [f for f in found if f.metric.startswith("column_") and f.column]
    if not mine:
        return None
    names = tuple(dict.fromkeys(f.metric for f in mine))
    cells: dict[tuple[str, str], dict[str, Finding]] = {}
    for f in mine:
        cells.setdefault((f.table or "", f.column or ""), {})[f.metric] = f
    rows = tuple((table, column, tuple(got.get(n) for n in names)) for (table, column), got in cells.items())
    return ColumnGrid(tuple(metric(n).title for n in names), rows)
