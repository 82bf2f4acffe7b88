"""Singling out: do predicates read off the synthetic table describe exactly one real person?

The attack is that of Anonymeter (Giomi, Boenisch, Wehmeyer, Tasnadi, "A Unified Framework for Quantifying Privacy Risk in Synthetic
Data", PoPETs 2023), written anew. The control differs: training and control table have the same number of rows, since a predicate
that holds for one row in a thousand singles out more often in a table of a thousand rows than in one of a hundred. Several rows of one
person are one person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from synth_assets.audit.findings import above_control, capital, share
from synth_assets.audit.intervals import Pair, mover, residual_risk, wilson
from synth_assets.audit.prepare import Array, Integers, Part, Prepared
from synth_assets.audit.privacy.disclosure import risk_details
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import AuditLevels
from synth_assets.seeds import child_seed

MOST_COLUMNS = 8
MINIMUM_PREDICATES = 20
FEW_PREDICATES = 100  # below this, a level above low must be shown, not only impossible to exclude
_TRIES_PER_PREDICATE, _TRIES_OF_FIXED = 10, 200
Operator = Literal["equal", "at least", "at most", "missing"]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Term:
    """One condition on one column; a predicate is a tuple of terms that must all hold."""

    column: str
    operator: Operator
    value: float = 0.0

    def holds(self, values: Array) -> Flags:
        """Which rows satisfy it."""
        if self.operator == "at least":
            return np.asarray(values >= self.value)
        if self.operator == "at most":
            return np.asarray(values <= self.value)
        if self.operator == "missing":
            return np.isnan(values) if values.dtype.kind == "f" else np.asarray(values < 0)
        return np.asarray(values == self.value)


Predicate = tuple[Term, ...]


def matches(predicate: Predicate, part: Part) -> Flags:
    """Which rows of a table satisfy a predicate."""
    flags = predicate[0].holds(part.values[predicate[0].column])
    for term in predicate[1:]:
        flags = flags & term.holds(part.values[term.column])
    return flags


def univariate_predicates(prepared: Prepared, synthetic: Part, limit: int, rng: np.random.Generator) -> list[Predicate]:
    """Values that stand once in a synthetic column, its extremes, and a value missing once; a random choice of them."""
    found: list[Predicate] = []
    for name in prepared.names:
        values = synthetic.values[name]
        known = values[~np.isnan(values)] if prepared.numeric(name) else values[values >= 0]
        distinct, counts = np.unique(known, return_counts=True)
        found += [(Term(name, "equal", float(v)),) for v in distinct[counts == 1]]
        if prepared.numeric(name) and len(distinct):
            found += [(Term(name, "at most", float(distinct[0])),), (Term(name, "at least", float(distinct[-1])),)]
        if len(values) - len(known) == 1:
            found.append((Term(name, "missing"),))
    pick = rng.permutation(len(found))[:limit]
    return [found[i] for i in pick]


def multivariate_predicates(
    prepared: Prepared, synthetic: Part, limit: int, rng: np.random.Generator, *, columns: int | None = None
) -> list[Predicate]:
    """Descriptions that fit one synthetic row, by several columns.

    Categories count by equality; numbers from the row's value outwards (above the median: at least, else at most).

    Args:
        prepared: The prepared tables.
        synthetic: Synthetic rows.
        limit: Descriptions to make.
        rng: Draws rows and columns.
        columns: How many columns each description has, drawn at random (Anonymeter's `n_cols`); None: columns are added in random
            order until no other synthetic row fits, which gives the shortest descriptions, and those that hold most often.
    """
    numbers = {name: synthetic.values[name] for name in prepared.names if prepared.numeric(name)}
    medians = {name: 0.0 if np.isnan(values).all() else float(np.nanmedian(values)) for name, values in numbers.items()}
    found: dict[Predicate, None] = {}
    for _ in range(limit * (_TRIES_PER_PREDICATE if columns is None else _TRIES_OF_FIXED)):
        if len(found) == limit:
            break
        row = int(rng.integers(synthetic.held))
        drawn = rng.permutation(len(prepared.names))[: MOST_COLUMNS if columns is None else columns]
        terms = [_term(n, synthetic.values[n][row], medians.get(n)) for n in (prepared.names[i] for i in drawn)]
        predicate = _until_alone(terms, synthetic, whole=columns is not None)
        if predicate is not None:
            found[predicate] = None
    return list(found)


def _until_alone(terms: Sequence[Term], synthetic: Part, *, whole: bool) -> Predicate | None:
    """The first terms (all of them where `whole`) that fit one row only; None where all fit several, or one term does (univariate)."""
    fit = np.arange(synthetic.held)
    for i, term in enumerate(terms):
        fit = fit[term.holds(synthetic.values[term.column][fit])]
        if len(fit) == 1:
            kept = terms if whole else terms[: i + 1]
            return tuple(sorted(kept, key=lambda t: t.column)) if i or whole else None
    return None


def _term(name: str, value: float, median: float | None) -> Term:
    if median is None:
        return Term(name, "equal", float(value)) if value >= 0 else Term(name, "missing")
    if np.isnan(value):
        return Term(name, "missing")
    return Term(name, "at least" if value > median else "at most", float(value))


@dataclass(frozen=True)
class SinglingOut:
    """How often predicates described exactly one row.

    Args:
        predicates: Predicates tried.
        attack: Predicates that describe exactly one person of the training table (one row, where there are no units).
        control: Predicates that describe exactly one person, a held-out one, of a table in which held-out people stand in the place
            of some training people; the mean over several such tables.
        scale: Training people per replaced one: `control` is counted on that part of the table only.
    """

    predicates: int
    attack: int
    control: float
    scale: float

    @property
    def rates(self) -> Pair:
        """Success rate of the attack, and of the control at the same table size."""
        return self.attack / self.predicates, min(self.scale * self.control / self.predicates, 1.0)

    @property
    def risk(self) -> tuple[float, Pair] | None:
        """Anonymeter's risk, the excess as a share of what the control leaves to gain, with its interval."""
        control = min(self.scale * self.control, self.predicates)
        return residual_risk((self.attack, self.predicates), (control, self.predicates))

    @property
    def excess_interval(self) -> Pair:
        """95 % interval of attack less control."""
        attack, control = self.rates
        low, high = wilson(self.control, self.predicates)
        scaled = (min(self.scale * low, control), min(self.scale * high, 1.0))
        return mover(attack, wilson(self.attack, self.predicates), control, scaled)


def single_out(predicates: Sequence[Predicate], train: Part, holdout: Part, seed: int) -> SinglingOut:
    """Count successes against the training people, and against the same table with held-out people in it.

    With T the training people, S a random part of them as large as the holdout H: the control table is T without S, with H. Were the
    synthetic table independent of T, H and S would be exchangeable, and `scale` times the control's successes would equal the attack's.
    T is divided into as many disjoint S as it holds, and the control's successes are the mean over them.
    """
    rng = np.random.default_rng(child_seed(seed, "replaced rows"))
    people, unseen = _people(train), _people(holdout)
    count, others = int(people.max()) + 1, int(unseen.max()) + 1
    replaced = min(count, others)
    folds = count // replaced
    fold = np.full(count, -1, dtype=np.int64)
    fold[rng.permutation(count)[: folds * replaced]] = np.repeat(np.arange(folds), replaced)
    control = np.isin(unseen, rng.permutation(others)[:replaced])
    attack, hits = 0, 0.0
    for predicate in predicates:
        found = people[matches(predicate, train)]
        attack += bool(len(found)) and bool((found == found[0]).all())
        there = unseen[control & matches(predicate, holdout)]
        if len(there) and bool((there == there[0]).all()):
            where = fold[found]
            emptied = folds if not len(where) else int((where == where[0]).all() and where[0] >= 0)
            hits += emptied / folds
    return SinglingOut(len(predicates), attack, hits, count / replaced)


def _people(part: Part) -> Integers:
    """Whose every row is, as numbers from 0; without units every row is a person."""
    if part.units is None:
        return np.arange(part.held)
    return np.asarray(np.unique(part.units, return_inverse=True)[1], dtype=np.int64)


def singling_out_findings(
    prepared: Prepared, parts: tuple[Part, Part, Part], limit: int, levels: AuditLevels, seed: int
) -> tuple[list[Finding], dict[str, str]]:
    """Two findings, and reasons where no predicate could be made.

    Args:
        prepared: The prepared tables.
        parts: Synthetic, train and holdout rows to use.
        limit: Predicates of each kind.
        levels: Cut-offs.
        seed: Seed of the predicates.
    """
    synthetic, train, holdout = parts
    makers: dict[str, Callable[[Prepared, Part, int, np.random.Generator], list[Predicate]]] = {
        "univariate": univariate_predicates,
        "multivariate": multivariate_predicates,
    }
    found, reasons = [], {}
    for name, maker in makers.items():
        predicates = maker(prepared, synthetic, limit, np.random.default_rng(child_seed(seed, "predicates", name)))
        if len(predicates) >= MINIMUM_PREDICATES:
            found.append(_finding(name, single_out(predicates, train, holdout, seed), levels))
        else:
            reasons[f"privacy.singling_out.{name}"] = (
                f"Fewer than {MINIMUM_PREDICATES} descriptions fit exactly one synthetic row: too few to measure a rate."
            )
    return found, reasons


def _finding(name: str, result: SinglingOut, levels: AuditLevels) -> Finding:
    attack, control = result.rates
    interval = result.excess_interval
    level = levels.disclosure.level(interval[1])
    kind = "values of one column" if name == "univariate" else "combinations of columns"
    text = (
        f"{capital(share(attack))} of the descriptions by {kind} that fit one synthetic row fit exactly one real person; by chance "
        f"{share(control)}. {above_control(attack - control, interval, level, levels.disclosure)}"
    )
    few = result.predicates < FEW_PREDICATES and level != "low" and levels.disclosure.level(interval[0]) == "low"
    text += " Too few descriptions to show a low risk." if few else ""
    return Finding(
        metric=f"singling_out.{name}",
        message=text,
        risk_level=level,
        value=attack,
        interval=wilson(result.attack, result.predicates),
        baseline=control,
        excess=attack - control,
        excess_interval=interval,
        sample_size=result.predicates,
        control_size=result.predicates,
        decides=not few,
        details={
            "attack": result.attack,
            "control": result.control,
            "scale": result.scale,
            **risk_details(result.risk),
        },
    )
