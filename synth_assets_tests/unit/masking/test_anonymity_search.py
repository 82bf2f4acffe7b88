"""The searches over counts: steps of columns, the best recoding against all recodings, balanced cuts, distances by hand."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from synth_assets.config.anonymity import AnonymityConfig, HierarchyConfig, TableAnonymity
from synth_assets.masking.anonymity import lattice, mondrian
from synth_assets.masking.anonymity.bases import Base, Spread, coarser, first_base, nice
from synth_assets.masking.anonymity.counts import Counts, Sensitive
from synth_assets.masking.anonymity.criteria import Criteria, distance
from synth_assets.masking.anonymity.enforce import solve
from synth_assets.masking.anonymity.hierarchy import Hierarchy, build
from synth_assets.masking.anonymity.labels import number_text, set_text
from synth_assets.masking.anonymity.records import AnonymityDemand
from synth_assets.masking.anonymity.solution import of_classes, of_levels
from synth_assets.tables.schema import ColumnKind, ColumnSchema


def column(name: str, dtype: str = "string", kind: ColumnKind = ColumnKind.CATEGORY) -> ColumnSchema:
    return ColumnSchema(name=name, kind=kind, dtype=dtype)


NUMBER = Base(column("x", "int64", ColumnKind.NUMBER), "number")
REAL = Base(column("x", "double", ColumnKind.NUMBER), "number")
DAY = Base(column("x", "date32[day]", ColumnKind.DATE), "date")
CATEGORY = Base(column("x"), "category")
PREFIX = Base(column("x"), "prefix", "prefix", 5)


def steps(base: Base, values: Sequence[Any], *, said: HierarchyConfig | None = None, missing: int = 0) -> Hierarchy:
    numbers = [v for v in values if isinstance(v, int | float)]
    spread = Spread(len(values), missing, min(numbers, default=None), max(numbers, default=None))
    return build(base, values, [1] * len(values), missing, spread, said)


def counted(rows: Sequence[tuple[Any, ...]], bases: Sequence[Base], ill: Sequence[int] = ()) -> Counts:
    """Counts of rows, as the engine would give them."""
    distinct = sorted(set(rows), key=lambda r: tuple((v is None, v) for v in r))
    number = [distinct.index(r) for r in rows]
    hierarchies, codes = [], []
    for j, base in enumerate(bases):
        cells = [r[j] for r in rows]
        values = sorted({v for v in cells if v is not None})
        spread = Spread(
            len(values),
            cells.count(None),
            *((min(values), max(values)) if base.kind == "number" and values else (None, None)),
        )
        made = build(base, values, [cells.count(v) for v in values], cells.count(None), spread, None)
        place = {v: i for i, v in enumerate(made.values)} | {None: made.missing}
        hierarchies.append(made)
        codes.append([place[r[j]] for r in distinct])
    sensitive = ()
    if ill:
        pairs = sorted(set(zip(number, ill, strict=True)))
        times = [list(zip(number, ill, strict=True)).count(p) for p in pairs]
        arrays = (np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs]), np.array(times))
        sensitive = (Sensitive("ill", False, *arrays, max(ill) + 1),)
    return Counts(
        tuple(hierarchies), np.array(codes, np.int64).T.reshape(len(distinct), len(bases)),
        np.bincount(number, minlength=len(distinct)).astype(np.int64), None, sensitive, None,
    )  # fmt: skip


def test_numbers_go_up_in_bins_of_twice_the_width() -> None:
    made = steps(NUMBER, list(range(17, 91)))
    names = [{step.names[g] for g in step.groups[:-1].tolist()} for step in made.steps]
    assert "37" in names[0]
    assert "[35, 40)" in names[1]
    assert "[30, 40)" in names[2]
    assert "[20, 40)" in names[3]
    assert names[-1] == {None}
    at = made.values.index(37)
    assert [float(step.penalty[at]) for step in made.steps[:3]] == pytest.approx([0, 4 / 73, 9 / 73])


def test_a_bin_is_no_wider_than_the_domain() -> None:
    made = steps(REAL, [0.0, 1.0, 2.5], said=HierarchyConfig(widths=(2, 4)))
    assert [made.steps[1].names[g] for g in made.steps[1].groups[:3].tolist()] == ["[0, 2)", "[0, 2)", "[2, 4)"]
    assert made.steps[1].penalty[:3] == pytest.approx([0.8, 0.8, 0.2])


def test_dates_go_up_by_month_year_and_decade() -> None:
    made = steps(DAY, [date(1980, 5, 17), date(1980, 5, 20), date(1980, 9, 1), date(1984, 1, 1), date(1991, 3, 3)])
    assert [step.names[int(step.groups[0])] for step in made.steps] == ["1980-05-17", "1980-05", "1980", "1980s", None]


def test_prefixes_lose_a_letter_per_step() -> None:
    made = steps(PREFIX, ["02138", "02139", "02200", "90210"])
    assert [step.names[int(step.groups[0])] for step in made.steps] == ["02138", "0213*", "02***", None]
    assert made.steps[1].penalty[:4] == pytest.approx([1 / 3, 1 / 3, 0, 0])


def test_rare_categories_merge_first() -> None:
    made = build(CATEGORY, ["A", "B", "C", "D"], [500, 490, 5, 5], 0, Spread(4), None)
    assert [step.names[int(step.groups[made.values.index("D")])] for step in made.steps] == ["D", "{C, D}", None]


def test_missing_values_have_a_group_of_their_own_below_the_top() -> None:
    made = steps(NUMBER, [1, 2, 3, 4], missing=2)
    for step in made.steps[:-1]:
        assert step.groups[made.missing] not in step.groups[: made.missing]
    assert made.steps[-1].groups.tolist() == [0] * 5


def test_a_column_of_one_value_has_no_step_but_itself() -> None:
    assert len(steps(NUMBER, [7]).steps) == 1
    assert steps(NUMBER, [7]).mean_penalty(0) == 0


def test_a_column_without_values_has_the_empty_step_alone() -> None:
    assert [s.names for s in steps(CATEGORY, [], missing=3).steps] == [(None,)]


def test_widths_are_one_two_or_five_times_a_power_of_ten() -> None:
    assert [nice(x) for x in (0.03, 1, 1.01, 3, 51, 0)] == [0.05, 1, 2, 5, 100, 1]


def test_columns_of_too_many_values_start_coarser_and_can_go_on() -> None:
    start = first_base(NUMBER.column, "none", Spread(1_000_000, 0, 0.0, 1e6), declared=False)
    assert (start.grain, start.width) == ("bin", 1000)
    assert coarser(start, Spread(1_000_000, 0, 0.0, 1e6), ()).width == 4000
    assert coarser(start, Spread(1_000_000, 0, 0.0, 900.0), ()).grain == "nothing"
    days = first_base(DAY.column, "birth_date", Spread(40_000), declared=False)
    grains = [days.grain]
    while grains[-1] != "nothing":
        days = coarser(days, Spread(40_000), ())
        grains.append(days.grain)
    assert grains == ["month", "year", "decade", "nothing"]
    assert coarser(Base(column("z"), "prefix", "prefix", 1), Spread(9), ()).grain == "nothing"
    few = coarser(CATEGORY, Spread(9), tuple("abcdefgh"))
    assert few.keep == tuple("abcdefg")
    assert coarser(coarser(few, Spread(9), few.keep), Spread(9), ()).grain == "nothing"


def test_what_a_coarser_base_does_not_tell_is_lost() -> None:
    kept = Base(column("x"), "category", "frequent", keep=("a", "b"))
    made = build(kept, ["a", "b"], [50, 40], 10, Spread(12, 4), None)
    assert made.steps[0].penalty.tolist() == [0, 0, 0.6]  # six of ten cells without a value had one
    nothing = build(Base(column("x"), "category", "nothing"), [], [], 20, Spread(12, 5), None)
    assert nothing.mean_penalty(0) == 0.75
    short = build(Base(column("x"), "prefix", "prefix", 3), ["021", "902"], [9, 9], 0, Spread(11), None)
    assert [short.steps[0].names[g] for g in (0, 1)] == ["021**", "902**"]
    assert short.steps[0].penalty[:2] == pytest.approx([0.45, 0.45])


def test_texts_of_numbers_and_sets() -> None:
    assert [number_text(x) for x in (3.0, 2.5, -1.0, 1e20)] == ["3", "2.5", "-1", "1e+20"]
    assert set_text(["b", "a"]) == "{a, b}"
    assert set_text([f"value {i:02d}" for i in range(20)]).endswith("10 more}")


def brute_force(counts: Counts, criteria: Criteria) -> float:
    """Least loss over all recodings of all rows, blanking whole classes below k, with blanked rows a class themselves."""
    best, total = np.inf, int(counts.rows.sum())
    for levels in itertools.product(*(range(len(h.steps)) for h in counts.hierarchies)):
        group, classes = lattice.grouped(counts, levels)
        ok = criteria.accepted(group, classes)
        blank = ~ok[group]
        if counts.rows[blank].sum() > criteria.rule.suppression * total:
            continue
        if blank.any() and not criteria.accepted(np.where(blank, 0, -1), 1)[0]:
            continue  # these may take other classes along; the search may only do better
        cells = [
            h.steps[x].penalty[counts.codes[:, j]]
            for j, (h, x) in enumerate(zip(counts.hierarchies, levels, strict=True))
        ]
        loss = sum(float(np.where(blank, 1.0, c) @ counts.rows) for c in cells) / total / len(levels)
        best = min(best, loss)
    return best


ROWS = st.lists(
    st.tuples(st.none() | st.integers(0, 30), st.sampled_from("abcd"), st.sampled_from(["02138", "02139", "90210"])),
    min_size=1, max_size=60,
)  # fmt: skip
BASES = (NUMBER, CATEGORY, PREFIX)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.integers(2, 9), st.sampled_from([0.0, 0.1, 0.3]))
def test_the_search_in_the_lattice_finds_the_least_loss_of_all(rows: list[Any], k: int, suppression: float) -> None:
    counts = counted(rows, BASES)
    criteria = Criteria(AnonymityConfig(k=k, suppression=suppression), counts)
    found, least = lattice.search(counts, criteria), brute_force(counts, criteria)
    assert found.exact
    assert (found.levels is None) == (len(rows) < k)
    if found.levels is not None:
        assert found.loss <= least + 1e-9
        solution = of_levels(counts, found.group, found.levels)
        assert solution.loss(counts) == pytest.approx(found.loss)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.integers(2, 9), st.sampled_from([None, 2]), st.data())
def test_classes_reach_what_is_asked_for_or_there_are_none(
    rows: list[Any], k: int, diverse: int | None, data: Any
) -> None:
    ill = data.draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows)))
    counts = counted(rows, BASES, ill)
    rule = AnonymityConfig(k=k, l_diversity=diverse)
    found = mondrian.cut(counts, Criteria(rule, counts))
    possible = len(rows) >= k and len(set(ill)) >= (diverse or 1)
    assert (found.group is not None) == possible
    if found.group is not None:
        classes = int(found.group.max()) + 1
        assert Criteria(rule, counts).accepted(found.group, classes).all()
        assert 0 <= of_classes(counts, found.group).loss(counts) <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(1, 9)), min_size=1, max_size=40))
def test_a_cut_is_the_most_balanced_one_of_its_class(entries: list[tuple[int, int, int]]) -> None:
    owners = sorted({o for o, _, _ in entries})
    entries = [(owners.index(o), v, n) for o, v, n in entries]
    usable = {o for o in range(len(owners)) if len({v for p, v, _ in entries if p == o}) > 1}
    entries = [(o, v, n) for o, v, n in entries if o in usable]
    if not entries:
        return
    of, value, rows = (np.array(x, np.int64) for x in zip(*entries, strict=True))
    right = mondrian.balanced(of, value, rows)
    for owner in usable:
        mine = of == owner
        total = rows[mine].sum()
        smaller = [min(left := rows[mine & (value <= c)].sum(), total - left) for c in sorted(set(value[mine]))]
        left = rows[mine & (right == 0)].sum()
        assert min(left, total - left) == max(smaller)
        assert value[mine & (right == 0)].max() < value[mine & (right == 1)].min()


def test_too_many_recodings_are_climbed_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lattice, "MAX_NODES", 3)
    rows = [(i % 9, "ab"[i % 2], "02138") for i in range(60)]
    counts = counted(rows, BASES)
    found = lattice.search(counts, Criteria(AnonymityConfig(k=5, suppression=0), counts))
    assert not found.exact
    assert found.levels is not None
    assert np.bincount(found.group, weights=counts.rows).min() >= 5
    monkeypatch.undo()
    assert lattice.search(counts, Criteria(AnonymityConfig(k=5, suppression=0), counts)).loss <= found.loss


def test_of_two_methods_that_lose_the_same_the_one_for_all_rows_wins() -> None:
    counts = counted([(1, "a", "02138")] * 20, BASES)
    best, tried = solve(counts, AnonymityDemand(quasi=("x",), rule=AnonymityConfig(k=3)))
    assert best is not None
    assert best.method == "full_domain"
    assert [t.loss for t in tried] == [0, 0]


def test_discernibility_counts_squares_and_blanked_rows_as_the_table() -> None:
    counts = counted([("a",)] * 3 + [("b",)] * 2, [CATEGORY])
    solution = of_levels(counts, np.array([0, -1]), [0])
    assert solution.discernibility(counts) == 9 + 2 * 5
    assert solution.loss(counts) == pytest.approx(2 / 5)


def test_ordered_distance_of_the_papers_example() -> None:
    whole = np.full(9, 1 / 9)  # salaries 3k ... 11k, Li, Li, Venkatasubramanian 2007, section 4.1
    low, spread = np.zeros(9), np.zeros(9)
    low[[0, 1, 2]] = 1 / 3
    spread[[3, 5, 8]] = 1 / 3
    assert distance(np.stack([low, spread]), whole, ordered=True) == pytest.approx([0.375, 1 / 6], abs=1e-3)


def test_equal_distance_is_half_the_sum_of_differences() -> None:
    assert distance(np.array([[1.0, 0.0, 0.0]]), np.array([0.5, 0.3, 0.2]), ordered=False) == pytest.approx([0.5])


@pytest.mark.parametrize(
    "settings_",
    [{"k": 1}, {"l_diversity": 2.5}, {"t_closeness": 0}, {"suppression": 1}, {"k": 5, "typo": 1}],
)
def test_a_rule_out_of_range_is_refused(settings_: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AnonymityConfig(**settings_)


@pytest.mark.parametrize(
    "hierarchy",
    [
        {},
        {"widths": (5, 12)},
        {"widths": (0,)},
        {"levels": ({"a": ("x",), "b": ("x",)},)},
        {"widths": (5,), "levels": ({"a": ("x",)},)},
    ],
)
def test_a_hierarchy_that_is_none_is_refused(hierarchy: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HierarchyConfig(**hierarchy)


def test_a_table_wins_over_the_policy_key_by_key() -> None:
    said = TableAnonymity(k=5, quasi_identifiers=("a",))
    assert said.over(AnonymityConfig(k=20, l_diversity=3)) == AnonymityConfig(k=5, l_diversity=3)
    assert said.over(None) == AnonymityConfig(k=5)
    with pytest.raises(ValidationError, match="at once"):
        TableAnonymity(quasi_identifiers=("a",), sensitive=("a",))
