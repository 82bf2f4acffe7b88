"""Forms over batches: permutations of their values, one pseudonym for every spelling, known answers, later draws."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import luhn

from synth_assets.generation import lists
from synth_assets.masking import forms
from synth_assets.masking.codes import codes
from synth_assets.masking.drawing import DRAWS, WITHOUT_FORM, Drawing, Later
from synth_assets.masking.ff1 import FF1
from synth_assets.masking.forms import Form
from synth_assets.masking.texts import Texts

CIPHER = FF1(bytes(range(32)))
KNOWN = [
    ("PHONE", "212-555-0123", "916-809-9135"),
    ("PHONE", "+44 20 7946 0958", "+44 15 7624 5662"),
    ("SSN", "123-45-6789", "977-24-4765"),
    ("ITIN", "912-70-1234", "982-73-9102"),
    ("CARD", "4111 1111 1111 1111", "4111 1166 7581 7482"),
    ("NPI", "1234567893", "1093126823"),
    ("IBAN", "DE89370400440532013000", "DE92161222922878216205"),
    ("IP_ADDRESS", "8.8.8.8", "10.2.38.18"),
    ("IP_ADDRESS", "2a00:1450::1", "2001:db8:34e5:5cac:cb1f:e6d1:f609:ad4d"),
    ("MAC_ADDRESS", "AA-BB-CC-DD-EE-FF", "02-33-95-34-9E-DA"),
    ("VIN", "WVWZZZ1JZXW000001", "FZDEEP4WLJF908782"),
    ("CODE", "MRN-0012345", "BYW-2368852"),
    ("CODE", "123e4567-e89b-12d3-a456-426614174000", "f870d150-691a-454c-adb5-94f0264d5474"),
]
ALL = (
    forms.PHONE,
    forms.SSN,
    forms.ITIN,
    forms.CARD,
    forms.NPI,
    forms.IBAN,
    forms.IP_ADDRESS,
    forms.MAC_ADDRESS,
    forms.VIN,
    forms.CODE,
)
VALUES = st.lists(st.none() | st.text("0123456789ABcdxé +-.()/:#", max_size=24), min_size=1, max_size=40)


def _drawn(form: Form, values: list[str] | list[str | None]) -> list[str]:
    return form.draw(Texts.of(pa.array(values, pa.string())), CIPHER).to_arrow().to_pylist()


@pytest.mark.parametrize(("form", "raw", "expected"), KNOWN)
def test_known_answers_so_that_every_engine_and_version_gives_the_same_texts(
    form: str, raw: str, expected: str
) -> None:
    assert _drawn(getattr(forms, form), [raw]) == [expected]


def test_a_million_american_numbers_stay_different_possible_ones_among_possible_ones() -> None:
    areas = {int(code) for state in lists.states() for code in state.area_codes}
    numbers = np.unique(np.random.default_rng(3).integers(0, 10**10, 1_000_000)).astype(np.uint64)
    made = forms.american(numbers, CIPHER)

    def possible(values: np.ndarray) -> np.ndarray:
        exchange = values // 10_000 % 1000
        return np.isin(values // 10**7, list(areas)) & (exchange >= 200) & (exchange % 100 != 11)

    assert len(np.unique(made)) == len(numbers)
    assert (possible(made) == possible(numbers)).all()
    assert 0.1 < possible(numbers).mean() < 0.9


@settings(max_examples=20)
@given(middles=st.sets(st.integers(0, 10**9 - 1), min_size=2, max_size=300), issuer=st.integers(100_000, 999_999))
def test_valid_cards_are_permuted_among_the_valid_cards_of_their_issuer(middles: set[int], issuer: int) -> None:
    raw = [f"{issuer}{m:09d}" for m in sorted(middles)]
    raw = [r + luhn.calc_check_digit(r) for r in raw]
    made = _drawn(forms.CARD, raw)
    assert len(set(made)) == len(raw)
    assert all(m.startswith(str(issuer)) and luhn.is_valid(m) for m in made)


@settings(max_examples=20)
@given(values=st.sets(st.text("0123456789", min_size=3, max_size=3), min_size=2))
def test_short_codes_never_meet(values: set[str]) -> None:
    raw = [f"K-{v}" for v in sorted(values)]
    made = _drawn(forms.CODE, raw)
    assert len(set(made)) == len(raw)
    assert all(re.fullmatch(r"[A-Z]-\d{3}", m) for m in made)


@pytest.mark.parametrize(
    ("form", "spellings"),
    [
        (forms.PHONE, ["212-555-0123", "(212) 555-0123", "2125550123", "+1 212 555 0123", "212-555-0123 x45"]),
        (forms.SSN, ["123-45-6789", "123456789", "123 45 6789"]),
        (forms.CARD, ["4111111111111111", "4111-1111-1111-1111"]),
        (forms.IBAN, ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00"]),
        (forms.CODE, ["MRN-0012345", "mrn0012345", "Mrn 0012345"]),
        (forms.MAC_ADDRESS, ["AA-BB-CC-DD-EE-01", "aa:bb:cc:dd:ee:01", "aabb.ccdd.ee01"]),
    ],
)
def test_a_value_has_one_pseudonym_however_it_is_spelled(form: Form, spellings: list[str]) -> None:
    assert len(set(form.codes(Texts.of(pa.array(spellings))).to_pylist())) == 1
    assert len(set(codes(pa.array(_drawn(form, spellings))).to_pylist())) == 1


@pytest.mark.parametrize("form", ALL, ids=lambda f: f.name)
@settings(max_examples=30)
@given(values=VALUES)
def test_a_pseudonym_does_not_depend_on_its_batch_and_missing_stays_missing(
    form: Form, values: list[str | None]
) -> None:
    together = _drawn(form, values)
    assert together == [_drawn(form, [v])[0] for v in values]
    assert [m is None for m in together] == [v is None for v in values]


def test_later_draws_are_for_their_values_only_and_the_last_gives_up_the_form() -> None:
    values = pa.array(["10-01", "1002", None, "10-03", "1001"])
    numbers = codes(pa.array(["1001", "1003"])).to_numpy()
    ciphers = [FF1(bytes([i] * 32)) for i in range(DRAWS)]
    later = Later(numbers, np.array([2, WITHOUT_FORM], np.uint8))
    first = Drawing(forms.CODE, ciphers)(values).to_pylist()
    made = Drawing(forms.CODE, ciphers, later)(values).to_pylist()
    second = Drawing(forms.CODE, ciphers[2:3])(values).to_pylist()
    assert made[:3] == [second[0], first[1], None]
    assert made[4] == second[4]
    assert re.fullmatch(r"[0-9a-f]{32}", made[3])
    assert made[0].replace("-", "") == made[4]
