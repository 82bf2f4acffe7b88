"""Jobs: one per dataset for its chain, and one per library function for any file, with run config.

A file job calls the function that the command line calls. Paths in run config are relative to the home folder; no value of a file
enters run config, events or logs.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition  # no public name

from synth_assets import api
from synth_assets.assets.boundary import stage_boundary
from synth_assets.automation.audit_request import audit_request


class ProfileFile(dg.Config):
    """Run config of `profile_file`."""

    file: str


class ClassifyFile(dg.Config):
    """Run config of `classify_file`."""

    file: str


class MaskFile(dg.Config):
    """Run config of `mask_file`."""

    file: str
    out: str
    policy: str = "hipaa_safe_harbor"


class GenerateTables(dg.Config):
    """Run config of `generate_tables`."""

    table_schema: str
    out: str
    rows: int | None = None
    seed: int = 7
    format: str = "csv"


class SynthesizeFile(dg.Config):
    """Run config of `synthesize_file`."""

    file: str
    out: str
    synthesizer: str = "dp_marginals"
    epsilon: float = 1.0
    delta: float = 1e-6
    rows: int | None = None
    domain: str | None = None
    target: str | None = None
    seed: int = 7
    population: str | None = None


def chain_job(dataset: str) -> UnresolvedAssetJobDefinition:
    """The whole chain of one dataset."""
    return dg.define_asset_job(
        f"{dataset}_chain", selection=dg.AssetSelection.groups(dataset), description=f"The whole chain of `{dataset}`."
    )


def file_jobs() -> list[dg.JobDefinition]:
    """The jobs for any file."""
    return [
        _job("profile_file", "Statistics of every column of a file; shown without raw values.", ProfileFile, _profile),
        _job("classify_file", "What each column of a file holds about people.", ClassifyFile, _classify),
        _job("mask_file", "Mask a file by a policy; nothing is written unless the leak check passes.", MaskFile, _mask),
        _job("generate_tables", "Make tables from a generator schema.", GenerateTables, _generate),
        _job("synthesize_file", "Train on a file and sample a synthetic table.", SynthesizeFile, _synthesize),
        audit_request,
    ]


def _job(
    name: str, description: str, config: type[dg.Config], work: Callable[[Any], Mapping[str, Any]]
) -> dg.JobDefinition:
    def body(context: dg.OpExecutionContext, config: dg.Config) -> None:
        with stage_boundary(name):
            context.add_output_metadata(dict(work(config)))

    body.__annotations__["config"] = config
    op = dg.op(name=f"{name}_op", description=description)(body)

    @dg.job(name=name, description=description, executor_def=dg.in_process_executor)
    def job() -> None:
        op()

    return job


def _profile(config: ProfileFile) -> dict[str, Any]:
    found = api.profile(config.file).public()
    return {"row_count": found.row_count, "profile": dg.MetadataValue.json(json.loads(found.model_dump_json()))}


def _classify(config: ClassifyFile) -> dict[str, Any]:
    verdicts = [json.loads(v.public().model_dump_json()) for v in api.classify(config.file)]
    return {"columns": len(verdicts), "verdicts": dg.MetadataValue.json(verdicts)}


def _mask(config: MaskFile) -> dict[str, Any]:
    path, summary = api.mask(config.file, config.out, policy=config.policy)
    return {"row_count": summary.rows, "path": dg.MetadataValue.path(str(path)), "policy": summary.policy}


def _generate(config: GenerateTables) -> dict[str, Any]:
    files = api.generate(config.table_schema, config.out, rows=config.rows, seed=config.seed, fmt=config.format)
    return {name: dg.MetadataValue.path(str(path)) for name, path in files.items()}


def _synthesize(config: SynthesizeFile) -> dict[str, Any]:
    made = api.synthesize(
        config.file, config.out, synthesizer=config.synthesizer, epsilon=config.epsilon, delta=config.delta, rows=config.rows,
        domain=config.domain, target=config.target, seed=config.seed, population=config.population,
    )  # fmt: skip
    spent = (
        {}
        if made.privacy is None
        else {"epsilon_spent": made.privacy.spent.epsilon, "budget_left": made.privacy.budget_left}
    )
    return {"row_count": made.rows, "path": dg.MetadataValue.path(str(made.table)), **spent}
