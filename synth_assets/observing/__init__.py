"""Tells Sentry and an OTLP collector of steps and failures: our own words and names, nothing else. No Dagster in here."""

from synth_assets.observing.records import Failure, Step
from synth_assets.observing.telling import tell_failure, tell_step

__all__ = ["Failure", "Step", "tell_failure", "tell_step"]
