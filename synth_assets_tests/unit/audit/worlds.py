"""Small tables made in code for the audit's tests, and the prepared form that its parts take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from synth_assets.audit.prepare import Part, Prepared
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema

KINDS = {
    "age": ("number", "int64"),
    "income": ("number", "double"),
    "sex": ("category", "string"),
    "region": ("category", "string"),
    "joined": ("date", "date32[day]"),
    "good": ("category", "string"),
}
SCHEMA = TableSchema(
    name="people",
    columns=tuple(ColumnSchema(name=n, kind=ColumnKind(k), dtype=d) for n, (k, d) in KINDS.items()),
)


def people(rows: int, seed: int) -> pd.DataFrame:
    """People with correlated columns, missing values, and an outcome that depends on income and sex."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, rows)
    income = rng.gamma(3, 8000, rows) * (0.5 + age / 60)
    sex = rng.choice(["F", "M"], rows, p=[0.4, 0.6])
    chance = 1 / (1 + np.exp(-(income / 15000 - 2 + 0.8 * (sex == "M"))))
    frame = pd.DataFrame(
        {
            "age": age,
            "income": np.where(rng.random(rows) < 0.05, np.nan, income.round(2)),
            "sex": sex,
            "region": rng.choice(["north", "south", "east", "west", "?"], rows, p=[0.3, 0.3, 0.2, 0.15, 0.05]),
            "joined": (pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 3000, rows), unit="D")).date,
            "good": np.where(rng.random(rows) < chance, "yes", "no"),
        }
    )
    return frame.astype({"sex": object, "region": object, "good": object})


def noise(rows: int, seed: int) -> pd.DataFrame:
    """The same columns, each drawn evenly from its range and independent of the others."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, rows),
            "income": rng.uniform(0, 200_000, rows).round(2),
            "sex": rng.choice(["F", "M"], rows),
            "region": rng.choice(["north", "south", "east", "west", "?"], rows),
            "joined": (pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 3000, rows), unit="D")).date,
            "good": rng.choice(["no", "yes"], rows),
        }
    ).astype({"sex": object, "region": object, "good": object})


def prepared(**tables: Mapping[str, Any]) -> Prepared:
    """Prepared tables from columns: lists of numbers (None is missing), or of texts for categories."""
    names = list(next(iter(tables.values())))
    texts = {name for name in names for table in tables.values() for value in table[name] if isinstance(value, str)}
    labels = {
        name: tuple(sorted({v for table in tables.values() for v in table[name] if v is not None}))
        for name in names
        if name in texts
    }
    parts = {}
    for side, table in tables.items():
        values = {name: _values(table[name], labels.get(name)) for name in names}
        parts[side] = Part(len(next(iter(values.values()))), values)
    columns = tuple(
        ColumnSchema(name=n, kind=ColumnKind.CATEGORY if n in labels else ColumnKind.NUMBER, dtype="string")
        for n in names
    )
    return Prepared(columns, labels, parts, {})


def _values(column: Any, labels: tuple[str, ...] | None) -> np.ndarray:
    if labels is None:
        return np.array([np.nan if v is None else v for v in column], dtype=np.float64)
    return np.array([-1 if v is None else labels.index(v) for v in column], dtype=np.int64)


def plain(rows: int, seed: int) -> pd.DataFrame:
    """People of numbers and categories only, nothing missing: what other tools read as we do."""
    made, rng = people(rows, seed).drop(columns="joined").fillna({"income": 0.0}), np.random.default_rng(seed + 1000)
    weight = (60 + made["age"] / 5 + 10 * rng.normal(size=rows)).round(1)
    return made.assign(weight=weight, visits=rng.poisson(made["age"] / 20), rent=rng.gamma(4, 200, rows).round(0))


def half_copied(train: pd.DataFrame, fresh: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Rows of a table with about half of their cells from another table's rows: leaks that attacks find in part."""
    rng = np.random.default_rng(seed)
    made = fresh.reset_index(drop=True).copy()
    picked = train.iloc[rng.integers(0, len(train), len(made))].reset_index(drop=True)
    kept = rng.random(made.shape) < rng.choice([0.0, 0.5, 1.0], len(made), p=[0.4, 0.2, 0.4])[:, None]
    return made.where(~kept, picked)


def sdv_copula(train: pd.DataFrame) -> pd.DataFrame:
    """A sample of SDV's Gaussian copula, of the table's size; the first sample of a model is the same in every run."""
    from sdv.metadata import Metadata
    from sdv.single_table import GaussianCopulaSynthesizer

    columns = {n: {"sdtype": "numerical" if pd.api.types.is_numeric_dtype(train[n]) else "categorical"} for n in train}
    metadata = Metadata.load_from_dict({"tables": {"table": {"columns": columns}}, "relationships": []})
    model = GaussianCopulaSynthesizer(metadata)
    model.fit({"table": train})
    return pd.DataFrame(model.sample(num_rows=len(train))["table"])


def anonymeter_world() -> dict[str, pd.DataFrame]:
    """Train, holdout and a table with copied cells: the one that anonymeter's rates were recorded on."""
    train = plain(2_000, 1)
    return {"train": train, "holdout": plain(2_000, 2), "synthetic": half_copied(train, plain(2_000, 3), 4)}
