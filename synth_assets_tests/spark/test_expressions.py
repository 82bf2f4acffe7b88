"""Expressions that the two engines would answer differently, had Spark SQL been left as it is."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_assets.masking import arrays
from synth_assets.pii.patterns import TEXT
from synth_assets_tests.spark.conftest import SOCKET, Answers

# characters that exist in every Unicode version that one of the engines may have, and mark where engines differ
_CHARACTERS = st.sampled_from([*"aZ09 _-.,|@\n\r\t\x0b\x85$\\[]&", *"éÉßẞſKİıΣςσǆŉﬁ𝔘🙂́\u2028한"])
TEXTS = st.lists(st.one_of(st.none(), st.text(_CHARACTERS, max_size=12)), min_size=1, max_size=30)
pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.filterwarnings(SOCKET)]  # a query per example
FEW = settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])


def differences(found: tuple[list[Any], list[Any]]) -> list[Any]:
    """Rows for which the engines do not say the same; NaN is NaN."""
    return [pair for pair in zip(*found, strict=True) if repr(pair[0]) != repr(pair[1])]


@given(texts=TEXTS)
@FEW
def test_letter_case_is_one_character_for_one(answers: Answers, texts: list[str | None]) -> None:
    found = answers(lambda v: ibis.struct({"l": v.lower(), "u": v.upper()}), texts, pa.string())
    assert not differences(found)


def test_every_character_of_unicode_has_the_same_capital_and_small_letter(answers: Answers) -> None:
    every = [chr(c) for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
    found = answers(lambda v: v.lower() + "|" + v.upper(), every, pa.string())
    assert [(hex(ord(c)), d, s) for c, d, s in zip(every, *found, strict=True) if d != s] == []


@given(texts=TEXTS)
@FEW
def test_pieces_of_texts_count_characters_and_not_bytes(answers: Answers, texts: list[str | None]) -> None:
    def made(v: Any) -> Any:
        parts = {"mid": v.substr(1, 3), "end": v.right(2), "n": v.length(), "split": v.split(""), "words": v.split(" ")}
        return ibis.struct({**parts, "strip": v.strip(), "starts": v.startswith("a"), "has": v.contains("é")})

    assert not differences(answers(made, texts, pa.string()))


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\pL+$",
        r"(?i)\bs\b",
        r"a.b|.$",
        r"\s\S",
        r"[\s,]+",
        r"[^\x00-\x7f]",
        r"\d{2,}",
        r"[\x{E000}-\x{F8FF}]|[[\]&&$]",
        r"(?i)[éσ]",
    ],
)
@given(texts=TEXTS)
@settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_pattern_matches_the_same_texts(answers: Answers, pattern: str, texts: list[str | None]) -> None:
    texts = [*texts, "a\n", "a\nb", "s", "S", "ſ", "Ss", "é s", "1234", "a\x0bb", "", None]

    def made(v: Any) -> Any:
        return ibis.struct(
            {
                "search": v.re_search(pattern),
                "replace": v.re_replace(f"({pattern})", r"<\1>$"),
                "extract": v.re_extract(pattern, 0),
                "split": v.re_split(pattern),
                "all": arrays.extract_all(v, pattern),
            }
        )

    assert not differences(answers(made, texts, pa.string()))


def test_the_patterns_of_free_text_match_the_same(answers: Answers) -> None:
    texts = [
        "Call 212-555-0101 or (212) 555 0199, a.b@c.org; 10.1.2.3 / fe80::1, DE89 3704 0044 0532 0130 00",
        "ssn 123-45-6789 card 4111 1111 1111 1111 on 2024-02-29, 02/29/2024; MRN-12345678",
        "Dr. Ann O'Neil lives at 12 Main Street, https://a.b/c?d=e 00:1B:44:11:3A:B7\nÉmile",
        "",
        None,
    ]
    for pattern in TEXT.values():
        assert not differences(answers(lambda v, p=pattern: v.re_replace(p, "[X]"), texts, pa.string())), pattern


@given(days=st.lists(st.one_of(st.none(), st.dates(date(1, 1, 1), date(9999, 12, 31))), min_size=1, max_size=30))
@FEW
def test_dates_before_1970_and_before_the_gregorian_calendar(answers: Answers, days: list[date | None]) -> None:
    def made(v: Any) -> Any:
        number = (v.cast("timestamp").epoch_seconds() / 86_400).floor().cast("int64")
        parts = {"text": v.cast("string"), "day": number, "year": v.year(), "month": v.month()}
        return ibis.struct({**parts, "start": ibis.date(v.year(), v.month(), 1)})

    assert not differences(answers(made, days, pa.date32()))


@pytest.mark.parametrize("to", ["date", "timestamp", "float64", "int64"])
def test_the_same_texts_are_dates_and_numbers(answers: Answers, to: str) -> None:
    texts = ["2024-01-05", "2024-1-5", "2024/01/05", " 2024-01-05", "2024-01-05 ", "2024-01/05", "2024", "20240105"]
    texts += [
        "2024-02-30",
        "31.12.1999",
        "1899-12-31 10:11:12.5",
        "2024-1-5 1:2:3",
        "2024-01-05T10:00",
        "2024-01-05 10",
    ]
    texts += ["2024-01-05Z", "2024-01-05 10:00:00Z", "1", " 1.5 ", "1e3", "12.5", "-12.5", "1d", "1f", "1.", ".5", "+5"]
    texts += ["", "abc", "99999999999999999999", "-", "  ", "1,5", "１", "true", "1e"]
    assert not differences(answers(lambda v: v.try_cast(to), [*texts, None], pa.string()))


TIMES = [datetime(1, 1, 2), datetime(1969, 12, 31, 23, 59, 59, 999_999), None, datetime(9999, 12, 30, 1, 2, 3, 4)]


@pytest.mark.parametrize(
    "make",
    [
        lambda v: v.cast("string"),
        lambda v: v.epoch_seconds().cast("float64"),
        lambda v: v.cast("date"),
        lambda v: v + ibis.literal(-1).as_interval("D"),
    ],
    ids=["text", "seconds", "day", "day before"],
)
def test_times_before_1970_and_at_the_ends_of_the_calendar(answers: Answers, make: Any) -> None:
    assert not differences(answers(make, TIMES, pa.timestamp("us")))


FRACTIONS = [None, 0.5, -0.5, 2.5, 0.285, 1e16, 5e-324, math.nan, -1.5, 0.1]


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (lambda v: v.try_cast("int64"), FRACTIONS),
        (lambda v: v.isnan(), FRACTIONS),
        (lambda v: v.isnull(), FRACTIONS),
        (lambda v: v.round(), FRACTIONS[:5]),
        (lambda v: v.round(2), FRACTIONS),
        (lambda v: (v.abs() < 1e12).ifelse(v, ibis.null("float64")).floor(), FRACTIONS[:5]),
        (lambda v: v.cast("string"), FRACTIONS),
    ],
    ids=["whole", "nan", "null", "rounded", "cents", "floor", "text"],
)
def test_fractions_are_rounded_and_written_the_same(answers: Answers, make: Any, values: list[float | None]) -> None:
    assert not differences(answers(make, values, pa.float64()))


@pytest.mark.parametrize(
    "make",
    [
        *[lambda words, i=i: arrays.element(words, ibis.literal(i)) for i in (0, 5, -1)],
        lambda words: arrays.holds(words, ibis.literal("b")),
        lambda words: arrays.chained([words, ibis.null("array<string>"), words]),
        lambda words: words.join(" "),
        lambda words: arrays.each(words, lambda w: (w == "b").ifelse(ibis.null("string"), w)).unique().length(),
    ],
    ids=["at 0", "at 5", "at -1", "holds", "chained", "joined", "different"],
)
def test_places_in_lists_and_nulls_in_them(answers: Answers, make: Any) -> None:
    texts = ["a b c", "b", "", None, "a a b"]
    assert not differences(answers(lambda v: make(v.split(" ")), texts, pa.string()))


def test_digests_permutations_and_divisions_agree(answers: Answers) -> None:
    def made(v: Any) -> Any:
        digest = (ibis.literal("k") + v.cast("string")).hexdigest("sha256")
        drawn = (ibis.literal("0x") + digest.substr(0, 15)).cast("int64")
        parts = {
            "digest": digest,
            "drawn": drawn,
            "low": drawn % 97,
            "high": drawn // 4900,
            "mixed": (v >> 3) ^ (v & 255),
        }
        return ibis.struct(parts)

    assert not differences(answers(made, [0, 1, 2**32 - 1, 2**40, None, 17], pa.int64()))


@ibis.udf.scalar.pyarrow
def _turned(texts: str) -> str:
    import pyarrow.compute as pc

    return pc.utf8_reverse(texts)


def test_a_function_over_arrow_arrays_runs_on_both(answers: Answers) -> None:
    assert answers(_turned, ["abc", None, "ß"], pa.string()) == (["cba", None, "ß"],) * 2
