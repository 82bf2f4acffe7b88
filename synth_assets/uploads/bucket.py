"""The inbox as a prefix of an S3 bucket. An object appears whole or not at all; the rule of two looks holds here as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from synth_assets.errors import MissingArtifactError
from synth_assets.storage.objects import ObjectFolder
from synth_assets.uploads.inbox import Entry


class BucketInbox:
    """Objects below one prefix; those further below (`taken/`, `quarantine/`) are not looked at.

    Args:
        objects: The prefix.
    """

    def __init__(self, objects: ObjectFolder) -> None:
        self.objects = objects

    @property
    def place(self) -> str:
        """The address."""
        return self.objects.location("")

    def entries(self) -> list[Entry]:
        """The objects right below the prefix."""
        found = [
            Entry(o.key, o.size, f"{o.etag} {o.modified.isoformat()}") for o in self.objects.listing(below_only=True)
        ]
        return sorted(found, key=lambda e: e.name)

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """The object's bytes, as they come."""
        self._require(name)
        with self.objects.open(name) as body:
            yield body

    def move(self, name: str, to: str) -> str:
        """Copy, then delete; a name that is taken gets a number. What was put in between is not deleted."""
        target, number = to, 2
        while self.objects.find(target) is not None:
            target, number = f"{to}.{number}", number + 1
        etag = self._require(name)
        self.objects.copy(name, target)
        if self._require(name) == etag:
            self.remove(name)
        return target

    def _require(self, name: str) -> str:
        found = self.objects.find(name)
        if found is None:
            raise MissingArtifactError("the file is no longer in the inbox.", remedy="Drop it again.")
        return found.etag

    def remove(self, name: str) -> None:
        """Delete; S3 does not mind where it is gone."""
        self.objects.delete(name)

    def write(self, name: str, data: bytes) -> None:
        """One put."""
        self.objects.write(name, data)
