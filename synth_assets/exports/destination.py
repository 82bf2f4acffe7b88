"""Whether something can be written at a place, asked before any work is done or any budget is spent."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from synth_assets.errors import InputError
from synth_assets.exports.formats import check_suffix


def check_file(path: Path, *, sources: Iterable[Path] = ()) -> None:
    """Raise where a table cannot be written to this file.

    Args:
        path: The file, absolute.
        sources: Files that are read; none of them may be overwritten.

    Raises:
        InputError: the suffix names no format, the path is a folder, a source, or in a folder that cannot be written.
    """
    if path.is_dir():
        raise InputError("this is a folder.", file=str(path), key="--out", remedy="Name a file, such as out.csv.")
    check_suffix(path)
    for source in sources:
        if path.exists() and source.exists() and path.samefile(source):
            raise InputError(
                "the output is the file that is read.", file=str(path), key="--out", remedy="Name another file."
            )
    _check_writable(path.parent)


def check_folder(path: Path) -> None:
    """Raise where no folder can be made or filled at this path.

    Raises:
        InputError: the path is a file, or lies in a folder that cannot be written.
    """
    _check_writable(path)


def _check_writable(folder: Path) -> None:
    """The folder, or the nearest one above it that exists, must be a folder that this user may write."""
    found = next(p for p in (folder, *folder.parents) if p.exists())
    if not found.is_dir():
        raise InputError("this is a file and not a folder.", file=str(found), key="--out", remedy="Name another place.")
    if not os.access(found, os.W_OK | os.X_OK):
        raise InputError(
            "this folder cannot be written.",
            file=str(found),
            key="--out",
            remedy="Name another place, or change its mode.",
        )
