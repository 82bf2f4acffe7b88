"""Steps as OpenTelemetry spans, sent to an OTLP collector over HTTP. No provider, exporter or global state of the SDK is used."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from typing import Any

from synth_assets import __version__
from synth_assets.errors import InputError
from synth_assets.observing.records import Step
from synth_assets.observing.sending import post

NAME = "the OTLP collector"
SERVICE = "synth-assets"


def send_step(endpoint: str, headers: Mapping[str, str], project: str, step: Step) -> None:
    """Send one span.

    Args:
        endpoint: Base address of the collector.
        headers: Of every request, such as its token.
        project: Name of this installation.
        step: What ended.

    Raises:
        ServiceUnavailableError: the collector does not answer.
        InputError: it refuses.
    """
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    _post(endpoint, headers, encode_spans([_span(project, step)]))


def probe(endpoint: str, headers: Mapping[str, str]) -> None:
    """Ask the collector whether it takes what this home sends; the request holds no span.

    Raises:
        ServiceUnavailableError: it does not answer.
        InputError: it refuses.
    """
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    _post(endpoint, headers, encode_spans([]))


def _span(project: str, step: Step) -> Any:
    """The steps of a run are one trace, whose id is the run's."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    context = SpanContext(
        _trace_id(step.run_id), 1 + secrets.randbelow(2**64 - 1), is_remote=False, trace_flags=TraceFlags(1)
    )
    told = {"service.name": SERVICE, "service.version": __version__, "deployment.environment.name": project}
    failed = step.failure
    return ReadableSpan(
        name=step.name, context=context, resource=Resource(told), attributes=attributes_of(step), kind=SpanKind.INTERNAL,
        instrumentation_scope=InstrumentationScope("synth_assets", __version__), start_time=step.began, end_time=step.ended,
        status=Status(StatusCode.OK) if failed is None else Status(StatusCode.ERROR, failed.text),
    )  # fmt: skip


def attributes_of(step: Step) -> dict[str, str | float]:
    """What a span says of its step; what is empty is left out."""
    told: dict[str, str | float] = {
        "run_id": step.run_id, "dataset": step.dataset, "asset": step.asset, "stage": step.stage, "outcome": step.outcome,
        "seconds": step.seconds, "error_code": "" if step.failure is None else step.failure.code,
    }  # fmt: skip
    return {f"synth_assets.{name}": value for name, value in told.items() if value != ""}


def _trace_id(run_id: str) -> int:
    try:
        return uuid.UUID(run_id).int
    except ValueError:
        return uuid.uuid4().int


def _post(endpoint: str, headers: Mapping[str, str], message: Any) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    sent = {**headers, "Content-Type": "application/x-protobuf", "User-Agent": f"synth-assets/{__version__}"}
    answer = post(f"{endpoint}/v1/traces", message.SerializeToString(), sent, receiver=NAME)
    if ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans:
        raise InputError(f"{NAME} takes requests and rejects their spans.", remedy="See its own log.")
