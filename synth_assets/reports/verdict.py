"""The first sentence of a report: what the gates of the release say, with the level of every module.

What belongs here: wording the outcome of the gates. What does not: deciding them, and whether a release is lawful or fitting.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from synth_assets.reports.data_card import listing
from synth_assets.reports.inputs import ReportInput
from synth_assets.reports.model_card import ORDER


class SynthesizerVerdict(NamedTuple):
    """What the gates say of one synthesizer.

    Attributes:
        name: The synthesizer.
        blocked: Whether a blocking gate failed.
        text: One sentence: why, and the level of each module.
        anchor: Where its audit stands in the report.
    """

    name: str
    blocked: bool
    text: str
    anchor: str


class Verdict(NamedTuple):
    """What a person reads first.

    Attributes:
        state: "blocked" where a blocking gate of any synthesizer failed.
        title: A few words.
        text: One sentence.
        each: One sentence per synthesizer, in the order of the leaderboard.
    """

    state: Literal["open", "blocked"]
    title: str
    text: str
    each: tuple[SynthesizerVerdict, ...]


def verdict(data: ReportInput) -> Verdict:
    """What the gates of the release say."""
    each = tuple(_of(data, row.synthesizer, row.rank) for row in data.leaderboard.rows)
    blocked = [v.name for v in each if v.blocked]
    if not blocked:
        best = data.leaderboard.recommended
        advice = f"{best} is recommended." if best else data.leaderboard.reasons[0]
        verb = "passed all its" if len(each) == 1 else "passed all their"
        return Verdict(
            "open",
            "No gate blocks a release",
            f"{listing([v.name for v in each])} {verb} blocking gates; {advice}",
            each,
        )
    them = listing(blocked)
    those = "it passes, or is" if len(blocked) == 1 else "they pass, or are"
    text = f"Exports of {data.dataset} are refused because of {them}, until {those} taken out of the configuration."
    return Verdict("blocked", "BLOCKED", text, each)


def _of(data: ReportInput, name: str, rank: int) -> SynthesizerVerdict:
    audit = data.audits[name]
    failed = [line for line in data.gates[name] if line.blocking and not line.passed]
    levels = [f"{module} {audit.level(module) or 'not measured'}" for module in ORDER]
    told = f"Worst level of risk per module: {listing(levels)}."
    if failed:
        words = "; ".join(line.description for line in failed)
        return SynthesizerVerdict(
            name, blocked=True, text=f"{name} is blocked: {words}. {told}", anchor=f"model-{rank}"
        )
    count = sum(line.blocking for line in data.gates[name])
    holds = (
        f"all {count} blocking gates hold" if count > 1 else "its blocking gate holds" if count else "no gate is set"
    )
    return SynthesizerVerdict(name, blocked=False, text=f"{name}: {holds}. {told}", anchor=f"model-{rank}")
