"""Masking whole tables: joins, intervals, order, missing cells, the same in every run, keys that show nowhere."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_assets.config.dataset import ColumnConfig
from synth_assets.errors import InputError, SynthAssetsError, UnexpectedError
from synth_assets.masking import run
from synth_assets.masking.keyring import KeyRing, domain_key, release_key
from synth_assets.masking.prepare import MaskInput
from synth_assets.masking.recipes import separate_steps
from synth_assets.masking.records import MaskSummary
from synth_assets.masking.summary import information_loss
from synth_assets.masking.tokens import Tokens
from synth_assets.tables.schema import TableSchema
from synth_assets_tests.unit.masking.conftest import ENGINE, KEY, House

DAY = date(2024, 3, 1)


def _at(day: int) -> datetime:
    return datetime.fromisoformat(f"2024-01-{day:02d}T08:30")


def _clinic(house: House) -> House:
    house.table(
        "patients",
        {
            "pid": [11, 12, 13],
            "name": ["Ann Lee", None, "Bo Kim"],
            "phone": ["212-555-0101", "212-555-0102", None],
            "born": pa.array([date(1980, 1, 5), date(1990, 2, 6), None]),
            "amount": [1.5, None, 2.5],
        },
        {"pid": "customer_id", "name": "person_name", "phone": "phone", "born": "birth_date", "amount": "none"},
        key=("pid",),
    )
    house.table(
        "visits",
        {
            "vid": ["V1", "V2", "V3", "V4"],
            "pid": [13, 11, 11, None],
            "start": pa.array([*(_at(d) for d in (1, 5, 9)), None], pa.timestamp("us")),
            "end": pa.array([date(2024, 1, d) for d in (2, 7, 30)] + [DAY]),
            "contact": ["212-555-0102", "212-555-0101", None, "212-555-0199"],
        },
        {"vid": "other_id", "pid": "customer_id", "start": "event_date", "end": "event_date", "contact": "phone"},
        key=("vid",),
        parents={"pid": "patients.pid"},
    )
    return house


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> tuple[House, dict[str, MaskSummary]]:
    """Both tables, masked once; nobody changes them."""
    house = _clinic(House(tmp_path_factory.mktemp("clinic"), {}))
    return house, house.mask(unit=("patients", "pid"))


Clinic = tuple[House, dict[str, MaskSummary]]


def test_joins_survive_and_whole_numbers_stay_whole_numbers(clinic: Clinic) -> None:
    house, summaries = clinic
    patients, visits = house.read("patients"), house.read("visits")
    assert [patients["pid"].index(p) if p else None for p in visits["pid"]] == [2, 0, 0, None]
    assert summaries["visits"].output_schema.column("pid").dtype == "int64"
    assert not set(patients["pid"]) & {11, 12, 13}


def test_one_value_has_one_pseudonym_in_all_tables(clinic: Clinic) -> None:
    house, _ = clinic
    patients, visits = house.read("patients"), house.read("visits")
    assert visits["contact"][1] == patients["phone"][0]
    assert visits["contact"][0] == patients["phone"][1]


def test_all_dates_of_a_person_move_by_the_same_days_in_all_tables(clinic: Clinic) -> None:
    house, _ = clinic
    patients, visits = house.read("patients"), house.read("visits")
    shift = (patients["born"][0] - date(1980, 1, 5)).days
    assert shift != 0
    assert abs(shift) <= 365
    assert visits["start"][1:3] == [
        _at(5) + timedelta(shift),
        _at(9) + timedelta(shift),
    ]
    assert visits["end"][1:3] == [date(2024, 1, 7) + timedelta(shift), date(2024, 1, 30) + timedelta(shift)]
    other = (patients["born"][1] - date(1990, 2, 6)).days
    assert other != shift


def test_dates_find_their_person_through_a_table_between(house: House) -> None:
    _clinic(house)
    house.table(
        "lines",
        {"vid": ["V2", "V1"], "paid": ["2024-01-10", "10.01.24"]},
        {"vid": "other_id", "paid": "event_date"},
        parents={"vid": "visits.vid"},
    )
    house.mask(unit=("patients", "pid"))
    shift = house.read("patients")["born"][0] - date(1980, 1, 5)
    assert house.read("lines")["paid"] == [(date(2024, 1, 10) + shift).isoformat(), None]


def test_without_any_key_every_row_is_its_own_person_and_keeps_its_intervals(house: House) -> None:
    house.table(
        "t",
        {"a": pa.array([DAY] * 50), "b": pa.array([DAY + timedelta(9)] * 50)},
        {"a": "event_date", "b": "event_date"},
    )
    house.mask()
    made = house.read("t")
    assert {b - a for a, b in zip(made["a"], made["b"], strict=True)} == {timedelta(9)}
    assert len(set(made["a"])) > 30


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=st.lists(st.dates(date(1901, 1, 1), date(2100, 1, 1)), min_size=2, max_size=50), limit=st.integers(1, 3650))
def test_shifts_are_bounded_never_zero_and_keep_order_and_intervals(brew: Any, days: list[date], limit: int) -> None:
    from synth_assets.masking.dates import date_shift

    people = [i % 3 for i in range(len(days))]
    made = brew(date_shift("date32[day]", limit), days, dtype=pa.date32(), companions={"person": people})
    shifts = {p: {(m - d).days for m, d, q in zip(made, days, people, strict=True) if q == p} for p in set(people)}
    assert all(len(s) == 1 and 1 <= abs(*s) <= limit for s in shifts.values())


def test_missing_cells_stay_missing_and_no_others_become_so(clinic: Clinic) -> None:
    for summary in clinic[1].values():
        assert all(c.nulls_before == c.nulls_after for c in summary.columns)


def test_kept_columns_are_untouched_and_dropped_ones_gone(house: House) -> None:
    _clinic(house).mask("hipaa_safe_harbor")
    made = house.read("patients")
    assert list(made) == ["pid", "born", "amount"]
    assert made["amount"] == [1.5, None, 2.5]
    assert made["born"] == [date(1980, 1, 1), date(1990, 1, 1), None]


def test_the_same_tables_and_key_give_the_same_result_and_another_recipient_another(clinic: Clinic) -> None:
    house, _ = clinic
    house.mask(out="again", unit=("patients", "pid"))
    house.mask(out="partner", release_domain="partner")
    for name in ("patients", "visits"):
        assert house.read(name) == house.read(name, "again")
        mine, theirs = house.read(name), house.read(name, "partner")
        for column in {"pid", "vid", "phone", "contact"} & set(mine):
            assert not ({*mine[column]} & {*theirs[column]}) - {None}


def test_a_table_alone_gets_the_pseudonyms_it_has_among_the_others(clinic: Clinic) -> None:
    house, _ = clinic
    together = house.read("patients")
    alone = House(house.folder / "alone", {"patients": house.tables["patients"]})
    alone.mask()
    assert alone.read("patients") == together


def test_a_folder_gets_its_schema_and_a_path_a_single_file(clinic: Clinic) -> None:
    house, summaries = clinic
    summary = summaries["patients"]
    written = json.loads((house.folder / "masked" / "patients" / "schema.json").read_text())
    assert TableSchema.model_validate(written) == summary.output_schema
    assert summary.output_schema.primary_key == ("pid",)
    plans = house.plans()
    inputs = {n: MaskInput(t.path, t.schema, plans[n]) for n, t in house.tables.items()}
    run.mask_tables(inputs, {"visits": house.folder / "one" / "v.parquet"}, key=KEY, engine=ENGINE)
    assert [p.name for p in (house.folder / "one").iterdir()] == ["v.parquet"]


def test_a_summary_counts_and_gives_reasons(house: House) -> None:
    overrides = {"patients": {"amount": ColumnConfig(action="drop")}}
    columns = {c.column: c for c in _clinic(house).mask(overrides=overrides)["patients"].columns}
    assert (columns["amount"].dtype, columns["amount"].information_loss, columns["amount"].overridden) == (
        None,
        1.0,
        True,
    )
    assert (columns["phone"].distinct_before, columns["phone"].distinct_after, columns["phone"].information_loss) == (
        2,
        2,
        0,
    )
    assert columns["name"].reason == "policy dev_test: person_name"
    assert (columns["amount"].distinct_before, columns["amount"].distinct_after) == (None, None)


def test_a_mask_that_is_one_to_one_loses_nothing_and_is_not_counted(house: House) -> None:
    overrides = {"patients": {"name": ColumnConfig(action="keep"), "phone": ColumnConfig(action="pseudonym")}}
    columns = {c.column: c for c in _clinic(house).mask(overrides=overrides)["patients"].columns}
    for name in ("name", "phone"):
        found = columns[name]
        assert (found.nulls_before, found.nulls_after) == (1, 1)
        assert (found.distinct_before, found.distinct_after, found.information_loss) == (None, None, 0.0)


@pytest.mark.parametrize(
    ("filled", "distinct", "filled_after", "distinct_after", "loss"),
    [
        (100, 100, 100, 100, 0),
        (100, 100, 100, 10, 0.5),
        (100, 100, 0, 0, 1),
        (100, 100, 50, 100, 0.5),
        (0, 0, 0, 0, 0),
        (9, 1, 9, 1, 0),
    ],
)
def test_information_loss_by_hand(
    filled: int, distinct: int, filled_after: int, distinct_after: int, loss: float
) -> None:
    assert information_loss(filled, distinct, filled_after, distinct_after) == loss


def test_a_plan_that_drops_everything_is_refused_before_anything_is_written(house: House) -> None:
    house.table("t", {"ssn": ["123-45-6789"]}, {"ssn": "ssn"})
    with pytest.raises(InputError, match="drops every column"):
        house.mask("hipaa_safe_harbor")
    assert not (house.folder / "masked").exists()


def test_rows_keep_their_order_when_many_pseudonyms_were_drawn_again(house: House) -> None:
    rng = np.random.default_rng(5)
    n = 200_000
    numbers = rng.choice(10**9, n, replace=False)
    ssn = pa.array([f"{x:09d}" for x in numbers])
    house.table("t", {"ssn": ssn, "at": pa.array(range(n))}, {"ssn": "ssn", "at": "none"})
    summary = house.mask()["t"]
    assert summary.redrawn > 500  # 49 million numbers for 200,000 people: about 800 meet another one, some a real one
    made = pq.read_table(house.folder / "masked" / "t" / "part-00000.parquet")
    assert made["at"].to_pylist() == list(range(n))
    texts = made["ssn"].combine_chunks()
    assert len(texts.unique()) == n
    assert not set(texts.to_pylist()) & set(ssn.to_pylist())


def test_a_million_telephone_numbers_stay_different_and_meet_no_real_one(house: House) -> None:
    numbers = np.arange(1_000_000) * 6_399 % 6_400_000_000
    area, exchange, line = 200 + numbers // 8_000_000, 200 + numbers // 10_000 % 800, numbers % 10_000
    raw = pa.array(area * 10_000_000 + exchange * 10_000 + line).cast(pa.string())
    assert len(raw.unique()) == 1_000_000
    house.table("t", {"phone": raw}, {"phone": "phone"})
    house.mask()
    made = pq.read_table(house.folder / "masked" / "t" / "part-00000.parquet")["phone"].combine_chunks()
    assert len(made.unique()) == 1_000_000
    assert not pa.compute.any(pa.compute.is_in(made, value_set=raw)).as_py()


def test_a_crowded_form_gives_up_its_form_and_not_its_uniqueness(house: House) -> None:
    house.table("t", {"plate": [f"{i:02d}" for i in range(100)]}, {"plate": "license_plate"})
    house.mask()
    made = house.read("t")["plate"]
    assert len(set(made)) == 100
    assert not set(made) & {f"{i:02d}" for i in range(100)}
    assert any(len(m) == 32 for m in made)


def test_numbers_stored_as_whole_numbers_keep_their_form(house: House) -> None:
    house.table(
        "t",
        {"ssn": [123456789, 987654321, None], "card": [4111111111111111, None, 378282246310005]},
        {"ssn": "ssn", "card": "card_number"},
    )
    house.mask()
    made = house.read("t")
    assert all(900_000_000 < s < 1_000_000_000 for s in made["ssn"][:2])
    assert [str(c)[:6] for c in made["card"] if c] == ["411111", "378282"]
    assert made["ssn"][2] is made["card"][1] is None


def test_the_key_is_in_no_query_text(house: House) -> None:
    _clinic(house)
    plans = house.plans()
    secret = release_key(KEY, "test")
    with ENGINE.session() as session, separate_steps(), ExitStack() as scratch:
        inputs = {n: MaskInput(t.path, t.schema, plans[n]) for n, t in house.tables.items()}
        job = run._Job(session, scratch, inputs, KeyRing(session, secret), Tokens({}))
        for name in inputs:
            sql = session.backend.compile(job.masked(name))
            for domain in ("customer_id", "phone", "person", "name/first", "other_id"):
                assert domain_key(secret, domain) not in sql
            assert secret.value.hex() not in sql
            assert KEY.value.hex() not in sql


def test_an_engine_error_shows_neither_key_nor_value(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    _clinic(house)

    def broken(self: Any, name: str) -> Any:
        raise RuntimeError(f"cannot cast 'ann.lee@secret.org' with {domain_key(release_key(KEY, 'test'), 'phone')}")

    monkeypatch.setattr(run._Job, "masked", broken)
    with pytest.raises(UnexpectedError) as caught:
        house.mask()
    shown = f"{caught.value} {caught.value!r} {caught.value.__cause__} {caught.value.__context__ if not caught.value.__suppress_context__ else ''}"
    assert "secret.org" not in shown
    assert domain_key(release_key(KEY, "test"), "phone") not in shown


def test_a_broken_file_is_one_clear_error_and_leaves_what_was_there(house: House) -> None:
    _clinic(house).mask()
    before = house.read("patients")
    (house.tables["patients"].path / "part-00000.parquet").write_bytes(b"no parquet, ann.lee@secret.org")
    with pytest.raises(SynthAssetsError) as caught:
        house.mask()
    assert "secret" not in str(caught.value)
    assert house.read("patients") == before


def test_a_records_key_fingerprint_changes_with_the_key_and_shows_nothing(clinic: Clinic) -> None:
    summary = clinic[1]["patients"]
    assert summary.key_fingerprint == release_key(KEY, "test").fingerprint
    assert summary.key_fingerprint != release_key(KEY, "other").fingerprint
    assert KEY.value.hex() not in summary.model_dump_json()


def test_times_without_a_zone_stay_so(house: House) -> None:
    house.table(
        "t",
        {"at": pa.array([_at(1)], pa.timestamp("us"))},
        {"at": "timestamp"},
    )
    house.mask()
    assert house.read("t")["at"][0].tzinfo is None
    assert house.read("t")["at"][0].time() == _at(1).time()
