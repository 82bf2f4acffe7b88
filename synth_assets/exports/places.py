"""Released files at a place in S3: uploaded below the hash of their content, and current when `current.json` is written last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth_assets.storage.objects import ObjectFolder

POINTER = "current.json"


def put_files(
    folder: Path, objects: ObjectFolder, *, content: str, about: Mapping[str, Any], again: bool = False
) -> bool:
    """Upload every file of a folder; a reader who begins at `current.json` sees the old files or the new.

    Args:
        folder: The files.
        objects: Where they go: `<content>/<name>` each.
        content: Hash of what they are made from; the same hash is not uploaded again.
        about: What the pointer says beside the keys.
        again: Upload what is there already.

    Returns:
        Whether anything was uploaded.

    Raises:
        ServiceUnavailableError: the bucket does not answer as expected; the pointer still names the old files.
    """
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    pointer = json.dumps(
        {**about, "content": content, "files": {n: f"{content}/{n}" for n in names}}, indent=1
    ).encode()
    if not again and objects.read(POINTER) == pointer:
        there = {found.key: found.size for found in objects.listing(f"{content}/")}
        if there == {f"{content}/{n}": (folder / n).stat().st_size for n in names}:
            return False
    objects.abort_leftovers("")
    for name in names:
        objects.upload(folder / name, f"{content}/{name}")
    objects.write(POINTER, pointer)
    return True
