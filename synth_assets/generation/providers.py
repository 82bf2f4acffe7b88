"""One function per type of column: from its configuration and its rows to values.

What belongs here: the link between a column's keys and the modules that draw. What does not: order and seeds (chunks.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from synth_assets.config import generation as spec
from synth_assets.errors import ConfigError
from synth_assets.generation import clinical, codes, lists, names, places, spreads, text
from synth_assets.generation.formulas import numbers
from synth_assets.generation.numbering import free_codes, permute, row_numbers, unique_codes
from synth_assets.generation.plan import is_unique, sex_column
from synth_assets.generation.values import Coded, Ints, Values, fixed_width, joined, take, to_text

if TYPE_CHECKING:
    from synth_assets.generation.chunks import Rows

Parameter: TypeAlias = Callable[[str], npt.NDArray[np.float64] | None]
_INT_LIMIT = 2.0**62


def make(column: spec.Column, rows: Rows) -> Values:
    """The values of one column in one chunk, shape (n,), no missing cell.

    Raises:
        ConfigError: a formula gives something that does not fit.
        InputError: more different values are asked for than there are.
    """
    maker: Callable[[Any, Rows], Values] = _MAKERS[type(column)]
    return maker(column, rows)


def make_handles(rows: Rows) -> Values:
    """The user names of a table's rows, from which e-mail, user name and page are made."""
    columns = rows.plan.schema.tables[rows.table].columns.values()
    unique = any(c.type in {"email", "username", "url"} and is_unique(c) for c in columns)
    seed = rows.column_seed() if unique else None
    first, last = rows.value("@first"), rows.value("@last")
    return names.handles(rows.generator(), first, last, row=rows.first, total=rows.total, seed=seed, column=rows.table)


def _sequence(column: spec.SequenceColumn, rows: Rows) -> Values:
    running = np.arange(rows.n, dtype=np.int64) + rows.first + column.start
    if not column.prefix and not column.width:
        return running
    if not column.width or (rows.n and int(running[-1]) >= 10**column.width):
        return joined([column.prefix, to_text(running)])
    if not column.prefix.isascii():
        return joined([column.prefix, fixed_width(rows.n, [(running, column.width)])])
    return fixed_width(rows.n, [p for p in (column.prefix, (running, column.width)) if p])


def _uuid(_: spec.UuidColumn, rows: Rows) -> Values:
    return codes.uuids(rows.generator(), rows.n)


def _pattern(column: spec.PatternColumn, rows: Rows) -> Values:
    form = codes.pattern_form(column.pattern)
    if column.unique:
        drawn = unique_codes(rows.first, rows.n, form.capacity, rows.column_seed(), space="schema", column=rows.name)
    else:
        drawn = free_codes(rows.generator(), rows.n, form.capacity, space="schema")
    return form.build(drawn)


def _code(column: spec.CodeColumn, rows: Rows) -> Values:
    form = codes.FORMS[column.type]
    if column.pool is not None:
        return take(_pool(column, rows, form), spreads.zipf(rows.generator(), rows.n, column.pool, 0.5))
    if column.unique:
        return form.build(
            unique_codes(rows.first, rows.n, form.capacity, rows.column_seed(), space="schema", column=rows.name)
        )
    return form.build(free_codes(rows.generator(), rows.n, form.capacity, space="schema"))


def _pool(column: spec.CodeColumn, rows: Rows, form: codes.CodeForm) -> pa.Array:
    pools, size = rows.run.key_pools, column.pool or 1
    if rows.node not in pools:
        drawn = unique_codes(0, size, form.capacity, rows.column_seed("pool"), space="schema", column=rows.name)
        pools[rows.node] = form.build(drawn)
    return pools[rows.node]


def _person(column: spec.PersonColumn, rows: Rows) -> Values:
    if column.type == "first_name":
        sex = sex_column(rows.plan, rows.table, column)
        sexes = names.sex_codes(rows.value(sex)) if sex else None
        return names.draw_first_names(rows.generator(), rows.n, sexes)
    if column.type == "last_name":
        return names.draw_last_names(rows.generator(), rows.n)
    if column.type == "full_name":
        return names.full_names(rows.value("@first"), rows.value("@last"))
    handles = rows.value("@handle")
    if column.type == "email":
        return names.emails(rows.generator(), handles)
    return names.urls(handles) if column.type == "url" else handles


def _place(column: spec.PlaceColumn, rows: Rows) -> Values:
    cities: Ints = np.asarray(rows.value("@city"))
    seed = rows.column_seed() if column.unique else None
    if column.type == "city":
        return places.city_names(cities)
    if column.type == "state":
        return places.state_codes(cities)
    if column.type == "zip":
        return places.zips(rows.generator(), cities)
    if column.type == "street_address":
        return places.streets(rows.generator(), rows.n, first=rows.first, seed=seed, column=rows.name)
    return places.phones(rows.generator(), cities, first=rows.first, total=rows.total, seed=seed, column=rows.name)


def _work(column: spec.WorkColumn, rows: Rows) -> Values:
    if column.type == "job":
        return Coded(spreads.weighted(rows.generator(), rows.n, lists.weights("jobs")), lists.jobs())
    return Coded(rows.generator().integers(0, len(lists.companies()), rows.n), lists.companies())


def _number(column: spec.NumberColumn | spec.AmountColumn, rows: Rows) -> Values:
    drawn = spreads.draw(column, rows.parameters(column, rows.key), rows.generator(), rows.n, key=rows.key)
    return _rounded(drawn, column.decimals, rows.key)


def _rounded(values: npt.NDArray[Any], decimals: int, key: str) -> npt.NDArray[Any]:
    if decimals:
        return np.round(values, decimals) + 0.0  # no minus zero
    whole = np.round(values)
    if whole.size and not (np.abs(whole) < _INT_LIMIT).all():
        raise ConfigError("a whole number is too large, or is none.", key=key, remedy="Give bounds, or `decimals`.")
    return whole.astype(np.int64)


def _boolean(column: spec.BooleanColumn, rows: Rows) -> Values:
    share = rows.number(column.probability, f"{rows.key}.probability")
    if ((share < 0) | (share > 1)).any():
        raise ConfigError("the probability is not from 0 to 1 in some row.", key=f"{rows.key}.probability")
    return rows.generator().random(rows.n) < share


def _days(column: spec.DateColumn | spec.DatetimeColumn, rows: Rows) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """First day, and number of days to the last one, per row."""
    ends = []
    for name, bound in (("start", column.start), ("end", column.end)):
        value = (
            rows.evaluate(bound, f"{rows.key}.{name}")
            if isinstance(bound, str | float)
            else np.full(rows.n, np.datetime64(bound, "D"))
        )
        if not isinstance(value, np.ndarray) or value.dtype.kind != "M":
            raise ConfigError("this must be a day (2024-01-31), or a formula that gives one.", key=f"{rows.key}.{name}")
        ends.append(value.astype("datetime64[D]"))
    length = (ends[1] - ends[0]).astype(np.int64)
    if (length < 0).any():
        raise ConfigError("`end` is before `start` in some row.", key=rows.key)
    return ends[0], length


def _date(column: spec.DateColumn, rows: Rows) -> Values:
    start, length = _days(column, rows)
    return start + np.floor(rows.generator().random(rows.n) * (length + 1)).astype("timedelta64[D]")


def _datetime(column: spec.DatetimeColumn, rows: Rows) -> Values:
    start, length = _days(column, rows)
    seconds = np.floor(rows.generator().random(rows.n) * (length + 1) * 86_400).astype("timedelta64[s]")
    return start.astype("datetime64[s]") + seconds


def _enum(column: spec.EnumColumn, rows: Rows) -> Values:
    choices = column.choices()
    key = f"{rows.key}.{'values' if column.weights is None else 'weights'}"
    if all(isinstance(w, float) for w in choices.values()):
        chosen = spreads.weighted(rows.generator(), rows.n, np.array(list(choices.values())))
    else:
        matrix = np.stack([rows.number(w, key) for w in choices.values()], axis=1)
        if (matrix < 0).any() or not matrix.any(axis=1).all():
            raise ConfigError("weights are negative, or all 0, in some row.", key=key)
        chosen = spreads.weighted_rows(rows.generator(), matrix)
    if all(isinstance(v, int) for v in choices):
        return np.array(list(choices), dtype=np.int64)[chosen]
    return Coded(chosen, tuple(str(v) for v in choices))


def _text(_: spec.TextColumn, rows: Rows) -> Values:
    templates, slots = rows.plan.texts[rows.node]
    shown = {name for t in templates for name in t.columns}
    filled = {slot: to_text(rows.shown(column)) for slot, column in slots.items() if slot in shown}

    def holds(condition: str | float) -> npt.NDArray[np.bool_]:
        value = numbers(
            condition,
            lambda slot: rows.value(slots[slot]),
            rows.n,
            today=rows.plan.schema.today,
            key=f"{rows.key}.templates",
        )
        return np.asarray(value != 0)

    return text.render(rows.generator(), rows.n, templates, filled, holds)


def _diagnosis(column: spec.DiagnosisColumn, rows: Rows) -> Values:
    age = rows.number(column.age, f"{rows.key}.age") if column.age else None
    sex = names.sex_codes(rows.value(column.sex)) if column.sex else None
    return clinical.draw_diagnoses(rows.generator(), rows.n, age=age, sex=sex, kind=_coded(rows, column.kind, "kind"))


def _procedure(column: spec.ProcedureColumn, rows: Rows) -> Values:
    return clinical.draw_procedures(rows.generator(), rows.n, _coded(rows, column.setting, "setting"))


def _coded(rows: Rows, name: str | None, where: str) -> Coded | None:
    if name is None:
        return None
    values = rows.value(name)
    if not isinstance(values, Coded):
        raise ConfigError(
            "this must be a column of type enum, or a formula that gives one of a few texts.", key=f"{rows.key}.{where}"
        )
    return values


def _lookup(column: spec.LookupColumn, rows: Rows) -> Values:
    node = rows.plan.resolve(rows.table, column.code, rows.key)
    values = cast("Coded", rows.value(column.code))  # the plan lets code columns only through, and they are coded
    return clinical.look_up(values, rows.plan.column(node).type, column.field)


def _formula(column: spec.FormulaColumn, rows: Rows) -> Values:
    values = rows.evaluate(column.formula, f"{rows.key}.formula")
    if not isinstance(values, np.ndarray):
        return values
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ConfigError(
            "this formula divides by zero, or takes a root or logarithm of a negative number.",
            key=f"{rows.key}.formula",
        )
    if column.decimals is not None and values.dtype.kind in "fi":
        return _rounded(values, column.decimals, f"{rows.key}.formula")
    return values.astype(np.int64) if values.dtype.kind in "iu" else np.ascontiguousarray(values)


def _rollup(column: spec.RollupColumn, rows: Rows) -> Values:
    parents, values = rows.children(column.table, column.column)
    counts = np.bincount(parents, minlength=rows.n)
    if values is None:
        return counts.astype(np.int64)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise ConfigError("this must be a column of numbers.", key=f"{rows.key}.column")
    if column.function in {"sum", "mean"}:
        total = np.bincount(parents, weights=values.astype(np.float64), minlength=rows.n)
        out = total if column.function == "sum" else total / np.maximum(counts, 1)
    else:
        join = np.minimum if column.function == "min" else np.maximum
        starts = np.cumsum(counts) - counts
        out = np.zeros(rows.n)
        some = counts > 0
        out[some] = join.reduceat(values.astype(np.float64), starts[some]) if some.any() else 0.0
    return (
        np.round(out).astype(np.int64) if values.dtype.kind in "biu" and column.function != "mean" else np.round(out, 6)
    )


def _foreign_key(column: spec.ForeignKeyColumn, rows: Rows) -> Values:
    parent, name = column.references.split(".")
    if parent in rows.plan.ancestors(rows.table):
        return rows.value(column.references)
    pool = rows.run.pools[(parent, name)]
    if not len(pool) and rows.n:
        raise ConfigError(f"table {parent!r} has no rows to refer to.", key=f"{rows.key}.references")
    generator = rows.generator()
    if column.distribution == "uniform":
        return pool.take(pa.array(generator.integers(0, max(1, len(pool)), rows.n)))
    ranks = spreads.zipf(generator, rows.n, len(pool), 1.1)
    shuffled = permute(row_numbers(0, len(pool)), max(1, len(pool)), rows.column_seed())
    return pool.take(pa.array(shuffled[ranks].astype(np.int64)))


_MAKERS: dict[type[Any], Callable[[Any, Any], Values]] = {
    spec.SequenceColumn: _sequence,
    spec.UuidColumn: _uuid,
    spec.PatternColumn: _pattern,
    spec.CodeColumn: _code,
    spec.PersonColumn: _person,
    spec.PlaceColumn: _place,
    spec.WorkColumn: _work,
    spec.NumberColumn: _number,
    spec.AmountColumn: _number,
    spec.BooleanColumn: _boolean,
    spec.DateColumn: _date,
    spec.DatetimeColumn: _datetime,
    spec.EnumColumn: _enum,
    spec.TextColumn: _text,
    spec.DiagnosisColumn: _diagnosis,
    spec.ProcedureColumn: _procedure,
    spec.LookupColumn: _lookup,
    spec.FormulaColumn: _formula,
    spec.RollupColumn: _rollup,
    spec.ForeignKeyColumn: _foreign_key,
}
