"""The job `audit_request`: any synthetic table by path or address, with or without the real ones, with run config.

The full result goes to the restricted zone, one folder per run; the public form is shown. Dagster keeps run config as it was given, so
a signed link belongs into a variable: `{env: NAME}` in place of the address.
"""

import json
from typing import Any

import dagster as dg
from pydantic import Field

from synth_assets import api
from synth_assets.api.requests import AuditRequest, read_request
from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.audit.records import AuditResult
from synth_assets.resources import StoreResource
from synth_assets.storage.artifacts import ArtifactRef, Zone
from synth_assets.storage.atomic import write_text

NAME = "audit_request"
FOLDER = "_audit_requests"  # no name of a dataset starts so
DESCRIPTION = (
    "Audit a synthetic table, with or without the real ones: privacy, fairness, fidelity and utility.\n\n"
    "Give files (relative to the home folder) or https://, s3://, gs:// and abfss:// addresses. What cannot run without a table that "
    "is not given has no score, and the result says why. Dagster keeps run config: give a signed link as `{env: NAME}` and set that "
    "variable where runs start. The full result lies in the restricted zone; the public form is shown with the run."
)


class AuditRequestRun(dg.Config):
    """Run config of `audit_request`."""

    synthetic_data_url: str = Field(description="The synthetic table: a file or an address.")
    real_data_url: str | None = Field(default=None, description="The real rows that the synthesizer was trained on.")
    holdout_data_url: str | None = Field(
        default=None, description="Real rows that it never saw: the control group of every attack."
    )
    protected_attributes: list[str] = Field(default=[], description="Columns whose groups are compared.")
    target: str | None = Field(default=None, description="Outcome column.")
    levels: dict[str, dict[str, float]] = Field(
        default={},
        description="Cut-offs other than the default ones, such as {membership: {medium: 0.05, high: 0.15}}.",
    )
    weights: dict[str, float] = Field(
        default={}, description="Weights of the overall score other than the default ones, such as {privacy: 0.6}."
    )
    seed: int = Field(default=7, description="Seed of samples and models.")


@dg.op(name=f"{NAME}_op", description=DESCRIPTION)
def _audit(context: dg.OpExecutionContext, config: AuditRequestRun, store: StoreResource) -> None:
    with stage_boundary(NAME):
        request = read_request(config.model_dump())
        result = api.audit(
            request.synthetic_data_url,
            request.real_data_url,
            request.holdout_data_url,
            protected=request.protected_attributes,
            target=request.target,
            settings=request.settings,
            seed=request.seed,
        )
        opened = store.open()
        with opened.writing(Zone.RESTRICTED, FOLDER, context.run_id) as out:
            write_text(out.folder / "result.json", result.model_dump_json(indent=1))
            write_text(out.folder / "public.json", result.public().model_dump_json(indent=1))
        context.add_output_metadata(_shown(request, result.public(), out.done(), opened.location(out.done())))


def _shown(request: AuditRequest, public: AuditResult, ref: ArtifactRef, path: str) -> dict[str, Any]:
    """The public form, its scores as numbers, the verdicts as a table, and where the full one lies."""
    scores = {"overall": public.overall_score, **public.module_scores.model_dump()}
    verdicts = [
        {"module": module, "level": found.risk_level or "", "message": found.message}
        for module, found in public.detailed_findings.items()
    ]
    shown: dict[str, Any] = {f"{name}_score": value for name, value in scores.items() if value is not None}
    shown |= {
        "verdicts": metadata.rows(verdicts),
        "result": dg.MetadataValue.json(json.loads(public.model_dump_json())),
        "full_result": dg.MetadataValue.path(path),
        "content_hash": ref.content_hash,
    }
    if request.signed:
        shown["note"] = (
            f"{', '.join(request.signed)}: where the address was typed into run config, Dagster keeps it with its query. Where that "
            "signs it, give {env: NAME} instead."
        )
    return shown


@dg.job(name=NAME, description=DESCRIPTION, executor_def=dg.in_process_executor)
def audit_request() -> None:
    """Audit any table."""
    _audit()
