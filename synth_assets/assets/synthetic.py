"""Stage 8: synthetic tables sampled from a model, direct identifiers made anew. Restricted until an export has proven them."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from synth_assets.assets import metadata
from synth_assets.assets.boundary import stage_boundary
from synth_assets.assets.classification import read_schemas, read_verdicts
from synth_assets.assets.models import zone_of
from synth_assets.assets.split import modelled_columns, roles_from
from synth_assets.assets.stage import Event, Job, Stage
from synth_assets.assets.wiring import Wiring
from synth_assets.config.dataset import SynthesizerConfig
from synth_assets.errors import ReleaseRefusedError
from synth_assets.pii.roles import ColumnRoles
from synth_assets.resources import StoreResource
from synth_assets.seeds import child_seed
from synth_assets.storage.artifacts import ArtifactRef, Zone
from synth_assets.tables.schema import TableSchema

if TYPE_CHECKING:
    from synth_assets.synthesis.protocol import SynthesizerModel

VERSION = "2"  # 1 did not record which model it is from


def build_synthetic(wiring: Wiring, synthesizer: SynthesizerConfig) -> dg.AssetsDefinition:
    """The assets `<dataset>/synthetic_<synthesizer>_<table>`, made in one step since children follow their parents."""
    config, keys = wiring.config, wiring.keys
    section = {"rows": synthesizer.rows, "seed": config.seed}
    names = {t: keys.synthetic(synthesizer.name, t) for t in config.tables}
    privacy = (
        f"epsilon {synthesizer.epsilon:g} per release"
        if synthesizer.differentially_private
        else "not differentially private"
    )
    specs = [
        wiring.spec(
            asset,
            stage="synthetic",
            zone=Zone.RESTRICTED,
            section=section,
            version=VERSION,
            kinds={"parquet", "python"},
            description=f"Synthetic `{table}` by {synthesizer.name} ({privacy}). Keys and direct identifiers are made anew.",
            deps=[keys.model(synthesizer.name), keys.classification],
        )
        for table, asset in names.items()
    ]

    @dg.multi_asset(name=f"{config.name}__synthetic_{synthesizer.name}", pool=config.name, specs=specs)
    def synthetic(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[Event]:
        events: list[Event] = []
        with stage_boundary(f"{config.name}/synthetic_{synthesizer.name}"):
            stage = Stage(context, store, config)
            model = stage.read(zone_of(synthesizer), keys.model(synthesizer.name))
            verdicts = stage.read(Zone.RESTRICTED, keys.classification)
            known = known_columns(wiring, synthesizer, stage, model, verdicts)
            inputs = {"model": model.content_hash, "classification": verdicts.content_hash}
            with stage.store.staging(config.name) as scratch:
                sampling = _Sampling(wiring, synthesizer, stage.store.path(model), known, scratch, model.content_hash)
                for table, asset in names.items():
                    job = Job(Zone.RESTRICTED, asset, inputs, section, VERSION, sampling.filler(table))
                    events += stage.deliver(job, partial(describe, wiring, synthesizer, known.roles[table]))
        yield from events

    return synthetic


def table_schema(ref: ArtifactRef) -> TableSchema:
    """Schema of a synthetic table."""
    return TableSchema.model_validate(ref.info["schema"])


@dataclass(frozen=True)
class Known:
    """Names, kinds and roles of the columns of all tables: nothing that was counted in the data."""

    schemas: Mapping[str, TableSchema]
    roles: Mapping[str, ColumnRoles]


def known_columns(
    wiring: Wiring, synthesizer: SynthesizerConfig, stage: Stage, model: ArtifactRef, verdicts: ArtifactRef
) -> Known:
    """Roles from the classification, if the model was trained under the same ones.

    Raises:
        ReleaseRefusedError: a column has changed its role since; a mixture could show what must be made anew.
    """
    schemas = read_schemas(stage.store, verdicts)
    roles = roles_from(wiring, schemas, read_verdicts(stage.store, verdicts))
    if set(modelled_columns(roles)) != set(model.info["columns"]):
        name = wiring.keys.model(synthesizer.name)
        raise ReleaseRefusedError(
            f"{wiring.config.name}/{name} was trained on other columns than the classification now allows.",
            remedy=f"Materialise {wiring.config.name}/{wiring.keys.split} and what follows, up to {name}, again.",
        )
    return Known(schemas, roles)


class _Sampling:
    """Samples and completes all tables once, when the first of them is asked for."""

    def __init__(
        self, wiring: Wiring, synthesizer: SynthesizerConfig, model: Path, known: Known, scratch: Path, model_hash: str
    ) -> None:
        self.model_hash = model_hash
        self.wiring, self.synthesizer, self.model, self.known, self.scratch = wiring, synthesizer, model, known, scratch
        self.rows: Mapping[str, int] | None = None

    def filler(self, table: str) -> Callable[[Path], Mapping[str, Any]]:
        """The `build` of one table's job."""

        def fill(folder: Path) -> Mapping[str, Any]:
            if self.rows is None:
                self.rows = self._make()
            for file in sorted((self.scratch / "complete" / table).glob("part-*.parquet")):
                shutil.move(file, folder / file.name)
            schema = self.known.schemas[table].model_copy(update={"row_count": self.rows[table]})
            return {"schema": schema.model_dump(mode="json"), "row_count": self.rows[table], "model": self.model_hash}

        return fill

    def _make(self) -> Mapping[str, int]:
        from synth_assets.synthesis.complete import complete_release

        seed = child_seed(self.wiring.config.seed, "synthetic", self.synthesizer.name)
        sampled = self._load().sample(rows=self.synthesizer.rows, seed=seed, out=self.scratch / "sampled")
        return complete_release(
            sampled,
            self.scratch / "complete",
            schemas=self.known.schemas,
            identifiers={t: r.identifiers for t, r in self.known.roles.items()},
            seed=child_seed(seed, "identifiers"),
        )

    def _load(self) -> "SynthesizerModel":
        if self.synthesizer.trained_on_rows:
            from synth_assets.synthesis.dpsgd.model import load_trained

            return load_trained(self.model)
        if self.synthesizer.differentially_private:
            from synth_assets.synthesis.release import load_release

            return load_release(self.model)
        from synth_assets.synthesis.sdv_options import plain_synthesizer

        return plain_synthesizer(self.synthesizer).load(self.model)


def describe(wiring: Wiring, synthesizer: SynthesizerConfig, roles: ColumnRoles, ref: ArtifactRef) -> dict[str, Any]:
    """Columns with how they came to be, and their lineage through the model."""
    model = wiring.keys.key(wiring.keys.model(synthesizer.name))
    notes = dict.fromkeys(roles.keys, "key, made anew") | dict.fromkeys(roles.modelled, "sampled from the model")
    notes |= {
        c: f"{entity}, made anew; the real column was never read by the model"
        for c, entity in roles.identifiers.items()
    }
    sources = {c: [(model, f"{roles.table}.{c}")] for c in roles.modelled}
    schema = table_schema(ref)
    return {**metadata.table(schema, schema.row_count, notes=notes), **metadata.lineage(sources)}
