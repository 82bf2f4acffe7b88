"""Safe Harbor on what is easily kept by mistake: elements of dates, small areas, ages in words, short texts that tell how to reach somebody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synth_assets import api

ROWS = 120
OLC = "23456789CFGHJMPQRVWX"


def _admissions() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    first = ["Ada", "Bruno", "Carla", "David", "Elena", "Frank", "Gloria", "Hugo"]
    last = ["Abel", "Smith", "Rossi", "Weber", "Garcia", "Moreau", "Clark", "Young"]
    names = [f"{first[i % 8]} {last[(i // 8) % 8]}" for i in range(ROWS)]
    pick = lambda *pool: [pool[i] for i in rng.integers(0, len(pool), ROWS)]  # noqa: E731
    code = lambda n: "".join(OLC[i] for i in rng.integers(0, len(OLC), n))  # noqa: E731
    return pd.DataFrame(
        {
            "patient_name": names,
            "sex": pick("F", "M"),
            "precinct": [f"{k} Pct." for k in rng.integers(1, 124, ROWS)],
            "plus_code": [f"8{code(1)}{code(2)}{code(4)}+{code(2)}" for _ in range(ROWS)],
            "birth_month": rng.integers(1, 13, ROWS),
            "admit_month": pick("January", "March", "April", "June", "August", "October", "November"),
            "admit_hour": rng.integers(0, 24, ROWS),
            "quarter": pick("Q1", "Q2", "Q3", "Q4"),
            "years_old": [f"{k} years" for k in rng.integers(18, 104, ROWS)],
            "room": [f"{k}-{s}" for k, s in zip(rng.integers(100, 480, ROWS), pick("A", "B"), strict=True)],
            "summary": [f"Please write to desk{i}@mail.org about the bill" for i in range(ROWS)],
            "lab_value": rng.normal(90, 12, ROWS).round(3),
        }
    )


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame]:
    home: Path = tmp_path_factory.mktemp("home")
    raw = _admissions()
    found, _ = api.mask(raw, policy="hipaa_safe_harbor", home=home)
    assert isinstance(found, pd.DataFrame)
    return raw, found


def test_safe_harbor_keeps_no_element_of_a_date_no_small_area_and_no_age_in_words(
    masked: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    raw, found = masked
    for column in raw.columns.difference(["sex", "lab_value", "summary"]):
        left = set(found[column].dropna().astype(str)) if column in found else set()
        assert not left & set(raw[column].astype(str)), column
    assert found["lab_value"].tolist() == raw["lab_value"].tolist()


def test_safe_harbor_scrubs_addresses_out_of_short_texts(masked: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    raw, found = masked
    assert found["summary"].str.startswith("Please write to ").all()
    assert not found["summary"].str.contains("@mail.org", regex=False).any()
    assert not set(found["summary"]) & set(raw["summary"])


@pytest.mark.parametrize(
    "columns",
    [
        {"carrier": ["LH", "EW", "OS"], "flight": ["LH1", "EW2", "OS3"], "delay": [3, 8, 120]},
        {"gl_account": ["4000", "4100", "7700"], "amount": [10.5, 3.25, 99.0], "posted_by": ["jdoe1", "asmith2", "bkim3"]},
        {"store": ["S1", "S2", "S3"], "units": [3, 4, 9], "price": [1.5, 2.5, 7.25]},
    ],
    ids=["flights", "books", "shop"],
)  # fmt: skip
def test_months_quarters_and_hours_of_nobody_are_kept(columns: dict[str, list[object]], tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    table = pd.DataFrame({name: [v[i % 3] for i in range(ROWS)] for name, v in columns.items()})
    times = {"month": (1, 13), "quarter": (1, 5), "hour": (0, 24), "day": (1, 29)}
    for name, (low, high) in times.items():
        table[name] = rng.integers(low, high, ROWS)
    found, _ = api.mask(table, policy="hipaa_safe_harbor", home=tmp_path)
    assert isinstance(found, pd.DataFrame)
    for name in times:
        assert found[name].tolist() == table[name].tolist(), name
