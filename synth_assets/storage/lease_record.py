"""Who holds a dataset, and what a place must offer where that is written down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

POLL_SECONDS = 0.2
COMMIT_SECONDS = 60.0


@dataclass(frozen=True)
class Record:
    """Who holds a dataset.

    Args:
        fence: Number of the taking; grows.
        run_id: The run.
        steps: Step -> its newest attempt, for those that were tried again.
    """

    fence: int
    run_id: str
    steps: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of_json(text: str) -> Record:
        """As it was written."""
        return Record(**json.loads(text))

    def json(self) -> str:
        """As it is written."""
        return json.dumps(asdict(self))


class Place(Protocol):
    """Where records and locks are: files (lease_files.py) or PostgreSQL (lease_postgres.py)."""

    def read(self, dataset: str) -> Record | None:
        """Who holds a dataset; None where nobody ever did."""

    def write(self, dataset: str, record: Record) -> None:
        """Say who holds it; under its lock."""

    def locked(self, dataset: str) -> AbstractContextManager[None]:
        """Exclude takers and publishers of a dataset for a short block."""

    def stand(self, dataset: str, fence: int) -> Any:
        """Hold a lock, shared by the run's processes, that goes when this process ends, however it ends."""

    def stands(self, standing: Any) -> bool:
        """Whether that lock is still held."""

    def leave(self, standing: Any) -> None:
        """Drop it."""

    def alive(self, dataset: str, fence: int) -> bool:
        """Whether a process stands for a taking of a dataset."""

    def datasets(self) -> tuple[str, ...]:
        """Those that somebody held."""
