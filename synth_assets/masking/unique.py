"""Drawing again: format-preserving pseudonyms that met another one, or a real identifier, get the next one.

A form such as nine digits has too few values for pseudonyms by digest alone to stay different in a large table, or to miss all real
ones. So the distinct values of such a domain are drawn before the tables are masked, and the few that met are drawn again with another
key. What belongs here: that table of exceptions. What does not: the forms. Values that are still unlucky get a hex pseudonym.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import ibis
import ibis.expr.types as ir

from synth_assets.masking.canonical import RawColumn, canonical, raw_forms
from synth_assets.masking.keyring import KeyRing
from synth_assets.masking.pseudonyms import hex_pseudonym
from synth_assets.masking.recipes import Recipe, Target, as_text, cook
from synth_assets.tables.engine import Session

ATTEMPTS = 6
_serial = count()


@dataclass(frozen=True)
class Domain:
    """Columns that share keys and one narrow form.

    Args:
        name: Pseudonym domain.
        form: Name of the form (`operators.narrow_form`).
        recipe: The form.
        columns: Where its values stand.
    """

    name: str
    form: str
    recipe: Recipe
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
        domains: The narrow domains, one per (domain, form).
        identifiers: All raw columns whose values must not be met.

    Returns:
        (domain, form) -> exceptions. The same raw tables give the same ones.
    """
    if not domains:
        return {}
    forms = raw_forms(session, identifiers)
    real = None if forms is None else _keep(session, forms.select(h=forms.form.hash()))
    found = {(d.name, d.form): _exceptions(session, ring, d, real) for d in domains}
    return {key: exceptions for key, exceptions in found.items() if exceptions.count}


def _exceptions(session: Session, ring: KeyRing, domain: Domain, real: ir.Table | None) -> Exceptions:
    first = _keep(session, _draw(ring, domain, _values(session, domain), 0).select("v", "h"))
    unlucky = _keep(session, _unlucky(first, real).select("v").distinct())
    taken, parts = first.select("h"), []
    for attempt in range(1, ATTEMPTS + 1):
        if not int(unlucky.count().execute()):
            break
        again = _keep(session, _draw(ring, domain, unlucky, attempt))
        bad = _unlucky(again, real).select("v").union(again.semi_join(taken, "h").select("v"), distinct=True)
        unlucky = _keep(session, bad)
        parts.append(_keep(session, again.anti_join(unlucky, "v")))
        taken = taken.union(parts[-1].select("h"), distinct=False)
    else:
        parts.append(
            _keep(
                session,
                cook(unlucky, {"p": (Target("v", domain.name, ring), hex_pseudonym())}).mutate(h=ibis.null("int64")),
            )
        )
    if not parts:
        return Exceptions(unlucky, 0)
    kept = _keep(
        session,
        ibis.union(*[p.select("v", "p") for p in parts], distinct=False)
        if len(parts) > 1
        else parts[0].select("v", "p"),
    )
    return Exceptions(kept, int(kept.count().execute()))


def _values(session: Session, domain: Domain) -> ir.Table:
    """The texts of a domain, in one column `v`; a value may stand many times."""
    parts = []
    for column in domain.columns:
        table = session.parquet(column.path)
        values = table.select(v=as_text(table[column.column], column.dtype))
        parts.append(values.filter(values.v.notnull()))
    return ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0]


def _draw(ring: KeyRing, domain: Domain, values: ir.Table, attempt: int) -> ir.Table:
    """Value `v`, pseudonym `p`, and `h`: 64 bits that stand for its canonical form; where forms share them, one is drawn in vain."""
    target = Target("v", domain.name, ring, attempt=attempt)
    drawn = cook(values, {"p": (target, domain.recipe)})
    return drawn.select("v", "p", h=canonical(drawn.p).hash())


def _unlucky(drawn: ir.Table, real: ir.Table | None) -> ir.Table:
    """Rows whose pseudonym is also that of another value, or is a real identifier."""
    value = drawn.v.hash()
    groups = drawn.group_by("h").aggregate(low=value.min(), high=value.max())
    met = groups.filter(groups.low != groups.high).select("h")
    met = met if real is None else met.union(groups.semi_join(real, "h").select("h"), distinct=False)
    return drawn.semi_join(met, "h")


def _keep(session: Session, table: ir.Table) -> ir.Table:
    """Materialise an expression as a temporary table of the session (it spills to disk when memory is short)."""
    return session.backend.create_table(f"masking_keep_{next(_serial)}", table, temp=True)
