"""What a step or a sensor tells the hooks (observing): names, run, how it ended, and our own words where it failed. Never raises."""

from __future__ import annotations

import logging
import time

import dagster as dg

from synth_assets.config.hooks import any_hook
from synth_assets.errors import CheckFailedError, SynthAssetsError, withhold_values
from synth_assets.observing.records import Outcome, Step, failure_of_sensor, failure_of_step
from synth_assets.observing.telling import tell_failure, tell_step


def tell_hooks(step: str, began: int, error: SynthAssetsError | None, blocked: tuple[str, ...] = ()) -> None:
    """Tell of the step that ends now; nothing is done where no hook is configured.

    Args:
        step: Its name.
        began: When it began, nanoseconds since the epoch.
        error: What ended it.
        blocked: The blocking checks that did not pass.
    """
    if not any_hook():
        return
    context, told, ended = _running(), error, time.time_ns()
    if error is None and blocked:
        told = CheckFailedError(f"blocking checks have failed: {', '.join(blocked)}.")
    try:
        with withhold_values(f"telling of {step}"):
            run_id = "" if context is None else context.run_id
            failure = None if told is None else failure_of_step(told, step, run_id)
            outcome: Outcome = "failed" if error is not None else "done" if told is None else "blocked"
            faults = tell_step(Step(step, _stage(context), run_id, outcome, began, ended, failure))
    except SynthAssetsError as fault:
        faults = [f"not told: {fault}"]
    log = dg.get_dagster_logger() if context is None else context.log
    for line in faults:
        log.warning(line)


def tell_of_sensor(sensor: str, error: SynthAssetsError, *, dataset: str = "") -> None:
    """Tell of a sensor that could not look; once an hour, since it looks again every minute.

    Args:
        sensor: Its name.
        error: What it met.
        dataset: Name of the dataset that it is for.
    """
    for line in tell_failure(failure_of_sensor(error, sensor, dataset), once=True):
        logging.getLogger("dagster").warning(line)


def _running() -> dg.OpExecutionContext | None:
    try:
        return dg.OpExecutionContext.get()
    except dg.DagsterInvariantViolationError:  # outside of a run
        return None


def _stage(context: dg.OpExecutionContext | None) -> str:
    """The stage of the asset that runs; "" for a job that makes none."""
    if context is None or not context.has_assets_def:
        return ""
    tags = context.assets_def.tags_by_key.values()
    return next((t["stage"] for t in tags if "stage" in t), "")
