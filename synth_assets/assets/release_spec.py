"""From the split and the YAML to the specification of a release: what both kinds of synthesizers are given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.assets.split import roles_of, schemas_of
from synth_assets.assets.wiring import Wiring
from synth_assets.config.dataset import SynthesizerConfig, TableConfig
from synth_assets.storage.artifacts import ArtifactRef
from synth_assets.tables.expectation_names import columns_of, full_name

if TYPE_CHECKING:
    from synth_assets.synthesis.protocol import ReleaseSpec

ORDER = "expect_column_pair_values_a_to_be_greater_than_b"
DOMAIN_KEYS = ("kind", "categories", "lower", "upper", "inferred")


def section_of(wiring: Wiring, synthesizer: SynthesizerConfig) -> dict[str, Any]:
    """What measuring or fitting depends on: the synthesizer's parameters, declared domains, contribution bounds, unit and target."""
    return {
        "synthesizer": synthesizer.model_dump(
            mode="json", exclude={"rows"} | ({"network"} - synthesizer.model_fields_set)
        ),
        "unit": wiring.config.unit,
        "target": wiring.config.target,
        "tables": {
            name: {
                "max_per_unit": table.max_per_unit,
                **({"sequence_order": table.sequence_order} if table.sequence_order else {}),
                **({"impossible": table.impossible} if table.impossible else {}),
                "orders": declared_orders(table),
                "columns": wiring.declared(name, DOMAIN_KEYS),
            }
            for name, table in wiring.config.tables.items()
        },
    }


def declared_orders(table: TableConfig) -> tuple[tuple[str, str], ...]:
    """Pairs (low, high) of columns whose order the contract declares: such a rule is public, so a model may keep it for free."""
    pairs = []
    for expectation in table.contract:
        columns = columns_of(expectation)
        if full_name(expectation.expect) == ORDER and len(columns) == 2 and expectation.severity == "error":
            pairs.append((columns[1], columns[0]))
    return tuple(pairs)


def release_spec(wiring: Wiring, split: ArtifactRef, folder: Path) -> ReleaseSpec:
    """The train part of every table, with what a person declared about it.

    Args:
        wiring: The dataset.
        split: The split that was read.
        folder: Its files.
    """
    from synth_assets.synthesis.protocol import ReleaseSpec, TableSpec

    config, roles, schemas = wiring.config, roles_of(split), schemas_of(split)
    tables = tuple(
        TableSpec(
            table=schemas[name],
            path=folder / name / "train",
            columns=roles[name].modelled,
            configs=config.tables[name].columns,
            max_per_unit=config.tables[name].max_per_unit,
            sequence_order=config.tables[name].sequence_order,
            impossible=config.tables[name].impossible,
            orders=tuple(o for o in declared_orders(config.tables[name]) if set(o) <= set(roles[name].modelled)),
        )
        for name in config.tables
    )
    target = config.locate(config.target, "target") if config.target else None
    if target is not None and target[1] not in roles[target[0]].modelled:
        target = None  # a target that is a key or an identifier cannot guide a model
    return ReleaseSpec(tables=tables, unit=config.locate(config.unit, "unit") if config.unit else None, target=target)
