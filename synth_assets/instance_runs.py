"""Who asks for a run, as a proxy in front of the webserver says: kept as tags of the run, under names of the audit ledger.

What belongs here: the coordinator that dagster.yaml names where there is such a proxy (docs/howto/audit_ledger.md). What does not:
what is recorded of it (ledger/asking.py). Dagster's processes import this module, so it imports nothing heavy at the top.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.storage.dagster_run import DagsterRun
from dagster._serdes import ConfigurableClassData

from synth_assets.config.runtime import Settings
from synth_assets.errors import InputError, withhold_values
from synth_assets.ledger.actors import Actors
from synth_assets.ledger.asking import ACTOR_TAG, CLIENT_TAG, address

ACTOR_HEADER, CLIENT_HEADER = "actor_header", "client_header"


class AttributingCoordinator(QueuedRunCoordinator):
    """Dagster's queue, in which a run that was asked for over the web says who asked.

    Both tags of such a run are written here, whatever the request brought along; runs of sensors, schedules and retries keep theirs.

    Args:
        actor_header: Header with the login of who asks; a request without it is refused.
        client_header: Header with the address; of a list (`X-Forwarded-For`) the last one, which the proxy itself has seen.
        inst_data: Of Dagster.
        queue: As of Dagster's own coordinator.
    """

    def __init__(
        self,
        actor_header: str,
        client_header: str | None = None,
        inst_data: ConfigurableClassData | None = None,
        **queue: Any,
    ) -> None:
        super().__init__(inst_data=inst_data, **queue)
        self._actor_header, self._client_header = actor_header, client_header

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Those of Dagster's coordinator, and the two headers."""
        of_the_queue: Any = super().config_type()
        return {
            **of_the_queue,
            ACTOR_HEADER: dg.Field(str, is_required=True),
            CLIENT_HEADER: dg.Field(str, is_required=False),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> AttributingCoordinator:
        """As dagster.yaml says."""
        return cls(inst_data=inst_data, **config_value)

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Queue a run, after its tags were written.

        Raises:
            InputError: a request over the web does not say who asks.
            ServiceUnavailableError: the list of actors does not answer; the run is not queued.
        """
        if getattr(getattr(context.workspace, "source", None), "headers", None) is not None:
            with withhold_values("who asks for a run"):
                self._instance.add_run_tags(context.dagster_run.run_id, self._tags(context))
        return super().submit_run(context)

    def _tags(self, context: SubmitRunContext) -> dict[str, str]:
        who = (context.get_request_header(self._actor_header) or "").strip()
        if not who:
            raise InputError(
                "the request does not say who asks for the run.",
                key=self._actor_header,
                remedy="Ask through the proxy, which sets this header (dagster.yaml, run_coordinator).",
            )
        where = "" if self._client_header is None else context.get_request_header(self._client_header) or ""
        home = Path(os.environ.get("DAGSTER_HOME") or Path.cwd())  # as of the code location
        actors = Actors(Settings.from_environment(home).actors_location)
        return {ACTOR_TAG: actors.id_of(who), CLIENT_TAG: address(where.rpartition(",")[2]) or ""}
