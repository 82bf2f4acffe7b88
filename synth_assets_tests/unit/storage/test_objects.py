"""Objects of a bucket over HTTP: whole or not at all, encrypted where that is asked for, with credentials of a profile or a role."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from synth_assets.errors import ConfigError, ServiceUnavailableError
from synth_assets.storage import objects
from synth_assets.storage.objects import ObjectFolder, folder_of
from synth_assets.storage.s3_options import S3Options


@pytest.fixture
def folder(s3_bucket):
    return ObjectFolder(f"s3://{s3_bucket.name}/in/box", S3Options.from_environment())


def test_objects_are_listed_below_the_prefix_only(folder, s3_bucket):
    for key in ("in/box/a.csv", "in/box/sub/b.csv", "in/boxer/c.csv", "in/box/"):
        s3_bucket.client.put_object(Bucket=s3_bucket.name, Key=key, Body=b"x,y\n")
    found = list(folder.listing())
    assert [(o.key, o.size) for o in found] == [("a.csv", 4), ("sub/b.csv", 4)]
    assert found[0].etag and found[0].modified.tzinfo is not None
    assert [o.key for o in folder.listing("sub/")] == ["sub/b.csv"]


def test_a_listing_of_more_than_one_page_is_complete(folder, monkeypatch):
    monkeypatch.setattr(objects, "PAGE_KEYS", 2)
    for number in range(5):
        folder.write(f"{number}", b"")
    assert [o.key for o in folder.listing()] == list("01234")


def test_an_object_can_be_read_streamed_downloaded_and_moved(folder, tmp_path):
    folder.write("a b.csv", b"id\n1\n")
    assert folder.read("a b.csv") == b"id\n1\n"
    with folder.open("a b.csv") as stream:
        assert (stream.read(2), stream.read()) == (b"id", b"\n1\n")
    folder.download("a b.csv", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == b"id\n1\n"
    folder.move("a b.csv", "taken/ä.csv")
    assert folder.find("a b.csv") is None and folder.read("a b.csv") is None
    assert folder.read("taken/ä.csv") == b"id\n1\n"
    folder.delete("taken/ä.csv")
    assert list(folder.listing()) == []


@pytest.mark.parametrize("act", ["open", "download", "move"])
def test_an_object_that_is_gone_is_a_clear_error(folder, tmp_path, act):
    with pytest.raises(ServiceUnavailableError):
        if act == "open":
            folder.open("gone").__enter__()
        elif act == "download":
            folder.download("gone", tmp_path / "x")
        else:
            folder.move("gone", "there")


def test_a_large_file_goes_up_in_parts_and_comes_back_whole(folder, s3_bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "PART_BYTES", 5 * 2**20)  # the least that S3 takes
    content = bytes(range(256)) * 2**16  # 16 MiB: four parts
    (tmp_path / "large").write_bytes(content)
    folder.upload(tmp_path / "large", "large")
    assert folder.read("large") == content
    head = s3_bucket.client.head_object(Bucket=s3_bucket.name, Key="in/box/large")
    assert head["ETag"].strip('"').endswith("-4")


def test_an_upload_that_breaks_off_leaves_nothing(folder, s3_bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "PART_BYTES", 5 * 2**20)
    (tmp_path / "large").write_bytes(bytes(11 * 2**20))
    real = ObjectFolder._call

    def broken(self, operation, **arguments):
        if operation == "upload_part" and arguments["PartNumber"] == 2:
            raise ServiceUnavailableError("cut")
        return real(self, operation, **arguments)

    monkeypatch.setattr(ObjectFolder, "_call", broken)
    with pytest.raises(ServiceUnavailableError, match="cut"):
        folder.upload(tmp_path / "large", "large")
    assert folder.find("large") is None
    assert "Uploads" not in s3_bucket.client.list_multipart_uploads(Bucket=s3_bucket.name)


def test_what_a_killed_process_left_is_aborted_by_the_next_one(folder, s3_bucket):
    for key in ("in/box/ds/a/1", "in/box/ds/b/1"):
        s3_bucket.client.create_multipart_upload(Bucket=s3_bucket.name, Key=key)
    assert folder.abort_leftovers("ds/a/") == 1
    left = s3_bucket.client.list_multipart_uploads(Bucket=s3_bucket.name)["Uploads"]
    assert [u["Key"] for u in left] == ["in/box/ds/b/1"]


def test_every_upload_carries_the_hash_of_what_was_read(folder, tmp_path, monkeypatch):
    sent = []
    client = folder.options.client()

    class Watched:
        def put_object(self, **arguments):
            sent.append(arguments["ChecksumSHA256"])
            return client.put_object(**arguments)

    monkeypatch.setattr(S3Options, "client", lambda self, **_: Watched())
    (tmp_path / "f").write_bytes(b"abc")
    folder.upload(tmp_path / "f", "f")
    assert sent == ["ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="]  # SHA-256 of abc (FIPS 180-4)


def test_the_server_is_asked_to_encrypt(s3_bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTH_ASSETS_S3_ENCRYPTION", "sse-kms")
    monkeypatch.setenv("SYNTH_ASSETS_S3_KMS_KEY", "alias/clinic")
    folder = ObjectFolder(f"s3://{s3_bucket.name}/x", S3Options.from_environment())
    folder.write("a", b"1")
    folder.move("a", "b")
    monkeypatch.setattr(objects, "PART_BYTES", 5 * 2**20)
    (tmp_path / "large").write_bytes(bytes(6 * 2**20))
    folder.upload(tmp_path / "large", "c")
    for key in ("x/b", "x/c"):
        head = s3_bucket.client.head_object(Bucket=s3_bucket.name, Key=key)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/clinic")


def test_encryption_with_keys_of_s3_is_asked_for(s3_bucket, monkeypatch):
    monkeypatch.setenv("SYNTH_ASSETS_S3_ENCRYPTION", "sse-s3")
    folder = ObjectFolder(f"s3://{s3_bucket.name}/x", S3Options.from_environment())
    folder.write("a", b"1")
    assert s3_bucket.client.head_object(Bucket=s3_bucket.name, Key="x/a")["ServerSideEncryption"] == "AES256"


def test_a_link_opens_the_object_without_credentials_and_says_when_it_ends(folder):
    folder.write("sub/table.csv", b"id\n1\n")
    link = folder.link("sub/table.csv", 90)
    assert parse_qs(urlsplit(link).query)["X-Amz-Expires"] == ["90"]
    with urllib.request.urlopen(link) as answer:  # noqa: S310  our own server
        assert answer.read() == b"id\n1\n"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="table.csv"'


def test_a_profile_may_name_a_role(s3_bucket, s3_server, tmp_path, monkeypatch):
    (tmp_path / "credentials").write_text("[base]\naws_access_key_id = testing\naws_secret_access_key = testing\n")
    role = "arn:aws:iam::123456789012:role/zone-of-masked-tables"
    (tmp_path / "config").write_text(
        f"[profile base]\nregion = us-east-1\n[profile masked]\nrole_arn = {role}\nsource_profile = base\nregion = us-east-1\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_server)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("SYNTH_ASSETS_S3_MASKED", f"s3://{s3_bucket.name}/masked")
    monkeypatch.setenv("SYNTH_ASSETS_S3_MASKED_PROFILE", "masked")
    place = folder_of("SYNTH_ASSETS_S3_MASKED")
    assert place is not None
    place.write("a", b"1")
    assert place.read("a") == b"1"
    credentials = place.options.client()._request_signer._credentials
    assert credentials.method == "assume-role" and credentials.get_frozen_credentials().token
    monkeypatch.setenv("SYNTH_ASSETS_S3_MASKED_PROFILE", "another")
    with pytest.raises(ConfigError, match="no profile 'another'"):
        folder_of("SYNTH_ASSETS_S3_MASKED").read("a")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SYNTH_ASSETS_S3_RELEASE", "bucket/x", "SYNTH_ASSETS_S3_RELEASE is not of the form"),
        ("SYNTH_ASSETS_S3_RELEASE", "s3:///x", "SYNTH_ASSETS_S3_RELEASE is not of the form"),
        ("SYNTH_ASSETS_S3_RELEASE", "s3://key:secret@bucket/x", "SYNTH_ASSETS_S3_RELEASE is not of the form"),
        ("SYNTH_ASSETS_S3_ENDPOINT", "minio:9000", "SYNTH_ASSETS_S3_ENDPOINT is no address"),
        ("SYNTH_ASSETS_S3_ENDPOINT", "https://key:secret@minio:9000", "SYNTH_ASSETS_S3_ENDPOINT is no address"),
        ("SYNTH_ASSETS_S3_ENDPOINT", "http://minio.example:9000", "SYNTH_ASSETS_S3_ENDPOINT leads to another machine without TLS"),
        ("SYNTH_ASSETS_S3_ENCRYPTION", "aes", "SYNTH_ASSETS_S3_ENCRYPTION is neither"),
        ("SYNTH_ASSETS_S3_KMS_KEY", "alias/x", "SYNTH_ASSETS_S3_KMS_KEY names a key"),
    ],
)  # fmt: skip
def test_a_malformed_variable_is_named_and_its_value_is_not_quoted(monkeypatch, name, value, message):
    monkeypatch.setenv("SYNTH_ASSETS_S3_RELEASE", "s3://bucket/x")
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message) as raised:
        folder_of("SYNTH_ASSETS_S3_RELEASE")
    assert "secret" not in str(raised.value)


def test_a_host_that_is_allowed_by_name_needs_no_tls(monkeypatch):
    monkeypatch.setenv("SYNTH_ASSETS_S3_ENDPOINT", "http://minio.example:9000")
    monkeypatch.setenv("SYNTH_ASSETS_PLAINTEXT_HOSTS", "postgres, Minio.Example")
    assert S3Options.from_environment().endpoint == "http://minio.example:9000"


def test_a_profile_without_its_place_is_an_error(monkeypatch):
    monkeypatch.setenv("SYNTH_ASSETS_S3_MASKED_PROFILE", "masked")
    with pytest.raises(ConfigError, match="SYNTH_ASSETS_S3_MASKED is not"):
        folder_of("SYNTH_ASSETS_S3_MASKED")


def test_errors_of_the_service_quote_no_credentials(s3_bucket, tmp_path):
    place = ObjectFolder("s3://no-such-bucket-here/x", S3Options.from_environment())
    (tmp_path / "f").write_bytes(b"1")
    for act in (lambda: place.upload(tmp_path / "f", "f"), lambda: list(place.listing()), lambda: place.read("f")):
        with pytest.raises(ServiceUnavailableError, match="no bucket 'no-such-bucket-here'") as raised:
            act()
        assert "canary" not in str(raised.value) and raised.value.__cause__ is None


def test_nothing_is_asked_before_the_first_use(tmp_path: Path) -> None:
    ObjectFolder("s3://bucket/x", S3Options(endpoint="http://127.0.0.1:9"))  # no client, no network
