"""Opens the exchange area that a place names: a folder, or a prefix in S3."""

from __future__ import annotations

from pathlib import Path

from synth_assets.errors import ConfigError
from synth_assets.storage.exchange import Area, FolderArea, ObjectArea
from synth_assets.storage.objects import ObjectFolder
from synth_assets.storage.s3_options import S3Options

SHARED_MODE = 0o660  # the other side may be another user of a common group; the files are sealed


def open_area(place: str, options: S3Options | None = None) -> Area:
    """An exchange area outside the home.

    Args:
        place: A folder, absolute, or s3://bucket/prefix.
        options: How S3 is reached; as the environment says when None.

    Raises:
        ConfigError: it is neither.
    """
    if place.startswith("s3://"):
        found = options or S3Options.from_environment()
        return ObjectArea(ObjectFolder(place, found, name="the exchange area"))
    folder = Path(place)
    if not folder.is_absolute() or "://" in place:
        raise ConfigError("the exchange area is neither an absolute folder nor s3://bucket/prefix.", key="exchange")
    return FolderArea(folder, mode=SHARED_MODE)
