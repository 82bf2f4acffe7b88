"""How S3 is reached: endpoint, credentials, encryption, retries. One place makes clients; nothing here knows what is stored.

Credentials are those that boto3 finds (role of the machine, `AWS_*` variables, a profile that may name a role to assume); none is ever
a setting of ours.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

from synth_assets.errors import ConfigError, ServiceUnavailableError, SynthAssetsError
from synth_assets.storage.transport import check_endpoint

ENDPOINT_VARIABLE = "SYNTH_ASSETS_S3_ENDPOINT"
ENCRYPTION_VARIABLE = "SYNTH_ASSETS_S3_ENCRYPTION"
KMS_VARIABLE = "SYNTH_ASSETS_S3_KMS_KEY"
ENCRYPTIONS = {"sse-s3": "AES256", "sse-kms": "aws:kms"}
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 10, 60, 5
_clients: dict[Any, Any] = {}


@dataclass(frozen=True)
class S3Options:
    """What every request to S3 needs.

    Args:
        endpoint: Endpoint of a service other than AWS; buckets are then part of the path, as most of them want it.
        profile: Profile of the AWS configuration files, whose credentials or role are used; None for what boto3 finds by itself.
        encryption: `sse-s3` or `sse-kms`: what the server is asked to encrypt each object with; None leaves it to the bucket.
        kms_key: Key of `sse-kms`; None for the account's own.
    """

    endpoint: str | None = None
    profile: str | None = None
    encryption: str | None = None
    kms_key: str | None = None

    @classmethod
    def from_environment(cls) -> S3Options:
        """Read the variables.

        Raises:
            ConfigError: one is malformed, or the endpoint has no TLS and is not allowed to; names it.
        """
        endpoint = check_endpoint(os.environ.get(ENDPOINT_VARIABLE), ENDPOINT_VARIABLE)
        encryption, key = os.environ.get(ENCRYPTION_VARIABLE), os.environ.get(KMS_VARIABLE)
        if encryption is not None and encryption not in ENCRYPTIONS:
            raise ConfigError(f"the environment variable {ENCRYPTION_VARIABLE} is neither sse-s3 nor sse-kms.")
        if key is not None and encryption != "sse-kms":
            raise ConfigError(
                f"{KMS_VARIABLE} names a key, and {ENCRYPTION_VARIABLE} does not ask for it.",
                remedy=f"Set {ENCRYPTION_VARIABLE}=sse-kms, or unset {KMS_VARIABLE}.",
            )
        return cls(endpoint=endpoint, encryption=encryption, kms_key=key)

    def of_profile(self, profile: str | None) -> S3Options:
        """The same with the credentials of another profile."""
        return replace(self, profile=profile)

    @property
    def upload_arguments(self) -> dict[str, Any]:
        """What a request that writes an object says about encryption."""
        if self.encryption is None:
            return {}
        key = {"SSEKMSKeyId": self.kms_key} if self.kms_key is not None else {}
        return {"ServerSideEncryption": ENCRYPTIONS[self.encryption], **key}

    def client(self, *, read_seconds: float = _READ_SECONDS) -> Any:
        """A boto3 client; one for each process, set of options and set of `AWS_*` variables.

        Args:
            read_seconds: How long an answer may take.

        Raises:
            ConfigError: the profile is not in the AWS configuration files, or no region is set.
        """
        aws = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_")))
        key = (os.getpid(), self, aws, read_seconds)
        if key not in _clients:
            _clients[key] = self._new_client(read_seconds)
        return _clients[key]

    def _new_client(self, read_seconds: float) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        config = Config(
            signature_version="s3v4",  # links of the older kind say their end in another way, and regions refuse them
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=read_seconds,
            retries={"mode": "standard", "max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS", _ATTEMPTS))},
            # our own SHA-256 goes with each upload; the trailing checksums of newer SDKs are not understood by every other service
            request_checksum_calculation="when_required",
        )
        try:
            session = boto3.session.Session(profile_name=self.profile)
            # the service does not need a region where it is not that of AWS; signatures do
            region = None if session.region_name or self.endpoint is None else "us-east-1"
            return session.client("s3", endpoint_url=self.endpoint, region_name=region, config=config)
        except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no address
            raise unreachable(type(error).__name__, self.endpoint or "AWS", profile=self.profile) from None


def unreachable(kind: str, place: str, *, profile: str | None = None) -> SynthAssetsError:
    """What a fault of boto3 before or without an answer means; its text may quote the request.

    Args:
        kind: Name of boto3's class of error.
        place: Bucket or endpoint.
        profile: Profile that was asked for.
    """
    if kind == "ProfileNotFound":
        return ConfigError(
            f"the AWS configuration files have no profile {profile!r}.",
            remedy="Check the variables that end in _PROFILE, and AWS_CONFIG_FILE.",
        )
    if kind in {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"}:
        return ServiceUnavailableError(
            f"there are no credentials for {place} ({kind}).",
            remedy="Give the process a role, AWS_* variables, or a profile (variables that end in _PROFILE).",
        )
    return ServiceUnavailableError(
        f"{place} does not answer ({kind}).",
        remedy=f"Check the network, {ENDPOINT_VARIABLE} and AWS_REGION.",
    )
