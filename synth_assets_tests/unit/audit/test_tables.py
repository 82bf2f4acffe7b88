"""The whole audit of one table: it bites, it is fair, it says why it could not run, and it tells no value."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from synth_assets.audit import audit_frames, audit_tables
from synth_assets.audit.glossary import METRICS, family
from synth_assets.config.dataset import ColumnConfig
from synth_assets.config.thresholds import AuditLevels, AuditLimits, Cutoffs
from synth_assets.errors import InputError, MissingArtifactError
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import ColumnKind, ColumnSchema, TableSchema
from synth_assets_tests.unit.audit.worlds import SCHEMA, people

ENGINE = Engine(threads=1)
LIMITS = AuditLimits(attack_rows=1000)
TRAIN, HOLDOUT = people(2000, 1), people(2000, 2)


def _run(synthetic, train=TRAIN, holdout=HOLDOUT, **settings):
    options = {
        "target": "good",
        "protected": ("sex", "age"),
        "limits": LIMITS,
        "seed": 3,
        "identifiers": frozenset(),
        **settings,
    }
    return audit_frames(synthetic, train, holdout, schema=options.pop("schema", SCHEMA), engine=ENGINE, **options)


def untimed(result):
    return result.model_copy(update={"seconds": {}})


@pytest.fixture(scope="module")
def fresh():
    return _run(people(2000, 5))


@pytest.fixture(scope="module")
def copied():
    return _run(TRAIN.sample(frac=1, random_state=0))


def test_a_fresh_sample_of_the_same_people_is_low_risk_and_faithful(fresh):
    assert fresh.figures.privacy_risk_level == "low"
    assert fresh.level("privacy") == "low"
    assert fresh.module_scores.privacy > 0.85
    assert fresh.level("fidelity") == "low"
    assert fresh.module_scores.fidelity > 0.85  # 2,000 rows in up to 400 cells: the holdout is as far away
    assert fresh.findings("fidelity", "tvd_2way")[0].excess == pytest.approx(0, abs=0.01)
    assert fresh.module_scores.utility > 0.9
    assert fresh.module_scores.fairness > 0.85
    assert fresh.overall_score > 0.85


def test_the_overall_score_never_hides_a_high_privacy_risk(copied):
    assert copied.module_scores.fidelity == 1.0
    assert copied.overall_score < 0.55
    assert copied.level("privacy") == "high"


def test_every_module_has_findings_with_level_and_words(fresh):
    for module in ("privacy", "fairness", "fidelity", "utility"):
        found = fresh.findings(module)
        assert found
        assert all(f.risk_level in ("low", "medium", "high") and f.message.endswith(".") for f in found)
    deciding = [f for f in fresh.findings() if f.decides]
    assert all(f"{f.risk_level} risk" in f.message for f in deciding)


def test_distances_are_shown_and_never_decide(copied):
    finding = copied.findings("privacy", "closest_record")[0]
    assert finding.value > 0.9  # nearly all synthetic rows are closer to a training row
    assert not finding.decides
    assert finding.excess_interval is None


def test_the_same_seed_gives_the_same_result(fresh):
    assert untimed(_run(people(2000, 5))) == untimed(fresh)


def test_paths_and_frames_give_the_same_result(fresh, tmp_path):
    for name, frame in (("synthetic", people(2000, 5)), ("train", TRAIN), ("holdout", HOLDOUT)):
        (tmp_path / name).mkdir()
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / name / "part-00000.parquet")
    paths = [tmp_path / name for name in ("synthetic", "train", "holdout")]
    result = audit_tables(
        *paths, schema=SCHEMA, engine=ENGINE, target="good", protected=("sex", "age"), limits=LIMITS, seed=3
    )
    assert untimed(result) == untimed(fresh)


def test_without_real_rows_only_the_table_itself_is_judged():
    result = _run(people(300, 5), None, None, declared={"age": ColumnConfig(lower=0, upper=60)})
    assert (result.module_scores.privacy, result.module_scores.fidelity, result.module_scores.utility) == (
        None,
        None,
        None,
    )
    assert result.overall_score is None
    assert {"privacy", "fidelity", "utility", "fairness", "overall_score"} <= set(result.reasons)
    assert 0.5 < result.figures.domain_validity < 1
    assert result.findings("privacy", "k_anonymity")
    assert result.findings("fairness", "demographic_parity")


def test_without_held_out_rows_privacy_and_utility_are_null_and_copies_decide_nothing():
    result = _run(TRAIN.head(500), TRAIN, None)
    assert result.module_scores.privacy is None
    assert "control group" in result.reasons["privacy"]
    assert result.figures.privacy_risk_level is None
    assert result.findings("privacy", "exact_copies")[0].value == 1.0
    assert result.module_scores.utility is None
    assert result.module_scores.fidelity is not None
    assert result.module_scores.fairness is not None
    assert result.weights_used.privacy == 0


def test_too_few_held_out_rows_are_a_reason():
    result = _run(people(300, 5), TRAIN.head(300), HOLDOUT.head(9))
    assert "too few" in result.reasons["privacy"]
    assert not [f for f in result.findings("privacy") if f.decides]


def test_a_small_table_is_attacked_and_not_called_low_where_it_cannot_be_shown():
    result = _run(people(60, 5), TRAIN.head(60), HOLDOUT.head(30))
    assert result.module_scores.privacy is None
    assert result.level("privacy") is None
    assert result.figures.privacy_risk_level is None  # so a gate fails, and says why
    assert "Too few rows to show a low risk: 22 training" in result.reasons["privacy"]
    attacks = result.findings("privacy", "membership_inference")
    assert attacks
    assert all(f.excess_interval and f.sample_size == 22 for f in attacks)
    assert any("Too few rows to show a low risk" in f.message for f in attacks)


def test_a_small_table_that_is_copied_is_high_all_the_same():
    train = TRAIN.head(60)
    result = _run(train.sample(frac=1, random_state=0), train, HOLDOUT.head(30))
    assert result.level("privacy") == "high"
    assert result.figures.privacy_risk_level == "high"
    assert result.module_scores.privacy < 0.1
    high = {f.metric for f in result.findings("privacy") if f.decides and f.risk_level == "high"}
    assert {"exact_copies", "membership_inference.nearest", "linkability"} <= high


def test_one_copied_row_in_fifty_of_a_real_table_is_high():
    """Fresh rows with a few training rows among them: every average over all rows is low."""
    fresh = people(1960, 5)
    result = _run(pd.concat([fresh, TRAIN.head(40)], ignore_index=True))
    assert result.level("privacy") == "high"
    assert result.figures.privacy_risk_level == "high"
    assert result.module_scores.privacy <= 0.75
    assert result.findings("privacy", "exact_copies")[0].risk_level == "high"
    averages = [
        f for m in ("membership_inference.", "singling_out", "linkability") for f in result.findings("privacy", m)
    ]
    assert {f.risk_level for f in averages} == {"low"}


def test_a_table_of_keys_and_texts_has_nothing_to_compare():
    schema = TableSchema(name="t", columns=(ColumnSchema(name="k", kind=ColumnKind.ID, dtype="string"),))
    frame = pd.DataFrame({"k": ["a", "b"]})
    result = _run(frame, frame, frame, schema=schema, target=None, protected=())
    assert all(getattr(result.module_scores, m) is None for m in ("privacy", "fairness", "fidelity", "utility"))
    assert "nothing to compare" in result.reasons["privacy"]


def test_one_column_alone_can_be_audited():
    schema = TableSchema(name="t", columns=(SCHEMA.column("income"),))
    result = _run(
        people(500, 5)[["income"]], TRAIN[["income"]], HOLDOUT[["income"]], schema=schema, target="income", protected=()
    )
    assert result.module_scores.fidelity > 0.85
    assert "no column besides" in result.reasons["utility"]
    assert "Needs two columns" in result.reasons["privacy.linkability"]


def test_a_column_that_is_missing_everywhere_does_no_harm():
    tables = [frame.assign(income=np.nan) for frame in (people(400, 5), TRAIN, HOLDOUT)]
    result = _run(*tables)
    assert result.module_scores.fidelity is not None
    assert result.module_scores.privacy is not None


def test_an_outcome_that_is_not_compared_is_a_reason_and_no_error():
    result = _run(people(300, 5), identifiers=frozenset({"good", "sex"}))
    assert "identifier" in result.reasons["utility"]
    assert any("'sex' is not compared" in note for note in result.inputs.notes)
    assert result.inputs.left_out == {"good": "identifier", "sex": "identifier"}


def test_kinds_are_taken_from_the_types_where_no_schema_is_given():
    frame = TRAIN.assign(code=[f"{i:05}" for i in range(len(TRAIN))], flag=TRAIN["age"] > 50)
    result = _run(frame.head(400), frame, None, schema=None)
    assert result.inputs.left_out == {"code": "free text"}
    assert "flag" in result.inputs.columns


def test_missing_columns_empty_frames_and_strangers_are_one_clear_error():
    with pytest.raises(InputError, match="no such column") as error:
        _run(people(50, 5), target="wages")
    assert error.value.column == "wages"
    with pytest.raises(InputError, match="the holdout table has no rows"):
        _run(people(50, 5), TRAIN, HOLDOUT.head(0))
    with pytest.raises(InputError, match="no column in common"):
        _run(pd.DataFrame({"other": [1, 2]}), target=None, protected=())
    with pytest.raises(InputError, match="mixed types"):
        _run(pd.DataFrame({"age": [1, "x"]}), None, None, schema=None, target=None, protected=())


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingArtifactError, match="is not there"):
        audit_tables(tmp_path / "gone", None, None, schema=SCHEMA, engine=ENGINE, seed=0)


def test_cutoffs_are_configurable_and_quoted():
    strict = AuditLevels(membership=Cutoffs(medium=0.0, high=0.01))
    result = _run(people(400, 5), levels=strict)
    assert result.figures.privacy_risk_level == "high"
    assert any("high risk (0.01 or more)" in f.message for f in result.findings("privacy", "membership_inference"))
    assert result.levels == strict


CANARY = "canary-7319"


def test_no_value_of_the_data_stands_in_a_result():
    """A planted category, number and date are in the tables and in no form of the result; group names only in the full one."""
    rare = {"region": CANARY, "income": 731931.37, "age": 731931}
    tables = []
    for frame in (people(600, 5), TRAIN, HOLDOUT):
        planted = frame.copy()
        for name, value in rare.items():
            planted.loc[planted.index[:5], name] = value
        tables.append(planted)
    result = _run(*tables, protected=("sex", "age", "region"))
    full, public = result.model_dump_json(), result.public().model_dump_json()
    assert "731931" not in full
    assert CANARY in full  # a protected column's group names, restricted form
    assert CANARY not in public  # five rows are below the smallest cell
    assert CANARY not in _run(*tables).model_dump_json()
    group = next(
        g
        for f in json.loads(full)["detailed_findings"]["fairness"]["findings"]
        for g in f["groups"]
        if g["name"] == CANARY
    )
    assert group["real_rows"] == 5


def test_the_public_form_holds_two_digits_at_most(fresh):
    def numbers(node):
        if isinstance(node, dict):
            for value in node.values():
                yield from numbers(value)
        elif isinstance(node, list):
            for value in node:
                yield from numbers(value)
        elif isinstance(node, float):
            yield node

    data = json.loads(fresh.public().model_dump_json())
    checked = [data[key] for key in ("overall_score", "module_scores", "detailed_findings", "figures")]
    assert all(round(value, 2) == value for value in numbers(checked))
    assert data["inputs"]["train_rows"] == 2000


def test_every_metric_is_defined_and_every_part_is_timed(fresh):
    emitted = {family(f.metric) for f in fresh.findings()}
    assert emitted == set(fresh.definitions)
    assert emitted <= set(METRICS)
    assert all(seconds >= 0 for seconds in fresh.seconds.values())
    assert {part.partition(".")[0] for part in fresh.seconds} >= {
        "reading",
        "fidelity",
        "privacy",
        "utility",
        "fairness",
    }


def test_a_module_speaks_through_its_worst_deciding_finding(copied):
    privacy = copied.detailed_findings["privacy"]
    deciding = [f for f in privacy.findings if f.decides]
    assert privacy.risk_level == "high"
    assert any(privacy.message.startswith(f.message) and f.risk_level == "high" for f in deciding)
    assert privacy.message.endswith(f"It is the worst of {len(deciding)} figures that decide.")
    assert [f.decides for f in privacy.findings] == sorted((f.decides for f in privacy.findings), reverse=True)


@pytest.mark.shared_data
@pytest.mark.slow
def test_marginal_distances_on_adult_equal_those_of_the_public_harness(shared_data, tmp_path):
    """A bootstrap of Adult (seed 0): figures of the public benchmark harness for the same table, computed with it once."""
    domain = json.loads((shared_data / "adult" / "schema.json").read_text())["columns"]
    schema = TableSchema(
        name="adult",
        columns=tuple(
            ColumnSchema(
                name=n,
                kind=ColumnKind("number" if s["kind"] == "num" else "category"),
                dtype="int64" if s["kind"] == "num" else "string",
            )
            for n, s in domain.items()
        ),
    )
    options = csv.ConvertOptions(strings_can_be_null=False)
    train, holdout = (
        csv.read_csv(shared_data / "adult" / f"{n}.csv", convert_options=options) for n in ("train", "holdout")
    )
    drawn = train.take(pa.array(np.random.default_rng(0).integers(0, train.num_rows, train.num_rows)))
    for name, table in (("train", train), ("holdout", holdout), ("synthetic", drawn)):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    paths = [tmp_path / f"{n}.parquet" for n in ("synthetic", "train", "holdout")]
    result = audit_tables(
        *paths, schema=schema, engine=ENGINE, limits=AuditLimits(attack_rows=500, predicates=100), seed=1
    )
    found = {f.metric: f.value for f in result.findings("fidelity", "tvd")}
    assert found["tvd_1way"] == pytest.approx(TVD[0], abs=2e-5)
    assert found["tvd_2way"] == pytest.approx(TVD[1], abs=2e-5)
    assert found["tvd_3way"] == pytest.approx(TVD[2], abs=2e-5)
    assert result.figures.privacy_risk_level == "high"  # 63 % of the training rows are in a bootstrap


TVD = (0.00477, 0.01287, 0.02543)


@pytest.mark.parametrize(("synthetic", "train", "holdout"), [(1, 1, 1), (2, 40, 3), (40, 3, 140), (300, 140, 35)])
@pytest.mark.parametrize("target", ["good", "income"])
def test_tiny_and_odd_tables_give_a_result_with_reasons(synthetic, train, holdout, target):
    tables = [
        people(synthetic, 1).assign(sex=None),
        people(train, 2).assign(income=np.nan),
        people(holdout, 3).assign(region="north"),
    ]
    result = _run(*tables, target=target, protected=("sex", "age", "joined"))
    assert result.module_scores.fidelity is not None
    assert all(
        result.reasons.get(m) for m in ("privacy", "fairness", "utility") if getattr(result.module_scores, m) is None
    )
