"""The synthesizers of a dataset side by side, and which one is recommended, with reasons in words.

Order: what passed its gates, then the privacy level, then utility, then fidelity. Privacy is never bought with utility: a table at a
worse level stands below every table at a better one, whatever it scores elsewhere. A score is called better only where the 95 %
interval of the difference says so (`pairing.py`); what cannot be told apart is decided by the next criterion.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import FiniteFloat

from synth_assets.audit.findings import MEMBERSHIP, number
from synth_assets.audit.records import AuditResult, Interval, ModuleScores
from synth_assets.config.thresholds import Level
from synth_assets.errors import InputError
from synth_assets.tables.schema import Frozen

if TYPE_CHECKING:
    from synth_assets.audit.pairing import Score

    Scores = Mapping[str, Mapping[str, Score]]

_ORDER: Mapping[Level | None, int] = {"low": 0, "medium": 1, "high": 2, None: 3}


class FitCost(Frozen):
    """What one synthesizer cost.

    Attributes:
        fit_seconds: Wall time of measuring and fitting.
        sample_seconds: Wall time of sampling; None where it was not measured.
        peak_bytes: Peak memory; None where it was not measured.
        epsilon: Privacy budget spent; None without differential privacy.
    """

    fit_seconds: FiniteFloat
    sample_seconds: FiniteFloat | None = None
    peak_bytes: int | None = None
    epsilon: FiniteFloat | None = None


class LeaderboardRow(Frozen):
    """One synthesizer: scores (1 is best), the level of its worst privacy finding, and what it cost.

    Attributes:
        rank: Its place, from 1.
        synthesizer: Its name.
        privacy_level: Worst level among its privacy findings.
        privacy: Score.
        utility: Score.
        fidelity: Score.
        fairness: Score.
        overall_score: Weighted score; decides nothing.
        utility_interval: 95 % interval of the utility score; None where the audit gives none.
        risk_interval: 95 % interval of the advantage of the worst membership attack; its upper end is the privacy risk.
        epsilon: Spent; None without differential privacy.
        fit_seconds: Wall time.
        sample_seconds: Wall time.
        peak_bytes: Peak memory.
        failed_gates: Blocking checks that failed: its tables cannot be released.
    """

    rank: int
    synthesizer: str
    privacy_level: Level | None
    privacy: FiniteFloat | None
    utility: FiniteFloat | None
    fidelity: FiniteFloat | None
    fairness: FiniteFloat | None
    overall_score: FiniteFloat | None
    utility_interval: Interval | None = None
    risk_interval: Interval | None = None
    epsilon: FiniteFloat | None
    fit_seconds: FiniteFloat | None
    sample_seconds: FiniteFloat | None
    peak_bytes: int | None
    failed_gates: tuple[str, ...] = ()


class Leaderboard(Frozen):
    """Rows in order of rank, the recommended synthesizer (None where none can be), and the reasons."""

    rows: tuple[LeaderboardRow, ...]
    recommended: str | None
    reasons: tuple[str, ...]

    def public(self) -> Leaderboard:
        """Scores to 0.01, costs to one digit; the order stays."""
        return self.model_copy(update={"rows": tuple(_public(row) for row in self.rows)})


def _public(row: LeaderboardRow) -> LeaderboardRow:
    digits = dict.fromkeys(("privacy", "utility", "fidelity", "fairness", "overall_score"), 2)
    digits |= dict.fromkeys(("fit_seconds", "sample_seconds"), 1)
    known = {name: getattr(row, name) for name in digits}
    rounded: dict[str, object] = {
        name: round(value, digits[name]) + 0.0 for name, value in known.items() if value is not None
    }
    for name in ("utility_interval", "risk_interval"):
        interval: Interval | None = getattr(row, name)
        rounded[name] = None if interval is None else (round(interval[0], 2) + 0.0, round(interval[1], 2) + 0.0)
    return row.model_copy(update=rounded)


def rank(
    results: Mapping[str, AuditResult],
    costs: Mapping[str, FitCost],
    failed_gates: Mapping[str, Sequence[str]] | None = None,
) -> Leaderboard:
    """Rank synthesizers by their audits.

    Args:
        results: Synthesizer to its audit; at least one.
        costs: Synthesizer to its cost; may lack some.
        failed_gates: Synthesizer to the blocking checks that it failed; nothing of it can be released or recommended.

    Returns:
        The leaderboard. Two scores are told apart by the 95 % interval of their difference: paired, where both audits were tested
        on the same resamples of the same rows; see `pairing.difference` for all others.

    Raises:
        InputError: no result was given.
    """
    if not results:
        raise InputError("there is no audit to rank.", remedy="Audit at least one synthesizer.")
    from synth_assets.audit.pairing import scores_of

    failed = failed_gates or {}
    scores: Scores = {name: scores_of(result) for name, result in results.items()}
    rows = [
        _row(name, results[name], scores[name]["utility"].interval, costs.get(name), tuple(failed.get(name, ())))
        for name in sorted(results)
    ]
    ordered: list[LeaderboardRow] = []
    while rows:
        best = _best(rows, scores)
        rows.remove(best)
        ordered.append(best.model_copy(update={"rank": len(ordered) + 1}))
    best = ordered[0]
    refusal = _refusal(best)
    if refusal:
        return Leaderboard(rows=tuple(ordered), recommended=None, reasons=(refusal,))
    return Leaderboard(rows=tuple(ordered), recommended=best.synthesizer, reasons=_reasons(best, ordered[1:], scores))


def _refusal(best: LeaderboardRow) -> str:
    """Why not even the first one can be recommended."""
    if best.failed_gates:
        return "No synthesizer is recommended: every one failed a gate of its release."
    if best.privacy_level is None:
        return "No synthesizer is recommended: no privacy risk could be measured."
    if best.privacy_level == "high":
        return "No synthesizer is recommended: every one that passed its gates has a high privacy risk."
    return ""


def _best(rows: Sequence[LeaderboardRow], scores: Scores) -> LeaderboardRow:
    """The first of some rows: each criterion keeps those that cannot be told from its best."""
    gate = min((bool(r.failed_gates), _ORDER[r.privacy_level]) for r in rows)
    kept = [r for r in rows if (bool(r.failed_gates), _ORDER[r.privacy_level]) == gate]
    for name in ("utility", "fidelity"):
        top = max(kept, key=lambda r: _or_worst(getattr(r, name)))
        kept = [r for r in kept if not _better(scores, top, r, name)]
    return min(kept, key=lambda r: (_epsilon(r), -_or_worst(r.privacy), r.synthesizer))


def _epsilon(row: LeaderboardRow) -> float:
    return math.inf if row.epsilon is None else row.epsilon


def _or_worst(score: float | None) -> float:
    return -1.0 if score is None else score


def _better(scores: Scores, first: LeaderboardRow, second: LeaderboardRow, name: str) -> bool:
    """Whether a score of the first is larger than chance can explain."""
    from synth_assets.audit.pairing import difference

    mine, theirs = (scores[row.synthesizer][name] for row in (first, second))
    apart = difference(mine, theirs)
    return mine.value is not None if apart is None else apart[0] > 0


def _row(
    name: str, result: AuditResult, interval: Interval | None, cost: FitCost | None, failed: tuple[str, ...]
) -> LeaderboardRow:
    scores: ModuleScores = result.module_scores
    return LeaderboardRow(
        rank=1,
        synthesizer=name,
        privacy_level=result.level("privacy"),
        privacy=scores.privacy,
        utility=scores.utility,
        fidelity=scores.fidelity,
        fairness=scores.fairness,
        overall_score=result.overall_score,
        utility_interval=interval,
        risk_interval=_risk_interval(result),
        epsilon=cost.epsilon if cost else None,
        fit_seconds=cost.fit_seconds if cost else None,
        sample_seconds=cost.sample_seconds if cost else None,
        peak_bytes=cost.peak_bytes if cost else None,
        failed_gates=failed,
    )


def _risk_interval(result: AuditResult) -> Interval | None:
    """The interval of the attack whose upper end is the privacy risk."""
    attacks = [
        f.excess_interval for f in result.findings("privacy", MEMBERSHIP) if f.decides and f.excess_interval is not None
    ]
    return max(attacks, key=lambda interval: interval[1], default=None)


def _reasons(best: LeaderboardRow, others: Sequence[LeaderboardRow], scores: Scores) -> tuple[str, ...]:
    told = [f"{best.synthesizer} is recommended: its privacy risk is {best.privacy_level}."]
    told += [f"{best.synthesizer} {_against(best, other, scores)}." for other in others]
    if best.epsilon is not None:
        told.append(f"It is differentially private: epsilon {best.epsilon:.2f} was spent.")
    else:
        told.append("It gives no formal guarantee: its privacy rests on the attacks of this audit alone.")
    return tuple(told)


def _against(best: LeaderboardRow, other: LeaderboardRow, scores: Scores) -> str:
    """The first criterion at which the best one is ahead of another."""
    if other.failed_gates:
        return f"stands above {other.synthesizer}, which failed {' and '.join(other.failed_gates)}"
    if best.privacy_level != other.privacy_level:
        return f"stands above {other.synthesizer}, whose privacy risk is {other.privacy_level or 'not measured'}"
    close = []
    for name in ("utility", "fidelity"):
        mine, theirs = getattr(best, name), getattr(other, name)
        if _better(scores, best, other, name):
            have = "not measured" if theirs is None else number(theirs)
            told = f"{name} {number(mine)} against {have}{_within(scores, best, other, name)}"
            return f"stands above {other.synthesizer} at the same privacy level: {told}"
        if mine is not None and theirs is not None:
            close.append(f"{name} {number(mine)} against {number(theirs)}{_within(scores, best, other, name)}")
    told = f"and {other.synthesizer} cannot be told apart" + (f" ({'; '.join(close)})" if close else "")
    return f"{told}; {_tie(best, other)}"


def _within(scores: Scores, best: LeaderboardRow, other: LeaderboardRow, name: str) -> str:
    """The interval of a difference in words; nothing where it is only a margin."""
    from synth_assets.audit.pairing import difference, is_paired

    mine, theirs = (scores[row.synthesizer][name] for row in (best, other))
    apart = difference(mine, theirs)
    if apart is None or None in (mine.interval, theirs.interval):
        return ""
    how = " on the same people" if is_paired(mine, theirs) else ""
    return f", difference{how} {number(apart[0])} to {number(apart[1])}"


def _tie(best: LeaderboardRow, other: LeaderboardRow) -> str:
    """What decides between two that score alike."""
    if _epsilon(best) < _epsilon(other):
        return "the formal guarantee decides" if other.epsilon is None else "the smaller epsilon decides"
    if _or_worst(best.privacy) > _or_worst(other.privacy):
        return "the privacy score decides"
    return "the name decides the order"
