"""The synthesizers of a dataset side by side, and which one is recommended, with reasons in words.

Order: privacy level first, then utility, then fidelity. Privacy is never bought with utility: a table at a worse level stands below
every table at a better one, whatever it scores elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import FiniteFloat

from synth_assets.audit.findings import number
from synth_assets.audit.records import AuditResult, ModuleScores
from synth_assets.config.thresholds import Level
from synth_assets.errors import InputError
from synth_assets.tables.schema import Frozen

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
    """One synthesizer: scores (1 is best), the level of its worst privacy finding, and what it cost."""

    rank: int
    synthesizer: str
    privacy_level: Level | None
    privacy: FiniteFloat | None
    utility: FiniteFloat | None
    fidelity: FiniteFloat | None
    fairness: FiniteFloat | None
    overall_score: FiniteFloat | None
    epsilon: FiniteFloat | None
    fit_seconds: FiniteFloat | None
    sample_seconds: FiniteFloat | None
    peak_bytes: int | None


class Leaderboard(Frozen):
    """Rows in order of rank, the recommended synthesizer (None where none can be), and the reasons."""

    rows: tuple[LeaderboardRow, ...]
    recommended: str | None
    reasons: tuple[str, ...]

    def public(self) -> Leaderboard:
        """Scores to 0.01 and costs to one digit; the order stays."""
        return self.model_copy(update={"rows": tuple(_public(row) for row in self.rows)})


def _public(row: LeaderboardRow) -> LeaderboardRow:
    digits = dict.fromkeys(("privacy", "utility", "fidelity", "fairness", "overall_score"), 2)
    digits |= dict.fromkeys(("fit_seconds", "sample_seconds"), 1)
    known = {name: getattr(row, name) for name in digits}
    return row.model_copy(
        update={name: round(value, digits[name]) for name, value in known.items() if value is not None}
    )


def rank(results: Mapping[str, AuditResult], costs: Mapping[str, FitCost]) -> Leaderboard:
    """Rank synthesizers by their audits.

    Args:
        results: Synthesizer to its audit; at least one.
        costs: Synthesizer to its cost; may lack some.

    Returns:
        The leaderboard; scores that round to the same 0.01 count as equal, and the next criterion decides.

    Raises:
        InputError: no result was given.
    """
    if not results:
        raise InputError("there is no audit to rank.", remedy="Audit at least one synthesizer.")
    ordered = sorted(results, key=lambda name: (_key(results[name]), name))
    rows = tuple(_row(i + 1, name, results[name], costs.get(name)) for i, name in enumerate(ordered))
    best = rows[0]
    if best.privacy_level is None:
        return Leaderboard(
            rows=rows, recommended=None, reasons=("No synthesizer is recommended: no privacy risk could be measured.",)
        )
    if best.privacy_level == "high":
        return Leaderboard(
            rows=rows, recommended=None, reasons=("No synthesizer is recommended: every one has a high privacy risk.",)
        )
    return Leaderboard(rows=rows, recommended=best.synthesizer, reasons=_reasons(best, rows[1:]))


def _key(result: AuditResult) -> tuple[float, ...]:
    scores = result.module_scores
    return (
        _ORDER[result.level("privacy")],
        *(-_or_worst(v) for v in (scores.utility, scores.fidelity, scores.privacy)),
    )


def _or_worst(score: float | None) -> float:
    return -1.0 if score is None else round(score, 2)


def _row(place: int, name: str, result: AuditResult, cost: FitCost | None) -> LeaderboardRow:
    scores: ModuleScores = result.module_scores
    return LeaderboardRow(
        rank=place,
        synthesizer=name,
        privacy_level=result.level("privacy"),
        privacy=scores.privacy,
        utility=scores.utility,
        fidelity=scores.fidelity,
        fairness=scores.fairness,
        overall_score=result.overall_score,
        epsilon=cost.epsilon if cost else None,
        fit_seconds=cost.fit_seconds if cost else None,
        sample_seconds=cost.sample_seconds if cost else None,
        peak_bytes=cost.peak_bytes if cost else None,
    )


def _reasons(best: LeaderboardRow, others: tuple[LeaderboardRow, ...]) -> tuple[str, ...]:
    told = [f"{best.synthesizer} is recommended: its privacy risk is {best.privacy_level}."]
    told += [f"{best.synthesizer} {text}." for other in others if (text := _against(best, other))]
    if best.epsilon is not None:
        told.append(f"It is differentially private: epsilon {best.epsilon:.2f} was spent.")
    else:
        told.append("It gives no formal guarantee: its privacy rests on the attacks of this audit alone.")
    return tuple(told)


def _against(best: LeaderboardRow, other: LeaderboardRow) -> str:
    """The first criterion at which the best one is ahead of another."""
    if best.privacy_level != other.privacy_level:
        return f"stands above {other.synthesizer}, whose privacy risk is {other.privacy_level or 'not measured'}"
    for name in ("utility", "fidelity", "privacy"):
        mine, theirs = getattr(best, name), getattr(other, name)
        if mine is not None and (theirs is None or round(mine, 2) > round(theirs, 2)):
            have = "not measured" if theirs is None else number(theirs)
            return f"stands above {other.synthesizer} at the same privacy level: {name} {number(mine)} against {have}"
    return f"and {other.synthesizer} score the same; the name decides the order"
