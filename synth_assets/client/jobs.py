"""A job that was asked for, and what came of it."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.api.file_requests import REPLIES, FileReply
from synth_assets.errors import InputError, ServiceUnavailableError, SynthAssetsError
from synth_assets.storage import atomic
from synth_assets.storage.exchange import is_reference, split_reference
from synth_assets.storage.rooms import temporary
from synth_assets.storage.sealing import PrivateKey, unseal

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.client.graphql import GraphQL
    from synth_assets.storage.exchange import Area

FINISHED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
FIRST_LOOK, LONGEST_PAUSE = 0.5, 10.0
Progress = Callable[[str], None]


class JobFailedError(SynthAssetsError):
    """A run of the service failed; message, place and remedy are those that the service gave."""

    code = "job_failed"
    exit_code = 1


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Args:
        run_id: Dagster's id, the same as in the UI.
        reply: What the job said, as a record; None of chains and audits.
        values: What the job said, by name; of a chain, the metadata of its assets by their names.
        failed_checks: Checks that did not pass, as `asset.check: description`.
    """

    run_id: str
    reply: FileReply | None
    values: Mapping[str, Any]
    failed_checks: tuple[str, ...] = ()
    _fetcher: Callable[[str, Path], Path] | None = field(default=None, repr=False)

    @property
    def places(self) -> dict[str, str]:
        """Name to place of the files that the run made."""
        tables = getattr(self.reply, "tables", None)
        path = getattr(self.reply, "path", None)
        return dict(tables) if tables is not None else {} if path is None else {"result": path}

    def fetch(self, out: Path | str) -> dict[str, Path]:
        """Open the results that lie in the exchange area and write them to a file, or into a folder where there are several.

        Args:
            out: File to write; a folder where the run made several tables.

        Raises:
            InputError: the results are files on the service, or were fetched before.
        """
        target = Path(out).absolute()
        several = set(self.places) != {"result"}
        found = {}
        for name, place in self.places.items():
            file = target / split_reference(place)[1] if several and is_reference(place) else target
            found[name] = self._fetch(place, file)
        return found

    def frame(self) -> pd.DataFrame:
        """The one table of the result.

        Raises:
            InputError: as of `fetch`, or there are several tables.
        """
        from synth_assets.tables.sources import read_frame

        if len(self.places) != 1:
            raise InputError("the run made several tables.", remedy="Use fetch.")
        place = next(iter(self.places.values()))
        with temporary() as folder:
            return read_frame(self._fetch(place, folder / place.rpartition("/")[2]))

    def _fetch(self, place: str, file: Path) -> Path:
        if self._fetcher is None or not is_reference(place):
            raise InputError(
                "the result is a file on the service.",
                file=place,
                remedy="Leave `out` away to get it through the exchange.",
            )
        return self._fetcher(place, file)


class Job:
    """A run that was started.

    Args:
        service: The webserver.
        run_id: Dagster's id.
        name: Name of the job.
        area: Where results come back.
        key: What opens them.
    """

    def __init__(
        self, service: GraphQL, run_id: str, name: str, area: Area | None = None, key: PrivateKey | None = None
    ) -> None:
        self._service, self.run_id, self.name, self._area, self._key = service, run_id, name, area, key

    def ticket(self) -> str:
        """What another process needs to go on with this job (`Client.resume`). It holds the key of the result: keep it secret."""
        key = None if self._key is None else self._key.value.hex()
        told = json.dumps({"run_id": self.run_id, "name": self.name, "key": key})
        return base64.urlsafe_b64encode(told.encode()).decode()

    def status(self) -> str:
        """Dagster's status of the run."""
        return self._service.status(self.run_id)

    def stop(self) -> None:
        """Ask Dagster to end the run."""
        self._service.stop(self.run_id)

    def wait(self, timeout: float | None = None, progress: Progress | None = None) -> Outcome:
        """Wait until the run has ended.

        Args:
            timeout: Seconds; without end when None. The run goes on afterwards.
            progress: Called with the status whenever it changes.

        Raises:
            JobFailedError: it failed; the service's own message.
            ServiceUnavailableError: it has not ended in time, or the service does not answer.
        """
        end = None if timeout is None else time.monotonic() + timeout
        pause, seen = FIRST_LOOK, ""
        while (now := self.status()) not in FINISHED:
            if progress is not None and now != seen:
                progress(now)
            seen = now
            if end is not None and time.monotonic() + pause > end:
                raise ServiceUnavailableError(
                    f"the run {self.run_id} has not ended in {timeout:g} s; it goes on.", remedy="Wait again."
                )
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
        return self._outcome(now)

    def _outcome(self, status: str) -> Outcome:
        values: dict[str, Any] = {}
        checks: list[str] = []
        error: Mapping[str, Any] = {}
        for event in self._service.events(self.run_id):
            kind = event["__typename"]
            if kind == "ExecutionStepOutputEvent" and event["stepKey"] == f"{self.name}_op":
                values |= event["metadata"]
            elif kind == "MaterializationEvent":
                values[event["assetKey"]["path"][-1]] = event["metadata"]
            elif kind == "ExecutionStepFailureEvent":
                error = error or event["metadata"].get("error", {})
            elif kind == "AssetCheckEvaluationEvent" and not event["evaluation"]["success"]:
                one = event["evaluation"]
                checks.append(f"{one['assetKey']['path'][-1]}.{one['checkName']}: {one['description'] or ''}")
        if status != "SUCCESS":
            raise self._failure(status, error, checks)
        reply = REPLIES[self.name].model_validate(values) if self.name in REPLIES else None
        return Outcome(self.run_id, reply, values, tuple(checks), self._open)

    def _failure(self, status: str, error: Mapping[str, Any], checks: list[str]) -> JobFailedError:
        if error:
            fields = {k: error.get(k) for k in ("file", "row", "column", "key", "remedy")}
            return JobFailedError(str(error.get("message", "")), **fields)
        told = f"a check failed: {checks[0]}" if checks else f"the run ended with status {status}."
        return JobFailedError(told, remedy=f"Look at the run {self.run_id} in Dagster.")

    def _open(self, place: str, file: Path) -> Path:
        if self._area is None or self._key is None:
            raise InputError("this client has no exchange area.", key="exchange")
        request, name = split_reference(place)
        with temporary() as folder:
            sealed = folder / "sealed"
            if not self._area.get(f"{request}/{name}", sealed):
                raise InputError("the result is not in the exchange area: it is kept for a week.", file=place)
            opened = folder / name
            unseal(sealed, opened, self._key, place)
            with atomic.replacing(file) as copy:
                shutil.copyfile(opened, copy)
        return file

    def discard(self, outcome: Outcome) -> None:
        """Delete the results from the exchange area; they go by themselves after a week."""
        for place in outcome.places.values():
            if self._area is not None and is_reference(place):
                self._area.delete(split_reference(place)[0])
