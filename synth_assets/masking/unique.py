"""Drawing again: format-preserving pseudonyms that met another one, or a real identifier, get the next one.

A form such as nine digits has too few values for pseudonyms by digest alone to stay different in a large table, or to miss all real
ones. So the distinct values of such a domain are drawn before the tables are masked, and the few that met are drawn again with another
key. What belongs here: that table of exceptions. What does not: the forms. Values that are still unlucky get a hex pseudonym.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import ibis.expr.types as ir

from synth_assets.masking.canonical import RawColumn, canonical, raw_forms
from synth_assets.masking.keyring import KeyRing
from synth_assets.masking.operators import NARROW
from synth_assets.masking.pseudonyms import hex_pseudonym
from synth_assets.masking.recipes import Target, as_text, cook
from synth_assets.tables.engine import Session

ATTEMPTS = 6
_serial = count()


@dataclass(frozen=True)
class Domain:
    """Columns that share one narrow form."""

    name: str
    entity_type: str
    columns: Sequence[RawColumn]


@dataclass(frozen=True)
class Exceptions:
    """Values of one domain whose first pseudonym is not theirs.

    Args:
        table: Text `v` -> pseudonym `p`; small.
        count: Number of rows.
    """

    table: ir.Table
    count: int


def draw_again(
    session: Session, ring: KeyRing, domains: Sequence[Domain], identifiers: Sequence[RawColumn]
) -> Mapping[tuple[str, str], Exceptions]:
    """The exceptions of every domain that has any.

    Args:
        session: The open session; temporary tables live in it.
        ring: Keys.
        domains: The narrow domains, one per (domain, entity type).
        identifiers: All raw columns whose values must not be met.

    Returns:
        (domain, entity type) -> exceptions. The same raw tables give the same ones.
    """
    if not domains:
        return {}
    forms = raw_forms(session, identifiers)
    real = None if forms is None else _keep(session, forms.select("form").distinct())
    found = {(d.name, d.entity_type): _exceptions(session, ring, d, real) for d in domains}
    return {key: exceptions for key, exceptions in found.items() if exceptions.count}


def _exceptions(session: Session, ring: KeyRing, domain: Domain, real: ir.Table | None) -> Exceptions:
    drawn = _keep(session, _draw(ring, domain, _values(session, domain), 0))
    unlucky = _keep(session, _met(drawn, real))
    taken, parts = drawn.anti_join(unlucky, "v"), []
    for attempt in range(1, ATTEMPTS + 1):
        if not int(unlucky.count().execute()):
            break
        again = _keep(session, _draw(ring, domain, unlucky.select("v"), attempt))
        met = _met(again, real)
        bad = met.union(again.semi_join(taken, "p"), distinct=True)
        unlucky = _keep(session, bad)
        parts.append(_keep(session, again.anti_join(unlucky, "v")))
        taken = taken.union(parts[-1], distinct=False)
    else:
        target = Target("v", domain.name, ring)
        parts.append(_keep(session, cook(unlucky.select("v"), {"p": (target, hex_pseudonym())})))
    if not parts:
        return Exceptions(unlucky, 0)
    table = parts[0]
    for part in parts[1:]:
        table = table.union(part, distinct=False)
    kept = _keep(session, table)
    return Exceptions(kept, int(kept.count().execute()))


def _values(session: Session, domain: Domain) -> ir.Table:
    """The distinct texts of a domain, in one column `v`."""
    parts = []
    for column in domain.columns:
        table = session.parquet(column.path)
        values = table.select(v=as_text(table[column.column], column.dtype)).distinct()
        parts.append(values.filter(values.v.notnull()))
    table = parts[0]
    for part in parts[1:]:
        table = table.union(part, distinct=True)
    return table


def _draw(ring: KeyRing, domain: Domain, values: ir.Table, attempt: int) -> ir.Table:
    target = Target("v", domain.name, ring, attempt=attempt)
    return cook(values, {"p": (target, NARROW[domain.entity_type]())}).select("v", "p")


def _met(drawn: ir.Table, real: ir.Table | None) -> ir.Table:
    """Rows whose pseudonym stands twice, or is a real identifier."""
    counts = drawn.group_by("p").aggregate(n=drawn.count())
    twice = drawn.semi_join(counts.filter(counts.n > 1), "p")
    if real is None:
        return twice
    spelled = drawn.mutate(form=canonical(drawn.p))
    meets = spelled.semi_join(real, "form").drop("form")
    return twice.union(meets, distinct=True)


def _keep(session: Session, table: ir.Table) -> ir.Table:
    """Materialise an expression as a temporary table of the session (it spills to disk when memory is short)."""
    return session.backend.create_table(f"masking_keep_{next(_serial)}", table, temp=True)  # type: ignore[no-any-return]
