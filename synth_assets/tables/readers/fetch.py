"""From the path of a configuration to local files: folders listed, https:// and s3:// objects downloaded, .gz expanded, all bounded.

Messages show an address without user, password and query: a signed link is a secret.
"""

from __future__ import annotations

import gzip
import http.client
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from synth_assets.errors import ConfigError, ServiceUnavailableError, SourceError
from synth_assets.tables.readers.limits import MIB, Limits

_BLOCK_BYTES = 4 * MIB
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class LocalFile:
    """A file to read: where it lies, its name at the source (which tells the format), and how messages name it."""

    path: Path
    name: str
    label: str


def is_remote(path: str) -> bool:
    """Whether a path is an address."""
    return path.startswith(("https://", "http://", "s3://"))


def safe_label(address: str) -> str:
    """An address without user, password, query and fragment."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def local_files(path: str, *, base_dir: Path, workspace: Path, limits: Limits) -> list[LocalFile]:
    """The file or files behind a path, as plain local files.

    Args:
        path: As configured: a file, a folder, or an address.
        base_dir: Relative paths start here.
        workspace: Private folder for downloads and expanded files.
        limits: Bounds of one read.

    Raises:
        SourceError: nothing is there, or it is too large.
        ServiceUnavailableError: a server does not answer.
    """
    if path.startswith("s3://"):
        found = _from_s3(path, workspace, limits)
    elif is_remote(path):
        found = [_from_https(path, workspace, limits)]
    else:
        local = base_dir / path
        found = [LocalFile(p, p.name, str(p)) for p in folder_files(local)] if local.is_dir() else [_existing(local)]
    return [_expanded(file, workspace, limits) for file in found]


def folder_files(folder: Path) -> list[Path]:
    """The data files of a folder, by name: hidden files and those that start with _ are left out.

    Raises:
        SourceError: there is none, or the files are of several kinds.
    """
    files = sorted(
        p for p in folder.iterdir() if p.is_file() and not p.name.startswith((".", "_")) and p.name != "schema.json"
    )
    if not files:
        raise SourceError(
            "the folder holds no data file.", file=str(folder), remedy="Put CSV or Parquet files of one table into it."
        )
    suffixes = sorted(
        {"".join(p.suffixes[-2:]).lower() if p.suffix.lower() == ".gz" else p.suffix.lower() for p in files}
    )
    if len(suffixes) > 1:
        raise SourceError(
            f"the folder holds files of several kinds ({', '.join(s or 'no suffix' for s in suffixes)}).",
            file=str(folder),
            remedy="Keep the files of one table, all of one kind, in a folder of their own.",
        )
    return files


def _existing(path: Path) -> LocalFile:
    if not path.exists():
        raise SourceError(
            "the file does not exist.", file=str(path), remedy="Check `path`; it is relative to the YAML."
        )
    if not path.is_file():
        raise SourceError("this is neither a file nor a folder.", file=str(path))
    return LocalFile(path, path.name, str(path))


def _expanded(file: LocalFile, workspace: Path, limits: Limits) -> LocalFile:
    """A .gz file expanded, with a limit on size and ratio."""
    if not file.name.lower().endswith(".gz"):
        return file
    target = workspace / f"expanded-{file.path.name.removesuffix('.gz')}"
    compressed = max(file.path.stat().st_size, 1)
    try:
        with gzip.open(file.path, "rb") as source, target.open("wb") as out:
            _copy(source, out, lambda n: _refuse_bomb(n, compressed, limits, file.label))
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise SourceError(
            "the gzip data is damaged, or is no gzip.", file=file.label, remedy="Compress the file again."
        ) from None
    return LocalFile(target, file.name[:-3], file.label)


def _refuse_bomb(expanded: int, compressed: int, limits: Limits, label: str) -> None:
    ratio = expanded / compressed
    if expanded > limits.expanded_bytes or (expanded > limits.free_expansion_bytes and ratio > limits.expansion_ratio):
        raise SourceError(
            f"the file expands to more than {expanded // MIB} MiB, {ratio:.0f} times its size.",
            file=label,
            remedy="If that is right, expand it first and give the plain file.",
        )


def _copy(source: Any, out: IO[bytes], check: Callable[[int], None]) -> int:
    """Copy in blocks; `check` sees the total after each. Gives the number of bytes."""
    total = 0
    while block := source.read(_BLOCK_BYTES):
        total += len(block)
        check(total)
        out.write(block)
    return total


class _SameSafety(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        try:
            _require_safe(newurl)
        except ConfigError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_safe(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return
    raise ConfigError(
        "the address must start with https://.",
        file=safe_label(address),
        key="source.path",
        remedy="Use https, or download the file.",
    )


def _open(address: str, limits: Limits, method: str = "GET") -> Any:
    """An open response.

    Raises:
        SourceError: the server says that there is nothing to read.
        ServiceUnavailableError: it does not answer.
    """
    _require_safe(address)
    label = safe_label(address)
    request = urllib.request.Request(address, method=method)  # noqa: S310  the scheme was checked
    opener = urllib.request.build_opener(_SameSafety)
    try:
        return opener.open(request, timeout=limits.timeout_seconds)
    except ConfigError:
        raise
    except urllib.error.HTTPError as error:
        code = error.code
        error.close()
    except (OSError, ValueError) as error:
        raise ServiceUnavailableError(
            f"the server does not answer ({type(error).__name__}).",
            file=label,
            remedy="Check the address and the network.",
        ) from None
    if code >= 500 or code == 429:
        raise ServiceUnavailableError(
            f"the server answers with an error (HTTP {code}).", file=label, remedy="Try again later."
        )
    if code in {401, 403}:
        raise SourceError(
            f"the server refuses the file (HTTP {code}).",
            file=label,
            remedy="The link may have expired; make a fresh one.",
        )
    raise SourceError(f"the server has no such file (HTTP {code}).", file=label, remedy="Check the address.")


def _from_https(address: str, workspace: Path, limits: Limits) -> LocalFile:
    label = safe_label(address)
    name = PurePosixPath(unquote(urlsplit(address).path)).name or "download"
    target = workspace / f"download-{_file_name(name)}"
    with _open(address, limits) as response:
        announced = int(response.headers.get("Content-Length") or 0)
        _refuse_large(announced, limits, label)
        try:
            with target.open("wb") as out:
                received = _copy(response, out, lambda n: _refuse_large(n, limits, label))
        except (OSError, http.client.HTTPException):
            received = -1
    if received < announced:
        raise ServiceUnavailableError("the download broke off.", file=label, remedy="Try again.")
    return LocalFile(target, name, label)


def _file_name(name: str) -> str:
    """A name that is safe on this disk."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[-100:]


def _refuse_large(size: int, limits: Limits, label: str) -> None:
    if size > limits.download_bytes:
        raise SourceError(
            f"the object is larger than {limits.download_bytes // MIB} MiB.",
            file=label,
            remedy="Download it by hand and give the local path.",
        )


def _from_s3(address: str, workspace: Path, limits: Limits) -> list[LocalFile]:
    """One object, or all objects below a prefix that ends with /."""
    bucket, key = _bucket_and_key(address)
    client = _s3_client(limits)
    keys = _s3_listing(client, bucket, key, address) if key.endswith("/") or not key else [key]
    found = []
    for number, one in enumerate(keys):
        label = f"s3://{bucket}/{one}"
        size = int(_s3_call(label, client.head_object, Bucket=bucket, Key=one)["ContentLength"])
        _refuse_large(size, limits, label)
        name = PurePosixPath(one).name
        target = workspace / f"download-{number:05d}-{_file_name(name)}"
        with target.open("wb") as out:
            _s3_call(label, client.download_fileobj, bucket, one, out)
        found.append(LocalFile(target, name, label))
    return found


def _bucket_and_key(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key


def _s3_client(limits: Limits) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise ServiceUnavailableError("reading s3:// needs the package boto3.", remedy="pip install boto3") from None
    return boto3.client(
        "s3",
        config=Config(
            connect_timeout=limits.timeout_seconds, read_timeout=limits.timeout_seconds, retries={"max_attempts": 3}
        ),
    )


def _s3_listing(client: Any, bucket: str, prefix: str, address: str) -> list[str]:
    answer = _s3_call(address, client.list_objects_v2, Bucket=bucket, Prefix=prefix)
    keys = [
        o["Key"]
        for o in answer.get("Contents", ())
        if not PurePosixPath(o["Key"]).name.startswith((".", "_")) and not o["Key"].endswith("/")
    ]
    if not keys or answer.get("IsTruncated"):
        problem = "more than 1,000 objects" if keys else "no object"
        raise SourceError(
            f"the prefix holds {problem}.",
            file=address,
            remedy="Name one object, or a prefix with the files of one table.",
        )
    return sorted(keys)


def _s3_call(label: str, call: Any, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: Mapping[str, Any] = call(*args, **kwargs) or {}
    except ClientError as error:
        code = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        if code == "404":
            raise SourceError(
                "the store has no such object or bucket.", file=label, remedy="Check the address."
            ) from None
        if code in {"401", "403"}:
            raise SourceError(
                "the store refuses access.", file=label, remedy="Check the credentials and the bucket's policy."
            ) from None
        raise ServiceUnavailableError(f"the store answers with an error (HTTP {code}).", file=label) from None
    except BotoCoreError as error:
        raise ServiceUnavailableError(
            f"the store cannot be reached ({type(error).__name__}).",
            file=label,
            remedy="Check the region, the endpoint and the credentials.",
        ) from None
    return answer


def remote_version(address: str, limits: Limits) -> str | None:
    """What a server says about the version of an object (ETag, date, size), or None where it says nothing."""
    if address.startswith("s3://"):
        bucket, key = _bucket_and_key(address)
        client = _s3_client(limits)
        keys = _s3_listing(client, bucket, key, address) if key.endswith("/") or not key else [key]
        heads = [_s3_call(f"s3://{bucket}/{k}", client.head_object, Bucket=bucket, Key=k) for k in keys]
        return "\n".join(f"{k} {h.get('ETag')} {h['ContentLength']}" for k, h in zip(keys, heads, strict=True))
    with _open(address, limits, "HEAD") as response:
        told = [response.headers.get(name) for name in ("ETag", "Last-Modified", "Content-Length")]
    return "\n".join(str(t) for t in told) if told[0] or told[1] else None
