"""`sample`: rows from a stored dp_marginals model, also under conditions, balanced or behind real rows. Spends nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.api.reading import Progress, engine_of, frame_of, ingested, settings_of, silent
from synth_assets.api.recording import record_output, record_read
from synth_assets.config.sampling import Asked, checked_asked
from synth_assets.config.stores import store_of
from synth_assets.errors import InputError, ReleaseRefusedError
from synth_assets.seeds import child_seed
from synth_assets.storage.artifacts import Zone
from synth_assets.storage.rooms import temporary
from synth_assets.storage.verdicts import read_verified

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.api.reading import Table
    from synth_assets.config.runtime import Settings
    from synth_assets.synthesis.marginals.strata import Stratum
    from synth_assets.synthesis.release import ReleaseModel
    from synth_assets.tables.schema import TableSchema

MODEL, SPLIT, RECORD = (
    "model_dp_marginals",
    "split",
    "release.json",
)  # as asset_keys.py and release_measure.py spell them
FORMATS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Sample:
    """What `sample` made.

    Attributes:
        tables: Table to the file that was written, or to its frame.
        rows: Rows of each table.
        classes: Probability of each balanced class, with the conditions, under the model; the key is empty where nothing is balanced.
        model_rows: Rows of the root table that the model was measured on, by its noisy counts.
        real_rows: Real rows in the table; above 0 only where real rows were augmented, and then the table is personal data.
    """

    tables: Mapping[str, Path | pd.DataFrame]
    rows: Mapping[str, int]
    classes: Mapping[str, float] = field(default_factory=dict)
    model_rows: int = 0
    real_rows: int = 0


def sample(
    model: Path | str,
    out: Path | str | None = None,
    *,
    rows: int | None = None,
    where: Mapping[str, Any] | Asked | None = None,
    balance: str | Mapping[str, Any] | None = None,
    top_up: bool = False,
    augment: Table | None = None,
    seed: int = 7,
    home: Path | None = None,
    progress: Progress = silent,
) -> Sample:
    """Sample a stored model: nothing is trained, nothing is read but the model, and no privacy budget is spent.

    Args:
        model: Name of a dataset whose chain has run in this home, or the folder of a stored dp_marginals model. Of a dataset, direct
            identifiers are made anew; a folder knows the modelled columns and keys only.
        out: File of one table, or folder for `<table>.parquet` of each; frames are returned when None.
        rows: Rows of the root table (default: the noisy number of the source).
        where: Column to a value, a range such as "40..60", a list of them, or None for missing; every row meets all of them.
        balance: Column whose classes get equal shares, or {"column": ..., "shares": {class: share}}.
        top_up: Make only the rows that the source lacks to have these shares, by the model's own noisy counts.
        augment: A real table: it is written with synthetic rows of its rare classes behind it, marked by the column `is_synthetic`.
            The result holds real rows: it is as sensitive as they are, and no release.
        seed: Same seed, same bytes.
        home: Home folder; the nearest one when None.
        progress: Called with the name of each step as it begins.

    Raises:
        InputError: a condition names no modelled column or nothing of the public domain, holds for next to no row, or options clash.
        MissingArtifactError: there is no such model.
        ReleaseRefusedError: the model failed a check, or the classification has changed since.
    """
    asked = where if isinstance(where, Asked) else checked_asked(where, balance)
    _require_consistent(asked, rows, top_up=top_up, augment=augment)
    settings = settings_of(home)
    progress("loading the model")
    stored = _stored(model, settings)
    names = [t.table.name for t in stored.model.links.tables]
    paths = _destinations(out, names)
    if augment is not None and len(names) > 1:
        raise InputError(
            "only a model of one table can augment one.", key="augment", remedy="Sample the related tables anew."
        )
    strata = stored.model.strata(asked, seed=seed) if asked.asks else ()
    classes = {s.label: s.rows.share for s in strata}
    root = stored.model.models[stored.model.links.root]
    with temporary() as scratch:
        work = scratch
        if augment is not None:
            found = _augmented(augment, stored, strata, asked, paths, work, seed, settings, progress)
            return _recorded(found, stored, settings)
        if top_up:
            from synth_assets.synthesis.marginals.strata import topped_up

            strata, rows = topped_up(strata, {label: share * root.rows for label, share in classes.items()})
            _require_rows(rows)
        made = stored.complete(strata, rows, seed, work, progress)
        told = _provenance(stored, asked)
        tables = {n: _written(work / "complete" / n, paths.get(n), s, settings, told) for n, s in made.items()}
        return _recorded(
            Sample(tables, {n: s.row_count for n, s in made.items()}, classes, root.rows), stored, settings
        )


def _require_consistent(asked: Asked, rows: int | None, *, top_up: bool, augment: Table | None) -> None:
    if rows is not None and rows < 1:
        raise InputError("the number of rows must be at least 1.", key="rows")
    for key, wanted in (("top_up", top_up), ("augment", augment is not None)):
        if wanted and asked.balance is None:
            raise InputError(
                f"`{key}` needs the column whose classes are balanced.", key=key, remedy="Name it with `balance`."
            )
        if wanted and rows is not None:
            raise InputError(
                f"with `{key}` the shares decide how many rows are made.", key="rows", remedy="Leave `rows` out."
            )
    if augment is not None and (asked.where or top_up):
        raise InputError(
            "real rows are augmented by class shares alone.", key="augment",
            remedy="Leave `where` and `top_up` out, or sample the synthetic rows by themselves.",
        )  # fmt: skip


def _require_rows(rows: int) -> None:
    if rows < 1:
        raise InputError("by the model's counts the source has these shares already.", key="top_up")


@dataclass(frozen=True)
class _Stored:
    """A loaded model, and what its dataset knows of the columns that are made anew."""

    name: str
    model: ReleaseModel
    schemas: Mapping[str, TableSchema]
    identifiers: Mapping[str, Mapping[str, str]]
    dataset: str | None = None

    def complete(
        self, strata: tuple[Stratum, ...], rows: int | None, seed: int, work: Path, progress: Progress
    ) -> dict[str, TableSchema]:
        """Sample below `work/complete`; the schemas of the tables with their numbers of rows."""
        from synth_assets.synthesis.complete import complete_release

        progress("sampling")
        sampled = self.model.sample(rows=rows, seed=child_seed(seed, "sample"), out=work / "sampled", strata=strata)
        if not any(self.identifiers.values()):
            shutil.move(work / "sampled", work / "complete")
            counts = {n: _rows_of(work / "complete" / n) for n in sampled}
        else:
            counts = complete_release(
                sampled, work / "complete", schemas=self.schemas, identifiers=self.identifiers,
                seed=child_seed(seed, "identifiers"),
            )  # fmt: skip
        return {n: _with_columns(self.schemas[n], work / "complete" / n, rows) for n, rows in counts.items()}


def _stored(model: Path | str, settings: Settings) -> _Stored:
    """The model of a folder, or of a dataset of the home; what failed its checks is not read."""
    from synth_assets.synthesis.release import load_release

    folder = Path(model)
    if (folder / RECORD).is_file():
        loaded = load_release(folder)
        return _Stored(folder.name, loaded, {t.table.name: t.table for t in loaded.links.tables}, {})
    name = str(model)
    store = store_of(settings)
    if "/" in name or "\\" in name or name.startswith("."):
        raise InputError(
            "this folder holds no dp_marginals model.", file=name, key="MODEL",
            remedy=f"Name a dataset whose chain has run, or the folder with its {RECORD}.",
        )  # fmt: skip
    ref = read_verified(store, Zone.RELEASE, name, MODEL)
    loaded = load_release(store.path(ref))
    split = store.find(Zone.RESTRICTED, name, SPLIT)
    schemas = {t.table.name: t.table for t in loaded.links.tables}
    if split is None:  # a home that holds releases only
        return _Stored(name, loaded, schemas, {}, dataset=name)
    from synth_assets.pii.roles import ColumnRoles
    from synth_assets.tables.schema import TableSchema

    record_read(settings, split, "record")
    roles = {t: ColumnRoles.model_validate(r) for t, r in split.info["roles"].items()}
    if sorted(f"{t}.{c}" for t, r in roles.items() for c in (*r.keys, *r.modelled)) != sorted(ref.info["columns"]):
        raise ReleaseRefusedError(
            f"{name}/{MODEL} was trained on other columns than the classification now allows.",
            remedy=f"Run the chain of {name} again.",
        )
    known = {t: TableSchema.model_validate(s) for t, s in split.info["schemas"].items()}
    identifiers = {t: r.identifiers for t, r in roles.items()}
    return _Stored(name, loaded, {n: known[n] for n in schemas}, identifiers, dataset=name)


def _destinations(out: Path | str | None, names: list[str]) -> dict[str, Path]:
    """The file of each table, checked before any work; empty where frames are wanted.

    Raises:
        InputError: several tables, and a file.
    """
    from synth_assets.exports.destination import check_file, check_folder

    if out is None:
        return {}
    path = Path(os.path.abspath(out))  # noqa: PTH100  keeps symbolic links
    if path.suffix.lower() in FORMATS and not path.is_dir():
        if len(names) > 1:
            raise InputError(
                f"the model makes {len(names)} tables, and this is one file.", file=str(path), key="--out",
                remedy="Name a folder.",
            )  # fmt: skip
        check_file(path)
        return {names[0]: path}
    check_folder(path)
    return {name: path / f"{name}.parquet" for name in names}


def _rows_of(folder: Path) -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(f).num_rows for f in folder.glob("part-*.parquet"))


def _with_columns(schema: TableSchema, folder: Path, rows: int) -> TableSchema:
    """The schema of what was really written."""
    import pyarrow.parquet as pq

    names = set(pq.read_schema(next(iter(sorted(folder.glob("part-*.parquet"))))).names)
    columns = tuple(c for c in schema.columns if c.name in names)
    return schema.model_copy(update={"columns": columns, "row_count": rows})


def _provenance(stored: _Stored, asked: Asked) -> dict[str, Any]:
    """What a file says about where it comes from."""
    told = {"synthetic": True, "model": stored.name, "synthesizer": "dp_marginals", "differentially_private": True}
    return {**told, **asked.model_dump(mode="json", exclude_defaults=True)}


def _written(
    folder: Path, path: Path | None, schema: TableSchema, settings: Settings, provenance: Mapping[str, Any]
) -> Path | pd.DataFrame:
    from synth_assets.exports.formats import write_table

    if path is None:
        return frame_of(folder)
    write_table(folder, path, schema=schema, engine=engine_of(settings), provenance=provenance)
    return path


def _recorded(found: Sample, stored: _Stored, settings: Settings) -> Sample:
    """What was made of a model of this home is in its audit ledger; a model in a folder belongs to no home."""
    if stored.dataset is not None:
        for made in found.tables.values():
            file = made if isinstance(made, Path) else None
            record_output(settings, "sample", file, {"real_rows": found.real_rows > 0}, dataset=stored.dataset)
    return found


def _augmented(
    table: Table,
    stored: _Stored,
    strata: tuple[Stratum, ...],
    asked: Asked,
    paths: Mapping[str, Path],
    work: Path,
    seed: int,
    settings: Settings,
    progress: Progress,
) -> Sample:
    """Real rows with synthetic ones behind them, in one table that says of itself that it is no release."""
    from synth_assets.synthesis.augmented import augmented, missing_rows

    name = stored.model.links.root
    column = asked.balance.column if asked.balance is not None else ""
    progress("reading")
    with ingested(table, name) as data:
        missing = missing_rows(data.folder, column, strata)
        stored.complete(missing.strata, missing.rows, seed, work, progress)
        schema = augmented(data.folder, work / "complete" / name, work / "augmented", data.schema)
    told = {"synthetic": False, "contains_real_rows": True, "differentially_private": False, "model": stored.name}
    made = _written(work / "augmented", paths.get(name), schema, settings, told)
    root = stored.model.models[name]
    classes = {s.label: s.rows.share for s in strata}
    return Sample({name: made}, {name: schema.row_count}, classes, root.rows, missing.real_rows)
