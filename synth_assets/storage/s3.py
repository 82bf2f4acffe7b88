"""The S3 backend of the artifact store, on boto3 (which dagster-aws brings).

An S3 object appears whole or not at all; an artifact becomes current when `current.json` is put, which is the last request.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from synth_assets.errors import ServiceUnavailableError, SynthAssetsError
from synth_assets.storage import atomic

COMPLETE_MARK = "_complete"


class S3Backend:
    """Folders as key prefixes of one bucket.

    Args:
        url: s3://bucket/prefix.
        cache: Local folder for downloaded artifacts; content-addressed, so never stale.
        endpoint: Endpoint of a service other than AWS.
    """

    def __init__(self, url: str, cache: Path, endpoint: str | None = None) -> None:
        self.bucket, _, self.prefix = url.removeprefix("s3://").partition("/")
        self.cache = cache
        self.endpoint = endpoint

    def _call(self, operation: str, **arguments: Any) -> Any:
        """One S3 request; a failure names the bucket and the kind of error only."""
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            client = boto3.client("s3", endpoint_url=self.endpoint)
            return getattr(client, operation)(**{"Bucket": self.bucket, **arguments})
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
            if code in {"NoSuchKey", "404"}:
                return None
            raise self._unavailable(code) from None
        except BotoCoreError as error:
            raise self._unavailable(type(error).__name__) from None

    def _unavailable(self, reason: str) -> SynthAssetsError:
        return ServiceUnavailableError(
            f"the bucket {self.bucket!r} does not answer as expected ({reason}).",
            remedy="Check SYNTH_ASSETS_S3_* and the credentials (AWS_* variables or the role).",
        )

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _list(self, key: str) -> list[str]:
        names: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=self._key(key) + "/", **token)
            names += [item["Key"] for item in page.get("Contents", [])]
            if not page.get("IsTruncated"):
                return names
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def commit(self, staged: Path, key: str) -> None:
        """Upload every file, then the mark that says the artifact is complete."""
        if self._call("head_object", Key=self._key(f"{key}/{COMPLETE_MARK}")) is not None:
            return
        for path in sorted(p for p in staged.rglob("*") if p.is_file()):
            with path.open("rb") as body:
                self._call("put_object", Key=self._key(f"{key}/{path.relative_to(staged).as_posix()}"), Body=body)
        self._call("put_object", Key=self._key(f"{key}/{COMPLETE_MARK}"), Body=b"")

    def local(self, key: str) -> Path | None:
        """Download the artifact into the cache, once."""
        folder = self.cache / key
        if folder.is_dir():
            return folder
        names = self._list(key)
        base = self._key(key) + "/"
        if base + COMPLETE_MARK not in names:
            return None
        atomic.private_folder(self.cache)
        with atomic.staging_folder(self.cache) as staged:
            for name in names:
                relative = name.removeprefix(base)
                if relative == COMPLETE_MARK:
                    continue
                target = staged / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as out:
                    shutil.copyfileobj(self._call("get_object", Key=name)["Body"], out)
            atomic.commit_folder(staged, folder)
        return folder

    def write_pointer(self, key: str, data: bytes) -> None:
        """One put."""
        self._call("put_object", Key=self._key(key), Body=data)

    def read_pointer(self, key: str) -> bytes | None:
        """One get."""
        answer = self._call("get_object", Key=self._key(key))
        return None if answer is None else bytes(answer["Body"].read())

    def remove(self, key: str) -> None:
        """Delete the artifact's objects, the mark first."""
        base = self._key(key) + "/"
        for name in [base + COMPLETE_MARK, *(n for n in self._list(key) if n != base + COMPLETE_MARK)]:
            self._call("delete_object", Key=name)
        shutil.rmtree(self.cache / key, ignore_errors=True)

    def location(self, key: str) -> str:
        """URL of the artifact."""
        return f"s3://{self.bucket}/{self._key(key)}"
