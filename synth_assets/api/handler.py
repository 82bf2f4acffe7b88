"""The audit as one stateless function: a request in, the public form of the result out. For AWS Lambda and other containers.

Nothing is kept: no home folder, no history, no telemetry; downloads lie in a private temporary folder that is removed also after a
failure. Without Dagster. `python -m synth_assets.api.handler < event.json` answers one event on this machine.
"""

from __future__ import annotations

import base64
import binascii
import json
import sys
from collections.abc import Mapping
from typing import Any

from synth_assets.api.requests import AuditRequest, read_request, require_addresses
from synth_assets.errors import InputError, SynthAssetsError, libraries_silenced, withhold_values

LONGEST_BODY = 65_536
BAD_REQUEST, UNUSABLE, UNEXPECTED, UNAVAILABLE = 400, 422, 500, 502
_STATUS = {2: UNUSABLE, 5: UNAVAILABLE}  # by the error's exit code


def handle(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one request.

    Args:
        request: `{"synthetic_data_url": ..., "real_data_url"?, "holdout_data_url"?, "protected_attributes"?, "target"?, "unit"?,
            "primary_key"?, "foreign_keys"?, "sequence_order"?, "impossible"?, "contract"?, "columns"?, "levels"?, "weights"?,
            "seed"?}`; `AuditRequest` describes every key.

    Returns:
        The public form of the audit's result, as JSON-able values. The full form, which tells more of the real rows, never leaves.

    Raises:
        InputError: the request is malformed, or its tables cannot be judged.
        SourceError: an address is no table, expired, refused, private or too large.
        ServiceUnavailableError: a server does not answer.
        UnexpectedError: anything else, without its text.
    """
    return _answered(_validated(request))


def lambda_handler(event: Mapping[str, Any], context: object = None) -> dict[str, Any]:
    """What AWS Lambda calls.

    Args:
        event: A request, or an event of a function URL or of API Gateway whose body is a request.
        context: Of the invocation; not used.

    Returns:
        The answer, or `{"error": {code, message, file, row, column, key, remedy}}`; for events with a body as `{statusCode, headers,
        body}`: 400 for a malformed request, 422 for tables that cannot be judged, 502 for a server that does not answer, 500 for the
        unexpected.
    """
    del context
    status, answer = _answer(event)
    if not _by_http(event):
        return answer
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(answer, allow_nan=False)}


def _answer(event: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    try:
        request = _validated(_body(event) if _by_http(event) else event)
    except InputError as error:
        return BAD_REQUEST, error.as_dict()
    try:
        return 200, _answered(request)
    except SynthAssetsError as error:
        return _STATUS.get(error.exit_code, UNEXPECTED), error.as_dict()


def _validated(given: Mapping[str, Any]) -> AuditRequest:
    """A request whose tables are addresses: it must not read the files of this machine."""
    request = read_request(given)
    require_addresses(request)
    return request


def _answered(request: AuditRequest) -> dict[str, Any]:
    from synth_assets.api.auditing import audit

    with withhold_values("the audit"), libraries_silenced():
        result = audit(
            request.synthetic_data_url,
            request.real_data_url,
            request.holdout_data_url,
            declared=request.declared,
            protected=request.protected_attributes,
            target=request.target,
            settings=request.settings,
            seed=request.seed,
        )
        answer: dict[str, Any] = json.loads(result.public().model_dump_json())
        return answer


def _by_http(event: Mapping[str, Any]) -> bool:
    return "requestContext" in event or "httpMethod" in event


def _body(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request in the body of an event.

    Raises:
        InputError: there is none, or it is no JSON object.
    """
    text = event.get("body") or ""
    try:
        raw = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else str(text).encode()
        request = json.loads(raw) if len(raw) <= LONGEST_BODY else None
    except (binascii.Error, ValueError):
        request = None
    if not isinstance(request, dict):
        raise InputError(
            f"the body is no JSON object of at most {LONGEST_BODY} bytes.",
            remedy='Send {"synthetic_data_url": "https://..."} with POST.',
        )
    return request


def main() -> int:
    """Answer the event on standard input; the exit code is 0 where there is a result."""
    try:
        event = json.load(sys.stdin)
    except ValueError:
        event = None
    given = event if isinstance(event, dict) else {"body": "", "requestContext": {}}
    answer = lambda_handler(given)
    sys.stdout.write(json.dumps(answer, indent=1, allow_nan=False) + "\n")
    return 0 if answer.get("statusCode", 200 if "error" not in answer else UNEXPECTED) == 200 else 2


if __name__ == "__main__":
    sys.exit(main())
