"""What a chosen detector finds in texts is masked as well, with the pseudonyms of columns."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.errors import ConfigError, ServiceUnavailableError
from synth_assets.masking.detected import searching
from synth_assets.masking.run import mask_tables
from synth_assets.masking.spans import Finder, merged
from synth_assets.masking.texts import Stretches, Texts, assembled
from synth_assets.pii.text import Span
from synth_assets.tables.engine import Engine, SparkOptions
from synth_assets_tests.unit.masking.conftest import KEY, House

TYPES = {"first": "first_name", "last": "last_name", "phone": "phone", "note": "free_text"}


class Known:
    """A detector that knows some texts by heart."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        self.entries, self.asked = entries, 0

    def find(self, value: str) -> tuple[Span, ...]:
        self.asked += 1
        found = [
            Span(kind, m.start(), m.end(), 0.9)
            for text, kind in self.entries.items()
            for m in re.finditer(re.escape(text), value)
        ]
        return tuple(sorted(found, key=lambda s: s.start))

    def shares(self, cells: pa.Array) -> dict[str, float]:
        raise AssertionError("masking asks for spans only")


def _people(house: House, notes: list[str | None]) -> House:
    count = len(notes)
    firsts = ["Maria", "Bruno", "Chloé", "Dana"][:count]
    lasts = ["Lopez", "Ferri", "Weiß", "Quist"][:count]
    phones = [f"617-555-01{i:02}" for i in range(count)]
    house.table("people", {"first": firsts, "last": lasts, "phone": phones, "note": notes}, TYPES, texts=("note",))
    return house


def test_names_of_others_get_the_pseudonyms_that_they_have_in_columns(house: House) -> None:
    notes = ["Seen by Bruno Ferri and Ümit Öz.", "Told Maria Lopez.", None, "Asked Bruno Ferri, Bruno Ferri only."]
    _people(house, notes)
    house.mask(detector=Known({"Bruno Ferri": "person_name", "Maria Lopez": "person_name", "Ümit Öz": "person_name"}))
    made = house.read("people")
    bruno, maria = (f"{made['first'][i]} {made['last'][i]}" for i in (1, 0))
    assert made["note"][1:] == [f"Told {maria}.", None, f"Asked {bruno}, {bruno} only."]
    other = re.fullmatch(rf"Seen by {re.escape(bruno)} and (\w+ \w+)\.", made["note"][0])
    assert other
    assert other[1] != "Ümit Öz"


def test_without_a_detector_such_names_stay(house: House) -> None:
    _people(house, ["Seen by Bruno Ferri.", "x"])
    house.mask()
    assert house.read("people")["note"] == ["Seen by Bruno Ferri.", "x"]


def test_rows_keep_their_order_and_each_text_is_searched_once(house: House) -> None:
    notes = ["b met Zoe", "a met Zoe", "b met Zoe", "c"]
    _people(house, notes)
    detector = Known({"Zoe": "organization"})
    house.mask(detector=detector)
    assert house.read("people")["note"] == ["b met [ORGANIZATION]", "a met [ORGANIZATION]", "b met [ORGANIZATION]", "c"]
    assert detector.asked == 3


def test_names_of_a_unique_column_are_the_same_in_texts(house: House) -> None:
    towns = [f"Town{i:03}x" for i in range(600)]
    house.table("towns", {"city": towns}, {"city": "city"})
    house.table("notes", {"note": [f"met in {t}" for t in towns]}, {"note": "free_text"}, texts=("note",))
    house.mask(detector=Known(dict.fromkeys(towns, "city")))
    made = house.read("towns")["city"]
    assert len(set(made)) == 600
    assert any(re.search(r"\d", name) for name in made)
    assert house.read("notes")["note"] == [f"met in {name}" for name in made]


def test_a_detector_on_spark_is_one_clear_error() -> None:
    spark = Engine(spark=SparkOptions("local[1]"))
    with pytest.raises(ConfigError, match="built-in detector only"):
        mask_tables({}, {}, key=KEY, engine=spark, detector=Known({}))


def test_numbers_have_the_pseudonym_of_the_column_where_one_holds_them_else_a_token(house: House) -> None:
    _people(house, ["call 617-555-0101", "call 617-555-7777"])
    house.mask(detector=Known({"617-555-0101": "phone", "617-555-7777": "phone"}))
    made = house.read("people")
    assert made["note"] == [f"call {made['phone'][1]}", "call [PHONE]"]


def test_a_finding_of_a_type_without_a_column_is_a_token_and_forms_still_go(house: House) -> None:
    _people(house, ["Mail bob@x.org about Basel.", "Basel"])
    house.mask(detector=Known({"Basel": "city"}))
    assert house.read("people")["note"] == ["Mail [EMAIL] about [CITY].", "[CITY]"]


def test_tables_whose_policy_drops_names_get_tokens(house: House) -> None:
    _people(house, ["Seen by Bruno Ferri.", "Maria was here"])
    house.mask("hipaa_safe_harbor", detector=Known({"Bruno Ferri": "person_name"}))
    assert house.read("people")["note"][0] == "Seen by [PERSON_NAME]."


def _merged(text: str, mentions: list[tuple[int, int]], found: list[tuple[int, int]]) -> str:
    texts = Texts.of(pa.array(["", text]))
    places = Stretches(
        np.ones(len(mentions), np.int64), np.array([a for a, _ in mentions], np.int64), np.array([b for _, b in mentions], np.int64),
        np.zeros(len(mentions), np.int64), np.ones(len(mentions), np.int64),
    )  # fmt: skip
    lists = [pa.array([None, [f[i] for f in found]], pa.list_(pa.int64())) for i in (0, 1)]
    made = pa.array([None, ["D"] * len(found)], pa.list_(pa.string()))
    together, other = merged(texts, places, np.frombuffer(b"M", np.uint8), *lists, made)
    return str(assembled(texts, together, other).to_arrow().to_pylist()[1])


def test_findings_and_mentions_are_put_together_without_a_rest() -> None:
    text = "Ann Lee Roe and Bo"
    assert _merged(text, [], [(0, 7)]) == "D Roe and Bo"
    assert _merged(text, [(0, 3), (4, 7)], [(0, 7)]) == "M M Roe and Bo"
    assert _merged(text, [(0, 3)], [(0, 7)]) == "D Roe and Bo"
    assert _merged(text, [(4, 11)], [(0, 7)]) == "D and Bo"
    assert _merged(text, [(0, 7)], [(4, 11), (16, 18)]) == "D and D"
    assert _merged(text, [(0, 7)], []) == "M Roe and Bo"
    assert _merged(text, [(2, 9)], [(0, 3), (4, 11)]) == "DD and Bo"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.booleans(), min_size=30, max_size=30), st.lists(st.booleans(), min_size=30, max_size=30))
def test_no_letter_of_a_finding_or_of_a_mention_is_left(first: list[bool], second: list[bool]) -> None:
    def runs(flags: list[bool]) -> list[tuple[int, int]]:
        return [m.span() for m in re.finditer("1+", "".join("1" if f else "0" for f in flags))]

    marked = [a or b for a, b in zip(first, second, strict=True)]
    text = "".join("x" if m else "." for m in marked)
    made = _merged(text, runs(first), runs(second))
    assert "x" not in made
    assert made.count(".") == marked.count(False)


def test_places_are_bytes_of_the_cleaned_text() -> None:
    column = pa.array(["Ünal \ue000met Zoë", None, ""])
    made = Finder(Known({"Zoë": "person_name"}))(column).to_pylist()
    assert made == [["person_name\x1f10\x1f14\x1fZoë"], [], []]


def test_the_built_in_detector_needs_no_search() -> None:
    assert searching("builtin") is None


@pytest.mark.skipif(importlib.util.find_spec("presidio_analyzer") is not None, reason="the extra presidio is installed")
def test_presidio_without_its_extra_is_one_clear_error() -> None:
    with pytest.raises(ServiceUnavailableError, match="presidio"):
        searching("presidio")


@pytest.mark.skipif(importlib.util.find_spec("presidio_analyzer") is None, reason="needs the extra presidio")
def test_what_presidio_finds_is_masked(house: House) -> None:
    _people(house, ["Passport of IBAN GB82WEST12345698765432 seen.", "Wallet 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa paid."])
    house.mask(detector=searching("presidio"))
    assert house.read("people")["note"][1] == "Wallet [ACCOUNT_NUMBER] paid."
