"""From the path of a configuration to local files: folders listed, patterns matched, addresses downloaded, compressed files expanded.

Messages show an address without user, password and query: a signed link is a secret.
"""

from __future__ import annotations

import glob
import re
from pathlib import Path

from synth_assets.errors import ConfigError, SourceError
from synth_assets.tables.readers import stores, web
from synth_assets.tables.readers.expand import SUFFIXES, expanded
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.readers.transfer import LocalFile, safe_label

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
SCHEMES = ("https", "http", "s3", *stores.EXTRAS)


def is_remote(path: str) -> bool:
    """Whether a path is an address."""
    return _SCHEME.match(path) is not None


def _scheme(address: str) -> str:
    """The scheme of an address.

    Raises:
        ConfigError: files with it are not read.
    """
    scheme = address.partition("://")[0].lower()
    if scheme not in SCHEMES:
        raise ConfigError(
            "addresses of this kind are not read.",
            file=safe_label(address),
            key="source.path",
            remedy="Give a local path, or an address that starts with https://, s3://, gs:// or abfss://.",
        )
    return scheme


def local_files(path: str, *, base_dir: Path, workspace: Path, limits: Limits) -> list[LocalFile]:
    """The file or files behind a path, as plain local files.

    Args:
        path: As configured: a file, a folder, a pattern, or an address.
        base_dir: Relative paths start here.
        workspace: Private folder for downloads and expanded files.
        limits: Bounds of one read.

    Raises:
        SourceError: nothing is there, or it is too large.
        ServiceUnavailableError: a server does not answer.
    """
    if not is_remote(path):
        found = [LocalFile(p, p.name, str(p)) for p in path_files(path, base_dir)]
    elif (scheme := _scheme(path)) == "s3":
        found = stores.from_s3(path, workspace, limits)
    elif scheme in stores.EXTRAS:
        found = stores.from_fsspec(path, workspace, limits)
    else:
        found = [web.from_web(path, workspace, limits)]
    plain = []
    for number, file in enumerate(found):
        own = workspace / f"plain-{number:05d}"
        own.mkdir()
        plain.append(expanded(file, own, limits))
    return plain


def path_files(path: str, base_dir: Path) -> list[Path]:
    """The local files behind a path: the file itself, the files of a folder, or those that match a pattern.

    Raises:
        SourceError: there is none, or they are of several kinds.
    """
    local = base_dir / path
    if local.is_dir():
        return _folder_files(local)
    if local.is_file():
        return [local]
    if local.exists():
        raise SourceError("this is neither a file nor a folder.", file=str(local))
    if not glob.has_magic(path):
        raise SourceError(
            "the file does not exist.", file=str(local), remedy="Check `path`; it is relative to the YAML."
        )
    matches = (base_dir / m for m in glob.glob(path, root_dir=base_dir, recursive=True))  # noqa: PTH207  a pattern may be absolute
    files = sorted(p for p in matches if p.is_file() and not p.name.startswith((".", "_")))
    if not files:
        raise SourceError(
            "the pattern matches no file.", file=str(local), remedy="Check `path`; ** stands for any folders."
        )
    _require_one_kind(files, str(local), "the pattern matches")
    return files


def _folder_files(folder: Path) -> list[Path]:
    """The data files of a folder, by name: hidden files and those that start with _ are left out."""
    entries = [p for p in sorted(folder.iterdir()) if not p.name.startswith((".", "_"))]
    files = [p for p in entries if p.is_file() and p.name != "schema.json"]
    kinds = {_kind(p) for p in files}
    for inner in (p for p in entries if p.is_dir()):
        if any(p.is_file() and (_kind(p) in kinds or not kinds) for p in inner.rglob("*")):
            raise SourceError(
                "the folder holds data files in folders of its own.",
                file=str(folder),
                remedy=f"Name one folder, or the files of one table by a pattern such as {folder.name}/**/*.csv.",
            )
    if not files:
        raise SourceError(
            "the folder holds no data file.", file=str(folder), remedy="Put CSV or Parquet files of one table into it."
        )
    _require_one_kind(files, str(folder), "the folder holds")
    return files


def _kind(path: Path) -> str:
    """The suffix that tells the format, with that of its compression."""
    suffix = path.suffix.lower()
    return "".join(path.suffixes[-2:]).lower() if suffix in SUFFIXES else suffix


def _require_one_kind(files: list[Path], label: str, what: str) -> None:
    suffixes = sorted({_kind(p) for p in files})
    if len(suffixes) > 1:
        raise SourceError(
            f"{what} files of several kinds ({', '.join(s or 'no suffix' for s in suffixes)}).",
            file=label,
            remedy="Keep the files of one table, all of one kind, in a folder of their own.",
        )


def remote_version(address: str, limits: Limits) -> str | None:
    """What a server says about the version of an object (ETag, date, size), or None where it says nothing."""
    scheme = _scheme(address)
    if scheme == "s3":
        return stores.s3_version(address, limits)
    return stores.fsspec_version(address) if scheme in stores.EXTRAS else web.web_version(address, limits)
