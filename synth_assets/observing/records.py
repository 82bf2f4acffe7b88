"""All that a hook may tell. What has no field here leaves nobody: both hooks are built from these records and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from synth_assets.errors import SynthAssetsError

Outcome = Literal["done", "blocked", "failed"]


@dataclass(frozen=True)
class Failure:
    """What failed, in our own words.

    Args:
        kind: Class of our error.
        code: Its code.
        text: Where, what and what to do about it.
        at: The step, sensor or command.
        dataset: Name of the dataset; "" where there is none.
        asset: Name of the asset; "" where there is none.
        run_id: The run; "" outside of one.
    """

    kind: str
    code: str
    text: str
    at: str
    dataset: str = ""
    asset: str = ""
    run_id: str = ""


@dataclass(frozen=True)
class Step:
    """A step that has ended.

    Args:
        name: `dataset/asset`, or the job's name.
        stage: Stage of the chain; "" outside of one.
        run_id: The run; "" outside of one.
        outcome: How it ended; blocked where a blocking check has failed.
        began: Nanoseconds since the epoch.
        ended: The same.
        failure: What failed; None where it was done.
    """

    name: str
    stage: str
    run_id: str
    outcome: Outcome
    began: int
    ended: int
    failure: Failure | None = None

    @property
    def dataset(self) -> str:
        """The part before the stroke."""
        return dataset_and_asset(self.name)[0]

    @property
    def asset(self) -> str:
        """The part after it."""
        return dataset_and_asset(self.name)[1]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return round((self.ended - self.began) / 1e9, 3)


def dataset_and_asset(step: str) -> tuple[str, str]:
    """Both parts of `dataset/asset`; empty for the name of a job."""
    dataset, stroke, asset = step.partition("/")
    return (dataset, asset) if stroke else ("", "")


def failure_of_step(error: SynthAssetsError, step: str, run_id: str) -> Failure:
    """The failure of a step of a run."""
    dataset, asset = dataset_and_asset(step)
    return Failure(type(error).__name__, error.code, _own_words(error), step, dataset, asset, run_id)


def failure_of_sensor(error: SynthAssetsError, sensor: str, dataset: str) -> Failure:
    """The failure of a sensor."""
    return Failure(type(error).__name__, error.code, _own_words(error), sensor, dataset)


def failure_of_command(error: SynthAssetsError, command: str) -> Failure:
    """The failure of a command. The text of bad input stays at the terminal: it may quote what somebody has typed."""
    text = "its text is withheld, since it may quote what was typed." if error.exit_code == 2 else _own_words(error)
    return Failure(type(error).__name__, error.code, text, command)


def _own_words(error: SynthAssetsError) -> str:
    """The text, in which the folder of whoever works here is `~`: its name is that of a person."""
    home = str(Path.home())
    return str(error) if len(home) < 2 else str(error).replace(home, "~")
