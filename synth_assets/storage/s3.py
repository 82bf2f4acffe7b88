"""The S3 backend of the artifact store.

An artifact becomes visible when its mark is put, after all its files, and current when `current.json` is put, which is the last
request of all. What is read back is hashed: it must be the content that the key names.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from synth_assets.errors import DamagedArtifactError
from synth_assets.storage import atomic
from synth_assets.storage.artifacts import Pointer
from synth_assets.storage.hashing import hash_folder
from synth_assets.storage.objects import ObjectFolder

COMPLETE_MARK = "_complete"


class S3Backend:
    """Folders as key prefixes of one bucket.

    Args:
        objects: The zone's bucket and prefix.
        cache: Local folder for artifacts that were read or written here; content-addressed, so never stale. It may be deleted.
    """

    def __init__(self, objects: ObjectFolder, cache: Path) -> None:
        self.objects = objects
        self.cache = cache

    def commit(self, staged: Path, key: str) -> None:
        """Upload every file, then the mark that says the artifact is complete; the files stay in the cache."""
        if self.objects.find(f"{key}/{COMPLETE_MARK}") is None:
            self.objects.abort_leftovers(key.rpartition("/")[0] + "/")
            for path in sorted(p for p in staged.rglob("*") if p.is_file()):
                self.objects.upload(path, f"{key}/{path.relative_to(staged).as_posix()}")
            self.objects.write(f"{key}/{COMPLETE_MARK}", b"")
        self._keep(staged, key)

    def local(self, key: str) -> Path | None:
        """Download the artifact into the cache, once.

        Raises:
            DamagedArtifactError: the objects are not what was uploaded.
        """
        return self._downloaded(key, checked=True)

    def raw(self, key: str) -> Path | None:
        """The same without the check, for files that are sealed: their encryption says whether they were changed."""
        return self._downloaded(key, checked=False)

    def _downloaded(self, key: str, *, checked: bool) -> Path | None:
        folder = self.cache / key
        if folder.is_dir():
            return folder
        names = [found.key.removeprefix(f"{key}/") for found in self.objects.listing(f"{key}/")]
        if COMPLETE_MARK not in names:
            return None
        atomic.private_folder(folder.parent)
        with atomic.staging_folder(self.cache) as staged:
            for name in names:
                if name == COMPLETE_MARK:
                    continue
                target = staged / name
                atomic.private_folder(target.parent)
                self.objects.download(f"{key}/{name}", target)
            if checked and hash_folder(staged) != key.rpartition("/")[2]:
                raise DamagedArtifactError(
                    "the files of this artifact have changed since they were written.",
                    file=self.location(key),
                    remedy="Somebody or something wrote to the bucket: find out who. Then materialise the asset again, with --fresh.",
                )
            atomic.commit_folder(staged, folder)
        return folder

    def _keep(self, staged: Path, key: str) -> None:
        """Move what was uploaded into the cache: the next step reads it here."""
        folder = self.cache / key
        atomic.private_folder(folder.parent)
        try:
            atomic.commit_folder(staged, folder)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with atomic.staging_folder(self.cache) as place:  # the stage is on another disk
                atomic.commit_folder(shutil.copytree(staged, place / "files"), folder)

    def write_pointer(self, key: str, data: bytes, *, instead_of: Pointer | None) -> bool:
        """One conditional put: the service refuses it where the object is another than the one that was read."""
        return self.objects.swap(key, data, instead_of=None if instead_of is None else instead_of.version)

    def read_pointer(self, key: str) -> Pointer | None:
        """One get."""
        found = self.objects.read_version(key)
        return None if found is None else Pointer(*found)

    def clear_partial(self, dataset: str) -> None:
        """Delete the objects of folders that have no mark of completeness, and unfinished uploads."""
        self.objects.abort_leftovers(f"{dataset}/")
        names = [found.key for found in self.objects.listing(f"{dataset}/")]
        complete = {name.removesuffix(f"/{COMPLETE_MARK}") for name in names if name.endswith(f"/{COMPLETE_MARK}")}
        for name in names:
            folder = "/".join(name.split("/")[:3])  # dataset, asset, content hash
            if name.count("/") > 2 and folder not in complete:
                self.objects.delete(name)

    def remove(self, key: str) -> None:
        """Delete the artifact's objects, the mark first."""
        self.objects.delete(f"{key}/{COMPLETE_MARK}")
        for found in list(self.objects.listing(f"{key}/")):
            self.objects.delete(found.key)
        shutil.rmtree(self.cache / key, ignore_errors=True)

    def location(self, key: str) -> str:
        """URL of the artifact."""
        return self.objects.location(key)

    def names(self) -> Iterator[str]:
        """Keys below the prefix."""
        return (found.key for found in self.objects.listing() if not found.key.endswith(f"/{COMPLETE_MARK}"))

    def replace(self, name: str, file: Path) -> None:
        """One upload."""
        self.objects.upload(file, name)

    def forget(self, key: str) -> None:
        """Remove the downloaded folder."""
        shutil.rmtree(self.cache / key, ignore_errors=True)
