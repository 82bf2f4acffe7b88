"""Which files a job may read and write that is asked for over the web: those of the home, and of folders that the operator names.

What belongs here: the rule for paths of run config. What does not: addresses (tables/readers/addresses.py), the exchange area
(exchanged.py), sources of a dataset's YAML and the command line, which belong to the operator and may lie anywhere.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from pathlib import Path

from synth_assets.api.file_requests import FileRequest
from synth_assets.config.runtime import JOB_FOLDERS_VARIABLE, Settings
from synth_assets.errors import AccessRefusedError
from synth_assets.storage.exchange import is_reference

HANDED_ON = frozenset({"masked", "release"})  # zones of var/ that hold what may leave the service
_RULE = (
    "A job reads and writes below the home of the service (not what is hidden, and of var/ only masked and release; configs/ is not "
    f"written), and in folders that {JOB_FOLDERS_VARIABLE} names. Send other files through the client, or ask the operator."
)


def admit_request(request: FileRequest, settings: Settings) -> None:
    """Refuse a request that names a file which is not for jobs.

    Raises:
        AccessRefusedError: names the key; the same words whether there is such a file or not.
    """
    for key in request.inputs:
        place = getattr(request, key)
        if key == "file":
            admit_tables({key: place}, settings)
        elif place is not None and not is_reference(place):
            admit_file(key, place, settings)
    policy = getattr(request, "policy", None)
    if policy is not None:
        named = Path(policy).suffix in {".yaml", ".yml"}
        admit_file("policy", policy if named else str(Path("configs", "policies", f"{policy}.yaml")), settings)
    out = getattr(request, "out", None)
    if out is not None and not is_reference(out) and not _is_admitted(out, settings, writing=True):
        raise _refused("out")


def admit_tables(places: Mapping[str, str], settings: Settings) -> None:
    """Refuse tables that are not for jobs; addresses have rules of their own.

    Raises:
        AccessRefusedError: as of `admit_request`.
    """
    from synth_assets.tables.readers.fetch import is_remote

    for key, place in places.items():
        if not is_reference(place) and not is_remote(place):
            admit_file(key, place, settings)


def admit_file(key: str, place: str, settings: Settings) -> None:
    """Refuse a path of this machine that is not for jobs: a file, a folder, or a pattern.

    Raises:
        AccessRefusedError: as of `admit_request`.
    """
    if not _is_admitted(place, settings, writing=False):
        raise _refused(key)


def _is_admitted(place: str, settings: Settings, *, writing: bool) -> bool:
    try:
        found = [Path(place).resolve()]
        if not writing and glob.has_magic(place):
            if ".." in Path(place).parts:
                return False
            fixed = next(p for p in Path(place).parents if not glob.has_magic(str(p))).resolve()
            if not (fixed == settings.home or _is_open(fixed, settings, writing=False)):
                return False
            found += [Path(match).resolve() for match in glob.glob(place, recursive=True)]  # noqa: PTH207  as it is read
        if not all(_is_open(path, settings, writing=writing) for path in found):
            return False
        entries = [e for path in found if not writing and path.is_dir() for e in path.iterdir()]
        return all(_is_open(e.resolve(), settings, writing=False) for e in entries if not e.name.startswith("."))
    except (
        OSError,
        RuntimeError,
        ValueError,
    ):  # a circle of links, a zero byte, a folder that is closed to the service
        return False


def _is_open(path: Path, settings: Settings, *, writing: bool) -> bool:
    """Whether a path without links and dots is for jobs."""
    secrets = (
        value for name, value in os.environ.items() if name.startswith("SYNTH_ASSETS_") and name.endswith("_FILE")
    )
    if any(path == Path(secret).resolve() for secret in secrets):
        return False
    if not path.is_relative_to(settings.home):
        return any(path.is_relative_to(folder) for folder in settings.job_folders)
    first, *rest = path.relative_to(settings.home).parts or (".",)
    if any(part.startswith(".") for part in (first, *rest)):
        return False
    if first == "var":
        return not writing and bool(rest) and rest[0] in HANDED_ON
    return not (writing and first == "configs")


def _refused(key: str) -> AccessRefusedError:
    return AccessRefusedError("this path is not for jobs.", key=key, remedy=_RULE)
