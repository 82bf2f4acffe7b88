"""The drafted YAML: it loads, it reads the table as it was read before, and it gives nobody away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from synth_assets.config.load import load_dataset
from synth_assets.errors import ConfigError, SourceError
from synth_assets.tables.draft import draft_config, round_outward, slug
from synth_assets.tables.engine import Engine
from synth_assets.tables.sources import ingest


def _people(rows: int = 200) -> str:
    made = np.random.default_rng(5)
    lines = ["person_id,first_name,email,sex,rare,age,income,born,smoker,code,note"]
    for i in range(rows):
        rare = "canary-value" if i == 3 else "usual"
        lines.append(
            f"P{i:04d},Name{i % 30},p{i}@example.org,{'FM'[i % 2]},{rare},{20 + made.integers(0, 63)},{made.uniform(1, 98_765):.2f},"
            f"19{40 + i % 60}-03-0{1 + i % 9},{'true' if i % 3 else 'false'},{i % 2},said something {i}"
        )
    return "\n".join(lines) + "\n"


@pytest.fixture
def drafted(read: Any) -> dict[str, Any]:
    path = read.write(_people(), "My People (2024).csv")
    text = draft_config(path, engine=Engine(threads=1))
    (read.base / "draft.yaml").write_text(text)
    return {"text": text, "yaml": yaml.safe_load(text), "path": path}


def test_the_draft_is_a_dataset_that_loads(read: Any, drafted: dict[str, Any]) -> None:
    config = load_dataset(read.base / "draft.yaml")
    assert config.name == "my_people_2024"
    table = config.tables["my_people_2024"]
    assert (table.primary_key, table.source.path) == (("person_id",), "My People (2024).csv")
    assert len(table.columns) == 11


def test_reading_by_the_draft_gives_the_same_table(read: Any, drafted: dict[str, Any]) -> None:
    table = next(iter(load_dataset(read.base / "draft.yaml").tables.values()))
    by_draft = read.source(table.source, table=table)
    kinds = {c.name: c.kind.value for c in by_draft.schema.columns}
    assert kinds == {
        "person_id": "id", "first_name": "category", "email": "id", "sex": "category", "rare": "category", "age": "number",
        "income": "number", "born": "date", "smoker": "boolean", "code": "category", "note": "text",
    }  # fmt: skip
    assert all(c.inferred for c in by_draft.schema.columns if c.name != "person_id")
    rows = by_draft.rows
    free = read.source(table.source)
    assert [tuple(map(str, r)) for r in free.rows] == [tuple(map(str, r)) for r in rows]


def test_all_that_came_from_the_data_is_marked_and_the_header_says_so(drafted: dict[str, Any]) -> None:
    columns = drafted["yaml"]["columns"]
    assert all(entry["inferred"] is True for entry in columns.values())
    assert "needs your review" in drafted["text"].split("name:")[0]
    assert "inferred: unique in every row" in drafted["text"]


def test_the_domain_is_rounded_outward_and_lists_frequent_values_only(drafted: dict[str, Any]) -> None:
    columns = drafted["yaml"]["columns"]
    assert (columns["age"]["lower"], columns["age"]["upper"]) == (0, 90)
    assert (columns["income"]["lower"], columns["income"]["upper"]) == (0, 100_000)
    assert (columns["born"]["lower"], columns["born"]["upper"]) == ("1940-01-01", "1999-12-31")
    assert columns["sex"]["categories"] == ["F", "M"]
    assert columns["code"] == {"kind": "category", "categories": ["0", "1"], "inferred": True}


def test_no_value_of_an_identifying_or_rare_kind_is_written(drafted: dict[str, Any]) -> None:
    columns = drafted["yaml"]["columns"]
    for name in ("person_id", "first_name", "email", "rare", "note"):
        assert set(columns[name]) == {"kind", "inferred"}
    for value in ("canary-value", "Name1", "P0001", "@example.org", "said"):
        assert value not in drafted["text"]


def test_candidates_for_the_target_are_only_a_comment(drafted: dict[str, Any]) -> None:
    assert "target" not in drafted["yaml"]
    assert "# target: the column that a model would predict; it could be 'code', 'smoker'" in drafted["text"]


def test_what_is_odd_in_the_file_stands_in_the_draft(read: Any) -> None:
    text = draft_config(read.write("1,2\n3,4\n5,6\n"), name="plain", engine=Engine(threads=1))
    assert "# Note on the file: the first row holds values" in text
    assert yaml.safe_load(text)["name"] == "plain"
    assert "# primary_key" in text


def test_odd_column_names_survive_the_draft(read: Any) -> None:
    names = ["yes", "null", "2019", "a: b", "#c", "it's", 'say ""x""', "é\U0001f600", "- d", "{e}", "n" * 2_000, "x\ty"]
    path = read.write(",".join(f'"{n}"' for n in names) + "\n" + ",".join("ab" for _ in names) + "\n", "odd.csv")
    (read.base / "draft.yaml").write_text(draft_config(path, engine=Engine(threads=1)))
    table = next(iter(load_dataset(read.base / "draft.yaml").tables.values()))
    schema = ingest(
        table.source, name="t", base_dir=read.base, out=read.base / "o", engine=Engine(threads=1), table=table
    )
    assert list(table.columns) == list(schema.names)


def test_the_path_is_relative_to_the_yaml(read: Any) -> None:
    path = read.write("a,b\n1,x\n")
    text = draft_config(path, yaml_folder=read.base / "configs" / "datasets", engine=Engine(threads=1))
    assert yaml.safe_load(text)["source"]["path"] == str(Path("..") / ".." / "t.csv")


def test_a_bad_name_and_a_bad_file_are_refused(read: Any) -> None:
    with pytest.raises(ConfigError, match="no dataset name"):
        draft_config(read.write("a,b\n1,x\n"), name="Not A Name")
    with pytest.raises(SourceError, match="does not exist"):
        draft_config(read.base / "gone.csv")


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [(17, 90, (0, 90)), (12_285, 1_484_705, (0, 2_000_000)), (-3, 8, (-10, 10)), (41.2, 42.8, (41, 43)), (0, 0, (0, 1)), (5, 5, (5, 6)),
     (0.011, 0.094, (0, 0.1)), (-2.5e9, 1, (-3e9, 1e9))],
)  # fmt: skip
def test_bounds_are_rounded_by_hand_calculation(lower: float, upper: float, expected: tuple[float, float]) -> None:
    assert round_outward(lower, upper) == pytest.approx(expected)


@given(st.floats(-1e12, 1e12), st.floats(0, 1e12))
def test_rounded_bounds_hold_the_values_and_are_ordered(lower: float, span: float) -> None:
    low, high = round_outward(lower, lower + span)
    slack = 1e-9 * max(1.0, abs(lower), abs(lower + span))
    assert low < high
    assert low <= lower + slack
    assert high >= lower + span - slack


@given(st.text(max_size=30))
def test_every_file_name_gives_a_dataset_name(text: str) -> None:
    from synth_assets.config.dataset import DATASET_NAME

    assert DATASET_NAME.fullmatch(slug(text))
