"""A sample as a person asks for it: conditions, and classes of one column with given shares.

What belongs here: how many rows of which class, chunk by chunk. What does not: rows of one class (conditional.py), the words of a
condition (terms.py), data (this module must not import `tables`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from synth_assets.config.sampling import Asked
from synth_assets.errors import InputError
from synth_assets.synthesis.marginals.conditional import Bins, Conditioned, allowed_of, conditioned
from synth_assets.synthesis.marginals.impossible import Combinations, rules_of
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.terms import classes_of


@dataclass(frozen=True)
class Stratum:
    """One class.

    Attributes:
        label: As it was asked for; empty where there is one class only.
        share: Share of the rows that it shall have.
        rows: The model under its conditions.
    """

    label: str
    share: float
    rows: Conditioned


def strata_of(
    model: MarginalModel,
    asked: Asked,
    columns: Sequence[str],
    rng: np.random.Generator,
    *,
    impossible: Combinations = (),
) -> tuple[Stratum, ...]:
    """The classes of a sample.

    Args:
        model: A fitted model.
        asked: What a person asks for.
        columns: Those that a person may ask for.
        rng: For shares that are found by drawing.
        impossible: Declared combinations that no row has.

    Raises:
        InputError: a column that is not modelled, a value outside the public domain, classes that overlap, or next to no row that meets
            the conditions.
    """
    where, rules = asked.where, rules_of(model, impossible)
    if asked.balance is None:
        return (Stratum("", 1.0, conditioned(model, allowed_of(model, where, columns), rng, rules=rules)),)
    column = asked.balance.column
    if column in where:
        raise InputError(
            "a column is balanced and has a condition as well.", column=column, key="balance",
            remedy="Leave its condition out, and name the wanted classes with their shares in `balance`.",
        )  # fmt: skip
    before = allowed_of(model, where, columns)
    allowed_of(model, {column: (None,)}, columns)  # is it one of them?
    shares = asked.balance.shares or dict.fromkeys(classes := classes_of(model.column(column)), 1 / len(classes))
    own = {label: allowed_of(model, {column: (label or None,)}, columns)[0] for label in shares}
    if any(a.overlaps(b) for a, b in itertools.combinations(own.values(), 2)):
        raise InputError(
            "two classes overlap.", column=column, key="balance", remedy="Let each value be in one of them."
        )
    return tuple(
        Stratum(label, shares[label], conditioned(model, [*before, condition], rng, rules=rules))
        for label, condition in own.items()
        if shares[label] > 0
    )


class AskedRows:
    """Rows of one sample, chunk by chunk.

    Args:
        strata: From `strata_of`.
        total: Rows of all chunks.
    """

    def __init__(self, strata: Sequence[Stratum], total: int) -> None:
        self.strata, self.total = strata, total
        self._left = quotas([s.share for s in strata], total)

    def draw(self, rows: int, rng: np.random.Generator, columns: Sequence[str]) -> tuple[Bins, pa.Table]:
        """Bins and values of the next rows, in random order.

        Args:
            rows: How many; all chunks together at most `total`.
            rng: Source of randomness.
            columns: Columns wanted.
        """
        now = quotas(self._left / max(self._left.sum(), 1), rows)
        self._left -= now
        drawn = [
            s.rows.draw(int(n), rng, total=self.total, columns=columns)
            for s, n in zip(self.strata, now, strict=True)
            if n or len(self.strata) == 1
        ]
        if len(drawn) == 1:
            return drawn[0]
        order = rng.permutation(rows)
        bins = {n: np.concatenate([b[n] for b, _ in drawn])[order] for n in drawn[0][0]}
        return bins, pa.concat_tables([v for _, v in drawn]).take(pa.array(order))


def quotas(shares: Sequence[float] | np.ndarray, rows: int) -> np.ndarray:
    """Whole numbers in the proportion of the shares that add up to `rows`, by largest remainders; int64."""
    exact = np.asarray(shares, dtype=np.float64) * rows
    out = np.floor(exact + 1e-9).astype(np.int64)
    rest = np.argsort(-(exact - out), kind="stable")[: rows - int(out.sum())]
    out[rest] += 1
    return out


def topped_up(strata: Sequence[Stratum], counts: Mapping[str, float]) -> tuple[tuple[Stratum, ...], int]:
    """The rows that must be added so that classes have their shares and no row is taken away.

    Args:
        strata: Classes with the shares that they shall have, above 0.
        counts: Rows of each class that are there already.

    Returns:
        The classes with their share of the added rows, and the number of added rows.
    """
    whole = max(counts[s.label] / s.share for s in strata)
    added = [max(0, round(whole * s.share - counts[s.label])) for s in strata]
    total = sum(added)
    chosen = [(s, n) for s, n in zip(strata, added, strict=True) if n]
    return tuple(replace(s, share=n / total) for s, n in chosen), total


def described(strata: Sequence[Stratum]) -> Mapping[str, float]:
    """Probability of each class, with the conditions, under the model."""
    return {s.label: s.rows.share for s in strata}
