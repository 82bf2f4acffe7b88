"""Opens the inbox that the settings name: a folder, or a prefix in S3."""

from __future__ import annotations

from synth_assets.config.runtime import Settings
from synth_assets.storage.objects import ObjectFolder
from synth_assets.uploads.bucket import BucketInbox
from synth_assets.uploads.inbox import FolderInbox, Inbox


def open_inbox(settings: Settings) -> Inbox:
    """The inbox of an installation; a folder is made when absent."""
    place = settings.inbox or settings.home / "inbox"
    return BucketInbox(place) if isinstance(place, ObjectFolder) else FolderInbox(place)
