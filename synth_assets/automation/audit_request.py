"""The job `audit_request`: any synthetic table by path or address, with or without the real ones, with run config.

The full result goes to the restricted zone, one folder per run; the public form is shown. Dagster keeps run config as it was given, so
a signed link belongs into a variable: `{env: NAME}` in place of the address.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from synth_assets import api
from synth_assets.api.requests import AuditRequest, read_request
from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.audit.gates import GateOutcome, gate_outcomes
from synth_assets.audit.records import AuditResult
from synth_assets.automation.admitted import admit_file, admit_tables
from synth_assets.automation.exchanged import received
from synth_assets.config.audited import AuditedTable, AuditPlan, read_plan
from synth_assets.config.gates import AuditFile
from synth_assets.errors import InputError
from synth_assets.ledger import asking
from synth_assets.ledger.events import Action, AuditEvent, Detail, identifier
from synth_assets.ledger.opening import open_audit_ledger
from synth_assets.resources import StoreResource
from synth_assets.storage.artifacts import ArtifactRef, Zone
from synth_assets.storage.atomic import write_text

NAME = "audit_request"
FOLDER = "_audit_requests"  # no name of a dataset starts so
DESCRIPTION = (
    "Audit a synthetic table, with or without the real ones: privacy, fairness, fidelity and utility.\n\n"
    "Give files (below the home folder, or in one that SYNTH_ASSETS_JOB_FOLDERS names), https://, s3://, gs:// and abfss:// addresses, "
    "or places in the exchange area. What "
    "cannot run without a table that is not given has no score, and the result says why. Dagster keeps run config: give a signed "
    "link as `{env: NAME}` and set that variable where runs start. The full result lies in the restricted zone; the public form is "
    "shown with the run."
)


class AuditRequestRun(dg.Config):
    """Run config of `audit_request`."""

    synthetic_data_url: str = Field(
        description="The synthetic table: a file, an address, or a place in the exchange area."
    )
    real_data_url: str | None = Field(default=None, description="The real rows that the synthesizer was trained on.")
    holdout_data_url: str | None = Field(
        default=None, description="Real rows that it never saw: the control group of every attack."
    )
    protected_attributes: list[str] = Field(default=[], description="Columns whose groups are compared.")
    target: str | None = Field(default=None, description="Outcome column.")
    config: str | None = Field(
        default=None,
        description="YAML of a dataset, relative to the home folder: keys, unit, domain, rules, outcome, cut-offs are taken from it.",
    )
    table: str | None = Field(default=None, description="Which table of that dataset, where it has several.")
    unit: str | None = Field(
        default=None, description="Column that says whose a row is: attacks then count people, not rows."
    )
    primary_key: list[str] = Field(default=[], description="Columns that number the rows; never compared.")
    foreign_keys: dict[str, str] = Field(
        default={}, description="column: parent_table.column; such columns are never compared."
    )
    sequence_order: str | None = Field(
        default=None, description="Column that orders the rows of one unit in time; needs `unit`."
    )
    impossible: list[dict[str, Any]] = Field(default=[], description="Combinations of values that no row can have.")
    contract: list[dict[str, Any]] = Field(
        default=[], description="Lines of a contract; those about several columns of one row are counted as rules."
    )
    columns: dict[str, dict[str, Any]] = Field(
        default={}, description="Kinds, categories and bounds of columns, which win over what is inferred."
    )
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
        asking.begin(context.run_id, context.run.tags)
        request = _request(config)
        admit_tables(request.places, store.settings())
        if config.config is not None:
            admit_file("config", config.config, store.settings())
        with received(request.places, store.settings()) as local:
            result, gates = _result(config, request, local, Path(store.home))
        opened = store.open()
        with opened.writing(Zone.RESTRICTED, FOLDER, context.run_id) as out:
            write_text(out.folder / "result.json", result.model_dump_json(indent=1))
            write_text(out.folder / "public.json", result.public().model_dump_json(indent=1))
        _record(context.run_id, store, out.done())
        context.add_output_metadata(
            _shown(request, result.public(), out.done(), opened.location(out.done())) | _gates(gates)
        )


def _record(run_id: str, store: StoreResource, ref: ArtifactRef) -> None:
    """Tell the audit ledger of the result."""
    details: dict[str, Detail] = {"zone": ref.zone.value, "content_hash": ref.content_hash}
    event = AuditEvent(
        Action.MATERIALISED, f"{FOLDER}/{identifier(run_id)}", run_id=identifier(run_id), details=details
    )
    open_audit_ledger(store.settings()).record(event)


def _request(config: AuditRequestRun) -> AuditRequest:
    """What the run config asks for.

    Raises:
        InputError: a key is wrong, or both a dataset and what it would say are given.
    """
    given = config.model_dump()
    file, table = given.pop("config"), given.pop("table")
    if file is None and table is not None:
        raise InputError("a table is named, and no dataset.", key="table", remedy="Give its YAML as `config`.")
    said = [key for key in (*AuditedTable.model_fields, "levels", "weights") if given.get(key)]
    if file is not None and said:
        raise InputError("the dataset says this already.", key=said[0], remedy="Leave it out, or leave `config` out.")
    return read_request(given)


def _result(
    config: AuditRequestRun, request: AuditRequest, local: Mapping[str, str], home: Path
) -> tuple[AuditResult, tuple[GateOutcome, ...]]:
    """Audit what a request asks for.

    Args:
        config: Names the dataset's YAML, where there is one.
        request: The request.
        local: Tables that a client sent, by key.
        home: The home folder.

    Raises:
        ConfigError: the dataset's YAML has a mistake.
    """
    file = config.config
    plan = AuditPlan(judge=AuditFile(**dict(request.settings))) if file is None else read_plan(Path(file), config.table)
    places = {**request.places, **local}
    result = api.audit(
        places["synthetic_data_url"],
        places.get("real_data_url"),
        places.get("holdout_data_url"),
        dataset=plan,
        declared=request.declared if file is None else None,
        protected=request.protected_attributes or None,
        target=request.target,
        seed=request.seed,
        home=home,
    )
    gates = plan.judge.thresholds
    return result, () if gates is None else gate_outcomes(gates, result)


def _gates(gates: tuple[GateOutcome, ...]) -> dict[str, Any]:
    """The gates of the configuration; they stop nothing here, since nothing stands downstream."""
    rows = [{"gate": g.name, "passed": "yes" if g.passed else "no", "message": g.message} for g in gates]
    return {"gates_passed": all(g.passed for g in gates), "gates": metadata.rows(rows)} if gates else {}


def _shown(request: AuditRequest, public: AuditResult, ref: ArtifactRef, path: str) -> dict[str, Any]:
    """The public form, its scores as numbers, the verdicts as a table, and where the full one lies."""
    scores = {"overall": public.overall_score, **public.module_scores.model_dump()}
    verdicts = [
        {"module": module, "level": found.risk_level or "", "message": found.message}
        for module, found in public.detailed_findings.items()
    ]
    shown: dict[str, Any] = {f"{name}_score": value for name, value in scores.items() if value is not None}
    forms = public.inputs.holdout_forms
    shown |= {} if forms is None else {"holdout_forms": forms}
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
