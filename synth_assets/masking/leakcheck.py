"""What is left of the raw tables in the masked ones: identifiers anywhere, names in their own person's rows, keys that no longer hold.

What belongs here: searching and counting, inside the engine. What does not: mending. No value leaves the session, only counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import ibis
import ibis.expr.types as ir

from synth_assets.errors import withhold_values
from synth_assets.masking.arrays import chained, each, each_at, element, extract_all, shared
from synth_assets.masking.canonical import LONG_NUMBER, SHORTEST, RawColumn, canonical, raw_forms
from synth_assets.masking.kin import MARK, join_kin
from synth_assets.masking.recipes import as_text
from synth_assets.masking.records import LeakFinding, LeakReport, MaskSummary
from synth_assets.masking.words import NAMES, PLACES, name_words, words_of
from synth_assets.pii.records import ColumnVerdict
from synth_assets.pii.taxonomy import taxonomy
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.schema import TableSchema

ROW = f"{MARK}row"
TEXTS = frozenset({"free_text", "diagnosis_text"})
LEFT_AS_IS = frozenset({"keep"})
LONGEST_RUN = 4  # (555) 123-4567 x 8: pieces of one identifier inside a text
SEARCHED = frozenset({"string", "int64", "double"})


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
    a word that a made-up name of the same person brought is no leak.

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
    types = {t: {v.column: v.entity_type for v in found} for t, found in verdicts.items()}
    with withhold_values("the leak check"), engine.session() as session:
        search = _Search(session, raw, masked, types, schemas, summaries)
        findings, identifiers, short, columns = search.identifiers(wanted)
        names = [search.names(name) for name in wanted]
        findings += [f for found, _ in names for f in found]
        return LeakReport(
            passed=not findings,
            findings=tuple(findings),
            identifiers=identifiers,
            too_short=short,
            columns_searched=columns,
            names_checked=sum(n for _, n in names),
        )


class _Search:
    """One search over one session."""

    def __init__(
        self,
        session: Session,
        raw: Mapping[str, Path],
        masked: Mapping[str, Path],
        types: Mapping[str, Mapping[str, str]],
        schemas: Mapping[str, TableSchema],
        summaries: Mapping[str, MaskSummary],
    ) -> None:
        self.session, self.raw, self.masked, self.types = session, raw, masked, types
        self.schemas, self.summaries = schemas, summaries

    def identifiers(self, tables: Sequence[str]) -> tuple[list[LeakFinding], int, int, int]:
        """Findings, identifiers looked for, those too short to be looked for, columns searched."""
        known = taxonomy()
        columns = [
            RawColumn(t, c.name, c.dtype, self.raw[t])
            for t in sorted(self.raw)
            for c in self.schemas[t].columns
            if (kind := known.get(self.types[t].get(c.name, "none"))) is not None and kind.unique_by_nature
        ]
        places = [
            (t, c.name, c.dtype) for t in tables for c in self.summaries[t].output_schema.columns if c.dtype in SEARCHED
        ]
        forms = raw_forms(self.session, columns)
        if forms is None:
            return [], 0, 0, len(places)
        with self.session.held(forms.distinct()) as held:
            lengths = held.select(form=held.form, short=held.form.length() < SHORTEST).distinct()
            sizes = lengths.aggregate(all=lengths.count(), short=lengths.short.sum()).to_pyarrow().to_pylist()[0]
            short = int(sizes["short"] or 0)
            looked = held.filter(held.form.length() >= SHORTEST)
            found = [
                f for table, column, dtype in places for f in self._in_column(looked, columns, table, column, dtype)
            ]
        return found, int(sizes["all"]) - short, short, len(places)

    def _in_column(
        self, forms: ir.Table, columns: Sequence[RawColumn], table: str, column: str, dtype: str
    ) -> list[LeakFinding]:
        cells = self.session.parquet(self.masked[table])
        text = as_text(cells[column], dtype)
        rows = cells.select(row=ibis.row_number(), text=text).filter(lambda t: t.text.notnull())
        if dtype == "string":
            spread = rows.select(row=rows.row, form=_candidates(rows.text).unnest())
        else:
            spread = rows.select(row=rows.row, form=canonical(rows.text))
            spread = spread.filter(spread.form.length() >= LONG_NUMBER)
        spread = spread.filter(spread.form.notnull() & (spread.form.length() >= SHORTEST)).distinct()
        hits = spread.join(forms, "form").group_by("source").aggregate(cells=lambda t: t.row.nunique())
        return [
            LeakFinding(
                kind="identifier", raw_table=columns[h["source"]].table, raw_column=columns[h["source"]].column, table=table,
                column=column, cells=h["cells"],
            )
            for h in hits.order_by("source").to_pyarrow().to_pylist()
        ]  # fmt: skip

    def names(self, table: str) -> tuple[list[LeakFinding], int]:
        """Findings in one masked table, and how many of its columns were compared."""
        output = self.summaries[table].output_schema
        done = {c.column: c.action for c in self.summaries[table].columns}
        own = [
            c.name
            for c in output.columns
            if c.dtype == "string"
            and done[c.name] not in LEFT_AS_IS
            and self.types[table].get(c.name) in NAMES | PLACES | TEXTS
        ]
        if not own:
            return [], 0
        raw = self.session.parquet(self.raw[table]).mutate(**{ROW: ibis.row_number()})
        with_kin, kin = join_kin(
            self.session, raw, table, paths=self.raw, schemas=self.schemas, wanted=self._told, label="raw"
        )
        told = [(table, c, c) for c in self._told(table)]
        told += [(k.table, c, name) for k in kin for c, name in k.columns.items()]
        before = with_kin.select(
            **{f"{MARK}at": with_kin[ROW]},
            **{
                f"{MARK}w{i}": name_words(with_kin[name].cast("string"), self.types[t][c])
                for i, (t, c, name) in enumerate(told)
            },
        )
        after = self.session.parquet(self.masked[table]).mutate(**{ROW: ibis.row_number()})
        after, made = self._made_up(after, table)
        both = after.join(before, after[ROW] == before[f"{MARK}at"])
        counts = {}
        for n, column in enumerate(own):
            text = self.types[table][column] in TEXTS
            places = [i for i, (t, c, _) in enumerate(told) if text or (t, c) == (table, column)]
            if places:
                counts[f"n{n}"] = _left(both, column, places, made if text else []).sum()
        if not counts:
            return [], 0
        sums = both.aggregate(**counts).to_pyarrow().to_pylist()[0]
        source = ", ".join(sorted({f"{t}.{c}" for t, c, _ in told}))
        findings = [
            LeakFinding(
                kind="name", raw_table=table, raw_column=source, table=table, column=own[int(key[1:])], cells=cells
            )
            for key, cells in sums.items()
            if cells
        ]
        return findings, len(counts)

    def _told(self, table: str) -> frozenset[str]:
        """Columns of a table whose words tell of a person, unless the policy keeps them."""
        kept = (
            {c.column for c in self.summaries[table].columns if c.action in LEFT_AS_IS}
            if table in self.summaries
            else frozenset()
        )
        known = self.types.get(table, {})
        return frozenset(
            c.name for c in self.schemas[table].columns if known.get(c.name) in NAMES | PLACES and c.name not in kept
        )

    def _made_up(self, after: ir.Table, table: str) -> tuple[ir.Table, list[str]]:
        """The masked rows with the made-up names of their own person beside them."""
        schemas = {t: s.output_schema for t, s in self.summaries.items() if t in self.masked}

        def wanted(name: str) -> frozenset[str]:
            return frozenset(c for c in schemas[name].names if self.types[name].get(c) in NAMES | PLACES)

        joined, kin = join_kin(
            self.session, after, table, paths=self.masked, schemas=schemas, wanted=wanted, label="made"
        )
        return joined, [*sorted(wanted(table)), *(n for k in kin for n in k.columns.values())]


def _left(both: ir.Table, column: str, places: Sequence[int], made: Sequence[str]) -> ir.BooleanValue:
    """Whether a cell holds a raw word that no made-up name of the same person brought."""
    wanted = chained([both[f"{MARK}w{i}"] for i in places])
    found = shared(words_of(both[column].fill_null("")), wanted)
    brought = words_of(ibis.literal(" ").join([both[m].cast("string").fill_null("") for m in made])) if made else None
    left = found.length() if brought is None else found.length() - shared(found, brought).length()
    return left > 0


def _candidates(text: ir.StringValue) -> ir.ArrayValue:
    """The canonical forms that a cell may hold: the whole, its words, and runs of up to four pieces that have a digit."""
    words = each(extract_all(text, r"[^\s]+"), canonical)
    pieces = extract_all(text.lower(), r"[\pL\pN]+")
    lengths = range(2, LONGEST_RUN + 1)
    runs = [each_at(pieces, lambda piece, at, n=length: _run(pieces, piece, at, n)) for length in lengths]  # type: ignore[misc]
    return chained([ibis.array([canonical(text)]), words, pieces, *runs])


def _run(pieces: ir.ArrayValue, piece: ir.StringValue, at: ir.IntegerValue, length: int) -> ir.StringValue:
    run = piece
    for step in range(1, length):
        run = run + element(pieces, at + step)
    return run
