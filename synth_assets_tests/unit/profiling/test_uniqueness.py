"""What singles people out, and k, l, t, against tables counted by hand and numbers of an independent tool."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_assets.errors import ConfigError
from synth_assets.profiling import uniqueness as module
from synth_assets.profiling.profile import profile_table
from synth_assets.profiling.records import Uniqueness
from synth_assets.profiling.uniqueness import anonymity
from synth_assets.tables.engine import Engine

PATIENTS = {
    "zip": ["02138", "02138", "02138", "02139", "02139", None],
    "sex": ["F", "F", "F", "M", "M", "M"],
    "illness": ["flu", "flu", "cold", "flu", "flu", "flu"],
    "age": [31, 32, 33, 31, 32, 33],
}


def search(written: Any, engine: Engine, data: Any, quasi: tuple[str, ...] = (), **keys: Any) -> Uniqueness:
    found = profile_table(*written(data, **keys), engine, quasi=quasi).uniqueness
    assert found is not None
    return found


def test_classes_k_and_risks_are_counted(written: Any, engine: Engine) -> None:
    found = anonymity(*written(PATIENTS), ["zip", "sex"], [], engine)
    assert (found.classes, found.k, found.unique_rows, found.rows_below_5) == (
        3,
        1,
        1,
        6,
    )  # a missing ZIP is a class of its own
    assert (found.highest_risk, found.mean_risk) == (1.0, 0.5)
    assert anonymity(*written(PATIENTS), ["sex"], [], engine).k == 3


def test_diversity_and_closeness_are_those_of_the_papers(written: Any, engine: Engine) -> None:
    (illness,) = anonymity(*written(PATIENTS), ["sex"], ["illness"], engine).sensitive
    # whole: flu 5/6, cold 1/6; F: flu 2/3, cold 1/3 -> 1/6; M: flu 1 -> 1/6
    assert (illness.l_diversity, illness.binned) == (1, False)
    assert illness.t_closeness == pytest.approx(1 / 6, abs=1e-6)


def test_a_missing_sensitive_value_is_a_value(written: Any, engine: Engine) -> None:
    data = {"q": ["a", "a", "b", "b"], "s": ["x", None, None, None]}
    (found,) = anonymity(*written(data), ["q"], ["s"], engine).sensitive
    assert found.l_diversity == 1
    assert found.t_closeness == pytest.approx(0.25)


def test_sensitive_numbers_with_many_values_are_put_into_tenths(written: Any, engine: Engine) -> None:
    data = {"q": ["low"] * 50 + ["high"] * 50, "pay": [float(i) for i in range(100)]}
    (found,) = anonymity(*written(data), ["q"], ["pay"], engine).sensitive
    assert (found.l_diversity, found.binned) == (5, True)
    assert found.t_closeness == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("quasi", "sensitive", "words"),
    [
        ([], [], "at least one quasi-identifier"),
        (["zap"], [], "no such column"),
        (["sex"], ["zap"], "no such column"),
        (["sex"], ["sex"], "at once"),
    ],
)
def test_wrong_columns_are_configuration_errors(
    written: Any, engine: Engine, quasi: list[str], sensitive: list[str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        anonymity(*written(PATIENTS), quasi, sensitive, engine)


def test_an_empty_table_has_no_classes(written: Any, engine: Engine) -> None:
    with pytest.raises(ConfigError, match="has no row"):
        anonymity(*written({"q": pa.array([], pa.string())}), ["q"], [], engine)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from([1, 2, None]), st.sampled_from("xyz")), min_size=1, max_size=25
    )
)
def test_k_l_and_t_agree_with_plain_python(
    written: Any, engine: Engine, rows: list[tuple[str, int | None, str]]
) -> None:
    data = {"q": [r[0] for r in rows], "n": pa.array([r[1] for r in rows], pa.int64()), "s": [r[2] for r in rows]}
    found = anonymity(*written(data), ["q", "n"], ["s"], engine)
    classes: dict[Any, list[str]] = {}
    for q, n, s in rows:
        classes.setdefault((q, n), []).append(s)
    whole = Counter(r[2] for r in rows)
    distances = [0.5 * sum(abs(c.count(v) / len(c) - whole[v] / len(rows)) for v in whole) for c in classes.values()]
    assert found.k == min(len(c) for c in classes.values())
    assert found.sensitive[0].l_diversity == min(len(set(c)) for c in classes.values())
    assert found.sensitive[0].t_closeness == pytest.approx(max(distances), abs=1e-6)


# --- search ----------------------------------------------------------------------------------------------------------


def test_the_smallest_sets_are_found_and_nothing_above_them(written: Any, engine: Engine) -> None:
    # day x month is unique; neither alone is; sex adds nothing
    pairs = list(itertools.product(range(1, 11), range(1, 13)))
    data = {"day": [p[0] for p in pairs] * 2, "month": [p[1] for p in pairs] * 2, "sex": ["F"] * 120 + ["M"] * 120}
    found = search(written, engine, data)
    assert [(s.columns, s.unique_rows, s.unique_fraction) for s in found.sets] == [(("day", "month", "sex"), 240, 1.0)]
    data = {"day": data["day"][:120], "month": data["month"][:120], "sex": ["F", "M"] * 60}
    found = search(written, engine, data)
    assert [s.columns for s in found.sets] == [("day", "month")]
    assert [s.columns for s in found.strongest] == [("day",), ("day", "month")]
    assert not found.estimated


def test_equal_columns_do_not_cancel(written: Any, engine: Engine) -> None:
    data = {"a": [1, 2, 3, 4] * 10, "b": [1, 2, 3, 4] * 10}
    found = search(written, engine, data)
    assert found.sets == ()
    assert found.strongest[1].unique_rows == 0


def test_a_missing_value_singles_out_as_a_value_does(written: Any, engine: Engine) -> None:
    found = search(written, engine, {"a": ["x"] * 9 + [None], "b": ["p"] * 5 + ["q"] * 5})
    assert found.sets[0].columns == ("a",)
    assert found.sets[0].unique_rows == 1


def test_identifiers_keys_and_long_texts_are_no_candidates(written: Any, engine: Engine) -> None:
    data = {
        "id": [1, 1, 2, 2],
        "key": [1, 2, 3, 4],
        "note": ["word " * 30, "word " * 30, "other " * 30, "x"],
        "same": ["s"] * 4,
        "sex": ["F", "F", "F", "M"],
    }
    assert search(written, engine, data, id="id", note="text").candidates == ("sex",)


def test_given_quasi_identifiers_are_the_candidates(written: Any, engine: Engine) -> None:
    assert search(written, engine, PATIENTS, quasi=("zip", "sex")).candidates == ("zip", "sex")


def test_the_cap_on_candidates_keeps_those_with_most_values_and_is_stated(
    written: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CANDIDATES", 2)
    found = search(written, engine, {"two": [1, 1, 2, 2] * 2, "three": [1, 2, 3, 3] * 2, "four": [1, 2, 3, 4] * 2})
    assert found.candidates == ("three", "four")
    assert (
        found.note
        == "Sets of up to 2 of 2 columns were looked at. 1 columns with fewer distinct values were not combined."
    )


def test_a_hundred_quasi_identifiers_are_cut_to_what_can_be_searched(written: Any, engine: Engine) -> None:
    data = {f"q{i:03}": [j % (2 + i // 10) for j in range(60)] for i in range(100)}
    found = search(written, engine, data, quasi=tuple(data))
    assert found.candidates == tuple(f"q{i:03}" for i in (80, 81, *range(90, 100)))
    assert found.note.startswith(
        "Sets of up to 3 of 12 columns were looked at. 88 columns with fewer distinct values were not combined."
    )


def test_very_long_tables_combine_fewer_columns(written: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_CELLS", 50)
    monkeypatch.setattr(module, "FEWEST_CANDIDATES", 3)
    found = search(written, engine, {name: [j % (3 + i) for j in range(10)] for i, name in enumerate("abcdefghij")})
    assert found.candidates == ("c", "d", "e", "f", "g")


def test_no_candidate_means_no_search(written: Any, engine: Engine) -> None:
    assert profile_table(*written({"same": ["x", "x"]}), engine).uniqueness is None


def test_large_tables_are_estimated_without_bias(written: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    data = {"a": rng.integers(0, 200, 20_000), "b": rng.integers(0, 200, 20_000)}
    exact = search(written, engine, data)
    monkeypatch.setattr(module, "SAMPLED_ROWS", 2_500)
    estimated = search(written, engine, data)
    assert (exact.estimated, estimated.estimated) == (False, True)
    assert exact.sets[0].unique_fraction == pytest.approx(0.607, abs=0.01)  # exp(-1/2): Poisson with mean 1/2
    assert estimated.sets[0].unique_fraction == pytest.approx(0.607, abs=0.06)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=4, max_size=20))
def test_the_search_agrees_with_plain_python(written: Any, engine: Engine, rows: list[tuple[int, ...]]) -> None:
    found = profile_table(
        *written({name: [r[i] for r in rows] for i, name in enumerate("abc")}, a="category"), engine
    ).uniqueness
    for level in found.strongest if found else ():
        places = ["abc".index(c) for c in level.columns]
        alone = sum(n == 1 for n in Counter(tuple(r[p] for p in places) for r in rows).values())
        assert level.unique_rows == alone


# --- Adult -----------------------------------------------------------------------------------------------------------


@pytest.mark.shared_data
def test_adult_has_the_k_l_and_t_that_pycanon_reports(shared_data: Path, written: Any, engine: Engine) -> None:
    table = pa_csv.read_csv(shared_data / "adult" / "train.csv")
    quasi = ["age", "sex", "race", "education", "marital-status", "native-country"]
    found = anonymity(*written(table), quasi, ["income"], engine)
    assert (found.k, found.unique_rows, found.rows_below_5) == (1, 5_594, 10_138)
    assert found.sensitive[0].l_diversity == 1
    assert found.sensitive[0].t_closeness == pytest.approx(0.759, abs=5e-4)
