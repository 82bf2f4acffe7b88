"""The library: one function per job, for people who import the package and have no Dagster instance.

`profile`, `classify`, `mask`, `mask_record`, `generate`, `synthesize`, `audit`. Each takes a file or a pandas frame; the functions that
make a table return a frame, or write `out` (its suffix sets the format) and return its path. The command line and the Dagster jobs
call these functions and nothing else.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.config.dataset import ColumnConfig, DatasetConfig, SourceConfig, TableConfig
from synth_assets.config.runtime import Settings, find_home
from synth_assets.errors import InputError
from synth_assets.seeds import child_seed
from synth_assets.storage.opening import open_store
from synth_assets.storage.secrets import master_key
from synth_assets.tables.schema import TableSchema

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.audit.records import AuditResult
    from synth_assets.masking.records import MaskSummary
    from synth_assets.pii.records import ColumnVerdict
    from synth_assets.privacy.budget import BudgetLedger
    from synth_assets.privacy.report import PrivacyReport
    from synth_assets.profiling.records import TableProfile
    from synth_assets.tables.engine import Engine

    Table = Path | str | pd.DataFrame

DEFAULT_BUDGET = (10.0, 1e-5)


@dataclass(frozen=True)
class Ingested:
    """A table in canonical form, in a private temporary folder."""

    folder: Path
    schema: TableSchema


@dataclass(frozen=True)
class Synthesis:
    """What `synthesize` made.

    Attributes:
        table: The file that was written, or the frame.
        rows: Number of rows.
        privacy: The privacy report; None for a synthesizer that is not private.
    """

    table: Path | pd.DataFrame
    rows: int
    privacy: PrivacyReport | None


def profile(table: Table, *, name: str | None = None) -> TableProfile:
    """Statistics of every column; extremes and top values of identifying columns are suppressed.

    Args:
        table: File or frame.
        name: Name of the table (default: the file's stem).

    Raises:
        SourceError: the file is no table.
    """
    from synth_assets.pii.roles import identifying_columns
    from synth_assets.profiling.profile import profile_table

    with _ingested(table, name) as data:
        verdicts = _verdicts(data, {})
        hidden = identifying_columns(verdicts)
        quasi = tuple(v.column for v in verdicts if v.identifier_class == "quasi")
        sensitive = tuple(v.column for v in verdicts if v.identifier_class == "sensitive")
        return profile_table(
            data.folder, data.schema, _engine(), identifying=hidden, quasi=quasi, sensitive=sensitive
        ).public()


def classify(
    table: Table, *, name: str | None = None, columns: Mapping[str, ColumnConfig] | None = None
) -> tuple[ColumnVerdict, ...]:
    """One verdict per column: entity type, identifier class, confidence, evidence, recommended action.

    Args:
        table: File or frame.
        name: Name of the table; counts as evidence.
        columns: What is known about columns; it wins and is recorded as an override.

    Raises:
        SourceError: the file is no table.
    """
    with _ingested(table, name) as data:
        return _verdicts(data, columns or {})


def mask(
    table: Table,
    out: Path | str | None = None,
    *,
    policy: str = "hipaa_safe_harbor",
    columns: Mapping[str, ColumnConfig] | None = None,
    home: Path | None = None,
    release_domain: str = "default",
) -> tuple[Path | pd.DataFrame, MaskSummary]:
    """Mask a table by a policy; the result has passed the leak check, else nothing is written.

    Args:
        table: File or frame.
        out: File to write; a frame is returned when None.
        policy: Name of a policy, or path of one.
        columns: A person's overrides of kind, entity type or action.
        home: Home folder with the masking key; the nearest one when None.
        release_domain: Recipient; pseudonyms of two release domains cannot be joined.

    Returns:
        The file or frame, and what was done to each column.

    Raises:
        CheckFailedError: a raw identifier is left in the result.
        SourceError: the file is no table.
    """
    from synth_assets.exports.formats import check_suffix, write_table
    from synth_assets.masking.files import mask_folder

    target = _target(out)
    if target is not None:
        check_suffix(target)
    settings = _settings(home)
    key = master_key(settings.keys_folder).derive(f"masking/{release_domain}")
    with _ingested(table, None, columns) as data, tempfile.TemporaryDirectory() as scratch:
        verdicts = _verdicts(data, columns or {})
        done = mask_folder(
            data.folder, data.schema, verdicts, Path(scratch) / "masked", policy=policy, overrides=columns or {},
            policies_folder=settings.policies_folder, key=key, engine=_engine(settings),
        )  # fmt: skip
        folder = Path(scratch) / "masked"
        if target is None:
            return _frame(folder), done
        provenance = {"masked": True, "policy": done.policy, "key": done.key_fingerprint}
        write_table(folder, target, schema=done.output_schema, engine=_engine(settings), provenance=provenance)
        return target, done


def mask_record(
    record: Mapping[str, Any],
    *,
    policy: str = "hipaa_safe_harbor",
    columns: Mapping[str, ColumnConfig] | None = None,
    home: Path | None = None,
    release_domain: str = "default",
) -> dict[str, Any]:
    """Mask one record; the same value gets the same pseudonym as in `mask`.

    Args:
        record: Column to value.
        policy: As in `mask`.
        columns: As in `mask`; one record shows little, so name the entity types of columns whose name does not.
        home: As in `mask`.
        release_domain: As in `mask`.
    """
    import pandas as pd

    masked, _ = mask(
        pd.DataFrame([dict(record)]), policy=policy, columns=columns, home=home, release_domain=release_domain
    )
    if isinstance(masked, Path):
        raise TypeError("a record has no file")
    return {str(k): v for k, v in masked.astype(object).where(masked.notna(), None).iloc[0].to_dict().items()}


def generate(
    schema: Path | str,
    out: Path | str,
    *,
    rows: int | None = None,
    seed: int = 7,
    fmt: str = "csv",
) -> dict[str, Path]:
    """Make the tables of a generator schema: same schema and seed, same bytes.

    Args:
        schema: YAML of the schema.
        out: Folder to write.
        rows: Rows of the root tables (default: as the schema says).
        seed: Seed.
        fmt: csv, parquet or jsonl.

    Returns:
        The file of each table.

    Raises:
        ConfigError: the schema has a mistake; the message names line and key.
    """
    from synth_assets.generation import generate as generate_tables
    from synth_assets.generation import load_schema

    return generate_tables(
        load_schema(Path(schema)), Path(out).absolute(), seed=seed, rows=rows, fmt=_known_format(fmt)
    )


def synthesize(
    table: Table,
    out: Path | str | None = None,
    *,
    synthesizer: str = "dp_marginals",
    epsilon: float = 1.0,
    delta: float = 1e-6,
    rows: int | None = None,
    domain: Path | str | None = None,
    columns: Mapping[str, ColumnConfig] | None = None,
    target: str | None = None,
    seed: int = 7,
    population: str | None = None,
    fresh: bool = False,
    home: Path | None = None,
) -> Synthesis:
    """Train a synthesizer on one table and sample a synthetic one. Direct identifiers are never modelled, they are made anew.

    Args:
        table: File or frame.
        out: File to write; a frame is returned when None.
        synthesizer: dp_marginals or gaussian_copula (not private).
        epsilon: Total epsilon of this release, charged to the population.
        delta: Its delta.
        rows: Rows to sample (default: the noisy number of rows of the source).
        domain: Public domain: YAML `columns:` or the schema.json form. What it does not declare is measured under DP and charged.
        columns: The same as a mapping.
        target: Column that the model serves first.
        seed: Seed of initial weights and sampling; the noise never takes a seed.
        population: Whose budget pays (default: the file's stem).
        fresh: Measure and pay again although the same measurement is stored.
        home: Home folder with the budget ledger; the nearest one when None.

    Raises:
        BudgetExceededError: the budget does not suffice. No data was read.
        InputError: an unknown synthesizer, epsilon or delta out of range.
    """
    from synth_assets.exports.formats import check_suffix, write_table
    from synth_assets.synthesis.single import TableRelease, release_table

    destination = _target(out)
    if destination is not None:
        check_suffix(destination)
    settings = _settings(home)
    name = population or _stem(table)
    declared, aim = _domain(domain, columns, target)
    config = DatasetConfig.model_validate(
        {
            "name": "table",
            "source": {"path": "table"},
            "synthesizers": [{"name": synthesizer, "epsilon": epsilon, "delta": delta, "rows": rows}],
        }
    ).synthesizers[0]
    with _ingested(table, None, declared) as data, tempfile.TemporaryDirectory() as scratch:
        job = TableRelease(
            folder=data.folder, schema=data.schema, verdicts=_verdicts(data, declared), columns=declared, target=aim,
            synthesizer=config, seed=child_seed(seed, "synthesize"), population=name, run_id=f"api-{uuid.uuid4().hex[:12]}",
            budget=DEFAULT_BUDGET,
            store=open_store(settings.var, settings.s3_zones, settings.s3_endpoint),
            fresh=fresh,
        )  # fmt: skip
        made = Path(scratch) / "synthetic"
        schema, privacy = release_table(job, made, ledger=lambda: open_budget(settings.home), engine=_engine(settings))
        if destination is None:
            frame = _frame(made)
            return Synthesis(frame, len(frame), privacy)
        provenance = {"synthetic": True, "synthesizer": synthesizer, "differentially_private": privacy is not None}
        if privacy is not None:
            provenance |= {"epsilon": privacy.spent.epsilon, "delta": privacy.spent.delta, "unit": privacy.unit}
        write_table(made, destination, schema=schema, engine=_engine(settings), provenance=provenance)
        return Synthesis(destination, schema.row_count, privacy)


def audit(
    synthetic: Table,
    real: Table | None = None,
    holdout: Table | None = None,
    *,
    protected: Sequence[str] = (),
    target: str | None = None,
    seed: int = 7,
) -> AuditResult:
    """Audit a synthetic table, with or without the real ones: fidelity, utility, privacy with a control group, fairness.

    Args:
        synthetic: The table to judge.
        real: What the synthesizer was trained on.
        holdout: Real rows that it never saw: the control group of every attack.
        protected: Columns whose groups are compared.
        target: Outcome column.
        seed: Seed of samples and models.

    Returns:
        The full result; it belongs in the restricted zone. `.public()` is the form to share.
    """
    from contextlib import ExitStack

    from synth_assets.audit.tables import audit_tables

    with ExitStack() as stack:
        made = stack.enter_context(_ingested(synthetic, None))
        others = [None if t is None else stack.enter_context(_ingested(t, None)) for t in (real, holdout)]
        reference = others[0] or made
        for name in (*protected, *([target] if target else [])):
            if name not in made.schema.names:
                known = ", ".join(made.schema.names)
                raise InputError(
                    "the synthetic table has no such column.", column=name, remedy=f"Its columns: {known}."
                )
        identifiers = [v.column for v in _verdicts(reference, {}) if v.identifier_class == "direct"]
        train, control = (None if o is None else o.folder for o in others)
        return audit_tables(
            made.folder, train, control, schema=reference.schema, engine=_engine(), target=target, protected=tuple(protected),
            identifiers=identifiers, seed=seed,
        )  # fmt: skip


def open_budget(home: Path | None = None) -> BudgetLedger:
    """The budget ledger of a home folder; the same one that the chain uses.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    from synth_assets.ledger.backends import open_ledger_store
    from synth_assets.privacy.budget import BudgetLedger

    return BudgetLedger(open_ledger_store(_settings(home).ledger_location))


def _settings(home: Path | None) -> Settings:
    return Settings.from_environment((home or find_home(Path.cwd())).resolve())


def _engine(settings: Settings | None = None) -> Engine:
    from synth_assets.tables.engine import Engine

    found = settings or Settings.from_environment(Path.cwd())
    return Engine(memory_limit=found.memory_limit, threads=found.threads)


@contextmanager
def _ingested(table: Table, name: str | None, columns: Mapping[str, ColumnConfig] | None = None) -> Iterator[Ingested]:
    """Read a file or frame into canonical form, in a folder that is removed at the end."""
    from synth_assets.tables.sources import ingest

    with tempfile.TemporaryDirectory(prefix="synth-assets-") as scratch:
        source = _source(table, Path(scratch))
        kinds = {n: ColumnConfig(kind=c.kind) for n, c in (columns or {}).items() if c.kind is not None}
        folder = Path(scratch) / "table"
        config = TableConfig(source=source, columns=kinds)
        schema = ingest(
            source, name=name or _stem(table), base_dir=Path.cwd(), out=folder, engine=_engine(), table=config
        )
        yield Ingested(folder, schema)


def _source(table: Table, scratch: Path) -> SourceConfig:
    if isinstance(table, str | Path):
        text = str(table)
        return SourceConfig(path=text if "://" in text else str(Path(text).absolute()))
    file = scratch / "frame.parquet"
    table.to_parquet(file, index=False)
    return SourceConfig(path=str(file))


def _verdicts(data: Ingested, columns: Mapping[str, ColumnConfig]) -> tuple[ColumnVerdict, ...]:
    from synth_assets.pii.classify import classify_table

    known = {n: c for n, c in columns.items() if n in data.schema.names}
    return classify_table(data.folder, data.schema, _engine(), table_name=data.schema.name, overrides=known)


def _domain(
    domain: Path | str | None, columns: Mapping[str, ColumnConfig] | None, target: str | None
) -> tuple[dict[str, ColumnConfig], str | None]:
    if domain is None:
        return dict(columns or {}), target
    from synth_assets.config.domain import load_domain

    found = load_domain(Path(domain))
    return {**found.columns, **(columns or {})}, target or found.target


def _known_format(fmt: str) -> Any:
    if fmt not in {"csv", "parquet", "jsonl"}:
        raise InputError(f"{fmt!r} is no format of the generator.", key="--format", remedy="Use csv, parquet or jsonl.")
    return fmt


def _target(out: Path | str | None) -> Path | None:
    return None if out is None else Path(os.path.abspath(out))  # noqa: PTH100  keeps symbolic links


def _stem(table: Table) -> str:
    if not isinstance(table, str | Path):
        return "frame"
    return Path(str(table).partition("?")[0]).name.split(".")[0] or "table"


def _frame(folder: Path) -> pd.DataFrame:
    import pyarrow.parquet as pq

    frame: pd.DataFrame = pq.read_table(sorted(folder.glob("part-*.parquet"))).to_pandas()
    return frame
