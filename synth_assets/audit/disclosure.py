"""Linkability and attribute inference: what the synthetic table lets an attacker join, or guess, about real people.

The attacks are those of Anonymeter (Giomi et al., PoPETs 2023), written anew. Each is run on training rows and on held-out rows (the
control): what works on people the model never saw is knowledge about the population, not a leak. The naive guess of attribute
inference is the most frequent (or median) synthetic value; Anonymeter 1.1.0 loses most of its naive guesses to a re-indexing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_assets.audit.findings import number, span, verdict
from synth_assets.audit.intervals import newcombe, wilson
from synth_assets.audit.neighbours import Encoded, nearest_sets, nearest_without
from synth_assets.audit.prepare import Array, Part, Prepared
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import AuditLevels

LINK_NEIGHBOURS = 1
TOLERANCE = 0.05  # a guessed number counts when it is within this fraction of the synthetic column's 5 % to 95 % range
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rates:
    """Successes on training rows and on control rows, and the rate of the naive guess on training rows."""

    attack: int
    attacked: int
    control: int
    controls: int
    naive: float

    @property
    def excess(self) -> float:
        """Attack less control."""
        return self.attack / self.attacked - self.control / self.controls

    @property
    def excess_interval(self) -> tuple[float, float]:
        """95 % interval of attack less control (Newcombe)."""
        return newcombe((self.attack, self.attacked), (self.control, self.controls))

    @property
    def risk(self) -> float:
        """Anonymeter's risk: the excess as a share of what the control leaves to gain."""
        room = 1 - self.control / self.controls
        return self.excess / room if room > 0 else 0.0


def split_columns(names: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The first and the second half of the columns: what two data holders might know."""
    middle = (len(names) + 1) // 2
    return tuple(range(middle)), tuple(range(middle, len(names)))


def linked(queries: Encoded, synthetic: Encoded, columns: tuple[Sequence[int], Sequence[int]]) -> Flags:
    """Whether both halves of a row lead to the same synthetic row.

    Args:
        queries: Rows under attack.
        synthetic: Synthetic rows.
        columns: The column numbers that each of two data holders knows.

    Returns:
        Shape (queries,).
    """
    first, second = (nearest_sets(queries, synthetic, half, k=LINK_NEIGHBOURS) for half in columns)
    return np.asarray((first[:, :, None] == second[:, None, :]).any(axis=(1, 2)))


def linkability_finding(train: Encoded, control: Encoded, synthetic: Encoded, levels: AuditLevels) -> Finding:
    """Linkability of the two halves of the columns."""
    columns = split_columns(synthetic.names)
    hits, misses = linked(train, synthetic, columns), linked(control, synthetic, columns)
    naive = LINK_NEIGHBOURS / synthetic.rows
    rates = Rates(int(hits.sum()), train.rows, int(misses.sum()), control.rows, naive)
    return _finding("linkability", "Linkability of the two halves of the columns", "links", rates, levels)


@dataclass(frozen=True)
class Secret:
    """A column to guess: what counts as right, and the naive guess."""

    name: str
    numeric: bool
    tolerance: float
    guess: float

    def right(self, truth: Array, guesses: Array) -> Flags:
        """Whether each guess is right; a missing value is guessed by missing."""
        if not self.numeric:
            return np.asarray(truth == guesses)
        return np.asarray((np.abs(truth - guesses) <= self.tolerance) | (np.isnan(truth) & np.isnan(guesses)))


def secret_of(prepared: Prepared, synthetic: Part, name: str) -> Secret:
    """Tolerance and naive guess of a column, from the synthetic table alone."""
    values = synthetic.values[name]
    if not prepared.numeric(name):
        distinct, counts = np.unique(values, return_counts=True)
        return Secret(name, False, 0.0, float(distinct[np.argmax(counts)]))
    known = values[np.isfinite(values)]
    if not len(known):
        return Secret(name, True, 0.0, float("nan"))
    low, middle, high = np.quantile(known, [0.05, 0.5, 0.95])
    return Secret(name, True, TOLERANCE * float(high - low), float(middle))


def inference_findings(
    prepared: Prepared,
    parts: tuple[Part, Part, Part],
    encoded: tuple[Encoded, Encoded, Encoded],
    secrets: Sequence[str],
    levels: AuditLevels,
) -> list[Finding]:
    """Attribute inference: the nearest synthetic row on all other columns gives the guess; one finding per secret.

    Args:
        prepared: The prepared tables.
        parts: Synthetic rows, train targets, control targets.
        encoded: The same, encoded.
        secrets: Columns to guess, one at a time.
        levels: Cut-offs.
    """
    synthetic, train, control = parts
    base, members, others = encoded
    numbers = [prepared.names.index(name) for name in secrets]
    nearest = nearest_without(members, base, numbers), nearest_without(others, base, numbers)
    found = []
    for i, name in enumerate(secrets):
        secret, values = secret_of(prepared, synthetic, name), synthetic.values[name]
        hits = secret.right(train.values[name], values[nearest[0][i]])
        controls = secret.right(control.values[name], values[nearest[1][i]])
        naive = secret.right(train.values[name], np.full(train.held, secret.guess))
        rates = Rates(int(hits.sum()), train.held, int(controls.sum()), control.held, float(naive.mean()))
        title = f"Attribute inference of column {name!r}"
        found.append(_finding("attribute_inference", title, "guesses right", rates, levels, column=name))
    return found


def _finding(
    metric: str, title: str, verb: str, rates: Rates, levels: AuditLevels, *, column: str | None = None
) -> Finding:
    attack, control, interval = rates.attack / rates.attacked, rates.control / rates.controls, rates.excess_interval
    level = levels.disclosure.level(interval[1])
    text = (
        f"{title}: the attacker {verb} {number(attack)} of the training rows and {number(control)} of rows nobody trained on "
        f"(naive guess {number(rates.naive)}). Above the control {number(rates.excess)} (95 % interval {span(interval)}); by the "
        f"upper bound {number(interval[1])}, {verdict(level, levels.disclosure)}."
    )
    return Finding(
        metric=metric,
        message=text,
        risk_level=level,
        value=attack,
        interval=wilson(rates.attack, rates.attacked),
        baseline=control,
        naive=rates.naive,
        excess=rates.excess,
        excess_interval=interval,
        column=column,
        details={"targets": rates.attacked, "controls": rates.controls, "anonymeter_risk": rates.risk},
    )
