"""What is left of the raw tables in the masked ones: identifiers that are unique by nature, anywhere, exact or inside a text.

What belongs here: the face of the leak check and the search for identifiers. What does not: names and addresses (namecheck.py), keys
(keycheck.py), and mending. No value leaves the session, only counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir

from synth_assets.config.base import LocaleName
from synth_assets.errors import withhold_values
from synth_assets.masking.arrays import each, each_at, element, extract_all, hashes_joined
from synth_assets.masking.canonical import (
    LONG_NUMBER,
    SHORTEST_NUMBER,
    RawColumn,
    canonical,
    grouped,
    is_searchable,
    spellings,
)
from synth_assets.masking.keyring import WordLists
from synth_assets.masking.namecheck import made_up_words, names_left
from synth_assets.masking.recipes import as_text, separate_steps
from synth_assets.masking.records import LeakFinding, LeakReport, MaskSummary
from synth_assets.pii.patterns import TEXT
from synth_assets.pii.records import ColumnVerdict
from synth_assets.pii.taxonomy import taxonomy
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.schema import ColumnSchema, TableSchema

SEARCHED = frozenset({"string", "int64", "double"})
_LONGEST_RUN = 6  # a spaced IBAN of 22 characters has six groups
_WORD = r"[\pL\pN]+"
_LONG_WORD = rf"[\pL\pN]*\pL[\pL\pN]*|[0-9]{{{LONG_NUMBER},}}"
_COMPOUND = r"[\pL\pN]+(?:[^\pL\pN\s]+[\pL\pN]+)+"
_ALONE = rf"(?:^|[\s(,;:#=])[0-9]{{{SHORTEST_NUMBER},}}(?:$|[\s),;:.])"
_SEVERAL = r"[\s:/=?&;,|<>]"  # more than one word: a running text, an address, a pair
_MANY_PIECES = r"^[^@]*(?:[^\pL\pN@]+[\pL\pN]+){3}"
_SEVERAL_TO_A_CELL = frozenset({"email", "phone", "fax"})
_BETWEEN = r"\s*[;,|<>]\s*|\s+/\s+|\s+(?:or|and)\s+"
_NOTHING = ibis.literal([], "array<string>")
_MANY_DIGITS = rf"(?:[0-9][^0-9]*){{{LONG_NUMBER}}}"


@dataclass(frozen=True)
class Evidence:
    """What the checks look at.

    Args:
        raw: Raw table -> Parquet; all tables of the dataset.
        masked: Masked table -> Parquet, rows in the order of the raw table.
        verdicts: Raw table -> column -> verdict.
        schemas: Raw table -> schema.
        summaries: Masked table -> what was done to it.
    """

    raw: Mapping[str, Path]
    masked: Mapping[str, Path]
    verdicts: Mapping[str, Mapping[str, ColumnVerdict]]
    schemas: Mapping[str, TableSchema]
    summaries: Mapping[str, MaskSummary]


def check_leaks(
    raw: Mapping[str, Path],
    masked: Mapping[str, Path],
    *,
    verdicts: Mapping[str, Sequence[ColumnVerdict]],
    schemas: Mapping[str, TableSchema],
    summaries: Mapping[str, MaskSummary],
    engine: Engine,
    tables: Collection[str] | None = None,
) -> LeakReport:
    """Search masked tables for raw identifiers and names.

    Identifiers that are unique by nature (e-mail, phone, SSN, card, MRN ...) of all raw tables may occur in no cell, as a whole or
    inside a text, in any letter case and punctuation. Words of names and addresses may not be left in the rows of their own person;
    a word that a made-up name of the same person brought is no leak. A column that a person keeps on purpose is searched for like any
    other, unless its `identifier_class` is `none`.

    Not found: an identifier of fewer than five letters and digits, one inside a longer run of letters and digits, one that was cut.

    Args:
        raw: Raw table -> Parquet; all tables of the dataset.
        masked: Masked table -> Parquet, rows in the order of the raw table; with the parents of those that are searched.
        verdicts: Raw table -> verdicts.
        schemas: Raw table -> schema.
        summaries: Masked table -> what was done to it.
        engine: The table engine.
        tables: Masked tables to search; all of `masked` when None.

    Returns:
        Counts only; `passed` is False where anything was found.
    """
    wanted = sorted(masked if tables is None else tables)
    seen = Evidence(raw, masked, {t: {v.column: v for v in vs} for t, vs in verdicts.items()}, schemas, summaries)
    with withhold_values("the leak check"), separate_steps(), engine.files_session() as session:
        findings, identifiers, short, columns = _identifiers_left(session, seen, wanted)
        names = [
            names_left(
                session,
                name,
                raw=raw,
                masked=masked,
                verdicts=seen.verdicts,
                schemas=schemas,
                summaries=summaries,
            )
            for name in wanted
        ]
    findings += [f for found, _ in names for f in found]
    return LeakReport(
        passed=not findings,
        findings=tuple(findings),
        identifiers=identifiers,
        too_short=short,
        columns_searched=columns,
        names_checked=sum(n for _, n in names),
    )


def _identifiers_left(
    session: Session, seen: Evidence, tables: Sequence[str]
) -> tuple[list[LeakFinding], int, int, int]:
    """Findings, identifiers looked for, those too short to be looked for, columns searched."""
    columns = [
        (RawColumn(table, c.name, c.dtype, seen.raw[table]), seen.verdicts[table][c.name].entity_type)
        for table in sorted(seen.raw)
        for c in seen.schemas[table].columns
        if identifies(seen.verdicts.get(table, {}).get(c.name))
    ]
    places = {t: [c for c in seen.summaries[t].output_schema.columns if c.dtype in SEARCHED] for t in tables}
    searched = sum(len(found) for found in places.values())
    if not columns:
        return [], 0, 0, searched
    parts = [_spelled(session, column, entity_type, i) for i, (column, entity_type) in enumerate(columns)]
    known = ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0]
    sources = [column for column, _ in columns]
    with session.held(known) as held:
        told = held.group_by("value").aggregate(looked=held.h.notnull().any())
        sizes = told.aggregate(found=told.looked.sum(), short=(~told.looked).sum()).to_pyarrow().to_pylist()[0]
        used = {s.locale for s in seen.summaries.values()}
        with session.held(_without_words(session, held, used)) as forms:
            found = [f for t in tables if places[t] for f in _in_table(session, seen, forms, sources, t, places[t])]
    return found, int(sizes["found"] or 0), int(sizes["short"] or 0), searched


def _spelled(session: Session, column: RawColumn, entity_type: str, source: int) -> ir.Table:
    """One row per distinct value and spelling: hashes of both (the spelling's null where it is too short), and the column."""
    table = session.parquet(column.path)
    values = table.select(v=as_text(table[column.column], column.dtype)).distinct()
    values = values.filter(values.v.notnull())
    if entity_type in _SEVERAL_TO_A_CELL:
        each_alone = values.filter(values.v.re_search(_BETWEEN)).select(v=_parts(values.v).unnest())
        values = values.union(each_alone, distinct=True)
    values = values.mutate(plain=canonical(values.v), own=grouped(values.v))
    forms = spellings(values.v, values.plain, values.own, entity_type).unique()
    spelled = values.select(value=values.v.hash(), form=forms.unnest())
    looked = is_searchable(spelled.form).fill_null(False)
    return spelled.select(
        "value", h=looked.ifelse(spelled.form.hash(), ibis.null("int64")), source=ibis.literal(source, "int64")
    )


def _parts(text: ir.StringValue) -> ir.ArrayValue:
    return text.re_split(_BETWEEN)


def _without_words(session: Session, spelled: ir.Table, used: Collection[LocaleName]) -> ir.Table:
    """The hashes to look for; none of an ordinary name: the user name `maria` stands in every table of made-up names."""
    listed = WordLists(session).words("words of names", sorted(made_up_words(used)))
    words = spelled.limit(1).select(word=listed.unnest())
    forms = spelled.filter(spelled.h.notnull()).select("h", "source").distinct()
    return forms.anti_join(words.select(h=words.word.hash()), "h")


def identifies(verdict: ColumnVerdict | None) -> bool:
    """Whether a column's values may occur nowhere: unique by nature, or pages, and of a person."""
    if verdict is None or verdict.identifier_class == "none":
        return False
    page = verdict.entity_type == "url" and verdict.identifier_class == "direct"
    return page or taxonomy()[verdict.entity_type].unique_by_nature


def _in_table(
    session: Session,
    seen: Evidence,
    forms: ir.Table,
    columns: Sequence[RawColumn],
    table: str,
    places: Sequence[ColumnSchema],
) -> list[LeakFinding]:
    """Cells of a masked table that hold a raw identifier, by masked column and the raw column it comes from."""
    source = session.parquet(seen.masked[table])
    parts = []
    for i, place in enumerate(places):
        texts = source.select(text=as_text(source[place.name], place.dtype))
        texts = texts.filter(texts.text.notnull() if place.dtype == "string" else texts.text.length() >= LONG_NUMBER)
        parts.append(texts.group_by("text").aggregate(cells=texts.count()).mutate(place=ibis.literal(i, "int64")))
    spread = _spread(ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0])
    met = spread.join(forms, "h").distinct(on=["text", "place", "source"])
    hits = met.group_by("place", "source").aggregate(cells=met.cells.sum())
    return [
        LeakFinding(
            kind="identifier",
            raw_table=columns[h["source"]].table,
            raw_column=columns[h["source"]].column,
            table=table,
            column=places[h["place"]].name,
            cells=int(h["cells"]),
        )
        for h in hits.order_by("place", "source").to_pyarrow().to_pylist()
    ]


def _spread(cells: ir.Table) -> ir.Table:
    """One row per cell and spelling that it may hold: the whole, words, words joined by punctuation, numbers in groups.

    Args:
        cells: `text`, `place` and `cells`; the last two are kept.
    """
    is_text = cells.text.re_search(_SEVERAL) | cells.text.re_search(_MANY_PIECES)
    short = cells.filter(~is_text)
    words = short.text.re_search(r"[^\pL\pN]").ifelse(extract_all(short.text.lower(), _LONG_WORD), _NOTHING)
    short = short.select("cells", "place", "text", forms=hashes_joined([ibis.array([grouped(short.text)]), words]))
    parts = [
        part.select("cells", "place", text=part.text.hash(), h=part.forms.unnest())
        for part in (short, _in_text(cells.filter(is_text)))
    ]
    spread = parts[0].union(parts[1], distinct=False)
    return spread.filter(spread.h.notnull())


def _in_text(cells: ir.Table) -> ir.Table:
    """`text`, `place`, `cells` of running texts, and the hashes of all that one of them may hold as `forms`."""
    lower, with_digit = cells.text.lower(), cells.text.re_search("[0-9]")
    step = cells.mutate(
        words=extract_all(lower, _LONG_WORD),
        compounds=extract_all(lower, _COMPOUND),
        mails=lower.contains("@").ifelse(extract_all(lower, TEXT["email"]), _NOTHING),
        numbers=with_digit.ifelse(extract_all(lower.replace(" ", "  "), _ALONE), _NOTHING),
        run1=with_digit.ifelse(extract_all(lower, _WORD), _NOTHING),
        many=cells.text.re_search(_MANY_DIGITS),
    )
    for length in range(2, _LONGEST_RUN + 1):
        longer = _longer(step[f"run{length - 1}"], step["run1"], length)
        step = step.mutate(**{f"run{length}": longer if length == 2 else step.many.ifelse(longer, _NOTHING)})
    runs = [
        each(step[f"run{n}"], lambda run: _tells(run).ifelse(run, ibis.null("string")))
        for n in range(2, _LONGEST_RUN + 1)
    ]
    parted = [each(step[c], grouped) for c in ("compounds", "mails", "numbers")]
    return step.select(
        "cells", "place", "text", forms=hashes_joined([ibis.array([grouped(step.text)]), step.words, *parted, *runs])
    )


def _longer(runs: ir.ArrayValue, words: ir.ArrayValue, length: int) -> ir.ArrayValue:
    """Runs of one word more; null where the text ends."""
    return each_at(runs, lambda run, i: run + "|" + element(words, i + length - 1))


def _tells(run: ir.StringValue) -> ir.BooleanValue:
    """Whether words in a row could be one identifier: a letter and a digit, or nine digits."""
    return (run.re_search(r"\pL") & run.re_search("[0-9]")) | run.re_search(_MANY_DIGITS)
