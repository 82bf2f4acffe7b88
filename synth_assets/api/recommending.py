"""Which synthesizers fit a dataset, before any is trained. Opens no source and no table, spends and writes nothing."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.api.planning import preview_budget, recorded_columns
from synth_assets.api.reading import settings_of
from synth_assets.api.recording import record_read
from synth_assets.synthesis.advice import Facts, Recommendation, advise

if TYPE_CHECKING:
    from synth_assets.config.dataset import DatasetConfig
    from synth_assets.config.runtime import Settings

PROFILE = "profile"  # as asset_keys.py spells it; it knows Dagster, this does not


def recommend(config: Path, *, home: Path | None = None, units: int | None = None) -> Recommendation:
    """Advise on synthesizers by what is public: the configuration, the recorded columns, and the public form of the profile.

    Args:
        config: The dataset's YAML.
        home: Folder that holds var/; the nearest one when None.
        units: Public number of units of privacy, people or rows; the YAML's `unit_count`, the rows of a generated source, or the
            rounded count of the public profile when None.

    Raises:
        ConfigError: the configuration is malformed.
        InputError: units is below 1.
    """
    from synth_assets.config.load import load_dataset
    from synth_assets.errors import InputError
    from synth_assets.synthesis.planning import modelled_of, schema_of

    if units is not None and units < 1:
        raise InputError("the number of units of privacy must be at least 1.", key="units")
    dataset = load_dataset(config)
    settings = settings_of(home)
    schemas, modelled = recorded_columns(dataset, settings)
    if schemas is None or modelled is None:
        schemas = {t: schema_of(dataset, t) for t in dataset.tables}
        modelled = {t: modelled_of(schemas[t], dataset.tables[t], unit=dataset.unit_of(t)) for t in dataset.tables}
    kinds = [schemas[t].column(c).kind.value for t in schemas for c in modelled[t]]
    numbers = sum(kind in ("number", "date", "datetime") for kind in kinds)
    unit_table = dataset.locate(dataset.unit, "unit")[0] if dataset.unit else None
    counted, source = (units, "option") if units is not None else _units(dataset, settings)
    facts = Facts.model_validate(
        {
            "dataset": dataset.name,
            "parents": {t: [key.parent_table for key in schemas[t].foreign_keys] for t in schemas},
            "sequences": [t for t, table in dataset.tables.items() if table.sequence_order],
            "unit_table": unit_table,
            "numbers": numbers,
            "categories": len(kinds) - numbers,
            "units": counted,
            "units_from": source,
            "budget_left": preview_budget(dataset, settings, (), {}).left,
            "asked": {s.name: s.epsilon for s in dataset.synthesizers if s.differentially_private},
        }
    )

    @cache
    def noise_at(epsilon: float) -> float | None:
        return _noise(dataset, epsilon, facts.units, schemas, modelled)

    return advise(facts, noise_at)


def _units(dataset: DatasetConfig, settings: Settings) -> tuple[int | None, str]:
    """The number of units where it is declared or public, and where it comes from."""
    if dataset.unit_count is not None:
        return dataset.unit_count, "configuration"
    table, column = dataset.locate(dataset.unit, "unit") if dataset.unit else (next(iter(dataset.tables)), None)
    if column is not None and dataset.tables[table].primary_key != (column,):
        return None, "unknown"  # rows of that table are not units
    generated = dataset.tables[table].source.rows
    if generated is not None:
        return generated, "generator"
    rows = _profiled(dataset, settings).get(table, {}).get("row_count")
    return (None, "unknown") if rows is None else (int(rows), "public profile")


def _profiled(dataset: DatasetConfig, settings: Settings) -> dict[str, Any]:
    """The public form of the dataset's profile, if it was made in this home."""
    from synth_assets.config.stores import store_of
    from synth_assets.storage.artifacts import Zone

    if not settings.var.is_dir():
        return {}
    store = store_of(settings)
    ref = store.find(Zone.RESTRICTED, dataset.name, PROFILE)
    if ref is None:
        return {}
    record_read(settings, ref, "public.json")
    found: dict[str, Any] = json.loads((store.path(ref) / "public.json").read_text())
    return found


def _noise(dataset: DatasetConfig, epsilon: float, units: int | None, schemas: Any, modelled: Any) -> float | None:
    """Expected distance of a typical pair of columns by noise alone, the worst table; None where the units are not known."""
    from synth_assets.config.dataset import SynthesizerConfig
    from synth_assets.synthesis.planning import forecast

    if units is None or not any(modelled.values()):
        return None
    asked = next((s for s in dataset.synthesizers if s.name == "dp_marginals"), SynthesizerConfig(name="dp_marginals"))
    plan = forecast(
        dataset, asked.model_copy(update={"epsilon": epsilon}), units=units, schemas=schemas, modelled=modelled
    )
    found = [e.tvd for e in plan.errors if e.ways == 2 and e.tvd is not None]
    found = found or [e.tvd for e in plan.errors if e.tvd is not None]
    return max(found, default=None)
