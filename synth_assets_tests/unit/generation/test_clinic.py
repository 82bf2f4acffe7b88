"""The demo schema: what depends on what, and that nobody real is in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synth_assets.generation import lists, load_schema, make_tables

PATH = Path(__file__).resolve().parents[3] / "configs" / "schemas" / "clinic.yaml"
Frames = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def clinic() -> Frames:
    return {name: table.to_pandas() for name, table in make_tables(load_schema(PATH), seed=7).items()}


def test_it_has_five_thousand_patients_and_a_few_visits_each(clinic: Frames) -> None:
    assert len(clinic["patients"]) == 5000
    assert 1.5 < len(clinic["encounters"]) / 5000 < 3
    assert 0.7 < len(clinic["claims"]) / len(clinic["encounters"]) < 1.3


def test_keys_and_dates_hold(clinic: Frames) -> None:
    patients, encounters, claims = clinic["patients"], clinic["encounters"], clinic["claims"]
    for frame, key in ((patients, "patient_id"), (encounters, "encounter_id"), (claims, "claim_id")):
        assert frame[key].is_unique
    visits = encounters.merge(patients, on="patient_id", validate="many_to_one")
    assert len(visits) == len(encounters)
    assert (visits["admission_date"] >= visits["birth_date"]).all()
    assert (visits["discharge_date"] - visits["admission_date"] == pd.to_timedelta(visits["length_of_stay"], "D")).all()
    assert ((visits["length_of_stay"] > 0) == (visits["visit_type"] == "inpatient")).all()
    billed = claims.merge(encounters, on="encounter_id", validate="many_to_one", suffixes=("", "_visit"))
    assert len(billed) == len(claims)
    assert (billed["patient_id"] == billed["patient_id_visit"]).all()
    assert (billed["service_date"] >= billed["admission_date"]).all()
    assert (billed["service_date"] <= billed["discharge_date"]).all()
    assert (claims["paid_amount"] <= claims["billed_amount"]).all()
    assert ((claims["paid_amount"] > 0) == (claims["status"] == "paid")).all()


def test_places_agree(clinic: Frames) -> None:
    zips = {(c.name, c.state): c.zip3 for c in lists.cities()}
    for row in clinic["patients"].itertuples():
        assert row.zip[:3] == zips[(row.city, row.state)]
        assert row.state in {"MA", "NH", "VT", "ME", "RI", "CT"}
        assert row.phone is None or row.phone[:3] in lists.area_codes(row.state)


def test_identifiers_are_unique_and_nobodys(clinic: Frames) -> None:
    patients = clinic["patients"]
    for column in ("ssn", "mrn", "email", "phone"):
        known = patients[column].dropna()
        assert known.is_unique
        assert len(known) > 4000
    assert patients["ssn"].dropna().str.startswith("9").all()
    assert patients["email"].dropna().str.contains(r"@example\.(?:com|org|net)$").all()
    assert patients["phone"].dropna().str[3:8].eq("-555-").all()
    assert clinic["encounters"]["attending_npi"].nunique() <= 80


def test_notes_agree_with_their_row(clinic: Frames) -> None:
    visits = clinic["encounters"].merge(clinic["patients"], on="patient_id").dropna(subset=["note"])
    mentions = {
        column: [str(v) in n for v, n in zip(visits[column], visits["note"], strict=True)]
        for column in ("first_name", "last_name", "phone", "mrn", "icd10_code")
    }
    shares = {column: np.mean(found) for column, found in mentions.items()}
    assert shares["last_name"] > 0.7
    assert shares["first_name"] > 0.6
    assert 0.05 < shares["phone"] < 0.6
    assert 0.05 < shares["mrn"] < 0.6
    strangers = visits["note"].str.extractall(r"(MRN-\d{8})")[0].to_numpy()
    assert set(strangers) <= set(clinic["patients"]["mrn"])
    named = visits["note"].str.contains(r"\d{3}-555-\d{4}")
    assert (named == np.array(mentions["phone"])).all()  # a number in a note is always the patient's own
    stays = visits["note"].str.contains("discharged on|Discharge summary")
    assert visits.loc[stays, "visit_type"].eq("inpatient").all()
    descriptions = {d.code: d.description for d in lists.diagnoses()}
    assert all(descriptions[c] in n for c, n in zip(visits["icd10_code"], visits["note"], strict=True))


def test_diagnoses_fit_the_patient(clinic: Frames) -> None:
    visits = clinic["encounters"].merge(clinic["patients"], on="patient_id")
    known = {d.code: d for d in lists.diagnoses()}
    for row in visits.itertuples():
        diagnosis = known[row.icd10_code]
        assert diagnosis.sex in {"", row.sex}
        assert diagnosis.department == row.department
        age = max(0, (row.admission_date - row.birth_date).days // 365.25)
        assert diagnosis.min_age <= age <= diagnosis.max_age


def test_age_leads_to_illness_visits_and_readmission(clinic: Frames) -> None:
    patients = clinic["patients"]
    age = (np.datetime64("2025-12-31") - patients["birth_date"].to_numpy().astype("datetime64[D]")).astype(int) / 365.25
    stays = clinic["encounters"].groupby("patient_id")["length_of_stay"].sum().reindex(patients["patient_id"]).fillna(0)
    assert (stays.to_numpy() == patients["inpatient_days"].to_numpy()).all()
    old, young = age >= 65, age < 35
    for column in ("chronic_conditions", "inpatient_days", "readmitted"):
        assert patients[column][old].mean() > 2 * patients[column][young].mean()
    assert (
        (patients["insurance"] == "Medicare")[old].mean()
        > 0.5
        > 0.2
        > (patients["insurance"] == "Medicare")[young].mean()
    )
    assert not patients["smoker"][age < 16].any()
    assert (patients["marital_status"][age < 19].dropna() == "single").all()
    assert 0.15 < patients["readmitted"].mean() < 0.27


def test_a_classifier_finds_readmission(clinic: Frames) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    patients = clinic["patients"]
    age = (np.datetime64("2025-12-31") - patients["birth_date"].to_numpy().astype("datetime64[D]")).astype(int) / 365.25
    features = np.column_stack(
        [age, patients["chronic_conditions"], np.minimum(patients["inpatient_days"], 12), patients["smoker"]]
    )
    model = LogisticRegression(max_iter=1000).fit(features[:3500], patients["readmitted"][:3500])
    auc = roc_auc_score(patients["readmitted"][3500:], model.predict_proba(features[3500:])[:, 1])
    assert 0.75 < auc < 0.86


def test_amounts_depend_on_the_visit_and_the_payer_on_the_insurance(clinic: Frames) -> None:
    claims = (
        clinic["claims"]
        .merge(clinic["encounters"], on="encounter_id", suffixes=("", "_visit"))
        .merge(clinic["patients"], on="patient_id")
    )
    median = claims.groupby("visit_type")["billed_amount"].median()
    assert median["inpatient"] > 3 * median["emergency"] > 6 * median["outpatient"]
    assert (claims.loc[claims["insurance"] == "Medicare", "payer"] == "Medicare").all()
    assert (claims.loc[claims["insurance"] == "Uninsured", "payer"] == "Self-pay").all()
    assert claims.groupby("patient_id")["payer"].nunique().max() == 1
    assert set(claims["payer"]) <= {p.name for p in lists.payers()}
    settings = {p.code: p.setting for p in lists.procedures()}
    assert (claims["procedure_code"].map(settings) == claims["visit_type"]).all()
