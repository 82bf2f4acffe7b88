"""One secret of AWS Secrets Manager, through boto3 (which dagster-aws brings). Errors name the secret, never its text."""

from __future__ import annotations

import os

from synth_assets.errors import ConfigError, ServiceUnavailableError, SynthAssetsError

ENDPOINT_VARIABLE = "SYNTH_ASSETS_SECRETS_ENDPOINT"
_SECONDS = 5
_RIGHTS = frozenset({"AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidClientTokenId"})
_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"})


def read_secret(name: str, variable: str = "SYNTH_ASSETS_MASTER_KEY_SECRET") -> str | bytes:
    """The current version of a secret: its string, or its bytes where it is binary.

    Region and credentials are those of the machine (role, or `AWS_*` variables); `SYNTH_ASSETS_SECRETS_ENDPOINT` names an endpoint
    other than that of the region.

    Args:
        name: Name or ARN.
        variable: The environment variable that names it, for errors.

    Raises:
        ConfigError: there is no such secret, it cannot be read with these rights, or no region or credentials are set.
        ServiceUnavailableError: the service does not answer.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    settings = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"max_attempts": 1})
    region = os.environ.get("AWS_REGION") or _region_of(name)  # else AWS_DEFAULT_REGION or the profile's
    try:
        session = boto3.session.Session(region_name=region)  # of its own: boto3's shared one keeps earlier credentials
        endpoint = os.environ.get(ENDPOINT_VARIABLE)
        client = session.client("secretsmanager", endpoint_url=endpoint, config=settings)
        answer = client.get_secret_value(SecretId=name)
    except ClientError as error:
        raise _refused(name, variable, str(error.response.get("Error", {}).get("Code", "unknown"))) from None
    except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no address
        raise _unreachable(name, type(error).__name__) from None
    secret: str | bytes = answer["SecretString"] if "SecretString" in answer else bytes(answer["SecretBinary"])
    return secret


def _region_of(name: str) -> str | None:
    """The region that an ARN names."""
    parts = name.split(":")
    return parts[3] if len(parts) > 6 and parts[0] == "arn" else None


def _refused(name: str, variable: str, code: str) -> SynthAssetsError:
    """What AWS said, in words."""
    if code == "ResourceNotFoundException":
        return ConfigError(
            f"AWS Secrets Manager has no secret {name!r} in this region and account, or no current version of it.",
            key=variable,
            remedy="Check the name and AWS_REGION.",
        )
    if code in _RIGHTS:
        return ConfigError(
            f"these credentials may not read the secret {name!r} ({code}).",
            key=variable,
            remedy="Allow secretsmanager:GetSecretValue on it to the role of this process.",
        )
    if code in {"DecryptionFailure", "KMSAccessDeniedException"}:
        return ConfigError(
            f"the secret {name!r} cannot be decrypted with these rights ({code}).",
            key=variable,
            remedy="Allow kms:Decrypt on its key to the role of this process.",
        )
    if code in {"InvalidRequestException", "InvalidParameterException", "ValidationException"}:
        return ConfigError(
            f"AWS Secrets Manager does not give the secret {name!r} ({code}); it may be marked for deletion.",
            key=variable,
            remedy="Restore it, or name another one.",
        )
    return ServiceUnavailableError(f"AWS Secrets Manager does not give the secret {name!r} ({code}).")


def _unreachable(name: str, kind: str) -> SynthAssetsError:
    if kind == "NoRegionError":
        return ConfigError(
            f"no region is set for the secret {name!r}.", remedy="Set AWS_REGION, or name the secret by ARN."
        )
    if kind in _CREDENTIALS:
        return ConfigError(
            f"there are no credentials to read the secret {name!r} ({kind}).",
            remedy="Give the process a role, or AWS_*.",
        )
    return ServiceUnavailableError(
        f"AWS Secrets Manager does not answer for the secret {name!r} ({kind}).",
        remedy=f"Check the network, AWS_REGION and {ENDPOINT_VARIABLE}.",
    )
