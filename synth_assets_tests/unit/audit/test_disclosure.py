"""Singling out, linkability, attribute inference, copies, k-anonymity: by hand, and against their controls."""

from __future__ import annotations

import numpy as np
import pytest

from synth_assets.audit.prepare import Part
from synth_assets.audit.privacy.disclosure import (
    Rates,
    inference_findings,
    linkability_finding,
    secret_of,
    split_columns,
)
from synth_assets.audit.privacy.neighbours import Encoder
from synth_assets.audit.privacy.singling_out import (
    SinglingOut,
    Term,
    matches,
    multivariate_predicates,
    single_out,
    singling_out_findings,
    univariate_predicates,
)
from synth_assets.config.thresholds import AuditLevels
from synth_assets_tests.unit.audit.worlds import prepared

LEVELS = AuditLevels()


def test_predicates_describe_rows_as_they_say():
    part = Part(4, {"x": np.array([1.0, 2.0, 2.0, np.nan]), "c": np.array([0, 1, -1, 1])})
    assert matches((Term("x", "equal", 2.0),), part).tolist() == [False, True, True, False]
    assert matches((Term("x", "at least", 2.0),), part).tolist() == [False, True, True, False]
    assert matches((Term("x", "at most", 1.0),), part).tolist() == [True, False, False, False]
    assert matches((Term("x", "missing"),), part).tolist() == [False, False, False, True]
    assert matches((Term("c", "missing"),), part).tolist() == [False, False, True, False]
    assert matches((Term("x", "at least", 2.0), Term("c", "equal", 1)), part).tolist() == [False, True, False, False]


def test_univariate_predicates_are_single_values_and_extremes():
    data = prepared(synthetic={"x": [1, 2, 2, 5, None], "c": ["a", "a", "a", "a", "b"]}, train={"x": [1], "c": ["a"]})
    made = univariate_predicates(data, data.parts["synthetic"], 100, np.random.default_rng(0))
    expected = {
        (Term("x", "equal", 1.0),), (Term("x", "equal", 5.0),), (Term("x", "at most", 1.0),), (Term("x", "at least", 5.0),),
        (Term("x", "missing"),), (Term("c", "equal", 1.0),),
    }  # fmt: skip
    assert set(made) == expected


def test_multivariate_predicates_fit_exactly_one_synthetic_row():
    rng = np.random.default_rng(0)
    table = {f"x{i}": rng.normal(size=200).tolist() for i in range(5)} | {"c": rng.choice(["a", "b"], 200).tolist()}
    data = prepared(synthetic=table, train=table)
    made = multivariate_predicates(data, data.parts["synthetic"], 30, np.random.default_rng(1))
    assert made
    assert len(made) == 30
    assert all(1 < len(p) <= 6 and matches(p, data.parts["synthetic"]).sum() == 1 for p in made)
    assert len(set(made)) == len(made)


def test_rows_that_are_all_alike_give_no_predicate_but_the_extremes():
    data = prepared(synthetic={"x": [1, 1], "c": ["a", "a"]}, train={"x": [1], "c": ["a"]})
    assert multivariate_predicates(data, data.parts["synthetic"], 5, np.random.default_rng(0)) == []


def test_singling_out_by_hand():
    train = Part(4, {"x": np.array([1.0, 2.0, 2.0, 3.0])})
    holdout = Part(4, {"x": np.array([5.0, 6.0, 6.0, 1.0])})
    made = single_out([(Term("x", "equal", v),) for v in (1.0, 2.0, 3.0, 5.0)], train, holdout, seed=0)
    assert (made.predicates, made.attack, made.control, made.scale) == (4, 2, 2, 1.0)  # 1 and 3; 5 and 1
    assert made.rates == (0.5, 0.5)


def test_singling_out_is_fair_where_the_holdout_is_smaller():
    """Predicates from an independent table: attack and control agree although the train table is four times the holdout."""
    excess = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        predicates = [(Term("x", "equal", float(v)),) for v in rng.permutation(2000)[:200]]
        train, holdout = (Part(n, {"x": rng.integers(0, 2000, n).astype(float)}) for n in (1200, 300))
        made = single_out(predicates, train, holdout, seed)
        excess.append(made.rates[0] - made.rates[1])
    assert abs(np.mean(excess)) < 0.03  # rates of about 0.33; a control counted in 300 rows alone would be 0.13


def test_several_rows_of_one_person_are_one_person():
    predicate = [(Term("x", "equal", 1.0),)]
    x = np.array([1.0, 1.0, 2.0, 3.0])
    holdout = Part(2, {"x": np.array([1.0, 5.0])}, np.array([8, 9]))
    same, other = (Part(4, {"x": x}, np.array(units)) for units in ([7, 7, 4, 5], [7, 6, 4, 5]))
    assert single_out(predicate, same, holdout, 0).attack == 1
    assert single_out(predicate, other, holdout, 0).attack == 0
    assert single_out(predicate, same, holdout, 0).scale == 1.5  # three people, two of whom are replaced


def test_singling_out_is_fair_to_people_with_several_rows():
    excess = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        predicates = [(Term("x", "equal", float(v)),) for v in rng.permutation(2000)[:200]]
        tables = []
        for people in (400, 100):
            x = rng.integers(0, 2000, people).astype(float)
            tables.append(Part(3 * people, {"x": np.repeat(x, 3)}, np.repeat(np.arange(people), 3)))
        made = single_out(predicates, *tables, seed)
        assert made.attack > 10
        excess.append(made.rates[0] - made.rates[1])
    assert abs(np.mean(excess)) < 0.02


def test_the_interval_of_singling_out_holds_its_excess():
    made = SinglingOut(predicates=200, attack=60, control=10, scale=2.0)
    low, high = made.excess_interval
    assert low < 0.3 - 0.1 < high


def test_copies_are_singled_out_and_too_few_predicates_are_a_reason():
    rng = np.random.default_rng(0)
    table = lambda: {f"x{i}": rng.normal(size=400).tolist() for i in range(4)}  # noqa: E731
    train = table()
    data = prepared(synthetic=train, train=train, holdout=table())
    parts = tuple(data.parts[s] for s in ("synthetic", "train", "holdout"))
    found, reasons = singling_out_findings(data, parts, 200, LEVELS, 1)
    assert found[0].metric == "singling_out.univariate"
    assert found[0].value == 1.0
    assert found[0].risk_level == "high"
    coarse = {"c": ["a", "b"] * 200}
    data = prepared(synthetic=coarse, train=coarse, holdout=coarse)
    parts = tuple(data.parts[s] for s in ("synthetic", "train", "holdout"))
    found, reasons = singling_out_findings(data, parts, 200, LEVELS, 1)
    assert found == []
    assert set(reasons) == {"privacy.singling_out.univariate", "privacy.singling_out.multivariate"}


def test_the_columns_are_split_in_two_halves():
    assert split_columns(["a", "b", "c"]) == ((0, 1), (2,))


def _encoded(data):
    encoder = Encoder(data)
    return tuple(encoder.encode(data.parts[s]) for s in ("synthetic", "train", "holdout"))


def _columns(rows, rng):
    return {f"x{i}": rng.normal(size=rows).tolist() for i in range(4)} | {"c": rng.choice(list("abcd"), rows).tolist()}


def test_halves_of_copied_rows_are_linked_and_those_of_others_are_not():
    rng = np.random.default_rng(0)
    train = _columns(200, rng)
    data = prepared(synthetic=train, train=train, holdout=_columns(200, rng))
    base, members, others = _encoded(data)
    finding = linkability_finding(members, others, base, LEVELS)
    assert finding.value == 1.0
    assert finding.baseline < 0.1
    assert finding.risk_level == "high"
    assert finding.naive == pytest.approx(1 / 200)


def test_secrets_of_copied_rows_are_guessed_and_the_naive_guess_is_shown():
    rng = np.random.default_rng(0)
    train = _columns(400, rng)
    data = prepared(synthetic=train, train=train, holdout=_columns(400, rng))
    encoded = _encoded(data)
    parts = tuple(data.parts[s] for s in ("synthetic", "train", "holdout"))
    found = {f.column: f for f in inference_findings(data, parts, encoded, ["x0", "c"], LEVELS)}
    assert found["c"].value == 1.0
    assert found["c"].baseline == pytest.approx(0.25, abs=0.08)
    assert found["c"].naive == pytest.approx(0.25, abs=0.08)  # one of four letters: the guess is not lost
    assert found["x0"].risk_level == "high"


def test_a_guess_counts_within_the_tolerance_and_missing_is_guessed_by_missing():
    data = prepared(synthetic={"x": list(range(101))}, train={"x": [0]})
    secret = secret_of(data, data.parts["synthetic"], "x")
    assert secret.tolerance == pytest.approx(4.5)  # 5 % of 95 - 5
    right = secret.right(np.array([10.0, 10.0, np.nan, np.nan]), np.array([14.5, 14.6, np.nan, 1.0]))
    assert right.tolist() == [True, False, True, False]


def test_the_naive_guess_is_a_draw_from_the_synthetic_column():
    data = prepared(synthetic={"c": ["a", "a", "a", "b"], "x": [1, 2, 3, None]}, train={"c": ["a"], "x": [1]})
    letters = secret_of(data, data.parts["synthetic"], "c")
    assert letters.naive(np.array([0, 0, 1, -1])) == pytest.approx((0.75 + 0.75 + 0.25 + 0) / 4)
    numbers = secret_of(data, data.parts["synthetic"], "x", tolerance=0.0)
    assert numbers.naive(np.array([2.0, 9.0, np.nan])) == pytest.approx((0.25 + 0 + 0.25) / 3)
    rng = np.random.default_rng(0)
    table = {"x": rng.normal(size=3000).tolist()}
    secret = secret_of(prepared(synthetic=table, train=table), Part(3000, {"x": np.array(table["x"])}), "x")
    truth, draws = rng.normal(size=20_000), rng.choice(table["x"], 20_000)
    assert secret.naive(truth) == pytest.approx(secret.right(truth, draws).mean(), abs=0.01)


def test_a_worse_attack_than_the_naive_guess_is_said():
    """Secrets that go against their neighbours: the nearest row is always wrong, a draw is right in half of the rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    here, there = (
        {"x": x.tolist(), "c": np.where(x > 0, "a", "b").tolist()},
        {"x": x.tolist(), "c": np.where(x > 0, "b", "a").tolist()},
    )
    data = prepared(synthetic=there, train=here, holdout=here)
    parts = tuple(data.parts[s] for s in ("synthetic", "train", "holdout"))
    found = inference_findings(data, parts, _encoded(data), ["c"], LEVELS)[0]
    assert (found.value, found.naive) == (0.0, pytest.approx(0.5, abs=0.05))
    assert "worse than that blind guess" in found.message


def test_more_neighbours_link_more_and_chance_is_exact():
    rng = np.random.default_rng(0)
    data = prepared(synthetic=_columns(200, rng), train=_columns(200, rng), holdout=_columns(200, rng))
    base, members, others = _encoded(data)
    one, ten = (linkability_finding(members, others, base, LEVELS, neighbours=k) for k in (1, 10))
    assert ten.value > one.value
    assert one.naive == pytest.approx(1 / 200)
    draws = [
        len(set(rng.choice(200, 10, replace=False)) & set(rng.choice(200, 10, replace=False))) > 0 for _ in range(4000)
    ]
    assert ten.naive == pytest.approx(np.mean(draws), abs=0.03)


def test_descriptions_of_a_fixed_number_of_columns_have_that_many():
    rng = np.random.default_rng(0)
    table = {f"x{i}": rng.normal(size=300).tolist() for i in range(6)}
    data = prepared(synthetic=table, train=table)
    made = multivariate_predicates(data, data.parts["synthetic"], 40, np.random.default_rng(1), columns=3)
    assert len(made) == 40
    assert all(len(p) == 3 and matches(p, data.parts["synthetic"]).sum() == 1 for p in made)


def test_anonymeters_risk_is_the_excess_over_what_is_left_to_gain():
    rates = Rates(attack=90, attacked=100, control=80, controls=100, naive=0.5)
    assert rates.excess == pytest.approx(0.1)
    risk, (low, high) = rates.risk
    assert risk == pytest.approx(0.5)
    assert low < 0.5 < high
    assert Rates(100, 100, 100, 100, 0.5).risk is None  # the control leaves nothing to gain
