"""Linkability and attribute inference: what the synthetic table lets an attacker join, or guess, about real people.

The attacks are those of Anonymeter (Giomi et al., PoPETs 2023), written anew. Each is run on training rows and on held-out rows (the
control): what works on people the model never saw is knowledge about the population, not a leak. The naive guess of attribute
inference is a draw from the synthetic column; Anonymeter 1.1.0 means the same, and loses most of its draws to a re-indexing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_assets.audit.findings import above_control, share
from synth_assets.audit.intervals import Pair, newcombe, residual_risk, wilson
from synth_assets.audit.prepare import Array, Part, Prepared
from synth_assets.audit.privacy.neighbours import Encoded, nearest_sets, nearest_without
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import AuditLevels

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
    def risk(self) -> tuple[float, Pair] | None:
        """Anonymeter's risk, the excess as a share of what the control leaves to gain, with its interval."""
        return residual_risk((self.attack, self.attacked), (self.control, self.controls))


def split_columns(names: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The first and the second half of the columns: what two data holders might know."""
    middle = (len(names) + 1) // 2
    return tuple(range(middle)), tuple(range(middle, len(names)))


def linked(
    queries: Encoded, synthetic: Encoded, columns: tuple[Sequence[int], Sequence[int]], *, neighbours: int
) -> Flags:
    """Whether both halves of a row lead to a synthetic row that they share.

    Args:
        queries: Rows under attack.
        synthetic: Synthetic rows.
        columns: The column numbers that each of two data holders knows.
        neighbours: Nearest rows that each half leads to.

    Returns:
        Shape (queries,).
    """
    first, second = (nearest_sets(queries, synthetic, half, k=neighbours) for half in columns)
    return np.asarray((first[:, :, None] == second[:, None, :]).any(axis=(1, 2)))


def linkability_finding(
    train: Encoded, control: Encoded, synthetic: Encoded, levels: AuditLevels, *, neighbours: int = 1
) -> Finding:
    """Linkability of the two halves of the columns; the naive guess links with a row drawn at random, for either half.

    Args:
        train: Training rows under attack.
        control: Held-out rows under attack.
        synthetic: Synthetic rows.
        levels: Cut-offs.
        neighbours: Nearest rows that each half leads to.
    """
    columns, kept = split_columns(synthetic.names), min(neighbours, synthetic.rows)
    hits, misses = (linked(side, synthetic, columns, neighbours=kept) for side in (train, control))
    rates = Rates(int(hits.sum()), train.rows, int(misses.sum()), control.rows, _chance_link(synthetic.rows, kept))
    return _finding("linkability", "Both halves of the columns lead to one synthetic row", rates, levels)


def _chance_link(rows: int, neighbours: int) -> float:
    """The chance that two random sets of rows of the same size share one."""
    apart = np.prod([(rows - neighbours - i) / (rows - i) for i in range(neighbours)])
    return 1 - max(float(apart), 0.0)


@dataclass(frozen=True)
class Secret:
    """A column to guess, and what counts as right.

    Args:
        name: The column.
        numeric: Whether it is a number.
        tolerance: How far from the truth a guessed number may be.
        drawn: The synthetic column, sorted, without missing numbers.
        missing: Share of missing numbers in it.
    """

    name: str
    numeric: bool
    tolerance: float
    drawn: Array
    missing: float

    def right(self, truth: Array, guesses: Array) -> Flags:
        """Whether each guess is right; a missing value is guessed by missing."""
        if not self.numeric:
            return np.asarray(truth == guesses)
        return np.asarray((np.abs(truth - guesses) <= self.tolerance) | (np.isnan(truth) & np.isnan(guesses)))

    def naive(self, truth: Array) -> float:
        """The rate at which a random draw from the synthetic column is right, exactly."""
        if not len(self.drawn):
            return float(self.missing * np.isnan(truth).mean())
        low = np.searchsorted(self.drawn, truth - self.tolerance, side="left")
        high = np.searchsorted(self.drawn, truth + self.tolerance, side="right")
        known = (high - low) / len(self.drawn) * (1 - self.missing)
        return float(np.where(np.isnan(truth), self.missing, known).mean() if self.numeric else known.mean())


def secret_of(prepared: Prepared, synthetic: Part, name: str, *, tolerance: float = TOLERANCE) -> Secret:
    """What counts as right for a column, from the synthetic table alone.

    Args:
        prepared: The prepared tables.
        synthetic: Synthetic rows.
        name: The column.
        tolerance: Of a number, as a fraction of the 5 % to 95 % range.
    """
    values = synthetic.values[name]
    if not prepared.numeric(name):
        return Secret(name, False, 0.0, np.sort(values), 0.0)
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return Secret(name, True, 0.0, known, 1.0)
    low, high = np.quantile(known, [0.05, 0.95])
    return Secret(name, True, tolerance * float(high - low), known, 1 - len(known) / len(values))


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
    return [
        _finding(
            "attribute_inference",
            f"Column {name!r} is guessed right from the others",
            rates,
            levels,
            column=name,
        )
        for name, rates in inference_rates(prepared, parts, encoded, secrets).items()
    ]


def inference_rates(
    prepared: Prepared,
    parts: tuple[Part, Part, Part],
    encoded: tuple[Encoded, Encoded, Encoded],
    secrets: Sequence[str],
    *,
    tolerance: float = TOLERANCE,
) -> dict[str, Rates]:
    """Success rates per secret.

    Args:
        prepared: The prepared tables.
        parts: Synthetic rows, train targets, control targets.
        encoded: The same, encoded.
        secrets: Columns to guess, one at a time.
        tolerance: Of a number, as a fraction of the 5 % to 95 % range.
    """
    synthetic, train, control = parts
    base, members, others = encoded
    numbers = [prepared.names.index(name) for name in secrets]
    nearest = nearest_without(members, base, numbers), nearest_without(others, base, numbers)
    found = {}
    for i, name in enumerate(secrets):
        secret, values = secret_of(prepared, synthetic, name, tolerance=tolerance), synthetic.values[name]
        hits = secret.right(train.values[name], values[nearest[0][i]])
        controls = secret.right(control.values[name], values[nearest[1][i]])
        naive = secret.naive(train.values[name])
        found[name] = Rates(int(hits.sum()), train.held, int(controls.sum()), control.held, naive)
    return found


def _finding(metric: str, title: str, rates: Rates, levels: AuditLevels, *, column: str | None = None) -> Finding:
    attack, control, interval = rates.attack / rates.attacked, rates.control / rates.controls, rates.excess_interval
    level = levels.disclosure.level(interval[1])
    blind = "linked by chance" if metric == "linkability" else "guessed by a draw from the synthetic column"
    text = (
        f"{title} for {share(attack)} of the training rows; of unseen rows {share(control)} ({share(rates.naive)} would be {blind}). "
        f"{above_control(rates.excess, interval, level, levels.disclosure)}"
    )
    if wilson(rates.attack, rates.attacked)[1] < rates.naive:
        text += " The attack is worse than that blind guess, so its level says little."
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
        sample_size=rates.attacked,
        control_size=rates.controls,
        column=column,
        details=risk_details(rates.risk),
    )


def risk_details(risk: tuple[float, Pair] | None) -> dict[str, float]:
    """Anonymeter's risk and its interval as details of a finding; nothing where the control leaves nothing to gain."""
    return {} if risk is None else {"risk": risk[0], "risk_low": risk[1][0], "risk_high": risk[1][1]}
