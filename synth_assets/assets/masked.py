"""Stage 4: masked tables by policy. Published only after the leak check and the key check have passed. No model reads them."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.classification import read_verdicts
from synth_assets.assets.raw import schema_of
from synth_assets.assets.stage import CheckOutcome, Event, Job, Stage
from synth_assets.assets.wiring import Wiring
from synth_assets.checks.masking import anonymity_outcome, key_outcome, leak_outcome
from synth_assets.config.dataset import DatasetConfig
from synth_assets.masking.records import MaskingPlan, MaskSummary
from synth_assets.pii.records import ColumnVerdict
from synth_assets.resources import EngineResource, KeyResource, StoreResource, VaultResource
from synth_assets.storage.artifacts import ArtifactRef, Zone
from synth_assets.storage.atomic import write_text
from synth_assets.storage.secrets import SecretKey

VERSION = "1"
SUMMARY_FILE = "summary.json"


def section_of(wiring: Wiring) -> dict[str, Any]:
    """What masking takes from the YAML: policy (its text as well), recipient, overrides, unit, detector, locale; the year."""
    from synth_assets.masking.policies import load_policy

    policy = load_policy(wiring.config.policy, wiring.configs_folder)
    return {
        "policy": policy.model_dump(mode="json"),
        "release_domain": wiring.config.release_domain,
        "unit": wiring.config.unit,
        "text_detector": wiring.config.text_detector,
        "locale": wiring.config.locale,
        "year": dt.datetime.now(dt.UTC).year,
        "actions": {t: wiring.declared(t, ("action",)) for t in wiring.config.tables},
        "anonymity": {t: c.anonymity.model_dump(mode="json") for t, c in wiring.config.tables.items() if c.anonymity},
    }


def build_masked(wiring: Wiring, table: str) -> dg.AssetsDefinition:
    """The asset `<dataset>/masked_<table>` with the checks `leak`, `keys` and, where it is asked for, `k_anonymity`."""
    config, keys, asset = wiring.config, wiring.keys, wiring.keys.masked(table)
    section = section_of(wiring)
    spec = wiring.spec(
        asset,
        stage="masked",
        zone=Zone.MASKED,
        section=section,
        version=VERSION,
        keyed=True,
        kinds={"parquet", "duckdb"},
        description=f"Table `{table}` masked by policy `{config.policy}`. A product of its own: no model reads it.",
        deps=[
            *(keys.raw(t) for t in config.tables),
            keys.classification,
            *(keys.masked(t) for t in ancestors(config, table)),
        ],
    )
    checks = [
        wiring.check(
            asset, "leak", "No raw identifier is left, exact or inside text; no name is left in its own person's rows."
        ),
        wiring.check(asset, "keys", "Foreign keys join as before, unique columns are still unique."),
    ]
    if section["policy"]["anonymity"] or section["anonymity"]:
        told = "At least k persons share each combination of quasi-identifiers; l and t hold where they are asked for."
        checks.append(wiring.check(asset, "k_anonymity", told))

    @dg.multi_asset(name=f"{config.name}__{asset}", pool=config.name, specs=[spec], check_specs=checks)
    def masked(
        context: dg.AssetExecutionContext,
        store: StoreResource,
        engine: EngineResource,
        key: KeyResource,
        vault: VaultResource,
    ) -> Iterator[Event]:
        with stage_boundary(f"{config.name}/{asset}"):
            stage = Stage(context, store, config)
            work = _Masking(wiring, table, stage, engine, key.open(), vault)
            job = Job(Zone.MASKED, asset, work.inputs, section, VERSION, work.build, work.check)
            events = stage.deliver(job, lambda ref: _describe(wiring, table, ref))
        yield from events

    return masked


def ancestors(config: DatasetConfig, table: str) -> tuple[str, ...]:
    """The tables above a table, by its foreign keys, that do not stand below it as well."""

    def above(name: str) -> set[str]:
        found: set[str] = set()
        waiting = [name]
        while waiting:
            for reference in config.tables[waiting.pop()].foreign_keys.values():
                parent = reference.partition(".")[0]
                if parent not in found:
                    found.add(parent)
                    waiting.append(parent)
        return found

    return tuple(t for t in config.tables if t != table and t in above(table) and table not in above(t))


class _Masking:
    """The masking of one table among all tables of its dataset (parents lend their identifiers to texts and dates)."""

    def __init__(
        self,
        wiring: Wiring,
        table: str,
        stage: Stage,
        engine: EngineResource,
        master: SecretKey,
        vault: VaultResource,
    ) -> None:
        self.wiring, self.table, self.engine, self.master, self.vault = (
            wiring,
            table,
            engine.open(),
            master,
            vault.open(),
        )
        raws = {t: stage.read(Zone.RESTRICTED, wiring.keys.raw(t)) for t in wiring.config.tables}
        verdict_ref = stage.read(Zone.RESTRICTED, wiring.keys.classification)
        self.paths = {t: stage.store.path(r) for t, r in raws.items()}
        self.schemas = {t: schema_of(r) for t, r in raws.items()}
        self.verdicts: Mapping[str, tuple[ColumnVerdict, ...]] = read_verdicts(stage.store, verdict_ref)
        self.inputs = {t: r.content_hash for t, r in raws.items()}
        parents = {t: stage.read(Zone.MASKED, wiring.keys.masked(t)) for t in ancestors(wiring.config, table)}
        self.parents = {t: stage.store.path(r) for t, r in parents.items()}
        self.summaries = {t: summary_of(r) for t, r in parents.items()}
        self.inputs |= {f"masked_{t}": r.content_hash for t, r in parents.items()}
        self.inputs |= {"classification": verdict_ref.content_hash, "key": master.derive("masking").fingerprint}
        section = section_of(wiring)
        self.anonymous = bool(section["policy"]["anonymity"] or section["anonymity"])
        self.unit = wiring.config.locate(wiring.config.unit, "unit") if wiring.config.unit else None

    def build(self, folder: Path) -> dict[str, Any]:
        """Mask the table."""
        from synth_assets.masking.detected import searching
        from synth_assets.masking.plan import plan_tables
        from synth_assets.masking.policies import load_policy
        from synth_assets.masking.run import MaskInput, mask_tables

        config = self.wiring.config
        plans = plan_tables(
            self.verdicts,
            load_policy(config.policy, self.wiring.configs_folder),
            schemas=self.schemas,
            overrides={t: c.columns for t, c in config.tables.items()},
            unit=self.unit,
            as_of=dt.date(dt.datetime.now(dt.UTC).year, 12, 31),
            anonymity={t: c.anonymity for t, c in config.tables.items() if c.anonymity},
            locale=config.locale,
        )
        inputs = {t: MaskInput(self.paths[t], self.schemas[t], plans[t]) for t in self.paths}
        done = mask_tables(
            inputs, {self.table: folder}, key=self.master, engine=self.engine, release_domain=config.release_domain,
            vault=self.vault, detector=searching(config.text_detector),
        )  # fmt: skip
        summary = done[self.table]
        write_text(folder / SUMMARY_FILE, summary.model_dump_json(indent=1))
        return {
            "summary": summary.model_dump(mode="json"),
            "row_count": summary.rows,
            "plan": plans[self.table].model_dump(mode="json"),
        }

    def check(self, folder: Path, info: dict[str, Any]) -> Sequence[CheckOutcome]:
        """Search the masked table for what must not be there, compare its keys, measure k on what was written."""
        from synth_assets.masking.anonymity.verify import check_masked
        from synth_assets.masking.keycheck import check_keys
        from synth_assets.masking.leakcheck import check_leaks

        masked = {**self.parents, self.table: folder}
        summaries = {**self.summaries, self.table: MaskSummary.model_validate(info["summary"])}
        leaks = check_leaks(
            self.paths, masked, verdicts=self.verdicts, schemas=self.schemas, summaries=summaries, engine=self.engine,
            tables=[self.table],
        )  # fmt: skip
        found = check_keys(
            self.paths, masked, schemas=self.schemas, summaries=summaries, engine=self.engine, tables=[self.table]
        )
        outcomes = [leak_outcome(leaks), key_outcome(found)]
        if self.anonymous:
            plan = MaskingPlan.model_validate(info["plan"])
            outcomes.append(anonymity_outcome(check_masked(self.table, masked, summaries, plan, self.engine)))
        return outcomes


def summary_of(ref: ArtifactRef) -> MaskSummary:
    """What masking did to a table."""
    return MaskSummary.model_validate(ref.info["summary"])


def _describe(wiring: Wiring, table: str, ref: ArtifactRef) -> dict[str, Any]:
    summary, raw = summary_of(ref), wiring.keys.key(wiring.keys.raw(table))
    kept = [c for c in summary.columns if c.dtype is not None]
    notes = {c.column: f"{c.action}: {c.reason}" for c in kept}
    tags = {c.column: {"action": c.action} for c in kept}
    shown = [
        {"column": c.column, "action": c.action, "reason": c.reason, "information_loss": round(c.information_loss, 2)}
        for c in summary.columns
    ]
    loss = sum(c.information_loss for c in summary.columns) / max(len(summary.columns), 1)
    return {
        **metadata.table(summary.output_schema, summary.rows, tags=tags, notes=notes),
        **metadata.lineage({c.column: [(raw, c.column)] for c in kept}),
        "information_loss": round(loss, 4),
        **_anonymity(summary),
        "actions": metadata.rows(shown),
    }


def _anonymity(summary: MaskSummary) -> dict[str, Any]:
    """What k-anonymity cost, where it was asked for."""
    done = summary.anonymity
    if done is None:
        return {}
    return {
        "anonymity_loss": round(done.loss, 4),
        "suppressed_rows_fraction": round(done.suppressed_rows / max(done.rows, 1), 4),
        "anonymity_method": done.method,
    }
