"""The inbox as a prefix in S3: the same taking, the same rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_assets.config.uploads import UploadsConfig
from synth_assets.errors import MissingArtifactError, ServiceUnavailableError
from synth_assets.storage.objects import ObjectFolder
from synth_assets.storage.opening import Protection, open_store
from synth_assets.storage.s3_options import S3Options
from synth_assets.uploads.bucket import BucketInbox
from synth_assets_tests.unit.uploads.conftest import Desk


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3
    from moto import mock_aws

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="drops")
        yield client


@pytest.fixture
def bucket_desk(s3: Any, tmp_path: Path) -> Desk:
    return Desk(
        BucketInbox(ObjectFolder("s3://drops/in/", S3Options())),
        open_store(Protection(tmp_path / "var", encrypted=False)),
    )


def put(s3: Any, name: str, content: str = "a,b\n1,2\n") -> None:
    s3.put_object(Bucket="drops", Key=f"in/{name}", Body=content.encode())


def keys(s3: Any) -> list[str]:
    return sorted(o["Key"] for o in s3.list_objects_v2(Bucket="drops").get("Contents", []))


def test_an_object_is_taken_once_and_moved_when_it_is_stored(bucket_desk: Desk, s3: Any, tmp_path: Path) -> None:
    put(s3, "a.csv")
    put(s3, "again.csv")
    found = bucket_desk.settled()
    (request,) = found.requests
    assert found.doubles == 1
    upload = bucket_desk.upload(request.upload)
    assert upload.fetch(tmp_path).read_text() == "a,b\n1,2\n"
    upload.stored()
    assert keys(s3) == [f"in/taken/{request.upload}/a.csv", f"in/taken/{request.upload}/again.csv"]
    assert upload.fetch(tmp_path).read_text() == "a,b\n1,2\n"


def test_a_large_object_is_refused_with_its_reason(bucket_desk: Desk, s3: Any) -> None:
    bucket_desk.config = UploadsConfig(max_upload_mb=0.001)
    put(s3, "a.csv", "x" * 2000)
    assert bucket_desk.settled().refused == 1
    assert keys(s3) == ["in/quarantine/a.csv", "in/quarantine/a.csv.reason.json"]
    reason = json.loads(s3.get_object(Bucket="drops", Key="in/quarantine/a.csv.reason.json")["Body"].read())
    assert "max_upload_mb is 0.001" in reason["message"]


def test_two_objects_of_one_name_in_quarantine_keep_both(bucket_desk: Desk, s3: Any) -> None:
    bucket_desk.config = UploadsConfig(max_upload_mb=0.000001)
    for content in ("first one", "second one"):
        put(s3, "a.csv", content)
        bucket_desk.settled()
    assert "in/quarantine/a.csv.2" in keys(s3)


def test_an_object_that_is_put_anew_meanwhile_is_not_lost(bucket_desk: Desk, s3: Any) -> None:
    put(s3, "a.csv")
    (request,) = bucket_desk.settled().requests
    put(s3, "a.csv", "other content")
    bucket_desk.upload(request.upload).stored()
    assert s3.get_object(Bucket="drops", Key="in/a.csv")["Body"].read() == b"other content"


def test_more_objects_than_one_answer_holds_are_all_listed(bucket_desk: Desk, s3: Any) -> None:
    for i in range(1001):
        put(s3, f"{i:04}.csv", str(i))
    assert len(bucket_desk.inbox.entries()) == 1001


def test_a_missing_bucket_is_a_service_that_does_not_answer(s3: Any) -> None:
    with pytest.raises(ServiceUnavailableError, match="no bucket 'absent'"):
        BucketInbox(ObjectFolder("s3://absent/in", S3Options())).entries()


def test_an_object_that_is_gone_is_told_as_gone(s3: Any) -> None:
    with pytest.raises(MissingArtifactError), BucketInbox(ObjectFolder("s3://drops/in", S3Options())).reading("a.csv"):
        pass
