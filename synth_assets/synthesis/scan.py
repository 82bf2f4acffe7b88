"""The scan of what a DP release stores: every byte is accounted for by the plan, the public domain or a noisy number.

What belongs here: proofs from public facts and noisy tables; no row is needed, so the scan itself gives nothing away. What does not: a
search for known values (the tests do that). A finding names a file and a place, never what stands there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth_assets.errors import SynthAssetsError
from synth_assets.privacy.accounting import covers
from synth_assets.privacy.records import Record, ThresholdEvent
from synth_assets.privacy.report import PrivacyReport
from synth_assets.storage.rooms import temporary
from synth_assets.synthesis.charged import noisy_rows
from synth_assets.synthesis.domain import ColumnPlan, difference_cells, fan_out_cells, possible_notes
from synth_assets.synthesis.marginals.binning import block_of
from synth_assets.synthesis.marginals.measurements import ColumnCells, Measurements, read_arrays
from synth_assets.synthesis.marginals.model import MarginalModel
from synth_assets.synthesis.marginals.select_measure import BEFORE_BINS
from synth_assets.synthesis.marginals.target_model import TargetModel
from synth_assets.synthesis.release import ReleaseModel, load_release
from synth_assets.synthesis.release_measure import CONTEXT_BINS, ReleaseMeasurements, most_children, public_links
from synth_assets.synthesis.release_plan import ReleasePlan, TablePlan
from synth_assets.synthesis.sequence_plan import before_cells, position_cells
from synth_assets.tables.cells import ColumnDomain, date_cells, datetime_cells, day_of, number_cells

Save = Callable[[Path], None]


@dataclass(frozen=True)
class _Form:
    """The files of one table: their name, the keys of the record, and the stems of the arrays' names."""

    name: str
    keys: frozenset[str]
    arrays: frozenset[str]


MEASUREMENTS = _Form(
    "measurements",
    frozenset({"format_version", "columns", "target", "budget", "options", "pairs", "rows", "events"}),
    frozenset({"one", "block", "round", "group", "level", "target", "pair"}),
)
TARGET_ARRAYS = frozenset(
    {"target/share", "target/intercept", "target/leading", "target/effect", "target/pairs", "target/pair"}
)
MODEL = _Form(
    "model",
    frozenset({"format_version", "columns", "target", "rows"}),
    frozenset({"weights", "table", "group", "inside", "roundness", *TARGET_ARRAYS}),
)


def scan_measurements(
    folder: Path, plan: ReleasePlan, *, records: dict[str, type[Record]] | None = None
) -> tuple[str, ...]:
    """Prove that a folder of measurements holds the public domain, the plan and noisy integers of the planned shapes, and nothing else.

    Args:
        folder: What `ReleaseMeasurements.save` wrote.
        plan: The plan of the release.
        records: Further files in it, each the JSON of a record; the privacy report when None.

    Returns:
        What is wrong, in words without values; empty where the proof holds.
    """
    records = {"privacy.json": PrivacyReport} if records is None else records
    try:
        measured = ReleaseMeasurements.load(folder)
    except (SynthAssetsError, ValueError, KeyError, TypeError):
        return ("the folder cannot be read as measurements.",)
    wrong = _known(folder, MEASUREMENTS, len(plan.tables), {"events", "notes"}, frozenset(records))
    return (*wrong, *same_bytes(folder, measured.save, records), *_of_release(measured, plan))


def scan_model(folder: Path, measured: ReleaseMeasurements) -> tuple[str, ...]:
    """Prove that a folder of a model holds the cells of its measurements and tables of probabilities over them, and nothing else.

    Args:
        folder: What `ReleaseModel.save` wrote.
        measured: The measurements that it was fitted to, which passed `scan_measurements`.

    Returns:
        As of `scan_measurements`.
    """
    try:
        model: ReleaseModel = load_release(folder)
    except (SynthAssetsError, ValueError, KeyError, TypeError):
        return ("the folder cannot be read as a model.",)
    wrong = list(_known(folder, MODEL, len(measured.links.tables), set(), frozenset()))
    wrong += same_bytes(folder, model.save, {})
    if model.links != measured.links or not _same_context(model.context, measured.context):
        wrong.append("release.json: the relations are not those of the measurements.")
    for i, links in enumerate(measured.links.tables):
        name = links.table.name
        wrong += [f"table-{i:03d}: {w}" for w in _of_model(model.models[name], measured.tables[name])]
    return tuple(wrong)


def _known(folder: Path, form: _Form, tables: int, more: set[str], records: frozenset[str]) -> Iterator[str]:
    """Files, keys of records and names of arrays are those of the format; so is no constant that a faulty `save` adds each time."""
    keys = {"release.json": frozenset({"format_version", "links", *more})}
    arrays = {"context.safetensors": frozenset[str]()}
    for i in range(tables):
        keys[f"table-{i:03d}/{form.name}.json"] = form.keys
        arrays[f"table-{i:03d}/{form.name}.safetensors"] = form.arrays
    for file in sorted(p for p in folder.rglob("*") if not p.is_dir() or p.is_symlink()):
        name = file.relative_to(folder).as_posix()
        if name in keys and not file.is_symlink():
            if json.loads(file.read_text()).keys() != keys[name]:
                yield f"{name}: has keys that the format does not have."
        elif name in arrays and not file.is_symlink():
            stems = {n.rstrip("0123456789").rstrip("/") for n in read_arrays(file)}
            if not stems <= (arrays[name] or {""} | {str(i) for i in range(tables)}):
                yield f"{name}: has arrays that the format does not have."
        elif name not in records:
            yield "a file stands in the folder that the format does not have."


def same_bytes(folder: Path, save: Save, records: dict[str, type[Record]]) -> tuple[str, ...]:
    """Whether the typed content of a folder, written again, gives the same files: then no file has a key, an array or a byte more.

    For every model that is stored as safetensors and JSON: `save` is that of the object that was loaded from the folder.
    """
    wrong: list[str] = []
    with temporary() as again:
        save(again)
        expected = {p.relative_to(again).as_posix(): p for p in again.rglob("*") if p.is_file()}
        found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if not p.is_dir() or p.is_symlink()}
        for name in sorted(found.keys() | expected.keys() | records.keys()):
            if name in records:
                wrong += _same_record(found.get(name), records[name], name)
            elif name not in expected:
                wrong.append("a file stands in the folder that the model does not have.")
            elif name not in found or found[name].is_symlink():
                wrong.append(f"{name}: is missing, or no plain file.")
            elif found[name].read_bytes() != expected[name].read_bytes():
                wrong.append(f"{name}: holds more than the model has.")
    return tuple(wrong)


def _same_record(file: Path | None, kind: type[Record], name: str) -> Iterator[str]:
    if file is None:
        return
    text = file.read_text()
    try:
        same = kind.model_validate_json(text).model_dump_json(indent=1, exclude_unset=True) == text
    except ValueError:
        same = False
    if not same:
        yield f"{name}: holds more than its record has."


# measurements against the plan


def _of_release(measured: ReleaseMeasurements, plan: ReleasePlan) -> Iterator[str]:
    if measured.links != public_links(plan):
        yield "release.json: the relations are not those of the plan."
    if not covers(plan.events, measured.events, plan.delta):
        yield "release.json: more noisy steps than were planned."
    notes = {*plan.notes, *(f"Table {t.name}: {n}" for t in plan.tables for n in possible_notes(t.columns))}
    if not set(measured.notes) <= notes:
        yield "release.json: a note that the method does not write."
    for i, table in enumerate(plan.tables):
        found = measured.tables[table.name]
        for wrong in (*_of_cells(found, table, plan, measured), *_of_table(found, table, plan)):
            yield f"table-{i:03d}: {wrong}"


def _of_table(found: Measurements, table: TablePlan, plan: ReleasePlan) -> Iterator[str]:
    if found.budget != table.budget or found.options != plan.options:
        yield "the budget or the options are not those of the plan."
    if found.target not in {None, table.target}:
        yield "the target is not that of the plan."
    if not covers(table.budget.events(), found.events, plan.delta):
        yield "more noisy steps than were planned."
    if len(found.pairs) > table.budget.pairs:
        yield "more tables of pairs than were planned."
    if (found.rows is None) != bool(found.columns):
        yield "a number of rows that the method does not store."
    yield from _of_arrays(found, table)


def _of_cells(found: Measurements, table: TablePlan, plan: ReleasePlan, measured: ReleaseMeasurements) -> Iterator[str]:
    """Every column's cells come from the declarations, from noisy counts in a public grid, or from the parent."""
    names = [c.name for c in table.columns] + list(table.fan_outs) + list(table.given)
    if [c.name for c in found.columns] != names:
        yield "the columns are not those of the plan."
        return
    own = dict(zip(names, found.columns, strict=True))
    open_columns = 0
    for column in table.columns:
        open_columns += column.source == "categories"
        if not is_public(own[column.name], column):
            yield f"column {names.index(column.name)}: its cells are neither declared nor of a public grid."
    for name, child in table.fan_outs.items():
        if own[name] != _cells(fan_out_cells(name, most_children(plan, child))):
            yield f"column {names.index(name)}: its cells are not those of a number of children."
    for name, parent in table.context.items():
        owner = measured.tables[table.follows.parent_table] if table.follows else found
        if own[name] != owner.column(parent).model_copy(update={"name": name, "given": True}):
            yield f"column {names.index(name)}: its cells are not those of the parent's column."
    yield from _of_rows_before(own, table, names)
    charged = sum(e.count for e in table.budget.events() if isinstance(e, ThresholdEvent))
    if open_columns > charged:
        yield "categories were measured that no threshold was charged for."


def _of_rows_before(own: dict[str, ColumnCells], table: TablePlan, names: list[str]) -> Iterator[str]:
    """Columns of the row before have the cells of the own column, its number a public grid."""
    plan = table.sequence
    for name in plan.conditions if plan else ():
        if plan is not None and name == plan.position:
            expected = position_cells(name)
        elif plan is not None:
            expected = before_cells(plan, name, ColumnDomain(**own[plan.before[name]].model_dump(exclude={"given"})))
        if own[name] != _cells(expected).model_copy(update={"given": True}):
            yield f"column {names.index(name)}: its cells are not those of the row before."


def _cells(domain: object) -> ColumnCells:
    return ColumnCells.model_validate(domain, from_attributes=True)


def is_public(cells: ColumnCells, plan: ColumnPlan) -> bool:
    """Declared as it stands there; categories only where thresholds find them; bounds only from the public grid of their kind."""
    if plan.domain is not None:
        return cells == _cells(plan.domain)
    if (cells.name, cells.kind, cells.dtype, cells.minus) != (plan.name, plan.kind, plan.dtype, plan.minus):
        return False
    if plan.source == "categories":
        return cells == ColumnCells(
            name=plan.name, kind="category", dtype=plan.dtype, categories=cells.categories, open=True
        )  # fmt: skip
    return len(cells.edges) > 1 and cells == _grid(cells, plan)


def _grid(cells: ColumnCells, plan: ColumnPlan) -> ColumnCells | None:
    """The cells that the method makes between the bounds that these cells have."""
    low, high = cells.edges[0], cells.edges[-1] - 1
    scale = 10**cells.decimals
    if plan.minus is not None:
        return _cells(difference_cells(plan.name, plan.kind, plan.dtype, plan.minus, high / scale))
    if plan.kind == "number":
        if not (_is_round(low, scale, plan.lower) and _is_round(high, scale, plan.upper)):
            return None
        return _cells(number_cells(plan.name, plan.dtype, low / scale, high / scale))
    make = date_cells if plan.kind == "date" else datetime_cells
    return _cells(make(plan.name, day_of(low, plan.kind), day_of(high, plan.kind)))


def _is_round(units: int, scale: int, declared: float | str | None) -> bool:
    """A measured bound has at most two digits that are not 0, on a grid of whole units; a declared one is as it is."""
    if declared is not None and abs(units - float(declared) * scale) <= 1:
        return True
    return len(str(abs(units)).rstrip("0")) <= 3  # a third digit where rounding up met the end of the grid of units


def _of_arrays(found: Measurements, table: TablePlan) -> Iterator[str]:
    """Shapes are functions of the cells and the bins, numbers are whole."""
    bins = {c.name: int(found.groups[c.name].max(initial=0)) + 1 for c in found.columns if c.name in found.groups}
    target = bins.get(found.target, 1) if found.target else 1
    for i, column in enumerate(found.columns):
        name = column.name
        most = CONTEXT_BINS if name in table.context else BEFORE_BINS
        size = min(bins.get(name, 0), most) if column.given else column.size
        wide = (int(block_of(column, found.options)[-1]) + 1,) if column.is_wide else None
        forms = {
            "one": (found.ones.get(name), None if column.given else (column.size,)),
            "block": (found.blocks.get(name), wide),
            "round": (found.rounds.get(name), (len(column.steps) + 1,)),
            "group": (found.groups.get(name), (size,)),
        }
        for what, (array, shape) in forms.items():
            if array is not None and (array.dtype != np.int64 or array.shape != shape):
                yield f"{what}/{i}: not the shape of its cells."
        levels = found.levels.get(name)
        if levels is not None and (levels.shape[1:] != (bins.get(name),) or levels.max(initial=0) >= column.size):
            yield f"level/{i}: not the shape of its bins."
    if any(
        t.dtype != np.int64 or t.shape != (target, bins[f]) for t, f in zip(found.targets, found.features, strict=False)
    ):
        yield "target: not the shape of its bins."
    for i, pair in enumerate(found.pairs):
        sizes = [found.levels[found.features[c]][pair.level].max() + 1 for c in (pair.a, pair.b)]
        if pair.values.dtype != np.int64 or pair.values.shape != (target if pair.with_target else 1, *sizes):
            yield f"pair/{i}: not the shape of its bins."


# a model against its measurements


def _of_model(model: MarginalModel, measured: Measurements) -> Iterator[str]:
    if model.columns != measured.columns or model.target != measured.target:
        yield "the columns are not those of the measurements."
        return
    if model.rows != max(0, round(noisy_rows(measured))):
        yield "the number of rows is not the noisy one."
    components = len(model.weights)
    if components > max(2, measured.options.components):
        yield "more components than the method has."
    positions = {c.name: i for i, c in enumerate(measured.columns)}
    for name, i in positions.items():
        groups = measured.groups[name]
        bins = int(groups.max(initial=0)) + 1
        if name in model.group and not np.array_equal(model.group[name], groups):
            yield f"group/{i}: not the bins of the measurements."
        forms = {
            "table": (model.tables.get(name), (bins, components)),
            "inside": (model.inside.get(name), groups.shape),
            "roundness": (model.roundness.get(name), None),
        }
        for what, (array, shape) in forms.items():
            if array is not None and not _is_chance(array, shape):
                yield f"{what}/{i}: no probabilities over its cells."
    if not _is_chance(model.weights, (components,)):
        yield "weights: no probabilities."
    yield from _of_target(model.given_features, measured)


def _of_target(model: TargetModel | None, measured: Measurements) -> Iterator[str]:
    """Log odds over the bins of the measured tables, float32."""
    if model is None or measured.target is None:
        if model is not None or measured.target is not None:
            yield "target: a model of the target without a target, or none with one."
        return
    bins = [int(measured.groups[name].max(initial=0)) + 1 for name in measured.features]
    classes = int(measured.groups[measured.target].max(initial=0)) + 1
    if not _is_chance(model.share, (classes,)):
        yield "target/share: no probabilities."
    pairs = {(p.a, p.b) for p in measured.pairs if p.with_target}
    if {(q.a, q.b) for q in model.interactions} != pairs:
        yield "target/pair: not the pairs that were measured with the target."
        return
    if len(set(model.leading)) < len(model.leading) or not set(model.leading) <= set(range(len(bins))):
        yield "target/leading: no positions of features."
    forms: dict[str, tuple[np.ndarray, tuple[int, ...]]] = {"intercept": (model.intercept, (classes - 1,))}
    forms |= {f"effect/{i}": (e, (classes - 1, bins[i])) for i, e in enumerate(model.effects)}
    forms |= {f"pair/{i}": (q.values, (classes - 1, bins[q.a], bins[q.b])) for i, q in enumerate(model.interactions)}
    for what, (array, shape) in forms.items():
        if array.dtype != np.float32 or array.shape != shape or not np.isfinite(array).all():
            yield f"target/{what}: no log odds over its bins."


def _is_chance(array: np.ndarray, shape: tuple[int, ...] | None) -> bool:
    """Numbers between 0 and 1 in the shape that is due."""
    fits = shape is None or array.shape == shape
    return bool(fits and np.isfinite(array).all() and array.min(initial=0) >= 0 and array.max(initial=0) <= 1 + 1e-4)


def _same_context(one: dict[str, dict[str, np.ndarray]], other: dict[str, dict[str, np.ndarray]]) -> bool:
    return {t: {n: a.tolist() for n, a in c.items()} for t, c in one.items()} == {
        t: {n: a.tolist() for n, a in c.items()} for t, c in other.items()
    }
