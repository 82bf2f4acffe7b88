"""Stage 2: statistics and plots of the raw tables. Restricted; what Dagster shows is the public form."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.asset_keys import slug
from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.raw import schema_of
from synth_assets.assets.stage import Event, Job, Stage
from synth_assets.assets.wiring import Wiring
from synth_assets.pii.roles import identifying_columns
from synth_assets.resources import EngineResource, StoreResource
from synth_assets.storage.artifacts import ArtifactRef, ArtifactStore, Zone
from synth_assets.storage.atomic import write_bytes, write_text

VERSION = "2"


def build_profile(wiring: Wiring) -> dg.AssetsDefinition:
    """The asset `<dataset>/profile`."""
    config, keys, asset = wiring.config, wiring.keys, wiring.keys.profile
    spec = wiring.spec(
        asset,
        stage="profile",
        zone=Zone.RESTRICTED,
        section={},
        version=VERSION,
        kinds={"duckdb", "python"},
        description="Statistics of every column, associations, duplicates, and the column sets that single people out.",
        deps=[*(keys.raw(t) for t in config.tables), keys.classification],
    )

    @dg.multi_asset(name=f"{config.name}__{asset}", pool=config.name, specs=[spec])
    def profile(context: dg.AssetExecutionContext, store: StoreResource, engine: EngineResource) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            raws = {t: stage.read(Zone.RESTRICTED, keys.raw(t)) for t in config.tables}
            verdicts = stage.read(Zone.RESTRICTED, keys.classification)
            inputs = {t: r.content_hash for t, r in raws.items()} | {"classification": verdicts.content_hash}
            job = Job(
                Zone.RESTRICTED, asset, inputs, {}, VERSION,
                lambda folder: _profile(stage.store, raws, verdicts, engine, folder),
            )  # fmt: skip
            events = stage.deliver(job, lambda ref: _describe(stage.store.path(ref), ref))
        yield from events

    return profile


def _profile(
    store: ArtifactStore,
    raws: Mapping[str, ArtifactRef],
    verdict_ref: ArtifactRef,
    engine: EngineResource,
    folder: Path,
) -> dict[str, Any]:
    from synth_assets.assets.classification import read_verdicts
    from synth_assets.profiling.plots import association_map, histogram_grid, missing_values
    from synth_assets.profiling.profile import profile_table

    verdicts = read_verdicts(store, verdict_ref)
    found = {}
    for table, ref in raws.items():
        by_class = {c: [v.column for v in verdicts[table] if v.identifier_class == c] for c in ("quasi", "sensitive")}
        found[table] = profile_table(
            store.path(ref), schema_of(ref), engine.open(), identifying=identifying_columns(verdicts[table]),
            quasi=tuple(by_class["quasi"]), sensitive=tuple(by_class["sensitive"]),
        )  # fmt: skip
    public = {t: p.public() for t, p in found.items()}
    for file, form in (("result.json", found), ("public.json", public)):
        write_text(folder / file, json.dumps({t: p.model_dump(mode="json") for t, p in form.items()}, indent=1))
    for table, shown in public.items():
        write_bytes(folder / f"{slug(table)}.distributions.png", histogram_grid(shown))
        write_bytes(folder / f"{slug(table)}.associations.png", association_map(shown))
        write_bytes(folder / f"{slug(table)}.missing.png", missing_values(shown))
    return {
        "tables": [
            {
                "table": t,
                "rows": _told(p.row_count),
                "columns": len(p.columns),
                "duplicate_rows": _told(p.duplicates),
                "smallest_class": "no quasi-identifier" if p.anonymity is None else _told(p.anonymity.k, "below 11"),
                "sets_that_single_out": 0 if p.uniqueness is None else len(p.uniqueness.sets),
            }
            for t, p in public.items()
        ]
    }


def _told(figure: int | None, hidden: str = "withheld") -> int | str:
    """A figure of the public form; what it hides is a small group, or leaves one."""
    return hidden if figure is None else figure


def _describe(folder: Path, ref: ArtifactRef) -> dict[str, Any]:
    """A small table and, per table, pictures of its public form."""
    described: dict[str, Any] = {"tables": metadata.rows(ref.info["tables"])}
    for entry in ref.info["tables"]:
        for what in ("distributions", "associations", "missing"):
            shown = metadata.picture(
                (folder / f"{slug(entry['table'])}.{what}.png").read_bytes(), f"{what} of {entry['table']}"
            )
            if shown is not None:
                described[f"{slug(entry['table'])}_{what}"] = shown
    return described
