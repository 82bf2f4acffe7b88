"""SDV's models of one table behind the protocol: Gaussian copula, CTGAN, TVAE, CopulaGAN. Not private: restricted zone only.

The Gaussian copula takes related tables as well, parents first. A parent's model has one more column per child table, the number of its
children; a child's model holds the parent's columns too, and each synthetic parent takes children drawn near it in those columns
(docs/adr/0007). SDV is BUSL-1.1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from synth_assets.errors import InputError
from synth_assets.seeds import child_seed
from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec
from synth_assets.synthesis.sdv_frames import (
    as_differences,
    from_differences,
    ordered_numbers,
    read_rows,
    require_finite,
    sdtype_of,
    write_rows,
)
from synth_assets.synthesis.sdv_keys import PARENT_ROW, key_columns, leading_key, with_keys
from synth_assets.synthesis.sdv_options import NetworkOptions
from synth_assets.synthesis.sdv_running import Report, at_work, require_sdv, silent
from synth_assets.synthesis.sdv_state import as_stored, load_state, save_state
from synth_assets.tables.relations import parents_first
from synth_assets.tables.schema import ForeignKey, TableSchema

COUNT_PREFIX = "_children:"
PARENT_PREFIX = "_parent:"
NEAREST = 5
MAX_FIT_ROWS = 200_000
MOST_CATEGORIES = 2_000  # of all columns that a network sees one by one
TABLE = "table"


class _TableByTable:
    """One SDV model per table, as a `Synthesizer[ReleaseSpec]`."""

    name: ClassVar[str]
    differentially_private: ClassVar[bool] = False
    wide: ClassVar[bool] = False  # whether each category is an input of its own

    def __init__(self, options: NetworkOptions | None = None) -> None:
        self.options = options or NetworkOptions.of(self.name)

    def make(self, metadata: Any) -> Any:
        """SDV's synthesizer, not yet fitted."""
        raise NotImplementedError

    def fit(self, training: ReleaseSpec, *, seed: int, report: Report = silent) -> PlainModel:
        """Fit one model per table.

        Args:
            training: Tables; several only for the Gaussian copula.
            seed: Same rows and seed, same model (on one kind of device).
            report: Hears the epochs.

        Raises:
            ServiceUnavailableError: SDV is not installed.
            InputError: a table has no row to learn from, or a network would have too many inputs.
        """
        require_sdv(self.name)
        schemas = {t.name: t.table for t in training.tables}
        order = parents_first(schemas)
        frames = {t.name: read_rows(t) for t in training.tables}
        parents = {name: leading_key(schemas[name], schemas) for name in order}
        models, infos = {}, {}
        for name in order:
            spec = training.table(name)
            frame = _with_counts(frames, parents, name, spec)
            frame = _with_parent(frame, frames, name, parents[name], training)
            frame, medians = as_differences(frame, spec.table, spec.orders)
            with at_work(f"training {self.name}", seed=child_seed(seed, self.name, name), report=report):
                models[name] = as_stored(self._fit_one(frame, spec, training))
            infos[name] = {
                "rows": len(frames[name]), "columns": list(spec.columns), "orders": spec.orders, "medians": medians,
            }  # fmt: skip
        record = {
            "synthesizer": self.name,
            "order": list(order),
            "tables": infos,
            "schemas": {n: json.loads(s.model_dump_json()) for n, s in schemas.items()},
        }
        return PlainModel(models, record)

    def _fit_one(self, frame: pd.DataFrame, spec: TableSpec, training: ReleaseSpec) -> Any:
        from sdv.metadata import Metadata

        if len(frame) == 0:
            raise InputError(f"table {spec.name!r} has no row with a parent to learn from.")
        if len(frame) > MAX_FIT_ROWS:
            frame = frame.sample(MAX_FIT_ROWS).reset_index(drop=True)
        if not len(frame.columns):
            frame = pd.DataFrame({"_rows": np.arange(len(frame)) % 2})
        columns = {c: {"sdtype": _sdtype(c, spec, training)} for c in frame.columns}
        if self.wide:
            _require_learnable(self.name, frame, columns)
        metadata = Metadata.load_from_dict({"tables": {TABLE: {"columns": columns}}, "relationships": []})
        model = self.make(metadata)
        model.fit({TABLE: frame})
        return model

    def load(self, folder: Path) -> PlainModel:
        """Load what `save` wrote; its hashes are checked first, and no code of the file is run."""
        require_sdv(self.name)
        with at_work(f"loading of {self.name}", seed=0):
            return PlainModel(*load_state(folder))


class GaussianCopula(_TableByTable):
    """SDV's Gaussian copula, for one table or related tables."""

    name: ClassVar[str] = "gaussian_copula"

    def make(self, metadata: Any) -> Any:
        """See `_TableByTable`."""
        from sdv.single_table import GaussianCopulaSynthesizer

        return GaussianCopulaSynthesizer(metadata)


class Ctgan(_TableByTable):
    """SDV's CTGAN. Source: Xu, Skoularidou, Cuesta-Infante, Veeramachaneni 2019, Modeling Tabular Data using Conditional GAN."""

    name: ClassVar[str] = "ctgan"
    wide: ClassVar[bool] = True

    def make(self, metadata: Any) -> Any:
        """See `_TableByTable`."""
        from sdv.single_table import CTGANSynthesizer

        return CTGANSynthesizer(metadata, epochs=self.options.epochs, batch_size=self.options.batch_size)


class Tvae(_TableByTable):
    """SDV's TVAE, of the same paper as CTGAN."""

    name: ClassVar[str] = "tvae"
    wide: ClassVar[bool] = True

    def make(self, metadata: Any) -> Any:
        """See `_TableByTable`."""
        from sdv.single_table import TVAESynthesizer

        return TVAESynthesizer(metadata, epochs=self.options.epochs, batch_size=self.options.batch_size)


class CopulaGan(_TableByTable):
    """SDV's CopulaGAN: CTGAN on numbers that a fitted distribution has made normal."""

    name: ClassVar[str] = "copulagan"
    wide: ClassVar[bool] = True

    def make(self, metadata: Any) -> Any:
        """See `_TableByTable`."""
        from sdv.single_table import CopulaGANSynthesizer

        return CopulaGANSynthesizer(metadata, epochs=self.options.epochs, batch_size=self.options.batch_size)


@dataclass
class PlainModel:
    """Fitted models, parents first."""

    models: Mapping[str, Any]
    record: Mapping[str, Any]

    def save(self, folder: Path) -> None:
        """Write JSON and safetensors under a hash (sdv_state.py); no pickle."""
        save_state(folder, self.models, self.record)

    def sample(self, *, rows: int | None, seed: int, out: Path) -> dict[str, Path]:
        """Sample every table, parents first; see `SynthesizerModel.sample`."""
        schemas = {n: TableSchema.model_validate(s) for n, s in self.record["schemas"].items()}
        parents = {n: leading_key(s, schemas) for n, s in schemas.items()}
        done: dict[str, pd.DataFrame] = {}
        folders = {}
        for name in self.record["order"]:
            info = self.record["tables"][name]
            rng = np.random.default_rng(child_seed(seed, "sample", name))
            wanted = rows if rows is not None and parents[name] is None else int(info["rows"])
            frame = self._draw(name, parents[name], done, wanted, rng)
            frame = from_differences(frame, schemas[name], info["orders"], info["medians"])
            done[name] = with_keys(frame, schemas, name, parents[name], done, rng)
            columns = [*info["columns"], *key_columns(schemas[name], schemas)]
            folders[name] = write_rows(done[name], schemas[name], columns, out / name, info["orders"])
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
        chosen[PARENT_ROW] = slots
        return chosen

    def _sample(self, name: str, rows: int, rng: np.random.Generator) -> pd.DataFrame:
        with at_work(f"sampling {self.record['synthesizer']}", seed=int(rng.integers(2**63))):
            frame = pd.DataFrame(as_stored(self.models[name]).sample(num_rows=rows)[TABLE])
        frame.index = pd.RangeIndex(len(frame))
        return frame


def _sdtype(column: str, spec: TableSpec, training: ReleaseSpec) -> str:
    """Counts of children are categories; a parent's column is what it is there; a difference is a number."""
    if column in ordered_numbers(spec.orders):
        return "numerical"
    if column in spec.columns:
        return sdtype_of(spec.table, column)
    key = leading_key(spec.table, {t.name: t.table for t in training.tables})
    if column.startswith(PARENT_PREFIX) and key is not None:
        return sdtype_of(training.table(key.parent_table).table, column.removeprefix(PARENT_PREFIX))
    return "categorical"


def _require_learnable(name: str, frame: pd.DataFrame, columns: Mapping[str, Mapping[str, str]]) -> None:
    """Each category is an input and an output of the network, and a number is scaled by its neighbours.

    Raises:
        InputError: there are too many categories, a single row, or infinite numbers.
    """
    if len(frame) < 2:
        raise InputError(f"{name} cannot learn from a single row.", remedy="Use gaussian_copula or dp_marginals.")
    require_finite(name, frame)
    distinct = {c: int(frame[c].nunique()) for c, d in columns.items() if d["sdtype"] in {"categorical", "boolean"}}
    if sum(distinct.values()) > MOST_CATEGORIES:
        widest = max(distinct, key=lambda c: distinct[c])
        raise InputError(
            f"{name} makes an input of every category, and here are more than {MOST_CATEGORIES:,} of them.",
            column=widest,
            remedy="Declare the column with most categories as a number or an id, or use gaussian_copula or dp_marginals.",
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


def _match(slots: pd.DataFrame, drawn: pd.DataFrame, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For each parent slot one of the drawn rows nearest in the parent's columns (mixed types, scaled to 0..1)."""
    if slots.empty or not len(slots.columns):
        return rng.integers(0, len(drawn), len(slots))
    from sklearn.neighbors import NearestNeighbors

    both = pd.concat([slots, drawn], ignore_index=True)
    parts: list[np.ndarray[Any, Any]] = []
    for column in both.columns:
        values = both[column]
        if values.dtype == object or isinstance(values.dtype, pd.CategoricalDtype):
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
