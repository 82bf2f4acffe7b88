"""Whether a sensor is only tried out: the daemon's ticks act, a preview (in the UI, or `dagster sensor preview`) must not."""

import dagster as dg

PREVIEW = "a preview"


def is_preview(context: dg.SensorEvaluationContext) -> bool:
    """Whether nobody has asked for this tick's effects.

    A tick of the daemon has a log, named by the number of the tick that it has written down. A preview has no tick, and Dagster makes
    up a name from the time. A context of neither (a test's) has no log, and acts.
    """
    log = context.log_key
    return bool(log and not log[-1].isdecimal())
