"""k-anonymity of whole tables: it holds on what was written, no row is lost, all else stays as it was."""

from __future__ import annotations

import collections
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_assets.config.anonymity import AnonymityConfig, HierarchyConfig, TableAnonymity
from synth_assets.config.dataset import ColumnConfig
from synth_assets.config.policy import PolicyConfig
from synth_assets.errors import CheckFailedError, ConfigError
from synth_assets.masking.anonymity.verify import check_anonymity, check_masked
from synth_assets.masking.leakcheck import check_leaks
from synth_assets.masking.policies import load_policy
from synth_assets_tests.unit.masking.conftest import ENGINE, House, verdict

QUASI = ("age", "sex", "zip", "born")


def policy(**asked: Any) -> PolicyConfig:
    shipped = load_policy("k_anonymity")
    return shipped.model_copy(update={"anonymity": AnonymityConfig(**asked)})


def people(house: House, columns: dict[str, Any] | None = None, *, rows: int = 60) -> House:
    made = columns or {
        "pid": list(range(rows)),
        "name": [f"Ann Lee{i}" for i in range(rows)],
        "age": [20 + (i * 7) % 50 for i in range(rows)],
        "sex": ["F" if i % 3 else "M" for i in range(rows)],
        "zip": [f"0213{i % 10}" if i % 4 else f"9021{i % 5}" for i in range(rows)],
        "born": pa.array([date(1950, 1, 1) + timedelta(days=97 * i) for i in range(rows)]),
        "ill": [("flu", "cold", "none")[(i * i + i // 7) % 3] for i in range(rows)],
        "cost": [float(i % 9) for i in range(rows)],
    }
    types = {
        "pid": "customer_id", "name": "person_name", "age": "age", "sex": "sex", "zip": "zip", "born": "birth_date",
        "ill": verdict("ill", "icd10"), "cost": "none",
    }  # fmt: skip
    house.table("people", made, {c: t for c, t in types.items() if c in made}, key=("pid",))
    return house


def classes(table: dict[str, list[Any]], quasi: tuple[str, ...] = QUASI) -> collections.Counter[tuple[Any, ...]]:
    return collections.Counter(zip(*(table[c] for c in quasi), strict=True))


@pytest.mark.parametrize("method", ["auto", "full_domain", "multidimensional"])
def test_every_combination_is_shared_by_k_rows_and_all_else_stays(house: House, method: str) -> None:
    summary = people(house).mask(policy(k=5, method=method))["people"]
    masked = house.read("people")
    assert min(classes(masked).values()) >= 5
    assert masked["ill"] == [("flu", "cold", "none")[(i * i + i // 7) % 3] for i in range(60)]
    assert masked["cost"] == [float(i % 9) for i in range(60)]
    assert "name" not in masked
    assert summary.anonymity is not None
    assert summary.anonymity.quasi == QUASI
    assert summary.anonymity.suppressed_rows <= 3
    assert 0 < summary.anonymity.loss < 1


def test_the_automatic_method_takes_the_one_that_loses_less(house: House) -> None:
    done = people(house).mask(policy(k=5))["people"].anonymity
    assert done is not None
    losses = {t.method: t.loss for t in done.tried}
    assert done.loss == min(losses.values())
    assert losses[done.method] == done.loss


def test_the_same_table_gives_the_same_release(house: House) -> None:
    people(house).mask(policy(k=4))
    house.mask(policy(k=4), out="again")
    assert house.read("people") == house.read("people", "again")


def test_a_released_cell_covers_the_raw_value(house: House) -> None:
    people(house).mask(policy(k=5, method="multidimensional"))
    raw, masked = [20 + (i * 7) % 50 for i in range(60)], house.read("people")["age"]
    for value, cell in zip(raw, masked, strict=True):
        low, _, high = cell.strip("[]").partition(", ")
        assert int(low) <= value <= int(high or low)


def test_blanked_rows_stay_and_are_k_themselves(house: House) -> None:
    rows = 400
    columns = {
        "pid": list(range(rows)),
        "age": [30] * (rows - 14) + list(range(60, 74)),
        "ill": ["flu"] * rows,
    }
    summary = people(house, columns).mask(policy(k=11, method="full_domain"))["people"]
    masked = house.read("people")
    assert summary.anonymity is not None
    assert summary.anonymity.suppressed_rows == 14
    assert masked["age"] == [30] * (rows - 14) + [None] * 14
    assert len(masked["ill"]) == rows


def test_fewer_than_k_lone_rows_take_others_along(house: House) -> None:
    columns = {"pid": list(range(300)), "age": [30] * 282 + [31] * 15 + [70, 71, 72], "ill": ["flu"] * 300}
    hierarchies = {"age": HierarchyConfig(widths=(1000,))}
    said = {"people": TableAnonymity(hierarchies=hierarchies, suppression=0.1)}
    people(house, columns).mask(policy(k=11, method="full_domain"), anonymity=said)
    assert classes(house.read("people"), ("age",)) == {(30,): 282, (None,): 18}


def test_persons_count_and_not_their_rows(house: House) -> None:
    house.table(
        "patients", {"pid": list(range(40)), "name": [f"Bo Kim{i}" for i in range(40)]},
        {"pid": "customer_id", "name": "person_name"}, key=("pid",),
    )  # fmt: skip
    owner = [i // 10 if i < 100 else i - 90 for i in range(130)]  # ten persons with ten rows each, thirty with one
    house.table(
        "visits",
        {"vid": list(range(130)), "pid": owner, "age": [20 + o for o in owner]},
        {"vid": "other_id", "pid": "customer_id", "age": "age"},
        key=("vid",),
        parents={"pid": "patients.pid"},
    )
    rules = policy(k=4, suppression=0.0)
    plans = house.plans(rules)
    done = house.mask(rules)
    masked = house.read("visits")
    persons = collections.defaultdict(set)
    for age, pid in zip(masked["age"], masked["pid"], strict=True):
        persons[age].add(pid)
    assert min(map(len, persons.values())) >= 4
    assert done["visits"].anonymity is not None
    assert done["visits"].anonymity.unit == "persons"
    paths = {t: house.folder / "masked" / t for t in done}
    report = check_masked("visits", paths, done, plans["visits"], ENGINE)
    assert report.passed
    assert report.measure is not None
    assert (report.measure.unit, report.measure.k) == ("persons", min(map(len, persons.values())))


def test_persons_are_found_through_the_tables_between(house: House) -> None:
    house.table(
        "patients", {"pid": list(range(30)), "name": [f"Bo Kim{i}" for i in range(30)]},
        {"pid": "customer_id", "name": "person_name"}, key=("pid",),
    )  # fmt: skip
    house.table(
        "visits", {"vid": list(range(60)), "pid": [i // 2 for i in range(60)]}, {"vid": "other_id", "pid": "customer_id"},
        key=("vid",), parents={"pid": "patients.pid"},
    )  # fmt: skip
    house.table(
        "claims", {"cid": list(range(60)), "vid": list(range(60)), "age": [20 + i // 2 for i in range(60)]},
        {"cid": "other_id", "vid": "other_id", "age": "age"}, key=("cid",), parents={"vid": "visits.vid"},
    )  # fmt: skip
    rules = policy(k=5, suppression=0.0)
    plans, done = house.plans(rules), house.mask(rules)
    paths = {t: house.folder / "masked" / t for t in done}
    report = check_masked("claims", paths, done, plans["claims"], ENGINE)
    assert report.passed
    assert report.measure is not None
    assert report.measure.unit == "persons"
    assert 5 <= report.measure.k < min(classes(house.read("claims"), ("age",)).values())


def test_a_table_that_is_too_small_is_one_clear_error(house: House) -> None:
    with pytest.raises(CheckFailedError, match="cannot reach k = 11: it has 10 rows"):
        people(house, rows=10).mask(policy(k=11))


def test_a_sensitive_column_with_too_few_values_is_one_clear_error(house: House) -> None:
    with pytest.raises(CheckFailedError, match=r"cannot reach l = 4 \(distinct\)"):
        people(house).mask(policy(k=3, l_diversity=4))


@pytest.mark.parametrize("form", ["distinct", "entropy", "recursive"])
@pytest.mark.parametrize("method", ["full_domain", "multidimensional"])
def test_l_diversity_holds_in_every_form(house: House, form: str, method: str) -> None:
    rules = policy(k=4, l_diversity=2, diversity=form, c=4, method=method)
    plans = people(house).plans(rules)
    done = house.mask(rules)
    report = check_masked("people", {"people": house.folder / "masked" / "people"}, done, plans["people"], ENGINE)
    assert report.passed, report.failures
    assert report.measure is not None
    assert report.measure.sensitive[0].distinct >= 2


@pytest.mark.parametrize("column", ["ill", "cost"])
def test_t_closeness_holds_for_categories_and_numbers(house: House, column: str) -> None:
    rules = policy(k=4, t_closeness=0.15)
    said = {"people": TableAnonymity(sensitive=(column,))}
    plans = people(house).plans(rules, anonymity=said)
    done = house.mask(rules, anonymity=said)
    report = check_masked("people", {"people": house.folder / "masked" / "people"}, done, plans["people"], ENGINE)
    assert report.passed, report.failures
    assert report.measure is not None
    assert report.measure.sensitive[0].t <= 0.15 + 1e-6


def test_the_leak_check_lets_places_through_that_k_persons_share(house: House) -> None:
    columns = {
        "pid": list(range(40)),
        "name": [f"Ann Lee{i}" for i in range(40)],
        "state": ["Massachusetts"] * 20 + ["Ohio"] * 20,
        "city": ["Boston Massachusetts"] * 20 + ["Columbus Ohio"] * 20,
    }
    types = {"pid": "customer_id", "name": "person_name", "state": "state", "city": "city"}
    made = house.table("people", columns, types, key=("pid",))
    for listed in (("state",), ("state", "city")):
        done = house.mask(policy(k=11), anonymity={"people": TableAnonymity(quasi_identifiers=listed)})
        assert house.read("people")["state"] == columns["state"]
        report = check_leaks(
            {"people": made.path}, {"people": house.folder / "masked" / "people"}, verdicts={"people": made.verdicts},
            schemas={"people": made.schema}, summaries=done, engine=ENGINE,
        )  # fmt: skip
        assert report.passed, report.findings


def test_the_check_finds_a_table_that_does_not_hold(house: House) -> None:
    rules = policy(k=5, l_diversity=3, t_closeness=0.05)
    made = people(house).tables["people"]
    demand = house.plans(rules)["people"].anonymity
    report = check_anonymity(made.path, schema=made.schema, demand=demand, engine=ENGINE)
    assert not report.passed
    assert [f.split()[0] for f in report.failures] == ["k", "distinct", "t"]


def test_missing_values_are_a_value_of_their_own(house: House) -> None:
    columns = {
        "pid": list(range(40)),
        "age": [None if i < 12 else 40 for i in range(40)],
        "sex": ["F"] * 40,
        "ill": ["flu"] * 40,
    }
    summary = people(house, columns).mask(policy(k=11))["people"]
    assert summary.anonymity is not None
    assert summary.anonymity.loss == 0
    assert house.read("people")["age"] == columns["age"]


def test_a_declared_hierarchy_gives_the_names(house: House) -> None:
    columns = {"pid": list(range(40)), "job": ["nurse", "doctor", "smith", "baker"] * 10, "ill": ["flu"] * 40}
    levels = ({"health": ("nurse", "doctor"), "craft": ("smith", "baker")},)
    said = {"people": TableAnonymity(quasi_identifiers=("job",), hierarchies={"job": HierarchyConfig(levels=levels)})}
    house.table("people", columns, {"pid": "customer_id", "job": "occupation", "ill": "icd10"}, key=("pid",))
    for method in ("full_domain", "multidimensional"):
        house.mask(policy(k=15, method=method), anonymity=said)
        assert set(house.read("people")["job"]) == {"health", "craft"}


def test_listed_quasi_identifiers_win_and_the_others_are_withheld(house: House) -> None:
    said = {"people": TableAnonymity(quasi_identifiers=("age", "cost"), k=3)}
    plan = people(house).plans(policy(k=7), anonymity=said)["people"]
    assert plan.anonymity is not None
    assert plan.anonymity.quasi == ("age", "cost")
    assert plan.anonymity.rule.k == 3
    assert (plan.column("zip").action, plan.column("zip").withheld) == ("redact", True)


def test_any_policy_generalises_what_a_table_lists(house: House) -> None:
    said = {"people": TableAnonymity(quasi_identifiers=("age", "sex"))}
    done = people(house).mask("dev_test", anonymity=said)["people"]
    assert done.anonymity is not None
    assert done.anonymity.k == 11
    assert min(classes(house.read("people"), ("age", "sex")).values()) >= 11


def test_an_action_of_a_person_wins_over_the_policy(house: House) -> None:
    overrides = {"people": {"zip": ColumnConfig(action="drop")}}
    plan = people(house).plans(policy(k=5), overrides=overrides)["people"]
    assert plan.anonymity is not None
    assert "zip" not in plan.anonymity.quasi


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"quasi_identifiers": ("nobody",)}, "no such column"),
        ({"quasi_identifiers": ("pid",)}, "it is a key"),
        ({"sensitive": ("age",)}, "no sensitive one"),
        ({"hierarchies": {"sex": HierarchyConfig(widths=(5,))}}, "columns of numbers"),
    ],
)
def test_a_section_that_does_not_fit_the_table_is_an_error(house: House, said: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        people(house).plans(policy(k=5), anonymity={"people": TableAnonymity(**said)})


def test_l_without_a_sensitive_column_is_an_error(house: House) -> None:
    columns = {"pid": list(range(20)), "age": [30] * 20}
    with pytest.raises(ConfigError, match="no sensitive column"):
        people(house, columns).plans(policy(k=5, l_diversity=2))


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(st.integers(1, 60))
    cells = lambda values: draw(st.lists(values, min_size=rows, max_size=rows))  # noqa: E731
    return {
        "pid": list(range(rows)),
        "age": pa.array(cells(st.none() | st.integers(-3, 40)), pa.int64()),
        "cost": pa.array(cells(st.none() | st.sampled_from([0.5, 1.25, 1e6, -2.0])), pa.float64()),
        "sex": pa.array(cells(st.none() | st.sampled_from("FMX")), pa.string()),
        "zip": pa.array(cells(st.none() | st.sampled_from(["02139", "02138", "9", "x y", "10115"])), pa.string()),
        "born": pa.array(cells(st.none() | st.dates(date(1930, 1, 1), date(2024, 1, 1))), pa.date32()),
        "ill": cells(st.sampled_from(["flu", "cold"])),
    }


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    tables(),
    st.integers(2, 12),
    st.sampled_from(["auto", "full_domain", "multidimensional"]),
    st.sampled_from([0.0, 0.05, 0.5]),
    st.sampled_from([None, 2]),
)
def test_k_holds_or_a_clear_error_says_that_it_cannot(
    house: House, columns: dict[str, Any], k: int, method: str, suppression: float, diverse: int | None
) -> None:
    rules = policy(k=k, method=method, suppression=suppression, l_diversity=diverse)
    said = {"people": TableAnonymity(quasi_identifiers=("age", "cost", "sex", "zip", "born"))}
    house.tables.clear()
    people(house, columns)
    rows, illnesses = len(columns["pid"]), columns["ill"]
    if rows < k or len(set(illnesses)) < (diverse or 1):
        with pytest.raises(CheckFailedError, match="cannot reach"):
            house.mask(rules, anonymity=said)
        return
    summary = house.mask(rules, anonymity=said)["people"]
    masked = house.read("people")
    assert masked["ill"] == illnesses
    assert summary.anonymity is not None
    assert summary.anonymity.suppressed_rows <= suppression * rows
    kinds = collections.defaultdict(set)
    names = said["people"].quasi_identifiers
    for cells, ill in zip(zip(*(masked[c] for c in names), strict=True), illnesses, strict=True):
        kinds[cells].add(ill)
    assert min(classes(masked, names).values()) >= k
    assert min(map(len, kinds.values())) >= (diverse or 1)


@pytest.mark.parametrize("most", [40, 12, 3])
def test_too_many_combinations_start_from_coarser_values(
    house: House, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    import synth_assets.masking.anonymity.counts as counts

    monkeypatch.setattr(counts, "MAX_COMBINATIONS", most)
    rows = 300
    columns = {
        "pid": list(range(rows)),
        "age": [(i * 7) % 90 for i in range(rows)],
        "cost": [i / 7 for i in range(rows)],
        "sex": [f"kind {(i * i) % 23}" for i in range(rows)],
        "zip": [f"{(i * 331) % 9000:05d}" for i in range(rows)],
        "born": pa.array([date(1950, 1, 1) + timedelta(days=61 * i) for i in range(rows)]),
        "ill": ["flu"] * rows,
    }
    names = ("age", "cost", "sex", "zip", "born")
    said = {"people": TableAnonymity(quasi_identifiers=names)}
    summary = people(house, columns).mask(policy(k=5), anonymity=said)["people"]
    assert summary.anonymity is not None
    assert summary.anonymity.combinations <= 2 * most  # the number is estimated before it is counted
    assert summary.anonymity.loss > 0.1
    masked = house.read("people")
    assert min(classes(masked, names).values()) >= 5
    assert masked["ill"] == columns["ill"]
