"""Public cells and the private read: NumPy and engine agree, bounds per unit hold, nothing is read without a reservation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synth_assets.errors import BudgetExceededError, ConfigError
from synth_assets.tables.cells import (
    ColumnDomain,
    TableDomain,
    category_cells,
    date_cells,
    datetime_cells,
    number_cells,
    scout_date_cells,
    scout_number_cells,
)
from synth_assets.tables.engine import Engine, Session
from synth_assets.tables.engine_marginals import EngineMarginals
from synth_assets.tables.engine_rows import Context, FanOut, ParquetTable
from synth_assets.tables.marginals import FrameMarginals, FrameTable, encode, roundness


def open_gate() -> None:
    """A reservation is open."""


@pytest.fixture
def session() -> Iterator[Session]:
    with Engine(threads=1).session() as opened:
        yield opened


def stored(table: pa.Table, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "part-00000.parquet")
    return folder


def both(
    table: pa.Table, domain: TableDomain, folder: Path, session: Session
) -> tuple[FrameMarginals, EngineMarginals]:
    columns = [c for c in table.column_names if c in {d.name for d in domain.columns}]
    engine = ParquetTable(session, stored(table, folder), columns=columns, gate=open_gate)
    return FrameTable(table, gate=open_gate).marginals(domain), engine.marginals(domain)


# cells


@pytest.mark.parametrize(
    "column",
    [
        category_cells("c", "string", ("a", "b")),
        category_cells("c", "string", (), is_open=True),
        number_cells("c", "int64", 0, 5),
        date_cells("c", date(2020, 1, 1), date(2020, 1, 2)),
        scout_number_cells("c", "double"),
        scout_date_cells("c", "date", "date32[day]"),
    ],
)
def test_every_column_has_a_cell_for_missing_values(column: ColumnDomain) -> None:
    assert column.missing_cell == column.value_cells
    assert column.size == column.value_cells + 1 + column.open


def test_a_narrow_integer_column_has_one_cell_per_value() -> None:
    assert number_cells("c", "int64", 17, 20).edges == (17, 18, 19, 20, 21)


def test_a_wide_column_has_cells_of_its_own_for_zero_and_both_bounds() -> None:
    edges = number_cells("c", "int64", -50_000, 123_456).edges
    for value in (-50_000, 0, 123_456):
        at = edges.index(value)
        assert edges[at + 1] == value + 1


@given(low=st.integers(-(2**62), 2**62), high=st.integers(-(2**62), 2**62), dtype=st.sampled_from(["int64", "double"]))
@example(low=-1_100_000_000_000_000_000, high=-63_000_000_000_000_000, dtype="int64")
def test_edges_of_bounds_as_wide_as_noise_may_make_them_are_64_bit_numbers(low: int, high: int, dtype: str) -> None:
    low, high = sorted((low, high))
    column = number_cells("c", dtype, low, high)
    edges = np.array(column.edges)
    assert edges.dtype == np.int64
    assert (np.diff(edges) > 0).all()
    assert edges[0] <= low * 10**column.decimals
    assert edges[-1] > high * 10**column.decimals


@given(low=st.integers(-(10**12), 10**12), span=st.integers(0, 10**12), dtype=st.sampled_from(["int64", "double"]))
def test_edges_ascend_from_the_lower_bound_to_one_past_the_upper(low: int, span: int, dtype: str) -> None:
    column = number_cells("c", dtype, low, low + span)
    scale = 10**column.decimals
    assert column.edges[0] == low * scale
    assert column.edges[-1] == (low + span) * scale + 1
    assert list(column.edges) == sorted(set(column.edges))
    assert column.value_cells <= 600


def test_categories_are_spelled_as_their_type_spells_them() -> None:
    assert category_cells("c", "int64", ("1", "2.0")).categories == ("1", "2")
    assert category_cells("c", "double", ("1", "2.50")).categories == ("1.0", "2.5")
    assert category_cells("c", "bool", ("False", "TRUE")).categories == ("false", "true")


@pytest.mark.parametrize(
    "make",
    [
        lambda: category_cells("c", "int64", ("x",)),
        lambda: category_cells("c", "string", ("a", "a")),
        lambda: category_cells("c", "string", tuple(str(i) for i in range(60_001))),
        lambda: number_cells("c", "int64", 2, 1),
        lambda: number_cells("c", "double", 0, float("inf")),
        lambda: number_cells("c", "double", 0, 1e19),
        lambda: date_cells("c", date(2021, 1, 1), date(2020, 1, 1)),
    ],
)
def test_a_domain_that_contradicts_itself_is_refused_by_column(make: Callable[[], ColumnDomain]) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.column == "c"


def test_calendar_cells_are_the_finest_that_are_few_enough() -> None:
    assert date_cells("c", date(2013, 1, 1), date(2013, 12, 31)).value_cells == 365
    assert date_cells("c", date(2000, 1, 1), date(2024, 12, 31)).value_cells == 25 * 12
    assert date_cells("c", date(1920, 1, 1), date(2024, 12, 31)).value_cells in range(105, 421)
    assert datetime_cells("c", date(2020, 1, 1), date(2020, 1, 2)).value_cells == 48


# counts by hand


def test_counts_match_a_hand_count() -> None:
    table = pa.table({"g": ["a", "b", "a", None, "z"], "x": pa.array([1, 2, 3, 2, None], pa.int64())})
    domain = TableDomain(columns=(category_cells("g", "string", ("a", "b")), number_cells("x", "int64", 1, 2)))
    source = FrameTable(table, gate=open_gate).marginals(domain)
    total, g, x, both_ = source.counts([(), ("g",), ("x",), ("g", "x")])
    assert total == 5
    assert g.tolist() == [2, 1, 2]  # a, b, missing: the null and the value outside the declared list
    assert x.tolist() == [1, 3, 1]  # 1, 2 (3 is moved to the upper bound), missing
    assert both_.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 1]]


def test_an_open_column_tells_other_values_from_missing_ones() -> None:
    column = category_cells("g", "string", ("a",), is_open=True)
    assert encode(column, pa.table({"g": ["a", "x", None]})).tolist() == [0, 2, 1]


def test_roundness_counts_the_largest_step_that_divides() -> None:
    column = number_cells("x", "int64", 0, 100_000)
    assert column.steps == (1, 10, 100, 1000, 10_000)
    table = pa.table({"x": pa.array([7, 70, 700, 30_000, 0, 100_000, None], pa.int64())})
    source = FrameTable(table, gate=open_gate).marginals(TableDomain(columns=(column,)))
    assert source.counts([(roundness("x"),)])[0].tolist() == [1, 1, 1, 0, 1, 3]  # 0, the bound and missing say nothing


# the two forms agree


NEW_YEAR = datetime.fromisoformat("1969-12-30")  # naive, as in the canonical form


def random_table(seed: int, rows: int) -> pa.Table:
    rng = np.random.default_rng(seed)

    def some_missing(values: list[object]) -> list[object]:
        return [None if rng.random() < 0.1 else v for v in values]

    start = date(1965, 1, 1)
    return pa.table(
        {
            "whole": pa.array(some_missing(rng.integers(-5000, 2_000_000, rows).tolist()), pa.int64()),
            "part": pa.array(some_missing([*np.round(rng.normal(0, 1000, rows), 2).tolist()]), pa.float64()),
            'te"xt': pa.array(some_missing(rng.choice(["x", "y\"'", "ü", ""], rows).tolist()), pa.string()),
            "flag": pa.array(some_missing((rng.random(rows) < 0.3).tolist()), pa.bool_()),
            "code": pa.array(some_missing(rng.integers(0, 4, rows).tolist()), pa.int64()),
            "day": pa.array(
                some_missing([start + timedelta(days=int(d)) for d in rng.integers(0, 20_000, rows)]), pa.date32()
            ),
            "later": pa.array(
                some_missing([start + timedelta(days=int(d)) for d in rng.integers(0, 20_000, rows)]), pa.date32()
            ),
            "time": pa.array(
                some_missing([NEW_YEAR + timedelta(microseconds=int(m)) for m in rng.integers(0, 10**12, rows)]),
                pa.timestamp("us"),
            ),
        }
    )


DOMAIN = TableDomain(
    columns=(
        number_cells("whole", "int64", 0, 1_000_000),
        number_cells("part", "double", -1000, 1234.5),
        category_cells('te"xt', "string", ("", "x", "ü"), is_open=True),
        category_cells("flag", "bool", ("false", "true")),
        category_cells("code", "int64", ("0", "1", "3")),
        date_cells("day", date(1970, 1, 1), date(2000, 1, 1)),
        number_cells("later", "int64", 0, 5000).model_copy(
            update={"kind": "date", "dtype": "date32[day]", "minus": "day", "steps": ()}
        ),
        datetime_cells("time", date(1969, 12, 30), date(1970, 1, 20)),
    )
)


@settings(max_examples=8)
@given(seed=st.integers(0, 1000))
def test_numpy_and_engine_count_alike(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    table = random_table(seed, 400)
    cliques = [(), *((n,) for n in DOMAIN.names), *((roundness(c.name),) for c in DOMAIN.columns if c.steps)]
    cliques += [*itertools.combinations(DOMAIN.names, 2), tuple(DOMAIN.names[2:5])]
    bins = {"whole": np.arange(DOMAIN.column("whole").size) // 7, "code": np.array([0, 1, 1, 0])}
    with Engine(threads=1).session() as session:
        frame, engine = both(table, DOMAIN, tmp_path_factory.mktemp("t"), session)
        for joined in (None, bins):
            for a, b in zip(frame.counts(cliques, bins=joined), engine.counts(cliques, bins=joined), strict=True):
                assert a.dtype == b.dtype == np.int64
                assert a.sum() == table.num_rows
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("column", ["whole", "part", 'te"xt', "flag"])
def test_numpy_and_engine_find_the_same_frequencies(column: str, tmp_path: Path, session: Session) -> None:
    table = random_table(3, 300)
    dtype = {"whole": "int64", "part": "double", "flag": "bool"}.get(column, "string")
    engine = ParquetTable(session, stored(table, tmp_path), columns=[column], gate=open_gate)
    frame = FrameTable(table, gate=open_gate)
    texts, counts = frame.frequencies(column, dtype)
    assert texts == sorted(set(texts))
    assert counts.sum() == table.num_rows - table.column(column).null_count
    other = engine.frequencies(column, dtype)
    assert other[0] == texts
    np.testing.assert_array_equal(other[1], counts)


def test_not_a_number_counts_as_missing_in_both_forms(tmp_path: Path, session: Session) -> None:
    table = pa.table({"x": pa.array([float("nan"), float("inf"), -float("inf"), 1.0, None], pa.float64())})
    frame, engine = both(table, TableDomain(columns=(number_cells("x", "double", 0, 1),)), tmp_path, session)
    a, b = frame.counts([("x",)])[0], engine.counts([("x",)])[0]
    np.testing.assert_array_equal(a, b)
    assert a[-1] == 2


def test_an_empty_table_counts_to_zero(tmp_path: Path, session: Session) -> None:
    table = random_table(0, 1).slice(0, 0)
    for source in both(table, DOMAIN, tmp_path, session):
        assert [int(c.sum()) for c in source.counts([(), ("whole",)])] == [0, 0]


# the gate


def closed_gate() -> None:
    raise BudgetExceededError("no reservation is open.")


def test_the_engine_form_refuses_before_it_opens_a_file(tmp_path: Path, session: Session) -> None:
    source = ParquetTable(session, tmp_path / "there is no such folder", columns=["x"], gate=closed_gate)
    with pytest.raises(BudgetExceededError):
        source.frequencies("x", "string")
    with pytest.raises(BudgetExceededError):
        source.marginals(TableDomain(columns=(category_cells("x", "string", ("a",)),)))


def test_the_numpy_form_refuses_without_a_reservation() -> None:
    source = FrameTable(pa.table({"x": ["a"]}), gate=closed_gate)
    with pytest.raises(BudgetExceededError):
        source.frequencies("x", "string")
    with pytest.raises(BudgetExceededError):
        source.marginals(TableDomain(columns=(category_cells("x", "string", ("a",)),)))


def test_a_reservation_that_closes_later_stops_further_counts() -> None:
    state = {"open": True}

    def gate() -> None:
        if not state["open"]:
            closed_gate()

    source = FrameTable(pa.table({"x": ["a"]}), gate=gate).marginals(
        TableDomain(columns=(category_cells("x", "string", ("a",)),))
    )
    assert source.counts([()])[0] == 1
    state["open"] = False
    with pytest.raises(BudgetExceededError):
        source.counts([()])


# rows per unit of privacy


def units_table() -> pa.Table:
    rng = np.random.default_rng(1)
    unit = np.repeat([f"u{i}" for i in range(40)], rng.integers(1, 9, 40))
    return pa.table({"_unit": unit, "row": np.arange(len(unit)), "g": rng.choice(["a", "b", "c"], len(unit))})


G = TableDomain(columns=(category_cells("g", "string", ("a", "b", "c")),))


@pytest.mark.parametrize("most", [1, 3])
def test_at_most_so_many_rows_of_a_unit_are_counted(most: int, tmp_path: Path, session: Session) -> None:
    table = units_table()
    sizes = np.unique(np.array(table.column("_unit").to_pylist()), return_counts=True)[1]
    expected = int(np.minimum(sizes, most).sum())
    frame = FrameTable(table, gate=open_gate, unit_column="_unit", max_per_unit=most)
    engine = ParquetTable(
        session,
        stored(table, tmp_path),
        columns=["g"],
        gate=open_gate,
        unit_column="_unit",
        max_per_unit=most,
        identity=["row"],
    )
    for source in (frame, engine):
        assert source.max_per_unit == most
        assert source.marginals(G).counts([()])[0] == expected


@pytest.mark.parametrize("most", [1, 3])
def test_rows_for_training_are_the_counted_ones_with_their_units(most: int, tmp_path: Path, session: Session) -> None:
    table = units_table()
    source = ParquetTable(
        session, stored(table, tmp_path), columns=["g"], gate=open_gate, unit_column="_unit", max_per_unit=most, identity=["row"]
    )  # fmt: skip
    cells, units = source.rows(G)
    assert np.array_equal(np.bincount(cells[:, 0], minlength=4), source.marginals(G).counts([("g",)])[0])
    sizes = np.unique(np.array(table.column("_unit").to_pylist()), return_counts=True)[1]
    if most == 1:
        assert units is None
    else:
        assert units is not None
        assert np.all(np.diff(units) >= 0)
        assert sorted(np.bincount(units).tolist()) == sorted(np.minimum(sizes, most).tolist())


def test_rows_for_training_need_an_open_reservation(tmp_path: Path, session: Session) -> None:
    def closed() -> None:
        raise BudgetExceededError("no reservation is open")

    source = ParquetTable(session, tmp_path / "nowhere", columns=["g"], gate=closed)
    with pytest.raises(BudgetExceededError):
        source.rows(G)


def test_rows_for_training_are_encoded_like_rows_in_memory(tmp_path: Path, session: Session) -> None:
    table = pa.table({"g": ["a", None, "z", "c"], "x": pa.array([3, None, 900, -5], pa.int64())})
    domain = TableDomain(columns=(*G.columns, number_cells("x", "int64", 0, 10)))
    source = ParquetTable(session, stored(table, tmp_path), columns=["g", "x"], gate=open_gate)
    cells, units = source.rows(domain)
    assert units is None
    assert cells.tolist() == np.stack([encode(c, table) for c in domain.columns], axis=1).tolist()


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("unit", ["u0", "u7", "u39"])
def test_removing_one_unit_changes_a_table_of_counts_by_at_most_its_bound(
    most: int, unit: str, tmp_path: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda n: "00" * n)  # the same hash key for both neighbours
    table = units_table()
    without = table.filter(pa.compute.not_equal(table.column("_unit"), unit))
    counts = []
    for i, rows in enumerate((table, without)):
        source = ParquetTable(
            session,
            stored(rows, tmp_path / str(i)),
            columns=["g"],
            gate=open_gate,
            unit_column="_unit",
            max_per_unit=most,
            identity=["row"],
        )
        counts.append(source.marginals(G).counts([("g",)])[0])
        frame = FrameTable(rows, gate=open_gate, unit_column="_unit", max_per_unit=most)
        counts.append(frame.marginals(G).counts([("g",)])[0])
    for full, less in ((counts[0], counts[2]), (counts[1], counts[3])):
        assert 0 < np.abs(full - less).sum() <= most
        assert np.linalg.norm(full - less) <= most


# relations


def test_children_are_counted_per_parent_and_carry_its_columns(tmp_path: Path, session: Session) -> None:
    parents = pa.table({"id": [1, 2, 3], "_unit": ["u1", "u2", "u3"], "sex": ["F", "M", "F"]})
    children = pa.table(
        {
            "parent": pa.array([1, 1, 2, 9, None, 3], pa.int64()),
            "_unit": ["u1", "u1", "u2", "u8", "u9", "u1"],  # the last one names another unit's parent
            "kind": ["x", "y", "x", "x", "y", "x"],
        }
    )
    child = ParquetTable(
        session, stored(children, tmp_path / "c"), columns=["kind"], gate=open_gate, unit_column="_unit", max_per_unit=9
    )
    parent = ParquetTable(
        session, stored(parents, tmp_path / "p"), columns=["sex"], gate=open_gate, unit_column="_unit"
    )
    parent.count_children(FanOut("#c", child, ("parent",), ("id",)))
    child.join_parent(Context(parent, ("parent",), ("id",), {"^sex": "sex", "^#c": "#c"}))
    number = number_cells("#c", "int64", 0, 3)
    sex = category_cells("sex", "string", ("F", "M"))
    counted = parent.marginals(TableDomain(columns=(sex, number))).counts([("sex", "#c")])[0]
    assert counted[:2, :4].tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]  # F: 0 and 2 children, M: 1
    domain = TableDomain(
        columns=(
            category_cells("kind", "string", ("x", "y")),
            sex.model_copy(update={"name": "^sex"}),
            number.model_copy(update={"name": "^#c"}),
        )
    )
    kinds, siblings = child.marginals(domain).counts([("kind", "^sex"), ("^#c",)])
    assert kinds[:2].tolist() == [[1, 1, 2], [1, 0, 1]]  # no parent, or a parent of another unit: missing
    assert siblings.tolist() == [0, 1, 2, 0, 3]
