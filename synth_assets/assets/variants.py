"""Stage 8b: further tables from the dp_marginals model: under conditions, with balanced classes, or behind real rows. Spends nothing.

A variant without real rows may be exported where the model's own tables have passed their audit. An augmented table holds real rows:
it stays in the restricted zone, and no export has it among its parents.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.split import schemas_of
from synth_assets.assets.stage import Event, Job, Stage
from synth_assets.assets.synthetic import Known, describe, known_columns, table_schema
from synth_assets.assets.wiring import Wiring
from synth_assets.config.dataset import DatasetConfig, SynthesizerConfig
from synth_assets.config.sampling import VariantConfig
from synth_assets.errors import ReleaseRefusedError
from synth_assets.resources import StoreResource
from synth_assets.seeds import child_seed
from synth_assets.storage.artifacts import ArtifactRef, Zone

VERSION = "1"
METHOD = "dp_marginals"


def exportable(config: DatasetConfig) -> tuple[str, ...]:
    """Variants that an export may hold: those without real rows."""
    return tuple(name for name, variant in config.variants.items() if not variant.augment)


def proven_variant(
    stage: Stage, wiring: Wiring, name: str, audited: Mapping[str, ArtifactRef]
) -> dict[str, ArtifactRef]:
    """The tables of a variant, if they are of the model whose tables were audited.

    Args:
        stage: The running step.
        wiring: The dataset.
        name: Of the variant.
        audited: The model's own tables, whose audit has passed.

    Raises:
        ReleaseRefusedError: they hold real rows, or are of another model.
    """
    tables = {t: stage.read(Zone.RESTRICTED, wiring.keys.variant(name, t)) for t in wiring.config.tables}
    models = {ref.info["model"] for ref in audited.values()}
    for ref in tables.values():
        if ref.info["real_rows"]:
            raise ReleaseRefusedError(
                f"{ref.dataset}/{ref.asset} holds real rows: it never leaves the restricted zone."
            )
        if {ref.info["model"]} != models:
            raise ReleaseRefusedError(
                f"{ref.dataset}/{ref.asset} is of another model than the tables that were audited.",
                remedy=f"Materialise {ref.dataset}/{ref.asset} again.",
            )
    return tables


def build_variant(wiring: Wiring, name: str) -> dg.AssetsDefinition:
    """The assets `<dataset>/variant_<name>_<table>`, made in one step."""
    config, keys, variant = wiring.config, wiring.keys, wiring.config.variants[name]
    synthesizer = next(s for s in config.synthesizers if s.name == METHOD)
    section = variant.model_dump(mode="json") | {"seed": config.seed}
    names = {t: keys.variant(name, t) for t in config.tables}
    deps = [keys.model(METHOD), keys.classification, *([keys.split] if variant.augment else [])]
    specs = [
        wiring.spec(
            asset,
            stage="variant",
            zone=Zone.RESTRICTED,
            section=section,
            version=VERSION,
            kinds={"parquet", "python"},
            description=_words(table, variant),
            deps=deps,
        )
        for table, asset in names.items()
    ]

    @dg.multi_asset(name=f"{config.name}__variant_{name}", pool=config.name, specs=specs)
    def made(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[Event]:
        events: list[Event] = []
        with stage_boundary(f"{config.name}/variant_{name}"):
            stage = Stage(context, store, config)
            model = stage.read(Zone.RELEASE, keys.model(METHOD))
            verdicts = stage.read(Zone.RESTRICTED, keys.classification)
            split = stage.read(Zone.RESTRICTED, keys.split) if variant.augment else None
            known = known_columns(wiring, synthesizer, stage, model, verdicts)
            inputs = {"model": model.content_hash, "classification": verdicts.content_hash}
            inputs |= {} if split is None else {"split": split.content_hash}
            with stage.store.staging(config.name) as scratch:
                sampling = _Variant(wiring, name, stage, model, known, split, scratch)
                for table, asset in names.items():
                    job = Job(Zone.RESTRICTED, asset, inputs, section, VERSION, sampling.filler(table))
                    events += stage.deliver(job, _describer(wiring, synthesizer, known, table, variant))
        yield from events

    return made


def _words(table: str, variant: VariantConfig) -> str:
    """What the variant is, as its asset says it."""
    if variant.augment:
        return f"Real rows of `{table}`, without direct identifiers, and synthetic ones of their rare classes. Never leaves this zone."
    asked = variant.model_dump(mode="json", exclude_defaults=True)
    return f"Synthetic `{table}` from the dp_marginals model, asked for: {json.dumps(asked)}. Costs no privacy budget."


class _Variant:
    """Samples all tables of a variant once, when the first of them is asked for."""

    def __init__(
        self,
        wiring: Wiring,
        name: str,
        stage: Stage,
        model: ArtifactRef,
        known: Known,
        split: ArtifactRef | None,
        scratch: Path,
    ) -> None:
        self.wiring, self.name, self.known, self.split, self.scratch = wiring, name, known, split, scratch
        self.stage, self.model = stage, model
        self.made: dict[str, Any] | None = None

    def filler(self, table: str) -> Callable[[Path], Mapping[str, Any]]:
        """The `build` of one table's job."""

        def fill(folder: Path) -> Mapping[str, Any]:
            if self.made is None:
                self.made = self._make()
            for file in sorted((self.scratch / "made" / table).glob("part-*.parquet")):
                shutil.move(file, folder / file.name)
            schema = self.made["schemas"][table]
            shared = {k: self.made[k] for k in ("classes", "real_rows")}
            return {
                "schema": schema.model_dump(mode="json"),
                "row_count": schema.row_count,
                "model": self.model.content_hash,
                **shared,
            }

        return fill

    def _make(self) -> dict[str, Any]:
        from synth_assets.synthesis.complete import complete_release
        from synth_assets.synthesis.release import load_release

        config, variant = self.wiring.config, self.wiring.config.variants[self.name]
        seed = child_seed(config.seed, "variant", self.name)
        model = load_release(self.stage.store.path(self.model))
        strata, rows = model.strata(variant, seed=seed) if variant.asks else (), variant.rows
        classes = {s.label: s.rows.share for s in strata}
        if self.split is not None:
            return self._augment(model, strata, seed) | {"classes": classes}
        sampled = model.sample(rows=rows, seed=seed, out=self.scratch / "sampled", strata=strata)
        counts = complete_release(
            sampled,
            self.scratch / "made",
            schemas=self.known.schemas,
            identifiers={t: r.identifiers for t, r in self.known.roles.items()},
            seed=child_seed(seed, "identifiers"),
        )
        schemas = {t: self.known.schemas[t].model_copy(update={"row_count": n}) for t, n in counts.items()}
        return {"schemas": schemas, "classes": classes, "real_rows": 0}

    def _augment(self, model: Any, strata: Any, seed: int) -> dict[str, Any]:
        """Real rows of the training part, and synthetic rows of the classes that they lack."""
        from synth_assets.synthesis.augmented import augmented, missing_rows

        split, balance = self.split, self.wiring.config.variants[self.name].balance
        if split is None or balance is None:
            raise ReleaseRefusedError("nothing says which classes to augment.")
        table = next(iter(self.wiring.config.tables))
        real = self.stage.store.path(split) / table / "train"
        column = balance.column.removeprefix(f"{table}.")
        missing = missing_rows(real, column, strata)
        sampled = model.sample(rows=missing.rows, seed=seed, out=self.scratch / "sampled", strata=missing.strata)
        roles = self.known.roles[table]
        schema = schemas_of(split)[table]
        kept = tuple(c for c in schema.columns if c.name in {*roles.keys, *roles.modelled})
        schema = schema.model_copy(update={"columns": kept})
        made = augmented(real, sampled[table], self.scratch / "made" / table, schema)
        return {"schemas": {table: made}, "real_rows": missing.real_rows}


def _describer(
    wiring: Wiring, synthesizer: SynthesizerConfig, known: Known, table: str, variant: VariantConfig
) -> Callable[[ArtifactRef], Mapping[str, Any]]:
    def shown(ref: ArtifactRef) -> Mapping[str, Any]:
        classes = [{"class": k, "share_under_the_model": round(v, 6)} for k, v in ref.info["classes"].items()]
        told = {
            "asked": dg.MetadataValue.json(variant.model_dump(mode="json", exclude_defaults=True)),
            "epsilon_spent_by_it": 0.0,
            "real_rows": ref.info["real_rows"],
            **({"classes": metadata.rows(classes)} if classes else {}),
        }
        if ref.info["real_rows"]:
            return {**metadata.table(schema := table_schema(ref), schema.row_count), **told}
        return {**describe(wiring, synthesizer, known.roles[table], ref), **told}

    return shown
