"""Objects below one prefix of a bucket: list, read, write, move, delete, and links that expire.

An object appears whole or not at all: small ones are one request, large ones a multipart upload, completed last and aborted when it
fails. Every upload carries the SHA-256 of what was read from the disk, and a server that supports it refuses anything else.
"""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from synth_assets.errors import ConfigError, ServiceUnavailableError, SynthAssetsError
from synth_assets.storage.s3_options import S3Options, unreachable

PART_BYTES = 16 * 2**20
PAGE_KEYS = 1_000
_MOST_PARTS = 10_000
_THREADS = 4
_BLOCK = 2**20
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_OTHER_VERSION = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "409", "412"})
_RIGHTS = frozenset({"AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})


@dataclass(frozen=True)
class StoredObject:
    """One object as a listing shows it.

    Args:
        key: Below the prefix.
        size: Bytes.
        etag: Changes with the content; no hash of it in general.
        modified: When it was last written, UTC.
    """

    key: str
    size: int
    etag: str
    modified: datetime


def split_url(url: str, name: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://bucket/prefix`.

    Args:
        url: The address.
        name: What holds it (a variable, a key of the YAML), for messages.

    Raises:
        ConfigError: it has another form.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket or any(c in url for c in "?#@ "):
        raise ConfigError(f"{name} is not of the form s3://bucket/prefix.")
    return bucket, prefix.strip("/")


class ObjectFolder:
    """The objects below `s3://bucket/prefix`. Keys are relative to it.

    Args:
        url: s3://bucket/prefix.
        options: How S3 is reached.
        name: What names the address in messages.
    """

    def __init__(self, url: str, options: S3Options, *, name: str = "the address") -> None:
        self.bucket, self.prefix = split_url(url, name)
        self.options = options

    def location(self, key: str) -> str:
        """URL of an object, to show to a person; it opens nothing."""
        return f"s3://{self.bucket}/{self._key(key)}"

    def listing(self, below: str = "", *, below_only: bool = False) -> Iterator[StoredObject]:
        """The objects whose key begins with `below`, in order of their keys.

        Args:
            below: Beginning of the keys.
            below_only: Leave out what lies further below, behind another `/`.

        Raises:
            ServiceUnavailableError: the bucket does not answer as expected.
        """
        token: dict[str, Any] = {"Delimiter": "/"} if below_only else {}
        base = self._key("")
        while True:
            page = self._call("list_objects_v2", Prefix=self._key(below), MaxKeys=PAGE_KEYS, **token)
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):  # what consoles write for an empty folder
                    key = str(item["Key"]).removeprefix(base)
                    yield StoredObject(key, int(item["Size"]), str(item["ETag"]).strip('"'), item["LastModified"])
            if not page.get("IsTruncated"):
                return
            token["ContinuationToken"] = page["NextContinuationToken"]

    def find(self, key: str) -> StoredObject | None:
        """One object without its content, or None."""
        head = self._ask("head_object", Key=self._key(key))
        if head is None:
            return None
        return StoredObject(key, int(head["ContentLength"]), str(head["ETag"]).strip('"'), head["LastModified"])

    def read(self, key: str) -> bytes | None:
        """The content of a small object, or None where there is none."""
        found = self.read_version(key)
        return None if found is None else found[0]

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        """The content of a small object and its etag, or None where there is none."""
        answer = self._ask("get_object", Key=self._key(key))
        if answer is None:
            return None
        with self._faults(), answer["Body"] as body:
            return bytes(body.read()), str(answer["ETag"])

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """The content as a stream; what is read at the beginning is read only once.

        Raises:
            ServiceUnavailableError: there is no such object, or the connection broke.
        """
        answer = self._call("get_object", Key=self._key(key))
        with self._faults(), answer["Body"] as body:
            yield body

    def download(self, key: str, target: Path) -> None:
        """Write the content into a new local file; parts of large objects are fetched side by side and again where one breaks off.

        Raises:
            ServiceUnavailableError: there is no such object, or the service does not answer.
        """
        from boto3.s3.transfer import TransferConfig

        config = TransferConfig(multipart_threshold=2 * PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4)
        with self._faults(), target.open("wb") as out:
            self.options.client().download_fileobj(self.bucket, self._key(key), out, Config=config)

    def write(self, key: str, data: bytes) -> None:
        """Put a small object, replacing what is there."""
        with self._faults():
            self._put(key, data)

    def swap(self, key: str, data: bytes, *, instead_of: str | None) -> bool:
        """Put a small object only in place of the version that was read.

        Args:
            key: The object.
            data: Its new content.
            instead_of: The etag that `read_version` gave; None where there was no object.

        Returns:
            False where there is another version by now.
        """
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if instead_of is None else {"IfMatch": instead_of}
        with self._faults():
            try:
                self._put(key, data, **condition)
            except ClientError as error:
                if _code(error) in _MISSING | _OTHER_VERSION:
                    return False
                raise
        return True

    def _put(self, key: str, data: bytes, **condition: str) -> None:
        sha = base64.b64encode(hashlib.sha256(data).digest()).decode()
        self.options.client().put_object(
            Bucket=self.bucket, Key=self._key(key), Body=data, ChecksumSHA256=sha, **self.options.upload_arguments, **condition
        )  # fmt: skip

    def upload(self, path: Path, key: str) -> None:
        """Put a file of any size; another process never sees a part of it.

        Raises:
            ServiceUnavailableError: the service does not answer, or received other bytes than were sent. Nothing is left behind.
        """
        size = path.stat().st_size
        if size <= PART_BYTES:
            self.write(key, path.read_bytes())
            return
        full = self._key(key)
        started = self._call(
            "create_multipart_upload", Key=full, ChecksumAlgorithm="SHA256", **self.options.upload_arguments
        )
        upload: dict[str, Any] = {"Key": full, "UploadId": started["UploadId"]}
        try:
            parts = self._upload_parts(path, size, upload)
            self._call("complete_multipart_upload", MultipartUpload={"Parts": parts}, **upload)
        except BaseException:
            self._abort(upload)
            raise

    def abort_leftovers(self, below: str) -> int:
        """Abort the multipart uploads that a killed process left below a key; only where nobody else can be writing.

        Returns:
            How many there were.
        """
        page = self._call("list_multipart_uploads", Prefix=self._key(below))
        found = page.get("Uploads", ())
        for one in found:
            self._abort({"Key": one["Key"], "UploadId": one["UploadId"]})
        return len(found)

    def move(self, key: str, to: str) -> None:
        """Copy an object within the prefix on the server, then delete the first one. A crash between leaves both.

        Raises:
            ServiceUnavailableError: there is no such object, or the service does not answer.
        """
        self.copy(key, to)
        self.delete(key)

    def copy(self, key: str, to: str) -> None:
        """Copy an object within the prefix on the server.

        Raises:
            ServiceUnavailableError: there is no such object, or the service does not answer.
        """
        source = {"Bucket": self.bucket, "Key": self._key(key)}
        with self._faults():
            extra = self.options.upload_arguments
            self.options.client().copy(source, self.bucket, self._key(to), ExtraArgs=extra or None)

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens where there is none."""
        self._call("delete_object", Key=self._key(key))

    def link(self, key: str, seconds: int) -> str:
        """A signed address that gives the object to whoever has it, until it expires. It is a secret: show it, never store it.

        Args:
            key: The object.
            seconds: Lifetime; S3 allows 7 days, and credentials of a role end sooner.
        """
        with self._faults():
            name = key.rpartition("/")[2].replace('"', "")
            asked = {
                "Bucket": self.bucket,
                "Key": self._key(key),
                "ResponseContentDisposition": f'attachment; filename="{name}"',
            }
            return str(self.options.client().generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds))

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _upload_parts(self, path: Path, size: int, upload: dict[str, Any]) -> list[dict[str, Any]]:
        step = max(PART_BYTES, _BLOCK * math.ceil(size / _MOST_PARTS / _BLOCK))

        def send(number: int) -> dict[str, Any]:
            with path.open("rb") as file:
                file.seek((number - 1) * step)
                data = file.read(step)
            sha = base64.b64encode(hashlib.sha256(data).digest()).decode()
            answer = self._call("upload_part", PartNumber=number, Body=data, ChecksumSHA256=sha, **upload)
            return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": sha}

        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(send, range(1, math.ceil(size / step) + 1)))

    def _abort(self, upload: dict[str, Any]) -> None:
        """Give the parts back; where even that fails, the next writer aborts them, and so does a lifecycle rule of the bucket."""
        try:
            self._call("abort_multipart_upload", **upload)
        except SynthAssetsError:
            return

    def _call(self, operation: str, **arguments: Any) -> Any:
        """One request."""
        with self._faults():
            return getattr(self.options.client(), operation)(**{"Bucket": self.bucket, **arguments})

    def _ask(self, operation: str, **arguments: Any) -> Any:
        """One request about an object that need not be there: None where it is not."""
        from botocore.exceptions import ClientError

        with self._faults():
            try:
                return getattr(self.options.client(), operation)(**{"Bucket": self.bucket, **arguments})
            except ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Name the bucket and the kind of fault; texts of boto3 and urllib3 may quote addresses with signatures."""
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ClientError as error:
            raise _refused(_code(error), self.bucket) from None
        except (BotoCoreError, HTTPError) as error:
            raise unreachable(
                type(error).__name__, f"the bucket {self.bucket!r}", profile=self.options.profile
            ) from None


def folder_of(variable: str) -> ObjectFolder | None:
    """The place in S3 that an environment variable names, with the credentials of the profile in `<variable>_PROFILE`.

    Args:
        variable: Its name; the value is s3://bucket/prefix.

    Returns:
        None where the variable is not set.

    Raises:
        ConfigError: the value, or one of the variables about S3, is malformed; names it.
    """
    url, profile = os.environ.get(variable), os.environ.get(f"{variable}_PROFILE")
    if url is None:
        if profile is not None:
            raise ConfigError(f"{variable}_PROFILE is set, and {variable} is not.", remedy="Set both, or neither.")
        return None
    options = S3Options.from_environment().of_profile(profile)
    return ObjectFolder(url, options, name=f"the environment variable {variable}")


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _refused(code: str, bucket: str) -> SynthAssetsError:
    if code == "NoSuchBucket":
        return ServiceUnavailableError(
            f"there is no bucket {bucket!r}.", remedy="Make it; synth-assets never makes a bucket by itself."
        )
    if code in _RIGHTS:
        return ServiceUnavailableError(
            f"these credentials may not do this in the bucket {bucket!r} ({code}).",
            remedy="Check the role or the AWS_* variables, and the policy of the bucket and of its key.",
        )
    if code in {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}:
        return ServiceUnavailableError(
            f"the bucket {bucket!r} received other bytes than were sent ({code}); nothing was stored.",
            remedy="Run again; where it stays, something between this machine and the service changes data.",
        )
    return ServiceUnavailableError(
        f"the bucket {bucket!r} does not answer as expected ({code}).",
        remedy="Check SYNTH_ASSETS_S3_* and the credentials (AWS_* variables or the role).",
    )
