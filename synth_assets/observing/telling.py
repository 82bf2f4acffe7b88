"""Tells every configured hook, within seconds, and never raises: a receiver that is away must not fail or hold up a run.

What belongs here: whom to tell, and what to do when somebody does not answer. What goes wrong comes back as sentences of our own, for
the log of whoever asked; `synth-assets health` tries the same receivers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from synth_assets.config.hooks import any_hook
from synth_assets.config.runtime import Settings
from synth_assets.errors import SynthAssetsError, libraries_silenced, withhold_values
from synth_assets.observing import otlp, sentry
from synth_assets.observing.records import Failure, Step

REST_SECONDS = 60.0
SAME_SECONDS = 3600.0
_rests: dict[str, float] = {}  # receiver -> when it may be tried again
_told: dict[tuple[str, str], float] = {}  # what failed and where -> when that was told


def tell_step(step: Step) -> list[str]:
    """Tell of a step that has ended: a span, and an event where it failed. What could not be told, in words."""
    faults: list[str] = []
    if settings := _settings(faults):
        hooks, project = settings.hooks, settings.project
        if (endpoint := hooks.otlp_endpoint) is not None:
            faults += _tried(otlp.NAME, lambda: otlp.send_step(endpoint, hooks.otlp_headers, project, step))
        if step.failure is not None:
            faults += _event(settings, step.failure)
    return faults


def tell_failure(failure: Failure, *, once: bool = False) -> list[str]:
    """Tell of a sensor or a command that failed: an event. What could not be told, in words.

    Args:
        failure: What failed.
        once: Whether the same failure is told once an hour only: a sensor looks again every minute.
    """
    faults: list[str] = []
    if settings := _settings(faults):
        key, now = (failure.code, failure.at), time.monotonic()
        if once and now - _told.get(key, -SAME_SECONDS) < SAME_SECONDS:
            return []
        faults += _event(settings, failure)
        if not faults:
            _told[key] = now
    return faults


def _settings(faults: list[str]) -> Settings | None:
    """The settings where a hook is configured; what is wrong with them goes to the faults."""
    if not any_hook():
        return None
    try:
        with withhold_values("the hooks"):
            return Settings.from_environment(Path.cwd())
    except SynthAssetsError as error:
        faults.append(f"nobody was told: {error}")
    return None


def _event(settings: Settings, failure: Failure) -> list[str]:
    dsn = settings.hooks.sentry_dsn
    if dsn is None:
        return []
    return _tried(sentry.NAME, lambda: sentry.send_failure(dsn, settings.project, failure))


def _tried(receiver: str, send: Callable[[], None]) -> list[str]:
    """Try one receiver; one that failed is left alone for a minute, so that a chain of many steps waits for it once."""
    if time.monotonic() < _rests.get(receiver, 0.0):
        return []
    try:
        with withhold_values(f"telling {receiver}"), libraries_silenced():
            send()
    except SynthAssetsError as error:
        _rests[receiver] = time.monotonic() + REST_SECONDS
        return [f"not told: {error} It is left alone for a minute; synth-assets health says how it is."]
    return []
