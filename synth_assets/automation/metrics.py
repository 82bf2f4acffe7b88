"""Figures of a home as OpenMetrics text: what `synth-assets metrics` prints, writes or serves. No value of the data is among them.

The names are documented in docs/howto/deployment.md; a test holds both together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from synth_assets import __version__
from synth_assets.api import open_budget
from synth_assets.api.spending import has_ledger
from synth_assets.automation.health import Build, health, storage_bytes
from synth_assets.automation.opening import open_instance
from synth_assets.automation.runner import prepare_home
from synth_assets.config.runtime import Settings, load_datasets
from synth_assets.errors import withhold_values

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


Samples = dict[tuple[tuple[str, str], ...], float]


@dataclass(frozen=True)
class Metric:
    """One family of figures, all gauges.

    Args:
        name: Its name, with the unit as the last part.
        help: What it is.
        samples: Labels -> value.
        unit: Its unit, which the name ends with; "" for none.
    """

    name: str
    help: str
    samples: Samples
    unit: str = ""


def metrics(settings: Settings, build: Build) -> str:
    """The figures of a home, now.

    Args:
        settings: Of the home.
        build: Builds the code location.

    Raises:
        ServiceUnavailableError: the run storage or the ledger does not answer.
    """
    prepare_home(settings.home)
    with withhold_values("the metrics"):
        return render((*_about(settings, build), *_runs(settings), *_budgets(settings)))


def render(families: Iterable[Metric]) -> str:
    """OpenMetrics 1.0 text."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# TYPE {family.name} gauge")
        if family.unit:
            lines.append(f"# UNIT {family.name} {family.unit}")
        lines.append(f"# HELP {family.name} {_escaped(family.help)}")
        for labels, value in family.samples.items():
            shown = ",".join(f'{k}="{_escaped(v)}"' for k, v in labels)
            lines.append(f"{family.name}{f'{{{shown}}}' if shown else ''} {_number(value)}")
    return "\n".join([*lines, "# EOF"]) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(float(value)) if value != int(value) else str(int(value))


def _about(settings: Settings, build: Build) -> Iterable[Metric]:
    found = health(settings, build)
    yield Metric("synth_assets_build", "Version of the package.", {(("version", __version__),): 1})
    parts: Samples = {(("part", p.name), ("state", p.state)): 1.0 for p in found.parts}
    yield Metric("synth_assets_health", "Parts of the home, each with its state: ok, warning or failed.", parts)
    whole = 1.0 if any(p.name == "ledger" and p.state == "ok" for p in found.parts) else 0.0
    yield Metric("synth_assets_ledgers_whole", "1 where the ledgers are what was written, else 0.", {(): whole})
    sizes: Samples = {(("zone", zone),): float(size) for zone, size in storage_bytes(settings).items()}
    yield Metric("synth_assets_storage_bytes", "Bytes of a zone on the local disk.", sizes, "bytes")


def _runs(settings: Settings) -> Iterable[Metric]:
    with open_instance() as instance:
        states: Samples = {
            (("state", state.value.lower()),): float(instance.get_runs_count(dg.RunsFilter(statuses=[state])))
            for state in dg.DagsterRunStatus
        }
        last: Samples = {}
        for dataset in load_datasets(settings):
            name = dataset.config.name
            event = instance.get_latest_materialization_event(dg.AssetKey([name, "report"]))
            if event is not None:
                last[("dataset", name),] = event.timestamp
    yield Metric("synth_assets_runs", "Runs by state.", states)
    yield Metric(
        "synth_assets_last_success_timestamp_seconds",
        "When a dataset's chain last reached its report.",
        last,
        "seconds",
    )


def _budgets(settings: Settings) -> Iterable[Metric]:
    from synth_assets.ledger.opening import open_audit_ledger

    figures: dict[str, Samples] = {n: {} for n in ("limit", "spent", "reserved", "left")}
    entries = 0
    if has_ledger(settings.home):
        ledger = open_budget(settings.home)
        for population in ledger.populations():
            status, labels = ledger.status(population), (("population", population),)
            figures["limit"][labels], figures["spent"][labels] = status.epsilon, status.spent
            figures["reserved"][labels], figures["left"][labels] = status.reserved, status.left
        head = open_audit_ledger(settings).head()
        entries = 0 if head is None else head.position
    words = {
        "limit": "Budget of a population.", "spent": "Epsilon that its releases have spent.",
        "reserved": "Epsilon that is reserved and not settled.", "left": "Epsilon that is left.",
    }  # fmt: skip
    for name, samples in figures.items():
        yield Metric(f"synth_assets_budget_epsilon_{name}", words[name], samples)
    yield Metric("synth_assets_audit_ledger_entries", "Entries of the audit ledger, by its signed head.", {(): entries})
