"""Masking tables: Parquet to Parquet, one pass per table, out of core.

What belongs here: putting plans, keys, kin and recipes together, and writing. What does not: any mask, and the decision which one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import ibis.expr.types as ir
import numpy as np

from synth_assets.errors import ConfigError, InputError, withhold_values
from synth_assets.masking.anonymity.enforce import Recoding, enforce
from synth_assets.masking.anonymity.records import AnonymityOutcome
from synth_assets.masking.apart import Met, from_list, kept_apart, met, unique_columns
from synth_assets.masking.canonical import RawColumn
from synth_assets.masking.dates import is_dated
from synth_assets.masking.detected import Detected, found_columns
from synth_assets.masking.forms import Form
from synth_assets.masking.keyring import KeyRing, release_key
from synth_assets.masking.kin import MARK, Kin
from synth_assets.masking.operators import back_to_type, narrow_form, recipe_for
from synth_assets.masking.prepare import PERSON_COLUMN, ROW, SEX, MaskInput, Prepared, prepare, sexes
from synth_assets.masking.recipes import Recipe, Target, as_text, cook, separate_steps
from synth_assets.masking.records import ColumnPlan, MaskingPlan, MaskSummary
from synth_assets.masking.scrub import Mention, is_told, scrubbed
from synth_assets.masking.summary import summarise
from synth_assets.masking.tokens import Tokens, lookup_domain, tokens_of
from synth_assets.masking.unique import Domain, draw_again
from synth_assets.masking.vault import TokenVault
from synth_assets.pii.detection import TextDetector
from synth_assets.pii.taxonomy import taxonomy
from synth_assets.storage import atomic
from synth_assets.storage.secrets import SecretKey
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.relations import route

IN_SQL = frozenset(
    {"keep", "drop", "redact", "partial", "generalise", "round", "truncate", "top_code"}
)  # actions without Python

__all__ = ["MaskInput", "mask_tables"]
_PSEUDONYMS = frozenset({"pseudonym", "format_preserving", "tokenise"})


def mask_tables(
    tables: Mapping[str, MaskInput],
    out: Mapping[str, Path],
    *,
    key: SecretKey,
    engine: Engine,
    release_domain: str = "default",
    vault: TokenVault | None = None,
    detector: TextDetector | None = None,
) -> dict[str, MaskSummary]:
    """Mask tables of one dataset together.

    Give all tables of the dataset at once: parents are needed for texts and dates of their children, and pseudonyms with little room
    are drawn so that they meet no value of any table. Rows keep their order.

    Args:
        tables: Table -> input.
        out: Table -> where to write: a folder, which gets `part-00000.parquet` and `schema.json`, or a path that ends in .parquet.
            Tables that are not named here are read, and not written.
        key: Master key; keys of the release domain and of every pseudonym domain are derived from it.
        engine: The table engine.
        release_domain: Releases of different domains cannot be linked by their pseudonyms.
        detector: Searches free text, besides the row's own values and the built-in forms; what it finds becomes the pseudonym that its
            type has in columns, else a token. None: the built-in forms alone, at many times the speed.
        vault: Where tokens and their values are kept; needed where a plan has the action `tokenise`.

    Returns:
        Table -> what was done, for the tables of `out`.

    Raises:
        InputError: a plan drops every column of a table.
        ConfigError: a plan tokenises, and no vault is given; a detector is to run on Spark.
        CheckFailedError: a table cannot reach the k-anonymity that its plan asks for.
        UnexpectedError: the engine failed; its text is withheld, since it may quote data.
    """
    if detector is not None and engine.name == "spark":
        raise ConfigError(
            "masking on Spark searches texts with the built-in detector only.",
            key="text_detector",
            remedy="Use `text_detector: builtin`, or the engine duckdb.",
        )
    secret = release_key(key, release_domain)
    summaries = {}
    with (
        withhold_values("masking"),
        separate_steps(),
        _threaded(engine, tables).session() as session,
        ExitStack() as scratch,
    ):
        ring = KeyRing(session, secret)
        told = {name: tables[name] for name in _told(tables, out)}
        tokens = tokens_of(session, ring, told, vault=vault, release=secret, release_domain=release_domain)
        job = _Job(session, scratch, tables, ring, scratch.enter_context(tokens), detector)
        for name, target in out.items():
            session.write(job.masked(name), target)
            summaries[name] = summarise(
                session,
                raw=tables[name].path,
                masked=target,
                schema=tables[name].schema,
                plan=tables[name].plan,
                redrawn=job.redrawn(name),
                key_fingerprint=secret.fingerprint,
                anonymity=job.anonymity.get(name),
            )
            if target.suffix != ".parquet":
                atomic.write_text(target / "schema.json", summaries[name].output_schema.model_dump_json(indent=1))
    return summaries


def _threaded(engine: Engine, tables: Mapping[str, MaskInput]) -> Engine:
    """One thread where columns are masked by Python functions, unless the settings name a number.

    The functions share one interpreter: further threads take a fifth to a third more CPU time and finish no earlier.
    """
    actions = {column.rule.action for table in tables.values() for column in table.plan.columns}
    return engine if engine.threads or actions <= IN_SQL else replace(engine, threads=1)


def _told(tables: Mapping[str, MaskInput], out: Mapping[str, Path]) -> list[str]:
    """The tables whose values stand in some of the tables to write: they, and those above them, whose values their texts tell."""
    found = list(out)
    for name in found:  # grows while it is read
        above = (key.parent_table for key in tables[name].schema.foreign_keys)
        found += [parent for parent in dict.fromkeys(above) if parent in tables and parent not in found]
    return found


@dataclass(frozen=True)
class _Order:
    """One result column in the making."""

    target: Target
    recipe: Recipe
    plan: ColumnPlan


class _Job:
    """One run over one session."""

    def __init__(
        self,
        session: Session,
        stack: ExitStack,
        tables: Mapping[str, MaskInput],
        ring: KeyRing,
        tokens: Tokens,
        detector: TextDetector | None = None,
    ) -> None:
        self.session, self.stack, self.tables = session, stack, tables
        self.ring, self.tokens = ring, tokens
        self.anonymity: dict[str, AnonymityOutcome] = {}
        self.later = draw_again(session, ring, self._narrow_domains(), self._identifiers())
        ring.settle(self.later)
        self.met = self._met()
        self.detected = None if detector is None else Detected(session, ring, tables, detector, self.met)

    def _met(self) -> Met:
        """Values of unique columns whose made-up names meet, by domain and form."""
        found: dict[tuple[str, str], list[np.ndarray]] = {}
        for name, table in self.tables.items():
            listed = {c.column: c for c in table.plan.columns if from_list(c)}
            for column in unique_columns(self.session.parquet(table.path), list(listed)):
                plan, ready = listed[column], prepare(self.session, self.tables, name, numbered=False)
                order = self._order(plan, table.plan, column, ready.companions())
                made = cook(ready.table, {f"{MARK}met": (order.target, order.recipe)})
                found.setdefault((plan.domain, plan.form), []).append(met(made, column, f"{MARK}met"))
        return {key: np.unique(np.concatenate(numbers)) for key, numbers in found.items()}

    def _columns(self) -> Iterator[tuple[RawColumn, ColumnPlan]]:
        for name, table in self.tables.items():
            for plan in table.plan.columns:
                yield RawColumn(name, plan.column, plan.dtype, table.path), plan

    def _narrow_domains(self) -> list[Domain]:
        columns: dict[tuple[str, Form], list[RawColumn]] = {}
        for column, plan in self._columns():
            form = narrow_form(plan)
            if form is not None:
                columns.setdefault((plan.domain, form), []).append(column)
        return [Domain(domain, form, found) for (domain, form), found in columns.items()]

    def _identifiers(self) -> list[RawColumn]:
        """Raw columns whose values no narrow pseudonym may meet; none of their forms is an e-mail address."""
        return [
            c for c, p in self._columns() if taxonomy()[p.entity_type].unique_by_nature and p.entity_type != "email"
        ]

    def redrawn(self, name: str) -> int:
        """Pseudonyms drawn again in the domains of a table."""
        narrow = [(c.domain, narrow_form(c)) for c in self.tables[name].plan.columns]
        domains = {(domain, form.name) for domain, form in narrow if form is not None}
        return sum(len(later.codes) for key, later in self.later.items() if key in domains)

    def masked(self, name: str) -> ir.Table:
        """The masked table as an expression."""
        plan = self.tables[name].plan
        kept = [c for c in plan.columns if c.action != "drop"]
        if not kept:
            raise InputError(
                "the plan drops every column.",
                key=f"tables.{name}",
                remedy="Override the action of at least one column.",
            )
        tokenised = any(c.action == "tokenise" for c in kept)
        texts = [c for c in kept if c.action == "scrub"]
        searched = self.detected if texts else None
        moved = tokenised or plan.anonymity is not None or self.session.reorders(self.tables[name].path)
        moved = moved or searched is not None
        ready = prepare(self.session, self.tables, name, numbered=moved)
        recoding = self._jointly(name, ready)
        names = {c.column: f"{MARK}out{i}" for i, c in enumerate(kept)}
        orders = {
            names[c.column]: self._order(c, plan, c.column, ready.companions())
            for c in kept
            if c.action != "scrub" and c.rule.to != "jointly"
        }
        table: ir.Table = ready.table
        mentions: list[Mention] = []
        if texts:
            sources, mentions, more = self._mentions(name, ready, names)
            table, orders = table.mutate(**sources), orders | more
        table = self._made(table, orders)
        columns = [c.column for c in texts]
        if searched is not None:
            table = searched.beside(table, self.tables[name].path, columns, as_of=plan.as_of)
        found = {c: found_columns(c) for c in columns} if searched is not None else None
        made = scrubbed(table, columns, mentions, self.ring, found)
        table = table.mutate(**{names[c.column]: text for c, text in zip(texts, made, strict=True)})
        table = recoding.apply(table, names) if recoding else table
        if ready.kin or moved:  # a join does not keep the order of rows
            table = table.order_by(ROW)
        return table.select(**{c.column: table[names[c.column]] for c in kept})

    def _jointly(self, name: str, ready: Prepared) -> Recoding | None:
        """The recoding of the columns that are generalised together; None where the plan has none."""
        own = self.tables[name]
        if own.plan.anonymity is None:
            return None
        made = enforce(self.session, self.stack, ready.table, own.schema, own.plan.anonymity, PERSON_COLUMN)
        self.anonymity[name] = made.outcome
        return made

    def _order(self, plan: ColumnPlan, of: MaskingPlan, source: str, companions: Mapping[str, str]) -> _Order:
        domain = of.person_domain if is_dated(plan) else plan.domain
        domain = lookup_domain(domain) if plan.action == "tokenise" else domain
        return _Order(Target(source, domain, self.ring, plan.dtype, companions), recipe_for(plan, as_of=of.as_of), plan)

    def _mentions(
        self, name: str, ready: Prepared, names: Mapping[str, str]
    ) -> tuple[dict[str, ir.Value], list[Mention], dict[str, _Order]]:
        """What texts of a row may tell: columns with raw values as text, the mentions, orders for pseudonyms of parents' values."""
        sources: dict[str, ir.Value] = {}
        mentions: list[Mention] = []
        orders: dict[str, _Order] = {}

        def add(plan: ColumnPlan, column: str, replacement: str | None) -> None:
            source = f"{MARK}told{len(mentions)}"
            sources[source] = as_text(ready.table[column], plan.dtype)
            mentions.append(Mention(source, plan.entity_type, replacement if plan.action in _PSEUDONYMS else None))

        for plan in self.tables[name].plan.columns:
            if is_told(plan.entity_type) and plan.action != "scrub":
                add(plan, plan.column, names.get(plan.column))
        for i, kin in enumerate(ready.kin):
            of = self.tables[kin.table].plan
            companions, sex = dict(ready.companions()), self._sex_beside(ready, kin)
            companions.pop(SEX, None)
            companions |= {SEX: sex} if sex else {}
            for column, joined in kin.columns.items():
                plan = of.column(column)
                if is_told(plan.entity_type) and plan.action != "scrub":
                    made = f"{MARK}kinout{i}_{column}"
                    if plan.action in _PSEUDONYMS:
                        orders[made] = self._order(plan, of, joined, companions)
                    add(plan, joined, made)
        return sources, mentions, orders

    def _sex_beside(self, ready: Prepared, kin: Kin) -> str | None:
        """The sex by which names of an ancestor were drawn: its own, or that of a row above it, not the patient's."""
        schemas = {n: t.schema for n, t in self.tables.items()}
        above = (k for k in ready.kin if k.table != kin.table and route(schemas, kin.table, k.table))
        found = (
            k.columns[c] for k in (kin, *above) for c in sexes(self.tables[k.table].plan).values() if c in k.columns
        )
        return next(found, None)

    def _made(self, table: ir.Table, orders: Mapping[str, _Order]) -> ir.Table:
        """All results but the scrubbed texts: recipes, then tokens, then the storage type of the raw column."""
        table = cook(table, {n: (o.target, o.recipe) for n, o in orders.items()})
        table = self.tokens.put(table, {n: o.plan.domain for n, o in orders.items() if o.plan.action == "tokenise"})
        apart = {
            n: kept_apart(table[n], table[o.target.source], o.plan, self.ring, self.met)
            for n, o in orders.items()
            if (o.plan.domain, o.plan.form) in self.met and from_list(o.plan)
        }
        table = table.mutate(**apart) if apart else table
        typed = {
            n: back_to_type(table[n], o.plan.dtype) for n, o in orders.items() if _is_text_of_number(table[n], o.plan)
        }
        return table.mutate(**typed) if typed else table


def _is_text_of_number(made: ir.Value, plan: ColumnPlan) -> bool:
    return plan.action == "format_preserving" and bool(made.type().is_string())
