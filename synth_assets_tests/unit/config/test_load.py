"""A YAML is read into one form; every mistake in it is one error with file, line and key."""

import pytest

from synth_assets.config.load import load_dataset
from synth_assets.errors import ConfigError

SHORT = "name: people\nsource: {path: people.csv}\nprimary_key: person_id\ntarget: readmitted\n"
CANARY = "canary@example.org"


@pytest.fixture
def load(tmp_path):
    def loader(text):
        file = tmp_path / "people.yaml"
        file.write_text(text)
        return load_dataset(file)

    return loader


def test_four_lines_are_a_complete_dataset(load):
    config = load(SHORT)
    assert config.tables["people"].primary_key == ("person_id",)
    assert config.locate(config.target) == ("people", "readmitted")
    assert config.population == "people"
    assert [s.name for s in config.synthesizers] == ["dp_marginals", "gaussian_copula"]
    assert (config.budget.epsilon, config.holdout, config.policy) == (10, 0.2, "hipaa_safe_harbor")
    assert config.synthesizers[0].delta == 1e-6


def test_the_short_form_and_the_full_form_are_the_same(load):
    full = "name: people\ntables:\n  people:\n    source: {path: people.csv}\n    primary_key: person_id\ntarget: people.readmitted\n"
    assert load(SHORT).tables == load(full).tables


def test_categories_are_texts(load):
    config = load(SHORT + "columns:\n  code: {kind: category, categories: [1, 2, x]}\n")
    assert config.tables["people"].columns["code"].categories == ("1", "2", "x")


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        (SHORT + "targett: x\n", 5, "targett", "Did you mean `target`"),
        (SHORT + "budget:\n  epsilon: 0\n", 6, "budget.epsilon", "greater than 0"),
        (SHORT + "budget:\n  epsilonn: 1\n", 6, "budget.epsilonn", "not known"),
        (
            SHORT + "synthesizers:\n  - {name: dp_marginals, epsilon: -1}\n",
            6,
            "synthesizers.0.epsilon",
            "greater than 0",
        ),
        (SHORT + "name: again\n", 5, None, "stands twice"),
        ("name: Bad-Name\nsource: {path: x}\n", 1, "name", "lower-case"),
        ("name: x\n", 1, None, "at least one table"),
        ("name: x\nsource: {path: a, url: b}\n", 2, None, "exactly one of"),
        ("name: x\nsource: {url: b}\n", 2, None, "exactly one of `query` and `table`"),
        (SHORT + "owners: [nobody]\n", 5, "owners", "e-mail address or team"),
        ("name: [", 1, None, "not valid YAML"),
        ("- a\n", 1, None, "no mapping"),
    ],
)
def test_a_mistake_names_line_key_and_remedy(load, text, line, key, says):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert caught.value.row == line
    assert key is None or caught.value.key == key
    assert says in str(caught.value)
    assert str(caught.value.file).endswith("people.yaml")


def test_a_target_of_no_table_is_an_error(load):
    tables = "tables:\n  a: {source: {path: a}}\n  b: {source: {path: b}}\n"
    with pytest.raises(ConfigError, match="does not say which table"):
        load(f"name: x\n{tables}target: outcome\n")


def test_a_foreign_key_to_nowhere_is_an_error(load):
    with pytest.raises(ConfigError, match="not `table.column`"):
        load("name: x\ntables:\n  a: {source: {path: a}, foreign_keys: {b_id: b.id}}\n")


def test_no_value_of_the_file_is_quoted(load):
    with pytest.raises(ConfigError) as caught:
        load(SHORT + f"seed: {CANARY}\n")
    assert CANARY not in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match="synth-assets init"):
        load_dataset(tmp_path / "none.yaml")


def test_an_empty_file_is_an_error(load):
    with pytest.raises(ConfigError, match="empty"):
        load("")


def test_a_day_that_no_calendar_has_is_an_error_with_its_line(load):
    with pytest.raises(ConfigError, match="no such day") as caught:
        load(SHORT + "columns:\n  born: {kind: date, lower: 2024-13-01}\n")
    assert caught.value.row == 6


RELATED = (
    "name: x\ntables:\n  a: {source: {path: a}, primary_key: i}\n  b: {source: {path: b}, foreign_keys: {i: a.i}}\n"
)


@pytest.mark.parametrize("name", ["ctgan", "tvae", "copulagan"])
def test_a_network_of_one_table_takes_no_related_tables(load, name):
    with pytest.raises(ConfigError, match=f"{name} models one table; use gaussian_copula"):
        load(RELATED + f"synthesizers: [{{name: {name}}}]\n")
    assert load(SHORT + f"synthesizers: [{{name: {name}}}]\n").synthesizers[0].name == name


def test_hma_takes_related_tables_only_and_says_what_sdv_limits(load):
    assert load(RELATED + "synthesizers: [{name: hma}]\n").synthesizers[0].name == "hma"
    with pytest.raises(ConfigError, match="no table here refers to another"):
        load(SHORT + "synthesizers: [{name: hma}]\n")
    with pytest.raises(ConfigError, match="limits hma to 2 levels.*'c' is a child of a child"):
        load(RELATED + "  c: {source: {path: c}, foreign_keys: {k: b.i}}\nsynthesizers: [{name: hma}]\n")


def test_par_needs_to_know_whose_rows_are_in_which_order(load):
    unit = SHORT + "unit: person_id\nsynthesizers: [{name: par}]\n"
    with pytest.raises(ConfigError, match="`sequence_order` of exactly one table"):
        load(unit)
    with pytest.raises(ConfigError, match="`unit: visits.COLUMN`"):
        load(SEQUENCE.replace("KIND", "date") + "synthesizers: [{name: par}]\n")
    assert load(SEQUENCE.replace("KIND", "date") + "unit: visits.who\nsynthesizers: [{name: par}]\n")


SEQUENCE = (
    "name: x\ntables:\n  visits:\n    source: {path: a}\n    sequence_order: day\n    columns: {day: {kind: KIND}}\n"
)


@pytest.mark.parametrize("kind", ["date", "datetime", "number"])
def test_a_sequence_is_ordered_by_a_column_that_has_an_order(load, kind):
    assert load(SEQUENCE.replace("KIND", kind)).tables["visits"].sequence_order == "day"


def test_a_category_orders_no_sequence(load):
    with pytest.raises(ConfigError, match="no number, date or datetime"):
        load(SEQUENCE.replace("KIND", "category"))


# variants


def test_variants_are_written_with_few_keys(load):
    config = load(
        SHORT
        + "variants:\n  old: {where: {age: 60.., sex: [F, null], born: 1950-01-02, ill: true}}\n  even: {balance: readmitted}\n"
        '  rich: {balance: {column: readmitted, shares: {true: 0.25, "": 0.75}}, augment: true}\n'
    )
    assert config.variants["old"].where == {
        "age": ("60..",), "sex": ("F", None), "born": ("1950-01-02",), "ill": ("true",)
    }  # fmt: skip
    assert config.variants["even"].balance.column == "readmitted"
    assert config.variants["rich"].balance.shares == {"true": 0.25, "": 0.75}
    assert not load(SHORT).variants


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("variants: {Old: {rows: 5}}", "lower-case"),
        ("variants: {old: {}}", "needs `where`"),
        ("variants: {old: {balance: {column: a, shares: {x: 0.5}}}}", "add up to 1"),
        ("variants: {old: {augment: true}}", "`augment` needs `balance`"),
        ("variants: {old: {balance: a, augment: true, rows: 5}}", "`augment` needs `balance`"),
        ("variants: {old: {wear: a}}", "wear"),
        ("variants: {old: {rows: 5}}\nsynthesizers: [{name: gaussian_copula}]", "dp_marginals"),
    ],
)
def test_a_variant_that_cannot_be_is_one_clear_error(load, text, words):
    with pytest.raises(ConfigError, match=words):
        load(f"{SHORT}{text}\n")


def test_a_public_number_of_units_bounds_delta(load):
    assert load(f"{SHORT}unit_count: 900000\n").unit_count == 900_000
    with pytest.raises(ConfigError, match=r"not below 1/n = 1e-06"):
        load(f"{SHORT}unit_count: 1000000\n")
    assert load(f"{SHORT}unit_count: 5000000\nsynthesizers: [{{name: gaussian_copula}}]\n")
    with pytest.raises(ConfigError):
        load(f"{SHORT}unit_count: 0\n")


def test_the_column_that_links_the_rows_of_a_sequence_is_told(load):
    text = SEQUENCE.replace("KIND", "date")
    assert load(text + "unit: visits.who\n").sequence_link == ("visits", "who")
    assert load(text).sequence_link is None
    assert (
        load(
            text.replace("sequence_order: day", "primary_key: who\n    sequence_order: day") + "unit: visits.who\n"
        ).sequence_link
        is None
    )
    assert load(text.replace("    sequence_order: day\n", "") + "unit: visits.who\n").sequence_link is None
