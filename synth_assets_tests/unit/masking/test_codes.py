"""Numbers of identifiers: the same for every spelling of one, others for others; texts as bytes come back as they went in."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.masking.codes import codes, digit_codes, exact_codes, number_codes, stretches
from synth_assets.masking.texts import Stretches, Texts, assembled, with_rows

TEXTS = st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=12), max_size=30)


def _codes(*values: str | None) -> list[int | None]:
    return codes(pa.array(values, pa.string())).to_pylist()


def test_separators_letter_case_and_the_country_code_do_not_matter() -> None:
    assert len(set(_codes("617-555-0123", "(617) 555 0123", "6175550123", "+1 617.555.0123"))) == 1
    assert len(set(_codes("MRN-0012", "mrn 0012", "mrn0012"))) == 1
    assert len(set(_codes("STRASSE é1", "strasse É1"))) == 1


def test_numbers_are_told_apart_exactly_leading_zeros_too() -> None:
    assert _codes("0", "00", "7", "123456789012345678") == [10, 100, 17, 10**18 + 123456789012345678]
    assert len(set(_codes("1", "01", "001"))) == 3


def test_nothing_to_identify_has_no_number() -> None:
    assert _codes(None, "", "-", "n/a")[:3] == [None, None, None]
    assert _codes("é", "--é")[0] == _codes("é")[0]


@given(values=st.lists(st.text("0123456789ab-", min_size=1, max_size=25), min_size=1, max_size=40))
def test_the_number_of_a_text_does_not_depend_on_its_batch(values: list[str]) -> None:
    together = codes(pa.array(values)).to_pylist()
    assert together == [codes(pa.array([v])).to_pylist()[0] for v in values]


@given(values=st.lists(st.text("0123456789abC-é", max_size=25), min_size=1, max_size=40))
def test_equal_numbers_are_equal_letters_and_digits(values: list[str]) -> None:
    plain = ["".join(c for c in v.lower() if c.isalnum()) for v in values]
    plain = [p[1:] if len(p) == 11 and p.isdigit() and p.isascii() and p[0] == "1" else p for p in plain]
    by_number: dict[int | None, set[str]] = {}
    for number, text in zip(codes(pa.array(values)).to_pylist(), plain, strict=True):
        by_number.setdefault(number, set()).add(text)
    assert all(len(texts) == 1 for texts in by_number.values())
    assert len(by_number) == len(set(plain))


EDGES = [0, 9, 10, -7, 10**10 - 1, 10**10, 16_175_550_123, 2 * 10**10, 10**11, 10**18 - 1, 10**18, 2**63 - 1, -(2**63)]


@given(values=st.lists(st.none() | st.sampled_from(EDGES) | st.integers(-(10**12), 10**12), min_size=1, max_size=30))
def test_whole_numbers_have_the_numbers_of_their_digits(values: list[int | None]) -> None:
    column = pa.array(values, pa.int64())
    assert number_codes(column).to_pylist() == codes(column.cast(pa.string())).to_pylist()


def test_digits_beside_letters_count_from_nine_on() -> None:
    made = digit_codes(pa.array(["AB123456789", "AB12345678", "123456789", None])).to_pylist()
    assert made == [10**9 + 123456789, None, None, None]


def test_exact_numbers_keep_points_apart() -> None:
    a, b, c, missing = exact_codes(pa.array(["1.11.1.1", "11.1.1.1", "FE80::1", None])).to_pylist()
    assert len({a, b, c}) == 3
    assert missing is None
    assert c == exact_codes(pa.array(["fe80::1"])).to_pylist()[0]


def test_known_answers_so_that_every_engine_compares_the_same_numbers() -> None:
    assert _codes("MRN-0012345", "12345678901234567890") == [-5869975765992380833, -8200957055578371464]


@given(values=st.lists(st.integers(0, 5), min_size=4, max_size=60), size=st.integers(1, 3))
def test_a_stretch_has_the_same_hash_wherever_it_stands(values: list[int], size: int) -> None:
    starts = np.arange(len(values) - size)
    hashes = stretches(np.array(values, np.uint64), starts, starts + size)
    seen: dict[tuple[int, ...], int] = {}
    for start, made in zip(starts.tolist(), hashes.tolist(), strict=True):
        assert seen.setdefault(tuple(values[start : start + size]), made) == made
    assert len(set(seen.values())) == len(seen)


@given(values=TEXTS, cut=st.integers(0, 3))
def test_texts_come_back_as_they_went_in(values: list[str | None], cut: int) -> None:
    array = pa.array(values, pa.string())
    assert Texts.of(array).to_arrow().to_pylist() == values
    assert Texts.of(array[cut:]).to_arrow().to_pylist() == values[cut:]
    assert Texts.of(pa.chunked_array([array, array])).to_arrow().to_pylist() == values * 2
    assert Texts.of(array.cast(pa.large_string())).to_arrow().to_pylist() == values


@given(values=TEXTS, data=st.data())
def test_rows_are_replaced_and_the_rest_stays(values: list[str | None], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(values) - 1), unique=True)) if values else []
    others = [data.draw(st.none() | st.text(max_size=5)) for _ in rows]
    made = with_rows(
        Texts.of(pa.array(values, pa.string())), np.array(rows, int), Texts.of(pa.array(others, pa.string()))
    )
    expected = list(values)
    for row, other in zip(rows, others, strict=True):
        expected[row] = other
    assert made.to_arrow().to_pylist() == expected


@given(values=st.lists(st.text("abc", max_size=8), min_size=1, max_size=12), data=st.data())
def test_stretches_are_replaced_like_slices_of_strings(values: list[str], data: st.DataObject) -> None:
    texts = Texts.of(pa.array(values))
    rows, starts, ends, lengths, expected = [], [], [], [], []
    for row, value in enumerate(values):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(value)), unique=True, max_size=4)))
        made, at = "", 0
        for start, end in zip(cuts[::2], cuts[1::2], strict=False):
            length = data.draw(st.integers(0, 3))
            made, at = made + value[at:start] + "XYZ"[:length], end
            for column, item in (
                (rows, row),
                (starts, start + texts.offsets[row]),
                (ends, end + texts.offsets[row]),
                (lengths, length),
            ):
                column.append(item)
        expected.append(made + value[at:])
    places = Stretches(*(np.array(c, np.int64) for c in (rows, starts, ends, [0] * len(rows), lengths)))
    assert assembled(texts, places, np.frombuffer(b"XYZ", np.uint8)).to_arrow().to_pylist() == expected


@pytest.mark.parametrize("values", [[], [None], [""]])
def test_empty_batches_work(values: list[str | None]) -> None:
    assert codes(pa.array(values, pa.string())).to_pylist() == [None] * len(values)
