"""Policies: what is shipped, what a user's own file may say, and which errors it gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_assets.config.policy import PolicyConfig
from synth_assets.config.rules import Rule
from synth_assets.errors import ConfigError
from synth_assets.masking.policies import load_policy, policy_names
from synth_assets.pii.taxonomy import HIPAA_IDENTIFIERS, taxonomy

OWN = """
name: own
classes: {direct: drop, quasi: keep, sensitive: keep, none: keep}
"""


def test_the_shipped_policies_load_by_name() -> None:
    assert {"dev_test", "gdpr_pseudonymisation", "hipaa_safe_harbor"} <= set(policy_names())
    assert load_policy("hipaa_safe_harbor").unclassified == "drop"
    assert load_policy("dev_test").entity_types["ssn"].action == "format_preserving"


@pytest.mark.parametrize("letter", sorted(HIPAA_IDENTIFIERS))
def test_safe_harbor_passes_none_of_the_eighteen_identifiers_through(letter: str) -> None:
    policy = load_policy("hipaa_safe_harbor")
    types = [t for t in taxonomy().values() if t.hipaa == letter]
    if letter != "Q":  # full face photographs and biometric identifiers share one type
        assert types
    for entity in types:
        rule = policy.entity_types.get(entity.name, policy.classes[entity.identifier_class])
        assert rule.action not in {"keep", "partial", "date_shift", "format_preserving"}, entity.name


def test_safe_harbor_generalises_as_the_rule_says() -> None:
    rules = load_policy("hipaa_safe_harbor").entity_types
    assert (rules["zip"].action, rules["zip"].to) == ("generalise", "zip3")
    assert (rules["birth_date"].to, rules["birth_date"].over_89) == ("year", True)
    assert all(rules[t].to == "year" for t in ("death_date", "event_date", "timestamp"))
    assert (rules["age"].action, rules["age"].upper) == ("top_code", 90)


@pytest.mark.parametrize("name", ["dev_test", "gdpr_pseudonymisation", "hipaa_safe_harbor", "k_anonymity"])
def test_no_shipped_policy_keeps_a_direct_identifier(name: str) -> None:
    policy = load_policy(name)
    for entity in taxonomy().values():
        rule = policy.entity_types.get(entity.name, policy.classes[entity.identifier_class])
        assert not (entity.identifier_class == "direct" and rule.action == "keep"), entity.name


def test_a_file_in_the_projects_folder_wins_over_a_shipped_policy(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "dev_test.yaml").write_text(OWN.replace("own", "dev_test"))
    assert load_policy("dev_test", tmp_path).classes["direct"].action == "drop"
    assert load_policy("dev_test").classes["direct"].action == "format_preserving"


def test_a_path_is_a_policy_too(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(OWN)
    assert load_policy(tmp_path / "mine.yaml").name == "own"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"there is no policy 'nope'.*dev_test, .*hipaa_safe_harbor"):
        load_policy("nope")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (OWN + "colour: red\n", 4, "not known"),
        (OWN + "entity_types: {zipp: keep}\n", None, "entity type is not known"),
        (OWN.replace(", none: keep", ""), 3, "no rule for: none"),
        (OWN.replace("direct: drop", "direct: keep"), 3, "passes direct identifiers through"),
        (OWN + "entity_types:\n  zip: {action: keep, digits: 2}\n", 5, "`digits` is no parameter of the action `keep`"),
        (OWN + "entity_types:\n  age: top_code\n", 5, "`top_code` needs"),
        (OWN + "entity_types:\n  age: vanish\n", 5, "action"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(tmp_path: Path, text: str, line: int | None, words: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_policy(path)
    assert caught.value.file == str(path)
    assert words in str(caught.value)
    if line is not None:
        assert caught.value.row == line


def test_a_rule_may_be_one_word() -> None:
    policy = PolicyConfig.model_validate(
        {
            "name": "p",
            "classes": {
                "direct": "drop",
                "quasi": {"action": "redact", "token": "x"},
                "sensitive": "keep",
                "none": "keep",
            },
        }
    )
    assert policy.classes["quasi"] == Rule(action="redact", token="x")
