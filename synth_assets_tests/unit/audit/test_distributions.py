"""The way from counts to pictures: no small cell, no extreme and no rare name in what a reader sees, whatever the counts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from synth_assets.audit.pictures.distributions import (
    HOLDOUT_CELLS,
    MOST_NAMES,
    BoxCounts,
    ColumnCounts,
    Distributions,
    PairCounts,
    SideCounts,
    merge,
    step_of,
)
from synth_assets.audit.pictures.public import STEP, ColumnShares, Matrix, PairShades, Pictures
from synth_assets.audit.records import SMALLEST_CELL
from synth_assets.errors import ReleaseRefusedError

CANARY = "a-rare-disease-nobody-else-has"
counts = st.one_of(st.integers(0, 30), st.integers(0, 3000))


def side(rows, persons=None, missing=0) -> SideCounts:
    return SideCounts(rows=tuple(rows), persons=tuple(persons or rows), missing=missing, missing_persons=missing)


def numbers(real, synthetic=None, holdout=None, persons=None) -> ColumnCounts:
    sides = {"real": side(real, persons), "synthetic": side(synthetic or real)}
    sides |= {"holdout": side(holdout)} if holdout else {}
    edges = tuple(float(10 * i) for i in range(1, len(real)))
    return ColumnCounts(table="t", column="x", kind="number", edges=edges, sides=sides)


def names(real, synthetic=None, holdout=None, labels=None) -> ColumnCounts:
    """The last count is that of all others."""
    sides = {"real": side(real), "synthetic": side(synthetic or real)}
    sides |= {"holdout": side(holdout)} if holdout else {}
    labels = labels or [f"name {i}" for i in range(len(real) - 1)]
    return ColumnCounts(table="t", column="c", kind="category", names=tuple(labels), sides=sides)


def shown(column: ColumnCounts) -> ColumnShares | None:
    found = Distributions(columns=(column,)).public().columns
    return found[0] if found else None


@st.composite
def columns(draw):
    size = draw(st.integers(1, 25))
    rows = {s: draw(st.lists(counts, min_size=size, max_size=size)) for s in ("real", "holdout", "synthetic")}
    persons = {s: [draw(st.integers(min(n, 1), n)) for n in r] for s, r in rows.items()}
    kind = draw(st.sampled_from(["number", "category"]))
    return ColumnCounts(
        table="t", column="x", kind=kind,
        edges=tuple(float(i) for i in range(1, size)) if kind == "number" else (),
        names=tuple(f"n{i}" for i in range(size - 1)) if kind == "category" else (),
        sides={s: side(rows[s], persons[s], draw(counts)) for s in rows},
    )  # fmt: skip


def cells_behind(column: ColumnCounts, public: ColumnShares) -> list[tuple[int, ...]]:
    """Which counts each public cell speaks of, from its edges and names alone."""
    if column.kind == "number":
        bounds = [0, *(column.edges.index(e) + 1 for e in public.edges), len(column.edges) + 1]
        return [tuple(range(a, b)) for a, b in itertools.pairwise(bounds)]
    told = [(column.names.index(n),) if n is not None else () for n in public.names]
    rest = set(range(len(column.names) + 1)) - {c for group in told for c in group}
    return [group or tuple(sorted(rest)) for group in told]


@given(columns())
def test_every_cell_of_real_rows_that_is_shown_holds_eleven_rows_and_persons(column):
    public = shown(column)
    if public is None:
        return
    for drawn in set(public.shares) - {"synthetic"}:
        total = sum(column.sides[drawn].rows)
        for cells, share in zip(cells_behind(column, public), public.shares[drawn], strict=True):
            rows = sum(column.sides[drawn].rows[c] for c in cells)
            persons = max(column.sides[drawn].persons[c] for c in cells)
            empty_rest = column.kind == "category" and public.names[-1] is None and rows == 0 and share == 0
            assert empty_rest or (rows >= SMALLEST_CELL and persons >= SMALLEST_CELL and rows >= STEP * total)
            assert abs(share - rows / total) <= step_of(total) / 2 + 1e-9
            assert step_of(total) * total >= SMALLEST_CELL


@given(columns())
def test_no_cell_is_left_out_so_that_no_total_gives_one_back(column):
    public = shown(column)
    if public is not None:
        behind = sorted(c for group in cells_behind(column, public) for c in group)
        assert behind == list(range(len(column.sides["real"].rows)))


@given(columns())
def test_missing_values_are_told_only_where_neither_they_nor_the_others_are_few(column):
    public = shown(column)
    if public is None:
        return
    for drawn, share in public.missing.items():
        missing, present = column.sides[drawn].missing, sum(column.sides[drawn].rows)
        assert share is None or missing == 0 or (missing >= SMALLEST_CELL and present >= SMALLEST_CELL)


@given(columns())
def test_a_small_synthetic_cell_has_no_share(column):
    public = shown(column)
    if public is None:
        return
    for cells, share in zip(cells_behind(column, public), public.shares["synthetic"], strict=True):
        assert (share is None) == (sum(column.sides["synthetic"].rows[c] for c in cells) < SMALLEST_CELL)


@given(st.lists(st.lists(counts, min_size=4, max_size=4), min_size=4, max_size=4))
def test_no_small_cell_of_a_pair_has_a_shade(table):
    flat = tuple(n for row in table for n in row)
    first = numbers([sum(row) + 500 for row in table]).model_copy(update={"column": "a"})
    second = numbers([sum(row[i] for row in table) + 500 for i in range(4)]).model_copy(update={"column": "b"})
    pair = PairCounts(table="t", first="a", second="b", rows=dict.fromkeys(("real", "synthetic"), flat),
                      persons=dict.fromkeys(("real", "synthetic"), flat))  # fmt: skip
    (drawn,) = Distributions(columns=(first, second), pairs=(pair,)).public().pairs
    for row, shades in zip(table, drawn.shades["real"], strict=True):
        assert [s > 0 for s in shades] == [n >= SMALLEST_CELL for n in row]


def test_a_cell_of_many_rows_of_few_persons_is_merged():
    assert merge(numbers([100, 100, 100], persons=[100, 10, 100])) == ((0,), (1, 2))
    assert merge(numbers([100, 100], persons=[3, 4])) == ()


def test_the_outer_cells_are_open_and_swallow_the_extremes():
    public = shown(numbers([1, 0, 3, 400, 400, 2, 1]))
    assert public.edges == (40.0,)  # below 40, 40 or more: nothing tells where the extremes lie
    assert public.shares["real"] == (0.5, 0.5)


def test_a_rare_name_joins_all_others_and_takes_the_smallest_with_it():
    public = shown(names([500, 300, 20, 4, 0], labels=["a", "b", "c", CANARY]))
    assert public.names == ("a", "b", None)
    assert (
        CANARY
        not in Distributions(columns=(names([500, 20, 4, 0], labels=["a", "b", CANARY]),)).public().model_dump_json()
    )


@given(columns())
def test_a_name_is_shown_only_where_the_synthetic_table_has_it_too(column):
    public = shown(column)
    if public is not None and column.kind == "category":
        told = [column.names.index(n) for n in public.names if n is not None]
        assert all(column.sides["synthetic"].rows[c] >= SMALLEST_CELL for c in told)


def test_at_most_twelve_names_are_shown_and_long_ones_are_cut():
    public = shown(names([100] * 30 + [0], labels=[f"{i:02d}" + "x" * 80 for i in range(30)]))
    assert len(public.names) == MOST_NAMES + 1
    assert all(len(n) <= 40 for n in public.names if n)


def test_a_column_without_two_cells_to_show_is_named_and_not_drawn():
    public = Distributions(columns=(numbers([5, 3, 2]), names([10, 0]))).public()
    assert public.columns == ()
    assert set(public.not_drawn) == {"t.x", "t.c"}


def test_a_small_hold_out_is_not_drawn_and_does_not_spoil_the_others():
    few = [SMALLEST_CELL * HOLDOUT_CELLS // 2 - 1, SMALLEST_CELL * HOLDOUT_CELLS // 2]
    assert set(shown(numbers([500, 500], holdout=few)).shares) == {"real", "synthetic"}
    assert set(shown(numbers([500, 500], holdout=[200, 200])).shares) == {"real", "synthetic", "holdout"}


def test_quantiles_need_eleven_persons_beyond_and_lie_on_the_grid():
    column = numbers([500, 500])

    def box(persons: int):
        quantiles = dict.fromkeys(("real", "synthetic"), (1.234, 2.345, 3.456, 4.567, 99.99))
        found = BoxCounts(
            table="t", column="x", group=None, persons=dict.fromkeys(quantiles, persons), quantiles=quantiles
        )
        return Distributions(columns=(column,), boxes=(found,)).public().boxes

    assert box(220)[0].quantiles["real"] == (1.0, 2.0, 3.0, 5.0, 100.0)
    assert box(219)[0].quantiles["real"] == (None, 2.0, 3.0, 5.0, None)
    assert box(43) == ()


def test_a_box_of_a_value_that_is_not_shown_is_left_out():
    outcome = names([500, 300, 4, 0], labels=["a", "b", CANARY])
    quantiles = dict.fromkeys(("real", "synthetic"), (1.0, 2.0, 3.0, 4.0, 5.0))
    boxes = tuple(
        BoxCounts(table="t", column="x", group=g, persons=dict.fromkeys(quantiles, 400), quantiles=quantiles)
        for g in ("a", "b", CANARY)
    )
    found = Distributions(columns=(numbers([500, 500]), outcome), boxes=boxes, outcome="t.c").public()
    assert [b.group for b in found.boxes] == ["a"]  # b has joined the rest, to hide the rare one
    assert CANARY not in found.model_dump_json()


def test_a_matrix_of_few_rows_is_not_public():
    values = ((1.0, 0.1234), (0.1234, 1.0))
    full = Matrix(table="t", columns=("a", "b"), real=values, synthetic=values, rows=109)
    assert full.public() is None
    assert full.model_copy(update={"rows": 110}).public().real == ((1.0, 0.12), (0.12, 1.0))


SHARES = {"table": "t", "column": "x", "kind": "number", "edges": (1.0,)}


@pytest.mark.parametrize(
    "parts",
    [
        {"columns": [{**SHARES, "shares": {"real": (0.503, 0.497), "synthetic": (0.5, 0.5)}}]},
        {"columns": [{**SHARES, "shares": {"real": (1.0, 0.0), "synthetic": (0.5, 0.5)}}]},
        {"columns": [{**SHARES, "shares": {"real": (1.0, None), "synthetic": (0.5, 0.5)}}]},
        {"columns": [{**SHARES, "shares": {"real": (0.5, 0.5), "synthetic": (0.5, 0.5)}, "missing": {"real": 0.0012}}]},
        {"pairs": [PairShades(table="t", first="a", second="b", shades={"real": ((31337,),)})]},
        {"matrices": [{"table": "t", "columns": ("a",), "real": ((0.123,),), "synthetic": ((1.0,),), "rows": None}]},
        {"matrices": [{"table": "t", "columns": ("a",), "real": ((1.0,),), "synthetic": ((1.0,),), "rows": 31337}]},
    ],
)  # fmt: skip
def test_figures_finer_than_a_public_form_are_refused(parts):
    with pytest.raises(ReleaseRefusedError, match="finer than a public form"):
        Pictures.model_validate(parts)


def test_counts_do_not_pass_for_pictures():
    with pytest.raises(ValidationError):
        Pictures.model_validate(Distributions(columns=(numbers([500, 500]),)).model_dump())


def test_a_step_of_a_share_holds_eleven_rows_at_least():
    assert [step_of(n) for n in (10_000, 2_200, 2_199, 1_100, 1_099, 400)] == [0.005, 0.005, 0.01, 0.01, 0.02, 0.04]


def test_a_few_people_more_do_not_show_in_a_small_table():
    def shares(of_one: int) -> tuple[float | None, ...]:
        side = SideCounts(rows=(of_one, 200, 0), persons=(of_one, 200, 0))
        made = ColumnCounts(
            table="t", column="c", kind="category", names=("a", "b"), sides={"real": side, "synthetic": side}
        )
        return Distributions(columns=(made,)).public().columns[0].shares["real"]

    assert shares(206) == shares(209)
