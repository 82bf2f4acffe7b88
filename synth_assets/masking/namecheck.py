"""Names and address parts that are left in the rows of their own person, word by word, in any letter case.

What belongs here: comparing a masked row with the words of its raw row and of the rows above it. What does not: identifiers that are
unique by nature (leakcheck.py). A word may be there by chance, so three things are no leak: in a text, a word that a made-up name of
the same person brought; in a made-up cell, an entry of its list that its own original does not have; in any other column, a word that
mostly stands in the rows of other people (the race White beside the name White). A state or country that the policy keeps is not
compared: that a birthplace or a city is called like it, or names it, is no news.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import ibis
import ibis.expr.types as ir

from synth_assets.config.base import LocaleName
from synth_assets.generation import lists, locales
from synth_assets.masking.arrays import chained, holds, only, shared
from synth_assets.masking.keyring import WordLists
from synth_assets.masking.kin import MARK, join_kin
from synth_assets.masking.operators import WIDE
from synth_assets.masking.records import LeakFinding, MaskSummary
from synth_assets.masking.words import NAMES, PLACES, name_words, words_of
from synth_assets.pii.records import ColumnVerdict
from synth_assets.tables.engine import Session
from synth_assets.tables.schema import ColumnKind, TableSchema

_ROW, _AT, _OWN, _BROUGHT = f"{MARK}row", f"{MARK}at", f"{MARK}own", f"{MARK}brought"
_ALWAYS = NAMES | {"street_address"}
_REGIONS = frozenset({"state", "country"})
_NOTHING = ibis.literal([], "array<string>")
_MADE_UP_EMAIL = r"^[a-z]+\.[a-z]+\.[0-9a-f]{12}@example\.(?:com|org|net)$"
_MOSTLY = (
    0.5  # share of a word's cells that stand in rows of people with that name, above which it is not there by chance
)


@cache
def vocabulary(entity_type: str, locale: LocaleName = locales.DEFAULT) -> frozenset[str]:
    """The words, in lower case, that made-up values of a type consist of; empty for types without a list."""
    firsts = (*locales.words(locale, "female"), *locales.words(locale, "male"))
    lasts = locales.words(locale, "last")
    abroad = () if locale == locales.DEFAULT else locales.places(locale)
    streets = locales.words(locale, "street") if locale == locales.DEFAULT else _streets(locale)
    entries: dict[str, tuple[str, ...]] = {
        "first_name": firsts,
        "last_name": lasts,
        "person_name": (*firsts, *lasts),
        "street_address": streets,
        "city": tuple(p.city for p in abroad) or tuple(c.name for c in lists.cities()),
        "employer": lists.companies(),
        "organization": lists.companies(),
        "url": ("www example com http https",),
    }
    text = " ".join(entries.get(entity_type, ())).lower()
    return frozenset("".join(c if c.isalnum() else " " for c in text).split())


def _streets(locale: LocaleName) -> tuple[str, ...]:
    return (*locales.one_word(locale, "street"), locales.locale_of(locale).street.replace("{}", ""))


def made_up_words(used: Iterable[LocaleName] = (locales.DEFAULT,)) -> frozenset[str]:
    """All words of made-up names, places and firms of some countries."""
    types = ("person_name", "street_address", "city", "employer")
    return frozenset().union(*(vocabulary(t, locale) for t in types for locale in used))


def names_left(
    session: Session,
    table: str,
    *,
    raw: Mapping[str, Path],
    masked: Mapping[str, Path],
    verdicts: Mapping[str, Mapping[str, ColumnVerdict]],
    schemas: Mapping[str, TableSchema],
    summaries: Mapping[str, MaskSummary],
) -> tuple[list[LeakFinding], int]:
    """Findings in one masked table, and how many of its columns were compared.

    Args:
        session: The open session.
        table: The masked table.
        raw: Raw table -> Parquet.
        masked: Masked table -> Parquet, rows in the order of the raw table.
        verdicts: Raw table -> column -> verdict.
        schemas: Raw table -> schema.
        summaries: Masked table -> what was done.
    """
    look = _Look(session, table, raw, masked, verdicts, schemas, summaries)
    told = sorted(look.told)
    texts = [c.name for c in summaries[table].output_schema.columns if c.dtype == "string"]
    columns = [c for c in texts if not look.is_kept_region(c)]
    if not told or not columns:
        return [], 0
    with session.held(look.compared(columns)) as both:
        counts = both.aggregate(**{f"n{i}": (both[f"{MARK}left{i}"].length() > 0).sum() for i in range(len(columns))})
        left = counts.to_pyarrow().to_pylist()[0]
        found = {c: int(left[f"n{i}"] or 0) for i, c in enumerate(columns)}
        for i, column in enumerate(columns):
            if found[column] and not look.is_text(column) and not look.is_made_up(column):
                found[column] = look.not_by_chance(both, column, f"{MARK}left{i}")
    source = ", ".join(told)
    findings = [
        LeakFinding(kind="name", raw_table=table, raw_column=source, table=table, column=c, cells=n)
        for c, n in found.items()
        if n
    ]
    return findings, len(columns)


def _let_through(summary: MaskSummary) -> frozenset[str]:
    """Columns whose values may stay: kept ones, and quasi-identifiers, whose values k persons share."""
    kept = {c.column for c in summary.columns if c.action == "keep"}
    return frozenset(kept | set(summary.anonymity.quasi if summary.anonymity else ()))


class _Look:
    """One masked table beside its raw one."""

    def __init__(
        self,
        session: Session,
        table: str,
        raw: Mapping[str, Path],
        masked: Mapping[str, Path],
        verdicts: Mapping[str, Mapping[str, ColumnVerdict]],
        schemas: Mapping[str, TableSchema],
        summaries: Mapping[str, MaskSummary],
    ) -> None:
        self.session, self.table, self.raw, self.masked = session, table, raw, masked
        self.lists = WordLists(session)
        self.verdicts, self.schemas, self.summaries = verdicts, schemas, summaries
        self.actions = {c.column: c.action for c in summaries[table].columns}
        self.kinds = {c.name: c.kind for c in schemas[table].columns}
        before = session.numbered(raw[table], _ROW)
        self.before, kin = join_kin(
            session, before, table, paths=raw, schemas=schemas, wanted=self._telling, label="raw"
        )
        self.places = [(table, c, c) for c in sorted(self._telling(table))]
        self.places += [(k.table, c, name) for k in kin for c, name in k.columns.items()]
        self.told = {f"{t}.{c}" for t, c, _ in self.places}

    def type_of(self, table: str, column: str) -> str:
        """Entity type of a column, "none" where there is no verdict."""
        verdict = self.verdicts.get(table, {}).get(column)
        return verdict.entity_type if verdict else "none"

    def is_kept_region(self, column: str) -> bool:
        """Whether a column holds states or countries, as they were or coarser."""
        return column in _let_through(self.summaries[self.table]) and self.type_of(self.table, column) in _REGIONS

    def is_text(self, column: str) -> bool:
        """Whether a column holds running text."""
        return self.actions[column] == "scrub" or (
            self.kinds[column] is ColumnKind.TEXT and not self.is_made_up(column)
        )

    def is_made_up(self, column: str) -> bool:
        """Whether a column's values are drawn from lists."""
        return self.actions[column] == "format_preserving" and self.type_of(self.table, column) in WIDE

    def _telling(self, table: str) -> frozenset[str]:
        """Columns of a raw table whose words tell of a person: names and streets always, other places unless they are kept."""
        kept = _let_through(self.summaries[table]) if table in self.summaries else frozenset()
        found = (
            v
            for v in self.verdicts.get(table, {}).values()
            if v.identifier_class != "none" and v.entity_type in NAMES | PLACES
        )
        return frozenset(v.column for v in found if v.entity_type in _ALWAYS or v.column not in kept)

    def compared(self, columns: Sequence[str]) -> ir.Table:
        """A row per row: for each column the words that are left in its cell, as `left<i>`, and the cells themselves."""
        words = {
            f"{MARK}w{i}": name_words(self.before[name].cast("string"), self.type_of(t, c))
            for i, (t, c, name) in enumerate(self.places)
        }
        raw = self.before.select(**{_AT: self.before[_ROW]}, **words)
        raw = raw.mutate(**{_OWN: chained([raw[w] for w in words])})
        after, brought = self._made_up()
        both = after.join(raw, after[_ROW] == raw[_AT])
        cells = {f"{MARK}cell{i}": words_of(both[c]) for i, c in enumerate(columns)}
        texts = [words_of(both[b].cast("string")) for b in brought]
        both = both.mutate(**cells, **{_BROUGHT: chained(texts) if texts else _NOTHING})
        left = {f"{MARK}left{i}": shared(both[f"{MARK}cell{i}"], both[_OWN]) for i in range(len(columns))}
        both = both.mutate(**left)
        return both.select(*columns, **dict(self._excused(both, columns)))

    def _excused(self, both: ir.Table, columns: Sequence[str]) -> Iterator[tuple[str, ir.Value]]:
        """The words that are left, without those that the mask itself brought."""
        for i, column in enumerate(columns):
            name, entity_type = f"{MARK}left{i}", self.type_of(self.table, column)
            left = both[name]
            if self.is_made_up(column) and entity_type == "email":
                left = both[column].re_search(_MADE_UP_EMAIL).fill_null(True).ifelse(_NOTHING, left)
            elif self.is_made_up(column):
                original = self._original(both, column)
                listed = self.lists.words(
                    entity_type, sorted(vocabulary(entity_type, self.summaries[self.table].locale))
                )
                left = only(left, lambda w, o=original, v=listed: holds(o, w) | ~holds(v, w))  # type: ignore[misc]
            elif self.is_text(column):
                left = only(left, lambda w: ~holds(both[_BROUGHT], w))
            yield name, left

    def _original(self, both: ir.Table, column: str) -> ir.ArrayValue:
        """The words of a cell's own raw value."""
        own = [f"{MARK}w{j}" for j, (t, c, _) in enumerate(self.places) if (t, c) == (self.table, column)]
        return both[own[0]] if own else _NOTHING

    def _made_up(self) -> tuple[ir.Table, list[str]]:
        """The masked rows, with the names of columns (their own and of rows above) that hold made-up names."""
        schemas = {t: s.output_schema for t, s in self.summaries.items() if t in self.masked}

        def wanted(name: str) -> frozenset[str]:
            made = {c.column for c in self.summaries[name].columns if c.action in {"format_preserving", "pseudonym"}}
            return frozenset(c for c in schemas[name].names if c in made and self.type_of(name, c) in WIDE)

        after = self.session.numbered(self.masked[self.table], _ROW)
        joined, kin = join_kin(
            self.session, after, self.table, paths=self.masked, schemas=schemas, wanted=wanted, label="made"
        )
        return joined, [*sorted(wanted(self.table)), *(n for k in kin for n in k.columns.values())]

    def not_by_chance(self, both: ir.Table, column: str, left: str) -> int:
        """Cells with a word that mostly stands in the rows of people with that name."""
        own = both.select(word=both[left].unnest())
        own = own.group_by("word").aggregate(own=own.count())
        cells = both.group_by(column).aggregate(cells=both.count())
        spread = cells.select("cells", word=words_of(cells[column]).unique().unnest())
        everywhere = spread.group_by("word").aggregate(everywhere=spread.cells.sum())
        met = own.join(everywhere, "word")
        return int(met.filter(met.own > _MOSTLY * met.everywhere).own.sum().fill_null(0).execute())
