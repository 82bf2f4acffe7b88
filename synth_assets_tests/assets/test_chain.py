"""The whole chain in Dagster's eyes: every asset materialised, metadata present and stable, lineage unbroken, reuse counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from synth_assets.assets.metadata import MAX_PICTURE_BYTES
from synth_assets.audit.leaderboard import LeaderboardRow
from synth_assets.pii.roles import ColumnRoles
from synth_assets.storage.artifacts import Zone
from synth_assets_tests import chain

TABLES = ("patients", "encounters", "claims")
SCORES = ("overall_score", "privacy_score", "fidelity_score", "utility_score", "fairness_score")
FIGURES = ("privacy_risk", "utility_gap", "fairness_gap", "quality_score")
NUMBERS = {
    "dp_measurements": ("epsilon_spent", "epsilon_zcdp", "delta", "budget_left", "budget"),
    "model_dp_marginals": ("epsilon_spent",),
    "audit_dp_marginals": (*SCORES, *FIGURES),
    "pii_classification": ("direct_identifiers", "quasi_identifiers", "sensitive_columns"),
    "split": ("train_rows", "holdout_rows", "modelled_columns", "made_anew"),
    "raw_patients": ("data_quality", "columns"),
    "masked_patients": ("information_loss",),
    "report": ("report_bytes",),
}
Events = dict[str, dg.AssetMaterialization]


def latest(home: Path) -> Events:
    """The latest materialization of every asset of the dataset."""
    keys = [k for k in chain.definitions(home).resolve_asset_graph().get_all_asset_keys() if k.path[0] == "clinic"]
    with chain.instance(home) as instance:
        found = {key.path[-1]: instance.get_latest_materialization_event(key) for key in keys}
    return {name: event.asset_materialization for name, event in found.items()}


@pytest.fixture(scope="module")
def events(finished: Path) -> Events:
    return latest(finished)


def values(event: dg.AssetMaterialization) -> dict:
    return {k: v.value for k, v in event.metadata.items()}


def test_every_asset_is_materialised_with_its_own_data_version(events: Events) -> None:
    assert set(events) >= {"raw_patients", "profile", "report", "export_csv"}
    versions = [e.tags["dagster/data_version"] for e in events.values()]
    assert len(set(versions)) == len(versions)
    assert all(e.tags["dagster/code_version"] for e in events.values())


def test_every_asset_says_whether_it_was_reused_and_where_its_files_are(events: Events) -> None:
    for name, event in events.items():
        found = values(event)
        assert (found["reused"], found["reuse_count"]) == (False, 0), name
        assert Path(found["path"]).is_dir(), name


def test_tables_have_a_column_schema_and_a_row_count(events: Events, finished: Path) -> None:
    store = chain.store(finished)
    for name in (f"{p}_{t}" for p in ("raw", "masked", "synthetic_dp_marginals") for t in TABLES):
        found = values(events[name])
        zone = Zone(Path(found["path"]).parts[-4])
        file = pq.ParquetFile(next(store.path(store.current(zone, "clinic", name)).glob("part-*.parquet")))
        assert found["dagster/row_count"] == file.metadata.num_rows, name
        columns = {c.name: c.type for c in found["dagster/column_schema"].columns}
        assert list(columns) == file.schema_arrow.names, name
    raw = {c.name: c for c in values(events["raw_patients"])["dagster/column_schema"].columns}
    assert raw["patient_id"].constraints == dg.TableColumnConstraints(nullable=False, unique=True)
    masked = {c.name: c for c in values(events["masked_patients"])["dagster/column_schema"].columns}
    assert masked["patient_id"].tags == {"action": "tokenise"}
    verdicts = {c.name: c for c in values(events["pii_classification"])["dagster/column_schema"].columns}
    assert verdicts["patients.ssn"].tags == {"pii": "direct"}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_plot_over_time_have_stable_keys(events: Events, name: str) -> None:
    found = values(events[name])
    for key in NUMBERS[name]:
        assert isinstance(found[key], int | float), key
    if name == "dp_measurements":
        assert 5.9 < found["epsilon_spent"] <= 6 < found["epsilon_zcdp"]
        assert found["budget_left"] < 10 - 5


def test_pictures_are_small_and_there_is_one_of_every_profiled_table(events: Events) -> None:
    pictures = {k: v for k, v in values(events["profile"]).items() if str(v).startswith("![")}
    assert set(pictures) >= {f"{t}_distributions" for t in TABLES}
    for picture in pictures.values():
        encoded = picture.split("base64,")[1].rstrip(")")
        assert len(encoded) * 3 / 4 < MAX_PICTURE_BYTES


def walk(events: Events, name: str, column: str) -> Iterator[tuple[str, str]]:
    """The columns without a source of their own that a column comes from."""
    lineage = values(events[name]).get("dagster/column_lineage")
    sources = lineage.deps_by_column.get(column, []) if lineage else []
    if not sources:
        yield name, column
    for source in sources:
        yield from walk(events, source.asset_key.path[-1], source.column_name)


@pytest.mark.parametrize("fmt", ["parquet", "csv"])
def test_every_modelled_column_of_an_export_leads_back_to_its_raw_column(
    events: Events, finished: Path, fmt: str
) -> None:
    split = chain.store(finished).current(Zone.RESTRICTED, "clinic", "split")
    roles = {t: ColumnRoles.model_validate(r) for t, r in split.info["roles"].items()}
    shown = values(events[f"export_{fmt}"])
    columns = [c.name for c in shown["dagster/column_schema"].columns]
    seen = 0
    for full in columns:
        _, table, column = full.split(".")
        found = set(walk(events, f"export_{fmt}", full))
        if column in roles[table].modelled:
            seen += 1
            assert found == {(f"raw_{table}", column)}, full
        else:  # made anew: it comes from nothing
            assert found == {(f"synthetic_dp_marginals_{table}", column)}, full
    assert seen == sum(len(r.modelled) for r in roles.values()) > 15
    assert len(columns) == sum(len(r.modelled) + len(r.keys) + len(r.identifiers) for r in roles.values())


def test_masked_columns_lead_back_to_their_raw_columns(events: Events) -> None:
    for table in TABLES:
        for column in values(events[f"masked_{table}"])["dagster/column_schema"].columns:
            assert set(walk(events, f"masked_{table}", column.name)) == {(f"raw_{table}", column.name)}


def test_direct_identifiers_are_neither_split_nor_modelled(events: Events) -> None:
    direct = {
        c.name
        for c in values(events["pii_classification"])["dagster/column_schema"].columns
        if c.tags["pii"] == "direct"
    }
    assert direct >= {"patients.ssn", "patients.email", "patients.phone", "patients.first_name"}
    for name in ("split", "dp_measurements", "model_dp_marginals"):
        columns = {c.name for c in values(events[name])["dagster/column_schema"].columns}
        assert not columns & direct - {"patients.patient_id", "encounters.patient_id", "claims.patient_id"}, name


def test_a_second_run_reuses_everything_and_spends_nothing(home: Path) -> None:
    before = latest(home)
    done = chain.run(home)
    assert done.exit_code == 0
    assert all(a.state == "done" and a.reused for a in done.assets.values())
    after = latest(home)
    for name, event in after.items():
        assert event.tags["dagster/data_version"] == before[name].tags["dagster/data_version"], name
        assert values(event)["reuse_count"] == 1, name
    assert values(after["dp_measurements"])["budget_left"] == values(before["dp_measurements"])["budget_left"]


def test_a_configuration_that_comes_back_finds_its_old_artifacts_again(home: Path) -> None:
    left = latest(home)["dp_measurements"].metadata["budget_left"].value
    chain.edit(home, lambda c: c["synthesizers"][0].update(rows=200))
    changed = chain.run(home, stages=["synthetic"])
    assert not changed.assets["synthetic_dp_marginals_patients"].reused
    assert changed.assets["synthetic_dp_marginals_patients"].rows == 200
    chain.edit(home, lambda c: c["synthesizers"][0].pop("rows"))
    back = chain.run(home)
    assert back.exit_code == 0
    assert all(a.reused for a in back.assets.values())
    assert back.assets["dp_measurements"].metadata["budget_left"] == left


def test_a_fresh_run_of_a_stage_computes_it_again(home: Path) -> None:
    done = chain.run(home, stages=["leaderboard"], fresh=True)
    assert (done.exit_code, done.assets["leaderboard"].reused) == (0, False)


def test_the_leaderboard_shows_rank_and_synthesizer_first(events: Events) -> None:
    board = events["leaderboard"].metadata["board"].value
    columns = [column.name for column in board.schema.columns]
    assert columns[:2] == ["rank", "synthesizer"]
    assert set(columns) == set(LeaderboardRow.model_fields)
    (epsilon,) = (record.data["epsilon"] for record in board.records)
    assert epsilon == round(epsilon, 4)


def test_the_cost_of_a_private_model_includes_its_measuring(finished: Path) -> None:
    store = chain.store(finished)
    measured, fitted = (
        store.current(Zone.RELEASE, "clinic", n).info for n in ("dp_measurements", "model_dp_marginals")
    )
    board = json.loads(
        (store.path(store.current(Zone.RESTRICTED, "clinic", "leaderboard")) / "result.json").read_text()
    )
    row = next(r for r in board["rows"] if r["synthesizer"] == "dp_marginals")
    assert measured["seconds"] > 0
    assert row["fit_seconds"] == pytest.approx(measured["seconds"] + fitted["seconds"])


def test_metadata_and_checks_hold_no_value_of_an_identifier(events: Events, finished: Path) -> None:
    store = chain.store(finished)
    raw = store.path(store.current(Zone.RESTRICTED, "clinic", "raw_patients"))
    table = pq.read_table(sorted(raw.glob("part-*.parquet")))
    told = json.dumps([{k: str(v.value) for k, v in e.metadata.items()} for e in events.values()])
    for column in ("ssn", "email", "phone", "mrn", "street_address"):
        assert not [v for v in table[column].to_pylist() if v and v in told], column
