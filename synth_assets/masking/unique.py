"""Drawing again: a format-preserving pseudonym that is another value's too, or a real identifier, is not used.

A permuted form never meets itself, but the pseudonym of one person can be the telephone number of another, and a form such as an SSN
from 900 has less room than there are values. So the values of a domain are drawn before the tables are masked, and those that met get a
later draw. What belongs here: finding them. What does not: the draw (drawing.py). Values that are still unlucky get hex digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from synth_assets.masking.canonical import RawColumn
from synth_assets.masking.codes import WITHOUT_COUNTRY, codes, digit_codes, number_codes
from synth_assets.masking.drawing import DRAWS, WITHOUT_FORM, Later, OwnCodes
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
    look = _Look(session, ring, domains, identifiers)
    found = {(d.name, d.form.name): look.later(d) for d in domains}
    return {key: later for key, later in found.items() if len(later.codes)}


class _Look:
    """The search over numbers of 64 bits: `c`, that of a value, and `h`, that of its pseudonym, null where it has no letter or digit.

    No filter on `h` where it is made: the engine would call the function once for it and once more for the result. Comparisons leave
    null out.
    """

    def __init__(
        self, session: Session, ring: KeyRing, domains: Sequence[Domain], identifiers: Sequence[RawColumn]
    ) -> None:
        self.session, self.ring = session, ring
        self.first: dict[tuple[str, str], ir.Table] = {}
        parts, seen, unlettered = [], set[RawColumn](), set[RawColumn]()
        for domain in domains:
            values = _values(session, domain.columns)
            first = session.keep(self.drawn(domain, values.select("v", c=self.own(domain, values)), 0))
            self.first[domain.name, domain.form.name] = first
            if domain.form.comparable and set(domain.columns) <= set(identifiers):
                parts.append(first.select("c"))
                seen |= set(domain.columns)
                if domain.form.by_digits and not self.size(first.filter(first.c < 0)):
                    unlettered |= set(domain.columns)
        parts += [session.keep(part) for part in self._numbers(identifiers, seen, unlettered)]
        self.real = ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0] if parts else None

    def _numbers(
        self, identifiers: Sequence[RawColumn], seen: set[RawColumn], unlettered: set[RawColumn]
    ) -> list[ir.Table]:
        """Numbers of the identifiers that are not seen yet, and of the digits of all that have letters too."""
        others = [c for c in identifiers if c not in seen]
        made = []
        for make, columns in (
            (number_codes, [c for c in others if c.dtype == "int64"]),
            (codes, [c for c in others if c.dtype != "int64"]),
            (digit_codes, [c for c in identifiers if c.dtype == "string" and c not in unlettered]),
        ):
            if columns:
                whole = make is number_codes
                function = self._batch(make, "int64" if whole else "string")
                values = _values(self.session, columns, as_they_are=whole)
                made.append(values.select(c=function(values.v)))
        return made

    def _batch(self, make: Callable[..., pa.Array], argument: str) -> Callable[..., ir.Value]:
        return self.ring.function(make.__name__, lambda: make, [argument], "int64")

    def later(self, domain: Domain) -> Later:
        """The later draws of one domain."""
        first = self.first[domain.name, domain.form.name]
        unlucky = self._texts(domain, self.session.keep(self._met(first).distinct()))
        found: list[tuple[np.ndarray, int]] = []
        taken = first.select("h")
        for draw in range(1, DRAWS):
            if not self.size(unlucky):
                break
            again = self.session.keep(self.drawn(domain, unlucky, draw))
            met = self._met(again).union(again.semi_join(taken, "h").select("c"), distinct=False)
            unlucky = self.session.keep(unlucky.semi_join(met, "c"))
            good = self.session.keep(again.anti_join(unlucky, "c"))
            found.append((_column(good), draw))
            taken = taken.union(good.select("h"), distinct=False)
        found.append((_column(unlucky), WITHOUT_FORM))
        every = np.concatenate([c for c, _ in found])
        order = np.argsort(every)
        return Later(every[order], np.concatenate([np.full(len(c), draw, np.uint8) for c, draw in found])[order])

    def own(self, domain: Domain, values: ir.Table) -> ir.Value:
        """Numbers of values as the form takes them."""
        name = f"codes {domain.form.name}"
        return self.ring.function(name, lambda: OwnCodes(domain.form), ["string"], "int64")(values.v)

    def drawn(self, domain: Domain, values: ir.Table, draw: int) -> ir.Table:
        """`c` of each value, and `h`."""
        return values.select("c", h=self.ring.drawn_codes(domain.form, domain.name, draw)(values.v))

    def _met(self, drawn: ir.Table) -> ir.Table:
        """Numbers `c` of values whose pseudonym is another one's of the draw, a real identifier, or the value itself."""
        often = drawn.group_by("h").aggregate(
            n=drawn.count()
        )  # half the cost of extremes, of which few are left to take then
        rows = self.session.keep(drawn.semi_join(often.filter(often.n > 1), "h"))
        groups = rows.group_by("h").aggregate(low=rows.c.min(), high=rows.c.max())
        shared = rows.semi_join(groups.filter(groups.low != groups.high), "h").select("c")
        met = shared.union(drawn.filter(drawn.h == drawn.c).select("c"), distinct=False)
        real = self._real_near(drawn)
        return met if real is None else met.union(drawn.semi_join(real, "h").select("c"), distinct=False)

    def _real_near(self, drawn: ir.Table) -> ir.Table | None:
        """The numbers of real identifiers, as `h`, between the least and the greatest pseudonym: telephone numbers meet no cards."""
        ends = drawn.aggregate(low=drawn.h.min(), high=drawn.h.max()).to_pyarrow().to_pylist()[0]
        if self.real is None or ends["low"] is None:
            return None
        return self.real.filter(self.real.c.between(ends["low"], ends["high"])).select(h="c")

    def _texts(self, domain: Domain, met: ir.Table) -> ir.Table:
        """The texts `v` of some values, and their numbers `c`, each once; where the number says all digits, these alone."""
        if not self.size(met):
            return met.mutate(v=ibis.null("string"))
        told = met.c >= 0
        told &= ~met.c.between(*WITHOUT_COUNTRY)
        if domain.form.by_digits and not self.size(met.filter(~told)):
            return self.session.keep(met.mutate(v=met.c.cast("string").substr(1)))
        values = _values(self.session, domain.columns)
        coded = values.select("v", c=self.own(domain, values))
        return self.session.keep(coded.semi_join(met, "c").distinct(on="c"))

    @staticmethod
    def size(table: ir.Table) -> int:
        """Number of rows."""
        return int(table.count().execute())


def _column(table: ir.Table) -> np.ndarray:
    """The numbers `c` of a table."""
    made: np.ndarray = table.select("c").to_pyarrow()["c"].to_numpy()
    return made


def _values(session: Session, columns: Sequence[RawColumn], *, as_they_are: bool = False) -> ir.Table:
    """The texts (or the values) of one column or more, in one column `v`; a value may stand many times."""
    parts = []
    for column in columns:
        table = session.parquet(column.path)
        value = table[column.column]
        values = table.select(v=value if as_they_are else as_text(value, column.dtype))
        parts.append(values.filter(values.v.notnull()))
    return ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0]
