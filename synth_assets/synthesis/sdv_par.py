"""SDV's PAR behind the protocol: rows of one entity in time order, given what does not change about it. Restricted zone only.

What belongs here: what SDV is told and what comes back. What does not: keys of the result (sdv_keys.py). An entity is a row of the
parent table, or the unit of privacy of the table itself. Source: Zhang, Patki, Veeramachaneni 2022, Sequential Models in the Synthetic
Data Vault.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from synth_assets.config.plain import tables_fault
from synth_assets.errors import InputError
from synth_assets.seeds import child_seed
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.sdv_frames import (
    as_differences,
    from_differences,
    in_order,
    ordered_numbers,
    read_rows,
    require_finite,
    sdtype_of,
    write_rows,
)
from synth_assets.synthesis.sdv_keys import (
    PARENT_ROW,
    key_columns,
    leading_key,
    parent_rows,
    parents_of,
    serial,
    with_keys,
)
from synth_assets.synthesis.sdv_options import NetworkOptions
from synth_assets.synthesis.sdv_running import Report, at_work, require_sdv, silent
from synth_assets.synthesis.sdv_state import as_stored, load_state, save_state
from synth_assets.tables.schema import ForeignKey, TableSchema

ENTITY, TIME, TABLE = "entity", "time", "table"
OWN, FIXED = "c", "p"  # first letters of the columns of a row, and of what does not change within an entity
ENTITY_FORM = {"sdtype": "id", "regex_format": "[0-9]{9}"}
MOST_ENTITIES = 5_000  # that are learned from; a random choice of more
MORE = 1.2  # sequences drawn at once, in expected rows per row that is still wanted
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class _Sequences:
    """What is learned.

    Attributes:
        rows: Columns of the rows that change within an entity, and the time.
        entity: Number of the entity of each row.
        fixed: What does not change, one row per entity.
        numbers: Columns of both that are numbers.
        medians: Per table, see `as_differences`.
    """

    rows: pd.DataFrame
    entity: np.ndarray[Any, np.dtype[np.int64]]
    fixed: pd.DataFrame
    numbers: frozenset[str]
    medians: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class _Drawn:
    """Sampled rows: what changes within an entity, what does not, and the number of the entity, each per row."""

    rows: pd.DataFrame
    fixed: pd.DataFrame
    entity: np.ndarray[Any, np.dtype[np.int64]]


class Par:
    """SDV's PAR as a `Synthesizer[ReleaseSpec]`."""

    name: ClassVar[str] = "par"
    differentially_private: ClassVar[bool] = False

    def __init__(self, options: NetworkOptions | None = None) -> None:
        self.options = options or NetworkOptions.of(self.name)

    def fit(self, training: ReleaseSpec, *, seed: int, report: Report = silent) -> ParModel:
        """Fit one network to the sequences, and a Gaussian copula to what does not change within them.

        Args:
            training: One table with `sequence_order`, and its parent where it has one.
            seed: Same rows and seed, same model (on one kind of device).
            report: Hears the epochs.

        Raises:
            ServiceUnavailableError: SDV is not installed.
            InputError: there is no row to learn from, or nothing tells whose rows form a sequence, or in which order.
        """
        require_sdv(self.name)
        spec, key = _sequence_table(training)
        learned = _of_units(training, spec) if key is None else _below(spec, training.table(key.parent_table), key)
        own = [c for c in learned.rows.columns if c != spec.sequence_order]
        told, kinds, codes = _as_told(learned, own, str(spec.sequence_order))
        require_finite(self.name, learned.rows)
        require_finite(self.name, learned.fixed)
        step_seed = child_seed(seed, self.name)
        with at_work(f"training {self.name}", seed=step_seed, report=report):
            model = as_stored(self._fitted(_chosen(told, step_seed), kinds))
        present = np.unique(learned.entity)
        record = {
            "synthesizer": self.name,
            "table": spec.name,
            "parent": None if key is None else key.parent_table,
            "unit": None if key is not None or training.unit is None else training.unit[1],
            "time": spec.sequence_order,
            "own": own,
            "fixed": list(learned.fixed.columns),
            "codes": codes,
            "entities": len(present) if key is None else len(learned.fixed),
            "empty": 1 - len(present) / len(learned.fixed),
            "mean_rows": len(learned.entity) / len(present),
            "tables": {
                t.name: {"orders": t.orders, "medians": learned.medians.get(t.name, {})} for t in training.tables
            },
            "schemas": {t.name: json.loads(t.table.model_dump_json()) for t in training.tables},
        }
        return ParModel({TABLE: model}, record)

    def _fitted(self, told: pd.DataFrame, kinds: Mapping[str, str]) -> Any:
        from sdv.metadata import Metadata
        from sdv.sequential import PARSynthesizer

        columns = {ENTITY: ENTITY_FORM, **{c: {"sdtype": kind} for c, kind in kinds.items()}}
        table = {"sequence_key": ENTITY, "sequence_index": TIME, "columns": columns}
        metadata = Metadata.load_from_dict({"tables": {TABLE: table}, "relationships": []})
        fixed = [c for c in kinds if c.startswith(FIXED)]
        model = PARSynthesizer(metadata, context_columns=fixed, epochs=self.options.epochs, verbose=False)
        model.fit({TABLE: told})
        return model

    def load(self, folder: Path) -> ParModel:
        """Load what `save` wrote; its hashes are checked first, and no code of the file is run."""
        require_sdv(self.name)
        with at_work(f"loading of {self.name}", seed=0):
            return ParModel(*load_state(folder))


@dataclass
class ParModel:
    """A fitted network of sequences."""

    models: Mapping[str, Any]
    record: Mapping[str, Any]

    def save(self, folder: Path) -> None:
        """Write JSON and safetensors under a hash (sdv_state.py); no pickle."""
        save_state(folder, self.models, self.record)

    def sample(self, *, rows: int | None, seed: int, out: Path) -> dict[str, Path]:
        """Sample whole sequences, the rows of each in time order; see `SynthesizerModel.sample`."""
        record = self.record
        schemas = {n: TableSchema.model_validate(s) for n, s in record["schemas"].items()}
        name, above = record["table"], record["parent"]
        rng = np.random.default_rng(child_seed(seed, "sample", name))
        done: dict[str, pd.DataFrame] = {}
        if above is None:
            drawn = self._rows(rows, rng)
            frame: pd.DataFrame = pd.concat([drawn.rows, drawn.fixed], axis=1)
            entity = drawn.entity
        else:
            drawn = self._draw(int(record["entities"]) if rows is None else rows, rng)
            first = np.unique(drawn.entity, return_index=True)[1]
            parents = from_differences(
                drawn.fixed.take(first).reset_index(drop=True), schemas[above], **self._pairs(above)
            )
            done[above] = with_keys(parents, schemas, above, None, done, rng)
            kept = np.flatnonzero(~np.isin(drawn.entity, np.flatnonzero(rng.random(len(first)) < record["empty"])))
            frame, entity = drawn.rows.take(kept).reset_index(drop=True), drawn.entity[kept]
        done[name] = self._finished(frame, entity, schemas, done, rng)
        return {n: self._written(done[n], schemas, n, out / n) for n in schemas}

    def _finished(
        self,
        frame: pd.DataFrame,
        entity: np.ndarray[Any, np.dtype[np.int64]],
        schemas: Mapping[str, TableSchema],
        done: Mapping[str, pd.DataFrame],
        rng: np.random.Generator,
    ) -> pd.DataFrame:
        """Rows with their keys, the declared orders, and within an entity in the order of time."""
        name, schema, unit = self.record["table"], schemas[self.record["table"]], self.record["unit"]
        frame = in_order(
            from_differences(frame, schema, **self._pairs(name)), schema, self.record["tables"][name]["orders"]
        )
        frame = frame.assign(**{PARENT_ROW: entity}).sort_values([PARENT_ROW, self.record["time"]], kind="stable")
        frame = with_keys(frame.reset_index(drop=True), schemas, name, leading_key(schema, schemas), done, rng)
        if unit is not None:
            frame[unit] = serial(schema, unit, frame[PARENT_ROW].to_numpy() + 1)
        return frame

    def _pairs(self, name: str) -> dict[str, Any]:
        info = self.record["tables"][name]
        return {"orders": _modelled_pairs(info["orders"], self.record["time"]), "medians": info["medians"]}

    def _written(self, frame: pd.DataFrame, schemas: Mapping[str, TableSchema], name: str, folder: Path) -> Path:
        schema, unit = schemas[name], [self.record["unit"]] if name == self.record["table"] else []
        columns = [*(c for c in schema.names if c in frame.columns), *key_columns(schema, schemas), *unit]
        return write_rows(frame, schema, columns, folder, self.record["tables"][name]["orders"])

    def _rows(self, rows: int | None, rng: np.random.Generator) -> _Drawn:
        """As many sequences as were learned, or as many as have so many rows; the last one may be cut."""
        if rows is None:
            return self._draw(int(self.record["entities"]), rng)
        parts: list[_Drawn] = []
        have = entities = 0
        while have < rows:
            part = self._draw(math.ceil(MORE * (rows - have) / self.record["mean_rows"]), rng)
            parts.append(_Drawn(part.rows, part.fixed, part.entity + entities))
            have, entities = have + len(part.rows), entities + int(part.entity.max()) + 1
        return _Drawn(
            pd.concat([p.rows for p in parts], ignore_index=True).iloc[:rows],
            pd.concat([p.fixed for p in parts], ignore_index=True).iloc[:rows],
            np.concatenate([p.entity for p in parts])[:rows],
        )

    def _draw(self, count: int, rng: np.random.Generator) -> _Drawn:
        record = self.record
        with at_work(f"sampling {record['synthesizer']}", seed=int(rng.integers(2**63))):
            made = pd.DataFrame(as_stored(self.models[TABLE]).sample_sequences(num_sequences=count)[TABLE])
        own = {TIME: record["time"]} | {f"{OWN}{i}": c for i, c in enumerate(record["own"])}
        fixed = {f"{FIXED}{i}": c for i, c in enumerate(record["fixed"])}
        rows, still = (
            pd.DataFrame({n: _decoded(made[c], record["codes"].get(c)) for c, n in names.items()}, index=made.index)
            for names in (own, fixed)
        )
        return _Drawn(rows, still, pd.factorize(made[ENTITY])[0].astype(np.int64))


def _sequence_table(training: ReleaseSpec) -> tuple[TableSpec, ForeignKey | None]:
    """The table whose rows are ordered, and its reference to the table of entities.

    Raises:
        InputError: there is none, or PAR cannot take the tables.
    """
    schemas = {t.name: t.table for t in training.tables}
    ordered = [t for t in training.tables if t.sequence_order is not None]
    unit = None if training.unit is None else training.unit[0]
    fault = tables_fault("par", parents_of(schemas), sequences=[t.name for t in ordered], unit_table=unit)
    if fault is not None:
        raise InputError(f"{fault}.", key="synthesizers")
    spec = ordered[0]
    if spec.sequence_order not in spec.columns:
        raise InputError(
            "the column that orders the rows is not modelled: it is a key or an identifier, or not in the table.",
            column=spec.sequence_order, key="sequence_order", remedy="Name a column of numbers, dates or times.",
        )  # fmt: skip
    if sdtype_of(spec.table, str(spec.sequence_order)) != "numerical":
        raise InputError(
            "the column that orders the rows holds neither numbers nor dates nor times.", column=spec.sequence_order,
            key="sequence_order", remedy="Name one that does, or declare its kind.",
        )  # fmt: skip
    return spec, leading_key(spec.table, schemas)


def _modelled_pairs(orders: Pairs, time: str | None) -> list[tuple[str, str]]:
    """Declared pairs that are learned as differences; the time has differences of its own."""
    return [(low, high) for low, high in orders if high != time]


def _numbers(spec: TableSpec) -> frozenset[str]:
    """Columns that SDV is told as numbers."""
    found = {c for c in spec.columns if sdtype_of(spec.table, c) == "numerical"}
    return frozenset(found) | ordered_numbers(_modelled_pairs(spec.orders, spec.sequence_order))


def _below(spec: TableSpec, parent: TableSpec, key: ForeignKey) -> _Sequences:
    """Entities are the rows of the parent; rows without a parent or a time are left out."""
    parents, frame = read_rows(parent), read_rows(spec)
    entity = parent_rows(frame, parents, key)
    fixed, above = as_differences(parents[list(parent.columns)], parent.table, parent.orders)
    rows, own = as_differences(frame[list(spec.columns)], spec.table, _modelled_pairs(spec.orders, spec.sequence_order))
    return _timed(spec, rows, entity, fixed, _numbers(parent), {parent.name: above, spec.name: own})


def _of_units(training: ReleaseSpec, spec: TableSpec) -> _Sequences:
    """Entities are the units of privacy; what is the same in all rows of each of them does not change."""
    unit = str(spec.unit_column)
    frame = read_rows(spec, extra=(unit,))
    columns = [c for c in spec.columns if training.unit is None or c != training.unit[1]]
    entity = pd.factorize(frame[unit])[0].astype(np.int64)
    rows, own = as_differences(frame[columns], spec.table, _modelled_pairs(spec.orders, spec.sequence_order))
    grouped = rows.groupby(entity, sort=True)
    still = [c for c in columns if c != spec.sequence_order and grouped[c].nunique(dropna=False).max() == 1]
    fixed = rows[still].iloc[np.unique(entity, return_index=True)[1]].reset_index(drop=True)
    return _timed(spec, rows.drop(columns=still), entity, fixed, _numbers(spec), {spec.name: own})


def _timed(
    spec: TableSpec,
    rows: pd.DataFrame,
    entity: np.ndarray[Any, np.dtype[np.int64]],
    fixed: pd.DataFrame,
    numbers_of_fixed: frozenset[str],
    medians: Mapping[str, Mapping[str, float]],
) -> _Sequences:
    """The rows of an entity, in the order of time.

    Raises:
        InputError: no row has an entity and a time.
    """
    time = pd.to_numeric(rows[str(spec.sequence_order)], errors="coerce").to_numpy(float)
    known = np.flatnonzero((entity >= 0) & np.isfinite(time))
    if not len(known):
        raise InputError(f"table {spec.name!r} has no row with a parent and a time to learn from.")
    chosen = known[np.lexsort((time[known], entity[known]))]
    told = {f"{OWN}:{c}" for c in _numbers(spec)} | {f"{FIXED}:{c}" for c in numbers_of_fixed}
    return _Sequences(rows.iloc[chosen].reset_index(drop=True), entity[chosen], fixed, frozenset(told), medians)


def _as_told(
    learned: _Sequences, own: Sequence[str], time: str
) -> tuple[pd.DataFrame, dict[str, str], dict[str, list[Any]]]:
    """The table that SDV sees, the kind of each of its columns, and the categories behind the codes of each."""
    told = pd.DataFrame({ENTITY: [f"{e:09d}" for e in learned.entity], TIME: learned.rows[time].to_numpy(float)})
    kinds, codes = {TIME: "numerical"}, {}
    fixed = learned.fixed.iloc[learned.entity].reset_index(drop=True)
    for letter, frame, names in ((OWN, learned.rows, own), (FIXED, fixed, list(learned.fixed.columns))):
        for i, name in enumerate(names):
            column, values = f"{letter}{i}", frame[name]
            if f"{letter}:{name}" in learned.numbers and values.notna().any():
                kinds[column], told[column] = "numerical", pd.to_numeric(values).to_numpy(float)
            else:
                kinds[column] = "categorical"
                told[column], codes[column] = _coded(values)
    return told, kinds, codes


def _coded(values: pd.Series[Any]) -> tuple[np.ndarray[Any, np.dtype[np.int64]], list[Any]]:
    """Whole numbers for categories, in the order of their texts: SDV's own order would differ from process to process."""
    plain = values.astype(object).where(values.notna(), None)
    categories = sorted(set(plain), key=lambda v: (v is None, str(v)))
    number = {v: i for i, v in enumerate(categories)}
    codes = np.array([number[v] for v in plain], dtype=np.int64)
    return codes, [v.item() if isinstance(v, np.generic) else v for v in categories]


def _decoded(values: pd.Series[Any], categories: list[Any] | None) -> pd.Series[Any]:
    if categories is None:
        return pd.to_numeric(values, errors="coerce")
    codes = pd.to_numeric(values).round().clip(0, len(categories) - 1).astype(int)
    return pd.Series([categories[c] for c in codes], dtype=object, index=values.index)


def _chosen(told: pd.DataFrame, seed: int) -> pd.DataFrame:
    """All rows of at most `MOST_ENTITIES` entities."""
    entities = told[ENTITY].unique()
    if len(entities) <= MOST_ENTITIES:
        return told
    kept = np.random.default_rng(seed).choice(entities, MOST_ENTITIES, replace=False)
    return told[told[ENTITY].isin(kept)].reset_index(drop=True)
