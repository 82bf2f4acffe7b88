"""The schema of tables made from nothing: tables, typed columns, rules between columns, parents and children.

What belongs here: the form of the YAML, and checks that need one key only. What does not: checks across tables (generation/plan.py)
and the making of values.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from synth_assets.config.base import Config
from synth_assets.config.dataset import DATASET_NAME, Names
from synth_assets.config.formulas import Formula, formula_names

COLUMN_NAME = re.compile(r"[^.{}@\s][^.{}@\n\r]{0,119}")
TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
MAX_ROWS = 1_000_000_000
Distribution = Literal["fixed", "uniform", "normal", "lognormal", "exponential", "poisson", "zipf"]
CodeType = Literal[
    "ssn", "itin", "passport", "driver_license", "national_id", "tax_id", "card_number", "iban", "swift", "routing_number",
    "account_number", "npi", "dea", "mrn", "health_plan_id", "vin", "license_plate", "device_id", "ip_address", "mac_address",
    "password_or_secret", "customer_id", "other_id",
]  # fmt: skip
PERSON_TYPES = ("first_name", "last_name", "full_name", "email", "username", "url")
PLACE_TYPES = ("street_address", "city", "state", "zip", "phone", "fax")
_NEEDS: dict[str, tuple[str, ...]] = {
    "fixed": ("value",),
    "uniform": ("minimum", "maximum"),
    "normal": ("mean", "std"),
    "lognormal": ("median", "sigma"),
    "exponential": ("mean",),
    "poisson": ("mean",),
    "zipf": ("exponent", "maximum"),
}


class Spread(Config):
    """A distribution of numbers; each parameter is a number or a formula over columns that stand above."""

    distribution: Distribution = "uniform"
    minimum: Formula | None = Field(default=None, description="Lowest value; draws below it are drawn again.")
    maximum: Formula | None = Field(default=None, description="Highest value; draws above it are drawn again.")
    value: Formula | None = Field(default=None, description="With `fixed`.")
    mean: Formula | None = Field(default=None, description="With normal, exponential, poisson.")
    std: Formula | None = Field(default=None, description="With normal.")
    median: Formula | None = Field(default=None, description="With lognormal.")
    sigma: Formula | None = Field(default=None, description="With lognormal: standard deviation of the logarithm.")
    exponent: float | None = Field(default=None, gt=1, le=10, description="With zipf; the values are 1, 2, 3 ...")

    @model_validator(mode="after")
    def _complete(self) -> Spread:
        missing = [k for k in _NEEDS[self.distribution] if getattr(self, k) is None]
        if missing:
            raise ValueError(f"the distribution {self.distribution} needs `{'` and `'.join(missing)}`")
        given = [k for names in _NEEDS.values() for k in names if getattr(self, k) is not None]
        idle = sorted(set(given) - set(_NEEDS[self.distribution]) - {"minimum", "maximum"})
        if idle:
            raise ValueError(f"the distribution {self.distribution} has no `{idle[0]}`")
        low, high = self.minimum, self.maximum
        if isinstance(low, float) and isinstance(high, float) and low > high:
            raise ValueError("`minimum` is above `maximum`")
        return self


class ColumnBase(Config):
    """What every column has."""

    missing: Formula = Field(default=0.0, description="Share of missing cells, 0 to 1.")
    hidden: bool = Field(default=False, description="A helper: other columns may use it, the table does not show it.")
    description: str | None = None

    @field_validator("missing")
    @classmethod
    def _share(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 <= value <= 1:
            raise ValueError("a share of missing cells is a number from 0 to 1")
        return value


class SequenceColumn(ColumnBase):
    """Running numbers, as integers, or as text with a prefix and leading zeros."""

    type: Literal["sequence"]
    start: int = Field(default=1, ge=0)
    prefix: str = ""
    width: int = Field(default=0, ge=0, le=18)


class UuidColumn(ColumnBase):
    """Random identifiers in the form of UUID version 4."""

    type: Literal["uuid"]


class PatternColumn(ColumnBase):
    """Text by a pattern: # is a digit, ? a capital letter, a backslash takes the next character as it is."""

    type: Literal["pattern"]
    pattern: str = Field(min_length=1, max_length=200)
    unique: bool = False

    @field_validator("pattern")
    @classmethod
    def _ascii(cls, value: str) -> str:
        if not value.isascii() or not value.isprintable() or value.endswith("\\"):
            raise ValueError("a pattern has printable ASCII characters and does not end with a backslash")
        return value


class CodeColumn(ColumnBase):
    """Identifiers with the form and check digits of their kind, in ranges that nobody was given, where there are such."""

    type: CodeType
    unique: bool = True
    pool: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Draw from this many values, such as 80 providers."
    )


class PersonColumn(ColumnBase):
    """Names and what is made of them. They agree within a row; `sex` names the column that decides the first name."""

    type: Literal["first_name", "last_name", "full_name", "email", "username", "url"]
    sex: str | None = None
    unique: bool = False


class PlaceColumn(ColumnBase):
    """Parts of an address, and telephone numbers. City, state, ZIP and area code agree within a row."""

    type: Literal["street_address", "city", "state", "zip", "phone", "fax"]
    unique: bool = False


class WorkColumn(ColumnBase):
    """An occupation, or a company with an invented name."""

    type: Literal["job", "company"]


class NumberColumn(ColumnBase, Spread):
    """Numbers; whole ones with `decimals: 0`."""

    type: Literal["number"]
    decimals: int = Field(default=0, ge=0, le=9)


class AmountColumn(ColumnBase, Spread):
    """Amounts of money: lognormal and with two decimals unless said otherwise."""

    type: Literal["amount"]
    distribution: Distribution = "lognormal"
    decimals: int = Field(default=2, ge=0, le=9)


class BooleanColumn(ColumnBase):
    """True with a probability, which may be a formula over other columns."""

    type: Literal["boolean"]
    probability: Formula = 0.5


def _day(value: dt.date | float | str) -> dt.date | float | str:
    """Refuse a bound that can be no day, such as a mistyped date, which reads like a subtraction."""
    if isinstance(value, float) or (
        isinstance(value, str) and not formula_names(value) and not re.search(r"today|date", value)
    ):
        raise ValueError("write a day like 2024-01-31, or a formula that gives one, like `today - 30`")
    return value


Day = Annotated[dt.date | Formula, AfterValidator(_day)]


class DateColumn(ColumnBase):
    """Days from `start` to `end`, both included, all equally likely; either may be a formula."""

    type: Literal["date"]
    start: Day
    end: Day = "today"


class DatetimeColumn(ColumnBase):
    """Times to the second, from the first second of `start` to the last one of `end`."""

    type: Literal["datetime"]
    start: Day
    end: Day = "today"


def _no_booleans(value: object) -> object:
    if isinstance(value, dict | list | tuple) and any(isinstance(v, bool) for v in value):
        raise ValueError("YAML reads yes, no, on and off as true and false; put such values into quotes")
    return value


class EnumColumn(ColumnBase):
    """One of a list of values; a weight may be a formula, so that it depends on other columns."""

    type: Literal["enum"]
    values: Annotated[dict[str | int, Formula] | tuple[str | int, ...], BeforeValidator(_no_booleans)] = Field(
        min_length=1, max_length=5000
    )
    weights: tuple[Formula, ...] | None = None

    @model_validator(mode="after")
    def _weights(self) -> EnumColumn:
        if isinstance(self.values, dict) and self.weights is not None:
            raise ValueError("give the weights either in `values` or in `weights`")
        if self.weights is not None and len(self.weights) != len(self.values):
            raise ValueError(f"`weights` has {len(self.weights)} entries, `values` has {len(self.values)}")
        weights = [w for w in self.choices().values() if isinstance(w, float)]
        if min(weights, default=0) < 0 or (len(weights) == len(self.values) and not sum(weights)):
            raise ValueError("weights are not negative, and one at least is above 0")
        if len(self.choices()) < len(self.values):
            raise ValueError("`values` names a value twice")
        return self

    def choices(self) -> dict[str | int, float | str]:
        """Value to weight, in order."""
        if isinstance(self.values, dict):
            return dict(self.values)
        return dict(zip(self.values, self.weights or (1.0,) * len(self.values), strict=True))


class TemplateConfig(Config):
    """A sentence with slots ({column}, {table.column}, {2..14} for a number), its weight, and when it may be used."""

    text: str = Field(min_length=1, max_length=5000)
    weight: float = Field(default=1.0, gt=0)
    condition: Formula | None = None


def _sentences(value: object) -> object:
    return [{"text": v} if isinstance(v, str) else v for v in value] if isinstance(value, list) else value


class TextColumn(ColumnBase):
    """Free text that agrees with the other columns: sentences of a domain, or templates of one's own."""

    type: Literal["text"]
    domain: str | None = Field(default=None, description="clinical_note, memo or general.")
    fields: dict[str, str] = Field(default_factory=dict, description="Slot of the domain's sentences: column.")
    templates: Annotated[tuple[TemplateConfig, ...], BeforeValidator(_sentences)] = ()

    @model_validator(mode="after")
    def _one_source(self) -> TextColumn:
        if (self.domain is None) == (not self.templates):
            raise ValueError("give either `domain` or `templates`")
        return self


class DiagnosisColumn(ColumnBase):
    """ICD-10-CM codes that fit age and sex; `kind` names a column with routine, chronic or acute."""

    type: Literal["icd10"]
    age: str | None = None
    sex: str | None = None
    kind: str | None = None


class ProcedureColumn(ColumnBase):
    """HCPCS codes; `setting` names a column with wellness, outpatient, emergency, inpatient or telehealth."""

    type: Literal["procedure"]
    setting: str | None = None


class LookupColumn(ColumnBase):
    """A property of a code in another column, such as the department of a diagnosis."""

    type: Literal["lookup"]
    code: str
    field: Literal["description", "kind", "department", "setting", "price"]


class FormulaColumn(ColumnBase):
    """Computed from other columns of the row and of the rows above it."""

    type: Literal["formula"]
    formula: Formula
    decimals: int | None = Field(
        default=None, ge=0, le=9, description="Round to so many decimals; 0 gives whole numbers."
    )


class RollupColumn(ColumnBase):
    """Computed from the children of the row: how many, or the sum, mean, least or greatest of one of their columns."""

    type: Literal["rollup"]
    table: str
    column: str | None = None
    function: Literal["count", "sum", "mean", "min", "max"] = "count"

    @model_validator(mode="after")
    def _column(self) -> RollupColumn:
        if (self.function == "count") != (self.column is None):
            raise ValueError("`count` has no `column`; every other function needs one")
        return self


class ForeignKeyColumn(ColumnBase):
    """The key of the row's parent, or of a row of another table that is drawn at random."""

    type: Literal["foreign_key"]
    references: str = Field(pattern=r"^[^.]+\.[^.]+$", description="table.column")
    distribution: Literal["uniform", "zipf"] = "uniform"


Column = Annotated[
    SequenceColumn | UuidColumn | PatternColumn | CodeColumn | PersonColumn | PlaceColumn | WorkColumn | NumberColumn | AmountColumn
    | BooleanColumn | DateColumn | DatetimeColumn | EnumColumn | TextColumn | DiagnosisColumn | ProcedureColumn | LookupColumn
    | FormulaColumn | RollupColumn | ForeignKeyColumn,
    Field(discriminator="type"),
]  # fmt: skip
COLUMN_TYPES: frozenset[str] = frozenset(
    name for model in get_args(get_args(Column)[0]) for name in get_args(model.model_fields["type"].annotation)
)


class GeneratedTable(Config):
    """One table: either with a number of `rows`, or with a `parent` and a distribution of `children` for each parent row."""

    rows: int | None = Field(default=None, ge=1, le=MAX_ROWS)
    parent: str | None = None
    children: Spread | None = None
    primary_key: Names = ()
    states: tuple[str, ...] = Field(default=(), description="Two-letter states that addresses are in; all when empty.")
    columns: dict[str, Column] = Field(min_length=1)
    description: str | None = None

    @model_validator(mode="after")
    def _size(self) -> GeneratedTable:
        if (self.parent is None) != (self.children is None):
            raise ValueError("`parent` and `children` stand together")
        if (self.rows is None) == (self.parent is None):
            raise ValueError("give either `rows`, or `parent` with `children`")
        for name in self.columns:
            if not COLUMN_NAME.fullmatch(name):
                raise ValueError("a column name has 1 to 120 characters, none of . { } @, and starts with no blank")
        if all(c.hidden for c in self.columns.values()):
            raise ValueError("every column is hidden")
        return self


class GenerationSchema(Config):
    """Tables to make, in a form that a person writes and reads."""

    name: str
    description: str | None = None
    today: dt.date = Field(
        default=dt.date(2025, 12, 31), description="The day that ages and `today` refer to; part of the seed."
    )
    tables: dict[str, GeneratedTable] = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not DATASET_NAME.fullmatch(value):
            raise ValueError("a name has lower-case letters, digits and _, and starts with a letter")
        return value

    @field_validator("tables")
    @classmethod
    def _table_names(cls, value: dict[str, GeneratedTable]) -> dict[str, GeneratedTable]:
        if not all(TABLE_NAME.fullmatch(name) for name in value):
            raise ValueError("a table name has letters, digits and _, and starts with no digit")
        return value
