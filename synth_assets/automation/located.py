"""Runs of the command line as runs of the code location: so Dagster's overview has them in its timeline, by job."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import dagster as dg
from dagster._core.remote_origin import (  # no public names
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

NAME, MODULE, REPOSITORY = "synth_assets", "synth_assets.definitions", "__repository__"  # workspace.yaml names them
LOCATION = {".dagster/repository": f"{REPOSITORY}@{NAME}"}  # Overview and Jobs show runs of this location only


@contextmanager
def located(instance: dg.DagsterInstance, job: str) -> Iterator[None]:
    """Runs that are made meanwhile are of a job of the code location; `execute_in_process` itself takes no origin.

    Args:
        instance: The history.
        job: Name of the job.
    """
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE, working_directory=str(Path.cwd()))
    repository = RemoteRepositoryOrigin(ManagedGrpcPythonEnvCodeLocationOrigin(target, NAME), REPOSITORY)
    origin = RemoteJobOrigin(repository, job)
    instance.create_run_for_job = partial(instance.create_run_for_job, remote_job_origin=origin)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del instance.create_run_for_job
