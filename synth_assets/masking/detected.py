"""Identifiers that a text detector finds in free text, with the pseudonyms that their types have in columns.

What belongs here: one search per different text, one pseudonym per different finding, by the recipes of the columns. What does not:
the built-in forms, which need no search of their own (known_forms.py), and replacing (scrub.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import ibis
import ibis.expr.types as ir

from synth_assets.config.dataset import TextDetectorName
from synth_assets.masking.apart import Met, from_list, kept_apart
from synth_assets.masking.keyring import KeyRing
from synth_assets.masking.kin import MARK
from synth_assets.masking.operators import narrow_form, recipe_for
from synth_assets.masking.prepare import MaskInput
from synth_assets.masking.recipes import Target, as_text, cook
from synth_assets.masking.records import ColumnPlan
from synth_assets.masking.scrub import token
from synth_assets.masking.spans import SEPARATOR, Finder
from synth_assets.masking.words import NAMES
from synth_assets.pii.detection import TextDetector, text_detector
from synth_assets.tables.engine import Session

_PSEUDONYMS = frozenset({"pseudonym", "format_preserving"})
FOUND = ("starts", "ends", "made")


def searching(name: TextDetectorName) -> TextDetector | None:
    """The detector that searches texts before they are scrubbed; None for the built-in one, whose forms scrubbing has itself.

    Raises:
        ServiceUnavailableError: its extra is not installed.
    """
    return None if name == "builtin" else text_detector(name)


def found_columns(column: str) -> tuple[str, str, str]:
    """Names of the columns with what was found in a text column: lists of first bytes, ends and replacements."""
    starts, ends, made = (f"{MARK}found_{part}_{column}" for part in FOUND)
    return starts, ends, made


@dataclass(frozen=True)
class Detected:
    """The search of one run.

    Args:
        session: The open session.
        ring: Keys and lists.
        tables: All tables of the dataset: their plans say which types have pseudonyms.
        detector: Searches the texts.
        met: Values of unique columns whose made-up names meet.
    """

    session: Session
    ring: KeyRing
    tables: Mapping[str, MaskInput]
    detector: TextDetector
    met: Met

    def beside(self, table: ir.Table, raw: Path, columns: Sequence[str], *, as_of: date) -> ir.Table:
        """The table with `found_columns` of each text column; the order of rows may change.

        Args:
            table: The table in the making; holds the texts.
            raw: The raw table, for the search.
            columns: Names of the text columns.
            as_of: Day of the masking plan.
        """
        found = self._found(self.session.parquet(raw), columns, as_of)
        for column in columns:
            names = dict(zip(found_columns(column), FOUND, strict=True))
            side = found.select(**{f"{MARK}text": found.text}, **{new: found[old] for new, old in names.items()})
            joined = table.left_join(side, table[column] == side[f"{MARK}text"])
            table = joined.select(*table.columns, *names)
        return table

    def _found(self, table: ir.Table, columns: Sequence[str], as_of: date) -> ir.Table:
        """Each different text that holds something -> where, and what replaces it."""
        find = self.session.function(Finder(self.detector), ["string"], "array<string>")
        texts = [table.select(text=table[c]).filter(table[c].notnull()) for c in columns]
        cells = ibis.union(*texts, distinct=True) if len(texts) > 1 else texts[0].distinct()
        searched = self.session.keep(cells.mutate(found=find(cells.text)))
        items = searched.select("text", item=searched.found.unnest())
        parts = items.mutate(parts=items["item"].split(SEPARATOR))
        items = self.session.keep(
            parts.select(
                "text", kind=parts.parts[0], start=parts.parts[1].cast("int64"), end=parts.parts[2].cast("int64"),
                value=parts.parts[3],
            )
        )  # fmt: skip
        made = self._pseudonyms(items, as_of)
        told = items.join(made, ["kind", "value"])
        lists = told.group_by("text").agg(
            starts=told.start.collect(order_by=told.start), ends=told.end.collect(order_by=told.start),
            made=told.made.collect(order_by=told.start),
        )  # fmt: skip
        return self.session.keep(lists)

    def _pseudonyms(self, items: ir.Table, as_of: date) -> ir.Table:
        """Each different finding -> its replacement."""
        values = self.session.keep(items.select("kind", "value").distinct())
        kinds: list[str] = values.select("kind").distinct().order_by("kind").to_pyarrow()["kind"].to_pylist()
        return self.session.keep(
            ibis.union(*[self._of_kind(values, k, as_of) for k in kinds])
            if len(kinds) > 1
            else self._of_kind(values, kinds[0] if kinds else "", as_of)
        )

    def _of_kind(self, values: ir.Table, kind: str, as_of: date) -> ir.Table:
        own = values.filter(values.kind == kind)
        plan = self._plan(kind)
        if plan is None:
            return own.mutate(made=ibis.literal(token(kind)))
        target = Target("value", plan.domain, self.ring)
        cooked = cook(own, {"made": (target, recipe_for(plan, as_of=as_of))})
        made = cooked.made.cast("string")
        if (plan.domain, plan.form) in self.met and from_list(plan):
            made = kept_apart(made, cooked.value, plan, self.ring, self.met)
        if narrow_form(plan) is not None:  # a number that no column holds could become one that a column does
            known = self._known(kind)
            made = cooked.value.isin(known.value).ifelse(made, ibis.null("string"))
        return cooked.select("kind", "value", made=ibis.coalesce(made, ibis.literal(token(kind))))

    def _plan(self, kind: str) -> ColumnPlan | None:
        """The plan of a text column of the type that gives pseudonyms; for a whole name, also that of its parts."""
        plans = [p for t in self.tables.values() for p in t.plan.columns]
        usable = [p for p in plans if p.action in _PSEUDONYMS and p.dtype == "string" and not p.key]
        exact = next((p for p in usable if p.entity_type == kind), None)
        if exact is not None or kind not in NAMES:
            return exact
        part = next((p for p in usable if p.entity_type in NAMES), None)
        return None if part is None else part.model_copy(update={"entity_type": kind, "form": kind})

    def _known(self, kind: str) -> ir.Table:
        """The values that columns of a type hold."""
        columns = []
        for table in self.tables.values():
            raw = self.session.parquet(table.path)
            columns += [
                raw.select(value=as_text(raw[p.column], p.dtype)) for p in table.plan.columns if p.entity_type == kind
            ]
        return ibis.union(*columns, distinct=True) if len(columns) > 1 else columns[0]
