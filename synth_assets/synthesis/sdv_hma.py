"""SDV's HMA behind the protocol: parents and children, each parent with a distribution of its own children. Restricted zone only.

What belongs here: what SDV is told and what comes back. What does not: keys of the result (sdv_keys.py). SDV sees made-up names and row
numbers in place of names and keys, so that neither their form nor their values can matter. Source: Patki, Wedge, Veeramachaneni 2016,
The Synthetic Data Vault.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from synth_assets.config.plain import families, tables_fault
from synth_assets.errors import InputError
from synth_assets.seeds import child_seed
from synth_assets.synthesis.protocol import ReleaseSpec
from synth_assets.synthesis.sdv_frames import (
    as_differences,
    from_differences,
    ordered_numbers,
    read_rows,
    sdtype_of,
    write_rows,
)
from synth_assets.synthesis.sdv_keys import PARENT_ROW, key_columns, leading_key, parent_rows, parents_of, with_keys
from synth_assets.synthesis.sdv_options import NetworkOptions
from synth_assets.synthesis.sdv_running import Report, at_work, require_sdv, silent
from synth_assets.synthesis.sdv_state import as_stored, load_state, save_state
from synth_assets.tables.relations import parents_first
from synth_assets.tables.schema import TableSchema

ROW, ABOVE = "row", "above"
ROW_FORM = {"sdtype": "id", "regex_format": "[0-9]{9}"}
MOST_ROOTS = 10_000  # rows of a root table that are learned from, with all their children; a random choice of more
MOST_COLUMNS = 1_000  # SDV's own bound: parameters of the children are columns of their parent


class Hma:
    """SDV's HMA as a `Synthesizer[ReleaseSpec]`."""

    name: ClassVar[str] = "hma"
    differentially_private: ClassVar[bool] = False

    def __init__(self, options: NetworkOptions | None = None) -> None:
        self.options = options

    def fit(self, training: ReleaseSpec, *, seed: int, report: Report = silent) -> HmaModel:
        """Fit one HMA per family of tables, and a Gaussian copula to a table that is related to none.

        Args:
            training: Tables that refer to each other.
            seed: Same rows and seed, same model.
            report: Hears how far it is.

        Raises:
            ServiceUnavailableError: SDV is not installed.
            InputError: a table has no row to learn from, or the tables are beyond what SDV's community edition can take.
        """
        require_sdv(self.name)
        schemas = {t.name: t.table for t in training.tables}
        _require_possible(schemas)
        order = parents_first(schemas)
        frames, above = _linked(training, order)
        models, infos = {}, {}
        for name in order:
            spec = training.table(name)
            learned, medians = as_differences(frames[name][list(spec.columns)], spec.table, spec.orders)
            infos[name] = {
                "rows": len(frames[name]), "columns": list(spec.columns), "orders": spec.orders, "medians": medians,
            }  # fmt: skip
            frames[name] = learned
        for family in families(parents_of(schemas)):
            step_seed = child_seed(seed, self.name, family[0])
            data, metadata = _as_told(family, training, frames, above, seed=step_seed)
            with at_work(f"training {self.name}", seed=step_seed, report=report):
                models[family[0]] = as_stored(_fit_family(data, metadata, family))
        record = {
            "synthesizer": self.name,
            "order": list(order),
            "families": {f[0]: list(f) for f in families(parents_of(schemas))},
            "tables": infos,
            "schemas": {n: json.loads(s.model_dump_json()) for n, s in schemas.items()},
        }
        return HmaModel(models, record)

    def load(self, folder: Path) -> HmaModel:
        """Load what `save` wrote; its hashes are checked first, and no code of the file is run."""
        require_sdv(self.name)
        with at_work(f"loading of {self.name}", seed=0):
            return HmaModel(*load_state(folder))


@dataclass
class HmaModel:
    """Fitted families of tables, by the name of their root."""

    models: Mapping[str, Any]
    record: Mapping[str, Any]

    def save(self, folder: Path) -> None:
        """Write JSON and safetensors under a hash (sdv_state.py); no pickle."""
        save_state(folder, self.models, self.record)

    def sample(self, *, rows: int | None, seed: int, out: Path) -> dict[str, Path]:
        """Sample every table, parents first; see `SynthesizerModel.sample`."""
        schemas = {n: TableSchema.model_validate(s) for n, s in self.record["schemas"].items()}
        drawn: dict[str, pd.DataFrame] = {}
        for root, family in self.record["families"].items():
            wanted = int(self.record["tables"][root]["rows"]) if rows is None else rows
            with at_work(f"sampling {self.record['synthesizer']}", seed=child_seed(seed, "sample", root)):
                drawn |= self._draw(family, wanted, schemas)
        done: dict[str, pd.DataFrame] = {}
        folders = {}
        for name in self.record["order"]:
            info, schema = self.record["tables"][name], schemas[name]
            rng = np.random.default_rng(child_seed(seed, "keys", name))
            frame = from_differences(drawn[name], schema, info["orders"], info["medians"])
            done[name] = with_keys(frame, schemas, name, leading_key(schema, schemas), done, rng)
            columns = [*info["columns"], *key_columns(schema, schemas)]
            folders[name] = write_rows(done[name], schema, columns, out / name, info["orders"])
        return folders

    def _draw(self, family: Sequence[str], wanted: int, schemas: Mapping[str, TableSchema]) -> dict[str, pd.DataFrame]:
        """The modelled columns of a family, each child with the row of its parent."""
        told, model = {name: f"t{i}" for i, name in enumerate(family)}, as_stored(self.models[family[0]])
        given = {"main_table_name": told[family[0]]} if len(family) > 1 else {}
        made = model.sample(num_rows=wanted, **given)
        out: dict[str, pd.DataFrame] = {}
        rows: dict[str, pd.Index[Any]] = {}
        for name in family:
            frame = pd.DataFrame(made[told[name]]).reset_index(drop=True)
            key = leading_key(schemas[name], schemas)
            if key is not None:
                frame[PARENT_ROW] = rows[key.parent_table].get_indexer(pd.Index(frame[ABOVE].astype(str)))
                frame = frame[frame[PARENT_ROW] >= 0].reset_index(drop=True)
            rows[name] = pd.Index(frame[ROW].astype(str))
            columns = {f"c{i}": c for i, c in enumerate(self.record["tables"][name]["columns"])}
            out[name] = frame.drop(columns=[ROW, ABOVE], errors="ignore").rename(columns=columns)
        return out


def _require_possible(schemas: Mapping[str, TableSchema]) -> None:
    """Raise where the tables are not related, or too many, or too deep."""
    fault = tables_fault("hma", parents_of(schemas))
    if fault is not None:
        raise InputError(f"{fault}.", key="synthesizers")


def _linked(training: ReleaseSpec, order: Sequence[str]) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The rows of every table, and for a child the row of its parent; children without a parent are left out.

    Raises:
        InputError: no row of a table has a parent.
    """
    schemas = {t.name: t.table for t in training.tables}
    frames: dict[str, pd.DataFrame] = {}
    above: dict[str, Any] = {}
    for name in order:
        frame, key = read_rows(training.table(name)), leading_key(schemas[name], schemas)
        if key is not None:
            rows = parent_rows(frame, frames[key.parent_table], key)
            frame, above[name] = frame[rows >= 0].reset_index(drop=True), rows[rows >= 0]
            if frame.empty:
                raise InputError(f"table {name!r} has no row with a parent to learn from.")
        frames[name] = frame
    return frames, above


def _as_told(
    family: Sequence[str],
    training: ReleaseSpec,
    frames: Mapping[str, pd.DataFrame],
    above: Mapping[str, np.ndarray[Any, np.dtype[np.int64]]],
    *,
    seed: int,
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The tables of a family under made-up names, and SDV's metadata of them.

    Raises:
        InputError: SDV would need too many columns.
    """
    kept = _chosen(family, training, frames, above, seed=seed)
    data: dict[str, pd.DataFrame] = {}
    metadata: dict[str, Any] = {"tables": {}, "relationships": []}
    schemas = {t.name: t.table for t in training.tables}
    for i, name in enumerate(family):
        spec, rows = training.table(name), kept[name]
        frame = frames[name].iloc[rows].reset_index(drop=True)
        numbers = ordered_numbers(spec.orders)
        kinds = {c: "numerical" if c in numbers else sdtype_of(spec.table, c) for c in spec.columns}
        columns: dict[str, Any] = {ROW: ROW_FORM} | {f"c{j}": {"sdtype": kinds[c]} for j, c in enumerate(spec.columns)}
        frame = frame.rename(columns={c: f"c{j}" for j, c in enumerate(spec.columns)})
        frame.insert(0, ROW, [f"{r:09d}" for r in rows])
        key = leading_key(spec.table, schemas)
        if key is not None:
            frame.insert(1, ABOVE, [f"{r:09d}" for r in above[name][rows]])
            columns[ABOVE] = ROW_FORM
            metadata["relationships"].append(
                {
                    "parent_table_name": f"t{family.index(key.parent_table)}", "parent_primary_key": ROW,
                    "child_table_name": f"t{i}", "child_foreign_key": ABOVE,
                }
            )  # fmt: skip
        metadata["tables"][f"t{i}"] = {"primary_key": ROW, "columns": columns}
        data[f"t{i}"] = frame
    return data, metadata


def _chosen(
    family: Sequence[str],
    training: ReleaseSpec,
    frames: Mapping[str, pd.DataFrame],
    above: Mapping[str, np.ndarray[Any, np.dtype[np.int64]]],
    *,
    seed: int,
) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
    """Row numbers to learn from: of the root at most `MOST_ROOTS`, and all rows below them."""
    schemas = {t.name: t.table for t in training.tables}
    size, rng = len(frames[family[0]]), np.random.default_rng(seed)
    kept = {family[0]: np.sort(rng.choice(size, min(size, MOST_ROOTS), replace=False))}
    for name in family[1:]:
        key = leading_key(schemas[name], schemas)
        assert key is not None  # noqa: S101  every table of a family but its root has one
        kept[name] = np.flatnonzero(np.isin(above[name], kept[key.parent_table]))
    return kept


def _fit_family(data: dict[str, pd.DataFrame], told: dict[str, Any], family: Sequence[str]) -> Any:
    from sdv.metadata import Metadata
    from sdv.multi_table import HMASynthesizer
    from sdv.single_table import GaussianCopulaSynthesizer

    metadata = Metadata.load_from_dict(told)
    if len(family) == 1:
        model = GaussianCopulaSynthesizer(metadata)
    else:
        needed = HMASynthesizer._estimate_num_columns(metadata, dict.fromkeys(told["tables"], "norm"))  # noqa: SLF001
        widest = max(family, key=lambda name: needed[f"t{family.index(name)}"])
        if needed[f"t{family.index(widest)}"] > MOST_COLUMNS:
            raise InputError(
                f"hma would need more than {MOST_COLUMNS:,} columns for table {widest!r}: every parameter of its children is one.",
                key="synthesizers",
                remedy="Use gaussian_copula or dp_marginals, or leave columns of the child tables out of the source.",
            )
        model = HMASynthesizer(metadata, verbose=False)
    model.fit(data)
    return model
