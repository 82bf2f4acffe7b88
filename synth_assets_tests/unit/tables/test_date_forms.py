"""How a source writes its days is noted, so that masked files write them the same way."""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from synth_assets import api
from synth_assets.config.dataset import ColumnConfig
from synth_assets_tests.unit.tables.conftest import Reader

DAYS = (date(1985, 3, 4), date(1990, 12, 25), date(1971, 7, 14))
FORMS = {
    "%m/%d/%Y": ("03/04/1985", "12/25/1990", "07/14/1971"),
    "%-m/%-d/%Y": ("3/4/1985", "12/25/1990", "7/14/1971"),
    "%d.%m.%Y": ("04.03.1985", "25.12.1990", "14.07.1971"),
    "%-d.%-m.%Y": ("4.3.1985", "25.12.1990", "14.7.1971"),
    "%d-%m-%Y": ("04-03-1985", "25-12-1990", "14-07-1971"),
    "%Y/%m/%d": ("1985/03/04", "1990/12/25", "1971/07/14"),
    "%d-%b-%Y": ("04-Mar-1985", "25-Dec-1990", "14-Jul-1971"),
    "%-d %B %Y": ("4 March 1985", "25 December 1990", "14 July 1971"),
    "%b %d, %Y": ("Mar 04, 1985", "Dec 25, 1990", "Jul 14, 1971"),
}


def _lines(cells: tuple[str, ...]) -> str:
    return "name,day\n" + "".join(f'n{i},"{c}"\n' for i, c in enumerate(cells)) + "none,\n"


@pytest.mark.parametrize("form", FORMS)
def test_the_pattern_of_a_column_of_days_is_noted(read: Reader, form: str) -> None:
    made = read.text(_lines(FORMS[form]))
    assert made.column("day") == [*DAYS, None]
    assert made.schema.column("day").date_form == form


def test_mixed_zeros_have_the_usual_pattern_and_iso_none(read: Reader) -> None:
    assert read.text(_lines(("3/4/1985", "12/25/1990", "07/14/1971"))).schema.column("day").date_form == "%m/%d/%Y"
    assert read.text(_lines(("1985-03-04", "1990-12-25", "1971-07-14"))).schema.column("day").date_form is None
    assert read.text("name,day\na,1\nb,2\n").schema.column("day").date_form is None


@pytest.mark.parametrize("form", ["%m/%d/%Y", "%-d.%-m.%Y", "%-d %B %Y"])
def test_masked_days_are_written_as_the_source_writes_them(tmp_path: Path, form: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text(_lines(FORMS[form]))
    columns = {"day": ColumnConfig.model_validate({"action": "date_shift"})}
    for suffix in ("csv", "jsonl", "parquet"):
        api.mask(file, tmp_path / f"out.{suffix}", policy="dev_test", columns=columns, home=tmp_path / "home")
    days = pq.read_table(tmp_path / "out.parquet")["day"].to_pylist()
    assert all(isinstance(d, date) and d != before for d, before in zip(days[:3], DAYS, strict=True))
    wanted = [d.strftime(form) for d in days[:3]]
    with (tmp_path / "out.csv").open(newline="") as lines:
        assert [r["day"] for r in csv.DictReader(lines)] == [*wanted, ""]
    assert [json.loads(line)["day"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [*wanted, None]
    told = json.loads((tmp_path / "out.csv-metadata.json").read_text())["tableSchema"]["columns"][1]["datatype"]
    patterns = {"%m/%d/%Y": "MM/dd/yyyy", "%-d.%-m.%Y": "d.M.yyyy", "%-d %B %Y": "d MMMM yyyy"}
    assert told == {"base": "date", "format": patterns[form]}


def test_days_cut_to_years_keep_the_form(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(_lines(FORMS["%d.%m.%Y"]))
    columns = {"day": ColumnConfig.model_validate({"action": {"action": "generalise", "to": "year"}})}
    api.mask(file, tmp_path / "out.csv", policy="dev_test", columns=columns, home=tmp_path / "home")
    with (tmp_path / "out.csv").open(newline="") as lines:
        assert [r["day"] for r in csv.DictReader(lines)] == ["01.01.1985", "01.01.1990", "01.01.1971", ""]


def test_days_that_could_be_read_both_ways_stay_text_and_keep_their_form(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(_lines(("03/04/1985", "05/06/1990", "07/08/1971")))
    columns = {"day": ColumnConfig.model_validate({"action": "date_shift"})}
    api.mask(file, tmp_path / "out.csv", policy="dev_test", columns=columns, home=tmp_path / "home")
    with (tmp_path / "out.csv").open(newline="") as lines:
        made = [r["day"] for r in csv.DictReader(lines)]
    assert made[3] == ""
    assert all(len(m) == 10 and m[2] == m[5] == "/" for m in made[:3])
    assert not set(made) & {"03/04/1985", "05/06/1990", "07/08/1971"}
