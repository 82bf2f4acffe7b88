"""`configs/automation.yaml`: thresholds of the sensors and the time zone of the schedules. Every key has a default."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from synth_assets.config.base import Config, TimeZone
from synth_assets.config.load import load_model

FILE = "automation.yaml"


class AutomationConfig(Config):
    """When a sensor speaks."""

    timezone: TimeZone = Field(default="UTC", description="IANA zone of the schedules, such as Europe/Berlin.")
    budget_share: float = Field(default=0.8, gt=0, le=1, description="Share of a privacy budget that is counted.")
    drift: float = Field(
        default=0.1, gt=0, le=1, description="Total variation distance of a column between two profiles."
    )
    stale_days: float = Field(default=30, gt=0, description="Age of synthetic tables.")
    slow_factor: float = Field(default=3, gt=1, description="Times the median of the last runs of the same job.")
    storage_gb: float = Field(
        default=100, gt=0, description="Size of `var/` on this disk (a GB is 1,000,000,000 bytes)."
    )
    orphan_minutes: float = Field(
        default=60, ge=5, description="How long after its run has ended a reservation is settled at its full amount."
    )


def load_automation(configs_folder: Path) -> AutomationConfig:
    """The configuration of a home; the defaults where it has none.

    Raises:
        ConfigError: the file does not fit the model.
    """
    path = configs_folder / FILE
    return load_model(path, AutomationConfig) if path.is_file() else AutomationConfig()
