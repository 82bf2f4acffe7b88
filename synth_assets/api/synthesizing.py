"""`synthesize`: one table in, a synthetic one out, with its privacy report."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from synth_assets.api.reading import (
    Progress,
    destination,
    engine_of,
    frame_of,
    ingested,
    settings_of,
    silent,
    stem_of,
    texts_kept,
    verdicts_of,
)
from synth_assets.api.recording import record_output
from synth_assets.api.spending import open_budget
from synth_assets.config.dataset import TRAINED, ColumnConfig, SynthesizerConfig
from synth_assets.config.plain import NETWORKS, RELATED
from synth_assets.config.sampling import Asked, Combination, checked_asked
from synth_assets.config.stores import store_of
from synth_assets.errors import InputError
from synth_assets.ledger.events import Detail, identifier
from synth_assets.seeds import child_seed
from synth_assets.storage.rooms import temporary

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.api.reading import Table
    from synth_assets.config.runtime import Settings
    from synth_assets.privacy.report import PrivacyReport
    from synth_assets.tables.schema import TableSchema

DEFAULT_BUDGET = (10.0, 1e-5)
MOST_EPSILON, MOST_DELTA = 100.0, 1e-2
MOST_EPOCHS = 100_000


@dataclass(frozen=True)
class Synthesis:
    """What `synthesize` made.

    Attributes:
        table: The file that was written, or the frame.
        rows: Number of rows.
        privacy: The privacy report; None for a synthesizer that is not private.
        spent: Epsilon charged by this call; 0 where the stored measurement was used again.
        warnings: What a person should know about the privacy parameters.
    """

    table: Path | pd.DataFrame
    rows: int
    privacy: PrivacyReport | None
    spent: float = 0.0
    warnings: tuple[str, ...] = ()


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
    from_scratch: bool = False,
    fresh: bool = False,
    epochs: int | None = None,
    where: Mapping[str, Any] | Asked | None = None,
    balance: str | Mapping[str, Any] | None = None,
    home: Path | None = None,
    progress: Progress = silent,
) -> Synthesis:
    """Train a synthesizer on one table and sample a synthetic one. Direct identifiers are never modelled, they are made anew.

    Args:
        table: File or frame.
        out: File to write; a frame is returned when None.
        synthesizer: dp_marginals; dp_tvae, dp_ctgan, networks trained by DP-SGD; not private: gaussian_copula, ctgan, tvae, copulagan
        epsilon: Total epsilon of this release, charged to the population.
        delta: Its delta.
        rows: Rows to sample (default: the noisy number of rows of the source).
        domain: Public domain: YAML `columns:` or the schema.json form. What it does not declare is measured under DP and charged.
        columns: The same as a mapping; it wins over the file.
        target: Column that the model serves first (default: the one that the domain names).
        seed: Seed of initial weights and sampling; the noise never takes a seed.
        population: Whose budget pays (default: the file's stem).
        from_scratch: Train a network from random weights, without a warm start on samples of noisy marginals.
        fresh: Measure and pay again although the same measurement is stored.
        epochs: Of ctgan, tvae and copulagan (default: 300).
        where: Conditions on the rows, of dp_marginals: see `sample`. They cost nothing: the model is the same.
        balance: Column whose classes get equal shares, likewise.
        home: Home folder with the budget ledger; the nearest one when None.
        progress: Called with the name of each step as it begins.

    Raises:
        BudgetExceededError: the budget does not suffice. No data was read.
        CheckFailedError: an attack on the mechanism contradicts its claim. No data was read.
        ConfigError: the domain file has a mistake, or the table lacks a declared column or the target.
        InputError: an unknown synthesizer, no network to train from scratch, epsilon or delta out of range, a place that cannot be
            written.
    """
    from synth_assets.synthesis.single import TableRelease, release_table

    path, settings = destination(out, table), settings_of(home)
    method, warnings = _method(synthesizer, epsilon, delta, rows, from_scratch, epochs)
    public = _domain(domain, columns, target)
    asked = _asked(where, balance, synthesizer)
    progress("reading")
    with ingested(table, None, public.columns) as data, temporary() as scratch:
        progress("classifying columns")
        job = TableRelease(
            folder=data.folder,
            schema=data.schema,
            verdicts=verdicts_of(data, public.columns),
            columns=public.columns,
            target=public.target,
            impossible=public.impossible,
            synthesizer=method,
            seed=child_seed(seed, "synthesize"),
            population=population or stem_of(table),
            run_id=f"api-{uuid.uuid4().hex[:12]}",
            budget=DEFAULT_BUDGET,
            store=store_of(settings),
            fresh=fresh,
            repetitions=settings.audit_repetitions,
            asked=asked,
        )
        folder = scratch / "synthetic"
        made = release_table(
            job, folder, ledger=lambda: open_budget(settings.home), engine=engine_of(settings), progress=progress
        )
        progress("handing out")
        told = _provenance(synthesizer, made.privacy, asked)
        made_table, count = _handed_out(table, folder, path, made.schema, settings, told)
        spent = None if made.privacy is None else made.privacy.spent.epsilon
        about: dict[str, Detail] = {"synthesizer": identifier(synthesizer), "epsilon": spent}
        record_output(settings, "synthetic", path, about, run_id=job.run_id)
        return Synthesis(made_table, count, made.privacy, made.spent, warnings)


def _handed_out(
    given: Table, folder: Path, path: Path | None, schema: TableSchema, settings: Settings, provenance: dict[str, Any]
) -> tuple[Path | pd.DataFrame, int]:
    """The synthetic table as a file or a frame, and its rows."""
    from synth_assets.exports.formats import write_table

    if path is None:
        frame = texts_kept(frame_of(folder), given)
        return frame, len(frame)
    write_table(folder, path, schema=schema, engine=engine_of(settings), provenance=provenance)
    return path, schema.row_count


def _asked(where: Mapping[str, Any] | Asked | None, balance: str | Mapping[str, Any] | None, synthesizer: str) -> Asked:
    """What the rows shall be.

    Raises:
        InputError: of no form, or of a synthesizer that samples no conditions.
    """
    asked = where if isinstance(where, Asked) else checked_asked(where, balance)
    if asked.asks and synthesizer != "dp_marginals":
        key = "where" if asked.where else "balance"
        raise InputError(f"{synthesizer} samples no conditions.", key=key, remedy="Use dp_marginals.")
    return asked


def _provenance(synthesizer: str, privacy: PrivacyReport | None, asked: Asked) -> dict[str, Any]:
    """What a file says about where it comes from."""
    told: dict[str, Any] = {
        "synthetic": True,
        "synthesizer": synthesizer,
        "differentially_private": privacy is not None,
        **asked.model_dump(mode="json", exclude_defaults=True),
    }
    if privacy is not None:
        told |= {"epsilon": privacy.spent.epsilon, "delta": privacy.spent.delta, "unit": privacy.unit}
    return told


def _method(
    synthesizer: str, epsilon: float, delta: float, rows: int | None, from_scratch: bool, epochs: int | None
) -> tuple[SynthesizerConfig, tuple[str, ...]]:
    """The checked parameters, and warnings.

    Raises:
        InputError: names the parameter and what it may be.
    """
    from synth_assets.privacy.validate import validate

    known = get_args(SynthesizerConfig.model_fields["name"].annotation)
    if synthesizer not in known:
        raise InputError(
            f"there is no synthesizer {synthesizer!r}.", key="synthesizer", remedy=f"Use {' or '.join(known)}."
        )
    if synthesizer in RELATED:
        raise InputError(
            f"{synthesizer} must know how rows hang together.", key="synthesizer",
            remedy="Write a dataset's YAML (docs/configuration.md), and use `run`.",
        )  # fmt: skip
    if from_scratch and synthesizer not in TRAINED:
        raise InputError(
            f"{synthesizer} has no weights to start from.", key="from_scratch",
            remedy=f"It is for the networks: {' and '.join(TRAINED)}.",
        )  # fmt: skip
    if rows is not None and rows < 1:
        raise InputError("the number of rows must be at least 1.", key="rows")
    _check_epochs(synthesizer, epochs)
    if not synthesizer.startswith("dp_"):
        network = None if epochs is None else {"epochs": epochs}
        return SynthesizerConfig.model_validate({"name": synthesizer, "rows": rows, "network": network}), ()
    judged = validate(epsilon=epsilon, delta=delta)
    for finding in judged.errors:
        value = judged.recommended[finding.key]
        raise InputError(finding.message, key=finding.key, remedy=f"Recommended: {finding.key} {value:g}.")
    if epsilon > MOST_EPSILON:
        raise InputError(f"epsilon may be at most {MOST_EPSILON:g}.", key="epsilon", remedy="Recommended: 0.1 to 10.")
    if delta >= MOST_DELTA:
        raise InputError(
            f"delta must be below {MOST_DELTA:g}, and far below 1 / the number of people.", key="delta",
            remedy="Recommended: delta 1e-06.",
        )  # fmt: skip
    config = {"name": synthesizer, "epsilon": epsilon, "delta": delta, "rows": rows}
    if from_scratch:
        config |= {"training": {"warm_start": False}}
    return SynthesizerConfig.model_validate(config), tuple(w.message for w in judged.warnings)


def _check_epochs(synthesizer: str, epochs: int | None) -> None:
    """Raise where a synthesizer has no epochs, or there are none."""
    if epochs is None:
        return
    if synthesizer not in NETWORKS:
        raise InputError(
            f"{synthesizer} is not trained in epochs.", key="epochs", remedy=f"For {', '.join(sorted(NETWORKS))} only."
        )
    if not 1 <= epochs <= MOST_EPOCHS:
        raise InputError(f"the number of epochs must be 1 to {MOST_EPOCHS:,}.", key="epochs")


@dataclass(frozen=True)
class _Public:
    """What is declared about a table."""

    columns: dict[str, ColumnConfig]
    target: str | None
    impossible: tuple[Combination, ...] = ()


def _domain(domain: Path | str | None, columns: Mapping[str, ColumnConfig] | None, target: str | None) -> _Public:
    if domain is None:
        return _Public(dict(columns or {}), target)
    from synth_assets.config.domain import load_domain

    found = load_domain(Path(domain))
    return _Public({**found.columns, **(columns or {})}, target or found.target, found.impossible)
