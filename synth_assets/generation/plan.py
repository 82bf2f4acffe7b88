"""From a schema to an order of work: which column reads which, across tables; everything that a schema can get wrong.

What belongs here: names, parents, references, cycles. What does not: making values (providers.py, chunks.py). A node is one
column of one table, or a helper that starts with @ (@rows: the table's rows; @city, @first, @last, @handle: shared draws).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from synth_assets.config import generation as spec
from synth_assets.config.formulas import formula_names
from synth_assets.errors import ConfigError
from synth_assets.generation import lists
from synth_assets.generation.clinical import LOOKUP_FIELDS
from synth_assets.generation.text import Template, domain_templates, parse_template

Node = tuple[str, str]
_SEX_NAMES = ("sex", "gender")
_SPREAD_KEYS = ("minimum", "maximum", "value", "mean", "std", "median", "sigma")


@dataclass
class Plan:
    """A checked schema with its order of work.

    Attributes:
        schema: The schema.
        order: All nodes, each after those it reads.
        needs: What each node reads.
        texts: Templates and slot columns of each text column.
        families: Root tables in the order in which they are made; a family is a root with all its descendants.
        pools: Key columns that rows of other families refer to.
    """

    schema: spec.GenerationSchema
    order: list[Node] = field(default_factory=list)
    needs: dict[Node, set[Node]] = field(default_factory=dict)
    texts: dict[Node, tuple[tuple[Template, ...], dict[str, str]]] = field(default_factory=dict)
    families: list[str] = field(default_factory=list)
    pools: set[Node] = field(default_factory=set)

    def ancestors(self, table: str) -> list[str]:
        """The table itself, its parent, and so on up to the root."""
        chain = [table]
        while (parent := self.schema.tables[chain[-1]].parent) is not None:
            chain.append(parent)
        return chain

    def column(self, node: Node) -> spec.Column:
        """The column of a node that is one."""
        return self.schema.tables[node[0]].columns[node[1]]

    def resolve(self, table: str, name: str, key: str) -> Node:
        """The node that a name means in a table: a column, `table.column` of a row above, or an @ helper.

        Raises:
            ConfigError: there is no such column in the row or in the rows above it.
        """
        if name in {"@first", "@last"}:
            kind = "first_name" if name == "@first" else "last_name"
            own = [c for c, s in self.schema.tables[table].columns.items() if s.type == kind]
            return (table, own[0] if own else name)
        if name.startswith("@"):
            return (table, name)
        owner, dot, column = name.rpartition(".")
        if dot and owner not in self.ancestors(table):
            raise ConfigError(f"a row of {table!r} has no row of a table {owner!r} above it.", key=key)
        owner = owner or table
        columns = self.schema.tables[owner].columns
        if column not in columns:
            near = difflib.get_close_matches(column, columns, n=1)
            remedy = f"Did you mean {near[0]!r}?" if near else None
            raise ConfigError(f"table {owner!r} has no column {column!r}.", key=key, remedy=remedy)
        return (owner, column)

    def closure(self, wanted: set[Node]) -> set[Node]:
        """The wanted nodes and everything that they read."""
        found: set[Node] = set()
        stack = list(wanted)
        while stack:
            node = stack.pop()
            if node not in found:
                found.add(node)
                stack.extend(self.needs[node])
        return found


def build_plan(schema: spec.GenerationSchema) -> Plan:
    """Check a schema across its tables and order its columns.

    Raises:
        ConfigError: an unknown parent, table or column, a cycle, a code list or state that does not exist; names the key.
    """
    plan = Plan(schema)
    _check_parents(schema)
    for table, config in schema.tables.items():
        _check_table(table, config)
        _add_helpers(plan, table, config)
        for column, column_spec in config.columns.items():
            key = f"tables.{table}.columns.{column}"
            reads = {
                plan.resolve(table, name, f"{key}.{where}") for where, name in _inputs(plan, table, column, column_spec)
            }
            plan.needs[(table, column)] = {(table, "@rows"), *reads, *_relations(plan, table, column_spec, key)}
    plan.order = _sorted(plan.needs)
    _order_families(plan)
    return plan


def _check_parents(schema: spec.GenerationSchema) -> None:
    for table, config in schema.tables.items():
        if config.parent is not None and config.parent not in schema.tables:
            raise ConfigError(f"there is no table {config.parent!r}.", key=f"tables.{table}.parent")
    try:
        list(TopologicalSorter({t: {c.parent} if c.parent else set() for t, c in schema.tables.items()}).static_order())
    except CycleError as error:
        raise ConfigError("the parents form a cycle.", key=f"tables.{error.args[1][0]}.parent") from None


def _check_table(table: str, config: spec.GeneratedTable) -> None:
    for column in config.primary_key:
        if column not in config.columns or config.columns[column].hidden:
            raise ConfigError(f"the primary key {column!r} is no visible column.", key=f"tables.{table}.primary_key")
        if config.columns[column].missing != 0.0:
            raise ConfigError("a primary key is never missing.", key=f"tables.{table}.columns.{column}.missing")
    if len(config.primary_key) == 1 and not is_unique(config.columns[config.primary_key[0]]):
        raise ConfigError(
            "this column may repeat, so it cannot be the primary key.",
            key=f"tables.{table}.primary_key",
            remedy="Use a sequence, a uuid, or a type with `unique: true`.",
        )
    known = {s.code for s in lists.states()}
    if set(config.states) - known:
        raise ConfigError("states are two-letter codes of the United States.", key=f"tables.{table}.states")


def is_unique(column: spec.Column) -> bool:
    """Whether a column never repeats a value."""
    if isinstance(column, spec.CodeColumn):
        return column.unique and column.pool is None
    if isinstance(column, spec.PatternColumn | spec.PersonColumn | spec.PlaceColumn):
        return column.unique
    return column.type in {"sequence", "uuid"}


def _add_helpers(plan: Plan, table: str, config: spec.GeneratedTable) -> None:
    rows = (table, "@rows")
    plan.needs[rows] = set()
    if config.parent is not None and config.children is not None:
        names = [(k, n) for k in _SPREAD_KEYS for n in sorted(_names(getattr(config.children, k)))]
        reads = {plan.resolve(config.parent, n, f"tables.{table}.children.{k}") for k, n in names}
        plan.needs[rows] = {(config.parent, "@rows"), *reads}
    plan.needs[(table, "@city")] = {rows}
    plan.needs[(table, "@last")] = {rows}
    sex = next((c for c in _SEX_NAMES if c in config.columns), None)
    plan.needs[(table, "@first")] = {rows, (table, sex)} if sex else {rows}
    plan.needs[(table, "@handle")] = {rows, plan.resolve(table, "@first", ""), plan.resolve(table, "@last", "")}


def _names(formula: float | str | None) -> frozenset[str]:
    return frozenset() if formula is None else formula_names(formula)


def sex_column(plan: Plan, table: str, column: spec.PersonColumn | None) -> str | None:
    """The column that decides a first name: the one that is named, else one called sex or gender."""
    if column is not None and column.sex is not None:
        return column.sex
    return next((c for c in _SEX_NAMES if c in plan.schema.tables[table].columns), None)


def _inputs(plan: Plan, table: str, name: str, column: spec.Column) -> Iterator[tuple[str, str]]:
    """(key within the column, name) of everything that a column reads."""
    for where, formula in _formulas(column):
        yield from ((where, n) for n in sorted(_names(formula)))
    if isinstance(column, spec.PersonColumn):
        yield from (("type", n) for n in _person_inputs(plan, table, column))
    elif isinstance(column, spec.PlaceColumn):
        yield "type", "@city"
    elif isinstance(column, spec.TextColumn):
        templates, slots = _text(plan, table, name, column)
        plan.texts[(table, name)] = (templates, slots)
        yield from (("fields", slot) for slot in slots.values())
    elif isinstance(column, spec.DiagnosisColumn):
        yield from ((w, n) for w, n in (("age", column.age), ("sex", column.sex), ("kind", column.kind)) if n)
    elif isinstance(column, spec.ProcedureColumn) and column.setting:
        yield "setting", column.setting
    elif isinstance(column, spec.LookupColumn):
        yield "code", column.code


def _person_inputs(plan: Plan, table: str, column: spec.PersonColumn) -> list[str]:
    if column.type in {"email", "username", "url"}:
        return ["@handle"]
    if column.type == "full_name":
        return ["@first", "@last"]
    sex = sex_column(plan, table, column) if column.type == "first_name" else None
    return [sex] if sex else []


def _formulas(column: spec.Column) -> Iterator[tuple[str, float | str | None]]:
    yield "missing", column.missing
    if isinstance(column, spec.NumberColumn | spec.AmountColumn):
        yield from ((k, getattr(column, k)) for k in _SPREAD_KEYS)
    elif isinstance(column, spec.BooleanColumn):
        yield "probability", column.probability
    elif isinstance(column, spec.DateColumn | spec.DatetimeColumn):
        yield from ((k, f) for k, f in (("start", column.start), ("end", column.end)) if isinstance(f, str | float))
    elif isinstance(column, spec.EnumColumn):
        yield from (("values" if column.weights is None else "weights", w) for w in column.choices().values())
    elif isinstance(column, spec.FormulaColumn):
        yield "formula", column.formula


def _text(plan: Plan, table: str, name: str, column: spec.TextColumn) -> tuple[tuple[Template, ...], dict[str, str]]:
    """The templates that can be filled, and slot -> column."""
    key = f"tables.{table}.columns.{name}"
    if column.domain is not None and column.domain not in lists.domains():
        raise ConfigError(f"text domains are {', '.join(lists.domains())}.", key=f"{key}.domain")
    if column.domain is None:
        try:
            own = tuple(parse_template(t.text, t.weight, t.condition) for t in column.templates)
        except ValueError as error:
            raise ConfigError(f"{error}.", key=f"{key}.templates") from None
        names = {n for t in own for n in (*t.columns, *_names(t.condition))}
        return own, {n: n for n in sorted(names)}
    slots = {
        c: (c if t == table else f"{t}.{c}")
        for t in reversed(plan.ancestors(table))
        for c in plan.schema.tables[t].columns
    }
    slots.pop(name, None)
    slots.update(column.fields)
    usable = tuple(t for t in domain_templates(column.domain) if {*t.columns, *_names(t.condition)} <= set(slots))
    if not any(t.condition is None for t in usable):
        raise ConfigError("no sentence of this domain can be filled from the columns here.", key=f"{key}.fields")
    read = {n for t in usable for n in (*t.columns, *_names(t.condition))}
    return usable, {slot: slots[slot] for slot in sorted(read)}


def _relations(plan: Plan, table: str, column: spec.Column, key: str) -> Iterator[Node]:
    """What a column reads through keys and children."""
    if isinstance(column, spec.ForeignKeyColumn):
        yield from _reference(plan, table, column, key)
    elif isinstance(column, spec.RollupColumn):
        child = plan.schema.tables.get(column.table)
        if child is None or child.parent != table:
            raise ConfigError(f"{column.table!r} is no child table of {table!r}.", key=f"{key}.table")
        yield (column.table, "@rows")
        if column.column is not None:
            yield plan.resolve(column.table, column.column, f"{key}.column")
    elif isinstance(column, spec.LookupColumn):
        source = plan.column(plan.resolve(table, column.code, f"{key}.code")).type
        if column.field not in LOOKUP_FIELDS.get(source, ()):
            raise ConfigError(f"there is no {column.field!r} for a column of type {source!r}.", key=f"{key}.field")


def _reference(plan: Plan, table: str, column: spec.ForeignKeyColumn, key: str) -> Iterator[Node]:
    parent, name = column.references.split(".")
    target = plan.schema.tables.get(parent)
    if target is None or name not in target.columns:
        raise ConfigError(f"there is no column {column.references!r}.", key=f"{key}.references")
    if not is_unique(target.columns[name]) or target.columns[name].missing != 0.0:
        raise ConfigError(f"{column.references!r} may repeat or be missing, so it is no key.", key=f"{key}.references")
    if parent in plan.ancestors(table)[1:]:
        yield (parent, name)
    elif plan.ancestors(parent)[-1] == plan.ancestors(table)[-1]:
        raise ConfigError(f"{parent!r} is made together with {table!r} and is not above it.", key=f"{key}.references")
    else:
        plan.pools.add((parent, name))


def _sorted(needs: dict[Node, set[Node]]) -> list[Node]:
    try:
        return list(TopologicalSorter({node: sorted(needs[node]) for node in sorted(needs)}).static_order())
    except CycleError as error:
        cycle = [n for n in error.args[1] if not n[1].startswith("@")]
        table, column = cycle[0] if cycle else error.args[1][0]
        names = " -> ".join(dict.fromkeys(f"{t}.{c}" for t, c in cycle))
        raise ConfigError(
            f"columns depend on each other in a circle: {names}.", key=f"tables.{table}.columns.{column}"
        ) from None


def _order_families(plan: Plan) -> None:
    """Roots in file order, each after the roots that its rows refer to."""
    tables = plan.schema.tables
    after: dict[str, set[str]] = {t: set() for t, c in tables.items() if c.parent is None}
    keys: dict[str, str] = {}
    for table, config in tables.items():
        for column, column_spec in config.columns.items():
            if isinstance(column_spec, spec.ForeignKeyColumn):
                root = plan.ancestors(column_spec.references.split(".")[0])[-1]
                own = plan.ancestors(table)[-1]
                if root != own:
                    after[own].add(root)
                    keys[own] = f"tables.{table}.columns.{column}.references"
    try:
        plan.families = list(TopologicalSorter({t: sorted(roots) for t, roots in after.items()}).static_order())
    except CycleError as error:
        raise ConfigError("tables refer to each other in a circle.", key=keys[error.args[1][0]]) from None
