"""Opens the inbox that the settings name: a folder, or a prefix in S3."""

from __future__ import annotations

from pathlib import Path

from synth_assets.config.runtime import Settings
from synth_assets.errors import ServiceUnavailableError
from synth_assets.storage.objects import ObjectFolder
from synth_assets.uploads.bucket import BucketInbox
from synth_assets.uploads.inbox import FolderInbox, Inbox, unfinished

VARIABLE = "SYNTH_ASSETS_INBOX"


def open_inbox(settings: Settings) -> Inbox:
    """The inbox of an installation; a folder below the home is made when absent.

    Raises:
        ServiceUnavailableError: the folder that the environment names elsewhere is not there. A mistyped or unmounted one would
            look like one into which nobody drops anything.
    """
    place = _place(settings)
    if isinstance(place, ObjectFolder):
        return BucketInbox(place)
    if not place.is_dir() and not place.is_relative_to(settings.home):
        raise ServiceUnavailableError(
            "there is no such folder, so no dropped file is seen.", file=str(place), key=VARIABLE,
            remedy="Check its name, and that its disk is mounted; a new one is yours to make, with mode 0700.",
        )  # fmt: skip
    return FolderInbox(place)


def inbox_words(settings: Settings) -> str:
    """How many files lie in the inbox, for health and previews: nothing is made or taken, and no name is told.

    Raises:
        ServiceUnavailableError: it is not there, or cannot be listed.
    """
    place = _place(settings)
    if isinstance(place, Path) and not place.exists() and place.is_relative_to(settings.home):
        return f"{place}: made when the sensor `inbox` first looks."
    inbox = open_inbox(settings)
    waiting = sum(1 for entry in inbox.entries() if not unfinished(entry.name))
    return f"{inbox.place}: files that lie there: {waiting:,}."


def _place(settings: Settings) -> Path | ObjectFolder:
    return settings.inbox or settings.home / "inbox"
