"""Membership inference with shadow models: an attacker who can train the same synthesizer learns from models of his own.

He trains it on rows that he knows, looks how rows that were in and rows that were out lie to each output, and carries what he learned
to the table under attack. His rows are held-out rows that are no target, and of no target's unit. How a synthesizer is trained is the
caller's: this package never sees one. Off unless it is asked for, since every shadow model costs as much as the synthesizer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synth_assets.audit.findings import MEMBERSHIP
from synth_assets.audit.prepare import Array, Floats, Part, Prepared
from synth_assets.audit.privacy.membership import Targets, advantage, advantage_finding, attack_scores
from synth_assets.audit.privacy.neighbours import Encoded, Encoder
from synth_assets.audit.records import Finding
from synth_assets.config.thresholds import AuditLevels
from synth_assets.errors import InputError
from synth_assets.seeds import child_seed
from synth_assets.tables.schema import ColumnKind, ColumnSchema

if TYPE_CHECKING:
    import pandas as pd

LEAST_ROWS = 300  # known rows: two fifths train a shadow model, two fifths stay out, a fifth is its reference
_SHOWN = "by a classifier over all distances, trained on shadow models (the same synthesizer on other rows)"


@dataclass(frozen=True)
class ShadowModels:
    """How to train the synthesizer under attack on other rows.

    Args:
        resynthesize: Takes real rows and a seed, trains the synthesizer on them and returns synthetic rows, with the same columns.
        number: Shadow models to train, at least 1.
    """

    resynthesize: Callable[[pd.DataFrame, int], pd.DataFrame]
    number: int = 4

    def __post_init__(self) -> None:
        if self.number < 1:
            raise InputError("there must be one shadow model or more.", key="shadow_models", remedy="Give 1 or more.")


def shadow_finding(
    prepared: Prepared,
    targets: Targets,
    base: tuple[Encoder, Encoded],
    shadows: ShadowModels,
    levels: AuditLevels,
    seed: int,
) -> Finding | None:
    """The advantage of a classifier that learned from shadow models; None for fewer than 300 known rows.

    Args:
        prepared: The prepared tables.
        targets: Rows under attack; the shadow models are trained on rows of its reference.
        base: How rows are encoded, and the synthetic rows the attacker uses.
        shadows: How to train a shadow model.
        levels: Cut-offs.
        seed: Seed of the shadow models and of their rows.

    Raises:
        InputError: a shadow model returned no rows, or not the columns that it was given.

    Source:
        Shokri et al., "Membership inference attacks against machine learning models", IEEE S&P 2017; on synthetic tables: Stadler,
        Oprisanu, Troncoso, "Synthetic data - anonymisation groundhog day", USENIX Security 2022.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    if targets.reference.held < LEAST_ROWS:
        return None
    learned = [
        _features(prepared, targets.reference, shadows, child_seed(seed, "shadow", str(i)))
        for i in range(shadows.number)
    ]
    matrix = np.concatenate([side for pair in learned for side in pair])
    member = np.concatenate([np.full(len(side), i == 0) for pair in learned for i, side in enumerate(pair)])
    model = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=8, min_samples_leaf=20, random_state=0)
    model.fit(matrix, member)
    members, others = (model.predict_proba(side)[:, 1] for side in attack_scores(prepared, targets, *base)["features"])
    made = advantage(members, others, targets.folds)
    return advantage_finding(f"{MEMBERSHIP}.shadow_models", _SHOWN, made, levels)


def _features(prepared: Prepared, known: Part, shadows: ShadowModels, seed: int) -> tuple[Floats, Floats]:
    """Features of rows that were in one shadow model, and of rows that were not; shape (n, f) each."""
    order = np.random.default_rng(seed).permutation(known.held)
    fifth = known.held // 5
    inside, outside, reference = (known.take(rows) for rows in np.split(order, [2 * fifth, 4 * fifth]))
    made = part_of(prepared, shadows.resynthesize(frame_of(prepared, inside), seed))
    world = Prepared(prepared.columns, prepared.labels, {"synthetic": made, "train": inside, "holdout": outside}, {})
    encoder = Encoder(world)
    scores = attack_scores(world, Targets(inside, outside, reference), encoder, encoder.encode(made))
    return scores["features"]


def frame_of(prepared: Prepared, part: Part) -> pd.DataFrame:
    """Rows as a frame, with the types that the tables have."""
    import pandas as pd

    held = part.values  # noqa: PD011  # a mapping of columns, no frame
    return pd.DataFrame({column.name: _typed(prepared, column, held[column.name]) for column in prepared.columns})


def _typed(prepared: Prepared, column: ColumnSchema, values: Array) -> pd.Series:
    import pandas as pd

    if not prepared.numeric(column.name):
        texts = np.array([*prepared.labels[column.name], None], dtype=object)  # -1, a missing value, is the last
        return pd.Series(texts[values], dtype=object)
    if column.kind in (ColumnKind.DATE, ColumnKind.DATETIME):
        times = pd.Series(pd.to_datetime(values, unit="s"))
        return times.dt.date if column.kind is ColumnKind.DATE else times
    whole = column.dtype == "int64" and not np.isnan(values).any()
    return pd.Series(values.astype(np.int64) if whole else values)


def part_of(prepared: Prepared, frame: pd.DataFrame) -> Part:
    """A frame of synthetic rows as the audit compares them; a category that no table has counts as missing.

    Raises:
        InputError: it has no rows, or lacks a column.
    """
    import pandas as pd

    if not len(frame) or not set(prepared.names) <= set(frame.columns):
        raise InputError(
            "a shadow model returned no rows, or not the columns that it was given.",
            key="shadow",
            remedy="Return a frame with the columns of the frame that was given.",
        )
    values: dict[str, Array] = {}
    for column in prepared.columns:
        given = frame[column.name]
        if not prepared.numeric(column.name):
            numbers = {label: i for i, label in enumerate(prepared.labels[column.name])}
            values[column.name] = np.array([numbers.get(str(v), -1) for v in given], dtype=np.int64)
        elif column.kind in (ColumnKind.DATE, ColumnKind.DATETIME):
            moments = pd.to_datetime(given).to_numpy().astype("datetime64[us]")
            seconds = moments.astype(np.int64) / 1e6
            values[column.name] = np.where(np.isnat(moments), np.nan, seconds)
        else:
            values[column.name] = pd.to_numeric(given).to_numpy(dtype=np.float64, na_value=np.nan)
    return Part(len(frame), values)
