"""The sensor `<dataset>_refresh`: looks at the conditions of a dataset's assets (assets/refresh.py) and has them made. Off by default.

Dagster's daemon evaluates it; none of our code runs in it, and it reads data versions and checks only.
"""

import dagster as dg

from synth_assets.config.dataset import DatasetConfig

INTERVAL_SECONDS = 60
REFRESH_TAG = "synth_assets/refresh"
_WORDS = {
    "free": "Nothing of it spends privacy budget or leaves this installation: the YAML says `refresh: free`.",
    "all": "New data are measured anew, which SPENDS PRIVACY BUDGET, and delivered: the YAML says `refresh: all`.",
}


def refresh_sensor(config: DatasetConfig) -> dg.AutomationConditionSensorDefinition | None:
    """The sensor of one dataset; None where its YAML does not ask for it."""
    if config.refresh is None:
        return None
    return dg.AutomationConditionSensorDefinition(
        f"{config.name}_refresh",
        target=dg.AssetSelection.groups(config.name),
        run_tags={REFRESH_TAG: config.refresh},
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=INTERVAL_SECONDS,
        description=f"Makes what is missing in `{config.name}`, and what stands below data that changed. {_WORDS[config.refresh]}",
    )
