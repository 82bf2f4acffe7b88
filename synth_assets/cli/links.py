"""Command that signs links to released files in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from synth_assets.cli.options import HomeOption, JsonOption, nearest_home
from synth_assets.cli.output import emit_json, line, path_line, show
from synth_assets.config.runtime import LoadedDataset, Settings, load_datasets
from synth_assets.errors import InputError

if TYPE_CHECKING:
    from synth_assets.exports.links import ReleaseLink


def links(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name of the dataset.")],
    of: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A format of `exports` or a name of `deliveries` (default: all exports)."),
    ] = None,
    hours: Annotated[
        int | None, typer.Option(metavar="N", help="Hours until they end (default: SYNTH_ASSETS_LINK_HOURS, else 24).")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Sign links to released files in S3 that expire."""
    from synth_assets.exports.links import link_hours

    settings = Settings.from_environment(nearest_home(home))
    loaded = next((d for d in load_datasets(settings) if d.config.name == dataset), None)
    if loaded is None:
        raise InputError(f"this home has no dataset {dataset!r}.", key="DATASET", remedy="See configs/datasets.")
    lifetime = link_hours(hours)
    found = {name: _links_of(settings, loaded, name, lifetime) for name in _wanted(loaded, of)}
    _record(settings, dataset, {name: len(signed) for name, signed in found.items()}, lifetime)
    if as_json:
        signed = [one.model_dump(mode="json") | {"of": name} for name, ones in found.items() for one in ones]
        emit_json({"dataset": dataset, "hours": lifetime, "links": signed})
        return 0
    for name, ones in found.items():
        for one in ones:
            show(path_line(f"{name}/{one.file}", one.url))
    line("note", f"these links end after {lifetime} hours; treat them as passwords until then.")
    return 0


def _wanted(loaded: LoadedDataset, of: str | None) -> tuple[str, ...]:
    """Assets by name."""
    config = loaded.config
    if of is None:
        return tuple(f"export_{fmt}" for fmt in config.exports)
    if of in config.exports:
        return (f"export_{of}",)
    if of in config.deliveries and config.deliveries[of].s3 is not None:
        return (f"delivery_{of}",)
    known = [*config.exports, *(n for n, d in config.deliveries.items() if d.s3 is not None)]
    raise InputError(
        f"{of!r} is no export and no delivery into S3 of this dataset.",
        key="--of",
        remedy=f"Use one of {', '.join(known)}.",
    )


def _links_of(settings: Settings, loaded: LoadedDataset, asset: str, hours: int) -> tuple[ReleaseLink, ...]:
    from synth_assets.config.stores import store_of
    from synth_assets.exports.links import delivery_links, export_links

    if asset.startswith("delivery_"):
        return delivery_links(loaded.config.deliveries[asset.removeprefix("delivery_")].folder(), hours=hours)
    release = settings.s3_zones.get("release")
    return export_links(store_of(settings), release, loaded.config.name, asset, hours=hours)


def _record(settings: Settings, dataset: str, counts: dict[str, int], hours: int) -> None:
    """Who signed links to what is in the audit ledger before anybody sees them; the links are not."""
    from synth_assets.ledger.events import Action, AuditEvent
    from synth_assets.ledger.opening import open_audit_ledger

    ledger = open_audit_ledger(settings)
    for asset, count in counts.items():
        details = {"links": count, "hours": hours}
        ledger.record(AuditEvent(Action.EXPORTED, f"{dataset}/{asset}", dataset=dataset, details=details))


COMMANDS = (links,)
