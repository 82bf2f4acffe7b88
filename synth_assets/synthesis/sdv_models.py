"""SDV behind the protocol: the Gaussian copula, for one table or related tables. Not private: raw-equivalent, restricted zone only.

Related tables: parents first. A parent's model has one more column per child table, the number of its children; a child's model holds
the parent's columns too, and each synthetic parent takes children drawn near it in those columns (docs/adr/0007). SDV is BUSL-1.1.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from synth_assets.errors import InputError, ServiceUnavailableError
from synth_assets.seeds import child_seed
from synth_assets.storage import atomic
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.tables.relations import parents_first
from synth_assets.tables.schema import ColumnKind, ForeignKey, TableSchema

COUNT_PREFIX = "_children:"
PARENT_PREFIX = "_parent:"
NEAREST = 5
MAX_FIT_ROWS = 200_000
TABLE = "table"


def require_sdv() -> None:
    """Raise where the optional package is absent.

    Raises:
        ServiceUnavailableError: SDV is not installed.
    """
    if importlib.util.find_spec("sdv") is None:
        raise ServiceUnavailableError(
            "the synthesizer gaussian_copula needs SDV, which is not installed.",
            remedy="Run: pip install 'synth-assets[sdv]'",
        )


class GaussianCopula:
    """SDV's Gaussian copula as a `Synthesizer[ReleaseSpec]`."""

    name: ClassVar[str] = "gaussian_copula"
    differentially_private: ClassVar[bool] = False

    def fit(self, training: ReleaseSpec, *, seed: int) -> GaussianCopulaModel:
        """Fit one copula per table.

        Raises:
            ServiceUnavailableError: SDV is not installed.
            InputError: a table has no row to learn from.
        """
        require_sdv()
        schemas = {t.name: t.table for t in training.tables}
        order = parents_first(schemas)
        frames = {t.name: _read(t) for t in training.tables}
        parents = {name: _leading_key(schemas[name], schemas) for name in order}
        models, infos = {}, {}
        for name in order:
            frame = _with_counts(frames, parents, name, training.table(name))
            frame = _with_parent(frame, frames, name, parents[name], training)
            models[name] = _fit_one(frame, training.table(name), child_seed(seed, "gaussian_copula", name))
            infos[name] = {"rows": len(frames[name]), "columns": list(training.table(name).columns)}
        record = {
            "order": list(order),
            "tables": infos,
            "schemas": {n: json.loads(s.model_dump_json()) for n, s in schemas.items()},
        }
        return GaussianCopulaModel(models, record)

    def load(self, folder: Path) -> GaussianCopulaModel:
        """Load what `save` wrote; SDV's own format, so only from the restricted zone."""
        require_sdv()
        from sdv.utils import load_synthesizer

        record = json.loads((folder / "model.json").read_text())
        names = record["order"]
        return GaussianCopulaModel({n: load_synthesizer(str(folder / f"{i}.sdv")) for i, n in enumerate(names)}, record)


@dataclass
class GaussianCopulaModel:
    """Fitted copulas, parents first."""

    models: Mapping[str, Any]
    record: Mapping[str, Any]

    def save(self, folder: Path) -> None:
        """Write SDV's files and `model.json`."""
        for i, name in enumerate(self.record["order"]):
            with atomic.replacing(folder / f"{i}.sdv") as path:
                self.models[name].save(str(path))
        atomic.write_text(folder / "model.json", json.dumps(self.record, indent=1))

    def sample(self, *, rows: int | None, seed: int, out: Path) -> dict[str, Path]:
        """Sample every table, parents first; see `SynthesizerModel.sample`."""
        schemas = {n: TableSchema.model_validate(s) for n, s in self.record["schemas"].items()}
        parents = {n: _leading_key(s, schemas) for n, s in schemas.items()}
        done: dict[str, pd.DataFrame] = {}
        folders = {}
        for name in self.record["order"]:
            rng = np.random.default_rng(child_seed(seed, "sample", name))
            wanted = rows if rows is not None and parents[name] is None else int(self.record["tables"][name]["rows"])
            frame = self._draw(name, parents[name], done, wanted, rng)
            frame = _with_keys(frame, schemas, name, parents[name], done, rng)
            done[name] = frame
            folders[name] = _write(frame, schemas[name], self.record["tables"][name]["columns"], out / name)
        return folders

    def _draw(
        self,
        name: str,
        parent: ForeignKey | None,
        done: Mapping[str, pd.DataFrame],
        wanted: int,
        rng: np.random.Generator,
    ) -> pd.DataFrame:
        if parent is None:
            return self._sample(name, wanted, rng)
        above = done[parent.parent_table]
        counts = above[f"{COUNT_PREFIX}{name}"].fillna(0).astype(int).to_numpy()
        slots = np.repeat(np.arange(len(above)), counts)
        drawn = self._sample(name, max(len(slots), 1), rng)
        shared = [c for c in drawn.columns if c.startswith(PARENT_PREFIX)]
        near = above[[c.removeprefix(PARENT_PREFIX) for c in shared]].iloc[slots]
        chosen = (
            drawn.iloc[_match(near.set_axis(shared, axis=1), drawn[shared], rng)]
            .drop(columns=shared)
            .reset_index(drop=True)
        )
        chosen["_parent_row"] = slots
        return chosen

    def _sample(self, name: str, rows: int, rng: np.random.Generator) -> pd.DataFrame:
        model = self.models[name]
        model._set_random_state(np.random.RandomState(int(rng.integers(2**31))))  # noqa: SLF001  SDV has no public way
        frame = pd.DataFrame(model.sample(num_rows=rows)[TABLE])
        frame.index = pd.RangeIndex(len(frame))
        return frame


def _read(spec: TableSpec) -> pd.DataFrame:
    """Modelled columns and keys of the train part, as pandas."""
    keys = [*spec.table.primary_key, *(c for fk in spec.table.foreign_keys for c in fk.columns)]
    columns = list(dict.fromkeys([*spec.columns, *keys]))
    files = sorted(spec.path.glob("part-*.parquet")) if spec.path.is_dir() else [spec.path]
    frame: pd.DataFrame = pa.concat_tables([pq.read_table(f, columns=columns) for f in files]).to_pandas()
    if len(frame) == 0:
        raise InputError(f"table {spec.name!r} has no row to learn from.")
    for column in spec.columns:
        if spec.table.column(column).kind in {ColumnKind.DATE, ColumnKind.DATETIME}:
            frame[column] = pd.to_datetime(frame[column])
    return frame


def _leading_key(schema: TableSchema, schemas: Mapping[str, TableSchema]) -> ForeignKey | None:
    """The reference that a table's rows are grouped by: the first one to another table."""
    return next(
        (fk for fk in schema.foreign_keys if fk.parent_table in schemas and fk.parent_table != schema.name), None
    )


def _with_counts(
    frames: Mapping[str, pd.DataFrame], parents: Mapping[str, ForeignKey | None], name: str, spec: TableSpec
) -> pd.DataFrame:
    """The modelled columns of a table and, per child table, how many children each row has."""
    frame = frames[name]
    out = frame[list(spec.columns)].copy()
    for child, key in parents.items():
        if key is not None and key.parent_table == name:
            sizes = frames[child].groupby(list(key.columns)).size()
            index = (
                pd.MultiIndex.from_frame(frame[list(key.parent_columns)])
                if len(key.columns) > 1
                else frame[key.parent_columns[0]]
            )
            out[f"{COUNT_PREFIX}{child}"] = sizes.reindex(index).fillna(0).astype(int).to_numpy()
    return out


def _with_parent(
    frame: pd.DataFrame, frames: Mapping[str, pd.DataFrame], name: str, key: ForeignKey | None, training: ReleaseSpec
) -> pd.DataFrame:
    """Add the parent's modelled columns to a child's rows; rows without a parent are left out."""
    if key is None:
        return frame
    parent = training.table(key.parent_table)
    above = frames[parent.name][[*key.parent_columns, *(c for c in parent.columns if c not in key.parent_columns)]]
    above = above.drop_duplicates(list(key.parent_columns))
    left = frames[name][list(key.columns)].set_axis(list(key.parent_columns), axis=1).reset_index()
    joined = left.merge(above, on=list(key.parent_columns), how="inner")
    out = frame.iloc[joined["index"].to_numpy()].reset_index(drop=True)
    for column in parent.columns:
        out[f"{PARENT_PREFIX}{column}"] = joined[column].to_numpy()
    return out


def _fit_one(frame: pd.DataFrame, spec: TableSpec, seed: int) -> Any:
    from sdv.metadata import Metadata
    from sdv.single_table import GaussianCopulaSynthesizer

    if len(frame) == 0:
        raise InputError(f"table {spec.name!r} has no row with a parent to learn from.")
    if len(frame) > MAX_FIT_ROWS:
        frame = frame.sample(MAX_FIT_ROWS, random_state=seed % 2**32).reset_index(drop=True)
    if not len(frame.columns):
        frame = pd.DataFrame({"_rows": np.arange(len(frame)) % 2})
    counts = [c for c in frame.columns if c.startswith(COUNT_PREFIX)]
    columns = {c: {"sdtype": "categorical" if c in counts else _sdtype(frame[c])} for c in frame.columns}
    metadata = Metadata.load_from_dict({"tables": {TABLE: {"columns": columns}}, "relationships": []})
    model = GaussianCopulaSynthesizer(metadata)
    model.fit({TABLE: frame})
    return model


def _sdtype(values: pd.Series[Any]) -> str:
    if pd.api.types.is_bool_dtype(values):
        return "boolean"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "datetime"
    return "numerical" if pd.api.types.is_numeric_dtype(values) else "categorical"


def _match(slots: pd.DataFrame, drawn: pd.DataFrame, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For each parent slot one of the drawn rows nearest in the parent's columns (mixed types, scaled to 0..1)."""
    if slots.empty or not len(slots.columns):
        return rng.integers(0, len(drawn), len(slots))
    from sklearn.neighbors import NearestNeighbors

    both = pd.concat([slots, drawn], ignore_index=True)
    parts: list[np.ndarray[Any, Any]] = []
    for column in both.columns:
        values = both[column]
        if _sdtype(values) == "categorical":
            parts.append(pd.get_dummies(pd.Categorical(values).codes.clip(max=30)).to_numpy(np.float32) * 0.7)
            continue
        numbers = pd.to_numeric(values, errors="coerce").astype(float).rank(pct=True).fillna(-0.5)
        parts.append(numbers.to_numpy(np.float32)[:, None])
    points = np.hstack(parts)
    k = min(NEAREST, len(drawn))
    near = (
        NearestNeighbors(n_neighbors=k)
        .fit(points[len(slots) :])
        .kneighbors(points[: len(slots)], return_distance=False)
    )
    chosen: np.ndarray[Any, np.dtype[np.int64]] = near[np.arange(len(slots)), rng.integers(0, k, len(slots))]
    return chosen


def _with_keys(
    frame: pd.DataFrame,
    schemas: Mapping[str, TableSchema],
    name: str,
    leading: ForeignKey | None,
    done: Mapping[str, pd.DataFrame],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Fresh primary keys, and foreign keys that point at synthetic parents.

    A reference that the leading parent holds as well (a claim's patient, beside its encounter's patient) is taken from that parent.
    """
    frame, schema = frame.copy(), schemas[name]
    above = None if leading is None else done[leading.parent_table].iloc[frame["_parent_row"].to_numpy()]
    for key in schema.foreign_keys:
        parent = None if key.parent_table == name else done.get(key.parent_table)
        if parent is None or parent.empty:
            continue
        source, columns = parent, key.parent_columns
        if above is not None and leading is not None and key == leading:
            source = above
        elif (
            above is not None
            and leading is not None
            and (same := _shared_reference(schemas[leading.parent_table], key)) is not None
        ):
            source, columns = above, same
        rows = np.arange(len(frame)) if source is above else rng.integers(0, len(source), len(frame))
        for column, origin in zip(key.columns, columns, strict=True):
            frame[column] = source[origin].to_numpy()[rows]
    for column in schema.primary_key:
        if any(column in key.columns for key in schema.foreign_keys):
            continue
        text = schema.column(column).dtype == "string"
        frame[column] = (
            [f"{schema.name}-{i:09d}" for i in range(1, len(frame) + 1)] if text else np.arange(1, len(frame) + 1)
        )
    return _with_own_references(frame, schema, rng)


def _with_own_references(frame: pd.DataFrame, schema: TableSchema, rng: np.random.Generator) -> pd.DataFrame:
    """References to the own table point at any of its rows; references to a table that is not there are missing."""
    for key in schema.foreign_keys:
        rows = rng.integers(0, max(len(frame), 1), len(frame))
        for column, origin in zip(key.columns, key.parent_columns, strict=True):
            if column in frame.columns:
                continue
            own = key.parent_table == schema.name and origin in frame.columns
            frame[column] = frame[origin].to_numpy()[rows] if own else None
    return frame


def _shared_reference(parent: TableSchema, key: ForeignKey) -> tuple[str, ...] | None:
    """The parent's own columns that refer to the same columns of the same table."""
    found = (
        k.columns
        for k in parent.foreign_keys
        if (k.parent_table, k.parent_columns) == (key.parent_table, key.parent_columns)
    )
    return next(found, None)


def _write(frame: pd.DataFrame, schema: TableSchema, columns: list[str], folder: Path) -> Path:
    """Write modelled columns and keys in the types of the schema."""
    keys = {*schema.primary_key, *(c for fk in schema.foreign_keys for c in fk.columns)}
    names = [c for c in schema.names if (c in columns or c in keys) and c in frame.columns]
    arrays = []
    for name in names:
        dtype = (
            pa.type_for_alias(schema.column(name).dtype.split("[", maxsplit=1)[0])
            if "[" not in schema.column(name).dtype
            else None
        )
        dtype = dtype or {"date32[day]": pa.date32(), "timestamp[us]": pa.timestamp("us")}[schema.column(name).dtype]
        arrays.append(_array(frame[name], dtype, schema.column(name).decimals))
    with atomic.replacing(folder / "part-00000.parquet") as path:
        pq.write_table(pa.table(dict(zip(names, arrays, strict=True))), path, compression="zstd")
    return folder


def _array(values: pd.Series[Any], dtype: pa.DataType, decimals: int | None) -> pa.Array:
    if pa.types.is_integer(dtype):
        values = pd.to_numeric(values, errors="coerce").round().astype("Int64")
    elif pa.types.is_floating(dtype) and decimals is not None:
        values = pd.to_numeric(values, errors="coerce").round(decimals)
    elif pa.types.is_date(dtype):
        values = pd.to_datetime(values).dt.date
    elif pa.types.is_string(dtype):
        values = values.astype(object).where(values.notna(), None)
    return pa.Array.from_pandas(values, type=dtype)
