"""One chunk: some rows of a root table with all their descendants, computed column by column in the plan's order.

What belongs here: alignment of parents and children, seeds, missing cells. What does not: the values of a type (providers.py),
files (stream.py). Each column of each chunk has its own seed, so no column depends on which others are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from synth_assets.config import generation as spec
from synth_assets.errors import ConfigError
from synth_assets.generation import names, places, providers, spreads
from synth_assets.generation.formulas import evaluate, numbers
from synth_assets.generation.plan import Node, Plan, sex_column
from synth_assets.generation.values import Ints, Values, take, to_arrow
from synth_assets.seeds import child_seed

MAX_CHILDREN = 1_000_000


@dataclass
class Run:
    """What all chunks of one generation share.

    Attributes:
        plan: The checked schema.
        seed: Root seed.
        totals: Rows of the root tables.
        pools: Keys of finished families, for rows that refer to them.
        key_pools: Values of `pool:` columns, made once.
    """

    plan: Plan
    seed: int
    totals: Mapping[str, int]
    pools: dict[Node, pa.Array] = field(default_factory=dict)
    key_pools: dict[Node, pa.Array] = field(default_factory=dict)

    def node_seed(self, *names: str) -> int:
        """A seed for one purpose of this schema."""
        return child_seed(self.seed, self.plan.schema.name, *names)


class Chunk:
    """The values of one chunk. `first` holds the number of each table's first row in this chunk."""

    def __init__(self, run: Run, index: int, root: str, n: int, first: Mapping[str, int]) -> None:
        self.run, self.plan, self.index = run, run.plan, index
        self.root, self.first = root, dict(first)
        self.n: dict[str, int] = {root: n}
        self.parents: dict[str, Ints] = {}
        self.values: dict[Node, Values] = {}
        self._masks: dict[Node, npt.NDArray[np.bool_]] = {}

    def compute(self, nodes: set[Node]) -> None:
        """Compute nodes (with all that they read among them) in the plan's order."""
        for node in self.plan.order:
            if node in nodes:
                self._compute(node)

    def _compute(self, node: Node) -> None:
        table, item = node
        if item == "@rows":
            self._lay_out(table)
            return
        rows = Rows(self, node)
        if item == "@city":
            self.values[node] = places.draw_cities(rows.generator(), rows.n, self.plan.schema.tables[table].states)
        elif item == "@last":
            self.values[node] = names.draw_last_names(rows.generator(), rows.n)
        elif item == "@first":
            sex = sex_column(self.plan, table, None)
            codes = names.sex_codes(rows.value(sex)) if sex else None
            self.values[node] = names.draw_first_names(rows.generator(), rows.n, codes)
        elif item == "@handle":
            self.values[node] = providers.make_handles(rows)
        else:
            values = providers.make(self.plan.column(node), rows)
            if len(values) != rows.n:
                raise AssertionError(f"{node} has {len(values)} values for {rows.n} rows")
            self.values[node] = values

    def _lay_out(self, table: str) -> None:
        """How many rows a child table has in this chunk, and which parent each belongs to."""
        config = self.plan.schema.tables[table]
        if config.parent is None or config.children is None:
            return
        key = f"tables.{table}.children"
        rows = Rows(self, (config.parent, "@rows"), seed_names=(table, "@rows"))
        counts = np.round(
            spreads.draw(config.children, rows.parameters(config.children, key), rows.generator(), rows.n, key=key)
        )
        if counts.size and (counts.min() < 0 or counts.max() > MAX_CHILDREN):
            raise ConfigError(f"the number of children is not from 0 to {MAX_CHILDREN} in some row.", key=key)
        self.parents[table] = np.repeat(np.arange(rows.n), counts.astype(np.int64))
        self.n[table] = len(self.parents[table])

    def parent_rows(self, table: str, owner: str) -> Ints:
        """For each row of `table`, the place of its row of the ancestor `owner` in this chunk."""
        index: Ints = np.arange(self.n[table])
        for step in self.plan.ancestors(table):
            if step == owner:
                break
            index = self.parents[step][index]
        return index

    def mask(self, node: Node) -> npt.NDArray[np.bool_]:
        """Which cells of a column are missing."""
        if node not in self._masks:
            rows = Rows(self, node)
            share = self.plan.column(node).missing
            rate = 0.0 if share == 0.0 else rows.number(share, f"{rows.key}.missing")
            drawn = rows.generator("missing").random(rows.n) < rate if share != 0.0 else np.zeros(rows.n, dtype=bool)
            self._masks[node] = drawn
        return self._masks[node]

    def arrow(self, node: Node) -> pa.Array:
        """A column as it is shown: canonical Arrow type, missing cells null."""
        array = to_arrow(self.values[node])
        mask = self.mask(node)
        return pc.if_else(pa.array(mask), pa.scalar(None, array.type), array) if mask.any() else array

    def table(self, table: str) -> pa.Table:
        """The visible columns of one table."""
        columns = {n: self.arrow((table, n)) for n, c in self.plan.schema.tables[table].columns.items() if not c.hidden}
        return pa.table(columns)


class Rows:
    """One column's view of its chunk: row count, seeds, and the columns it may read."""

    def __init__(self, chunk: Chunk, node: Node, seed_names: tuple[str, str] | None = None) -> None:
        self.chunk, self.run, self.plan = chunk, chunk.run, chunk.plan
        self.node = node
        self.table, self.name = node
        self.n = chunk.n[self.table]
        self.first = chunk.first[self.table]
        self.total = chunk.run.totals.get(self.table)
        self.key = f"tables.{self.table}.columns.{self.name}"
        self._seed_names = seed_names or node

    @property
    def today(self) -> np.datetime64:
        """The schema's day."""
        return np.datetime64(self.plan.schema.today, "D")

    def generator(self, purpose: str = "values") -> np.random.Generator:
        """Random numbers for this column in this chunk."""
        return np.random.default_rng(self.run.node_seed(*self._seed_names, purpose, str(self.chunk.index)))

    def column_seed(self, purpose: str = "unique") -> int:
        """A seed that is the same in all chunks, for permutations."""
        return self.run.node_seed(*self._seed_names, purpose)

    def value(self, name: str) -> Values:
        """Values of another column, aligned with these rows; missing cells still hold what they would have been."""
        node = self.plan.resolve(self.table, name, self.key)
        values = self.chunk.values[node]
        return values if node[0] == self.table else take(values, self.chunk.parent_rows(self.table, node[0]))

    def shown(self, name: str) -> pa.Array:
        """Another column as it is shown, with its nulls, aligned with these rows."""
        node = self.plan.resolve(self.table, name, self.key)
        array = self.chunk.arrow(node)
        return array if node[0] == self.table else array.take(pa.array(self.chunk.parent_rows(self.table, node[0])))

    def evaluate(self, formula: float | str, key: str) -> Values:
        """A formula in each row."""
        return evaluate(formula, self.value, self.n, today=self.plan.schema.today, key=key)

    def number(self, formula: float | str, key: str) -> npt.NDArray[np.float64]:
        """A formula as numbers, shape (n,)."""
        if isinstance(formula, float):
            return np.full(self.n, formula)
        return numbers(formula, self.value, self.n, today=self.plan.schema.today, key=key)

    def parameters(self, spread: spec.Spread, key: str) -> providers.Parameter:
        """The parameters of a distribution, by name."""

        def parameter(name: str) -> npt.NDArray[np.float64] | None:
            formula = getattr(spread, name)
            return None if formula is None else self.number(formula, f"{key}.{name}")

        return parameter

    def children(self, table: str, column: str | None) -> tuple[Ints, Values | None]:
        """For a rollup: the parent of each child row in this chunk, and the children's values."""
        node = None if column is None else self.plan.resolve(table, column, self.key)
        return self.chunk.parents[table], None if node is None else self.chunk.values[node]
