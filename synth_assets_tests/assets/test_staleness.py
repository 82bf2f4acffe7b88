"""An unchanged chain is fresh and costs nothing; a change of the YAML makes exactly what depends on it stale."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView, TemporalContext
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus

from synth_assets_tests import chain

CLINIC = (
    {f"raw_{t}" for t in ("patients", "encounters", "claims")}
    | {f"masked_{t}" for t in ("patients", "encounters", "claims")}
    | {f"synthetic_dp_marginals_{t}" for t in ("patients", "encounters", "claims")}
    | {
        "profile",
        "pii_classification",
        "split",
        "dp_measurements",
        "privacy_budget",
        "model_dp_marginals",
        "audit_dp_marginals",
    }
    | {"audit_masked", "leaderboard", "report", "export_parquet", "export_csv"}
)
MASKED = {a for a in CLINIC if a.startswith("masked_")}
SYNTHETIC = {a for a in CLINIC if a.startswith("synthetic_")}


def statuses(home: Path, dataset: str = "clinic") -> dict[str, StaleStatus]:
    """Dagster's own answer for every asset of a dataset, with the definitions that the YAML gives now."""
    graph = chain.definitions(home).resolve_asset_graph()
    with chain.instance(home) as instance:
        now = TemporalContext(effective_dt=datetime.now(UTC), last_event_id=None)
        view = AssetGraphView(temporal_context=now, instance=instance, asset_graph=graph)
        resolver = CachingStaleStatusResolver(instance=instance, asset_graph=graph, loading_context=view)
        keys = [key for key in graph.get_all_asset_keys() if key.path[0] == dataset]
        return {key.path[-1]: resolver.get_status(key) for key in keys}


def stale(home: Path, dataset: str = "clinic") -> set[str]:
    return {name for name, status in statuses(home, dataset).items() if status != StaleStatus.FRESH}


def set_threshold(config: dict) -> None:
    config["thresholds"] = {"privacy_risk": "high", "fidelity": 0.1}


def set_severity(config: dict) -> None:
    config["thresholds"] = {"privacy_risk": {"limit": "high", "severity": "warn"}}


def set_level(config: dict) -> None:
    config["audit"] = {"levels": {"membership": {"medium": 0.2, "high": 0.3}}}


def set_weight(config: dict) -> None:
    config["audit"] = {"weights": {"fidelity": 0.5}}


def set_limit(config: dict) -> None:
    config["audit"] = {"limits": {"attack_rows": 500}}


def set_action(config: dict) -> None:
    config["tables"]["patients"]["columns"]["zip"] = {"action": "drop"}


def set_policy(config: dict) -> None:
    config["policy"] = "dev_test"


def set_seed(config: dict) -> None:
    config["seed"] = 8


def set_epsilon(config: dict) -> None:
    config["synthesizers"][0]["epsilon"] = 5


def set_rows(config: dict) -> None:
    config["synthesizers"][0]["rows"] = 90


def set_contract(config: dict) -> None:
    config["tables"]["claims"]["contract"] = [{"expect": "column_values_to_not_be_null", "column": "status"}]


def set_entity_type(config: dict) -> None:
    config["tables"]["patients"]["columns"]["mrn"] = {"entity_type": "other_id", "identifier_class": "direct"}


def set_domain(config: dict) -> None:
    config["tables"]["patients"]["columns"]["bmi"]["upper"] = 70


def set_bound(config: dict) -> None:
    config["tables"]["claims"]["max_per_unit"] = 5


def set_holdout(config: dict) -> None:
    config["holdout"] = 0.3


def set_owner(config: dict) -> None:
    config["owners"] = ["team:research"]


def set_budget(config: dict) -> None:
    config["budget"] = {"epsilon": 12, "delta": 1e-5}


CHANGES: list[tuple[Callable[[dict], None], set[str]]] = [
    (set_threshold, {"audit_dp_marginals"}),
    (set_severity, {"audit_dp_marginals"}),
    (set_level, {"audit_dp_marginals", "audit_masked"}),
    (set_weight, {"audit_dp_marginals", "audit_masked"}),
    (set_limit, {"audit_dp_marginals"}),
    (set_action, MASKED),
    (set_policy, MASKED | {"report"}),  # the report names the policy
    (
        set_seed,
        {"raw_patients", "raw_encounters", "raw_claims", "model_dp_marginals", *SYNTHETIC, "audit_dp_marginals"},
    ),
    (set_epsilon, {"dp_measurements", "leaderboard"}),  # the leaderboard names the parameters
    (set_rows, {*SYNTHETIC, "leaderboard"}),
    (set_contract, {"raw_claims", "audit_dp_marginals"}),  # rules of the contract are counted on the synthetic rows
    (set_entity_type, {"pii_classification"}),
    (set_domain, {"raw_patients", "dp_measurements", "audit_dp_marginals"}),  # declared bounds are part of the contract
    (set_bound, {"dp_measurements"}),
    (set_holdout, {"split"}),
    (set_owner, set()),
    (set_budget, set()),
]


def test_a_finished_chain_is_fresh(finished: Path) -> None:
    assert set(statuses(finished)) == CLINIC
    assert stale(finished) == set()


@pytest.mark.parametrize(("change", "expected"), CHANGES, ids=[c.__name__ for c, _ in CHANGES])
def test_a_change_makes_exactly_what_depends_on_it_stale(home: Path, change, expected) -> None:
    chain.edit(home, change)
    assert stale(home) == expected
