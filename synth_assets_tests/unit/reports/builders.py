"""A report's input made in code, from one table to many, with and without differential privacy."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

from synth_assets.audit.findings import conclude
from synth_assets.audit.leaderboard import FitCost, rank
from synth_assets.audit.pictures.public import Box, ColumnShares, Matrix, PairShades, Pictures
from synth_assets.audit.records import AuditInputs, AuditResult, Finding, GroupFigure
from synth_assets.config.thresholds import AuditLevels, AuditWeights
from synth_assets.pii.records import ColumnVerdict
from synth_assets.privacy.records import CrossCheck, ExponentialEvent, GaussianEvent, Spent, ThresholdEvent
from synth_assets.privacy.report import PrivacyReport
from synth_assets.profiling.records import (
    Associations,
    ColumnProfile,
    Histogram,
    NumberStats,
    SinglingOut,
    TableProfile,
    Uniqueness,
    ValueCount,
)
from synth_assets.reports.dataset_report import ReportInput
from synth_assets.tables.schema import ColumnKind

FULL_AUDIT = ("membership", "fidelity", "utility", "fairness")


def profile(name: str, columns: list[str], rows: int | None = 5000) -> TableProfile:
    shown = []
    for i, column in enumerate(columns):
        number = i % 2 == 0
        shown.append(
            ColumnProfile(
                name=column,
                kind=ColumnKind.NUMBER if number else ColumnKind.CATEGORY,
                dtype="double" if number else "string",
                count=rows,
                missing=None if i % 5 == 4 else 0,
                distinct=40,
                constant=False,
                unique=False,
                number=NumberStats(
                    minimum=None, q25=1.5, median=2, mean=2, q75=30, maximum=None, std=1, zeros=0, negatives=0,
                    outliers_iqr=0, outliers_zscore=0,
                )
                if number
                else None,
                histogram=Histogram(edges=(None, 1, 2, None), counts=(30, None, 60)) if number else None,
                top_values=() if number else (ValueCount(value="hidden value", rows=1000),),
            )
        )  # fmt: skip
    return TableProfile(
        name=name,
        row_count=rows,
        columns=tuple(shown),
        duplicates=0,
        associations=Associations(
            columns=("a", "b"), numeric=(True, True), matrix=((1, 0.5), (0.5, 1)), rows_used=5000
        ),
        uniqueness=Uniqueness(
            candidates=("a",),
            threshold=0.05,
            sets=(SinglingOut(columns=("a", "b"), unique_rows=900, unique_fraction=0.18),),
            strongest=(),
        ),
        form="public",
    )


def verdicts(columns: list[str]) -> tuple[ColumnVerdict, ...]:
    classes = ("direct", "quasi", "sensitive", "none")
    return tuple(
        ColumnVerdict(
            column=c, entity_type="email" if i == 0 else "none", identifier_class=classes[i % 4], confidence=0.9, evidence=("name: x",),
            level="confidential", recommended_action="drop", hipaa_identifier="F" if i == 0 else None,
        ).public()
        for i, c in enumerate(columns)
    )  # fmt: skip


def audit(
    parts: tuple[str, ...] = FULL_AUDIT, *, columns: list[str] | None = None, message: str = "words"
) -> AuditResult:
    """An audit with the named modules; the others are null with a reason."""
    found: dict[str, list[Finding]] = {m: [] for m in ("privacy", "fidelity", "utility", "fairness")}
    if "membership" in parts:
        found["privacy"] = [
            Finding(
                metric="membership_inference.nearest", message=message, risk_level="low", value=0.02, baseline=0.0,
                excess_interval=(-0.01, 0.06), table="t",
            ),
            Finding(
                metric="attribute_inference", message=message, risk_level="medium", value=0.6, baseline=0.5, column="a",
                excess_interval=(0.02, 0.14), table="t",
            ),
            Finding(metric="closest_record", message=message, risk_level="low", value=0.5, decides=False, table="t"),
        ]  # fmt: skip
    if "fidelity" in parts:
        found["fidelity"] = [
            Finding(metric="tvd_2way", message=message, risk_level="low", value=0.1, baseline=0.08, table="t")
        ]
        for column in columns or ["a"]:
            for metric in ("column_tvd", "column_ks"):
                found["fidelity"].append(
                    Finding(
                        metric=metric,
                        message=message,
                        risk_level="high",
                        value=0.4,
                        baseline=0.1,
                        column=column,
                        table="t",
                        decides=False,
                    )
                )
    if "utility" in parts:
        found["utility"] = [
            Finding(
                metric="predictive_score",
                message=message,
                risk_level="low",
                value=0.8,
                baseline=0.82,
                naive=0.5,
                excess=0.02,
            )
        ]
    if "fairness" in parts:
        group = GroupFigure(name="group one", synthetic_rows=50, real_rows=60, synthetic=0.2, real=0.3)
        found["fairness"] = [
            Finding(
                metric="demographic_parity",
                message=message,
                risk_level="high",
                value=0.2,
                excess=0.16,
                column="a",
                groups=(group,),
            )
        ]
    return conclude(
        found,
        {},
        inputs=AuditInputs(
            tables=("t",),
            synthetic_rows=5000,
            train_rows=4000,
            holdout_rows=1000,
            columns=("a",),
            left_out={"id": "key"},
        ),
        levels=AuditLevels(),
        weights=AuditWeights(),
    ).public()


def pictures(tables: dict[str, list[str]]) -> Pictures:
    """Public pictures of some columns: numbers and categories in turn, a pair, boxes and associations."""
    columns: list[ColumnShares] = []
    for table, names in tables.items():
        for i, name in enumerate(names):
            shift = 0.005 * (i % 40)
            shares = {
                "real": (0.5, 0.3, 0.2),
                "holdout": (0.5, 0.3, 0.2),
                "synthetic": (round(0.5 - shift, 3), 0.3, round(0.2 + shift, 3)),
            }
            shape = (
                {"kind": "number", "edges": (10.0, 20.0)}
                if i % 2 == 0
                else {"kind": "category", "names": ("first", "second", None)}
            )
            columns.append(ColumnShares.model_validate({"table": table, "column": name, "shares": shares, **shape}))
    first = columns[0]
    shades = ((9, 4, 0), (3, 2, 1), (0, 0, 5))
    values = (1, 2, 3, 4, 5)
    pairs = [
        PairShades(table=c.table, first=c.column, second=d.column, shades={"real": shades, "synthetic": shades})
        for c, d in itertools.pairwise(columns[:3])
        if c.table == d.table
    ]
    boxes = [
        Box(
            table=first.table,
            column=first.column,
            group=group,
            quantiles={"real": values, "synthetic": (None, 2, 3, 4, None)},
        )
        for group in ("yes", "no")
    ]
    matrices = [_matrix(table, names[:30]) for table, names in tables.items()]
    return Pictures(
        columns=tuple(columns), pairs=tuple(pairs), boxes=tuple(boxes), matrices=tuple(matrices), outcome=f"{first.table}.sick",
        not_drawn={f"{first.table}.rare": "too few rows in all but one of its cells"},
    )  # fmt: skip


def _matrix(table: str, names: list[str]) -> Matrix:
    values = tuple(
        tuple(1.0 if i == j else None if (i + j) % 7 == 6 else 0.25 for j in range(len(names)))
        for i in range(len(names))
    )
    return Matrix(table=table, columns=tuple(names), real=values, synthetic=values, rows=None)


def privacy(**changes: Any) -> PrivacyReport:
    values: dict[str, Any] = {
        "mechanism": "dp_marginals", "population": "people", "unit": "patients.id", "unit_is_declared": True,
        "contribution_bounds": {"patients": 1, "visits": 6}, "target_epsilon": 3.0, "target_delta": 1e-6,
        "spent": Spent(
            epsilon=2.99791, delta=1e-6, accountant="pld", epsilon_simple=3.18, rho_zcdp=0.2, delta_thresholds=8e-8
        ),
        "crosscheck": CrossCheck(
            accountant="dp_accounting.rdp", epsilon_upper=3.19, epsilon_lower=2.89, epsilon_claimed=2.99791, delta=1e-6
        ),
        "events": (
            GaussianEvent(sigma=12.5, l2_sensitivity=2, count=7),
            ExponentialEvent(epsilon=0.02, count=9),
            ThresholdEvent(delta=1e-8),
        ),
        "level": "strong", "use_case": "sharing", "budget_epsilon": 10.0, "budget_left": 7.34659, "steps": 17,
        "non_dp_inputs": ("visits.city: kind category was inferred",), "notes": ("a note",), "seconds": 12.0,
    }  # fmt: skip
    return PrivacyReport(**(values | changes))


def parts(
    *,
    tables: dict[str, list[str]] | None = None,
    synthesizers: tuple[str, ...] = ("dp_marginals", "gaussian_copula"),
    private: bool = True,
    modules: tuple[str, ...] = FULL_AUDIT,
    message: str = "words",
    rows: int | None = 5000,
) -> dict[str, Any]:
    """What `ReportInput` is made of, as records."""
    tables = tables or {"patients": ["id", "sex", "race", "age"]}
    line = {"name": "check", "passed": True, "description": "all rows hold", "blocking": True}
    columns = max(tables.values(), key=len)
    audits = {s: audit(modules, columns=columns, message=message) for s in synthesizers}
    costs = {
        s: FitCost(fit_seconds=10.0, epsilon=2.99791 if private and s.startswith("dp_") else None) for s in synthesizers
    }
    mask = {"action": "drop", "reason": "policy p: email", "information_loss": 1.0}
    return {
        "dataset": "clinic", "description": "Made up.", "policy": "p", "unit": "patients.id", "population": "people",
        "target": "patients.sick", "protected": ["patients.sex"], "development_key": True,
        "contracts": {t: [line] for t in tables},
        "profiles": {t: profile(t, c, rows) for t, c in tables.items()},
        "verdicts": {t: verdicts(c) for t, c in tables.items()},
        "masks": {t: {"columns": [{"column": n, **mask} for n in c]} for t, c in tables.items()},
        "mask_checks": {t: [line] for t in tables},
        "privacy": [privacy()] if private else [],
        "audits": audits,
        "gates": {s: [line] for s in synthesizers},
        "leaderboard": rank(audits, costs).public(),
        "pictures": {s: pictures(tables) for s in synthesizers},
        "lineage": [{"asset": f"raw_{t}", "zone": "restricted", "version": "0123456789ab"} for t in tables],
    }  # fmt: skip


def report_input(**choices: Any) -> ReportInput:
    return ReportInput.model_validate(parts(**choices))


def as_json(made: dict[str, Any]) -> dict[str, Any]:
    """The same as plain JSON values, as the artifacts hold them."""

    def plain(value: Any) -> Any:
        if hasattr(value, "model_dump_json"):
            return json.loads(value.model_dump_json())
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        return value

    return copy.deepcopy(plain(made))
