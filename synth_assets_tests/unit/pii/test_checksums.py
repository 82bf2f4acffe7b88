"""Check digits: published examples, one digit off, and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.pii import checksums

VALID = [
    ("card_number", "4111 1111 1111 1111"),
    ("card_number", "378282246310005"),
    ("card_number", "5555-5555-5555-4444"),
    ("iban", "GB82 WEST 1234 5698 7654 32"),
    ("iban", "DE89370400440532013000"),
    ("npi", "1234567893"),  # the example of the CMS standard
    ("dea", "AB1234563"),  # 1+3+5 + 2*(2+4+6) = 33
    ("vin", "1M8GDM9AXKP042788"),  # the example of 49 CFR 565
    ("vin", "11111111111111111"),
    ("routing_number", "021000021"),
    ("routing_number", "011401533"),
    ("ssn", "219-09-9998"),
    ("itin", "912-70-1234"),
    ("imei", "49-015420-323751-8"),
    ("loinc", "2345-7"),
    ("loinc", "4548-4"),
    ("swift", "DEUTDEFF"),
    ("swift", "BNPAFRPPXXX"),
    ("isbn", "978-0-306-40615-7"),
    ("clabe", "032180000118359719"),
    ("ccc", "2100 0418 45 0200051332"),
    ("kvnr", "A123456780"),  # the example of the GKV-Spitzenverband
]
INVALID = [
    ("card_number", "4111 1111 1111 1112"),
    ("card_number", "0000000000000000"),
    ("card_number", "9111111111111111"),  # no issuer range
    ("iban", "GB82 WEST 1234 5698 7654 33"),
    ("iban", "ZZ89370400440532013000"),
    ("npi", "1234567890"),
    ("npi", "3234567893"),
    ("dea", "AB1234567"),
    ("dea", "1B1234563"),
    ("vin", "1M8GDM9A1KP042788"),
    ("vin", "1M8GDM9AXKPO42788"),  # letter O
    ("routing_number", "021000022"),
    ("routing_number", "991000021"),
    ("ssn", "000-12-3456"),
    ("ssn", "666-12-3456"),
    ("ssn", "123-00-3456"),
    ("ssn", "123-45-0000"),
    ("ssn", "912-70-1234"),
    ("itin", "912-10-1234"),
    ("itin", "812-70-1234"),
    ("imei", "49-015420-323751-9"),
    ("loinc", "2345-8"),
    ("swift", "DEUTZZFF"),
    ("swift", "DEUTDEF"),
    ("isbn", "978-0-306-40615-8"),
    ("clabe", "032180000118359718"),
    ("clabe", "03218000011835971"),
    ("ccc", "2100 0418 46 0200051332"),
    ("kvnr", "A123456781"),
    ("kvnr", "1123456780"),
    ("card_number", ""),
    ("routing_number", ""),
    ("npi", "abc"),
]


@pytest.mark.parametrize(("kind", "number"), VALID)
def test_a_published_number_is_valid(kind: str, number: str) -> None:
    assert checksums.VALIDATORS[kind](number)


@pytest.mark.parametrize(("kind", "number"), INVALID)
def test_a_wrong_number_is_refused(kind: str, number: str) -> None:
    assert not checksums.VALIDATORS[kind](number)


@pytest.mark.parametrize("module", [*checksums.NATIONAL_IDS, *checksums.TAX_IDS])
def test_every_national_number_has_a_validator_that_never_raises(module: str) -> None:
    assert checksums.stdnum(module)("not a number") is False
    assert checksums.stdnum(module)("") is False


@given(st.text(alphabet="0123456789", min_size=3, max_size=18), st.integers(0, 17), st.integers(1, 9))
def test_luhn_finds_every_single_digit_error(body: str, position: int, change: int) -> None:
    number = next(body + d for d in "0123456789" if checksums.luhn(body + d))
    position %= len(number)
    wrong = number[:position] + str((int(number[position]) + change) % 10) + number[position + 1 :]
    assert not checksums.luhn(wrong)


@given(st.text(alphabet="0123456789", min_size=1, max_size=18))
def test_exactly_one_digit_completes_a_luhn_number(body: str) -> None:
    assert sum(checksums.luhn(body + d) for d in "0123456789") == 1


@given(st.integers(0, 12), st.integers(0, 999_999))
def test_exactly_one_digit_completes_a_routing_number(prefix: int, rest: int) -> None:
    body = f"{prefix:02d}{rest:06d}"
    valid = sum(checksums.routing_number(body + d) for d in "0123456789")
    assert valid == (0 if body == "00000000" else 1)


@given(st.text(max_size=30))
def test_no_validator_raises_on_any_text(text: str) -> None:
    for check in checksums.VALIDATORS.values():
        assert check(text) in (True, False)
