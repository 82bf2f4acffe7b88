"""Whether groups of combinations reach what is asked for: k, l, t. Counts of arrays; knows no table.

Sources: k: Sweeney 2002. l (distinct, entropy, recursive): Machanavajjhala et al., "l-diversity", TKDD 2007, definitions 4.1 and 4.2.
t: Li, Li, Venkatasubramanian, "t-closeness", ICDE 2007, equal and ordered distance. All are monotone: a union of two groups that reach
them reaches them (same papers), which the searches rely on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synth_assets.config.anonymity import AnonymityConfig
from synth_assets.masking.anonymity.counts import Counts, Sensitive
from synth_assets.masking.anonymity.hierarchy import Codes, Floats

Flags = npt.NDArray[np.bool_]
NOWHERE = -1
_CELLS = 4_000_000
_SLACK = 1e-9


@dataclass(frozen=True)
class Criteria:
    """What is asked for, over one table's counts."""

    rule: AnonymityConfig
    counts: Counts

    @property
    def work(self) -> int:
        """Entries that one look at a recoding goes through."""
        pairs = 0 if self.counts.persons is None else len(self.counts.persons[0])
        return len(self.counts.rows) + pairs + sum(len(s.rows) for s in self.counts.sensitive)

    def sizes(self, group: Codes, groups: int) -> Codes:
        """Persons (rows, where each is one) per group.

        Args:
            group: Group per combination; -1 for none.
            groups: Number of groups.
        """
        if self.counts.persons is None:
            inside = group >= 0
            return np.bincount(group[inside], weights=self.counts.rows[inside], minlength=groups).astype(np.int64)
        combination, person = self.counts.persons
        of = group[combination]
        inside = of >= 0
        span = int(person.max()) + 1 if len(person) else 1
        pairs = np.unique(of[inside] * span + person[inside])
        return np.bincount(pairs // span, minlength=groups).astype(np.int64)

    def accepted(self, group: Codes, groups: int) -> Flags:
        """Which groups reach k, l and t."""
        ok = self.sizes(group, groups) >= self.rule.k
        for sensitive in self.counts.sensitive:
            if not ok.any():
                break
            left = np.flatnonzero(ok)
            number = np.full(groups + 1, NOWHERE, np.int64)
            number[left] = np.arange(len(left))
            ok[left] = self._diverse(sensitive, number[group], len(left))
        return ok

    def _diverse(self, sensitive: Sensitive, group: Codes, groups: int) -> Flags:
        of = group[sensitive.combination]
        inside = of >= 0
        of, value, rows = of[inside], sensitive.value[inside], sensitive.rows[inside]
        whole = sensitive.whole
        chunk = max(1, _CELLS // sensitive.size)
        ok = np.empty(groups, np.bool_)
        for start in range(0, groups, chunk):
            stop = min(start + chunk, groups)
            here = slice(None) if chunk >= groups else (of >= start) & (of < stop)
            key = (of[here] - start) * sensitive.size + value[here]
            table = np.bincount(key, weights=rows[here], minlength=(stop - start) * sensitive.size)
            shares: Floats = table.reshape(stop - start, sensitive.size).astype(np.float64)
            shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1.0)
            ok[start:stop] = self._reaches(shares, whole, ordered=sensitive.ordered)
        return ok

    def _reaches(self, shares: Floats, whole: Floats, *, ordered: bool) -> Flags:
        ok = np.ones(len(shares), np.bool_)
        if self.rule.l_diversity is not None:
            ok &= _is_diverse(shares, self.rule)
        if self.rule.t_closeness is not None:
            ok &= distance(shares, whole, ordered=ordered) <= self.rule.t_closeness + _SLACK
        return ok


def _is_diverse(shares: Floats, rule: AnonymityConfig) -> Flags:
    wanted = float(rule.l_diversity or 1.0)
    if rule.diversity == "entropy":
        logs = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
        return np.asarray(-(shares * logs).sum(axis=1) >= np.log(wanted) - _SLACK)
    if rule.diversity == "recursive":
        falling = -np.sort(-shares, axis=1)
        rest = falling[:, int(wanted) - 1 :].sum(axis=1)
        return np.asarray(falling[:, 0] < rule.c * rest)
    return np.asarray((shares > 0).sum(axis=1) >= wanted)


def distance(shares: Floats, whole: Floats, *, ordered: bool) -> Floats:
    """Earth mover's distance of each row of shares from the whole table, 0 to 1.

    Args:
        shares: (groups, values) shares per group.
        whole: Share of each value in the table.
        ordered: Ordered distance (numbers, dates) in place of the equal one.
    """
    gap = shares - whole
    if not ordered:
        return np.asarray(np.abs(gap).sum(axis=1) / 2)
    return np.asarray(np.abs(np.cumsum(gap, axis=1)[:, :-1]).sum(axis=1) / max(shares.shape[1] - 1, 1))
