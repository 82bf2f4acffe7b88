"""Worlds for the controls of every metric: a clinic of patients and their visits, once as it should be and three times broken.

`fresh` is a real hold-out in the place of synthetic rows; `copied` a model that memorises; `noise` has values and relations that mean
nothing; `broken` is unfair to one group, with orphans and keys that stand twice. Masked tables: `open` keeps everything, `tight` makes
people look alike, `crowded` and `coarse` go too far. What does not belong here: what must fail.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from synth_assets.audit.dataset import TableInput, audit_dataset
from synth_assets.audit.masked import audit_masked
from synth_assets.audit.records import AuditResult
from synth_assets.config.anonymity import AnonymityConfig
from synth_assets.config.policy import PolicyConfig
from synth_assets.config.thresholds import AuditLimits
from synth_assets.masking.policies import load_policy
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, ForeignKey, TableSchema
from synth_assets_tests.unit.audit.test_masked import masked
from synth_assets_tests.unit.audit.worlds import noise, people

LIMITS = AuditLimits(attack_rows=1000, predicates=600, draws=60, queries=120, secrets=6, exposed_rows=800)
KINDS = {
    "pid": ("id", "string"),
    "age": ("number", "int64"),
    "income": ("number", "double"),
    "sex": ("category", "string"),
    "region": ("category", "string"),
    "half": ("category", "string"),
    "ward": ("category", "string"),
    "pregnant": ("category", "string"),
    "in": ("number", "double"),
    "out": ("number", "double"),
    "good": ("category", "string"),
}
KEY = ForeignKey(columns=("pid",), parent_table="patients", parent_columns=("pid",))
PATIENTS = TableSchema(
    name="patients",
    columns=tuple(ColumnSchema(name=n, kind=ColumnKind(k), dtype=d) for n, (k, d) in KINDS.items()),
    primary_key=("pid",),
)
VISITS = TableSchema(
    name="visits",
    columns=(
        ColumnSchema(name="pid", kind=ColumnKind.ID, dtype="string"),
        ColumnSchema(name="day", kind=ColumnKind.NUMBER, dtype="int64"),
        ColumnSchema(name="pressure", kind=ColumnKind.NUMBER, dtype="double"),
        ColumnSchema(name="state", kind=ColumnKind.CATEGORY, dtype="string"),
    ),
    foreign_keys=(KEY,),
)
IMPOSSIBLE = ({"sex": ("M",), "pregnant": ("yes",)},)
ROWS = {"train": 1500, "holdout": 1400, "synthetic": 1500}
Frames = dict[str, pd.DataFrame]


def clinic(rows: int, seed: int) -> Frames:
    """Patients whose columns hang together and keep some rules, and visits that follow each other in time."""
    rng, made = np.random.default_rng(seed), people(rows, seed).drop(columns="joined")
    young = (made["sex"] == "F") & (made["age"] < 45)
    first = rng.uniform(0, 100, rows).round(1)
    patients = made.assign(
        pid=[f"{seed}-{i}" for i in range(rows)],
        half=np.where(made["region"].isin(["north", "south"]), "one", "two"),
        ward=np.where(made["age"] < 40, "young", np.where(made["age"] < 65, "middle", "old")),
        pregnant=np.where(young & (rng.random(rows) < 0.4), "yes", "no"),
        **{"in": first, "out": first + rng.gamma(2, 3, rows).round(1)},
    )
    count = rng.poisson(4, rows)
    owner = np.repeat(np.arange(rows), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    level = rng.normal(size=len(owner))
    for i in range(1, int(place.max()) + 1):  # each visit follows the one before
        later = np.flatnonzero(place == i)
        level[later] = 0.9 * level[later - 1] + 0.19**0.5 * level[later]
    steps = rng.integers(5, 15, len(owner))
    whole = np.cumsum(steps)
    visits = pd.DataFrame(
        {
            "pid": patients["pid"].to_numpy()[owner],
            "day": whole - np.repeat(np.append(0, whole)[np.cumsum(count) - count], count),
            "pressure": (100 + 0.5 * patients["age"].to_numpy()[owner] + 12 * level).round(1),
            "state": np.where(level > 0.5, "high", np.where(level < -0.5, "low", "normal")),
        }
    )
    return {"patients": patients[list(KINDS)], "visits": visits}


def noisy(rows: int, seed: int) -> Frames:
    """Values that mean nothing, some outside of what there is, an outcome that one half gets, and five visits for everybody."""
    rng = np.random.default_rng(seed)
    low, half = rng.uniform(0, 100, rows), rng.choice(["one", "two"], rows, p=[0.1, 0.9])
    patients = noise(rows, seed).drop(columns="joined").assign(
        age=rng.integers(18, 140, rows),
        pid=[f"n{i}" for i in range(rows)],
        half=half,
        good=np.where(rng.random(rows) < np.where(half == "one", 0.9, 0.3), "yes", "no"),
        ward=[f"w{i}" for i in rng.integers(0, 3000, rows)],
        pregnant=rng.choice(["yes", "no"], rows),
        sex=rng.choice(["F", "M"], rows, p=[0.9, 0.1]),
        **{"in": low, "out": rng.uniform(0, 100, rows)},
    )  # fmt: skip
    pids = np.repeat(patients["pid"].to_numpy(), 5)
    visits = pd.DataFrame(
        {
            "pid": pids,
            "day": rng.integers(0, 10_000, len(pids)),
            "pressure": rng.uniform(80, 200, len(pids)),
            "state": rng.choice(["high", "low", "normal"], len(pids), p=[0.1, 0.8, 0.1]),
        }
    )
    return {"patients": patients[list(KINDS)], "visits": visits}


def broken(rows: int, seed: int) -> Frames:
    """The outcome of women turned round; a tenth of the keys twice, a tenth of the visits of nobody."""
    made = clinic(rows, seed)
    patients, visits = made["patients"], made["visits"].copy()
    turned = patients["good"].map({"yes": "no", "no": "yes"})
    keys = patients["pid"].to_numpy().copy()
    keys[: rows // 10] = keys[rows // 10 : 2 * (rows // 10)]
    visits.loc[: len(visits) // 10, "pid"] = "nobody"
    return {
        "patients": patients.assign(good=patients["good"].where(patients["sex"] != "F", turned), pid=keys),
        "visits": visits,
    }


def world(name: str, train: Frames) -> Frames:
    """The synthetic tables of one world."""
    if name == "copied":
        return train
    makers = {"fresh": clinic, "noise": noisy, "broken": broken}
    return makers[name](ROWS["synthetic"], 4)


def audit(name: str, folder: Path) -> AuditResult:
    """The audit of one world: everything that can be measured, in one run."""
    train = clinic(ROWS["train"], 1)
    sides = {"train": train, "holdout": clinic(ROWS["holdout"], 2), "synthetic": world(name, train)}
    inputs = []
    for schema, order in ((PATIENTS, None), (VISITS, "day")):
        paths = {}
        for side, frames in sides.items():
            frame = frames[schema.name]
            known = frame if side == "synthetic" else frame.assign(_unit=frame["pid"])
            paths[side] = folder / side / schema.name
            paths[side].mkdir(parents=True)
            table = pa.Table.from_pandas(known, preserve_index=False)
            pq.write_table(table, paths[side] / "part-00000.parquet")
        patients = schema is PATIENTS
        inputs.append(
            TableInput(
                schema.name,
                **paths,
                schema=schema,
                columns=schema.names,
                quasi=("ward", "sex") if patients else ("state",),
                impossible=IMPOSSIBLE if patients else (),
                order=order,
                units=("pid",) if order else (),
            )
        )
    return audit_dataset(
        inputs,
        engine=Engine(threads=1),
        target=("patients", "good"),
        protected=(("patients", "sex"), ("patients", "half")),
        limits=LIMITS,
        seed=1,
    )


def masked_audits(folder: Path) -> dict[str, AuditResult]:
    """Audits of one table under four policies."""
    rng, rows = np.random.default_rng(1), 600
    columns = {
        "pid": list(range(rows)),
        "name": [f"Ann Lee{i}" for i in range(rows)],
        "age": rng.uniform(20, 80, rows).round(2).tolist(),
        "sex": rng.choice(["F", "M"], rows).tolist(),
        "ill": rng.choice(["E11", "J45", "I10"], rows).tolist(),
    }
    k_anonymity = load_policy("k_anonymity")
    rules = {
        "name": "own", "classes": {"direct": "drop", "quasi": "keep", "sensitive": "keep", "none": "keep"},
        "entity_types": {"age": {"action": "round", "digits": -2}},
    }  # fmt: skip
    policies = {
        "open": load_policy("dev_test"),
        "tight": k_anonymity.model_copy(update={"anonymity": AnonymityConfig(k=15)}),
        "crowded": k_anonymity.model_copy(update={"anonymity": AnonymityConfig(k=250)}),
        "coarse": PolicyConfig.model_validate(rules),
    }
    return {
        name: audit_masked([masked(folder / name, columns, policy)], engine=Engine(threads=1))
        for name, policy in policies.items()
    }
