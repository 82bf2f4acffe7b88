"""One table from a file to a synthetic one: the same road as the chain, without a dataset's YAML. Behind `api.synthesize`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from synth_assets.config.dataset import ColumnConfig, SynthesizerConfig
from synth_assets.config.sampling import Asked, Combination
from synth_assets.errors import CheckFailedError, ConfigError, ReleaseRefusedError
from synth_assets.pii.records import ColumnVerdict
from synth_assets.pii.roles import ColumnRoles, column_roles
from synth_assets.privacy.budget import BudgetLedger
from synth_assets.privacy.empirical.noise import REPETITIONS
from synth_assets.privacy.empirical.records import CanaryAttack
from synth_assets.privacy.empirical.words import canary_words
from synth_assets.privacy.report import PrivacyReport
from synth_assets.seeds import child_seed
from synth_assets.storage.artifacts import ArtifactStore, Zone
from synth_assets.storage.atomic import write_text
from synth_assets.storage.hashing import hash_folder
from synth_assets.storage.rooms import temporary
from synth_assets.synthesis.canaries import attack_canaries
from synth_assets.synthesis.charged import Charge, key_of, measure_charged
from synth_assets.synthesis.complete import complete_release
from synth_assets.synthesis.protocol import ReleaseSpec, SynthesizerModel, TableSpec
from synth_assets.synthesis.release import ReleaseModel, fit_release, load_measurements, plan_release
from synth_assets.synthesis.scan import scan_measurements
from synth_assets.tables.engine import Engine
from synth_assets.tables.schema import TableSchema

FILES = "_files"  # no dataset can have this name
PRIVACY_FILE = "privacy.json"


@dataclass(frozen=True)
class TableRelease:
    """What to release.

    Args:
        folder: Canonical table.
        schema: Its schema.
        verdicts: What its columns hold about people.
        columns: The declared domain.
        target: Column that the model serves first, or None.
        synthesizer: Method and privacy parameters.
        seed: Seed of weights and sampling.
        population: Whose budget pays.
        run_id: Holder of the reservation.
        budget: (epsilon, delta) of the population where it has none yet.
        store: Keeps the measurements, so that the same one is not paid for twice.
        fresh: Measure and pay again although the same measurement is stored.
        repetitions: Of the attack on the noise before the measurement.
        asked: Conditions and class shares of the rows to make, of dp_marginals.
        impossible: Declared combinations that no row has.
    """

    folder: Path
    schema: TableSchema
    verdicts: tuple[ColumnVerdict, ...]
    columns: Mapping[str, ColumnConfig]
    target: str | None
    synthesizer: SynthesizerConfig
    seed: int
    population: str
    run_id: str
    budget: tuple[float, float]
    store: ArtifactStore
    fresh: bool = False
    repetitions: int = REPETITIONS
    asked: Asked = field(default_factory=Asked)
    impossible: tuple[Combination, ...] = ()


@dataclass(frozen=True)
class TableMade:
    """What `release_table` made.

    Args:
        schema: Schema of the synthetic table.
        privacy: The privacy report; None for a synthesizer that is not private.
        spent: Epsilon that this call charged; 0 where the stored measurement was used again.
    """

    schema: TableSchema
    privacy: PrivacyReport | None
    spent: float


def release_table(
    job: TableRelease,
    out: Path,
    *,
    ledger: Callable[[], BudgetLedger],
    engine: Engine,
    progress: Callable[[str], None] = lambda _: None,
) -> TableMade:
    """Train, sample, and make the direct identifiers anew.

    Args:
        job: What to release.
        out: Folder for `part-00000.parquet`.
        ledger: Opens the budget ledger; called only where budget is spent.
        engine: The table engine.
        progress: Called with the name of each step as it begins.

    Raises:
        BudgetExceededError: the budget does not suffice. No data was read.
        CheckFailedError: an attack on the mechanism contradicts its claim. No data was read.
        ConfigError: the target or a declared column is not in the table.
    """
    roles = column_roles(job.schema, job.verdicts, job.columns)
    _check_columns(job, roles)
    table = TableSpec(
        table=job.schema, path=job.folder, columns=roles.modelled, configs=job.columns, unit_column=None,
        impossible=job.impossible,
    )  # fmt: skip
    spec = ReleaseSpec(tables=(table,), target=(job.schema.name, job.target) if job.target else None)
    with temporary() as scratch:
        model, privacy, spent = _train(job, spec, ledger, engine, progress)
        progress("sampling")
        sampled = _sample(job, model, scratch / "sampled")
        rows = complete_release(
            sampled,
            scratch / "complete",
            schemas={job.schema.name: job.schema},
            identifiers={job.schema.name: roles.identifiers},
            seed=child_seed(job.seed, "identifiers"),
        )
        shutil.move(scratch / "complete" / job.schema.name, out)
    return TableMade(job.schema.model_copy(update={"row_count": rows[job.schema.name]}), privacy, spent)


def _sample(job: TableRelease, model: SynthesizerModel, out: Path) -> Mapping[str, Path]:
    """Rows of the model, under conditions where they are asked for."""
    seed, rows = child_seed(job.seed, "sample"), job.synthesizer.rows
    if job.asked.asks and isinstance(model, ReleaseModel):
        return model.sample(rows=rows, seed=seed, out=out, strata=model.strata(job.asked, seed=seed))
    return model.sample(rows=rows, seed=seed, out=out)


def _check_columns(job: TableRelease, roles: ColumnRoles) -> None:
    """What was declared must be there, and the target and conditions must be about something that a model may learn."""
    asked = (*job.asked.where, *([job.asked.balance.column] if job.asked.balance else []))
    for name in asked:
        if name not in roles.modelled:
            raise ConfigError(
                "a condition names a column that is not modelled.", column=name, key="where",
                remedy=f"Columns that are modelled: {', '.join(roles.modelled) or 'none'}.",
            )  # fmt: skip
    for name in (*job.columns, *([job.target] if job.target else [])):
        if name not in job.schema.names:
            raise ConfigError(
                "the table has no such column.", column=name, remedy=f"Its columns: {', '.join(job.schema.names)}."
            )
    if job.target and job.target not in roles.modelled:
        raise ConfigError(
            f"the target is never modelled: it counts as {roles.identifiers.get(job.target, 'a key')}.",
            column=job.target,
            key="target",
            remedy=f"Columns that are modelled: {', '.join(roles.modelled) or 'none'}.",
        )


def _train(
    job: TableRelease,
    spec: ReleaseSpec,
    ledger: Callable[[], BudgetLedger],
    engine: Engine,
    progress: Callable[[str], None],
) -> tuple[SynthesizerModel, PrivacyReport | None, float]:
    """The model, its privacy report, and what was charged now."""
    if not job.synthesizer.differentially_private:
        from synth_assets.synthesis.sdv_options import plain_synthesizer

        progress(f"training {job.synthesizer.name}")
        model = plain_synthesizer(job.synthesizer).fit(
            spec, seed=child_seed(job.seed, "fit"), report=lambda what, _: progress(what)
        )
        return model, None, 0.0
    charge = Charge(
        population=job.population,
        unit="row",
        budget_epsilon=job.budget[0],
        budget_delta=job.budget[1],
        label=f"file/{job.population}",
        run_id=job.run_id,
        attempt=0,
        data_version=hash_folder(job.folder),
        keep_budget=True,
    )
    if job.synthesizer.trained_on_rows:
        return _trained(job, spec, charge, ledger(), engine, progress)
    progress("measuring under differential privacy")
    epsilon, delta = job.synthesizer.epsilon, job.synthesizer.delta
    budget = ledger()
    measured, privacy, spent = _paid_once(
        job, "dp_measurements", key_of(spec, charge, epsilon=epsilon, delta=delta), budget,
        lambda out: measure_charged(
            spec, epsilon=epsilon, delta=delta, charge=charge, ledger=budget, engine=engine, out=out,
            repetitions=job.repetitions,
        ),
        lambda out: scan_measurements(out, plan_release(spec, epsilon=epsilon, delta=delta)),
    )  # fmt: skip
    progress("fitting the model")
    noisy = load_measurements(measured)
    model = fit_release(noisy, seed=child_seed(job.seed, "fit"))
    progress("attacking the model")
    attacks = attack_canaries(model, noisy, delta=job.synthesizer.delta, seed=child_seed(job.seed, "canaries"))
    _require_harmless(attacks)
    return model, privacy.model_copy(update={"canaries": attacks}), spent


def _require_harmless(attacks: tuple[CanaryAttack, ...]) -> None:
    """Refuse a model whose canaries show more than its claim.

    Raises:
        CheckFailedError: names the attack.
    """
    if not all(a.passed for a in attacks):
        raise CheckFailedError(
            f"an attack on the model contradicts its claim, so nothing is written: {canary_words(attacks)}.",
            key="epsilon",
            remedy="This is a fault of the mechanism or of its random numbers; please report it.",
        )


def _trained(
    job: TableRelease,
    spec: ReleaseSpec,
    charge: Charge,
    ledger: BudgetLedger,
    engine: Engine,
    progress: Callable[[str], None],
) -> tuple[SynthesizerModel, PrivacyReport | None, float]:
    """A network trained on the rows under differential privacy."""
    from synth_assets.synthesis.charged_training import TrainingJob, planned, train_charged, training_key
    from synth_assets.synthesis.dpsgd.model import load_trained
    from synth_assets.synthesis.dpsgd.options import method_of, training_options
    from synth_assets.synthesis.scan_training import scan_trained

    chosen, method = job.synthesizer, method_of(job.synthesizer.name)
    training = TrainingJob(
        method, spec, chosen.epsilon, chosen.delta, training_options(method, chosen.training),
        child_seed(job.seed, "fit"),
    )  # fmt: skip
    progress("measuring under differential privacy")

    def make(out: Path) -> PrivacyReport:
        report = train_charged(
            training, charge=charge, ledger=ledger, engine=engine, out=out, repetitions=job.repetitions,
            progress=lambda what, _: progress(what),
        )  # fmt: skip
        _require_harmless(report.canaries)
        return report

    folder, privacy, spent = _paid_once(
        job, f"model_{chosen.name}", training_key(training, charge), ledger, make,
        lambda out: scan_trained(out, planned(training)),
    )  # fmt: skip
    return load_trained(folder), privacy, spent


def _paid_once(
    job: TableRelease,
    what: str,
    key: str,
    ledger: BudgetLedger,
    make: Callable[[Path], PrivacyReport],
    scan: Callable[[Path], tuple[str, ...]],
) -> tuple[Path, PrivacyReport, float]:
    """What is stored where the same was made before, which costs nothing; else it is made, charged, scanned and stored.

    Raises:
        CheckFailedError: the scan has a finding.
        ReleaseRefusedError: it is stored, and the ledger that counted it is not there.
    """
    asset = f"{what}_{key[:32]}"
    found = job.store.find(Zone.RELEASE, FILES, asset)
    if found is not None and ledger.find(key) is None:
        raise ReleaseRefusedError(
            f"this measurement of population {job.population!r} was released before, but the budget ledger knows nothing of it.",
            remedy="Bring back the ledger (var/ledger or the database) from a backup; it is never started afresh beside releases.",
        )
    if found is not None and not job.fresh:
        folder = job.store.path(found)
        stored = PrivacyReport.model_validate_json((folder / PRIVACY_FILE).read_text())
        now = ledger.status(job.population)
        return folder, stored.model_copy(update={"budget_epsilon": now.epsilon, "budget_left": now.left}), 0.0
    with job.store.writing(Zone.RELEASE, FILES, asset) as out:
        privacy = make(out.folder)
        write_text(out.folder / PRIVACY_FILE, privacy.model_dump_json(indent=1))
        _require_nothing_else(scan(out.folder))
    return job.store.path(out.done()), privacy, privacy.spent.epsilon


def _require_nothing_else(findings: tuple[str, ...]) -> None:
    """Refuse to store what holds more than the public domain, the plan and noisy numbers.

    Raises:
        CheckFailedError: names the place, not what stands there.
    """
    if findings:
        raise CheckFailedError(
            f"the release holds what it must not, so it is thrown away; the budget was charged: {findings[0]}",
            remedy="This is a fault of the method; please report it.",
        )
