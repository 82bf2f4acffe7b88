"""Dagster's GraphQL, as far as the client needs it: find a job, launch it, follow its run, read what it said.

Answers of Dagster are 200 with a `__typename`; those that are errors become ours. What does not belong here: what a job means.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from synth_assets.errors import ConfigError, InputError, ServiceUnavailableError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
TIMEOUT_SECONDS = 60
_FOUND = """query Jobs { repositoriesOrError { __typename ... on RepositoryConnection { nodes {
  name location { name } jobs { name } } } } }"""
_LAUNCH = """mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on RunConfigValidationInvalid { errors { reason path: stack { entries { __typename
      ... on EvaluationStackPathEntry { fieldName } } }
    ... on FieldNotDefinedConfigError { fieldName } ... on FieldsNotDefinedConfigError { fieldNames }
    ... on MissingFieldConfigError { field { name } } ... on MissingFieldsConfigError { fields { name } } } }
  ... on UnauthorizedError { message } } }"""
_STATUS = "query Status($id: ID!) { runOrError(runId: $id) { __typename ... on Run { status } } }"
_ENTRY = """metadataEntries { __typename label
  ... on IntMetadataEntry { intRepr } ... on FloatMetadataEntry { floatValue } ... on TextMetadataEntry { text }
  ... on PathMetadataEntry { path } ... on JsonMetadataEntry { jsonString } ... on BoolMetadataEntry { boolValue }
  ... on MarkdownMetadataEntry { mdStr } ... on UrlMetadataEntry { url } }"""
_EVENTS = f"""query Events($id: ID!, $after: String) {{ logsForRun(runId: $id, afterCursor: $after, limit: 500) {{ __typename
  ... on EventConnection {{ cursor hasMore events {{ __typename
    ... on ExecutionStepOutputEvent {{ stepKey {_ENTRY} }}
    ... on ExecutionStepFailureEvent {{ stepKey failureMetadata {{ {_ENTRY} }} }}
    ... on MaterializationEvent {{ assetKey {{ path }} {_ENTRY} }}
    ... on AssetCheckEvaluationEvent {{ evaluation {{ assetKey {{ path }} checkName success severity description }} }}
  }} }} }} }}"""
_OTHER_VERSION = "Use the client of the service's version."
_UNKNOWN = ("it does not know this key.", f"Check its spelling. {_OTHER_VERSION}")
_MISSING = ("it needs this key too.", f"Give it. {_OTHER_VERSION}")
_REFUSALS = {
    "FIELD_NOT_DEFINED": _UNKNOWN,
    "FIELDS_NOT_DEFINED": _UNKNOWN,
    "MISSING_REQUIRED_FIELD": _MISSING,
    "MISSING_REQUIRED_FIELDS": _MISSING,
    "RUNTIME_TYPE_MISMATCH": (
        "the value of this key is of another kind.",
        "The JSON Schema of the request says which.",
    ),
}
_STOP = """mutation Stop($id: String!) { terminateRun(runId: $id) { __typename } }"""


class GraphQL:
    """One Dagster webserver.

    Args:
        url: Address of the webserver, such as https://synth.example.org.
        headers: Sent with every request, such as those that a single sign-on proxy asks for.
        plain_http: Allow http:// to another machine; without it only https:// and this machine.

    Raises:
        ConfigError: the address has another form, or would send requests in clear to another machine.
    """

    def __init__(self, url: str, headers: Mapping[str, str], *, plain_http: bool = False) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
            raise ConfigError("the address of the service is not of the form https://host[:port][/path].", key="url")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not plain_http:
            raise ConfigError(
                "http:// to another machine sends requests in clear.",
                key="url",
                remedy="Use https://, or say plain_http=True where the network is yours.",
            )
        self._url, self._headers = f"{url.rstrip('/')}/graphql", dict(headers)

    def find(self, job: str) -> dict[str, str]:
        """The selector of a job.

        Raises:
            InputError: the service has no such job.
        """
        found = self._ask(_FOUND, {})["repositoriesOrError"]
        for node in found.get("nodes", ()):
            if any(one["name"] == job for one in node["jobs"]):
                return {
                    "repositoryName": node["name"],
                    "repositoryLocationName": node["location"]["name"],
                    "jobName": job,
                }
        raise InputError(
            f"the service has no job {job!r}.", remedy="Check the dataset's name, and that the code location is loaded."
        )

    def launch(self, job: str, config: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Start a run and return its id.

        Raises:
            InputError: there is no such job, or its run config is refused.
        """
        params = {
            "selector": self.find(job),
            "runConfigData": dict(config),  # never as text: Dagster reads that as YAML 1.1, in which 1e-06 is no number
            "mode": "default",
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
        }
        answer = self._ask(_LAUNCH, {"params": params})["launchRun"]
        if answer["__typename"] == "LaunchRunSuccess":
            return str(answer["run"]["runId"])
        if answer["__typename"] == "RunConfigValidationInvalid":
            raise _refusal(answer["errors"][0])
        raise ServiceUnavailableError(f"the service did not start the run ({answer['__typename']}).")

    def status(self, run_id: str) -> str:
        """Dagster's status of a run: QUEUED, STARTING, STARTED, SUCCESS, FAILURE, CANCELED ...

        Raises:
            InputError: there is no such run.
        """
        answer = self._ask(_STATUS, {"id": run_id})["runOrError"]
        if answer["__typename"] != "Run":
            raise InputError("the service has no such run.", key="run_id")
        return str(answer["status"])

    def events(self, run_id: str) -> Iterator[dict[str, Any]]:
        """Outputs, failures, materializations and checks of a run, in order; `metadata` is a plain mapping."""
        cursor: str | None = None
        while True:
            page = self._ask(_EVENTS, {"id": run_id, "after": cursor})["logsForRun"]
            for event in page.get("events", ()):
                if len(event) > 1:
                    told = event.get("failureMetadata") or event
                    yield {**event, "metadata": _plain(told.get("metadataEntries") or ())}
            if not page.get("hasMore"):
                return
            cursor = page["cursor"]

    def stop(self, run_id: str) -> None:
        """Ask Dagster to end a run."""
        self._ask(_STOP, {"id": run_id})

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        import requests

        try:
            answer = requests.post(
                self._url, json={"query": query, "variables": variables}, headers=self._headers, timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
            )  # fmt: skip
            status = answer.status_code
            found = answer.json() if status == requests.codes.ok else {}
        except (requests.RequestException, ValueError) as error:
            raise ServiceUnavailableError(
                f"the service does not answer ({type(error).__name__}).", remedy="Check the address and the network."
            ) from None
        if status != requests.codes.ok:
            raise ServiceUnavailableError(
                f"the service answers with status {status}.",
                remedy="A proxy in front may want other headers, or the rate limit is reached.",
            )
        if "data" not in found or found["data"] is None:
            raise ServiceUnavailableError("the service does not understand the request: it has another version.")
        return dict(found["data"])


def _refusal(error: Mapping[str, Any]) -> InputError:
    """Why a run config is refused, from the first of Dagster's errors; its message quotes values, so it is not used."""
    fields = [error.get("field"), *(error.get("fields") or ())]
    named = [error.get("fieldName"), *(error.get("fieldNames") or ()), *(f["name"] for f in fields if f)]
    first = next((name for name in named if name), None)
    places = [entry.get("fieldName") for entry in error["path"]["entries"]]
    key = ".".join(p for p in (*places[3:], first) if p) or None  # the three before say which job
    told, remedy = _REFUSALS.get(error["reason"], _REFUSALS["RUNTIME_TYPE_MISMATCH"])
    return InputError(f"the service refuses the request: {told}", key=key, remedy=remedy)


def _plain(entries: Any) -> dict[str, Any]:
    """Metadata entries as values."""
    return {entry["label"]: _value(entry) for entry in entries}


def _value(entry: Mapping[str, Any]) -> Any:
    if "jsonString" in entry:
        return json.loads(entry["jsonString"])
    if "intRepr" in entry:
        return int(entry["intRepr"])
    return next((v for k, v in entry.items() if k not in {"__typename", "label"}), None)
