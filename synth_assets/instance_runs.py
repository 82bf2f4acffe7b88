"""Who asks for a run, as a proxy in front of the webserver says: kept as tags of the run, under names of the audit ledger.

What belongs here: the coordinator that dagster.yaml names where there is such a proxy (docs/howto/audit_ledger.md). What does not:
what is recorded of it (ledger/asking.py). Dagster's processes import this module, so it imports nothing heavy at the top.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.storage.dagster_run import DagsterRun
from dagster._serdes import ConfigurableClassData

from synth_assets.config.runtime import Settings
from synth_assets.errors import InputError, withhold_values
from synth_assets.ledger.actors import Actors
from synth_assets.ledger.asking import ACTOR_TAG, CLIENT_TAG, address

if TYPE_CHECKING:
    from dagster._core.workspace.context import BaseWorkspaceRequestContext

ACTOR_HEADER, CLIENT_HEADER = "actor_header", "client_header"


class AttributingCoordinator(QueuedRunCoordinator):
    """Dagster's queue, in which a run that was asked for over the web says who asked.

    Both tags of such a run are written here, whatever the request brought along; runs of sensors, schedules and retries keep theirs.
    Runs of a backfill are submitted later, by the daemon: they have the tags of the backfill, which are written within its request.

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
        _name_who_asks_for_backfills()
        return cls(inst_data=inst_data, **config_value)

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Queue a run, after its tags were written.

        Raises:
            InputError: a request over the web does not say who asks.
            ServiceUnavailableError: the list of actors does not answer; the run is not queued.
        """
        if getattr(getattr(context.workspace, "source", None), "headers", None) is not None:
            with withhold_values("who asks for a run"):
                tags = self.tags_of(context.get_request_header)
                self._instance.add_run_tags(context.dagster_run.run_id, tags)
        return super().submit_run(context)

    def tags_of(self, header: Callable[[str], str | None]) -> dict[str, str]:
        """Who asks, as tags.

        Args:
            header: Gives a header of the request.

        Raises:
            InputError: the request does not say who asks.
            ServiceUnavailableError: the list of actors does not answer.
        """
        who = (header(self._actor_header) or "").strip()
        if not who:
            raise InputError(
                "the request does not say who asks for the run.",
                key=self._actor_header,
                remedy="Ask through the proxy, which sets this header (dagster.yaml, run_coordinator).",
            )
        where = "" if self._client_header is None else header(self._client_header) or ""
        home = Path(os.environ.get("DAGSTER_HOME") or Path.cwd())  # as of the code location
        actors = Actors(Settings.from_environment(home).actors_location)
        return {ACTOR_TAG: actors.id_of(who), CLIENT_TAG: address(where.rpartition(",")[2]) or ""}


def _name_who_asks_for_backfills() -> None:
    """Dagster asks the context of a request for tags of a backfill, and lets them win over those that the request brought along."""
    from dagster._core.workspace.context import BaseWorkspaceRequestContext

    BaseWorkspaceRequestContext.get_viewer_tags = _tags_of_request  # type: ignore[method-assign,assignment]


def _tags_of_request(context: BaseWorkspaceRequestContext) -> dict[str, str]:
    coordinator, headers = context.instance.run_coordinator, getattr(getattr(context, "source", None), "headers", None)
    if headers is None or not isinstance(coordinator, AttributingCoordinator):
        return {}
    with withhold_values("who asks for a backfill"):
        return coordinator.tags_of(headers.get)
