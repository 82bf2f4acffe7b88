"""Objects of object stores: s3:// through boto3, gs:// and abfss:// through fsspec and the packages of the extras `gcs` and `azure`.

An address names one object, all objects directly below a prefix that ends with /, or those that a pattern (*, ?, [) matches.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from synth_assets.errors import AccessRefusedError, ServiceUnavailableError, SourceError, SynthAssetsError, is_full
from synth_assets.storage.s3_options import S3Options
from synth_assets.tables.readers.limits import Limits
from synth_assets.tables.readers.transfer import LocalFile, copy_blocks, file_name, refuse_large, safe_label

EXTRAS = {"gs": "gcs", "gcs": "gcs", "abfss": "azure", "abfs": "azure"}
MOST_OBJECTS = 10_000


def from_s3(address: str, workspace: Path, limits: Limits) -> list[LocalFile]:
    """Download the objects behind an s3:// address.

    Raises:
        SourceError: there is none, access is refused, or one is too large.
        ServiceUnavailableError: the store does not answer.
    """
    bucket, key = _bucket_and_key(address)
    client = _s3_client(limits)
    found = []
    for number, one in enumerate(_s3_keys(client, bucket, key, address)):
        label = f"s3://{bucket}/{one}"
        size = int(_s3_call(label, client.head_object, Bucket=bucket, Key=one)["ContentLength"])
        refuse_large(size, limits, label)
        name = PurePosixPath(one).name
        target = workspace / f"download-{number:05d}-{file_name(name)}"
        with target.open("wb") as out:
            _s3_call(label, client.download_fileobj, bucket, one, out)
        found.append(LocalFile(target, name, label))
    return found


def s3_version(address: str, limits: Limits) -> str:
    """ETags and sizes of the objects behind an address."""
    bucket, key = _bucket_and_key(address)
    client = _s3_client(limits)
    keys = _s3_keys(client, bucket, key, address)
    heads = [_s3_call(f"s3://{bucket}/{k}", client.head_object, Bucket=bucket, Key=k) for k in keys]
    return "\n".join(f"{k} {h.get('ETag')} {h['ContentLength']}" for k, h in zip(keys, heads, strict=True))


def _bucket_and_key(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key


def _s3_client(limits: Limits) -> Any:
    return S3Options.from_environment().client(read_seconds=limits.timeout_seconds)


def _s3_keys(client: Any, bucket: str, key: str, address: str) -> list[str]:
    """The key itself, or the keys below a prefix or of a pattern."""
    if not glob.has_magic(key):
        return _s3_listing(client, bucket, key, address) if key.endswith("/") or not key else [key]
    prefix = key[: min(key.index(c) for c in "*?[" if c in key)]
    return _s3_listing(client, bucket, prefix, address, pattern=key)


def _s3_listing(client: Any, bucket: str, prefix: str, address: str, pattern: str | None = None) -> list[str]:
    keys: list[str] = []
    options: dict[str, str] = {}
    while True:
        answer = _s3_call(address, client.list_objects_v2, Bucket=bucket, Prefix=prefix, **options)
        keys += [o["Key"] for o in answer.get("Contents", ())]
        if not answer.get("IsTruncated"):
            break
        options = {"ContinuationToken": answer["NextContinuationToken"]}
    return _chosen(keys, prefix, pattern, address)


def _chosen(keys: list[str], prefix: str, pattern: str | None, address: str) -> list[str]:
    """Those of the keys that are data files below a prefix, or match a pattern (whose * stays within one level)."""
    plain = [k for k in keys if not k.endswith("/") and not PurePosixPath(k).name.startswith((".", "_"))]
    if pattern is not None:
        plain = [k for k in plain if k.count("/") == pattern.count("/") and fnmatchcase(k, pattern)]
    elif any("/" in k.removeprefix(prefix) for k in plain):
        raise SourceError(
            "the prefix holds objects in folders of their own.",
            file=safe_label(address),
            remedy="Name one folder, or the objects of one table by a pattern such as folder/*/part-*.csv.",
        )
    if not plain or len(plain) > MOST_OBJECTS:
        problem = f"more than {MOST_OBJECTS} objects" if plain else "no object"
        raise SourceError(
            f"the {'pattern matches' if pattern else 'prefix holds'} {problem}.",
            file=safe_label(address),
            remedy="Name one object, or a prefix with the files of one table.",
        )
    return sorted(plain)


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
            raise AccessRefusedError(
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


def from_fsspec(address: str, workspace: Path, limits: Limits) -> list[LocalFile]:
    """Download the objects behind a gs:// or abfss:// address; credentials are those that the store's own package finds.

    Raises:
        SourceError: there is none, access is refused, or one is too large.
        ServiceUnavailableError: the package of the extra is missing, or the store does not answer.
    """
    store, path = _fsspec_store(address)
    found = []
    for number, one in enumerate(_fsspec_paths(store, path, address)):
        name = PurePosixPath(one).name
        label = f"{address.partition('://')[0]}://{one}"
        refuse_large(int(_fsspec_call(label, store.info, one).get("size") or 0), limits, label)
        target = workspace / f"download-{number:05d}-{file_name(name)}"
        with target.open("wb") as out:
            _fsspec_call(label, _fsspec_copy, store, one, out, limits, label)
        found.append(LocalFile(target, name, label))
    return found


def fsspec_version(address: str) -> str | None:
    """What a store says about the versions of the objects behind an address, or None where it says nothing."""
    store, path = _fsspec_store(address)
    told = []
    for one in _fsspec_paths(store, path, address):
        info = _fsspec_call(address, store.info, one)
        state = [info.get(k) for k in ("etag", "ETag", "md5Hash", "generation", "mtime", "last_modified", "created")]
        if not any(state):
            return None
        told.append(f"{one} {info.get('size')} {state}")
    return "\n".join(told)


def _fsspec_copy(store: Any, path: str, out: Any, limits: Limits, label: str) -> None:
    with store.open(path, "rb") as source:
        copy_blocks(source, out, lambda n: refuse_large(n, limits, label))


def _fsspec_store(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    scheme = address.partition("://")[0]
    extra = EXTRAS[scheme]
    try:
        import fsspec

        fsspec.get_filesystem_class(scheme)
    except (ImportError, ValueError):  # the second where the scheme itself comes with the package
        raise ServiceUnavailableError(
            f"reading {scheme}:// needs the extra `{extra}`.",
            file=safe_label(address),
            remedy=f"pip install 'synth-assets[{extra}]'",
        ) from None
    try:
        store, path = fsspec.core.url_to_fs(address)
    except Exception as error:  # noqa: BLE001  every store has error classes of its own
        raise _fsspec_fault(error, safe_label(address)) from None
    return store, str(path)


def _fsspec_paths(store: Any, path: str, address: str) -> list[str]:
    label = safe_label(address)
    if glob.has_magic(path):
        return _chosen(list(_fsspec_call(label, store.glob, path)), "", path, address)
    if not address.endswith("/"):
        return [path]
    folder = path.rstrip("/") + "/"
    return _chosen([str(p) for p in _fsspec_call(label, store.find, path)], folder, None, address)


def _fsspec_call(label: str, call: Any, *args: Any) -> Any:
    try:
        return call(*args)
    except SynthAssetsError:
        raise
    except Exception as error:
        if is_full(error):
            raise
        raise _fsspec_fault(error, label) from None


def _fsspec_fault(error: Exception, label: str) -> SynthAssetsError:
    if isinstance(error, FileNotFoundError | IsADirectoryError):
        return SourceError("the store has no such object or bucket.", file=label, remedy="Check the address.")
    if isinstance(error, PermissionError):
        return AccessRefusedError(
            "the store refuses access.", file=label, remedy="Check the credentials and their rights."
        )
    return ServiceUnavailableError(
        f"the store cannot be reached ({type(error).__name__}).",
        file=label,
        remedy="Check the address, the network and the credentials.",
    )
