"""The plan of a dataset's DP releases: cost, noise, expected error, and what would be left of the budget. Reads no data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from synth_assets.api.reading import settings_of
from synth_assets.api.recording import record_read
from synth_assets.api.spending import has_ledger, open_budget
from synth_assets.privacy.records import BudgetPreview, Event
from synth_assets.synthesis.planning import ReleaseForecast
from synth_assets.tables.schema import TableSchema

if TYPE_CHECKING:
    from synth_assets.config.dataset import DatasetConfig
    from synth_assets.config.runtime import Settings

SPLIT, MEASUREMENTS, SWEEP = (
    "split",
    "dp_measurements",
    "privacy_sweep",
)  # as asset_keys.py spells them; it knows Dagster, this does not


class PrivacyPlan(BaseModel):
    """What a dataset's DP releases would cost together.

    Attributes:
        dataset: Its name.
        columns_from: Where names and kinds of columns come from: the configuration, or what the last split recorded.
        releases: One for each differentially private synthesizer.
        budget: What would be left.
        valid: No error in any release, and the budget suffices.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    columns_from: Literal["configuration", "last split"]
    releases: tuple[ReleaseForecast, ...]
    budget: BudgetPreview
    valid: bool


def plan_privacy(config: Path, *, home: Path | None = None, units: int | None = None) -> PrivacyPlan:
    """Plan the DP releases of a dataset. No source and no table is opened, nothing is spent and nothing is written.

    Names and kinds of columns come from the record of the last split in the home folder, where there is one of this dataset; else
    from the configuration, and then columns that it does not name are not planned for.

    Args:
        config: The dataset's YAML.
        home: Folder that holds var/; the nearest one when None.
        units: Public number of units of privacy, where it is known: delta is judged by it and errors are shown as shares. The
            `unit_count` of the YAML when None.

    Raises:
        ConfigError: the configuration is malformed, or has no differentially private synthesizer.
        InputError: units is below 1.
    """
    from synth_assets.config.dataset import SynthesizerConfig
    from synth_assets.config.load import load_dataset
    from synth_assets.errors import ConfigError, InputError
    from synth_assets.synthesis.planning import forecast

    if units is not None and units < 1:
        raise InputError("the number of units of privacy must be at least 1.", key="units")
    dataset = load_dataset(config)
    units = dataset.unit_count if units is None else units
    private = [s for s in dataset.synthesizers if s.differentially_private]
    if not private:
        raise ConfigError(
            "the dataset has no differentially private synthesizer.", file=str(config), key="synthesizers",
            remedy="Add `{name: dp_marginals, epsilon: 1, delta: 1e-6}`.",
        )  # fmt: skip
    settings = settings_of(home)
    schemas, modelled = recorded_columns(dataset, settings)
    releases = tuple(forecast(dataset, s, units=units, schemas=schemas, modelled=modelled) for s in private)
    trials: dict[str, tuple[Event, ...]] = {}
    if dataset.sweep is not None:
        method = next((s for s in private if s.name == "dp_marginals"), SynthesizerConfig(name="dp_marginals"))
        for epsilon in dataset.sweep.epsilons:
            tried = forecast(
                dataset, method.model_copy(update={"epsilon": epsilon}), schemas=schemas, modelled=modelled
            )
            names = (
                f"{dataset.name}/{SWEEP} (epsilon {epsilon:g}, trial {i + 1})" for i in range(dataset.sweep.releases)
            )
            trials |= dict.fromkeys(names, tried.events)
    budget = preview_budget(dataset, settings, releases, trials)
    return PrivacyPlan(
        dataset=dataset.name,
        columns_from="last split" if schemas else "configuration",
        releases=releases,
        budget=budget,
        valid=budget.fits and all(r.validation.valid for r in releases),
    )


def recorded_columns(
    config: DatasetConfig, settings: Settings
) -> tuple[dict[str, TableSchema] | None, dict[str, tuple[str, ...]] | None]:
    """Schemas and modelled columns as the last split recorded them: names and kinds, from its record, not from its tables."""
    from synth_assets.config.stores import store_of
    from synth_assets.pii.roles import ColumnRoles
    from synth_assets.storage.artifacts import Zone

    if not settings.var.is_dir():
        return None, None
    store = store_of(settings)
    ref = store.find(Zone.RESTRICTED, config.name, SPLIT)
    if ref is None or set(ref.info["schemas"]) != set(config.tables):
        return None, None
    record_read(settings, ref, "record")
    roles = {t: ColumnRoles.model_validate(r) for t, r in ref.info["roles"].items()}
    return (
        {t: TableSchema.model_validate(s) for t, s in ref.info["schemas"].items()},
        {t: r.modelled for t, r in roles.items()},
    )


def preview_budget(
    config: DatasetConfig,
    settings: Settings,
    releases: tuple[ReleaseForecast, ...],
    trials: Mapping[str, tuple[Event, ...]],
) -> BudgetPreview:
    """What the releases and the trials of a sweep would leave of the budget that the configuration declares."""
    from synth_assets.privacy.budget_rows import Declaration
    from synth_assets.privacy.budget_rules import check_budget, preview

    said = config.budget
    declared = Declaration(config.unit or "row", said.epsilon, said.delta, said.per_release, said.per_dataset)
    check_budget(declared)
    networks = {s.name for s in config.synthesizers if s.trained_on_rows}
    labels = {r.synthesizer: f"model_{r.synthesizer}" if r.synthesizer in networks else MEASUREMENTS for r in releases}
    events = {f"{config.name}/{labels[r.synthesizer]} ({r.synthesizer})": r.events for r in releases} | dict(trials)
    ledger = open_budget(settings.home) if has_ledger(settings.home) else None
    if ledger is None:
        return preview(config.population, declared, (), events)
    return ledger.preview(config.population, declared, events)
