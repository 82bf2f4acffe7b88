"""Drawing again: a format-preserving pseudonym that is another value's too, or a real identifier, is not used.

A permuted form never meets itself, but the pseudonym of one person can be the telephone number of another, and a form such as an SSN
from 900 has less room than there are values. So the values of a domain are drawn before the tables are masked, and those that met get a
later draw. What belongs here: finding them. What does not: the draw (drawing.py). Values that are still unlucky get hex digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np

from synth_assets.masking.canonical import RawColumn
from synth_assets.masking.codes import codes, digit_codes
from synth_assets.masking.drawing import DRAWS, WITHOUT_FORM, Later
from synth_assets.masking.forms import Form
from synth_assets.masking.keyring import KeyRing
from synth_assets.masking.recipes import as_text
from synth_assets.tables.engine import Session


@dataclass(frozen=True)
class Domain:
    """Columns that share keys and one form.

    Args:
        name: Pseudonym domain.
        form: The form.
        columns: Where its values stand.
    """

    name: str
    form: Form
    columns: Sequence[RawColumn]


def draw_again(
    session: Session, ring: KeyRing, domains: Sequence[Domain], identifiers: Sequence[RawColumn]
) -> Mapping[tuple[str, str], Later]:
    """Who gets a later draw.

    No pseudonym of a domain is that of another value of it, and none has the letters and digits of a real identifier, its own included.
    The same raw tables give the same pseudonyms; a value that comes or goes later changes only those of values it meets.

    Args:
        session: The open session; temporary tables live in it.
        ring: Keys.
        domains: The domains with a narrow form, one per (domain, form).
        identifiers: All raw columns whose values must not be met.

    Returns:
        (domain, name of the form) -> later draws, for those that have any.
    """
    if not domains:
        return {}
    look = _Look(session, ring, _values(session, identifiers))
    found = {(d.name, d.form.name): look.later(d) for d in domains}
    return {key: later for key, later in found.items() if len(later.codes)}


class _Look:
    """The search, with the real identifiers in the engine as numbers."""

    def __init__(self, session: Session, ring: KeyRing, identifiers: ir.Table | None) -> None:
        self.session, self.ring = session, ring
        self.codes = ring.function("codes", lambda: codes, ["string"], "int64")
        self.real: ir.Table | None = None
        if identifiers is not None:
            digits = ring.function("digit codes", lambda: digit_codes, ["string"], "int64")
            parts = [identifiers.select(h=make(identifiers.v)) for make in (self.codes, digits)]
            self.real = self.keep(parts[0].union(parts[1], distinct=False))

    def later(self, domain: Domain) -> Later:
        """The later draws of one domain."""
        values = _values(self.session, domain.columns)
        if values is None:
            return Later.nobody()
        own = self.ring.function(f"codes {domain.form.name}", lambda: domain.form.codes, ["string"], "int64")
        first = self.drawn(domain, values.select("v", c=own(values.v)), 0)
        groups = self.keep(first.group_by("h").aggregate(low=first.c.min(), high=first.c.max()))
        unlucky = self.texts(values, own, self.met(groups, first))
        found: list[tuple[np.ndarray, int]] = []
        taken = groups.select("h")
        for draw in range(1, DRAWS):
            if not self.size(unlucky):
                break
            again = self.keep(self.drawn(domain, unlucky, draw))
            met = again.group_by("h").aggregate(low=again.c.min(), high=again.c.max())
            bad = again.semi_join(met.filter(met.low != met.high), "h").select("c")
            for other in (taken, self.real):
                bad = bad if other is None else bad.union(again.semi_join(other, "h").select("c"), distinct=False)
            bad = bad.union(again.filter(again.h == again.c).select("c"), distinct=False)
            unlucky, good = self.keep(unlucky.semi_join(bad, "c")), self.keep(again.anti_join(bad, "c"))
            found.append((good.select("c").to_pyarrow()["c"].to_numpy(), draw))
            taken = taken.union(good.select("h"), distinct=False)
        found.append((unlucky.select("c").to_pyarrow()["c"].to_numpy(), WITHOUT_FORM))
        every = np.concatenate([c for c, _ in found])
        order = np.argsort(every)
        return Later(every[order], np.concatenate([np.full(len(c), draw, np.uint8) for c, draw in found])[order])

    def drawn(self, domain: Domain, values: ir.Table, draw: int) -> ir.Table:
        """Number `c` of each value, and `h`, that of its pseudonym; null for values without letters and digits: they identify nobody.

        No filter on `h`: the engine would call the function once for it and once more for the result. Comparisons leave null out.
        """
        make = self.ring.draw(domain.form, domain.name, draw)
        return values.select("c", h=self.codes(make(values.v)))

    def met(self, groups: ir.Table, first: ir.Table) -> ir.Table:
        """Numbers `c` of values whose pseudonym is another value's, a real identifier, or the value itself."""
        shared = groups.filter(groups.low != groups.high)
        met = groups.filter(groups.low == groups.h).select(c="low")
        if self.real is not None:
            hit = groups.semi_join(self.real, "h")
            met = met.union(hit.filter(hit.low == hit.high).select(c="low"), distinct=False)
        if self.size(shared):
            met = met.union(first.semi_join(shared, "h").select("c"), distinct=False)
        return self.keep(met.distinct())

    def texts(self, values: ir.Table, own: object, met: ir.Table) -> ir.Table:
        """The texts `v` of some values, and their numbers `c`, each once."""
        if not self.size(met):
            return self.keep(values.select("v", c=own(values.v)).limit(0))  # type: ignore[operator]
        coded = values.select("v", c=own(values.v))  # type: ignore[operator]
        return self.keep(coded.semi_join(met, "c").distinct(on="c"))

    def keep(self, table: ir.Table) -> ir.Table:
        """Materialise an expression as a temporary table of the session (it spills to disk when memory is short)."""
        return self.session.keep(table)

    @staticmethod
    def size(table: ir.Table) -> int:
        """Number of rows."""
        return int(table.count().execute())


def _values(session: Session, columns: Sequence[RawColumn]) -> ir.Table | None:
    """The texts of some columns, in one column `v`; a value may stand many times. None for no columns."""
    parts = []
    for column in columns:
        table = session.parquet(column.path)
        values = table.select(v=as_text(table[column.column], column.dtype))
        parts.append(values.filter(values.v.notnull()))
    if len(parts) < 2:
        return parts[0] if parts else None
    return ibis.union(*parts, distinct=False)
