"""`mask` and `mask_record`: a table, or one record, by a policy; nothing leaves before the leak check has passed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.api.reading import (
    Ingested,
    Progress,
    destination,
    engine_of,
    frame_of,
    ingested,
    settings_of,
    silent,
    texts_kept,
    verdicts_of,
)
from synth_assets.api.recording import record_output
from synth_assets.config.base import LocaleName
from synth_assets.config.dataset import ColumnConfig, TextDetectorName
from synth_assets.errors import CheckFailedError, LeakError
from synth_assets.ledger.events import Detail, identifier
from synth_assets.storage.rooms import temporary
from synth_assets.storage.secrets import master_key

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.api.reading import Table
    from synth_assets.config.anonymity import TableAnonymity
    from synth_assets.config.runtime import Settings
    from synth_assets.masking.records import MaskingPlan, MaskSummary
    from synth_assets.pii.records import ColumnVerdict

POLICY = "hipaa_safe_harbor"
PERSONS = ("customer_id", "mrn", "health_plan_id", "ssn", "national_id", "email", "person_name")


def mask(
    table: Table,
    out: Path | str | None = None,
    *,
    policy: str | Path = POLICY,
    columns: Mapping[str, ColumnConfig] | None = None,
    verdicts: Sequence[ColumnVerdict] | None = None,
    home: Path | None = None,
    release_domain: str = "default",
    anonymity: TableAnonymity | None = None,
    text_detector: TextDetectorName = "builtin",
    locale: LocaleName = "en_US",
    progress: Progress = silent,
) -> tuple[Path | pd.DataFrame, MaskSummary]:
    """Mask a table by a policy; the result has passed the leak check, and that of k-anonymity, else nothing is written.

    Args:
        table: File or frame.
        out: File to write; a frame is returned when None.
        policy: Name of a policy, or path of one.
        columns: A person's overrides of kind, entity type or action.
        verdicts: What `classify` said of this or a larger table of the same columns; classified anew when None.
        home: Home folder with the masking key; the nearest one when None.
        release_domain: Recipient; pseudonyms of two release domains cannot be joined.
        anonymity: Quasi-identifiers to generalise together, and k, l, t in place of the policy's.
        text_detector: Looks for identifiers in free text, to classify and to scrub: "builtin", or "presidio" (its extra).
        locale: Country of made-up names, streets and cities, such as "de_DE".
        progress: Called with the name of each step as it begins.

    Returns:
        The file or frame, and what was done to each column.

    Raises:
        LeakError: a raw identifier is left in the result.
        CheckFailedError: the table cannot reach the k-anonymity asked for.
        ConfigError: there is no such policy, or an override names a column that is not there.
        SourceError: the file is no table.
    """
    from synth_assets.exports.formats import write_table
    from synth_assets.masking.policies import load_policy

    target, settings = destination(out, table), settings_of(home)
    load_policy(policy, settings.configs_folder)  # before any work
    progress("reading")
    with ingested(table, None, columns) as data, temporary() as scratch:
        if verdicts is None:
            progress("classifying columns")
            verdicts = verdicts_of(data, columns, text_detector)
        folder = scratch / "masked"
        progress("masking")
        plan = _planned(data, verdicts, policy, columns or {}, settings, anonymity, locale)
        done = _masked(data, plan, folder, settings, release_domain, text_detector)
        progress("searching for leaks")
        _check(data, verdicts, folder, done, settings)
        _check_anonymity(folder, plan, done, settings)
        told: dict[str, Detail] = {"policy": identifier(done.policy), "key": done.key_fingerprint}
        if target is None:
            record_output(settings, "masked", None, told)
            return texts_kept(frame_of(folder), table), done
        progress(f"writing {target.name}")
        provenance = {"masked": True, "policy": done.policy, "key": done.key_fingerprint}
        write_table(folder, target, schema=done.output_schema, engine=engine_of(settings), provenance=provenance)
        record_output(settings, "masked", target, told)
        return target, done


def _planned(
    data: Ingested,
    verdicts: Sequence[ColumnVerdict],
    policy: str | Path,
    columns: Mapping[str, ColumnConfig],
    settings: Settings,
    anonymity: TableAnonymity | None,
    locale: LocaleName = "en_US",
) -> MaskingPlan:
    from synth_assets.masking.plan import plan_table
    from synth_assets.masking.policies import load_policy

    return plan_table(
        [v for v in verdicts if v.column in data.schema.names],
        load_policy(policy, settings.configs_folder),
        schema=data.schema,
        overrides=columns,
        unit_column=_person_column(verdicts, data),
        as_of=dt.date(dt.datetime.now(dt.UTC).year, 12, 31),
        anonymity=anonymity,
        locale=locale,
    )


def _masked(
    data: Ingested,
    plan: MaskingPlan,
    folder: Path,
    settings: Settings,
    release_domain: str,
    text_detector: TextDetectorName = "builtin",
) -> MaskSummary:
    from synth_assets.masking.detected import searching
    from synth_assets.masking.run import MaskInput, mask_tables
    from synth_assets.masking.vault import TokenVault

    name = data.schema.name
    done = mask_tables(
        {name: MaskInput(data.folder, data.schema, plan)},
        {name: folder},
        key=master_key(settings.keys_folder),
        engine=engine_of(settings),
        release_domain=release_domain,
        vault=TokenVault(settings.vault_location),
        detector=searching(text_detector),
    )
    return done[name]


def _person_column(verdicts: Sequence[ColumnVerdict], data: Ingested) -> str | None:
    """The column that names the person of a row, by which dates shift together; None where no column does.

    The one with the most different values among those of the first type that the table has.
    """
    for entity_type in PERSONS:
        found = [v for v in verdicts if v.entity_type == entity_type and v.column in data.schema.names]
        if found:
            return max(found, key=lambda v: v.distinct_count or 0).column
    return None


def _check(
    data: Ingested, verdicts: Sequence[ColumnVerdict], folder: Path, done: MaskSummary, settings: Settings
) -> None:
    from synth_assets.masking.leakcheck import check_leaks
    from synth_assets.masking.records import LEAK_REMEDY

    name = data.schema.name
    report = check_leaks(
        {name: data.folder},
        {name: folder},
        verdicts={name: verdicts},
        schemas={name: data.schema},
        summaries={name: done},
        engine=engine_of(settings),
    )
    if report.passed:
        return
    worst = max(report.findings, key=lambda f: f.cells)
    raise LeakError(
        f"the leak check found values of the raw column {worst.raw_column!r} in {worst.cells} masked cells "
        f"({len(report.findings)} findings in all); nothing was written.",
        column=worst.column,
        remedy=LEAK_REMEDY,
    )


def _check_anonymity(folder: Path, plan: MaskingPlan, done: MaskSummary, settings: Settings) -> None:
    from synth_assets.masking.anonymity.verify import check_masked

    report = check_masked(plan.table, {plan.table: folder}, {plan.table: done}, plan, engine_of(settings))
    if not report.passed:
        raise CheckFailedError(
            f"the check of k-anonymity failed on the masked table: {'; '.join(report.failures)}; nothing was written.",
            remedy="This is a fault of the program; please report it.",
        )


def mask_record(
    record: Mapping[str, Any],
    *,
    policy: str | Path = POLICY,
    columns: Mapping[str, ColumnConfig] | None = None,
    verdicts: Sequence[ColumnVerdict] | None = None,
    home: Path | None = None,
    release_domain: str = "default",
) -> dict[str, Any]:
    """Mask one record; the same value gets the same pseudonym as in `mask`, unless it met another one or a real value there.

    Args:
        record: Column to value.
        policy: As in `mask`.
        columns: As in `mask`; one record shows little, so name the entity types of columns whose name does not.
        verdicts: As in `mask`: what `classify` said of a whole table makes the record's columns as sure as the table's.
        home: As in `mask`.
        release_domain: As in `mask`.

    Returns:
        The columns that the policy lets through; dropped ones are not in it.

    Raises:
        LeakError: a raw identifier is left in the result.
        InputError: the record is empty.
    """
    import pandas as pd

    frame = pd.DataFrame([dict(record)])
    masked, _ = mask(frame, policy=policy, columns=columns, verdicts=verdicts, home=home, release_domain=release_domain)
    if isinstance(masked, Path):
        raise TypeError("a record has no file")
    return {str(name): _plain(masked[name].iloc[0]) for name in masked.columns}


def _plain(value: Any) -> Any:
    """A cell as a plain Python value; None where it is missing."""
    import pandas as pd

    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
