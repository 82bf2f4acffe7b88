"""Jobs: one per dataset for its chain, and one per library function for any file, with run config.

A file job calls the function that the command line calls. Paths in run config are relative to the home folder and stay in it
(admitted.py); no value of a file enters run config, events or logs: a client's own rows come sealed through the exchange area
(exchanged.py).
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition  # no public name

from synth_assets import api
from synth_assets.api.file_requests import (
    ClassifyReply,
    ClassifyRequest,
    FileReply,
    FileRequest,
    GenerateReply,
    GenerateRequest,
    MaskReply,
    MaskRequest,
    ProfileReply,
    ProfileRequest,
    SynthesizeReply,
    SynthesizeRequest,
)
from synth_assets.assets.boundary import stage_boundary
from synth_assets.automation.admitted import admit_request
from synth_assets.automation.audit_request import audit_request
from synth_assets.automation.exchanged import exchanged
from synth_assets.config.runtime import Settings
from synth_assets.ledger import asking


class ProfileFile(ProfileRequest, dg.Config):
    """Run config of `profile_file`."""


class ClassifyFile(ClassifyRequest, dg.Config):
    """Run config of `classify_file`."""


class MaskFile(MaskRequest, dg.Config):
    """Run config of `mask_file`."""


class GenerateTables(GenerateRequest, dg.Config):
    """Run config of `generate_tables`."""


class SynthesizeFile(SynthesizeRequest, dg.Config):
    """Run config of `synthesize_file`."""


def chain_job(dataset: str) -> UnresolvedAssetJobDefinition:
    """The whole chain of one dataset."""
    return dg.define_asset_job(
        f"{dataset}_chain", selection=dg.AssetSelection.groups(dataset), description=f"The whole chain of `{dataset}`."
    )


def file_jobs() -> list[dg.JobDefinition]:
    """The jobs for any file."""
    return [
        _job(ProfileFile, "Statistics of every column of a file; shown without raw values.", _profile),
        _job(ClassifyFile, "What each column of a file holds about people.", _classify),
        _job(MaskFile, "Mask a file by a policy; nothing is written unless the leak check passes.", _mask),
        _job(GenerateTables, "Make tables from a generator schema.", _generate),
        _job(SynthesizeFile, "Train on a file and sample a synthetic table.", _synthesize),
        audit_request,
    ]


def _job(config: Any, description: str, work: Callable[[Any], FileReply]) -> dg.JobDefinition:
    name: str = config.job

    def body(context: dg.OpExecutionContext, config: dg.Config) -> None:
        settings = Settings.from_environment(Path.cwd())
        with stage_boundary(name):
            asking.begin(context.run_id, context.run.tags)
            request = cast("FileRequest", config)  # it is one too
            admit_request(request, settings)
            with exchanged(request, settings) as handover:
                context.add_output_metadata(_shown(handover.give_back(work(handover.request))))

    body.__annotations__["config"] = config
    op = dg.op(name=f"{name}_op", description=description)(body)

    @dg.job(name=name, description=description, executor_def=dg.in_process_executor)
    def job() -> None:
        op()

    return job


def _shown(reply: FileReply) -> Mapping[str, Any]:
    """The reply's fields as metadata; a path can be copied in the UI."""
    fields = reply.model_dump(mode="json", exclude_none=True)
    shown: dict[str, Any] = {
        k: dg.MetadataValue.json(v) if isinstance(v, dict | list) else v for k, v in fields.items()
    }
    if "path" in fields:
        shown["path"] = dg.MetadataValue.path(fields["path"])
    return shown


def _profile(config: ProfileRequest) -> FileReply:
    found = api.profile(config.file).public()
    return ProfileReply(row_count=found.row_count, profile=json.loads(found.model_dump_json()))


def _classify(config: ClassifyRequest) -> FileReply:
    verdicts = [json.loads(v.public().model_dump_json()) for v in api.classify(config.file)]
    return ClassifyReply(columns=len(verdicts), verdicts=verdicts)


def _mask(config: MaskRequest) -> FileReply:
    path, summary = api.mask(config.file, config.out, policy=config.policy)
    return MaskReply(row_count=summary.rows, path=str(path), policy=summary.policy)


def _generate(config: GenerateRequest) -> FileReply:
    files = api.generate(config.table_schema, config.out, rows=config.rows, seed=config.seed, fmt=config.format)
    return GenerateReply(tables={name: str(path) for name, path in files.items()})


def _synthesize(config: SynthesizeRequest) -> FileReply:
    made = api.synthesize(
        config.file, config.out, synthesizer=config.synthesizer, epsilon=config.epsilon, delta=config.delta, rows=config.rows,
        domain=config.domain, target=config.target, seed=config.seed, population=config.population,
    )  # fmt: skip
    spent = None if made.privacy is None else made.privacy.spent.epsilon
    left = None if made.privacy is None else made.privacy.budget_left
    return SynthesizeReply(row_count=made.rows, path=str(made.table), epsilon_spent=spent, budget_left=left)
