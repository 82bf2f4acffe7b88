"""One dataset's YAML. A complete file is `name`, `source`, `primary_key`, `target`; everything else has a default.

The short form (one source at the top) is expanded into the full form (`tables:`) when it is loaded, so the rest of the package
sees one form only.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from synth_assets.config.anonymity import TableAnonymity
from synth_assets.config.base import Config, LocaleName, TimeZone
from synth_assets.config.budget import BudgetConfig
from synth_assets.config.deliveries import DeliveryConfig, check_deliveries
from synth_assets.config.gates import ThresholdConfig
from synth_assets.config.plain import NetworkConfig, network_fault, shadow_fault, tables_fault
from synth_assets.config.rules import RuleOrAction
from synth_assets.config.sampling import Combination, VariantConfig, check_variants
from synth_assets.config.sweep import Sweep, check_deltas
from synth_assets.config.thresholds import AuditConfig

DATASET_NAME = re.compile(r"[a-z][a-z0-9_]*")
OWNER = re.compile(r"team:[A-Za-z0-9_-]+|[^@\s]+@[^@\s]+\.[^@\s]+")
TextDetectorName = Literal["builtin", "presidio"]
Kind = Literal["number", "category", "date", "datetime", "boolean", "text", "id"]
ExportFormat = Literal["parquet", "csv", "json"]
Refresh = Literal["free", "all"]


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]


def _texts(value: Any) -> Any:
    """YAML reads `categories: [1, 2]` as numbers; categories are texts."""
    if not isinstance(value, list | tuple):
        return value
    if any(isinstance(v, bool) for v in value):
        raise ValueError("YAML reads yes, no, on, off, true and false as booleans; write such categories in quotes")
    return tuple(str(v) if isinstance(v, int | float) else v for v in value)


class SourceConfig(Config):
    """Where a table comes from: a file (`path`), a database (`url` with `query` or `table`), or a generator schema (`generate`)."""

    path: str | None = Field(
        default=None,
        description="File, folder or pattern (*), relative to the YAML; or an https://, s3://, gs:// or abfss:// address.",
    )
    url: str | None = Field(default=None, description="SQLAlchemy URL; ${NAME} is read from the environment.")
    query: str | None = Field(default=None, description="SQL query; with `url`.")
    table: str | None = Field(default=None, description="Table name; with `url`, in place of `query`.")
    generate: str | None = Field(
        default=None, description="Generator schema (YAML), relative to the YAML; makes the table anew."
    )
    rows: int | None = Field(default=None, ge=1, description="Rows of the root table; with `generate`.")
    format: Literal["csv", "tsv", "parquet", "json", "jsonl", "excel", "avro"] | None = Field(
        default=None, description="Sniffed when absent."
    )
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str | None = None
    sheet: str | None = Field(default=None, description="Excel sheet; the first one when absent.")

    @model_validator(mode="after")
    def _one_place(self) -> SourceConfig:
        if sum(place is not None for place in (self.path, self.url, self.generate)) != 1:
            raise ValueError("give exactly one of `path`, `url` and `generate`")
        if self.url is not None and (self.query is None) == (self.table is None):
            raise ValueError("`url` needs exactly one of `query` and `table`")
        if self.url is None and (self.query or self.table):
            raise ValueError("`query` and `table` need `url`")
        if self.rows is not None and self.generate is None:
            raise ValueError("`rows` needs `generate`")
        return self


class ColumnConfig(Config):
    """What a person says about one column; it wins over what was inferred, and is recorded as an override."""

    kind: Kind | None = None
    entity_type: str | None = None
    identifier_class: Literal["direct", "quasi", "sensitive", "none"] | None = None
    action: RuleOrAction | None = None
    categories: Annotated[tuple[str, ...] | None, BeforeValidator(_texts)] = Field(
        default=None, description="Public list of values."
    )
    lower: float | str | None = Field(
        default=None, description="Public lower bound; a number, or an ISO date for dates."
    )
    upper: float | str | None = Field(default=None, description="Public upper bound.")
    inferred: bool = Field(
        default=False, description="True where `init` took it from the data and nobody has confirmed it."
    )
    description: str | None = None

    @property
    def has_domain(self) -> bool:
        """Whether categories or bounds are given."""
        return self.categories is not None or self.lower is not None or self.upper is not None

    @property
    def has_public_values(self) -> bool:
        """Whether a person gave the list of values; one drafted from the data is not confirmed."""
        return self.categories is not None and not self.inferred


class ExpectationConfig(BaseModel):
    """One line of the contract: a Great Expectations expectation by name, its column, its arguments, its severity."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    expect: str
    column: str | None = None
    severity: Literal["error", "warn"] = "error"

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the expectation, without the column."""
        return dict(self.model_extra or {})


class TableConfig(Config):
    """One table of a dataset."""

    source: SourceConfig
    primary_key: Names = ()
    foreign_keys: dict[str, str] = Field(default_factory=dict, description="column: parent_table.column")
    contract: tuple[ExpectationConfig, ...] = ()
    columns: dict[str, ColumnConfig] = Field(default_factory=dict)
    max_per_unit: int | None = Field(
        default=None, ge=1, le=10_000, description="Contribution bound: rows per unit of privacy."
    )
    sequence_order: str | None = Field(
        default=None, description="Column that orders the rows of one unit or parent in time."
    )
    impossible: tuple[Combination, ...] = Field(
        default=(), description="Combinations of values that no row can have, each as column: value, range or list."
    )
    null_values: tuple[str, ...] = Field(default=(), description="Texts that mean missing, besides the empty cell.")
    anonymity: TableAnonymity | None = Field(
        default=None, description="Quasi-identifiers to coarsen together; k, l, t in place of the policy's."
    )
    description: str | None = None

    @model_validator(mode="after")
    def _order_is_ordered(self) -> TableConfig:
        kind = self.columns.get(self.sequence_order, ColumnConfig()).kind if self.sequence_order else None
        if kind not in {None, "number", "date", "datetime"}:
            raise ValueError("`sequence_order` names a column that is no number, date or datetime")
        if self.sequence_order and self.impossible:
            raise ValueError("`impossible` is not for a table with `sequence_order`: its rows depend on the row before")
        return self


TRAINED = ("dp_tvae", "dp_ctgan")  # networks trained by DP-SGD


class TrainingConfig(Config):
    """Training of dp_tvae and dp_ctgan by DP-SGD. All numbers are public: none may be chosen by a look at the data."""

    warm_start: bool = Field(default=True, description="Train first on samples of noisy marginals, which is free.")
    share: float | None = Field(
        default=None, gt=0, lt=1, description="Share of the budget for DP-SGD: 0.1, or 0.97 without a warm start."
    )
    steps: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Steps of DP-SGD: 60; without a warm start 200 for dp_tvae, 1000 for dp_ctgan.",
    )
    sampling_rate: float = Field(default=0.1, gt=0, le=1, description="Chance of a unit of privacy to be in a step.")
    clip: float = Field(default=1.0, gt=0, le=1000, description="Bound of a unit's gradient in L2 norm.")


class SynthesizerConfig(Config):
    """One synthesizer of the dataset, its privacy parameters and how many rows to make."""

    name: Literal["dp_marginals", "dp_tvae", "dp_ctgan", "gaussian_copula", "ctgan", "tvae", "copulagan", "hma", "par"]
    epsilon: float = Field(default=1.0, gt=0, le=100)
    delta: float = Field(default=1e-6, gt=0, lt=1e-2)
    rows: int | None = Field(
        default=None, ge=1, description="Rows of the root table; the (noisy) number of the source when absent."
    )
    training: TrainingConfig | None = Field(
        default=None, description="Of dp_tvae and dp_ctgan; their defaults when absent."
    )
    network: NetworkConfig | None = Field(
        default=None, description="Of ctgan, tvae, copulagan and par; its defaults when absent."
    )

    @property
    def differentially_private(self) -> bool:
        """Whether this synthesizer spends privacy budget."""
        return self.name.startswith("dp_")

    @property
    def trained_on_rows(self) -> bool:
        """Whether it is a network trained by DP-SGD: on the rows, in place of noisy tables alone."""
        return self.name in TRAINED

    @model_validator(mode="after")
    def _only_networks_train(self) -> SynthesizerConfig:
        if self.training is not None and not self.trained_on_rows:
            raise ValueError(f"`training` is not for {self.name}")
        if (fault := network_fault(self.name, self.network)) is not None:
            raise ValueError(fault)
        return self


class DatasetConfig(Config):
    """The whole chain of one dataset."""

    name: str
    description: str | None = None
    owners: Names = ()
    source: SourceConfig | None = None
    primary_key: Names = ()
    columns: dict[str, ColumnConfig] = Field(default_factory=dict)
    contract: tuple[ExpectationConfig, ...] = ()
    impossible: tuple[Combination, ...] = ()
    tables: dict[str, TableConfig] = Field(default_factory=dict)
    domain: str | None = Field(default=None, description="A schema.json with the public domain, relative to the YAML.")
    unit: str | None = Field(default=None, description="Unit of privacy: table.column; one row when absent.")
    unit_count: int | None = Field(
        default=None, ge=1, description="Number of units of privacy, where it is public knowledge; never counted here."
    )
    population: str = ""
    budget: BudgetConfig = BudgetConfig()
    policy: str = "hipaa_safe_harbor"
    release_domain: str = Field(
        default="default", description="Recipient; pseudonyms of two release domains cannot be joined."
    )
    seed: int = Field(default=7, ge=0, lt=2**62)
    holdout: float = Field(default=0.2, gt=0, lt=0.9)
    null_values: tuple[str, ...] = ()
    text_detector: TextDetectorName = Field(
        default="builtin", description="Looks for identifiers in free text; presidio needs the extra of that name."
    )
    locale: LocaleName = Field(
        default="en_US", description="Country of the names, streets and cities that masking makes up, such as de_DE."
    )
    timezone: TimeZone = "UTC"
    target: str | None = None
    protected: Names = ()
    synthesizers: tuple[SynthesizerConfig, ...] = (
        SynthesizerConfig(name="dp_marginals"),
        SynthesizerConfig(name="gaussian_copula"),
    )
    variants: dict[str, VariantConfig] = Field(
        default_factory=dict,
        description="Further tables from the dp_marginals model: conditions, balanced classes, augmentation.",
    )
    sweep: Sweep | None = Field(
        default=None, description="Epsilons to try: fidelity, utility and attack over epsilon; every trial is charged."
    )
    audit: AuditConfig = AuditConfig()
    thresholds: ThresholdConfig = ThresholdConfig()
    exports: tuple[ExportFormat, ...] = ("parquet", "csv", "json")
    deliveries: dict[str, DeliveryConfig] = Field(
        default_factory=dict, description="Databases and S3 prefixes that get the released tables."
    )
    refresh: Refresh | None = Field(
        default=None,
        description="What the sensor `<dataset>_refresh` may make anew: `free` spends no budget and delivers nothing; `all` does.",
    )

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not DATASET_NAME.fullmatch(value):
            raise ValueError(
                "a dataset name has lower-case letters, digits and _, and starts with a letter ([a-z][a-z0-9_]*)"
            )
        return value

    @field_validator("owners")
    @classmethod
    def _owners(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(OWNER.fullmatch(owner) for owner in value):
            raise ValueError("an owner is an e-mail address or team:name")
        return value

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:
        """The short form becomes the full form."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        name = data.get("name")
        data.setdefault("population", name)
        if data.get("source") is None or not isinstance(name, str):
            return data
        if data.get("tables"):
            raise ValueError("give either `source` (one table) or `tables`, not both")
        keys = ("source", "primary_key", "columns", "contract", "impossible", "anonymity", "null_values", "description")
        table = {k: data[k] for k in keys if k in data}
        for k in keys[:6]:
            data.pop(k, None)
        data["tables"] = {name: table}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> DatasetConfig:
        if not self.tables:
            raise ValueError("name a `source`, or at least one table under `tables`")
        names = [s.name for s in self.synthesizers]
        if len(set(names)) < len(names):
            raise ValueError("`synthesizers` names one synthesizer twice")
        for table, config in self.tables.items():
            for reference in config.foreign_keys.values():
                parent = reference.partition(".")[0]
                if parent not in self.tables or "." not in reference:
                    raise ValueError(
                        f"foreign key {reference!r} of table {table!r} is not `table.column` of a table of this dataset"
                    )
        for key in ("unit", "target"):
            value = getattr(self, key)
            if value is not None:
                self.locate(value, key)
        for value in self.protected:
            self.locate(value, "protected")
        return self

    @model_validator(mode="after")
    def _networks_learn_one_table(self) -> DatasetConfig:
        for synthesizer in self.synthesizers:
            if synthesizer.trained_on_rows and len(self.tables) > 1:
                raise ValueError(
                    f"`synthesizers`: {synthesizer.name} models one table; use dp_marginals for related tables"
                )
        return self

    @model_validator(mode="after")
    def _plain_synthesizers_can_take_the_tables(self) -> DatasetConfig:
        parents = {
            name: [p for r in table.foreign_keys.values() if (p := r.partition(".")[0]) != name]
            for name, table in self.tables.items()
        }
        sequences = [name for name, table in self.tables.items() if table.sequence_order is not None]
        unit_table = self.locate(self.unit, "unit")[0] if self.unit else None
        for synthesizer in self.synthesizers:
            fault = tables_fault(synthesizer.name, parents, sequences=sequences, unit_table=unit_table)
            if fault is not None:
                raise ValueError(f"`synthesizers`: {fault}")
        return self

    @model_validator(mode="after")
    def _delta_and_variants(self) -> DatasetConfig:
        check_deltas(self.unit_count, {s.name: s.delta for s in self.synthesizers if s.differentially_private})
        if self.audit.shadow_models and all(shadow_fault(s.name, len(self.tables)) for s in self.synthesizers):
            raise ValueError(
                "`audit.shadow_models`: none of the synthesizers can be trained for an attack: not one that is "
                "differentially private, nor one of several tables"
            )
        check_variants(self.variants, [s.name for s in self.synthesizers], len(self.tables))
        check_deliveries(self.deliveries, {s.name for s in self.synthesizers})
        return self

    @property
    def sequence_link(self) -> tuple[str, str] | None:
        """Table and column of the unit of privacy, where the unit's own table has a sequence of rows of each unit."""
        if self.unit is None:
            return None
        name, column = self.locate(self.unit, "unit")
        table = self.tables[name]
        return (name, column) if table.sequence_order is not None and table.primary_key != (column,) else None

    def unit_of(self, table: str) -> str | None:
        """The column of this table that names the unit of privacy; None where another table does, or each row is a unit."""
        name, column = self.locate(self.unit, "unit") if self.unit else (None, None)
        return column if name == table else None

    def locate(self, reference: str, key: str = "reference") -> tuple[str, str]:
        """Split `table.column`; a bare column is of the only table.

        Raises:
            ValueError: the table is not one of the dataset, or a bare column could belong to several tables.
        """
        table, dot, column = reference.partition(".")
        if dot and table in self.tables:
            return table, column
        if len(self.tables) == 1:
            return next(iter(self.tables)), reference
        raise ValueError(f"`{key}: {reference}` does not say which table; write table.column")
