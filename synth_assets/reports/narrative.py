"""The report in plain sentences: what was done and what came out, and what a reviewer should look at first.

What belongs here: wording. What does not: figures that are not in the report's input.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from synth_assets.privacy.levels import LEVELS
from synth_assets.privacy.report import PrivacyReport
from synth_assets.reports.data_card import action_words, class_words, count, listing
from synth_assets.reports.inputs import ReportInput
from synth_assets.reports.model_card import ORDER

LOW_CONFIDENCE = 0.8
NAMED = 8
WEAK_FROM = "weak"
UNREVIEWED = True  # the notes in docs/mechanisms say so; a test compares
REVIEW = (
    "unreviewed: no second person has checked the proofs against the code yet (docs/mechanisms)"
    if UNREVIEWED
    else "reviewed by a second person (docs/mechanisms)"
)


class Point(NamedTuple):
    """Something to look at.

    Attributes:
        weight: "stop" before a release, "check" by hand, "know" as a limit.
        text: One or two sentences.
        anchor: Section of the report.
    """

    weight: Literal["stop", "check", "know"]
    text: str
    anchor: str


def epsilon_text(value: float) -> str:
    """An epsilon that was spent, rounded up: a report never understates it."""
    digits = 3 if value >= 1 else 4
    return f"{math.ceil(round(value * 10**digits, 6)) / 10**digits:.{digits}f}"


def rounded_up(value: float, digits: int = 3) -> str:
    """A bound to some significant digits, never below its value."""
    step = 10.0 ** (math.floor(math.log10(value)) - digits + 1)
    shown = math.ceil(round(value / step, 6)) * step
    return (
        f"{shown:.{digits}g}" if shown < 10**digits else f"{shown:,.0f}" if shown < 1e9 else f"{shown:.{digits - 1}e}"
    )


def left_text(value: float) -> str:
    """What is left of a budget, rounded down."""
    return f"{math.floor(round(value * 1000, 6)) / 1000:.3f}"


def delta_text(value: float) -> str:
    """A delta, such as 1e-6, rounded up."""
    return rounded_up(value).replace("e-0", "e-")


def unit_words(privacy: PrivacyReport) -> str:
    """Whose rows differ between neighbours."""
    return f"all rows of one {privacy.unit}" if privacy.unit_is_declared else "one single row"


def summary(data: ReportInput) -> list[str]:
    """What was done and what came out."""
    verdicts = [v for vs in data.verdicts.values() for v in vs]
    columns = sum(len(p.columns) for p in data.profiles.values())
    rows = sum(p.row_count or 0 for p in data.profiles.values())
    known = all(p.row_count is not None for p in data.profiles.values())
    size = f"{_plural(len(data.profiles), 'table')} with {f'about {rows:,} rows and ' if known else ''}{_plural(columns, 'column')}"
    contents = (
        f"{data.dataset} has {size}; of the columns, {class_words(verdicts)}. Direct identifiers are never modelled: where a synthetic "
        "table has them, they are made anew by a generator."
    )
    masks = tuple(m for card in data.masks.values() for m in card.columns)
    lines = [contents, f"In the masked tables (policy {data.policy}) {action_words(masks)}. No model reads them."]
    lines += [claim_words(privacy) for privacy in data.privacy]
    return [*lines, _recommendation(data)]


def claim_words(privacy: PrivacyReport) -> str:
    """The claim in plain words, with everything that gives it a meaning."""
    spent = privacy.spent
    seen = "counts" if privacy.sampling_rate is None else "counts and noisy gradients"
    sure = math.ceil(round(100 / (1 + math.exp(-spent.epsilon)), 6))
    return (
        f"{privacy.mechanism} was trained from noisy {seen} alone. The release is differentially private with epsilon "
        f"{epsilon_text(spent.epsilon)} at delta {delta_text(spent.delta)}, which is called {privacy.level}: with or without "
        f"{unit_words(privacy)}, the probabilities of any outcome differ by a factor of at most "
        f"{rounded_up(math.exp(spent.epsilon))}, delta left aside. Somebody who thinks it as likely as not that a certain unit is in "
        f"the data can be at most {sure} % sure of it after seeing the release."
    )


def _recommendation(data: ReportInput) -> str:
    audited = _plural(len(data.audits), "synthesizer")
    verb = "was" if len(data.audits) == 1 else "were"
    best = data.leaderboard.recommended
    if best is None:
        return f"{audited} {verb} audited. {' '.join(data.leaderboard.reasons)}"
    audit = data.audits[best]
    scores = [f"{name} {getattr(audit.module_scores, name):.2f}" for name in ORDER if _has(audit.module_scores, name)]
    return f"{audited} {verb} audited; {best} is recommended. Its scores (1 is best): {listing(scores)}."


def _has(scores: object, name: str) -> bool:
    return getattr(scores, name) is not None


def points(data: ReportInput) -> list[Point]:
    """What a reviewer should look at, the gravest first."""
    order = {"stop": 0, "check": 1, "know": 2}
    found = [*_of_tables(data), *_of_masking(data), *_of_release(data), *_of_audits(data)]
    return sorted(found, key=lambda p: order[p.weight])


def _of_tables(data: ReportInput) -> Iterator[Point]:
    for name, lines in data.contracts.items():
        failed = [line for line in lines if not line.passed]
        if failed:
            text = f"{_plural(len(failed), 'expectation')} of the contract of {name} {_verb(failed)} not hold."
            yield Point("check", text, f"data-{_position(data, name)}")
    unsure = [
        f"{table}.{v.column}"
        for table, verdicts in data.verdicts.items()
        for v in verdicts
        if v.confidence < LOW_CONFIDENCE and not v.overridden
    ]
    if unsure:
        text = f"{_plural(len(unsure), 'column')} {_be(unsure)} classified with a confidence below {LOW_CONFIDENCE}: {_named(unsure)}."
        yield Point("check", text, "data")


def _of_masking(data: ReportInput) -> Iterator[Point]:
    if data.development_key:
        yield Point(
            "check",
            "Masking used a development key, made on first use. For a release, give a key from a secret manager.",
            "masking",
        )
    for name, lines in data.mask_checks.items():
        for line in lines:
            if not line.passed:
                yield Point("stop", f"Masking of {name}: {line.description}.", "masking")
    verdicts = {(t, v.column): v for t, vs in data.verdicts.items() for v in vs}
    kept = [
        f"{table}.{m.column}"
        for table, card in data.masks.items()
        for m in card.columns
        if m.action == "keep"
        and (table, m.column) in verdicts
        and verdicts[table, m.column].identifier_class == "direct"
    ]
    if kept:
        yield Point("stop", f"Direct identifiers are kept in the masked tables: {_named(kept)}.", "masking")
    withheld = [f"{t}.{m.column}" for t, card in data.masks.items() for m in card.columns if m.withheld]
    if withheld:
        text = f"{_plural(len(withheld), 'column')} without a usable verdict {_be(withheld)} withheld from masking: {_named(withheld)}."
        yield Point("know", text, "masking")


def _of_release(data: ReportInput) -> Iterator[Point]:
    if not data.privacy:
        yield Point("check", "No synthesizer of this dataset is differentially private.", "models")
        return
    if not all(privacy.unit_is_declared for privacy in data.privacy):
        yield Point("check", "No unit of privacy is declared: one row is protected, not one person.", "privacy")
    if UNREVIEWED:
        yield Point("know", f"The mechanisms behind the epsilon are {REVIEW}.", "privacy")
    for number, privacy in enumerate(data.privacy, start=1):
        whose = f"{privacy.mechanism}: " if len(data.privacy) > 1 else ""
        for point in _of_one_release(privacy, "" if number == 1 else f"-{number}"):
            yield Point(point.weight, whose + point.text, point.anchor)


def _of_one_release(privacy: PrivacyReport, mark: str) -> Iterator[Point]:
    """Points of one release; `mark` ends the anchors of its section."""
    section = f"privacy{mark}"
    weak = [level.name for level in LEVELS].index(WEAK_FROM)
    if privacy.level in {level.name for level in LEVELS[weak:]}:
        yield Point("check", f"The privacy level is {privacy.level}: {privacy.use_case}.", section)
    if privacy.non_dp_inputs:
        number = _plural(len(privacy.non_dp_inputs), "fact")
        text = f"{number} about the data went into the release without noise and nobody has confirmed them (non-DP inputs)."
        yield Point("check", text, f"non-dp{mark}")
    if privacy.epsilon_lower_bound is None:
        reason = privacy.lower_bound_reason or "no reason was recorded"
        yield Point("know", f"No attack has put the epsilon to the test: {reason}.", section)
    if privacy.budget_left < privacy.spent.epsilon:
        left = left_text(privacy.budget_left)
        text = f"Another release of this size does not fit into what is left of the budget ({left})."
        yield Point("know", text, section)


def _of_audits(data: ReportInput) -> Iterator[Point]:
    for row in data.leaderboard.rows:
        name, audit, anchor = row.synthesizer, data.audits[row.synthesizer], f"model-{row.rank}"
        failed = [line for line in data.gates[name] if not line.passed]
        for line in failed:
            yield Point("stop" if line.blocking else "check", f"{name}: {line.description}.", anchor)
        worst = [m for m in ORDER if audit.level(m) == "high"]
        if worst:
            yield Point("check", f"{name} has findings of level high in {listing(list(worst))}.", anchor)
        absent = [m for m in ORDER if getattr(audit.module_scores, m) is None]
        for module in absent:
            reason = audit.reasons.get(module, "no reason was recorded")
            yield Point("know", f"{name}: {module} was not computed. {reason}", anchor)
        if row.epsilon is None:
            text = (
                f"{name} is not differentially private: its tables carry no bound beyond the attacks that were tried."
            )
            yield Point("know", text, anchor)


def _position(data: ReportInput, table: str) -> int:
    return list(data.profiles).index(table) + 1


def _plural(number: int, word: str) -> str:
    return f"{count(number)} {word}{'' if number == 1 else 's'}"


def _verb(items: Sequence[object]) -> str:
    return "does" if len(items) == 1 else "do"


def _be(items: list[str]) -> str:
    return "was" if len(items) == 1 else "were"


def _named(items: list[str]) -> str:
    rest = len(items) - NAMED
    return ", ".join(items[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
