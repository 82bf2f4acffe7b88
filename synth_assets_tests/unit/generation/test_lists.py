"""The lookup lists: sizes, no repeats, facts that must agree."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.generation import clinical, lists
from synth_assets.generation.text import domain_templates

# First three digits of ZIP codes by state, as the US Postal Service assigns them (Publication 65, L002), for some states.
ZIP3 = {
    "MA": range(10, 28), "NH": range(30, 39), "VT": range(50, 60), "CT": range(60, 70), "NJ": range(70, 90), "TX": range(750, 800),
    "CA": range(900, 962), "FL": range(320, 350), "WA": range(980, 995),
}  # fmt: skip


def test_the_lists_are_long_enough_and_do_not_repeat() -> None:
    for values, least in (
        (lists.first_names("F"), 500), (lists.first_names("M"), 500), (lists.last_names(), 1000), (lists.streets(), 1000),
        (lists.jobs(), 100), (lists.companies(), 1000), (tuple(d.code for d in lists.diagnoses()), 300),
        (tuple(p.code for p in lists.procedures()), 50), (tuple((c.name, c.state) for c in lists.cities()), 300),
    ):  # fmt: skip
        assert len(values) >= least
        assert len(set(values)) == len(values)


@pytest.mark.parametrize(
    "name", ["first_names_female", "first_names_male", "last_names", "street_names", "street_suffixes", "jobs"]
)
def test_weights_are_shares_of_one(name: lists.ListName) -> None:
    assert len(lists.weights(name)) == len(lists.names(name))
    assert lists.weights(name).sum() == pytest.approx(1)
    assert (lists.weights(name) > 0).all()


def test_every_state_has_a_city_and_an_area_code_and_no_area_code_twice() -> None:
    assert {c.state for c in lists.cities()} == {s.code for s in lists.states()}
    areas = [a for s in lists.states() for a in s.area_codes]
    assert len(set(areas)) == len(areas)
    assert lists.area_codes("XX") == ()


def test_zip_prefixes_lie_in_their_state() -> None:
    for city in lists.cities():
        assert len(city.zip3) == 3
        assert int(city.zip3) in ZIP3.get(city.state, range(5, 1000))
        assert 18 < city.latitude < 72
        assert -170 < city.longitude < -65


def test_codes_fit_the_words_that_schemas_use() -> None:
    assert {d.kind for d in lists.diagnoses()} == set(clinical.KINDS)
    assert {p.setting for p in lists.procedures()} == set(clinical.SETTINGS)
    assert all(d.min_age <= d.max_age and d.sex in {"F", "M", ""} and d.weight > 0 for d in lists.diagnoses())
    assert len(lists.departments()) >= 15
    assert {p.kind for p in lists.payers()} == {"public", "private", "self"}


@pytest.mark.parametrize("domain", lists.domains())
def test_every_sentence_parses_and_some_sentence_is_always_allowed(domain: str) -> None:
    templates = domain_templates(domain)
    assert any(t.condition is None for t in templates)


def test_names_are_plain_words() -> None:
    words = (*lists.first_names("F"), *lists.first_names("M"), *lists.last_names())
    assert all(w.isascii() and w.isalpha() and w[0].isupper() for w in words)
    assert np.argmax(lists.weights("last_names")) == lists.last_names().index("Smith")
