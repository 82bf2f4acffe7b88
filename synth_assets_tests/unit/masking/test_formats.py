"""Format-preserving forms: valid check digits, the original's separators, ranges that nobody has, nothing of the original's value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import iban as stdnum_iban
from stdnum import luhn

from synth_assets.generation import lists
from synth_assets.masking import formats, forms
from synth_assets.masking.forms import Form
from synth_assets.masking.recipes import Recipe
from synth_assets.masking.shapes import luhn_digit, mod_97

Brew = Callable[..., Any]
BATCHED = settings(max_examples=4)  # every example is one query over many values
DIGITS = st.text("0123456789", min_size=9, max_size=9)


def of(form: Form) -> Recipe:
    """A form as a recipe."""
    return (lambda cell: cell.ring.form(form, cell.domain)(cell.text),)


def _shape(text: str) -> str:
    return re.sub(r"[A-Z]", "A", re.sub(r"[a-z]", "a", re.sub(r"[0-9]", "9", text)))


@BATCHED
@given(values=st.lists(DIGITS, min_size=1, max_size=200))
def test_social_security_numbers_are_never_issued_ones_in_the_same_form(brew: Brew, values: list[str]) -> None:
    dashed = [f"{v[:3]}-{v[3:5]}-{v[5:]}" for v in values]
    for made in (brew(of(forms.SSN), dashed), [f"{m[:3]}-{m[3:5]}-{m[5:]}" for m in brew(of(forms.SSN), values)]):
        for number in made:
            assert re.fullmatch(r"9\d{2}-(0[1-9]|[1-4]\d)-\d{4}", number)
            assert not number.endswith("0000")


def test_numbers_with_odd_separators_keep_them(brew: Brew) -> None:
    made = brew(of(forms.SSN), ["123 45 6789", "123.45.6789", "#123-456-789"])
    assert [_shape(m) for m in made] == ["999 99 9999", "999.99.9999", "#999-999-999"]


def test_a_partial_number_keeps_its_shape(brew: Brew) -> None:
    (made,) = brew(of(forms.SSN), ["***-**-6789"])
    assert re.fullmatch(r"\*\*\*-\*\*-\d{4}", made)


def test_itins_have_a_group_of_70_to_88(brew: Brew) -> None:
    for made in brew(of(forms.ITIN), [f"9{i:02d}-70-1234" for i in range(50)]):
        assert re.fullmatch(r"9\d\d-(7\d|8[0-8])-\d{4}", made)


@pytest.mark.parametrize(
    "form",
    [
        "(212) 555-0123",
        "212-555-0123",
        "212.555.0123",
        "2125550123",
        "+1 212 555 0123",
        "1-212-555-0123",
        "+1 (212)555-0123",
    ],
)
def test_american_telephone_numbers_have_a_real_area_code_and_a_possible_exchange(brew: Brew, form: str) -> None:
    areas = {code for state in lists.states() for code in state.area_codes}
    values = [form[:-2] + f"{i:02d}" for i in range(40)]
    for raw, made in zip(values, brew(of(forms.PHONE), values), strict=True):
        assert _shape(made) == _shape(raw)
        digits = re.sub(r"\D", "", made)[-10:]
        assert digits[:3] in areas
        assert re.fullmatch(r"[2-9](?!11)\d\d", digits[3:6])
        if len(re.sub(r"\D", "", raw)) == 11:
            assert re.sub(r"\D", "", made)[0] == "1"


def test_other_telephone_numbers_keep_prefix_and_form_and_extensions_go(brew: Brew) -> None:
    made = brew(of(forms.PHONE), ["+44 20 7946 0958", "030/1234567", "212-555-0123 x45", "(212) 555-0123 ext. 9"])
    assert made[0].startswith("+44 ")
    assert _shape(made[0]) == "+99 99 9999 9999"
    assert made[1].startswith("0")
    assert _shape(made[1]) == "999/9999999"
    assert [_shape(m) for m in made[2:]] == ["999-999-9999", "(999) 999-9999"]


@pytest.mark.parametrize(
    "raw", ["4111111111111111", "4111 1111 1111 1111", "378282246310005", "6011-0009-9013-9424", "4222222222222"]
)
def test_cards_keep_issuer_and_length_and_pass_the_luhn_test(brew: Brew, raw: str) -> None:
    values = [raw[:-1] + str(i) for i in range(10)]
    for value, made in zip(values, brew(of(forms.CARD), values), strict=True):
        digits = re.sub(r"\D", "", made)
        assert luhn.is_valid(digits)
        assert digits[:6] == re.sub(r"\D", "", value)[:6]
        assert _shape(made) == _shape(value)


@pytest.mark.parametrize(("digits", "check"), [("7992739871", 3), ("411111111111111", 1), ("1", 8)])
def test_the_luhn_digit_of_a_known_number(digits: str, check: int) -> None:
    assert luhn_digit(np.array([[ord(c) for c in digits]], np.uint8)).tolist() == [check]


def test_the_remainder_of_a_known_iban() -> None:
    turned = "3704004405320130001314" + "89"  # DE89370400440532013000: account, DE as 13 14, check digits
    assert mod_97(np.array([[ord(c) for c in turned]], np.uint8)).tolist() == [1] == [int(turned) % 97]


def test_npis_pass_their_own_luhn_test(brew: Brew) -> None:
    for made in brew(of(forms.NPI), [f"1{i:09d}" for i in range(40)]):
        assert re.fullmatch(r"1\d{9}", made)
        assert luhn.is_valid("80840" + made)


@pytest.mark.parametrize(
    "raw",
    ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "FR1420041010050500013M02606"],
)
def test_ibans_keep_country_and_length_and_are_valid_mod_97(brew: Brew, raw: str) -> None:
    (made,) = brew(of(forms.IBAN), [raw])
    compact = made.replace(" ", "")
    assert int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1
    assert (made[:2], _shape(made)) == (raw[:2], _shape(raw))
    assert made[4:] != raw[4:]
    if raw.startswith("DE"):
        assert stdnum_iban.is_valid(compact, check_country=False)


@BATCHED
@given(values=st.lists(st.emails(), min_size=1, max_size=200, unique_by=str.lower))
def test_mail_addresses_are_valid_and_at_a_reserved_domain(brew: Brew, values: list[str]) -> None:
    made = brew(formats.email(), values)
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+\.[0-9a-f]{12}@example\.(com|org|net)", m) for m in made)
    assert len(set(made)) == len(values)


def test_letter_case_of_a_mail_address_does_not_matter(brew: Brew) -> None:
    a, b = brew(formats.email(), ["Ann.Lee@Mail.com", "ann.lee@mail.com"])
    assert a == b


def test_addresses_of_the_net_stay_in_private_and_reserved_ranges(brew: Brew) -> None:
    v4, v6 = brew(of(forms.IP_ADDRESS), ["8.8.8.8", "2a00:1450::1"])
    assert re.fullmatch(r"10(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}", v4)
    assert re.fullmatch(r"2001:db8(:[0-9a-f]{4}){6}", v6)
    mac = brew(of(forms.MAC_ADDRESS), ["AA-BB-CC-DD-EE-FF", "aa:bb:cc:dd:ee:ff"])
    assert re.fullmatch(r"02(-[0-9A-F]{2}){5}", mac[0])
    assert re.fullmatch(r"02(:[0-9a-f]{2}){5}", mac[1])
    (url,) = brew(formats.url(), ["ftp://intra.acme.com/people/4711?x=1"])
    assert re.fullmatch(r"ftp://www\.example\.com/[0-9a-f]{16}", url)


@BATCHED
@given(values=st.lists(st.text("ABXYZabz0189-_/. #é", min_size=1, max_size=40), min_size=1, max_size=200))
def test_codes_keep_letters_digits_and_all_else_in_their_places(brew: Brew, values: list[str]) -> None:
    for raw, made in zip(values, brew(of(forms.CODE), values), strict=True):
        assert _shape(made.replace("é", "a")) == _shape(raw.replace("é", "a"))


def test_the_quick_way_and_the_long_way_give_the_same_digits(brew: Brew) -> None:
    quick, long = brew(of(forms.CODE), ["MRN-0012345", "MRN-0012345/"])
    assert re.fullmatch(r"[A-Z]{3}-\d{7}", quick)
    assert re.fullmatch(r"[A-Z]{3}-\d{7}/", long)


def test_a_uuid_stays_a_uuid(brew: Brew) -> None:
    (made,) = brew(of(forms.CODE), ["123e4567-e89b-12d3-a456-426614174000"])
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}", made)


FORMS = (
    forms.SSN,
    forms.ITIN,
    forms.PHONE,
    forms.CARD,
    forms.NPI,
    forms.IBAN,
    forms.IP_ADDRESS,
    forms.MAC_ADDRESS,
    forms.VIN,
    forms.CODE,
)


@pytest.mark.parametrize("recipe", [*(of(f) for f in FORMS), formats.email(), formats.url()])
def test_missing_stays_missing_and_odd_values_break_nothing(brew: Brew, recipe: Recipe) -> None:
    odd = ["", " ", "x", "-", "n/a", "0", "١٢٣", "1" * 60, "a" * 60, "(((", "12:34", "+"]
    made = brew(recipe, [None, *odd])
    assert made[0] is None
    assert all(isinstance(m, str) for m in made[1:])


def test_the_digits_look_even(brew: Brew) -> None:
    made = "".join(brew(of(forms.CODE), pa.array([f"{i:08d}" for i in range(20_000)])))
    counts = [made.count(str(d)) for d in range(10)]
    assert min(counts) > 0.97 * 16_000
    assert max(counts) < 1.03 * 16_000
