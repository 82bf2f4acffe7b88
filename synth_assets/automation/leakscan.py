"""Search a home for values of direct identifiers outside the restricted zone: what `synth-assets leakscan` does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from synth_assets.automation.opening import open_instance
from synth_assets.automation.runner import prepare_home
from synth_assets.automation.uploaded import as_datasets, uploads_of
from synth_assets.config.runtime import LoadedDataset, Settings, load_datasets
from synth_assets.config.stores import store_of
from synth_assets.errors import ConfigError, InputError, MissingArtifactError, withhold_values
from synth_assets.notify.notices import Figure, Notice
from synth_assets.notify.notifier import Notifier
from synth_assets.pii.leakscan import Leak, scan_folder
from synth_assets.storage.artifacts import ArtifactStore, Zone
from synth_assets.storage.hashing import hash_parts

CLASSIFICATION = "pii_classification"
AT_ONCE = 200_000  # values; more are looked for in a further search of all files
MOST_VALUES = 20_000  # of one column; more tell no more about where values leak


@dataclass(frozen=True)
class Scan:
    """What a search found.

    Args:
        columns: table.column -> how many of its values were looked for.
        files: How many files were searched.
        leaks: Where values stand; never which.
    """

    columns: Mapping[str, int]
    files: int
    leaks: tuple[Leak, ...]


def leakscan(settings: Settings, dataset: str | None = None) -> Scan:
    """Look for values of direct identifiers in every file of the home.

    Looked for are values that belong to one person by nature (e-mail, SSN, MRN ...): names stand in lookup lists as well. The
    restricted zone is searched where it is encrypted. Files of the home outside `var/`, such as sources, may hold values.

    Args:
        settings: Of the home.
        dataset: Name of a dataset or an upload; all that were read and classified when None.

    Raises:
        InputError: there is none of this name, or no column to look for.
        MissingArtifactError: the named one was not read and classified yet.
    """
    with withhold_values("the search for leaks"):
        wanted = _wanted(settings, dataset)
        closed = settings.var / Zone.RESTRICTED if not settings.encryption else None
        files = [p for p in settings.var.rglob("*") if p.is_file() and not (closed and p.is_relative_to(closed))]
        columns: dict[str, int] = {}
        leaks: list[Leak] = []
        for values in _portions(store_of(settings), wanted, named=dataset is not None):
            columns |= {column: len(some) for column, some in values.items()}
            leaks += _found(settings, values, closed)
        if not any(columns.values()):
            raise InputError("no column holds identifiers that belong to one person by nature.", key="DATASET")
    return Scan(columns, len(files), tuple(leaks))


def _wanted(settings: Settings, dataset: str | None) -> tuple[LoadedDataset, ...]:
    prepare_home(settings.home)
    with open_instance() as instance:
        uploads = uploads_of(settings, instance)
    datasets = load_datasets(settings)
    if dataset is None:
        return (*datasets, *as_datasets(settings, uploads))
    found = [d for d in datasets if d.config.name == dataset]
    if not found and dataset not in uploads:
        known = ", ".join(d.config.name for d in datasets) or "none"
        raise ConfigError(
            f"there is no dataset or upload {dataset!r} in this home.", key="DATASET",
            remedy=f"Datasets: {known}; uploads: {len(uploads):,} (synth-assets datasets list --uploads).",
        )  # fmt: skip
    return tuple(found) or as_datasets(settings, [dataset])


def _portions(
    store: ArtifactStore, datasets: Iterable[LoadedDataset], *, named: bool
) -> Iterator[dict[str, list[str]]]:
    """The values of all datasets, as many at a time as are looked for together."""
    portion: dict[str, list[str]] = {}
    for dataset in datasets:
        try:
            values = _values(store, dataset)
        except MissingArtifactError:
            if named:
                raise
            continue  # it was not read yet, or never could be
        portion |= values if named else {f"{dataset.config.name}/{column}": some for column, some in values.items()}
        if sum(map(len, portion.values())) >= AT_ONCE:
            yield portion
            portion = {}
    yield portion


def _found(settings: Settings, values: Mapping[str, list[str]], closed: Path | None) -> list[Leak]:
    from synth_assets.pii.leakforms import Needles

    if not any(values.values()):
        return []

    def left_out(file: Path) -> bool:
        return closed is not None and file.is_relative_to(closed)

    return list(scan_folder(settings.var, Needles(values), leave_out=left_out))


def tell(notifier: Notifier, dataset: str, scan: Scan) -> None:
    """Tell subscribers of `leak` what was found: how much, never what; the same findings once."""
    if not scan.leaks:
        return
    now = time.time()
    places = hash_parts(*sorted(f"{k.file} {k.label}" for k in scan.leaks))
    figures: dict[str, Figure] = {
        "check": "leakscan",
        "findings": len(scan.leaks),
        "files": len({k.file for k in scan.leaks}),
        "columns": len({k.label for k in scan.leaks}),
    }
    notifier.post(Notice("leak", f"leakscan {dataset} {places}", dataset, figures=figures), now)
    notifier.deliver(now)


def _values(store: ArtifactStore, dataset: LoadedDataset) -> dict[str, list[str]]:
    """The identifiers of every table, by table.column."""
    import pyarrow.parquet as pq

    from synth_assets.asset_keys import slug
    from synth_assets.pii.taxonomy import taxonomy

    name, kinds = dataset.config.name, taxonomy()
    verdicts = json.loads(
        (store.path(store.current(Zone.RESTRICTED, name, CLASSIFICATION)) / "result.json").read_text()
    )
    found: dict[str, list[str]] = {}
    for table in dataset.config.tables:
        wanted = [
            v["column"] for v in verdicts[table]
            if v["identifier_class"] == "direct" and kinds[v["entity_type"]].unique_by_nature
        ]  # fmt: skip
        folder = store.path(store.current(Zone.RESTRICTED, name, f"raw_{slug(table)}"))
        for column in wanted:
            read = pq.ParquetDataset(sorted(folder.glob("part-*.parquet"))).read(columns=[column])[column]
            some = read.drop_null().unique().slice(0, MOST_VALUES).to_pylist()
            found[f"{table}.{column}"] = [str(v) for v in some]
    return found
