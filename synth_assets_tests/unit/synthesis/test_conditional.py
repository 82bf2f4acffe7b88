"""Conditions on a sample: every row meets them, its distribution is the exact conditional one, and what cannot be met is one error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.config.sampling import Asked, asked_of, checked_asked
from synth_assets.errors import InputError
from synth_assets.synthesis.augmented import MARK, augmented, missing_rows
from synth_assets.synthesis.marginals import conditional
from synth_assets.synthesis.marginals.impossible import Combinations
from synth_assets.synthesis.marginals.measurements import ColumnCells
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.sample import sample_table
from synth_assets.synthesis.marginals.strata import AskedRows, Stratum, quotas, strata_of, topped_up
from synth_assets.synthesis.marginals.target_model import Interaction, TargetModel
from synth_assets.synthesis.marginals.terms import allowed
from synth_assets.synthesis.marginals.tilted import tilted
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

ROWS = 60_000
SEX = ColumnCells(name="sex", kind="category", dtype="string", categories=("F", "M"))
AGE = ColumnCells(name="age", kind="number", dtype="int64", edges=(20, 40, 50, 60, 90))
PAY = ColumnCells(
    name="pay", kind="number", dtype="double", decimals=2, edges=(0, 1, 100_000, 500_000), steps=(1, 100, 10_000)
)
IN = ColumnCells(name="in", kind="date", dtype="date32[day]", edges=tuple(range(18_000, 18_011)))
OUT = ColumnCells(name="out", kind="date", dtype="date32[day]", edges=tuple(range(12)), minus="in")
CITY = ColumnCells(name="city", kind="category", dtype="string", categories=("x", "y", "z"), open=True)
ILL = ColumnCells(name="ill", kind="category", dtype="bool", categories=("true", "false"))
COLUMNS = (SEX, AGE, PAY, IN, OUT, CITY, ILL)
NAMES = tuple(c.name for c in COLUMNS)


def model(seed: int = 0, rows: int = 10_000, rare: float = -1.0) -> MarginalModel:
    """Six components over all kinds of columns; cells of `age` share bins; the target follows sex, age and their pair."""
    rng = np.random.default_rng(seed)
    group = {c.name: np.arange(c.size) for c in COLUMNS}
    group["age"] = np.array([0, 0, 1, 1, 2])
    inside = {n: np.ones(len(g)) for n, g in group.items()} | {"age": np.array([0.7, 0.3, 0.4, 0.6, 1.0])}
    bins = {n: int(g.max()) + 1 for n, g in group.items()}
    features = tuple(n for n in NAMES if n != "ill")
    pair = Interaction(0, 1, rng.normal(0, 0.5, (2, bins["sex"], bins["age"])).astype(np.float32))
    target = TargetModel(
        features=features,
        share=np.array([0.3, 0.68, 0.02]),
        intercept=np.array([1.0, rare], dtype=np.float32),
        effects=tuple(rng.normal(0, 0.8, (2, bins[n])).astype(np.float32) for n in features),
        interactions=(pair,),
        leading=(0, 1),
    )
    return MarginalModel(
        columns=COLUMNS,
        target="ill",
        rows=rows,
        weights=rng.dirichlet(np.ones(6)).astype(np.float32),
        tables={n: rng.dirichlet(np.full(bins[n], 0.8), 6).T.astype(np.float32) for n in features},
        group=group,
        inside=inside,
        roundness={"pay": np.array([0.3, 0.3, 0.4])},
        given_features=target,
    )


def drawn(
    made: MarginalModel, asked: Asked, rows: int = ROWS, seed: int = 1, impossible: Combinations = ()
) -> tuple[pd.DataFrame, tuple[Stratum, ...]]:
    rng = np.random.default_rng(seed)
    strata = strata_of(made, asked, NAMES, rng, impossible=impossible)
    return AskedRows(strata, rows).draw(rows, rng, NAMES)[1].to_pandas(), strata


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    """Rows of the model without conditions; a test takes those that meet its own."""
    return plain(model())


def plain(made: MarginalModel, rows: int = 5 * ROWS, seed: int = 9) -> pd.DataFrame:
    return sample_table(made, rows, np.random.default_rng(seed)).to_pandas()


def distance(a: pd.DataFrame, b: pd.DataFrame, columns: tuple[str, ...]) -> float:
    """Total variation distance of the joint table of some columns; numbers in groups."""
    code = np.zeros(len(a) + len(b), dtype=np.int64)
    for name in columns:
        both = pd.concat([a[name], b[name]], ignore_index=True)
        if name in {"age", "pay"}:
            both = pd.Series(pd.cut(both, [-1, 0, 24, 39, 45, 59, 75, 100, 1000, 6000]).cat.codes)
        own = pd.factorize(both)[0] + 1
        code = code * (int(own.max()) + 1) + own
    first, second = (np.bincount(c, minlength=int(code.max()) + 1) / len(c) for c in np.split(code, [len(a)]))
    return float(0.5 * np.abs(first - second).sum())


day = lambda n: np.datetime64("1970-01-01") + np.timedelta64(n, "D")  # noqa: E731
CASES: list[tuple[dict[str, Any], Any]] = [
    ({"sex": "F"}, lambda f: f["sex"] == "F"),
    ({"sex": "F,M"}, lambda f: f["sex"].notna()),
    ({"sex": [None, "M"]}, lambda f: f["sex"].isna() | (f["sex"] == "M")),
    ({"age": "25..45"}, lambda f: f["age"].between(25, 45)),  # cuts two cells
    ({"age": ["20..24", "80.."]}, lambda f: f["age"].between(20, 24) | (f["age"] >= 80)),
    ({"age": None}, lambda f: f["age"].isna()),
    ({"pay": "0.5..50"}, lambda f: f["pay"].between(0.5, 50)),  # rounding moves values within a cell
    ({"pay": 0}, lambda f: f["pay"] == 0),
    ({"in": f"{day(18_002)}..{day(18_004)}"}, lambda f: pd.to_datetime(f["in"]).between(str(day(18_002)), str(day(18_004)))),
    ({"out": f"..{day(18_006)}"}, lambda f: pd.to_datetime(f["out"]) <= str(day(18_006))),  # a difference to `in`
    ({"city": "x"}, lambda f: f["city"] == "x"),  # other values become listed ones
    ({"ill": True}, lambda f: f["ill"] == True),  # noqa: E712  missing is neither
    ({"ill": None, "sex": "M", "age": "..39"}, lambda f: f["ill"].isna() & (f["sex"] == "M") & (f["age"] < 40)),
    ({"ill": "true", "city": ["y", "z"], "out": f"{day(18_004)}.."},
     lambda f: (f["ill"] == True) & f["city"].isin(["y", "z"]) & (pd.to_datetime(f["out"]) >= str(day(18_004)))),  # noqa: E712
]  # fmt: skip


@pytest.mark.parametrize(("where", "met"), CASES, ids=[str(i) for i in range(len(CASES))])
def test_every_row_meets_the_conditions_and_rows_are_those_of_the_model_that_meet_them(
    where: Mapping[str, Any], met: Any, reference: pd.DataFrame
) -> None:
    made = model()
    frame, strata = drawn(made, checked_asked(where, None), 20_000)
    assert len(frame) == 20_000
    assert met(frame).all()
    kept = reference[met(reference)]
    assert strata[0].rows.share == pytest.approx(len(kept) / len(reference), rel=0.06, abs=3e-4)
    noise = 1.3 * np.sqrt(12 / min(len(kept), 20_000)) + 0.01  # of two samples over a few dozen cells
    for columns in (("sex", "age"), ("pay", "ill"), ("city", "sex"), ("out", "ill"), ("age", "ill")):
        assert distance(frame, kept, columns) < noise, columns


def test_the_conditioned_mixture_follows_the_rule_of_bayes() -> None:
    made = model()
    rng = np.random.default_rng(0)
    under = conditional.conditioned(made, [allowed(SEX, ("M",)), allowed(AGE, ("20..59",))], rng)
    w, sex, age = made.weights.astype(float), made.tables["sex"][1].astype(float), made.tables["age"].astype(float)
    left = np.array([1.0, 0.4, 0.0])  # of the bins: two whole cells, one of two cells (0.4 of it), none
    mass = w * sex * (left[:, None] * age).sum(0)
    assert under.share == pytest.approx(mass.sum() / w.sum(), rel=1e-6)
    assert under.model.weights == pytest.approx(mass / mass.sum(), rel=1e-5)
    assert under.model.tables["age"] == pytest.approx(left[:, None] * age / (left[:, None] * age).sum(0), rel=1e-5)
    assert under.model.tables["pay"] is made.tables["pay"]
    assert not under.rejects


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"height": "1"}, "not modelled"),
        ({"sex": "X"}, "outside the public domain.*F, M"),
        ({"sex": ["F", "X"]}, "outside the public domain"),
        ({"age": "200"}, "outside the public domain.*20..89"),
        ({"age": "..19"}, "outside the public domain"),
        ({"age": "60..40"}, "empty range"),
        ({"age": ".."}, "empty range"),
        ({"age": "old"}, "cannot be read.*40..60"),
        ({"in": "yesterday"}, "cannot be read.*2020-01-01"),
        ({"pay": "1e9.."}, "outside the public domain.*0.00..4999.99"),
        ({"out": "2090-01-01.."}, "next to no row"),
    ],
)
def test_what_cannot_be_met_is_one_clear_error(
    where: Mapping[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditional, "MOST_PILOT", 20_000)
    with pytest.raises(InputError, match=words) as caught:
        drawn(model(rows=400), checked_asked(where, None))
    assert caught.value.remedy


def test_conditions_that_next_to_no_row_meets_are_refused_by_the_size_of_the_source() -> None:
    made = model()
    tables = dict(made.tables)
    tables["sex"] = np.array([[1e-4] * 6, [0.9998] * 6, [1e-4] * 6], dtype=np.float32)
    rare = MarginalModel(**{**vars(made), "tables": tables})
    frame, _ = drawn(rare, checked_asked({"sex": "F"}, None), 100)  # one row of 10,000
    assert (frame["sex"] == "F").all()
    small = MarginalModel(**{**vars(rare), "rows": 1_000})
    with pytest.raises(InputError, match=r"0\.1 rows of a table like its source"):
        drawn(small, checked_asked({"sex": "F"}, None), 100)


def test_a_rare_class_of_the_target_is_found() -> None:
    made = model(rare=-7.0, rows=50_000)
    frame, strata = drawn(made, checked_asked({"ill": None}, None), 3_000)
    assert frame["ill"].isna().all()
    assert 1e-5 < strata[0].rows.share < 3e-3
    reference = plain(made, 800_000)
    kept = reference[reference["ill"].isna()]
    assert len(kept) > 150
    assert distance(frame, kept, ("sex", "age")) < 0.15


def every_row(made: MarginalModel) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Every combination of bins of the features, and its probability."""
    sizes = [len(t) for t in made.tables.values()]
    codes = np.indices(sizes).reshape(len(sizes), -1)
    bins = dict(zip(made.tables, codes, strict=True))
    share = np.ones((codes.shape[1], len(made.weights))) * made.weights.astype(float)
    for name, code in bins.items():
        share *= made.tables[name].astype(float)[code]
    return bins, share.sum(axis=1)


@pytest.mark.parametrize("rare", [-7.0, -1.0, 4.0])
def test_a_tilted_proposal_bounds_the_class_everywhere_and_its_mass_is_exact(rare: float) -> None:
    made = model(rare=rare)
    given = made.given_features
    assert given is not None
    bins, share = every_row(made)
    chance = given.probabilities(bins)
    for wanted in range(3):
        tilt = tilted(made, given, wanted)
        bound = tilt.constant + sum(v[bins[n]] for n, v in tilt.bound.items())
        assert (np.log(chance[:, wanted]) <= bound + 1e-9).all()
        assert tilt.mass == pytest.approx((share * np.exp(bound)).sum(), rel=1e-5)
        _, drawn = every_row(tilt.model)
        assert drawn == pytest.approx(share * np.exp(bound) / tilt.mass, rel=1e-3, abs=1e-12)
        kept = len(tilt.draw(40_000, np.random.default_rng(1))["ill"]) / 40_000
        assert kept * tilt.mass == pytest.approx((share * chance[:, wanted]).sum(), rel=0.1)


def test_a_rare_class_is_drawn_by_a_tilted_proposal_and_a_frequent_one_is_not() -> None:
    rng = np.random.default_rng(0)
    made = model(rare=-7.0, rows=50_000)
    (rare,) = strata_of(made, checked_asked({"ill": None}, None), NAMES, rng)
    (frequent,) = strata_of(made, checked_asked({"ill": False}, None), NAMES, rng)
    assert rare.rows.tilt is not None
    assert frequent.rows.tilt is None
    assert rare.rows.rate > 20 * rare.rows.share  # draws that plain rejection would need for each that it needs


# class shares


def test_classes_get_equal_shares_and_keep_the_distribution_of_the_model_within(reference: pd.DataFrame) -> None:
    made = model()
    frame, strata = drawn(made, checked_asked({"age": "30.."}, "ill"), 40_001)
    assert sorted(frame["ill"].value_counts()) == [20_000, 20_001]
    assert [s.label for s in strata] == ["true", "false"]
    reference = reference[reference["age"] >= 30]
    for value in (True, False):
        one, other = frame[frame["ill"] == value], reference[reference["ill"] == value]
        assert distance(one, other, ("sex", "age")) < 0.03
        assert distance(one, other, ("city", "pay")) < 0.04


def test_given_shares_ranges_and_missing_may_be_classes() -> None:
    shares = {"20..39": 0.2, "40..": 0.5, "": 0.3}
    frame, _ = drawn(model(), checked_asked({}, {"column": "age", "shares": shares}), 1_000)
    age = frame["age"]
    assert [int(n) for n in (age.between(20, 39).sum(), (age >= 40).sum(), age.isna().sum())] == [200, 500, 300]


def test_the_order_of_rows_tells_nothing_of_their_class() -> None:
    frame, _ = drawn(model(), checked_asked({}, "sex"), 4_000)
    first = (frame["sex"][:2_000] == "F").sum()
    assert 850 < first < 1_150


@pytest.mark.parametrize(
    ("where", "balance", "words"),
    [
        ({"sex": "F"}, "sex", "balanced and has a condition"),
        ({}, "age", "no classes of its own"),
        ({}, "height", "not modelled"),
        ({}, {"column": "age", "shares": {"20..40": 0.5, "40..": 0.5}}, "overlap"),
        ({}, {"column": "sex", "shares": {"F": 0.5, "M": 0.6}}, "add up to 1"),
        ({}, {"column": "sex", "shares": {"F": 1.5, "M": -0.5}}, "add up to 1"),
        ({}, {"column": "sex", "shares": {"F": 0.5, "X": 0.5}}, "outside the public domain"),
    ],
)
def test_shares_that_cannot_be_are_one_clear_error(where: Mapping[str, Any], balance: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        drawn(model(), checked_asked(where, balance))


@settings(max_examples=60)
@given(
    shares=st.lists(st.floats(0.001, 1), min_size=1, max_size=9), rows=st.integers(0, 3_000), step=st.integers(1, 700)
)
def test_quotas_add_up_in_whole_and_chunk_by_chunk(shares: list[float], rows: int, step: int) -> None:
    exact = np.array(shares) / sum(shares)
    whole = quotas(exact, rows)
    assert whole.sum() == rows
    assert (np.abs(whole - exact * rows) < 1 + 1e-6).all()
    left, given_out = whole.copy(), np.zeros(len(shares), dtype=int)
    for start in range(0, rows, step):
        now = quotas(left / max(left.sum(), 1), min(step, rows - start))
        assert (now >= 0).all()
        left, given_out = left - now, given_out + now
    assert given_out.tolist() == whole.tolist()


def test_rows_that_are_lacking_bring_the_shares_and_take_nothing_away() -> None:
    strata = strata_of(
        model(), checked_asked({}, {"column": "sex", "shares": {"F": 0.75, "M": 0.25}}), NAMES, np.random.default_rng(0)
    )
    added, rows = topped_up(strata, {"F": 30, "M": 50})
    assert rows == 120  # 150 F beside 50 M
    assert [(s.label, s.share) for s in added] == [("F", 1.0)]


# words


def test_the_command_line_and_a_yaml_say_the_same() -> None:
    told = asked_of(["sex=F", "age=40..60", "pay=", "city=x,y"], "ill=true:0.25,false:0.75")
    assert told == checked_asked(
        {"sex": "F", "age": "40..60", "pay": None, "city": "x,y"},
        {"column": "ill", "shares": {"true": 0.25, False: 0.75}},
    )
    assert asked_of([], "ill") == checked_asked(None, "ill")
    assert not asked_of([], None).asks


@pytest.mark.parametrize(
    ("where", "balance"),
    [(["sex"], None), (["=F"], None), (["sex=F", "sex=M"], None), ([], "ill=true"), ([], "ill=:1")],
)
def test_a_condition_of_no_form_is_refused(where: list[str], balance: str | None) -> None:
    with pytest.raises(InputError) as caught:
        asked_of(where, balance)
    assert "true" not in caught.value.message
    assert "=F" not in caught.value.message


def test_a_category_that_looks_like_two_is_one() -> None:
    odd = ColumnCells(name="odd", kind="category", dtype="string", categories=("a,b", "a", "b", "1..2"))
    assert allowed(odd, ("a,b",)).cells.tolist() == [True, False, False, False, False]
    assert allowed(odd, ("1..2,a",)).cells.tolist() == [False, True, False, True, False]
    whole = ColumnCells(name="n", kind="category", dtype="int64", categories=("1", "2"))
    assert allowed(whole, ("1.0",)).cells.tolist() == [True, False, False]


# augmentation

SCHEMA = TableSchema(
    name="people",
    columns=(
        ColumnSchema(name="id", kind=ColumnKind.ID, dtype="int64"),
        ColumnSchema(name="sex", kind=ColumnKind.CATEGORY, dtype="string"),
        ColumnSchema(name="note", kind=ColumnKind.TEXT, dtype="string"),
    ),
    primary_key=("id",),
    row_count=50,
)


def write(folder: Path, **columns: list[Any]) -> Path:
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "part-00000.parquet")
    return folder


def test_real_rows_stay_as_they_are_and_synthetic_ones_come_behind_marked(tmp_path: Path) -> None:
    sexes = ["F"] * 10 + ["M"] * 36 + [None] * 4
    real = write(tmp_path / "real", id=list(range(101, 151)), sex=sexes, note=["n"] * 50)
    strata = strata_of(model(), checked_asked({}, "sex"), NAMES, np.random.default_rng(0))
    missing = missing_rows(real, "sex", strata)
    assert (missing.counts, missing.real_rows, missing.rows) == ({"F": 10, "M": 36}, 50, 26)
    synthetic = write(tmp_path / "made", id=list(range(1, 27)), sex=["F"] * 26)
    schema = augmented(real, synthetic, tmp_path / "out", SCHEMA)
    frame = pd.read_parquet(tmp_path / "out")
    assert schema.names == ("id", "sex", "note", MARK) == tuple(frame.columns)
    assert schema.row_count == len(frame) == 76
    assert frame["id"].is_unique
    kept = frame[~frame[MARK]].drop(columns=MARK)
    pd.testing.assert_frame_equal(kept, pd.read_parquet(real))
    assert frame[frame[MARK]]["note"].isna().all()
    assert frame["sex"].value_counts().tolist() == [36, 36]


def test_a_table_that_cannot_be_augmented_is_one_clear_error(tmp_path: Path) -> None:
    strata = strata_of(model(), checked_asked({}, "sex"), NAMES, np.random.default_rng(0))
    real = write(tmp_path / "real", id=[1, 2], sex=["F", "M"])
    with pytest.raises(InputError, match="shares already"):
        missing_rows(real, "sex", strata)
    with pytest.raises(InputError, match="no such column"):
        missing_rows(write(tmp_path / "other", id=[1]), "sex", strata)
    with pytest.raises(InputError, match="no row of any"):
        missing_rows(write(tmp_path / "none", sex=["?"]), "sex", strata)
    marked = write(tmp_path / "marked", id=[1], **{MARK: [True]})
    with pytest.raises(InputError, match="marks synthetic rows"):
        augmented(marked, real, tmp_path / "out", SCHEMA.model_copy(update={"columns": (
            *SCHEMA.columns, ColumnSchema(name=MARK, kind=ColumnKind.BOOLEAN, dtype="bool"))}))  # fmt: skip
