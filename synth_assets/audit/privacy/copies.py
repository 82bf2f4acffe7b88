"""Exact and near copies: does the synthetic table hold rows of real people, more often than rows of people it never saw?

Counted over whole tables, on hashes. A copy harms the person it is of, however few there are: besides the upper bound of their rate,
the level goes by its lower bound, the share of people who are shown to be copied beyond coincidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

from synth_assets.audit.findings import capital, number, share, verdict
from synth_assets.audit.intervals import Pair, mover, newcombe, shown_difference, wilson
from synth_assets.audit.prepare import UNIT_COLUMN, Array, Floats, Integers, Part, Prepared, Tables, comparable
from synth_assets.audit.privacy.neighbours import Encoder
from synth_assets.audit.records import Finding, worst_level
from synth_assets.config.thresholds import AuditLevels, Level
from synth_assets.seeds import child_seed
from synth_assets.tables.schema import ColumnSchema

_SEPARATOR, _MISSING = "\x1f", "\x00"
CELLS = 50  # a number that moved stays in its fiftieth of the column, on one of some shifted scales
SHIFTS = 8
LEAST_COLUMNS = 3
_ODD = np.uint64(0x9E3779B97F4A7C15)
Flags = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Hashed:
    """A hash of every row of a table, and whose row it is.

    Args:
        hashes: Shape (rows,); equal rows have equal hashes.
        units: Shape (rows,): a number per unit of privacy; without units every row is one.
    """

    hashes: Integers
    units: Integers


def row_hashes(tables: Tables, table: ir.Table, columns: Sequence[ColumnSchema]) -> Hashed:
    """A 64-bit hash of every row over the compared columns, made inside the engine."""
    texts: list[Any] = [comparable(table, column).cast("string").coalesce(_MISSING) for column in columns]
    row = texts[0]
    for text in texts[1:]:
        row = row + _SEPARATOR + text
    has_units = UNIT_COLUMN in table.columns
    unit: Any = {"unit": table[UNIT_COLUMN].cast("string").hash()} if has_units else {}
    fetched = tables.fetch(table.select(value=row.hash(), **unit))
    hashes = np.asarray(fetched["value"].to_numpy(), dtype=np.int64)
    units = np.asarray(fetched["unit"].to_numpy(), dtype=np.int64) if has_units else np.arange(len(hashes))
    return Hashed(hashes, units)


@dataclass(frozen=True)
class Exposed:
    """People of whom the synthetic table holds a row, among those it was made from and among others.

    Args:
        members: Exposed units of the training table.
        of_members: Units of the training table.
        others: Exposed units of the held-out table.
        of_others: Units of the held-out table.
    """

    members: int
    of_members: int
    others: int
    of_others: int

    @property
    def rates(self) -> Pair:
        """Share of the training units, share of the held-out units."""
        return self.members / self.of_members, self.others / self.of_others

    @property
    def excess(self) -> float:
        """The first share less the second."""
        return self.rates[0] - self.rates[1]

    @property
    def interval(self) -> Pair:
        """95 % interval of the excess (Newcombe)."""
        return newcombe((self.members, self.of_members), (self.others, self.of_others))

    @property
    def shown(self) -> float:
        """The lower bound of the excess; 0 where it could be coincidence (one in a thousand, Fisher's exact test)."""
        return shown_difference((self.members, self.of_members), (self.others, self.of_others))


def exposed(train: Integers, hit_train: Flags, holdout: Integers, hit_holdout: Flags) -> Exposed:
    """Count units with at least one row that was hit.

    Args:
        train: Units of the training rows.
        hit_train: Which training rows the synthetic table holds.
        holdout: Units of the held-out rows.
        hit_holdout: Which held-out rows it holds.
    """
    return Exposed(
        len(np.unique(train[hit_train])),
        len(np.unique(train)),
        len(np.unique(holdout[hit_holdout])),
        len(np.unique(holdout)),
    )


@dataclass(frozen=True)
class Copies:
    """Synthetic rows that equal a real one.

    Args:
        rows: Synthetic rows.
        train: Synthetic rows that equal a training row.
        only_train: Those that equal a training row and no row of the control table.
        only_control: Those that equal a row of the control table and no training row.
        scale: Training people per replaced one of the control table.
        people: The same, counted over real people; None without a control.
        held_out: Rows of the held-out table.
    """

    rows: int
    train: int
    only_train: int = 0
    only_control: int = 0
    scale: float = 1.0
    people: Exposed | None = None
    held_out: int | None = None

    @property
    def share(self) -> float:
        """Share of the synthetic rows that equal a training row."""
        return self.train / self.rows

    @property
    def excess(self) -> float:
        """How far that share lies above what unseen rows would give."""
        return float(np.clip(self.scale * (self.only_train - self.only_control) / self.rows, -1, 1))

    @property
    def excess_interval(self) -> Pair:
        """95 % interval of the excess."""
        first, second = self.only_train / self.rows, self.only_control / self.rows
        low, high = mover(first, wilson(self.only_train, self.rows), second, wilson(self.only_control, self.rows))
        bounds = np.clip([self.scale * low, self.scale * high], -1, 1)
        return float(bounds[0]), float(bounds[1])


def count_copies(synthetic: Integers, train: Hashed, holdout: Hashed | None, seed: int) -> Copies:
    """Count exact copies from row hashes, with the control of singling out: held-out people in the place of training people.

    Args:
        synthetic: Hashes of the synthetic rows.
        train: The training rows.
        holdout: The held-out rows; without them there is no control.
        seed: Seed of the replaced rows.
    """
    copied = np.isin(synthetic, train.hashes)
    if holdout is None:
        return Copies(len(synthetic), int(copied.sum()))
    rng = np.random.default_rng(child_seed(seed, "copies"))
    people, others = np.unique(train.units), np.unique(holdout.units)
    replaced = min(len(people), len(others))
    kept = np.isin(train.units, rng.permutation(people)[replaced:])
    added = np.isin(holdout.units, rng.permutation(others)[:replaced])
    control = np.isin(synthetic, np.concatenate([train.hashes[kept], holdout.hashes[added]]))
    hits = np.isin(train.hashes, synthetic), np.isin(holdout.hashes, synthetic)
    return Copies(
        len(synthetic),
        int(copied.sum()),
        int((copied & ~control).sum()),
        int((control & ~copied).sum()),
        len(people) / replaced,
        exposed(train.units, hits[0], holdout.units, hits[1]),
        len(holdout.hashes),
    )


def copied_level(upper: float, people: Exposed, levels: AuditLevels) -> Level:
    """The worse of two levels: what cannot be excluded (upper bound), and who is shown to be copied (lower bound).

    Args:
        upper: Upper bound of a rate above its control.
        people: People who are copied.
        levels: Cut-offs.
    """
    return worst_level((levels.disclosure.level(upper), levels.copied.level(people.shown))) or "low"


def copies_finding(copies: Copies, levels: AuditLevels) -> Finding:
    """The share of exact copies; decides only with a control."""
    people = copies.people
    if people is None:
        text = (
            f"{capital(share(copies.share))} of the synthetic rows equal a real row. Without held-out rows nobody can say how many "
            "would by chance, so no level is drawn from it."
        )
        return Finding(
            metric="exact_copies",
            message=text,
            risk_level="low",
            value=copies.share,
            interval=wilson(copies.train, copies.rows),
            sample_size=copies.rows,
            decides=False,
        )
    interval = copies.excess_interval
    level = copied_level(interval[1], people, levels)
    text = f"{_people_words('an exact copy', people)} {_told(interval[1], people, level, levels)}"
    return Finding(
        metric="exact_copies",
        message=text,
        risk_level=level,
        value=copies.share,
        interval=wilson(copies.train, copies.rows),
        baseline=max(copies.share - copies.excess, 0.0),
        excess=copies.excess,
        excess_interval=interval,
        sample_size=copies.rows,
        control_size=copies.held_out,
        details={"synthetic_rows": copies.rows, "copies": copies.train, **_people_details(people)},
    )


def _people_words(what: str, people: Exposed) -> str:
    first, second = (share(rate) for rate in people.rates)
    return f"{capital(first)} of the people in the training table have {what} among the synthetic rows; of unseen people {second}."


def _told(upper: float, people: Exposed, level: Level, levels: AuditLevels) -> str:
    """Why the level is what it is: people who are shown to be copied, or what the upper bound cannot exclude."""
    if level != "low" and levels.copied.level(people.shown) == level:
        return f"Chance does not explain the difference: {level} risk."
    return f"Beyond chance it is at most {number(max(upper, 0.0))}: {verdict(level, levels.disclosure)}."


def _people_details(people: Exposed) -> Mapping[str, float | int]:
    low, high = people.interval
    return {
        "people": people.of_members,
        "people_copied": people.members,
        "unseen_people": people.of_others,
        "unseen_people_copied": people.others,
        "people_excess": people.excess,
        "people_excess_low": low,
        "people_excess_high": high,
        "people_shown": people.shown,
    }


def near_copies_findings(
    prepared: Prepared, parts: tuple[Part, Part, Part], levels: AuditLevels, seed: int
) -> list[Finding]:
    """Near copies: rows that differ in one column at most, and rows whose numbers moved a little; one finding each.

    A synthetic row counts only where it points at one real person and nobody else, over training and held-out rows together; so
    profiles that many people share do not drown the rest, and neither side is favoured.

    Args:
        prepared: The prepared tables, with three columns or more.
        parts: Synthetic, training and held-out rows.
        levels: Cut-offs.
        seed: Seed of the shifted scales.
    """
    units = _units(*parts[1:])
    found = [_near_finding("one_column", exposed_by(_leaving_one_out(prepared, parts), units), levels)]
    if any(prepared.numeric(name) for name in prepared.names):
        rng = np.random.default_rng(child_seed(seed, "shifted scales"))
        found.append(_near_finding("moved_numbers", exposed_by(_moved(prepared, parts, rng), units), levels))
    return found


def exposed_by(keys: Any, units: tuple[Integers, Integers]) -> Exposed:
    """People to whom at least one kind of key leads.

    Args:
        keys: Per kind of key: the keys of the synthetic, training and held-out rows.
        units: Units of the training and of the held-out rows; no number is on both sides.
    """
    hits = np.zeros(len(units[0]), dtype=np.bool_), np.zeros(len(units[1]), dtype=np.bool_)
    owners = np.concatenate(units)
    for synthetic, train, holdout in keys:
        real = np.concatenate([train, holdout])
        hit = np.isin(real, synthetic) & _of_one_owner(real, owners)
        np.logical_or(hits[0], hit[: len(train)], out=hits[0])
        np.logical_or(hits[1], hit[len(train) :], out=hits[1])
    return exposed(units[0], hits[0], units[1], hits[1])


def _of_one_owner(keys: Keys, owners: Integers) -> Flags:
    """Which rows have a key that no row of another owner has."""
    order = np.argsort(keys, kind="stable")
    ordered, whose = keys[order], owners[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    alone = np.minimum.reduceat(whose, starts) == np.maximum.reduceat(whose, starts)
    flags = np.empty(len(keys), dtype=np.bool_)
    flags[order] = np.repeat(alone, np.diff(np.append(starts, len(keys))))
    return flags


def _units(train: Part, holdout: Part) -> tuple[Integers, Integers]:
    """Units of both sides as numbers; without units every row is one."""
    if train.units is None or holdout.units is None:
        return np.arange(train.held), train.held + np.arange(holdout.held)
    _, numbers = np.unique(np.concatenate([train.units, holdout.units]), return_inverse=True)
    return numbers[: train.held], numbers[train.held :]


def _mixed(values: Keys) -> Keys:
    """Well mixed bits (splitmix64)."""
    mixed = values + _ODD
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


def _cell_keys(values: Array, column: int) -> Keys:
    """One key per cell of a column; equal values have equal keys."""
    if values.dtype.kind == "f":
        plain: Floats = np.where(np.isnan(values), np.nan, values + 0.0)  # one NaN, one zero
        values = plain.view(np.int64)
    return _mixed(values.astype(np.int64).view(np.uint64) ^ _mixed(np.full(1, column, dtype=np.uint64)))


def _leaving_one_out(prepared: Prepared, parts: tuple[Part, Part, Part]) -> Any:
    """Per column: keys of all rows over the other columns."""
    cells = [[_cell_keys(part.values[n], i) for i, n in enumerate(prepared.names)] for part in parts]
    totals = [sum(columns[1:], start=columns[0]) for columns in cells]
    for i in range(len(prepared.names)):
        yield tuple(total - columns[i] for total, columns in zip(totals, cells, strict=True))


def _moved(prepared: Prepared, parts: tuple[Part, Part, Part], rng: np.random.Generator) -> Any:
    """Per shifted scale: keys of all rows, where numbers count by their cell on that scale."""
    encoder = Encoder(prepared)
    fixed: list[Keys] = [np.zeros(part.held, dtype=np.uint64) for part in parts]
    ranks: list[list[tuple[int, Floats]]] = [[], [], []]
    for i, name in enumerate(prepared.names):
        for side, part in enumerate(parts):
            if prepared.numeric(name):
                ranks[side].append((i, encoder.column(name, part.values[name]).astype(np.float64)))
            else:
                fixed[side] = fixed[side] + _cell_keys(part.values[name], i)
    for _ in range(SHIFTS):
        shifts = rng.random(len(prepared.names))
        yield tuple(
            sum((_cell_keys(np.floor(r * CELLS + shifts[i]), i) for i, r in columns), start=base)
            for base, columns in zip(fixed, ranks, strict=True)
        )


_KINDS = {
    "one_column": "a copy with one column changed at most",
    "moved_numbers": f"a copy with every number within a {CELLS}th of its column",
}


def _near_finding(kind: str, people: Exposed, levels: AuditLevels) -> Finding:
    interval = people.interval
    level = copied_level(interval[1], people, levels)
    text = f"{_people_words(_KINDS[kind], people)} {_told(interval[1], people, level, levels)}"
    return Finding(
        metric=f"near_copies.{kind}",
        message=text,
        risk_level=level,
        value=people.rates[0],
        interval=wilson(people.members, people.of_members),
        baseline=people.rates[1],
        excess=people.excess,
        excess_interval=interval,
        sample_size=people.of_members,
        control_size=people.of_others,
        details=_people_details(people),
    )
