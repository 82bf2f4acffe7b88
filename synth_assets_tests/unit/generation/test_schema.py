"""Schemas: what is wrong is said with file, line and key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from synth_assets.config.generation import COLUMN_TYPES
from synth_assets.errors import ConfigError
from synth_assets.generation import load_schema, make_tables

GOOD = """\
name: shop
tables:
  customers:
    rows: 20
    primary_key: id
    columns:
      id: {type: sequence}
      age: {type: number, minimum: 18, maximum: 90}
      dx: {type: icd10}
  orders:
    parent: customers
    children: {distribution: poisson, mean: 2}
    columns:
      customer: {type: foreign_key, references: customers.id}
      paid: {type: boolean, probability: "0.1 + 0.8 * (customers.age > 40)"}
"""


def load(folder: Path, text: str) -> None:
    path = folder / "s.yaml"
    path.write_text(text, encoding="utf-8")
    load_schema(path)


def test_a_good_schema_loads(tmp_path: Path) -> None:
    load(tmp_path, GOOD)


def test_the_example_of_the_how_to_works(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "howto" / "generate.md"
    text = page.read_text(encoding="utf-8")
    example = text.split("```yaml\n")[1].split("```")[0]
    load(tmp_path, example)
    made = make_tables(load_schema(tmp_path / "s.yaml"), seed=1)
    assert made["customers"].num_rows == 1000
    types = set(
        re.findall(
            r"`([a-z_0-9]+)`", "".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
        )
    )
    assert types <= COLUMN_TYPES


C = "tables.customers.columns"
ORDERS = "tables.orders.columns"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "part"),
    [
        ("{type: number, minimum: 18, maximum: 90}", "{type: nummer}", 8, f"{C}.age", "nummer"),
        ("maximum: 90}", "maximun: 90}", 8, f"{C}.age.maximun", "not known"),
        (", maximum: 90}", "}", 8, f"{C}.age", "needs `maximum`"),
        ("maximum: 90}", "maximum: 3}", 8, f"{C}.age", "above"),
        ("minimum: 18", "mean: 3, minimum: 18", 8, f"{C}.age", "has no `mean`"),
        ("{type: icd10}", "{type: enum, values: [a, b], weights: [1]}", 9, f"{C}.dx", "1 entries"),
        ("{type: icd10}", "{type: enum, values: [a, a]}", 9, f"{C}.dx", "twice"),
        ("{type: icd10}", "{type: enum, values: {a: 0, b: 0}}", 9, f"{C}.dx", "above 0"),
        ("{type: icd10}", "{type: number, minimum: lorem ipsum, maximum: 3}", 9, f"{C}.dx.minimum", "not a formula"),
        ("{type: icd10}", "{type: number, minimum: ages, maximum: 3}", 9, f"{C}.dx.minimum", "'ages'"),
        ("{type: icd10}", "{type: icd10, age: aeg}", 9, f"{C}.dx.age", "'aeg'"),
        ("{type: icd10}", "{type: icd10, missing: 1.5}", 9, f"{C}.dx.missing", "0 to 1"),
        ("{type: icd10}", "{type: lookup, code: age, field: kind}", 9, f"{C}.dx.field", "'number'"),
        ("{type: icd10}", "{type: text, domain: poems}", 9, f"{C}.dx.domain", "clinical_note"),
        ("{type: icd10}", "{type: text, domain: clinical_note}", 9, f"{C}.dx.fields", "no sentence"),
        ("{type: icd10}", "{type: text, templates: ['{nobody}']}", 9, f"{C}.dx.fields", "'nobody'"),
        ("{type: icd10}", "{type: text, templates: ['{']}", 9, f"{C}.dx.templates", "alone"),
        ("{type: icd10}", "{type: enum, values: [yes, no]}", 9, f"{C}.dx.values", "quotes"),
        ("{type: icd10}", "{type: enum, values: {no: 1}}", 9, f"{C}.dx.values", "quotes"),
        ("{type: icd10}", "{type: date, start: '2024-13-05'}", 9, f"{C}.dx.start", "valid date"),
        ("{type: icd10}", "{type: date, start: 2024-13-01}", 9, None, "no such day"),
        ("{type: icd10}", "{type: date, start: 5}", 9, f"{C}.dx.start", "2024-01-31"),
        ("{type: icd10}", "{type: text}", 9, f"{C}.dx", "either"),
        ("{type: icd10}", "{type: rollup, table: shops}", 9, f"{C}.dx.table", "no child"),
        ("{type: icd10}", "{type: rollup, table: orders, function: sum}", 9, f"{C}.dx", "needs one"),
        ("{type: icd10}", "{type: rollup, table: orders, function: sum, column: pay}", 9, f"{C}.dx.column", "'pay'"),
        ("{type: icd10}", "{type: pattern, pattern: ü}", 9, f"{C}.dx.pattern", "ASCII"),
        ("{type: icd10}", "{type: foreign_key, references: orders.customer}", 9, f"{C}.dx.references", "no key"),
        ("{type: icd10}", "{type: formula, formula: 'age + dx'}", 9, f"{C}.dx", "circle"),
        (
            "dx: {type: icd10}",
            "dx: {type: formula, formula: ez}\n      ez: {type: formula, formula: dx}",
            None,
            None,
            "circle",
        ),
        ("rows: 20", "rows: 0", 4, "tables.customers.rows", "greater than"),
        ("    rows: 20\n", "", 3, "tables.customers", "either `rows`"),
        ("primary_key: id", "primary_key: idd", 5, "tables.customers.primary_key", "'idd'"),
        ("primary_key: id", "primary_key: age", 5, "tables.customers.primary_key", "may repeat"),
        ("primary_key: id", "states: [ZZ]", 5, "tables.customers.states", "two-letter"),
        ("{type: sequence}", "{type: sequence, missing: 0.1}", 7, f"{C}.id.missing", "never missing"),
        ("{type: sequence}", "{type: sequence, hidden: true}", 5, "tables.customers.primary_key", "no visible"),
        ("parent: customers", "parent: custmers", 11, "tables.orders.parent", "'custmers'"),
        ("    parent: customers\n", "    parent: orders\n", 11, "tables.orders.parent", "cycle"),
        ("mean: 2}", "mean: agee}", 12, "tables.orders.children.mean", "'agee'"),
        ("children: {distribution: poisson, mean: 2}", "rows: 3", 10, "tables.orders", "together"),
        (
            "references: customers.id",
            "references: customers.idd",
            14,
            f"{ORDERS}.customer.references",
            "'customers.idd'",
        ),
        ("references: customers.id", "references: customers.age", 14, f"{ORDERS}.customer.references", "may repeat"),
        ("references: customers.id", "references: id", 14, f"{ORDERS}.customer.references", "pattern"),
        ("customers.age > 40", "shops.age > 40", 15, f"{ORDERS}.paid.probability", "'shops'"),
        ("customers.age > 40", "customers.agge > 40", 15, f"{ORDERS}.paid.probability", "Did you mean 'age'"),
        ("name: shop", "name: Shop", 1, "name", "lower-case"),
        ("  orders:", "  1orders:", 2, "tables", "table name"),
        ("      age:", "      a.ge:", 3, "tables.customers", "column name"),
    ],
)
def test_a_mistake_names_file_line_and_key(
    tmp_path: Path, old: str, new: str, line: int | None, key: str | None, part: str
) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))
    error = caught.value
    assert part in str(error)
    assert error.file == str(tmp_path / "s.yaml")
    assert error.row == line or line is None
    assert error.key == key or key is None


def test_tables_that_refer_to_each_other_in_a_circle_are_refused(tmp_path: Path) -> None:
    text = """\
name: ring
tables:
  a: {rows: 3, columns: {id: {type: uuid}, b: {type: foreign_key, references: b.id}}}
  b: {rows: 3, columns: {id: {type: uuid}, a: {type: foreign_key, references: a.id}}}
"""
    with pytest.raises(ConfigError, match="circle") as caught:
        load(tmp_path, text)
    assert caught.value.row in {3, 4}


def test_every_column_hidden_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hidden"):
        load(tmp_path, "name: a\ntables: {t: {rows: 1, columns: {x: {type: uuid, hidden: true}}}}\n")


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_schema(tmp_path / "none.yaml")
