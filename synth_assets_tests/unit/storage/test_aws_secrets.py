"""The master key in AWS Secrets Manager: strings, bytes, rotation, and one clear error for everything that can be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_assets.errors import ConfigError, ServiceUnavailableError, SynthAssetsError
from synth_assets.storage import aws_secrets
from synth_assets.storage.secrets import FILE_VARIABLE, KEY_VARIABLE, SECRET_VARIABLE, key_fingerprint, master_key

NAME = "synth-assets/master"
HEX = "ab" * 32


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment names a secret, a region and credentials; nothing of this machine's own is used."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in (("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_REGION", "eu-central-1")):
        monkeypatch.setenv(name, value)
    for name in (
        KEY_VARIABLE,
        FILE_VARIABLE,
        aws_secrets.ENDPOINT_VARIABLE,
        "AWS_PROFILE",
        "AWS_DEFAULT_REGION",
        "AWS_SESSION_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(SECRET_VARIABLE, NAME)


@pytest.fixture
def aws(access: None) -> Iterator[Any]:
    """A client of a made-up Secrets Manager; the process may read it."""
    import boto3
    from moto import mock_aws

    with mock_aws():
        yield boto3.client("secretsmanager", region_name="eu-central-1")


@pytest.mark.parametrize(
    "content", [{"SecretString": HEX + "\n"}, {"SecretBinary": bytes.fromhex(HEX)}, {"SecretBinary": HEX.encode()}]
)
def test_a_secret_is_hex_digits_or_bytes(aws: Any, tmp_path: Path, content: dict[str, Any]) -> None:
    aws.create_secret(Name=NAME, **content)
    key = master_key(tmp_path)
    assert key.value == bytes.fromhex(HEX)
    assert not key.development
    assert not (tmp_path / "master.key").exists()


def test_an_arn_names_its_own_region(aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = aws.create_secret(Name=NAME, SecretString=HEX)["ARN"]
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv(SECRET_VARIABLE, arn)
    assert master_key(tmp_path).value == bytes.fromhex(HEX)


def test_after_a_rotation_the_new_version_is_read_and_the_fingerprint_changes(aws: Any, tmp_path: Path) -> None:
    aws.create_secret(Name=NAME, SecretString=HEX)
    before = key_fingerprint(tmp_path)
    assert before == key_fingerprint(tmp_path) == master_key(tmp_path).fingerprint
    aws.put_secret_value(SecretId=NAME, SecretString="cd" * 32)
    assert key_fingerprint(tmp_path) != before
    assert master_key(tmp_path).value == bytes.fromhex("cd" * 32)


def test_while_the_service_does_not_answer_the_last_fingerprint_holds(
    aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert key_fingerprint(tmp_path / "other") == "unread"
    aws.create_secret(Name=NAME, SecretString=HEX)
    before = key_fingerprint(tmp_path)

    def away(*_: str) -> str:
        raise ServiceUnavailableError("no answer")

    monkeypatch.setattr(aws_secrets, "read_secret", away)
    assert key_fingerprint(tmp_path) == before
    assert (tmp_path / "fingerprint").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [{"SecretString": "pa55word-of-ours"}, {"SecretBinary": b"pa55word-of-ours"}])
def test_a_secret_that_is_no_key_is_refused_without_its_text(aws: Any, tmp_path: Path, content: dict[str, Any]) -> None:
    aws.create_secret(Name=NAME, **content)
    with pytest.raises(ConfigError, match="64 hex digits") as caught:
        master_key(tmp_path)
    assert "pa55word" not in str(caught.value)
    assert NAME in str(caught.value)


def test_a_missing_secret_and_one_marked_for_deletion_are_named(aws: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"has no secret '{NAME}'"):
        master_key(tmp_path)
    aws.create_secret(Name=NAME, SecretString=HEX)
    aws.delete_secret(SecretId=NAME)
    with pytest.raises(ConfigError, match="marked for deletion"):
        master_key(tmp_path)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("AccessDeniedException", ConfigError, "secretsmanager:GetSecretValue"),
        ("UnrecognizedClientException", ConfigError, "may not read"),
        ("DecryptionFailure", ConfigError, "kms:Decrypt"),
        ("InternalServiceError", ServiceUnavailableError, "InternalServiceError"),
    ],
)
def test_missing_rights_and_faults_of_the_service_are_told_apart(
    aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, kind: type[SynthAssetsError], words: str
) -> None:
    import boto3
    from botocore.exceptions import ClientError

    class Client:
        def get_secret_value(self, SecretId: str) -> None:  # noqa: N803  the name that AWS gave it
            raise ClientError({"Error": {"Code": code, "Message": HEX}}, "GetSecretValue")

    monkeypatch.setattr(boto3.session.Session, "client", lambda *_, **__: Client())
    with pytest.raises(kind, match=words) as caught:
        master_key(tmp_path)
    assert HEX not in str(caught.value)


def test_an_endpoint_of_ones_own_is_asked(access: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(aws_secrets.ENDPOINT_VARIABLE, "http://127.0.0.1:9")
    with pytest.raises(ServiceUnavailableError, match="EndpointConnectionError"):
        master_key(tmp_path)
    monkeypatch.setenv(aws_secrets.ENDPOINT_VARIABLE, "no address")
    with pytest.raises(ServiceUnavailableError, match="ValueError"):
        master_key(tmp_path)


def test_without_region_or_credentials_the_error_says_which(
    access: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(ConfigError, match="no region is set"):
        master_key(tmp_path)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(ConfigError, match="no credentials"):
        master_key(tmp_path)
