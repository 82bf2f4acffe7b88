"""The library: frames in and out, the same results as with files, and budgets that are charged once and never passed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synth_assets import api
from synth_assets.api.reading import frame_of, ingested, stem_of, texts_kept
from synth_assets.config.dataset import ColumnConfig, SourceConfig, TableConfig
from synth_assets.errors import (
    BudgetExceededError,
    CheckFailedError,
    ConfigError,
    InputError,
    ReleaseRefusedError,
    SourceError,
    UnexpectedError,
)
from synth_assets_tests.unit.cli.conftest import people_text

DOMAIN = {
    "age": ColumnConfig(lower=18, upper=90),
    "sex": ColumnConfig(categories=("F", "M")),
    "readmitted": ColumnConfig(categories=("yes", "no")),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, with its own home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNTH_ASSETS_MASTER_KEY", raising=False)
    return tmp_path / "home"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    lines = people_text(120).splitlines()
    rng = np.random.default_rng(4)
    days = [
        f"19{y}-0{m}-1{d}"
        for y, m, d in zip(rng.integers(30, 99, 120), rng.integers(1, 9, 120), rng.integers(0, 9, 120), strict=True)
    ]
    made = [
        f"{lines[0]},birth_date,zip",
        *(f"{line},{day},0{2100 + i % 60}" for i, (line, day) in enumerate(zip(lines[1:], days, strict=True))),
    ]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(made) + "\n")
    return path


@pytest.fixture
def frame(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, dtype={"zip": str})


def test_the_public_names_are_loaded_lazily_and_audit_stays_callable() -> None:
    code = """
import sys, synth_assets
assert not {"pandas", "pydantic", "ibis"} & set(sys.modules)
from synth_assets import audit, classify, generate, mask, mask_record, people, profile, synthesize
import synth_assets.audit.tables
from synth_assets import audit as again
from synth_assets.audit import AuditResult
assert callable(audit) and callable(again) and synth_assets.audit is again
try:
    audit("nope.csv")
except synth_assets.errors.SourceError as error:
    print(error.message)
try:
    synth_assets.nothing
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == [
        "the file does not exist.",
        "module 'synth_assets' has no attribute 'nothing'",
    ]


def test_a_frame_is_masked_as_its_file_is(file: Path, frame: pd.DataFrame, home: Path) -> None:
    of_frame, done = api.mask(frame, policy="dev_test", home=home)
    of_file, _ = api.mask(file, policy="dev_test", home=home)
    assert isinstance(of_frame, pd.DataFrame)
    assert isinstance(of_file, pd.DataFrame)
    assert {c.column: c.action for c in done.columns}["email"] == "format_preserving"
    pd.testing.assert_frame_equal(of_frame, texts_kept(of_file, frame))
    assert list(of_frame["birth_date"].str.len().unique()) == [10]
    for name in ("email", "ssn", "first_name"):
        assert not (of_frame[name] == frame[name]).any()


@pytest.mark.parametrize("policy", ["dev_test", "hipaa_safe_harbor"])
def test_a_record_gets_the_pseudonyms_of_its_file(file: Path, frame: pd.DataFrame, home: Path, policy: str) -> None:
    masked, _ = api.mask(frame, policy=policy, home=home)
    assert isinstance(masked, pd.DataFrame)
    record = {k: v.item() if hasattr(v, "item") else v for k, v in frame.iloc[5].items()}
    verdicts = api.classify(file)
    expected = {k: v.item() if hasattr(v, "item") else v for k, v in masked.iloc[5].items()}
    assert api.mask_record(record, policy=policy, home=home, verdicts=verdicts) == expected


def test_dates_of_one_person_shift_together_wherever_the_row_stands(frame: pd.DataFrame, home: Path) -> None:
    forward, _ = api.mask(frame, policy="dev_test", home=home)
    backward, _ = api.mask(frame[::-1], policy="dev_test", home=home)
    assert isinstance(forward, pd.DataFrame)
    assert isinstance(backward, pd.DataFrame)
    assert forward["birth_date"].tolist() == backward["birth_date"].tolist()[::-1]


def test_a_missing_cell_of_a_record_stays_missing(home: Path) -> None:
    told = api.mask_record({"email": None, "age": 40}, policy="dev_test", home=home)
    assert told["age"] == 40
    assert told.get("email") is None
    with pytest.raises(InputError, match="empty"):
        api.mask_record({}, home=home)


def test_other_recipients_get_other_pseudonyms(frame: pd.DataFrame, home: Path) -> None:
    record = {"email": "ada@mail.org", "first_name": "Ada", "last_name": "Abel"}
    one, again, other = (
        api.mask_record(record, policy="dev_test", home=home, release_domain=d)["email"] for d in ("a", "a", "b")
    )
    assert one == again != other


def test_a_persons_override_decides_the_action(frame: pd.DataFrame, home: Path) -> None:
    masked, done = api.mask(
        frame, home=home, columns={"readmitted": ColumnConfig(action="redact"), "sex": ColumnConfig(action="drop")}
    )
    assert isinstance(masked, pd.DataFrame)
    assert "sex" not in masked
    assert masked["readmitted"].nunique() == 1
    assert next(c for c in done.columns if c.column == "sex").overridden


def test_kept_identifiers_fail_the_leak_check(frame: pd.DataFrame, home: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError, match="nothing was written") as caught:
        api.mask(frame, tmp_path / "out.csv", home=home, columns={"email": ColumnConfig(action="keep")})
    assert caught.value.column == "email"
    assert "@" not in str(caught.value)
    assert not (tmp_path / "out.csv").exists()


def test_frames_that_are_no_tables_are_clear_errors(home: Path) -> None:
    mixed = pd.DataFrame({"a": [1, 2], "b": [1, "jane.canary@secret.org"]})
    with pytest.raises(InputError, match="several types") as caught:
        api.classify(mixed)
    assert caught.value.column == "b"
    assert "canary" not in str(caught.value)
    with pytest.raises(InputError, match="is empty"):
        api.profile(pd.DataFrame({"a": []}))
    with pytest.raises(InputError, match="one name"):
        api.profile(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(SourceError) as source:
        api.profile(pd.DataFrame({"a": [b"\x00\x01"]}))
    assert (source.value.file, source.value.column) == ("frame", "a")


def test_what_is_known_about_a_frame_survives_the_way_back() -> None:
    frame = pd.DataFrame(
        {
            "n": pd.array([1, None, 2**60], dtype="Int64"),
            "b": pd.array([True, None, False], dtype="boolean"),
            "t": pd.to_datetime(["2024-01-02 03:04:05", None, "2024-02-03 00:00:00"]),
            "c": pd.Categorical(["x", "y", None]),
            "f": [1.5, np.nan, 2.25],
        }
    )
    with ingested(frame) as data:
        back = frame_of(data.folder)
    assert back["n"].tolist() == [1, pd.NA, 2**60]
    assert back["b"].tolist() == [True, pd.NA, False]
    assert back["t"].dt.year.tolist()[0] == 2024
    assert back["c"].tolist() == ["x", "y", None]
    assert back["f"].isna().tolist() == [False, True, False]


def test_a_table_can_be_a_database_query_or_a_file_with_settings(tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "d.db") as connection:
        connection.execute("create table t (a integer, b text)")
        connection.executemany("insert into t values (?, ?)", [(i, "xy"[i % 2]) for i in range(30)])
    connection.close()
    query = TableConfig(source=SourceConfig(url=f"sqlite:///{tmp_path / 'd.db'}", query="select * from t where a < 20"))
    assert api.profile(query, name="t").row_count == 20
    (tmp_path / "x.csv").write_text("a;b\n1;x\n-;y\n")
    config = TableConfig(source=SourceConfig(path="x.csv", delimiter=";"), null_values=("-",))
    assert api.profile(config).column("a").missing == 1


def test_the_name_of_a_table_is_the_stem() -> None:
    assert stem_of("a/b/people.csv.gz") == "people"
    assert stem_of("https://example.org/x/people.csv?sig=1.2") == "people"
    assert stem_of(pd.DataFrame()) == "frame"


def test_progress_names_the_steps_in_order(frame: pd.DataFrame, home: Path, tmp_path: Path) -> None:
    said: list[str] = []
    api.mask(frame, tmp_path / "out.csv", home=home, progress=said.append)
    assert said == ["reading", "classifying columns", "masking", "searching for leaks", "writing out.csv"]


Synthesize = Callable[..., api.Synthesis]


@pytest.fixture
def synthesize(file: Path, home: Path) -> Iterator[Synthesize]:
    def call(**more: Any) -> api.Synthesis:
        settings = {"epsilon": 3.0, "columns": DOMAIN, "target": "readmitted", "home": home, **more}
        return api.synthesize(settings.pop("table", file), **settings)

    return call


def test_a_frame_comes_back_with_fresh_identifiers_and_its_privacy_report(
    synthesize: Synthesize, frame: pd.DataFrame
) -> None:
    made = synthesize(table=frame, epsilon=8)
    assert isinstance(made.table, pd.DataFrame)
    assert list(made.table.columns) == list(frame.columns)
    assert made.rows == len(made.table)
    assert set(made.table["sex"]) <= {"F", "M"}
    assert made.table["age"].between(18, 90).all()
    for name in ("email", "ssn"):
        assert not set(made.table[name]) & set(frame[name])
    assert made.privacy is not None
    assert made.privacy.population == "frame"
    assert made.privacy.level == "moderate"
    assert made.spent == made.privacy.spent.epsilon <= 8


def test_the_same_measurement_is_charged_once(synthesize: Synthesize, home: Path, file: Path) -> None:
    first, again = synthesize(), synthesize()
    assert first.spent > 0
    assert again.spent == 0
    assert again.privacy is not None
    assert first.privacy is not None
    assert again.privacy.budget_left == first.privacy.budget_left
    assert isinstance(first.table, pd.DataFrame)
    assert isinstance(again.table, pd.DataFrame)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert synthesize(seed=8).spent == 0
    assert synthesize(fresh=True).spent > 0
    status = api.open_budget(home).status("people")
    assert [r.label for r in status.releases] == ["file/people"] * 2
    assert status.unit == "row"


@pytest.mark.parametrize("method", ["dp_tvae", "dp_ctgan"])
def test_a_network_is_trained_and_charged_once(
    synthesize: Synthesize, home: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    from synth_assets.synthesis.dpsgd import options

    small = {"steps": 3, "hidden": 8, "latent": 2, "warm_rows": 500, "warm_epochs": 1, "tilt_rows": 300}
    usual = options.training_options
    monkeypatch.setattr(
        options, "training_options", lambda method, config: usual(method, config).model_copy(update=small)
    )
    told: list[str] = []
    made = synthesize(synthesizer=method, progress=told.append)
    assert made.privacy is not None
    assert made.privacy.mechanism == method
    assert made.spent == made.privacy.spent.epsilon <= 3
    assert any("step 3 of 3, epoch 0.3 of 0.3, epsilon so far" in step for step in told)
    assert isinstance(made.table, pd.DataFrame)
    assert set(made.table["sex"]) <= {"F", "M"}
    again = synthesize(synthesizer=method, seed=8)
    assert again.spent == 0
    assert len(api.open_budget(home).status("people").releases) == 1


def test_a_network_may_start_from_random_weights(
    synthesize: Synthesize, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synth_assets.synthesis.dpsgd import options

    usual = options.training_options
    monkeypatch.setattr(
        options, "training_options",
        lambda method, config: usual(method, config).model_copy(update={"steps": 2, "hidden": 8, "tilt_rows": 300}),
    )  # fmt: skip
    made = synthesize(synthesizer="dp_tvae", from_scratch=True)
    assert made.privacy is not None
    assert any("2 steps from random weights" in note for note in made.privacy.notes)
    with pytest.raises(InputError, match="dp_marginals has no weights") as caught:
        synthesize(from_scratch=True)
    assert caught.value.key == "from_scratch"
    assert len(api.open_budget(home).status("people").releases) == 1


def test_a_budget_that_does_not_suffice_is_refused_before_the_table_is_read(
    synthesize: Synthesize, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("the table was read")

    monkeypatch.setattr("synth_assets.synthesis.charged.measure_release", read)
    api.open_budget(home).declare("people", "row", 2.0, 1e-5)
    with pytest.raises(BudgetExceededError, match="No data was read"):
        synthesize()
    status = api.open_budget(home).status("people")
    assert (status.spent, status.reserved, status.epsilon) == (0, 0, 2.0)


def test_a_budget_of_persons_does_not_pay_for_rows(synthesize: Synthesize, home: Path) -> None:
    api.open_budget(home).declare("people", "patients.patient_id", 10.0, 1e-5)
    with pytest.raises(InputError, match=r"counts 'patients\.patient_id'") as caught:
        synthesize()
    assert caught.value.key == "population"
    assert synthesize(population="people_rows").spent > 0


def test_a_lost_ledger_is_no_fresh_start(synthesize: Synthesize, home: Path) -> None:
    synthesize()
    for path in (home / "var" / "ledger").iterdir():
        path.unlink()
    with pytest.raises(ReleaseRefusedError, match="ledger knows nothing"):
        synthesize()


def test_a_delta_of_one_in_n_releases_nothing(synthesize: Synthesize, tmp_path: Path) -> None:
    (tmp_path / "large.csv").write_text(people_text(600))  # far from 1 / delta, whatever the noise of its row count
    with pytest.raises(InputError, match="not below 1 / n") as caught:
        synthesize(table=tmp_path / "large.csv", delta=0.009, out=tmp_path / "o.csv", home=_generous(tmp_path, "large"))
    assert caught.value.key == "delta"
    assert not (tmp_path / "o.csv").exists()


def _generous(tmp_path: Path, population: str) -> Path:
    """A home whose population accepts nearly any delta."""
    home = tmp_path / "generous"
    api.open_budget(home).declare(population, "row", 10.0, 9.5e-3)
    return home


def test_a_target_that_identifies_is_refused(synthesize: Synthesize) -> None:
    with pytest.raises(ConfigError, match="never modelled"):
        synthesize(target="email")


def test_a_fault_after_the_first_read_costs_all_of_the_reservation(
    synthesize: Synthesize, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synth_assets.synthesis import charged

    def failing(plan: Any, *, gate: Callable[[], None], **_: object) -> None:
        gate()
        raise RuntimeError("gone")

    monkeypatch.setattr(charged, "measure_release", failing)
    with pytest.raises(RuntimeError):
        synthesize()
    status = api.open_budget(home).status("people")
    assert status.spent > 2.5
    assert status.releases[0].outcome == "failed"


def test_a_fault_before_the_first_read_costs_nothing(
    synthesize: Synthesize, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synth_assets.synthesis import charged

    def failing(plan: Any, **_: object) -> None:
        raise RuntimeError("gone")

    monkeypatch.setattr(charged, "measure_release", failing)
    with pytest.raises(RuntimeError):
        synthesize()
    assert api.open_budget(home).status("people").left == 10.0


def test_what_ran_beyond_the_plan_is_thrown_away(
    synthesize: Synthesize, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synth_assets.synthesis import charged

    real = charged.measure_release

    def more(plan: Any, **given: Any) -> Any:
        measured = real(plan, **given)
        return replace(measured, events=(*measured.events, *measured.events))

    monkeypatch.setattr(charged, "measure_release", more)
    with pytest.raises(BudgetExceededError, match="more ran than was planned"):
        synthesize()
    assert api.open_budget(home).status("people").spent > 2.5


def test_the_copula_spends_nothing_and_has_no_budget(synthesize: Synthesize, home: Path) -> None:
    made = synthesize(synthesizer="gaussian_copula", rows=40)
    assert (made.rows, made.privacy, made.spent) == (40, None, 0.0)
    assert api.open_budget(home).populations() == ()


@pytest.mark.parametrize("name", ["ctgan", "tvae", "copulagan"])
def test_a_network_that_is_not_private_spends_nothing_and_tells_its_epochs(
    frame: pd.DataFrame, home: Path, name: str
) -> None:
    pytest.importorskip("sdv", reason="the optional package SDV is not installed")
    heard: list[str] = []
    made = api.synthesize(frame, synthesizer=name, rows=40, epochs=2, target="readmitted", progress=heard.append)
    assert (made.rows, made.privacy, made.spent) == (40, None, 0.0)
    assert isinstance(made.table, pd.DataFrame)
    assert list(made.table.columns) == list(frame.columns)
    assert set(made.table["sex"].dropna()) <= set(frame["sex"])
    assert f"training {name}: epoch 2 of 2, 0 s left" in heard
    assert not (home / "var" / "ledger").exists()


def test_epochs_are_for_networks_only(frame: pd.DataFrame, home: Path) -> None:
    with pytest.raises(InputError, match=r"dp_marginals is not trained in epochs.*ctgan"):
        api.synthesize(frame, epochs=3)
    with pytest.raises(InputError, match="hma must know how rows hang together.*YAML"):
        api.synthesize(frame, synthesizer="hma")
    with pytest.raises(InputError, match="must be 1 to 100,000"):
        api.synthesize(frame, synthesizer="tvae", epochs=0)


def test_audit_takes_frames(frame: pd.DataFrame) -> None:
    result = api.audit(frame, frame, target="readmitted", protected=["sex"])
    copies = result.findings("privacy", "exact_copies")
    assert result.module_scores.fidelity == pytest.approx(1.0, abs=0.01)
    assert not copies or copies[0].value == 1.0
    with pytest.raises(InputError, match="held-out table has no such column"):
        api.audit(frame, frame, frame[["age", "sex"]], target="readmitted")


def test_an_audit_trains_shadow_models_on_held_out_rows_where_it_is_told_how() -> None:
    rng = np.random.default_rng(0)
    real = pd.DataFrame({n: rng.normal(size=2200) for n in "xyz"})
    asked = []

    def copying(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
        asked.append(len(rows))
        return rows

    result = api.audit(real[:700], real[:700], real[700:].reset_index(drop=True), shadow=copying, shadow_models=2)
    found = result.findings("privacy", "membership_inference.shadow_models")
    assert [f.risk_level for f in found] == ["high"]
    assert len(asked) == 2


def test_people_are_a_frame_or_a_file_of_any_format(tmp_path: Path) -> None:
    frame = api.people(30, locale="fr_FR", seed=4)
    assert isinstance(frame, pd.DataFrame)
    assert frame["national_id"].nunique() == 30
    for suffix in ("csv", "parquet", "json"):
        file = tmp_path / f"people.{suffix}"
        assert api.people(30, file, locale="fr_FR", seed=4) == file
    read = pd.read_csv(tmp_path / "people.csv", dtype=str)
    assert read["zip"].tolist() == frame["zip"].tolist()
    assert read["birth_date"].tolist() == [str(d) for d in frame["birth_date"]]
    assert pd.read_parquet(tmp_path / "people.parquet")["city"].tolist() == frame["city"].tolist()
    with pytest.raises(InputError, match="whole number"):
        api.people(0)
    with pytest.raises(InputError, match="no people of"):
        api.people(3, locale="xx_XX")  # type: ignore[arg-type]


def test_generate_writes_files_of_one_format(tmp_path: Path) -> None:
    schema = tmp_path / "s.yaml"
    schema.write_text("name: s\ntables:\n  t:\n    rows: 5\n    columns:\n      e: {type: email}\n")
    made = api.generate(schema, tmp_path / "out", fmt="parquet", rows={"t": 7})
    assert api.profile(made["t"]).row_count == 7
    with pytest.raises(InputError, match="'xml' is no format"):
        api.generate(schema, tmp_path / "out", fmt="xml")


@pytest.mark.parametrize(
    ("call", "fails"),
    [
        (api.classify, "synth_assets.pii.classify.classify_table"),
        (api.profile, "synth_assets.profiling.profile.profile_table"),
    ],
)
def test_no_exception_of_another_library_reaches_the_caller_with_a_value(
    monkeypatch: pytest.MonkeyPatch, frame: pd.DataFrame, call: Callable[..., Any], fails: str
) -> None:
    def quote(*_: object, **__: object) -> None:
        raise ValueError("could not convert '123-45-6789'")

    monkeypatch.setattr(fails, quote)
    with pytest.raises(UnexpectedError) as caught:
        call(frame)
    assert "6789" not in str(caught.value)
    assert caught.value.__cause__ is None
