"""Signed links to released files in S3, which end after some hours. A link is a secret: it is shown to who asks, and stored nowhere.

What belongs here: which files a link may lead to. The files are those of a current, proven export, or of a delivery into S3.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from synth_assets.errors import ConfigError, InputError, MissingArtifactError
from synth_assets.exports.places import POINTER
from synth_assets.storage.artifacts import ArtifactStore, Zone
from synth_assets.storage.objects import ObjectFolder
from synth_assets.storage.verdicts import read_verified
from synth_assets.tables.schema import Frozen

HOURS_VARIABLE = "SYNTH_ASSETS_LINK_HOURS"
DEFAULT_HOURS, MOST_HOURS = 24, 168  # S3 signs for 7 days at most


class ReleaseLink(Frozen):
    """One file and the link to it."""

    file: str
    expires_at: datetime
    url: str


def link_hours(asked: int | None = None) -> int:
    """How long links live: as asked, else as SYNTH_ASSETS_LINK_HOURS says, else a day.

    Raises:
        ConfigError: the variable is no whole number from 1 to 168.
        InputError: what is asked is none.
    """
    if asked is not None:
        if not 1 <= asked <= MOST_HOURS:
            raise InputError(f"a link lives from 1 to {MOST_HOURS} hours.", key="--hours")
        return asked
    text = os.environ.get(HOURS_VARIABLE, str(DEFAULT_HOURS))
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= MOST_HOURS:
        raise ConfigError(f"the environment variable {HOURS_VARIABLE} is no whole number from 1 to {MOST_HOURS}.")
    return int(text)


def export_links(
    store: ArtifactStore, release: ObjectFolder | None, dataset: str, asset: str, *, hours: int
) -> tuple[ReleaseLink, ...]:
    """Links to the files of an export asset.

    Args:
        store: The artifact store.
        release: The release zone in S3; None where it is on the local disk.
        dataset: Name of the dataset.
        asset: Name of the asset, such as export_csv.
        hours: Lifetime.

    Raises:
        InputError: the release zone is not in S3.
        MissingArtifactError: the export was never made.
        ReleaseRefusedError: its latest run failed.
    """
    if release is None:
        raise InputError(
            "the release zone is on this machine's disk, and links lead into S3.",
            remedy="Set SYNTH_ASSETS_S3_RELEASE, or deliver into S3 (`deliveries` in the YAML).",
        )
    ref = read_verified(store, Zone.RELEASE, dataset, asset)
    return _signed(release, [(file, f"{ref.key}/{file}") for file in ref.info["files"]], hours)


def delivery_links(place: ObjectFolder, *, hours: int) -> tuple[ReleaseLink, ...]:
    """Links to the files of a delivery into S3.

    Raises:
        MissingArtifactError: nothing was delivered yet.
    """
    pointer = place.read(POINTER)
    if pointer is None:
        raise MissingArtifactError("nothing was delivered there yet.", file=place.location(POINTER))
    return _signed(place, list(json.loads(pointer)["files"].items()), hours)


def _signed(place: ObjectFolder, files: Sequence[tuple[str, str]], hours: int) -> tuple[ReleaseLink, ...]:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours)
    return tuple(ReleaseLink(file=file, expires_at=ends, url=place.link(key, hours * 3600)) for file, key in files)
