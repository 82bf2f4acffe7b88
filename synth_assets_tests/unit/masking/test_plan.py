"""Plans: one action per column, the reason, what wins over what, and which columns share pseudonyms."""

from __future__ import annotations

import pytest

from synth_assets.config.dataset import ColumnConfig
from synth_assets.config.policy import PolicyConfig
from synth_assets.config.rules import Rule
from synth_assets.errors import ConfigError
from synth_assets_tests.unit.masking.conftest import House, verdict


def _clinic(house: House) -> House:
    house.table(
        "patients",
        {"pid": ["a"], "name": ["Ann"], "email": ["a@b.co"], "born": ["x"], "amount": [1.5]},
        {"pid": "customer_id", "name": "person_name", "email": "email", "born": "birth_date", "amount": "none"},
        key=("pid",),
    )
    house.table(
        "visits",
        {"vid": [1], "pid": ["a"], "email": ["c@d.co"], "day": ["x"]},
        {
            "vid": "other_id",
            "pid": "none",
            "email": "email",
            "day": verdict("day", "event_date", identifier_class="none"),
        },
        key=("vid",),
        parents={"pid": "patients.pid"},
    )
    return house


def test_a_column_without_a_verdict_is_withheld_never_passed_through(house: House) -> None:
    house.table("t", {"seen": ["a"], "unseen": ["b"]}, {"seen": "none"})
    for name, action in (("hipaa_safe_harbor", "drop"), ("dev_test", "redact")):
        plan = house.plans(name)["t"]
        assert plan.column("seen").action == "keep"
        assert plan.column("unseen").action == action
        assert plan.column("unseen").withheld
        assert plan.column("unseen").reason == "withheld: no verdict"


@pytest.mark.parametrize(("confidence", "action"), [(0.5, "keep"), (0.49, "drop")])
def test_a_verdict_below_the_policys_confidence_counts_as_none(house: House, confidence: float, action: str) -> None:
    house.table("t", {"c": ["a"]}, {"c": verdict("c", "none", confidence=confidence)})
    assert house.plans("hipaa_safe_harbor")["t"].column("c").action == action


def test_a_persons_override_wins_and_is_recorded(house: House) -> None:
    _clinic(house)
    plan = house.plans(
        overrides={"patients": {"amount": ColumnConfig(action="redact"), "email": ColumnConfig(action="partial")}}
    )["patients"]
    assert (plan.column("amount").action, plan.column("amount").overridden) == ("redact", True)
    assert plan.column("email").action == "partial"
    assert not plan.column("name").overridden


def test_an_override_for_an_unclassified_column_is_obeyed(house: House) -> None:
    house.table("t", {"c": ["a"]}, {})
    assert house.plans(overrides={"t": {"c": ColumnConfig(action="keep")}})["t"].column("c").action == "keep"


def test_an_override_takes_the_policys_parameters_for_the_same_action(house: House) -> None:
    house.table("t", {"born": ["x"], "zip": ["02139"]}, {"born": "birth_date", "zip": "zip"})
    bare = {"born": ColumnConfig(action="generalise"), "zip": ColumnConfig(action="generalise")}
    plan = house.plans("hipaa_safe_harbor", overrides={"t": bare})["t"]
    assert plan.column("born").rule.over_89
    assert plan.column("zip").rule.to == "zip3"
    own = {"born": ColumnConfig(action=Rule(action="generalise", to="month"))}
    assert house.plans("hipaa_safe_harbor", overrides={"t": own})["t"].column("born").rule.over_89 is None


def test_an_override_that_cannot_work_is_an_error_with_its_column(house: House) -> None:
    house.table("t", {"amount": [1.5]}, {"amount": "none"})
    with pytest.raises(ConfigError, match="dates cannot be shifted in a column of type double") as caught:
        house.plans(overrides={"t": {"amount": ColumnConfig(action="date_shift")}})
    assert caught.value.column == "amount"


def test_an_override_of_a_column_that_is_not_there_is_an_error(house: House) -> None:
    house.table("t", {"c": ["a"]}, {"c": "none"})
    with pytest.raises(ConfigError, match="no such column"):
        house.plans(overrides={"t": {"d": ColumnConfig(action="keep")}})


def test_a_rule_that_does_not_suit_the_column_withholds_it(house: House) -> None:
    house.table("t", {"born": [True], "note": [3]}, {"born": "birth_date", "note": "free_text"})
    plan = house.plans("hipaa_safe_harbor")["t"]
    assert [c.action for c in plan.columns] == ["drop", "drop"]
    assert all(c.withheld for c in plan.columns)


def test_columns_of_one_key_have_one_action_and_one_domain_in_all_tables(house: House) -> None:
    plans = _clinic(house).plans("hipaa_safe_harbor")
    parent, child = plans["patients"].column("pid"), plans["visits"].column("pid")
    assert parent.action == child.action == "tokenise"
    assert parent.domain == child.domain == "customer_id"
    assert child.key
    assert child.reason.startswith("key: ")


def test_a_key_that_tells_of_nobody_is_kept(house: House) -> None:
    house.table("genres", {"gid": [1]}, {"gid": "none"}, key=("gid",))
    house.table("songs", {"gid": [1]}, {"gid": "none"}, parents={"gid": "genres.gid"})
    plans = house.plans("hipaa_safe_harbor")
    assert plans["genres"].column("gid").action == plans["songs"].column("gid").action == "keep"


def test_a_key_without_a_verdict_gets_pseudonyms_and_a_domain_of_its_own(house: House) -> None:
    house.table("p", {"k": [1]}, {}, key=("k",))
    house.table("c", {"k": [1]}, {}, parents={"k": "p.k"})
    plans = house.plans("gdpr_pseudonymisation")
    assert plans["c"].column("k").action == "pseudonym"
    assert plans["p"].column("k").domain == plans["c"].column("k").domain == "key:p.k"


def test_an_override_of_the_parents_key_holds_for_its_children_and_not_the_other_way_round(house: House) -> None:
    _clinic(house)
    up = house.plans(overrides={"patients": {"pid": ColumnConfig(action="hash")}})
    assert up["visits"].column("pid").action == "hash"
    assert up["visits"].column("pid").overridden
    down = house.plans(overrides={"visits": {"pid": ColumnConfig(action="drop")}})
    assert down["visits"].column("pid").action == "drop"
    assert down["patients"].column("pid").action == "pseudonym"


def test_identifiers_of_one_type_share_a_domain_and_names_share_theirs(house: House) -> None:
    plans = _clinic(house).plans()
    assert plans["patients"].column("email").domain == plans["visits"].column("email").domain == "email"
    house.table(
        "people", {"f": ["a"], "l": ["b"], "n": ["c"]}, {"f": "first_name", "l": "last_name", "n": "person_name"}
    )
    assert {c.domain for c in house.plans()["people"].columns} == {"name"}


def test_contact_data_of_firms_follow_the_policys_word(house: House) -> None:
    house.table("shops", {"email": ["a@b.co"]}, {"email": verdict("email", "email", identifier_class="none")})
    assert house.plans("hipaa_safe_harbor")["shops"].column("email").action == "drop"
    assert house.plans("dev_test")["shops"].column("email").action == "keep"


def test_dates_of_a_table_below_persons_are_of_persons_whatever_the_table_says_alone(house: House) -> None:
    assert _clinic(house).plans("dev_test")["visits"].column("day").action == "date_shift"
    house.table("flights", {"day": ["x"]}, {"day": verdict("day", "event_date", identifier_class="none")})
    assert house.plans("dev_test")["flights"].column("day").action == "keep"


def test_dates_shift_by_the_declared_unit_through_every_table(house: House) -> None:
    _clinic(house)
    house.table(
        "lines",
        {"lid": [1], "vid": [1]},
        {"lid": "other_id", "vid": "other_id"},
        key=("lid",),
        parents={"vid": "visits.vid"},
    )
    plans = house.plans(unit=("patients", "pid"))
    assert plans["patients"].person == ("pid",)
    assert (plans["visits"].person, plans["visits"].person_route) == (("pid",), ())
    assert plans["lines"].person == ("pid",)
    assert [hop.parent_table for hop in plans["lines"].person_route] == ["visits"]


def test_without_a_unit_the_one_table_above_with_direct_identifiers_names_the_person(house: House) -> None:
    plans = _clinic(house).plans()
    assert plans["visits"].person == ("pid",)
    house.table("alone", {"k": [1]}, {"k": "other_id"}, key=("k",))
    assert house.plans()["alone"].person == ("k",)


def test_a_type_without_a_form_gets_a_plain_pseudonym_and_says_so(house: House) -> None:
    house.table("t", {"c": ["Kent"]}, {"c": "county"})
    classes = {"direct": "drop", "quasi": "drop", "sensitive": "keep", "none": "keep"}
    policy = PolicyConfig.model_validate(
        {"name": "p", "classes": classes, "entity_types": {"county": "format_preserving"}}
    )
    plan = house.plans(policy)["t"]
    assert plan.column("c").action == "pseudonym"
    assert "no form to keep" in plan.column("c").reason
