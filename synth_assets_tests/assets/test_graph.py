"""What the asset graph promises about privacy, read off the definitions themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import dagster as dg
import pytest

from synth_assets_tests import chain


@pytest.fixture(scope="module")
def clinic() -> dg.Definitions:
    return chain.definitions(chain.ROOT, "clinic")


@pytest.fixture(scope="module")
def graph(clinic):
    return clinic.resolve_asset_graph()


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["clinic", name])


def of_clinic(graph) -> list[dg.AssetKey]:
    return [k for k in graph.get_all_asset_keys() if k.path[0] == "clinic"]


def parents(graph, name: str) -> set[str]:
    return {k.path[-1] for k in graph.get(key(name)).parent_keys}


def ancestors(graph, name: str) -> set[str]:
    return {k.path[-1] for k in graph.get_ancestor_asset_keys(key(name))}


def resources(graph, name: str) -> set[str]:
    return graph.get(key(name)).assets_def.op.required_resource_keys


def test_the_marginal_model_has_the_noisy_measurements_as_its_only_parent(graph) -> None:
    assert parents(graph, "model_dp_marginals") == {"dp_measurements"}


def test_the_measurements_read_the_split_and_nothing_else(graph) -> None:
    assert parents(graph, "dp_measurements") == {"split"}


@pytest.mark.parametrize("model", ["model_dp_marginals", "model_gaussian_copula"])
def test_no_model_has_a_masked_table_among_its_ancestors(graph, model: str) -> None:
    assert not {a for a in ancestors(graph, model) if a.startswith("masked_")}


def test_every_way_from_rows_to_a_dp_table_leads_through_the_measurements_or_the_verdicts(graph) -> None:
    reached: set[str] = set()
    open_ends = {"synthetic_dp_marginals_patients"}
    while open_ends:
        name = open_ends.pop()
        reached.add(name)
        if name not in {"dp_measurements", "pii_classification"}:
            open_ends |= parents(graph, name) - reached
    assert reached == {
        "synthetic_dp_marginals_patients",
        "model_dp_marginals",
        "dp_measurements",
        "pii_classification",
    }


def test_fitting_and_sampling_get_no_power_but_the_store(graph) -> None:
    for name in ("model_dp_marginals", "synthetic_dp_marginals_patients", "leaderboard"):
        assert resources(graph, name) == {"store"}, name


def test_only_the_measurements_can_spend_and_only_masking_split_and_release_see_the_key(graph) -> None:
    names = [k.path[-1] for k in of_clinic(graph)]
    assert {n for n in names if "ledger" in resources(graph, n)} == {"dp_measurements"}
    assert {n for n in names if "budget_view" in resources(graph, n)} == {"privacy_budget"}
    assert resources(graph, "privacy_budget") == {"budget_view", "store"}
    with_key = {n for n in names if "key" in resources(graph, n)}
    assert with_key == {n for n in names if n.startswith(("masked_", "export_")) or n in {"split", "report"}}


def test_every_asset_says_who_owns_it_what_it_is_and_where_it_lives(graph) -> None:
    for k in of_clinic(graph):
        node = graph.get(k)
        assert node.owners == ["team:privacy"], k
        assert node.group_name == "clinic"
        assert node.description
        assert node.code_version
        assert set(node.tags) >= {"zone", "stage"}, k
        assert node.kinds, k


def test_the_last_part_of_a_key_names_the_stage(graph) -> None:
    for k in of_clinic(graph):
        stage = graph.get(k).tags["stage"]
        assert k.path[-1].startswith(stage), k


def test_zones_follow_the_design(graph) -> None:
    zones = {k.path[-1]: graph.get(k).tags["zone"] for k in of_clinic(graph)}
    assert zones["model_dp_marginals"] == zones["dp_measurements"] == "release"
    assert zones["model_gaussian_copula"] == "restricted"
    assert {z for n, z in zones.items() if n.startswith("masked_")} == {"masked"}
    assert {z for n, z in zones.items() if n.startswith(("synthetic_", "audit_", "raw_"))} == {"restricted"}
    assert {z for n, z in zones.items() if n.startswith("export_")} | {zones["report"]} == {"release"}


def test_the_guards_of_the_chain_are_blocking_checks(clinic) -> None:
    checks = {
        (c.asset_key.path[-1], c.name): c.blocking
        for a in clinic.resolve_asset_graph().assets_defs
        for c in a.check_specs
        if c.asset_key.path[0] == "clinic"
    }
    expected = [("masked_patients", "leak"), ("masked_patients", "keys")]
    expected += [("dp_measurements", "budget"), ("dp_measurements", "accountant")]
    expected += [("audit_dp_marginals", "privacy_risk"), ("audit_gaussian_copula", "referential_integrity")]
    for place in expected:
        assert checks[place], place
    warnings = {place for place, blocking in checks.items() if not blocking}
    assert warnings == {
        ("raw_encounters", "patient_id_not_null"),  # a child without a parent is odd, not wrong
        ("raw_claims", "encounter_id_not_null"),
        ("raw_claims", "patient_id_not_null"),
        ("audit_dp_marginals", "disclosure_risk"),  # unless the dataset sets it
        ("audit_gaussian_copula", "disclosure_risk"),
        ("audit_dp_marginals", "holdout_forms"),
        ("audit_gaussian_copula", "holdout_forms"),
    }
    assert checks["raw_patients", "patient_id_unique"]
    assert checks["raw_patients", "zip_match_regex"]


def test_fit_and_sample_do_not_import_tables() -> None:
    package = chain.ROOT / "synth_assets" / "synthesis" / "marginals"
    seen: set[Path] = set()
    open_files = [package / "fit.py", package / "sample.py"]
    while open_files:
        file = open_files.pop()
        seen.add(file)
        for module in imported(file):
            assert not module.startswith("synth_assets.tables.engine"), file
            assert not module.startswith("synth_assets.tables.sources"), file
            if file.parent == package and file.name in {"fit.py", "sample.py"}:
                assert not module.startswith("synth_assets.tables"), file
            inside = chain.ROOT / (module.replace(".", "/") + ".py")
            if inside.is_file() and inside not in seen:
                open_files.append(inside)


def imported(file: Path) -> list[str]:
    """Modules that a file imports at its top or inside functions, type-checking blocks left out."""
    tree = ast.parse(file.read_text())
    hidden = {n for block in ast.walk(tree) if _only_for_types(block) for n in ast.walk(block)}
    found = []
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return found


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_the_chain_of_uploads_has_the_powers_of_a_dataset_and_its_first_step_alone_has_the_inbox(graph) -> None:
    uploads = {k.path[-1]: graph.get(k).assets_def for k in graph.get_all_asset_keys() if k.path[0] == "uploads"}
    assert {n for n, a in uploads.items() if "inbox" in a.op.required_resource_keys} == {"raw_upload"}
    assert {n for n, a in uploads.items() if "ledger" in a.op.required_resource_keys} == {"dp_measurements"}
    assert {a.partitions_def.name for a in uploads.values()} == {"uploads"}
