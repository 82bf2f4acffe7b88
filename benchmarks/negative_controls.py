"""Privacy of tables that are known to leak, and of tables that are known not to: how often each is called high.

    python benchmarks/negative_controls.py DATA [--runs 20] [--world NAME ...]

DATA is the folder with `adult/train.csv` and `adult/holdout.csv`. In every run Adult's rows are divided anew: half are the training
table, a quarter the control, and the last quarter plays the synthetic table where a real one is asked for. Only privacy is measured.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from synth_assets.audit.clock import Clock
from synth_assets.audit.findings import privacy_score
from synth_assets.audit.prepare import Tables, compared_columns, prepare
from synth_assets.audit.privacy.module import privacy_findings
from synth_assets.audit.records import worst_level
from synth_assets.audit.tables import LEVELS, LIMITS, infer_schema
from synth_assets.tables.engine import Engine

Frames = tuple[pd.DataFrame, pd.DataFrame]
World = Callable[[pd.DataFrame, pd.DataFrame, np.random.Generator], pd.DataFrame]


def independent(train: pd.DataFrame, rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Every column drawn by itself."""
    return pd.DataFrame({name: train[name].to_numpy()[rng.integers(0, len(train), rows)] for name in train})


def one_percent(train: pd.DataFrame, _: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Independent columns, with one training row in a hundred among them."""
    copied = train.iloc[rng.choice(len(train), len(train) // 100, replace=False)]
    return pd.concat([independent(train, len(train) - len(copied), rng), copied], ignore_index=True)


def one_percent_of_real(train: pd.DataFrame, fresh: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Real rows that nobody trained on, with one training row in a hundred among them: the best model, but for its memory."""
    copied = train.iloc[rng.choice(len(train), len(train) // 100, replace=False)]
    return pd.concat([fresh, copied], ignore_index=True)


def moved(train: pd.DataFrame, _: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Independent columns, and one training row in a hundred with every number moved by up to 2 %."""
    copied = train.iloc[rng.choice(len(train), len(train) // 100, replace=False)].copy()
    for name in copied.select_dtypes("number"):
        copied[name] = (copied[name] * rng.uniform(0.98, 1.02, len(copied))).round().astype(np.int64)
    return pd.concat([independent(train, len(train) - len(copied), rng), copied], ignore_index=True)


def one_cell(train: pd.DataFrame, _: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Independent columns, and one training row in a hundred with one cell drawn anew."""
    copied = train.iloc[rng.choice(len(train), len(train) // 100, replace=False)].reset_index(drop=True)
    changed = rng.integers(0, copied.shape[1], len(copied))
    other = independent(train, len(copied), rng)
    for i, name in enumerate(copied):
        copied[name] = copied[name].where(changed != i, other[name])
    return pd.concat([independent(train, len(train) - len(copied), rng), copied], ignore_index=True)


def rare(train: pd.DataFrame, fresh: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Real rows that nobody trained on, and the 1 % of the training rows with the least likely cells, numbers moved as above."""
    rarity = sum(-np.log(train[name].map(train[name].value_counts(normalize=True))) for name in train.columns)
    copied = train.loc[np.argsort(-np.asarray(rarity))[: len(train) // 100]].copy()
    for name in copied.select_dtypes("number"):
        copied[name] = (copied[name] * rng.uniform(0.98, 1.02, len(copied))).round().astype(np.int64)
    return pd.concat([fresh, copied], ignore_index=True)


def real(_: pd.DataFrame, fresh: pd.DataFrame, __: np.random.Generator) -> pd.DataFrame:
    """Real rows that nobody trained on."""
    return fresh


def shuffled(train: pd.DataFrame, _: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Every column of the training rows in an order of its own."""
    return train.apply(lambda column: column.to_numpy()[rng.permutation(len(train))])


WORLDS: dict[str, World] = {
    f.__name__: f for f in (one_percent, one_percent_of_real, one_cell, moved, rare, real, shuffled)
}


def judged(
    synthetic: pd.DataFrame, train: pd.DataFrame, holdout: pd.DataFrame, seed: int
) -> tuple[str, float, list[str]]:
    """Level and score of the privacy module, and what made it more than low."""
    sides = {"synthetic": synthetic, "train": train, "holdout": holdout}
    with Engine().files_session() as session:
        made = {n: ibis.memtable(pa.Table.from_pandas(f, preserve_index=False)) for n, f in sides.items()}
        tables = Tables(session, **made)
        columns, left_out = compared_columns(infer_schema(tables), tables.present(), frozenset())
        data = prepare(tables, columns, left_out, limit=LIMITS.compare_rows, seed=seed)
        found = privacy_findings(
            tables, data, quasi=(), secrets=(), limits=LIMITS, levels=LEVELS, seed=seed, clock=Clock()
        ).findings
    deciding = [f for f in found if f.decides]
    level = worst_level(tuple(f.risk_level for f in deciding)) or "none"
    return level, privacy_score(found, LEVELS) or 0.0, [f.metric for f in deciding if f.risk_level == level != "low"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--world", nargs="*", default=list(WORLDS), choices=list(WORLDS))
    given = parser.parse_args()
    whole = pd.concat(
        pd.read_csv(given.data / "adult" / f"{n}.csv", keep_default_na=False) for n in ("train", "holdout")
    )
    for name in given.world:
        levels: list[str] = []
        for run in range(given.runs):
            rng, began = np.random.default_rng(run), time.process_time()
            rows = whole.iloc[rng.permutation(len(whole))].reset_index(drop=True)
            half, quarter = len(rows) // 2, len(rows) // 4
            train, control, fresh = rows[:half], rows[half : half + quarter], rows[half + quarter :]
            train, control, fresh = (t.reset_index(drop=True) for t in (train, control, fresh))
            level, score, why = judged(WORLDS[name](train, fresh, rng), train, control, run)
            levels.append(level)
            print(
                f"  {name} run {run}: {level}, score {score:.2f}, {time.process_time() - began:.0f} CPU s; {', '.join(why)}",
                flush=True,
            )
        print(
            f"{name}: "
            + ", ".join(f"{level} in {levels.count(level)}" for level in sorted(set(levels)))
            + f" of {given.runs}"
        )
