"""Which synthesizers fit a dataset, said before any is trained: rules with their reasons, from public facts alone.

What belongs here: the facts, the rules and their words. What does not: finding the facts (`api/recommending.py`), and the comparison of
what was trained (`audit/leaderboard.py`). The figures quoted are those of docs/results.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from synth_assets.config.plain import ONE_TABLE, tables_fault
from synth_assets.tables.schema import Frozen

Fit = Literal["recommended", "possible", "unsuitable"]
SMALL_NOISE, LARGE_NOISE = 0.10, 0.30  # total variation distance of a typical pair of columns by noise alone
FEW_UNITS, FEW_FOR_NETWORKS, FEW_FOR_DP_NETWORKS = 500, 1_000, 10_000
MANY_COLUMNS, MANY_ROWS = 50, 200_000
EPSILONS = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0)
PRIVATE = ("dp_marginals", "dp_tvae", "dp_ctgan")
PLAIN = ("gaussian_copula", "tvae", "ctgan", "copulagan", "hma", "par")
NO_GUARANTEE = (
    "It gives no formal guarantee: its model stays in the restricted zone; its tables rest on an audit's attacks alone."
)
ON_ADULT = {  # ROC AUC of the outcome, distance over pairs of columns
    "dp_marginals": "On Adult at epsilon 1: ROC AUC .907, pairs of columns .020 away.",
    "dp_tvae": "On Adult at epsilon 1, warm: ROC AUC .904, no better than dp_marginals.",
    "dp_ctgan": "On Adult at epsilon 1, warm: ROC AUC .893, pairs of columns .058 away; dp_marginals is better at both.",
    "gaussian_copula": "On Adult: ROC AUC .798, pairs of columns .243 away.",
    "tvae": "On Adult after 30 epochs: ROC AUC .873, pairs of columns .255 away.",
    "ctgan": "On Adult after 20 epochs: ROC AUC .836, pairs of columns .191 away.",
    "copulagan": "On Adult after 20 epochs: ROC AUC .837, pairs of columns .180 away.",
}


class Facts(Frozen):
    """What is known of a dataset before training, all of it public or in public form.

    Attributes:
        dataset: Its name.
        parents: Per table, the tables that it refers to.
        sequences: Tables whose rows are ordered in time.
        unit_table: Table of the unit of privacy.
        numbers: Modelled numbers, dates and times.
        categories: Modelled categories.
        units: Units of privacy (rows where none is declared), rounded where they come from the profile.
        units_from: Where that number comes from.
        budget_left: Epsilon that is left for the population.
        asked: Epsilon that the configuration asks for, per synthesizer.
    """

    dataset: str
    parents: Mapping[str, tuple[str, ...]]
    sequences: tuple[str, ...] = ()
    unit_table: str | None = None
    numbers: int = 0
    categories: int = 0
    units: int | None = None
    units_from: Literal["configuration", "option", "generator", "public profile", "unknown"] = "unknown"
    budget_left: float
    asked: Mapping[str, float]

    @property
    def columns(self) -> int:
        """Modelled columns."""
        return self.numbers + self.categories


class Advice(Frozen):
    """One synthesizer: whether it fits, why, and what to set."""

    synthesizer: str
    fit: Fit
    private: bool
    reasons: tuple[str, ...]
    settings: Mapping[str, float] = {}


class Recommendation(Frozen):
    """The facts and the advice, the best first; `recommended` is None where nothing fits as it is."""

    facts: Facts
    recommended: str | None
    advice: tuple[Advice, ...]


NoiseAt = Callable[[float], float | None]  # epsilon -> expected distance of a typical pair of columns by noise alone


def advise(facts: Facts, noise_at: NoiseAt) -> Recommendation:
    """Which synthesizers fit, with reasons.

    Args:
        facts: What is known.
        noise_at: Expected error of dp_marginals at an epsilon; None where it is not known.
    """
    found = [
        _marginals(facts, noise_at),
        *(_network(facts, n) for n in PRIVATE[1:]),
        *(_plain(facts, n) for n in PLAIN),
    ]
    order: Sequence[Fit] = ("recommended", "possible", "unsuitable")
    ranked = sorted(found, key=lambda a: (order.index(a.fit), not a.private))
    best = ranked[0].synthesizer if ranked[0].fit == "recommended" else None
    return Recommendation(facts=facts, recommended=best, advice=tuple(ranked))


def _marginals(facts: Facts, noise_at: NoiseAt) -> Advice:
    """The one with a guarantee that takes every dataset; what decides is the noise at the epsilon that can be had."""
    name, asked = "dp_marginals", facts.asked.get("dp_marginals", 1.0)
    reasons = ["Differentially private, from noisy counts alone.", ON_ADULT[name]]
    if len(facts.parents) > 1:
        reasons.append("It takes related tables and keeps their keys.")
    affordable = [e for e in sorted({*EPSILONS, asked}) if e <= facts.budget_left]
    if not affordable:
        return _of(
            name, "unsuitable", [*reasons, f"The budget has {facts.budget_left:.3g} left: no release of use fits."]
        )
    noise = noise_at(asked)
    if facts.units is None or noise is None:
        reasons.append(
            "How much the noise matters depends on the number of people: name it (--units, or unit_count in the YAML)."
        )
        return _of(name, "recommended", reasons, {"epsilon": min(asked, affordable[-1])})
    reasons.append(
        f"By noise alone a typical pair of columns is {noise:.2f} away at epsilon {asked:g} with about {facts.units:,} units."
    )
    chosen = asked if asked in affordable else affordable[-1]
    better = next((e for e in affordable if e > chosen and (noise_at(e) or 0.0) <= SMALL_NOISE), None)
    if chosen != asked:
        reasons.append(f"The budget has {facts.budget_left:.3g} left: at most epsilon {chosen:g}.")
    if (noise_at(chosen) or 0.0) > SMALL_NOISE and better is not None:
        reasons.append(
            f"Epsilon {better:g} would bring it below {SMALL_NOISE:g}; less privacy for more detail is for a person to decide."
        )
    left = noise_at(chosen) or 0.0
    if left > LARGE_NOISE or facts.units < FEW_UNITS:
        reasons.append("So few units leave mostly noise: declare fewer or coarser columns, or do not expect detail.")
    return _of(name, "possible" if left > LARGE_NOISE else "recommended", reasons, {"epsilon": chosen})


def _network(facts: Facts, name: str) -> Advice:
    """Networks under DP-SGD: one table, many units."""
    reasons = ["Differentially private, trained on clipped and noisy gradients.", ON_ADULT[name]]
    if len(facts.parents) > 1:
        return _of(name, "unsuitable", [*reasons, f"It models one table; this dataset has {len(facts.parents)}."])
    if facts.units is not None and facts.units < FEW_FOR_DP_NETWORKS:
        reasons.append(
            f"Below {FEW_FOR_DP_NETWORKS:,} units the noise of a step outweighs what the step learns; there are about {facts.units:,}."
        )
        return _of(name, "unsuitable", reasons)
    return _of(name, "possible", reasons)


def _plain(facts: Facts, name: str) -> Advice:
    """Synthesizers of SDV without a guarantee."""
    reasons = [NO_GUARANTEE, *([ON_ADULT[name]] if name in ON_ADULT else [])]
    fault = tables_fault(name, facts.parents, sequences=facts.sequences, unit_table=facts.unit_table)
    if fault is not None:
        return _of(name, "unsuitable", [f"{fault}."])
    if name in ONE_TABLE:
        if facts.units is not None and facts.units < FEW_FOR_NETWORKS:
            reasons.append(
                f"Below {FEW_FOR_NETWORKS:,} rows a network learns little and repeats rows; there are about {facts.units:,}."
            )
            return _of(name, "unsuitable", reasons)
        if facts.columns > MANY_COLUMNS or (facts.units or 0) > MANY_ROWS:
            reasons.append(f"Slow here: {facts.columns} columns and its default of 300 epochs.")
    if name == "gaussian_copula":
        reasons.append(
            "Quick; it joins columns by one correlation each, so steps and exclusions between columns are lost."
        )
    if name == "hma":
        reasons.append(
            "It models children by summaries in their parents: slow with many columns, weak in the children's detail."
        )
    if name == "par":
        reasons.append("It learns sequences of one table; at its default its statistics were poor (docs/results.md).")
    return _of(name, "possible", reasons)


def _of(name: str, fit: Fit, reasons: Sequence[str], settings: Mapping[str, float] | None = None) -> Advice:
    return Advice(synthesizer=name, fit=fit, private=name in PRIVATE, reasons=tuple(reasons), settings=settings or {})
