"""The scan of a stored network: public cells, bins and shares over them, weights of the planned shapes, and nothing else.

What belongs here: the form of a network's folder. What does not: the forms of dp_marginals, and how bytes are compared (scan.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from synth_assets.errors import SynthAssetsError
from synth_assets.privacy.records import Record
from synth_assets.privacy.report import PrivacyReport
from synth_assets.synthesis.dpsgd.model import TrainedModel, load_trained
from synth_assets.synthesis.dpsgd.plan import TrainingPlan
from synth_assets.synthesis.release_measure import public_links
from synth_assets.synthesis.scan import is_public, same_bytes


def scan_trained(
    folder: Path, plan: TrainingPlan, *, records: dict[str, type[Record]] | None = None
) -> tuple[str, ...]:
    """Prove that a folder of a network holds what its plan and its noisy tables allow.

    Args:
        folder: What `TrainedModel.save` wrote.
        plan: The plan of the training.
        records: Further files in it, each the JSON of a record; the privacy report when None.

    Returns:
        What is wrong, in words without values; empty where the proof holds.
    """
    records = {"privacy.json": PrivacyReport} if records is None else records
    try:
        model = load_trained(folder, device="cpu")
    except (SynthAssetsError, ValueError, KeyError, TypeError, RuntimeError):
        return ("the folder cannot be read as a network.",)
    return (*_against_plan(model, plan), *same_bytes(folder, model.save, records))


def _against_plan(model: TrainedModel, plan: TrainingPlan) -> Iterator[str]:
    if model.links != public_links(plan.tables):
        yield "release.json: the table is not that of the plan."
    if (model.method, model.target, model.options) != (plan.method, plan.target, plan.options):
        yield "network.json: the method, its target or its numbers are not those of the plan."
    found = {c.name: c for c in model.values.columns}
    if list(found) != [c.name for c in plan.table.columns]:
        yield "table-000: the columns are not those of the plan."
        return
    for number, column in enumerate(plan.table.columns):
        if not is_public(found[column.name], column):
            yield f"table-000, column {number}: its cells are neither declared nor of a public grid."
    for name, table in model.values.tables.items():
        if table.shape != (int(model.values.group[name].max()) + 1, 1):
            yield f"table-000, column {list(found).index(name)}: more than one share for each bin."
