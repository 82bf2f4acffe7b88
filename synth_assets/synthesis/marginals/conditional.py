"""A model under conditions: rows that all meet them, with the exact conditional distribution.

What belongs here: the conditioned mixture, and rejection of what is not decided by cells of features. What does not: the words of a
condition (terms.py), class shares (strata.py), data (this module must not import `tables`). Nothing but the model is read: free
post-processing. Derivation: docs/mechanisms/dp_marginals.md, "Conditions".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from synth_assets.errors import InputError
from synth_assets.synthesis.marginals.impossible import Rule, broken, columns_of
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.polish import MOST_ROWS
from synth_assets.synthesis.marginals.rounding import finest_step
from synth_assets.synthesis.marginals.sample import Shape, decode, sample_rows, shape_of
from synth_assets.synthesis.marginals.terms import Allowed, allowed
from synth_assets.synthesis.marginals.tilted import Tilt, tilted

BATCH = 200_000
LEAST_BATCH = 2_000
PILOT = 20_000
MOST_PILOT = 1_000_000
LEAST_KEPT = 1_000  # of the pilot: the share is then known to 3 %
LEAST_ROWS = 0.5  # of a table like the source: what is rarer than that is made up of noise alone
SPARE = 1.05
WORTH = 0.7  # mass of a tilted proposal below which it is used: a drawn row of it costs a little more
Bins = dict[str, np.ndarray]


def allowed_of(
    model: MarginalModel, where: Mapping[str, Sequence[str | None]], columns: Sequence[str]
) -> list[Allowed]:
    """The conditions against the cells of the model.

    Args:
        model: A fitted model.
        where: Column to values and ranges.
        columns: Those that a person may ask for: modelled ones, neither keys nor what is made anew.

    Raises:
        InputError: an unknown column, or a value outside the public domain.
    """
    for name in where:
        if name not in columns:
            raise InputError(
                "a condition names a column that is not modelled.", column=name, key="where",
                remedy=f"Its columns: {', '.join(columns)}. Keys and direct identifiers are made anew.",
            )  # fmt: skip
    return [allowed(model.column(n), terms, finest=_finest(model, n)) for n, terms in where.items()]


def _finest(model: MarginalModel, name: str) -> int:
    column = model.column(name)
    return finest_step(column, model.roundness.get(name)) if column.steps else 0


@dataclass(frozen=True)
class Conditioned:
    """A model under conditions.

    Attributes:
        model: The mixture given the conditions on features: components by their posterior, bins outside the conditions without mass.
            It is a mixture of products again, so its rows are drawn as any other's.
        source: The model itself; it says how values lie inside a cell.
        speller: The same with the cells outside the conditions left out of their bins.
        keep: Probability to keep a drawn row by the class of its target, shape (classes,); None where the target is free.
        conditions: All of them.
        share: Probability of the conditions under the model.
        rate: Share of drawn rows that are kept.
        rules: Combinations that no row has.
        tilt: How rows of one class of the target are drawn where that is cheaper; None where classes are drawn for rows and then kept.
    """

    model: MarginalModel
    source: MarginalModel
    speller: MarginalModel
    keep: np.ndarray | None
    conditions: tuple[Allowed, ...]
    share: float
    rate: float = 1.0
    tilt: Tilt | None = None
    rules: tuple[Rule, ...] = ()

    @cached_property
    def shape(self) -> Shape:
        """How values lie inside bins and cells, for all draws."""
        return shape_of(self.source)

    @property
    def checks(self) -> tuple[Allowed, ...]:
        """Conditions that are met or not only when a value is drawn."""
        return tuple(c for c in self.conditions if not c.exact)

    @property
    def rejects(self) -> bool:
        """Whether drawn rows may be thrown away."""
        return self.keep is not None or bool(self.checks) or bool(self.rules)

    def draw(
        self, rows: int, rng: np.random.Generator, *, total: int, columns: Sequence[str] | None = None
    ) -> tuple[Bins, pa.Table]:
        """Bins and values of rows that meet the conditions, in random order.

        Args:
            rows: How many, of a chunk.
            rng: Source of randomness.
            total: Rows of all chunks.
            columns: Columns wanted; all own columns when None.
        """
        if not self.rejects:
            bins = sample_rows(self.model, rows, rng, total=total)
            return bins, decode(self.speller, bins, rng, only=columns, shape=self.shape)
        parts: list[Bins] = []
        values: list[pa.Table] = []
        have = 0
        most = total if self.rate > 0.5 else MOST_ROWS + 1  # what is mostly thrown away is not polished
        while have < rows or not parts:
            size = int(np.clip((rows - have) / self.rate * SPARE, LEAST_BATCH, BATCH))
            bins, known = self._checked(self._proposed(size, rng, most), rng)
            taken = min(len(_first(bins)), rows - have)
            bins = {n: b[:taken] for n, b in bins.items()}
            known = {n: v.slice(0, taken) for n, v in known.items()}
            parts.append(bins)
            values.append(decode(self.speller, bins, rng, only=columns, known=known, shape=self.shape))
            have += taken
        return {n: np.concatenate([p[n] for p in parts]) for n in parts[0]}, pa.concat_tables(values)

    def acceptance(self, rng: np.random.Generator) -> float:
        """Share of the drawn rows that are kept, from draws that are thrown away; above 0."""
        if not self.rejects:
            return 1.0
        kept, drawn = 0, 0
        while kept < LEAST_KEPT and drawn < MOST_PILOT:
            size = PILOT if not drawn else min(4 * drawn, BATCH)
            kept += len(_first(self._checked(self._proposed(size, rng, MOST_ROWS + 1), rng)[0]))
            drawn += size
        return max(kept, 0.5) / drawn

    def _proposed(self, rows: int, rng: np.random.Generator, most: int) -> Bins:
        """Those of so many drawn rows that meet the condition on the target, in random order."""
        if self.tilt is not None and self.keep is not None:
            bins = self.tilt.draw(rows, rng)
            chance = np.full(len(_first(bins)), self.keep[self.tilt.wanted])
        else:
            bins = sample_rows(self.model, rows, rng, total=most)
            if self.keep is None or self.model.target is None:
                return bins
            chance = self.keep[bins[self.model.target]]
        return bins if chance.min(initial=1.0) >= 1 else _taken(bins, np.flatnonzero(rng.random(len(chance)) < chance))

    def _checked(self, bins: Bins, rng: np.random.Generator) -> tuple[Bins, dict[str, pa.Array]]:
        """The rows that meet the conditions on values, and the values that were drawn to tell."""
        known: dict[str, pa.Array] = {}
        for check in self.checks:
            base = (check.column.minus,) if check.column.minus else ()
            names = [n for n in (*base, check.column.name) if n not in known]
            made = decode(self.speller, bins, rng, only=names, known=known, shape=self.shape)
            known |= {n: made.column(n).combine_chunks() for n in names}
            rows = np.flatnonzero(check.met(known[check.column.name]))
            if len(rows) < len(_first(bins)):
                bins = _taken(bins, rows)
                known = {n: v.take(pa.array(rows)) for n, v in known.items()}
        if self.rules:
            deciding = columns_of(self.rules)
            made = decode(self.speller, bins, rng, only=deciding, known=known, shape=self.shape)
            known |= {n: made.column(n).combine_chunks() for n in deciding}
            rows = np.flatnonzero(~broken(self.rules, made))
            bins, known = _taken(bins, rows), {n: v.take(pa.array(rows)) for n, v in known.items()}
        return bins, known


def conditioned(
    model: MarginalModel, conditions: Sequence[Allowed], rng: np.random.Generator, *, rules: Sequence[Rule] = ()
) -> Conditioned:
    """The model under conditions.

    Args:
        model: A fitted model.
        conditions: From `allowed_of`; at most one per column.
        rng: For the share of what is decided by rejection.
        rules: Combinations that no row has.

    Raises:
        InputError: fewer than half a row of a table like the source meets the conditions under the model.
    """
    weights, tables, inside = model.weights.astype(np.float64), dict(model.tables), dict(model.inside)
    keep = None
    for condition in conditions:
        name = condition.column.name
        if condition.cells.all():
            continue
        left, inside[name] = _cut(model, condition)
        if name == model.target:
            keep = left
            continue
        table = model.tables[name].astype(np.float64) * left[:, None]
        mass = table.sum(axis=0)
        tables[name] = np.divide(table, mass, out=np.full_like(table, 1 / len(table)), where=mass > 0)
        weights = weights * mass
    share = float(weights.sum() / model.weights.sum(dtype=np.float64))
    under = replace(model, weights=weights / weights.sum() if share > 0 else model.weights, tables=tables)
    made = Conditioned(under, model, replace(model, inside=inside), keep, tuple(conditions), share)
    made = replace(made, tilt=_tilt(under, keep), rules=tuple(rules))
    rate = made.acceptance(rng) if share * model.rows >= LEAST_ROWS else 1.0
    share *= rate * (1.0 if made.tilt is None else made.tilt.mass)
    if share * model.rows < LEAST_ROWS:
        names = ", ".join(c.column.name for c in conditions)
        raise InputError(
            f"the conditions on {names} hold for next to no row under the model: "
            f"{share * model.rows:.1g} rows of a table like its source. Rows that meet them would be made of noise alone.",
            key="where", remedy="Widen a range, allow more values, or leave a condition out.",
        )  # fmt: skip
    return replace(made, share=share, rate=rate)


def _tilt(model: MarginalModel, keep: np.ndarray | None) -> Tilt | None:
    """A tilted proposal, where one class alone is wanted and the proposal needs fewer draws: its mass tells exactly how many."""
    if keep is None or model.given_features is None or np.count_nonzero(keep) != 1:
        return None
    made = tilted(model, model.given_features, int(np.flatnonzero(keep)[0]))
    return made if made.mass < WORTH else None


def _cut(model: MarginalModel, condition: Allowed) -> tuple[np.ndarray, np.ndarray]:
    """Share of each bin that is left, and the distribution inside the bins without what is not."""
    name = condition.column.name
    group, inside = model.group[name], model.inside[name].astype(np.float64)
    bins = int(group.max()) + 1
    cut = np.where(condition.cells, inside, 0.0)
    whole, part = (np.bincount(group, weights=v, minlength=bins) for v in (inside, cut))
    left = np.divide(part, whole, out=np.zeros(bins), where=whole > 0)
    cut = np.divide(cut, left[group], out=inside.copy(), where=left[group] > 0)
    return left, cut


def _taken(bins: Bins, rows: np.ndarray) -> Bins:
    return {n: b[rows] for n, b in bins.items()}


def _first(bins: Mapping[str, np.ndarray]) -> np.ndarray:
    return next(iter(bins.values()))
